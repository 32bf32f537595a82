/**
 * Health and metrics over HTTP, the same for whatever runs.
 *
 * | request        |                                                             |
 * | -------------- | ----------------------------------------------------------- |
 * | `GET /livez`   | 200 while the process answers                               |
 * | `GET /readyz`  | 200, or 503 with what is wrong, all of it in JSON           |
 * | `GET /metrics` | for Prometheus                                              |
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import { VERSION } from "../version.ts";
import {
  type ApiRequest,
  type ApiResponse,
  found,
  mustBeProgram,
  Refusal,
  refused,
  wrongMethod,
} from "./api.ts";
import { type Address, listen, type Listening } from "./http_server.ts";

/** A reason to be ready, or not. */
export interface ReadyCheck {
  readonly name: string;
  /** Whose it is, where several run in one process. */
  readonly role?: string;
  readonly ok: boolean;
  readonly reason?: string;
}

/** Writes metrics: a `Metrics`. */
export interface ServedMetrics {
  text(): Promise<{ readonly type: string; readonly text: string }>;
}

/** What is served. */
export interface HealthParts {
  readonly clock: Clock;
  /** Without them there is no `/metrics`. */
  readonly metrics?: ServedMetrics;
  /** Without any it is ready. */
  readonly checks?: () => readonly ReadyCheck[];
}

const PATHS = ["/livez", "/readyz", "/metrics"] as const;

/** Answers requests for health and metrics. */
export class HealthApi {
  readonly #parts: HealthParts;
  readonly #startMs: number;

  constructor(parts: HealthParts) {
    this.#parts = parts;
    this.#startMs = parts.clock.now();
  }

  /** @returns nothing where another path is asked for */
  async answer(request: ApiRequest): Promise<ApiResponse | undefined> {
    const path = PATHS.find((each) => each === request.url.pathname);
    const { metrics } = this.#parts;
    if (!path || path === "/metrics" && !metrics) return undefined;
    const wrong = wrongMethod(request, "GET");
    if (wrong) return wrong;
    if (path === "/livez") return this.#alive();
    if (path === "/readyz") return this.#readiness();
    const { type, text } = await metrics!.text();
    return { status: 200, body: {}, headers: { "content-type": type }, text };
  }

  #alive(): ApiResponse {
    const uptime = Math.floor((this.#parts.clock.now() - this.#startMs) / 1000);
    return found({ status: "ok", version: VERSION, uptime_seconds: uptime });
  }

  #readiness(): ApiResponse {
    const checks = this.#parts.checks?.() ?? [];
    const isReady = checks.every(({ ok }) => ok);
    return { status: isReady ? 200 : 503, body: { ready: isReady, checks } };
  }
}

/**
 * Serves nothing but health and metrics.
 *
 * @throws {ConfigError} `Invalid` when it cannot listen there
 *
 * @example
 * ```ts
 * import { serveHealth, systemClock as clock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const checks = () => [{ name: "source", ok: false, reason: "it does not answer" }];
 * const server = await serveHealth({ clock, checks }, { host: "127.0.0.1", port: 0 });
 * const { status } = await fetch(`${server.name}/readyz`).then(async (response) => {
 *   await response.body?.cancel();
 *   return response;
 * });
 * if (status !== 503) throw new Error("it is not ready");
 * await server.close();
 * ```
 */
export function serveHealth(parts: HealthParts, address: Address): Promise<Listening> {
  const api = new HealthApi(parts);
  return listen(address, async (request) => {
    try {
      mustBeProgram(request);
      return await api.answer(request) ?? notFound(request);
    } catch (error) {
      if (error instanceof Refusal) return refused(error.status, error.code, error.message);
      return refused(500, "Failed", describeError(error));
    }
  });
}

function notFound({ url: { pathname } }: ApiRequest): ApiResponse {
  const message = `Cannot find ${pathname.slice(0, 100)}: there are GET ${PATHS.join(", ")}`;
  return refused(404, "NotFound", message);
}
