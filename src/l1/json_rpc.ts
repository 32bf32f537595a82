/**
 * A node's JSON-RPC over HTTP: one request, one answer, and an error that tells how to take it; or many
 * requests at once, and what came of each. What a
 * URL holds besides its host (a key in the path, a password) stands in no message and in no name.
 *
 * | answer                                          | error         |
 * | ----------------------------------------------- | ------------- |
 * | no connection, or it breaks                     | `Unreachable` |
 * | none in time                                    | `Timeout`     |
 * | 408, 425, 429, 5xx; a rate limit in an error    | `Busy`        |
 * | no JSON-RPC, another id, more bytes than bound  | `Invalid`     |
 * | any other status but 200                        | `Refused`     |
 * | an `error` of JSON-RPC                          | `Answered`    |
 *
 * A runtime may ask twice by itself, where a connection that it kept open turns out to be closed: what is
 * sent may be `already known` at the first try.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { ConfigError, RpcError } from "../errors.ts";
import type { JsonRpc, RpcCall, RpcOutcome } from "../ethereum.ts";
import type { Clock } from "../ports.ts";
import { retryAfterMs, TEMPORARY_STATUSES } from "../retry.ts";
import { shown } from "../wire/hex.ts";
import { RpcBatches } from "./rpc_batch.ts";

/** How long an answer may take. */
export const RPC_TIMEOUT_MS = 10_000;
/** More than any block has: gas bounds calldata to some 10 MB, twice that as text, and anvil adds blobs. */
export const MAX_ANSWER_BYTES: number = 64 * 2 ** 20;

/** What of a node's text stands in an error. */
const MAX_SAID_CHARACTERS = 500;
/** What is shorter is no key, and may stand in any text by chance, as `pool` in a path. */
const MIN_KEY_CHARACTERS = 8;

/** Where a node is. */
export interface HttpJsonRpcOptions {
  /** `http:` or `https:`; a name and password in it become HTTP basic authentication. */
  readonly url: string;
  readonly clock: Clock;
  readonly timeoutMs?: number;
  readonly maxAnswerBytes?: number;
  /** Sent with each request, as `authorization`; made anew for each where a function makes them. */
  readonly headers?: RpcHeaders | (() => Promise<RpcHeaders>);
}

/** Headers by their names in lower case. */
export type RpcHeaders = Readonly<Record<string, string>>;

/**
 * A node behind a URL.
 *
 * @example
 * ```ts
 * import { HttpJsonRpc, systemClock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const node = new HttpJsonRpc({ url: "http://127.0.0.1:1/v3/secret", clock: systemClock });
 * const error = await node.request("eth_chainId", []).then(undefined, (error) => error);
 * if (error.code !== "Unreachable") throw new Error("nobody answers there");
 * if (error.message.includes("secret")) throw new Error("only the host is shown");
 * ```
 */
export class HttpJsonRpc implements JsonRpc {
  /** Host and port. */
  readonly name: string;
  readonly #url: string;
  readonly #headers: RpcHeaders;
  readonly #moreHeaders: () => Promise<RpcHeaders>;
  readonly #secrets: readonly string[];
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #maxAnswerBytes: number;
  readonly #batches: RpcBatches;
  #lastId = 0;

  /** @throws {ConfigError} `Invalid` where the URL is none; it is not shown, as it may hold a key */
  constructor(options: HttpJsonRpcOptions) {
    const { timeoutMs = RPC_TIMEOUT_MS, maxAnswerBytes = MAX_ANSWER_BYTES } = options;
    const url = parseEndpoint(options.url);
    this.name = url.host;
    this.#secrets = secretsOf(url);
    const { headers = {} } = options;
    this.#headers = { "content-type": "application/json", ...basicAuthentication(url) };
    this.#moreHeaders = typeof headers === "function" ? headers : () => Promise.resolve(headers);
    url.username = url.password = "";
    this.#url = url.href;
    this.#clock = options.clock;
    this.#timeoutMs = timeoutMs;
    this.#maxAnswerBytes = maxAnswerBytes;
    this.#batches = new RpcBatches({
      one: ({ method, params }) => this.request(method, params),
      many: (calls) => this.#requestMany(calls),
    });
  }

  async request(method: string, params: readonly unknown[]): Promise<unknown> {
    const id = ++this.#lastId;
    const asked = await this.#post(method, { jsonrpc: "2.0", id, method, params });
    const answer = this.#whole(method, asked);
    // A node that could not read a request does not know its id.
    if (answer.id !== id && !(answer.id === null && answer.error !== undefined)) {
      throw this.#error("Invalid", method, `it answered request ${shown(answer.id)}, not ${id}`);
    }
    if (answer.error !== undefined) throw this.#answered(method, answer.error);
    if (answer.result === undefined) {
      throw this.#error("Invalid", method, "it answered neither a result nor an error");
    }
    return answer.result;
  }

  /** As one batch of JSON-RPC where the node takes it, in smaller ones or one by one where it does not. */
  requestAll(calls: readonly RpcCall[]): Promise<readonly RpcOutcome[]> {
    return this.#batches.ask(calls);
  }

  /** One answer for all that was asked. */
  #whole(method: string, { response, body }: Posted): Answer {
    const { status } = response;
    if (status >= 500 || TEMPORARY_STATUSES.includes(status)) {
      const retryAfter = retryAfterMs(response.headers);
      throw this.#error("Busy", method, `it answered ${status}`, {
        status,
        ...(retryAfter === undefined ? {} : { retryAfterMs: retryAfter }),
      });
    }
    const answer = answerOf(parsed(body));
    // Some nodes send an error with the status 400; who may not ask at all gets no answer of the node.
    const isSaid = status === 200 || (status === 400 && answer?.error !== undefined);
    if (!isSaid) throw this.#error("Refused", method, `it answered ${status}`, { status });
    if (answer === undefined) throw this.#error("Invalid", method, "it answered no JSON-RPC");
    return answer;
  }

  /** What was answered to each, `undefined` where nothing was. */
  async #requestMany(calls: readonly RpcCall[]): Promise<(RpcOutcome | undefined)[]> {
    const first = this.#lastId + 1;
    this.#lastId += calls.length;
    const requests = calls.map((call, at) => ({ jsonrpc: "2.0", id: first + at, ...call }));
    const what = `${calls.length} requests (${calls[0]!.method} first)`;
    const asked = await this.#post(what, requests);
    const list = asked.response.status === 200 ? parsed(asked.body) : undefined;
    if (!Array.isArray(list)) {
      const { error } = this.#whole(what, asked);
      if (error) throw this.#answered(what, error);
      throw this.#error("Invalid", what, "it answered one of them");
    }
    const outcomes = new Array<RpcOutcome | undefined>(calls.length).fill(undefined);
    for (const answer of list.map(answerOf)) {
      const at = typeof answer?.id === "number" ? answer.id - first : -1;
      if (!answer || !(at in outcomes)) continue;
      const { error, result } = answer;
      if (error) outcomes[at] ??= { error: this.#answered(calls[at]!.method, error) };
      else if (result !== undefined) outcomes[at] ??= { result };
    }
    return outcomes;
  }

  async #post(method: string, request: object): Promise<Posted> {
    const body = JSON.stringify(request);
    const headers = { ...this.#headers, ...await this.#moreHeaders() };
    const call = new AbortController();
    const done = new AbortController();
    let isLate = false;
    void this.#clock.sleep(this.#timeoutMs, done.signal).then(() => {
      if (done.signal.aborted) return;
      isLate = true;
      call.abort();
    });
    try {
      const response = await fetch(this.#url, {
        method: "POST",
        headers,
        body,
        // A redirected POST would be sent as a GET, and what is in the URL to another host.
        redirect: "manual",
        signal: call.signal,
      });
      const maxBytes = this.#maxAnswerBytes;
      const text = await readBody(response, maxBytes);
      if (text !== undefined) return { response, body: text };
      throw this.#error("Invalid", method, `it answered more than ${maxBytes} bytes`, { maxBytes });
    } catch (cause) {
      if (cause instanceof RpcError) throw cause;
      if (isLate) {
        throw this.#error("Timeout", method, `no answer within ${this.#timeoutMs} ms`, {
          timeoutMs: this.#timeoutMs,
        });
      }
      // Not as a cause: its text holds the whole URL.
      throw this.#error("Unreachable", method, connectionReason(cause));
    } finally {
      done.abort();
      // Lets go of a body that is not read to its end.
      call.abort();
    }
  }

  /** What a node says stands alone: others read it to tell what became of a transaction. */
  #answered(method: string, { code, message }: AnsweredError): RpcError {
    let text = message.replace(/\s+/g, " ").trim();
    for (const secret of this.#secrets) text = text.replaceAll(secret, "…");
    text = text.slice(0, MAX_SAID_CHARACTERS);
    const details = { endpoint: this.name, method, rpcCode: code };
    if (isRateLimit(code, text)) {
      return this.#error("Busy", method, `it answered ${code}: ${text}`, { rpcCode: code });
    }
    return new RpcError("Answered", text || `error ${code} without a text`, { details });
  }

  #error(
    code: "Unreachable" | "Timeout" | "Busy" | "Invalid" | "Refused",
    method: string,
    why: string,
    details: Readonly<Record<string, number>> = {},
  ): RpcError {
    const message = `Cannot ask ${this.name} for ${method}: ${why}`;
    return new RpcError(code, message, { details: { endpoint: this.name, method, ...details } });
  }
}

/**
 * The URL of a node.
 *
 * @param what as what it was given, for the error
 * @throws {ConfigError} `Invalid`, without the text
 */
export function parseEndpoint(text: string, what = "the URL of a node"): URL {
  const url = URL.parse(text);
  if (url && ["http:", "https:"].includes(url.protocol) && url.host !== "") return url;
  const have = url ? `one that begins with ${url.protocol}` : `${text.length} characters`;
  throw new ConfigError(
    "Invalid",
    `Cannot use ${what}: need http://HOST or https://HOST, have ${have} (not shown, as it may hold a key)`,
  );
}

/** All that a text must not show. */
function secretsOf(url: URL): string[] {
  const { pathname, search, searchParams, username } = url;
  const paths = [pathname + search, pathname, search, ...pathname.split("/")];
  const keys = [username, ...paths, ...searchParams.values()]
    .filter((value) => value.length >= MIN_KEY_CHARACTERS);
  const both = [...keys, url.password].flatMap((value) => [value, decoded(value)]);
  return [...new Set(both)].filter((value) => value !== "").sort((a, b) => b.length - a.length);
}

/** The header that carries the name and the password of a URL; none where it has none. */
export function basicAuthentication({ username, password }: URL): Record<string, string> {
  if (username === "" && password === "") return {};
  const credentials = `${decoded(username)}:${decoded(password)}`;
  return { authorization: `Basic ${Buffer.from(credentials).toString("base64")}` };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

interface AnsweredError {
  readonly code: number;
  readonly message: string;
}

interface Answer {
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: AnsweredError;
}

interface Posted {
  readonly response: Response;
  readonly body: string;
}

/** `undefined` for what is no JSON. */
function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

/** `undefined` for what is no answer of JSON-RPC. */
function answerOf(json: unknown): Answer | undefined {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return undefined;
  const { id, result, error } = json as Record<string, unknown>;
  // Erigon sends both, where one is null.
  if (error === undefined || error === null) return { id, result };
  const { code, message } = Object(error) as Record<string, unknown>;
  if (typeof code !== "number" || typeof message !== "string") return undefined;
  return { id, error: { code, message } };
}

/** -32005 is the limit of EIP-1474, but Besu has it for other limits too. */
function isRateLimit(code: number, text: string): boolean {
  return code === 429 || (code === -32005 && /rate|request|quota|capacity|second/i.test(text)) ||
    /rate limit|too many requests/i.test(text);
}

/** The three runtimes say it in their own ways, most of them with the URL. */
const CONNECTION_REASONS: readonly (readonly [RegExp, string])[] = [
  [/refused/i, "the connection was refused"],
  [/not.?found|resolve|lookup|dns|getaddrinfo/i, "there is no such host"],
  [/certificate|tls|ssl/i, "the TLS connection failed"],
  [/reset|closed|hang.?up|terminated|broken|incomplete|socket|eof/i, "the connection broke"],
];

/** In words of our own. */
export function connectionReason(error: unknown): string {
  const texts: string[] = [];
  for (let each = error; each instanceof Error && texts.length < 10; each = each.cause) {
    const { code } = each as { code?: unknown };
    texts.push(`${typeof code === "string" ? code : ""} ${each.message}`);
  }
  // The URL may hold any word.
  const said = texts.join(" ").replace(/https?:\/\/\S+/gi, "");
  return CONNECTION_REASONS.find(([pattern]) => pattern.test(said))?.[1] ?? "the connection failed";
}

/** The body of an answer as text; `undefined` as soon as it is more than `maxBytes`. */
export async function readBody(response: Response, maxBytes: number): Promise<string | undefined> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > maxBytes) return undefined;
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
