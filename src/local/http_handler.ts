/**
 * Hands batches to an HTTP server: `POST`, one operation a line in the body.
 *
 * | header                    |                                                                     |
 * | ------------------------- | ------------------------------------------------------------------- |
 * | `Content-Type`            | `text/plain; charset=utf-8`, unless told otherwise                  |
 * | `Idempotency-Key`         | `<source>-<first>-<last>`: the same batch bears the same, always    |
 * | `Montana-First-Sequence`  | sequence of the first operation                                     |
 * | `Montana-Last-Sequence`   | sequence of the last                                                |
 *
 * | answer                     | the batch is                                                     |
 * | -------------------------- | ---------------------------------------------------------------- |
 * | 2xx                        | handled                                                          |
 * | 408, 425, 429, 5xx, none   | tried again, not before `Retry-After` where the server says so   |
 * | any other                  | refused for good                                                 |
 *
 * @module
 */
import { HandlerError } from "../errors.ts";
import type { BatchHandler } from "../ports.ts";
import { retryAfterMs, TEMPORARY_STATUSES } from "../retry.ts";
import type { OperationBatch } from "../types.ts";
import { toLines } from "../wire/operation_lines.ts";

/** What of an answer stands in the error. */
const MAX_SAID_CHARACTERS = 500;

/** Where batches go. */
export interface HttpHandlerOptions {
  readonly url: string;
  /** Identity of the log, so that two processors never use the same key. */
  readonly source: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * A server that takes batches.
 *
 * @example
 * ```ts
 * import { HttpHandler } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const handler = new HttpHandler({ url: "http://127.0.0.1:1/", source: "orders" });
 * const operations = [{ sequence: 0n, data: new TextEncoder().encode("a") }];
 * const batch = { first: 0n, last: 0n, operations, bytes: 1 };
 * const error = await handler.handle(batch, new AbortController().signal).catch((error) => error);
 * if (!error.isRetryable) throw new Error("nobody answers there, which may change");
 * ```
 */
export class HttpHandler implements BatchHandler {
  readonly #options: HttpHandlerOptions;

  constructor(options: HttpHandlerOptions) {
    this.#options = options;
  }

  /** @throws {HandlerError} `Failed` where it may be tried again, `Rejected` where it may not */
  async handle(batch: OperationBatch, signal: AbortSignal): Promise<void> {
    const { url, source, headers } = this.#options;
    const { first, last } = batch;
    const body = toLines(batch, batch.operations);
    let response: Response;
    let said: string;
    try {
      response = await fetch(url, {
        method: "POST",
        headers: {
          "content-type": "text/plain; charset=utf-8",
          ...headers,
          "idempotency-key": `${source}-${first}-${last}`,
          "montana-first-sequence": `${first}`,
          "montana-last-sequence": `${last}`,
        },
        body: body as Uint8Array<ArrayBuffer>,
        // A redirected POST would be sent as a GET, without a body.
        redirect: "manual",
        signal,
      });
      said = (await response.text()).slice(0, MAX_SAID_CHARACTERS).trim();
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const message = `Cannot handle batch ${first}-${last}: ${url} gave no answer: ${why}`;
      throw new HandlerError("Failed", message, { cause, details: { first, last } });
    }
    if (response.ok) return;
    const { status } = response;
    const isTemporary = status >= 500 || TEMPORARY_STATUSES.includes(status);
    throw new HandlerError(
      isTemporary ? "Failed" : "Rejected",
      `Cannot handle batch ${first}-${last}: ${url} answered ${status}${said && `: ${said}`}`,
      { details: { first, last, status, retryAfterMs: retryAfterMs(response.headers) } },
    );
  }
}
