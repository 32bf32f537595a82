/**
 * Execution payloads: between JSON and {@link ExecutionPayload}, and the hash that such a block must have,
 * made anew of all its parts.
 *
 * | version | method of `engine_newPayload`                                | what is new                    |
 * | ------: | ------------------------------------------------------------ | ------------------------------ |
 * |       1 | V1; V2 for blocks before Shanghai                            |                                |
 * |       2 | V2                                                           | withdrawals                    |
 * |       3 | V3, with the blobs' hashes and `parentBeaconBlockRoot`       | blob gas                       |
 * |       4 | V4, with `executionRequests`; OP chains add `withdrawalsRoot` | requests of the execution side |
 *
 * @module
 */
import type { EngineVersion, ExecutionPayload, PayloadEnvelope, Withdrawal } from "../engine.ts";
import { type BlockHashing, blockHashing, orderedRoot } from "../l1/block_hashing.ts";
import { headerHash } from "../l1/header_hash.ts";
import { type JsonFields, objectOf, wrong } from "../l1/json_fields.ts";
import { equalBytes } from "../wire/bytes.ts";
import { fromHex, shown, toHex } from "../wire/hex.ts";
import { blobHashesOf } from "./blob_hashes.ts";

/** As the specification has it: no zeros in front. */
const QUANTITY = /^0x(0|[1-9a-f][\da-f]*)$/i;
const MAX_EXTRA_BYTES = 32;
const ZERO_HASH: Uint8Array = new Uint8Array(32);

/** What a call of `engine_newPayload` carries. */
export interface NewPayload {
  readonly envelope: PayloadEnvelope;
  /** Since Cancun: what the consensus client expects the transactions to have. */
  readonly blobHashes?: readonly Uint8Array[];
}

/**
 * Reads the parameters of `engine_newPayload`.
 *
 * @throws {CodecError} `InvalidHeader` naming the field that is missing, or that is not what it must be,
 * or that this version does not have
 */
export function parseNewPayload(method: EngineVersion, params: readonly unknown[]): NewPayload {
  const payload = parsePayload(params[0]);
  const version = versionOf({ payload });
  const allowed = method === 1 ? [1] : method === 2 ? [1, 2] : [3];
  if (!allowed.includes(version)) {
    const [field, need] = mismatch(method, payload);
    throw wrong(`executionPayload.${field}`, need, (params[0] as JsonFields)[field]);
  }
  if (method < 3) return { envelope: { payload } };
  const blobHashes = listOf(params[1], "expectedBlobVersionedHashes")
    .map((hash, index) => fromHex(hash, `expectedBlobVersionedHashes[${index}]`, 32));
  const parentBeaconBlockRoot = fromHex(params[2], "parentBeaconBlockRoot", 32);
  const cancun = { payload, parentBeaconBlockRoot };
  if (method === 3) return { envelope: cancun, blobHashes };
  return { envelope: { ...cancun, executionRequests: parseRequests(params[3]) }, blobHashes };
}

/**
 * The parameters of `engine_newPayload` in the version of the payload.
 *
 * @throws {CodecError} `InvalidTransaction` where a blob transaction does not tell its hashes
 */
export async function newPayloadParams(envelope: PayloadEnvelope): Promise<unknown[]> {
  const { payload, parentBeaconBlockRoot, executionRequests } = envelope;
  const json = payloadToJson(payload);
  if (parentBeaconBlockRoot === undefined) return [json];
  const blobHashes = (await blobHashesOf(payload.transactions)).map(toHex);
  const cancun = [json, blobHashes, toHex(parentBeaconBlockRoot)];
  return executionRequests ? [...cancun, executionRequests.map(toHex)] : cancun;
}

/** The version of the structures that a payload has: its method is `engine_newPayloadV` and this. */
export function versionOf({ payload, executionRequests }: PayloadEnvelope): EngineVersion {
  if (executionRequests !== undefined) return 4;
  if (payload.blobGasUsed !== undefined) return 3;
  return payload.withdrawals === undefined ? 1 : 2;
}

/**
 * Reads an execution payload.
 *
 * @throws {CodecError} `InvalidHeader` naming the field
 */
export function parsePayload(json: unknown): ExecutionPayload {
  const fields = objectOf(json, "executionPayload");
  const at = (name: string) => `executionPayload.${name}`;
  const bytes = (name: string, size?: number) => fromHex(fields[name], at(name), size);
  const number = (name: string, bits = 64) => quantityOf(fields[name], at(name), bits);
  const has = (name: string) => fields[name] !== undefined && fields[name] !== null;
  const extraData = bytes("extraData");
  if (extraData.length > MAX_EXTRA_BYTES) {
    throw wrong(at("extraData"), `${MAX_EXTRA_BYTES} bytes at most`, extraData.length);
  }
  if (has("blobGasUsed") !== has("excessBlobGas")) {
    const missing = has("blobGasUsed") ? "excessBlobGas" : "blobGasUsed";
    throw wrong(at(missing), "a number, as the other of blob gas is there", fields[missing]);
  }
  return {
    parentHash: bytes("parentHash", 32),
    feeRecipient: bytes("feeRecipient", 20),
    stateRoot: bytes("stateRoot", 32),
    receiptsRoot: bytes("receiptsRoot", 32),
    logsBloom: bytes("logsBloom", 256),
    prevRandao: bytes("prevRandao", 32),
    blockNumber: number("blockNumber"),
    gasLimit: number("gasLimit"),
    gasUsed: number("gasUsed"),
    timestamp: number("timestamp"),
    extraData,
    baseFeePerGas: number("baseFeePerGas", 256),
    blockHash: bytes("blockHash", 32),
    transactions: listOf(fields.transactions, at("transactions"))
      .map((each, index) => fromHex(each, at(`transactions[${index}]`))),
    ...(has("withdrawals") ? { withdrawals: parseWithdrawals(fields.withdrawals) } : {}),
    ...(has("blobGasUsed")
      ? { blobGasUsed: number("blobGasUsed"), excessBlobGas: number("excessBlobGas") }
      : {}),
    ...(has("withdrawalsRoot") ? { withdrawalsRoot: bytes("withdrawalsRoot", 32) } : {}),
  };
}

/** An execution payload as JSON: {@link parsePayload} reads the same again. */
export function payloadToJson(payload: ExecutionPayload): JsonFields {
  const { transactions, withdrawals, blobGasUsed, excessBlobGas, withdrawalsRoot } = payload;
  return {
    parentHash: toHex(payload.parentHash),
    feeRecipient: toHex(payload.feeRecipient),
    stateRoot: toHex(payload.stateRoot),
    receiptsRoot: toHex(payload.receiptsRoot),
    logsBloom: toHex(payload.logsBloom),
    prevRandao: toHex(payload.prevRandao),
    blockNumber: toQuantity(payload.blockNumber),
    gasLimit: toQuantity(payload.gasLimit),
    gasUsed: toQuantity(payload.gasUsed),
    timestamp: toQuantity(payload.timestamp),
    extraData: toHex(payload.extraData),
    baseFeePerGas: toQuantity(payload.baseFeePerGas),
    blockHash: toHex(payload.blockHash),
    transactions: transactions.map(toHex),
    ...(withdrawals ? { withdrawals: withdrawals.map(withdrawalToJson) } : {}),
    ...(blobGasUsed === undefined ? {} : { blobGasUsed: toQuantity(blobGasUsed) }),
    ...(excessBlobGas === undefined ? {} : { excessBlobGas: toQuantity(excessBlobGas) }),
    ...(withdrawalsRoot ? { withdrawalsRoot: toHex(withdrawalsRoot) } : {}),
  };
}

/**
 * The hash that the block of a payload has.
 *
 * @returns 32 bytes
 */
export async function payloadHash(envelope: PayloadEnvelope): Promise<Uint8Array> {
  const hashing = await blockHashing();
  return headerHash(await headerJson(envelope), hashing);
}

/**
 * The header of the block of a payload, as `eth_getBlockByNumber` names its fields; its hash is the one
 * that the payload says.
 */
export async function headerJson(envelope: PayloadEnvelope): Promise<JsonFields> {
  const hashing = await blockHashing();
  const { payload, parentBeaconBlockRoot, executionRequests } = envelope;
  const { blockHash, blockNumber, feeRecipient, prevRandao, ...rest } = payloadToJson(payload);
  const { transactions: _transactions, withdrawals: _withdrawals, ...same } = rest;
  const withdrawalsRoot = payload.withdrawalsRoot ?? rootOf(payload.withdrawals, hashing);
  return {
    ...same,
    hash: blockHash,
    number: blockNumber,
    miner: feeRecipient,
    mixHash: prevRandao,
    sha3Uncles: toHex(hashing.keccak256(hashing.rlp([]))),
    difficulty: "0x0",
    nonce: "0x0000000000000000",
    transactionsRoot: toHex(orderedRoot(payload.transactions, hashing)),
    ...(withdrawalsRoot ? { withdrawalsRoot: toHex(withdrawalsRoot) } : {}),
    ...(parentBeaconBlockRoot ? { parentBeaconBlockRoot: toHex(parentBeaconBlockRoot) } : {}),
    ...(executionRequests ? { requestsHash: toHex(await requestsHash(executionRequests)) } : {}),
  };
}

/** `0x` and digits, as the specification has numbers. */
export function toQuantity(value: bigint): string {
  return `0x${value.toString(16)}`;
}

/**
 * A number of JSON-RPC.
 *
 * @throws {CodecError} `InvalidHeader` naming the field
 */
export function quantityOf(value: unknown, field: string, bits = 64): bigint {
  if (typeof value === "string" && value.length <= 66 && QUANTITY.test(value)) {
    const number = BigInt(value);
    if (number < 1n << BigInt(bits)) return number;
  }
  throw wrong(field, `a number of ${bits} bits, as 0x and digits without zeros in front`, value);
}

function listOf(value: unknown, field: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw wrong(field, "a list", value);
}

/** Reads withdrawals, of a payload or of attributes. */
export function parseWithdrawals(
  value: unknown,
  name = "executionPayload.withdrawals",
): readonly Withdrawal[] {
  return listOf(value, name).map((each, index) => {
    const at = `${name}[${index}]`;
    const fields = objectOf(each, at);
    return {
      index: quantityOf(fields.index, `${at}.index`),
      validatorIndex: quantityOf(fields.validatorIndex, `${at}.validatorIndex`),
      address: fromHex(fields.address, `${at}.address`, 20),
      amount: quantityOf(fields.amount, `${at}.amount`),
    };
  });
}

function withdrawalToJson({ index, validatorIndex, address, amount }: Withdrawal): JsonFields {
  return {
    index: toQuantity(index),
    validatorIndex: toQuantity(validatorIndex),
    address: toHex(address),
    amount: toQuantity(amount),
  };
}

/** Each a type, ascending, and at least one byte (EIP-7685, and the specification of V4). */
function parseRequests(value: unknown): readonly Uint8Array[] {
  let last = -1;
  return listOf(value, "executionRequests").map((each, index) => {
    const field = `executionRequests[${index}]`;
    const request = fromHex(each, field);
    if (request.length < 2) throw wrong(field, "a type and at least one byte", each);
    if (request[0]! <= last) throw wrong(field, `a type above ${last}, in order`, shown(each));
    last = request[0]!;
    return request;
  });
}

function rootOf(
  withdrawals: readonly Withdrawal[] | undefined,
  hashing: BlockHashing,
): Uint8Array | undefined {
  const encoded = withdrawals?.map(({ index, validatorIndex, address, amount }) =>
    hashing.rlp([integer(index), integer(validatorIndex), address, integer(amount)])
  );
  return encoded && orderedRoot(encoded, hashing);
}

/** As RLP has it: big-endian, without zeros in front. */
function integer(value: bigint): Uint8Array {
  const digits = value === 0n ? "" : value.toString(16);
  return fromHex(`0x${digits.length % 2 === 0 ? "" : "0"}${digits}`, "a number");
}

/** The hash over the hashes of all requests (EIP-7685). */
async function requestsHash(requests: readonly Uint8Array[]): Promise<Uint8Array> {
  const hashes = await Promise.all(requests.map((request) => sha256(request)));
  const all = new Uint8Array(32 * hashes.length);
  for (const [index, hash] of hashes.entries()) all.set(hash, 32 * index);
  return await sha256(all);
}

async function sha256(bytes: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", Uint8Array.from(bytes)));
}

/** Which field does not belong to a version, or is missing in it. */
function mismatch(method: EngineVersion, payload: ExecutionPayload): [field: string, need: string] {
  if (method >= 3) {
    const field = payload.withdrawals === undefined ? "withdrawals" : "blobGasUsed";
    return [field, `what a payload of engine_newPayloadV${method} has`];
  }
  const field = payload.blobGasUsed === undefined ? "withdrawals" : "blobGasUsed";
  return [field, `nothing in engine_newPayloadV${method}`];
}

/** Whether a hash is the one that stands for no block. */
export function isZeroHash(hash: Uint8Array): boolean {
  return equalBytes(hash, ZERO_HASH);
}
