/**
 * A consensus client that does as it is told: it sends payloads and choices to an Engine API, each with a
 * token of its own.
 *
 * @module
 */
import type { PayloadEnvelope } from "../../src/engine.ts";
import { newPayloadParams, versionOf } from "../../src/l2/payload.ts";
import { toHex } from "../../src/wire/hex.ts";

const ZERO = new Uint8Array(32);

/** What an Engine API answered. */
export interface Answer {
  readonly id?: unknown;
  // deno-lint-ignore no-explicit-any -- what a test asks for it knows the shape of
  readonly result?: any;
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

/** Speaks to one Engine API. */
export class ConsensusClient {
  readonly #url: string;
  readonly #authorization: () => Promise<string>;
  #lastId = 0;

  constructor(url: string, authorization: () => Promise<string>) {
    this.#url = url;
    this.#authorization = authorization;
  }

  /** Sends a body as it is. */
  async post(
    body: BodyInit,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ status: number; json: Answer }> {
    const authorization = headers.authorization ?? await this.#authorization();
    const response = await fetch(this.#url, {
      method: "POST",
      body,
      headers: { "content-type": "application/json", ...headers, authorization },
    });
    return { status: response.status, json: await response.json() };
  }

  async call(method: string, ...params: readonly unknown[]): Promise<Answer> {
    const id = ++this.#lastId;
    const { json } = await this.post(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    if (json.id !== id) throw new Error(`answered ${json.id}, not ${id}: ${JSON.stringify(json)}`);
    return json;
  }

  /** Gives a payload by the method of its version, and resolves with its status. */
  async give(envelope: PayloadEnvelope, blobHashes?: readonly Uint8Array[]): Promise<string> {
    const method = `engine_newPayloadV${versionOf(envelope)}`;
    const params = await newPayloadParams(envelope);
    if (blobHashes) params[1] = blobHashes.map(toHex);
    const { result, error } = await this.call(method, ...params);
    return result?.status ?? `error ${error?.code}`;
  }

  /** Chooses a head, and resolves with the status. */
  async choose(
    head: PayloadEnvelope,
    { safe, finalized }: { safe?: PayloadEnvelope; finalized?: PayloadEnvelope } = {},
    version = 3,
  ): Promise<string> {
    const state = forkchoiceState(head, safe, finalized);
    const { result, error } = await this.call(`engine_forkchoiceUpdatedV${version}`, state, null);
    return result?.payloadStatus.status ?? `error ${error?.code}`;
  }
}

/** As JSON. */
export function forkchoiceState(
  head: PayloadEnvelope,
  safe?: PayloadEnvelope,
  finalized?: PayloadEnvelope,
): object {
  const hash = (of: PayloadEnvelope | undefined) => toHex(of?.payload.blockHash ?? ZERO);
  return {
    headBlockHash: hash(head),
    safeBlockHash: hash(safe),
    finalizedBlockHash: hash(finalized),
  };
}
