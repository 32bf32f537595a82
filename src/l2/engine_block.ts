/**
 * Blocks of an execution client, as its Engine API and `eth_getBlockByNumber` tell them: each answer is
 * checked for its form.
 * (https://github.com/ethereum/execution-apis/tree/main/src/engine)
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import { keccak, rlp } from "../l1/deps.ts";
import { fromHex, shown } from "../wire/hex.ts";

/** What a header has, told by its newest field: Paris, Shanghai, Cancun, Prague. */
export type EngineFork = 1 | 2 | 3 | 4;

/** A block, as far as the next one is built on it. */
export interface EngineBlock {
  readonly number: bigint;
  readonly hash: Uint8Array;
  readonly parentHash: Uint8Array;
  /** Unix seconds. */
  readonly timestamp: bigint;
  readonly gasLimit: bigint;
  readonly extraData: Uint8Array;
  readonly fork: EngineFork;
}

/** A block of the client's chain, with the hashes of its transactions. */
export interface EngineChainBlock extends EngineBlock {
  readonly txHashes: readonly Uint8Array[];
}

/** A block that the client built, and what it must be given back with it. */
export interface EnginePayload extends EngineBlock {
  readonly transactions: readonly Uint8Array[];
  /** The `executionPayload` as it was answered. */
  readonly json: JsonFields;
  /** The `executionRequests` as they were answered. */
  readonly requests: readonly string[];
}

/** An object of an answer: nothing of it is known. */
export type JsonFields = Readonly<Record<string, unknown>>;

/**
 * Reads an answer of `eth_getBlockByNumber` without transactions.
 *
 * @throws {CodecError} `InvalidHeader` naming the field
 */
export function parseChainBlock(json: unknown): EngineChainBlock {
  const fields = objectOf(json, "block");
  const fork = fields.requestsHash ? 4 : fields.parentBeaconBlockRoot ? 3 : undefined;
  return {
    ...headerOf(fields, { number: "number", hash: "hash" }),
    fork: fork ?? (fields.withdrawalsRoot ? 2 : 1),
    txHashes: listOf(fields, "transactions").map((each) => fromHex(each, "transactions", 32)),
  };
}

/**
 * Reads an answer of `engine_getPayload`.
 *
 * @throws {CodecError} `InvalidHeader` naming the field
 */
export function parsePayload(json: unknown): EnginePayload {
  const answer = objectOf(json, "payload");
  // The first version answers the payload itself.
  const fields = answer.executionPayload === undefined
    ? answer
    : objectOf(answer.executionPayload, "executionPayload");
  const hasRequests = Array.isArray(answer.executionRequests);
  const fork = hasRequests ? 4 : fields.excessBlobGas !== undefined ? 3 : undefined;
  return {
    ...headerOf(fields, { number: "blockNumber", hash: "blockHash" }),
    fork: fork ?? (fields.withdrawals ? 2 : 1),
    transactions: listOf(fields, "transactions").map((each) => fromHex(each, "transactions")),
    json: fields,
    requests: hasRequests ? listOf(answer, "executionRequests").map(String) : [],
  };
}

/** Hashes of transactions, as blocks have them. */
export async function hashesOf(transactions: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const { keccak_256 } = await keccak();
  return transactions.map((transaction) => keccak_256(transaction));
}

const BLOB_TYPE = 3;
/** Of `blobVersionedHashes` in a transaction with blobs (EIP-4844). */
const BLOB_HASHES_FIELD = 10;

/** The hashes of all blobs that transactions name, in order: what `engine_newPayload` is told of them. */
export async function blobHashesOf(transactions: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const hashes: Uint8Array[] = [];
  for (const transaction of transactions.filter(([type]) => type === BLOB_TYPE)) {
    const { RLP } = await rlp();
    const fields = RLP.decode(transaction.subarray(1)) as readonly unknown[];
    hashes.push(...fields[BLOB_HASHES_FIELD] as Uint8Array[]);
  }
  return hashes;
}

/** A number as JSON-RPC has it. */
export function quantity(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/** @throws {CodecError} `InvalidHeader` */
export function objectOf(json: unknown, name: string): JsonFields {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as JsonFields;
  throw wrong(name, "an object", json);
}

function headerOf(
  fields: JsonFields,
  names: { readonly number: string; readonly hash: string },
): Omit<EngineBlock, "fork"> {
  return {
    number: quantityIn(fields, names.number),
    hash: fromHex(fields[names.hash], names.hash, 32),
    parentHash: fromHex(fields.parentHash, "parentHash", 32),
    timestamp: quantityIn(fields, "timestamp"),
    gasLimit: quantityIn(fields, "gasLimit"),
    extraData: fromHex(fields.extraData, "extraData"),
  };
}

function quantityIn(fields: JsonFields, name: string): bigint {
  const value = fields[name];
  if (typeof value === "string" && /^0x[\da-f]{1,16}$/i.test(value)) return BigInt(value);
  throw wrong(name, "a quantity of 64 bits", value);
}

function listOf(fields: JsonFields, name: string): readonly unknown[] {
  const value = fields[name];
  if (Array.isArray(value)) return value;
  throw wrong(name, "a list", value);
}

function wrong(name: string, expected: string, value: unknown): CodecError {
  return new CodecError("InvalidHeader", `Cannot read ${name}: need ${expected}: ${shown(value)}`);
}
