/**
 * Blocks of an execution client, as its Engine API and `eth_getBlockByNumber` tell them: each answer is
 * checked for its form.
 * (https://github.com/ethereum/execution-apis/tree/main/src/engine)
 *
 * @module
 */
import type { EngineVersion, ExecutionPayload } from "../engine.ts";
import { blockHashing } from "../l1/block_hashing.ts";
import { data, type JsonFields, list, objectOf, quantity } from "../l1/json_fields.ts";
import { fromHex } from "../wire/hex.ts";
import { parsePayload, versionOf } from "./payload.ts";

/** A block, as far as the next one is built on it. */
export interface EngineBlock {
  readonly number: bigint;
  readonly hash: Uint8Array;
  readonly parentHash: Uint8Array;
  /** Unix seconds. */
  readonly timestamp: bigint;
  readonly gasLimit: bigint;
  readonly extraData: Uint8Array;
  /** Told by the newest field of its header. */
  readonly fork: EngineVersion;
}

/** A block of the client's chain, with the hashes of its transactions. */
export interface EngineChainBlock extends EngineBlock {
  readonly txHashes: readonly Uint8Array[];
}

/** A block that the client built, and what it must be given back with it. */
export interface EnginePayload extends EngineBlock, ExecutionPayload {
  /** The `executionPayload` as it was answered. */
  readonly json: JsonFields;
  /** The `executionRequests` as they were answered. */
  readonly requests: readonly string[];
}

/**
 * Reads an answer of `eth_getBlockByNumber` without transactions.
 *
 * @throws {CodecError} `InvalidHeader` naming the field
 */
export function parseChainBlock(json: unknown): EngineChainBlock {
  const fields = objectOf(json, "block");
  const since = ["withdrawalsRoot", "parentBeaconBlockRoot", "requestsHash"];
  return {
    number: quantity(fields, "number"),
    hash: data(fields, "hash", 32),
    parentHash: data(fields, "parentHash", 32),
    timestamp: quantity(fields, "timestamp"),
    gasLimit: quantity(fields, "gasLimit"),
    extraData: data(fields, "extraData"),
    fork: 2 + since.findLastIndex((name) => fields[name]) as EngineVersion,
    txHashes: list(fields, "transactions").map((each) => fromHex(each, "transactions", 32)),
  };
}

/**
 * Reads an answer of `engine_getPayload`.
 *
 * @throws {CodecError} `InvalidHeader` naming the field
 */
export function parseBuilt(json: unknown): EnginePayload {
  const answer = objectOf(json, "payload");
  // The first version answers the payload itself.
  const payloadJson = objectOf(answer.executionPayload ?? answer, "executionPayload");
  const payload = parsePayload(payloadJson);
  const requests = Array.isArray(answer.executionRequests) ? answer.executionRequests : undefined;
  return {
    ...payload,
    number: payload.blockNumber,
    hash: payload.blockHash,
    fork: versionOf({ payload, ...(requests ? { executionRequests: [] } : {}) }),
    json: payloadJson,
    requests: requests?.map(String) ?? [],
  };
}

/** Hashes of transactions, as blocks have them. */
export async function hashesOf(transactions: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const { keccak256 } = await blockHashing();
  return transactions.map((transaction) => keccak256(transaction));
}
