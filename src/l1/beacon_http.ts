/**
 * GET requests to a beacon node: answers of bounded size and in bounded time. Of a URL nothing but its
 * host is ever shown, as the rest may hold a key.
 *
 * @module
 */
import { SourceError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import { TEMPORARY_STATUSES } from "../retry.ts";
import { basicAuthentication, connectionReason, parseEndpoint, readBody } from "./json_rpc.ts";

/** How long an answer may take: blobs are megabytes. */
export const BEACON_TIMEOUT_MS = 30_000;
/** Over 100 blobs, as text; no block has as many. */
export const MAX_BEACON_ANSWER_BYTES: number = 32 * 2 ** 20;

/** Where a beacon node is. */
export interface BeaconHttpOptions {
  /** `http:` or `https:`; a name and password in it become HTTP basic authentication. */
  readonly url: string;
  readonly clock: Clock;
  readonly timeoutMs?: number;
  readonly maxAnswerBytes?: number;
}

/** What it answered. */
export interface BeaconAnswer {
  readonly status: number;
  /** `undefined` where it is no JSON. */
  readonly json: unknown;
}

/** Asks a beacon node. */
export class BeaconHttp {
  /** Host and port. */
  readonly name: string;
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #maxAnswerBytes: number;

  /** @throws {ConfigError} `Invalid` where the URL is none; it is not shown */
  constructor(options: BeaconHttpOptions) {
    const url = parseEndpoint(options.url);
    this.name = url.host;
    this.#headers = { accept: "application/json", ...basicAuthentication(url) };
    url.username = url.password = url.hash = "";
    url.pathname = url.pathname.replace(/\/+$/, "");
    this.#url = url;
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs ?? BEACON_TIMEOUT_MS;
    this.#maxAnswerBytes = options.maxAnswerBytes ?? MAX_BEACON_ANSWER_BYTES;
  }

  /**
   * Asks for a path such as `/eth/v1/beacon/genesis`. What a node answers with a status of 4xx or 500 is
   * an answer too.
   *
   * @throws {SourceError} `Connection`
   */
  async get(
    path: string,
    query: readonly (readonly [string, string])[] = [],
  ): Promise<BeaconAnswer> {
    const url = new URL(this.#url);
    url.pathname = url.pathname.replace(/\/$/, "") + path;
    for (const [name, value] of query) url.searchParams.append(name, value);
    const { status, body } = await this.#get(url, path);
    if (TEMPORARY_STATUSES.includes(status) || status > 500) {
      throw this.#error(path, `it answered ${status}`, { status });
    }
    if (status >= 300 && status < 400) {
      throw this.#error(path, `it answered ${status}, and sends elsewhere; give the final URL`);
    }
    if (status === 401 || status === 403) {
      throw this.#error(path, `it answered ${status}; see to the key or password in its URL`);
    }
    return { status, json: parseJson(body) };
  }

  async #get(url: URL, path: string): Promise<{ readonly status: number; readonly body: string }> {
    const call = new AbortController();
    const done = new AbortController();
    let isLate = false;
    void this.#clock.sleep(this.#timeoutMs, done.signal).then(() => {
      if (done.signal.aborted) return;
      isLate = true;
      call.abort();
    });
    try {
      const response = await fetch(url, {
        headers: this.#headers,
        // What is in the URL would go to another host.
        redirect: "manual",
        signal: call.signal,
      });
      const maxBytes = this.#maxAnswerBytes;
      const body = await readBody(response, maxBytes);
      if (body !== undefined) return { status: response.status, body };
      throw this.#error(path, `it answered more than ${maxBytes} bytes`);
    } catch (cause) {
      if (cause instanceof SourceError) throw cause;
      if (isLate) throw this.#error(path, `no answer within ${this.#timeoutMs} ms`);
      // Not as a cause: its text holds the whole URL.
      throw this.#error(path, connectionReason(cause));
    } finally {
      done.abort();
      // Lets go of a body that is not read to its end.
      call.abort();
    }
  }

  #error(path: string, why: string, details: Readonly<Record<string, number>> = {}): SourceError {
    return new SourceError("Connection", `Cannot ask ${this.name} for ${path}: ${why}`, {
      details: { endpoint: this.name, ...details },
    });
  }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
