/**
 * Transactions of a block as they were signed, made anew from a node's JSON. Whether a node told the
 * fields as they were signed, the hash says: keccak256 of these bytes.
 *
 * | type |                                                                                        |
 * | ---- | -------------------------------------------------------------------------------------- |
 * | 0    | `rlp([…])`, with the chain in `v` (EIP-155) or without                                 |
 * | 1–4  | EIP-2930, EIP-1559, EIP-4844 (without its sidecar), EIP-7702                            |
 * | 7e   | a deposit of the OP stack: L1 made it, and nobody signed it                             |
 *
 * @module
 */
import type { BlockHashing } from "./block_hashing.ts";
import type { RlpItem } from "./deps.ts";
import {
  data,
  integerBytes,
  type JsonFields,
  list,
  NO_BYTES,
  objectOf,
  quantity,
} from "./json_fields.ts";
import { CodecError } from "../errors.ts";
import { fromHex } from "../wire/hex.ts";

/** The type of a deposit of the OP stack. */
export const DEPOSIT_TYPE = 0x7e;

/**
 * The type of a transaction; 0 where a node does not say, as those before EIP-2718.
 *
 * @throws {CodecError} `InvalidHeader`
 */
export function typeOf(transaction: JsonFields): number {
  const type = transaction["type"] ?? undefined;
  return type === undefined ? 0 : Number(quantity(transaction, "type"));
}

/**
 * The EIP-2718 bytes of a transaction; `undefined` for a type that is not known here.
 *
 * @throws {CodecError} `InvalidHeader` naming the field that is not what it must be
 */
export function rawTransaction(
  transaction: JsonFields,
  hashing: BlockHashing,
): Uint8Array | undefined {
  const type = typeOf(transaction);
  const fields = FIELDS.get(type);
  // Other chains have messages of L1 under the same number.
  const isOther = type === DEPOSIT_TYPE && transaction["sourceHash"] === undefined;
  if (!fields || isOther) return undefined;
  const payload = hashing.rlp(fields(transaction));
  if (type === 0) return payload;
  const raw = new Uint8Array(1 + payload.length);
  raw[0] = type;
  raw.set(payload, 1);
  return raw;
}

/** By their number. */
const FIELDS: ReadonlyMap<number, (tx: JsonFields) => RlpItem[]> = new Map([
  [0, (tx) => [
    integerBytes(tx, "nonce"),
    integerBytes(tx, "gasPrice"),
    ...call(tx),
    integerBytes(tx, "v"),
    ...signature(tx),
  ]],
  [1, (tx) => [
    integerBytes(tx, "chainId"),
    integerBytes(tx, "nonce"),
    integerBytes(tx, "gasPrice"),
    ...call(tx),
    accessList(tx),
    parity(tx),
    ...signature(tx),
  ]],
  [2, (tx) => [...priced(tx), parity(tx), ...signature(tx)]],
  [3, (tx) => [
    ...priced(tx),
    integerBytes(tx, "maxFeePerBlobGas"),
    list(tx, "blobVersionedHashes").map((hash) => fromHex(hash, "blobVersionedHashes", 32)),
    parity(tx),
    ...signature(tx),
  ]],
  [4, (tx) => [...priced(tx), authorizations(tx), parity(tx), ...signature(tx)]],
  [DEPOSIT_TYPE, (tx) => [
    data(tx, "sourceHash", 32),
    data(tx, "from", 20),
    receiver(tx),
    (tx["mint"] ?? undefined) === undefined ? NO_BYTES : integerBytes(tx, "mint"),
    integerBytes(tx, "value"),
    integerBytes(tx, "gas"),
    isSystem(tx) ? Uint8Array.of(1) : NO_BYTES,
    input(tx),
  ]],
]);

/** What types 2 to 4 begin with. */
function priced(tx: JsonFields): RlpItem[] {
  return [
    integerBytes(tx, "chainId"),
    integerBytes(tx, "nonce"),
    integerBytes(tx, "maxPriorityFeePerGas"),
    integerBytes(tx, "maxFeePerGas"),
    ...call(tx),
    accessList(tx),
  ];
}

function call(tx: JsonFields): RlpItem[] {
  return [integerBytes(tx, "gas"), receiver(tx), integerBytes(tx, "value"), input(tx)];
}

/** None where it makes a contract. */
function receiver(tx: JsonFields): Uint8Array {
  return (tx["to"] ?? undefined) === undefined ? NO_BYTES : data(tx, "to", 20);
}

function input(tx: JsonFields): Uint8Array {
  return data(tx, "input" in tx ? "input" : "data");
}

function accessList(tx: JsonFields): RlpItem[] {
  return list(tx, "accessList").map((each) => {
    const item = objectOf(each, "accessList");
    const keys = list(item, "storageKeys").map((key) => fromHex(key, "storageKeys", 32));
    return [data(item, "address", 20), keys];
  });
}

function authorizations(tx: JsonFields): RlpItem[] {
  return list(tx, "authorizationList").map((each) => {
    const item = objectOf(each, "authorizationList");
    return [
      integerBytes(item, "chainId"),
      data(item, "address", 20),
      integerBytes(item, "nonce"),
      parity(item),
      ...signature(item),
    ];
  });
}

/** Older nodes call it `v`. */
function parity(fields: JsonFields): Uint8Array {
  return integerBytes(fields, (fields["yParity"] ?? undefined) === undefined ? "v" : "yParity");
}

function signature(fields: JsonFields): RlpItem[] {
  return [integerBytes(fields, "r"), integerBytes(fields, "s")];
}

function isSystem(tx: JsonFields): boolean {
  const value = tx["isSystemTx"] ?? false;
  if (typeof value === "boolean") return value;
  throw new CodecError("InvalidHeader", `isSystemTx: need true or false, have ${typeof value}`);
}
