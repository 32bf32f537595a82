/**
 * JSON over HTTP with provers and publishers: answers of bounded size in bounded time, failures by their
 * names. Of a URL nothing but its host is ever shown, as the rest may hold a key.
 *
 * @module
 */
import { basicAuthentication, connectionReason, parseEndpoint, readBody } from "../l1/json_rpc.ts";
import { CodecError } from "../errors.ts";
import type { Clock } from "../ports.ts";
import { ProvingError } from "../proving.ts";
import { TEMPORARY_STATUSES } from "../retry.ts";
import { shown } from "../wire/hex.ts";

/** How long an answer may take, as the seed's client has it. */
export const PROVER_TIMEOUT_MS = 30_000;
/** Proofs are text of up to four characters a byte. */
const MAX_ANSWER_BYTES: number = 64 * 2 ** 20;
const MAX_SAID_CHARACTERS = 300;

/** Where a prover or a publisher is. */
export interface ProverHttpOptions {
  /** `http:` or `https:`; a name and password in it become HTTP basic authentication. */
  readonly url: string;
  readonly clock: Clock;
  readonly timeoutMs?: number;
}

/** What was answered with 2xx, or with 404. */
export interface ProverAnswer {
  readonly status: number;
  readonly json: unknown;
}

/** Asks a prover or a publisher. */
export class ProverHttp {
  /** Host and port. */
  readonly name: string;
  readonly #url: URL;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #clock: Clock;
  readonly #timeoutMs: number;

  /** @throws {ConfigError} `Invalid` where the URL is none; it is not shown */
  constructor({ url: text, clock, timeoutMs = PROVER_TIMEOUT_MS }: ProverHttpOptions) {
    const url = parseEndpoint(text);
    this.name = url.host;
    this.#headers = { accept: "application/json", ...basicAuthentication(url) };
    url.username = url.password = url.hash = "";
    url.pathname = url.pathname.replace(/\/+$/, "");
    this.#url = url;
    this.#clock = clock;
    this.#timeoutMs = timeoutMs;
  }

  /** @throws {ProvingError} `Unreachable`, `Invalid`, or `Refused` but for 404 */
  get(path: string, signal?: AbortSignal): Promise<ProverAnswer> {
    return this.#ask("GET", path, undefined, signal);
  }

  /** @throws {ProvingError} `Unreachable`, `Invalid`, or `Refused` */
  async post(path: string, body: object, signal?: AbortSignal): Promise<unknown> {
    const { status, json } = await this.#ask("POST", path, JSON.stringify(body), signal);
    if (status !== 404) return json;
    throw this.error("Refused", path, "it answered 404: see to the URL");
  }

  /** What `read` makes of an answer. @throws {ProvingError} `Invalid` where it is not as it must be */
  read<T>(path: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof CodecError) throw this.error("Invalid", path, error.message);
      throw error;
    }
  }

  /** An error that says who was asked for what. */
  error(
    code: "Unreachable" | "Invalid" | "Refused" | "Failed",
    path: string,
    why: string,
    status?: number,
  ): ProvingError {
    return new ProvingError(code, `Cannot ask ${this.name} for ${path}: ${why}`, {
      details: { endpoint: this.name, status },
    });
  }

  async #ask(
    method: string,
    path: string,
    body: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<ProverAnswer> {
    const { status, text } = await this.#fetch(method, path, body, signal);
    const said = text === "" ? "" : `: ${reasonIn(text)}`;
    if (TEMPORARY_STATUSES.includes(status) || status >= 500) {
      throw this.error("Unreachable", path, `it answered ${status}${said}`, status);
    }
    if (status >= 300 && status !== 404) {
      throw this.error("Refused", path, `it answered ${status}${said}`, status);
    }
    try {
      return { status, json: JSON.parse(text) };
    } catch {
      if (status === 404) return { status, json: undefined };
      throw this.error("Invalid", path, `its answer is no JSON: ${shown(text)}`);
    }
  }

  async #fetch(
    method: string,
    path: string,
    body: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly status: number; readonly text: string }> {
    const call = new AbortController();
    const done = new AbortController();
    const stop = () => call.abort();
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop);
    let isLate = false;
    void this.#clock.sleep(this.#timeoutMs, done.signal).then(() => {
      if (done.signal.aborted) return;
      isLate = true;
      call.abort();
    });
    const url = new URL(this.#url);
    url.pathname = url.pathname.replace(/\/$/, "") + path;
    try {
      const response = await fetch(url, {
        method,
        headers: body === undefined
          ? this.#headers
          : { ...this.#headers, "content-type": "application/json" },
        ...(body === undefined ? {} : { body }),
        // What is in the URL would go to another host.
        redirect: "manual",
        signal: call.signal,
      });
      const text = await readBody(response, MAX_ANSWER_BYTES);
      if (text !== undefined) return { status: response.status, text };
      throw this.error("Invalid", path, `it answered more than ${MAX_ANSWER_BYTES} bytes`);
    } catch (cause) {
      if (cause instanceof ProvingError) throw cause;
      if (isLate) throw this.error("Unreachable", path, `no answer within ${this.#timeoutMs} ms`);
      // Not as a cause: its text holds the whole URL.
      throw this.error("Unreachable", path, connectionReason(cause));
    } finally {
      done.abort();
      signal?.removeEventListener("abort", stop);
      // Lets go of a body that is not read to its end.
      call.abort();
    }
  }
}

/** What somebody gave as a reason, no longer than a line or three. */
export function said(reason: unknown): string {
  if (typeof reason !== "string") return shown(reason);
  return reason.length > MAX_SAID_CHARACTERS ? `${reason.slice(0, MAX_SAID_CHARACTERS)}…` : reason;
}

/** What an error envelope says, or the start of the text. */
function reasonIn(text: string): string {
  try {
    const { error } = JSON.parse(text);
    if (typeof error === "string") return said(error);
    if (typeof error?.code === "string") return `${said(error.code)}, ${said(error.message)}`;
  } catch {
    // It is no JSON.
  }
  return shown(text.trim());
}
