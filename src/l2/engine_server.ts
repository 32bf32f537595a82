/**
 * The Engine API on a port: JSON-RPC over HTTP, each request with its token.
 *
 * | request                                        | answer                                              |
 * | ---------------------------------------------- | --------------------------------------------------- |
 * | no token, or a wrong or an old one             | 401, and why                                        |
 * | a body above the bound                         | 413 and error -32600                                |
 * | no JSON, or nested deeper than 32              | error -32700                                        |
 * | no request of JSON-RPC                         | error -32600                                        |
 * | 256 MiB of other bodies are under way          | 503                                                 |
 * | one request, or up to 100 in a list            | 200, results and errors in the order of the requests |
 *
 * @module
 */
import { TokenError } from "../engine.ts";
import { RPC_CODES } from "../ethereum.ts";
import { parseBoundedJson } from "../service/bounded_json.ts";
import { listen, type Listening } from "../service/http_server.ts";
import type { ApiRequest, ApiResponse } from "../service/api.ts";
import { callEngine, type EngineApiParts, type RpcFault } from "./engine_api.ts";
import type { JwtSecret } from "./jwt.ts";

/** What other clients take as well. A block has some 10 MB of transactions at the most, twice that as text. */
export const MAX_REQUEST_BYTES: number = 128 * 2 ** 20;
/** Requests in a list. */
const MAX_BATCH = 100;

/** What is served, and to whom. */
export interface EngineServerOptions extends EngineApiParts {
  /** The secret that the consensus client has too. */
  readonly jwt: JwtSecret;
  /** 127.0.0.1 unless told. */
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** {@link MAX_REQUEST_BYTES} unless told. */
  readonly maxRequestBytes?: number;
}

/**
 * Listens for a consensus client. Close it before the source, and the source before its journal: then
 * nothing is acknowledged that is not written down.
 *
 * @throws {ConfigError} `Invalid` where that cannot be
 *
 * @example
 * ```ts
 * import {
 *   EngineApiSource,
 *   JwtSecret,
 *   MemoryL1,
 *   MemoryPayloadJournal,
 *   serveEngine,
 *   systemClock as clock,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const jwt = await JwtSecret.from(crypto.getRandomValues(new Uint8Array(32)), clock);
 * const source = await EngineApiSource.open({
 *   journal: new MemoryPayloadJournal(),
 *   l1: new MemoryL1(),
 * });
 * const server = await serveEngine({ source, jwt, port: 0, chainId: 10n });
 * const response = await fetch(server.name, {
 *   method: "POST",
 *   headers: { authorization: await jwt.authorization() },
 *   body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_chainId", params: [] }),
 * });
 * const { result } = await response.json();
 * if (result !== "0xa") throw new Error("it is chain 10");
 * await server.close();
 * await source.close();
 * ```
 */
export function serveEngine(options: EngineServerOptions): Promise<Listening> {
  const { host = "127.0.0.1", port } = options;
  return listen({ host, port }, (request) => answerEngine(options, request));
}

/** Answers a request; it does not throw. */
export async function answerEngine(
  options: Omit<EngineServerOptions, "port" | "host">,
  request: ApiRequest,
): Promise<ApiResponse> {
  const { jwt, log, maxRequestBytes = MAX_REQUEST_BYTES } = options;
  try {
    if (request.method !== "POST") {
      const error = {
        code: RPC_CODES.invalidRequest,
        message: `Cannot ${request.method}: need POST`,
      };
      return { status: 405, body: failed(null, error), headers: { allow: "POST" } };
    }
    await jwt.check(request.authorization);
    const bytes = await request.body(maxRequestBytes);
    if (bytes === undefined) {
      const message = `Cannot take a request of more than ${maxRequestBytes} bytes`;
      return { status: 413, body: failed(null, { code: RPC_CODES.invalidRequest, message }) };
    }
    return { status: 200, body: await answerAll(options, bytes) };
  } catch (error) {
    log?.({ event: "consensus.refused", error });
    if (!(error instanceof TokenError)) {
      return {
        status: 400,
        body: failed(null, { code: RPC_CODES.invalidRequest, message: "Cannot read the request" }),
      };
    }
    const fault = {
      code: RPC_CODES.invalidRequest,
      message: error.message,
      data: { token: error.code },
    };
    const headers = { "www-authenticate": "Bearer" };
    return { status: 401, body: failed(null, fault), headers };
  }
}

async function answerAll(parts: EngineApiParts, bytes: Uint8Array): Promise<object> {
  let json: unknown;
  try {
    json = parseBoundedJson(bytes);
  } catch (error) {
    const why = error instanceof RangeError ? error.message : "it is no JSON";
    return failed(null, { code: RPC_CODES.parseError, message: `Cannot read the request: ${why}` });
  }
  if (!Array.isArray(json)) return await answerOne(parts, json);
  if (json.length === 0 || json.length > MAX_BATCH) {
    const message = `Cannot answer ${json.length} requests: need 1 to ${MAX_BATCH} in a list`;
    return failed(null, { code: RPC_CODES.invalidRequest, message });
  }
  // One after the other: the specification wants their order kept.
  const answers: object[] = [];
  for (const each of json) answers.push(await answerOne(parts, each));
  return answers;
}

async function answerOne(parts: EngineApiParts, json: unknown): Promise<object> {
  const { id = null, method, params = [] } = Object(json) as Record<string, unknown>;
  if (
    typeof method !== "string" || !Array.isArray(params) || typeof id === "object" && id !== null
  ) {
    const message =
      "Cannot answer what is no request of JSON-RPC: need a method and a list of params";
    return failed(null, { code: RPC_CODES.invalidRequest, message });
  }
  return { jsonrpc: "2.0", id, ...await callEngine(parts, method, params) };
}

function failed(id: null, error: RpcFault): object {
  return { jsonrpc: "2.0", id, error };
}
