/**
 * Transactions: what is signed, what was signed, and by whom. Types 2 (EIP-1559) and 3 (EIP-4844) are
 * made here; types 0 to 4 are read from blocks.
 *
 * @module
 */
import { CodecError, SignerError } from "../errors.ts";
import type { L1BlockTransaction, SignedTransaction, UnsignedTransaction } from "../ethereum.ts";
import { equalBytes } from "../wire/bytes.ts";
import { fromHex, shown, toHex } from "../wire/hex.ts";
import { blockHashing } from "./block_hashing.ts";
import { signer, type SignerTransaction } from "./deps.ts";
import { type JsonFields, list } from "./json_fields.ts";
import { rawTransaction, typeOf } from "./raw_transaction.ts";

const BLOB_TYPE = 3;

/** A signed transaction, taken apart. */
export interface DecodedTransaction {
  readonly tx: UnsignedTransaction;
  /** Who signed it: 20 bytes. */
  readonly sender: Uint8Array;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

/**
 * Signs with a key. The same transaction and key give the same bytes each time (RFC 6979), so what is
 * signed again after a crash is the same transaction.
 *
 * @param privateKey 32 bytes
 * @throws {CodecError} `InvalidTransaction` for what cannot be in a block
 * @throws {SignerError} `Invalid` for what is no private key
 */
export async function signWith(
  privateKey: Uint8Array,
  tx: UnsignedTransaction,
): Promise<SignedTransaction> {
  const unsigned = await build(tx);
  const signed = withKey(() => unsigned.signBy(privateKey, false));
  return { raw: signed.toBytes(), hash: fromHex(signed.hash, "hash", 32) };
}

/**
 * The address that a private key signs for.
 *
 * @throws {SignerError} `Invalid` for what is no private key
 */
export async function addressOf(privateKey: Uint8Array): Promise<Uint8Array> {
  const { addr } = await signer();
  return fromHex(withKey(() => addr.fromPrivateKey(privateKey)), "address", 20);
}

/**
 * Takes a signed transaction of type 2 or 3 apart, without its sidecar. One that sends ether or names
 * an access list is none that this program makes.
 *
 * @throws {CodecError} `InvalidTransaction`
 */
export async function decodeSigned(raw: Uint8Array): Promise<DecodedTransaction> {
  const { Transaction } = await signer();
  try {
    const signed = Transaction.fromBytes(raw);
    const { type } = signed;
    if (type !== "eip1559" && type !== "eip4844") throw new Error(`its type is ${type}`);
    const fields = signed.raw as Fields;
    if (fields.value !== 0n) throw new Error(`it sends ${fields.value} wei`);
    if (fields.accessList.length > 0) throw new Error("it has an access list");
    if (toHex(signed.toBytes()) !== toHex(raw)) throw new Error("it is not in its one form");
    const tx = {
      chainId: fields.chainId,
      nonce: fields.nonce,
      to: fromHex(fields.to, "to", 20),
      input: fromHex(fields.data, "input"),
      gas: fields.gasLimit,
      fees: {
        maxFeePerGas: fields.maxFeePerGas,
        maxPriorityFeePerGas: fields.maxPriorityFeePerGas,
        maxFeePerBlobGas: fields.maxFeePerBlobGas ?? 0n,
      },
      blobHashes: (fields.blobVersionedHashes ?? []).map((hash) => fromHex(hash, "hash", 32)),
    };
    const sender = fromHex(signed.sender, "sender", 20);
    return { tx, sender, hash: fromHex(signed.hash, "hash", 32) };
  } catch (cause) {
    throw invalid(`Cannot read a signed transaction of ${raw.length} bytes`, cause);
  }
}

/**
 * Reads a transaction of a block from a node's JSON.
 *
 * @throws {CodecError} `InvalidHeader` naming the field that is not what it must be
 */
export function parseBlockTransaction(json: unknown): L1BlockTransaction {
  if (typeof json !== "object" || json === null) {
    throw new CodecError(
      "InvalidHeader",
      `Cannot read a transaction: need an object: ${shown(json)}`,
    );
  }
  const fields = json as JsonFields;
  const { to, type } = fields;
  const hash = fromHex(fields.hash, "hash", 32);
  let sender: Promise<Uint8Array | undefined> | undefined;
  return {
    hash,
    to: to === null || to === undefined ? undefined : fromHex(to, "to", 20),
    input: fromHex(fields.input, "input"),
    // Of another type they would be no part of what was signed, whatever a node says.
    blobHashes: (Number(type) === BLOB_TYPE ? list(fields, "blobVersionedHashes") : [])
      .map((each) => fromHex(each, "blobVersionedHashes", 32)),
    sender: () => sender ??= recoverSender(fields, hash),
  };
}

/** Fields of types 2 and 3, as the package names them. */
interface Fields {
  readonly chainId: bigint;
  readonly nonce: bigint;
  readonly maxPriorityFeePerGas: bigint;
  readonly maxFeePerGas: bigint;
  readonly gasLimit: bigint;
  readonly to: string;
  readonly value: bigint;
  readonly data: string;
  readonly accessList: readonly unknown[];
  readonly maxFeePerBlobGas?: bigint;
  readonly blobVersionedHashes?: readonly string[];
}

async function build(tx: UnsignedTransaction): Promise<SignerTransaction> {
  const { Transaction } = await signer();
  const { maxFeePerGas, maxPriorityFeePerGas, maxFeePerBlobGas } = tx.fees;
  const fields = {
    chainId: tx.chainId,
    nonce: tx.nonce,
    maxPriorityFeePerGas,
    maxFeePerGas,
    gasLimit: tx.gas,
    to: toHex(tx.to),
    value: 0n,
    data: toHex(tx.input),
    accessList: [],
  };
  const options = { strict: false, allowSignatureFields: false };
  try {
    if (tx.to.length !== 20) throw new Error(`to has ${tx.to.length} bytes, need 20`);
    if (tx.blobHashes.length === 0) return new Transaction("eip1559", fields as never, options);
    const blobVersionedHashes = tx.blobHashes.map(toHex);
    const blobs = { ...fields, maxFeePerBlobGas, blobVersionedHashes };
    return new Transaction("eip4844", blobs as never, options);
  } catch (cause) {
    throw invalid(`Cannot make transaction ${tx.nonce} to ${toHex(tx.to)}`, cause);
  }
}

/** Without the cause, whose message or fields could hold the key. */
function withKey<T>(action: () => T): T {
  try {
    return action();
  } catch {
    const what = "32 bytes that are not 0 and below the order of secp256k1";
    throw new SignerError("Invalid", `Cannot use the private key: need ${what}`);
  }
}

/** The highest type that is known here (EIP-7702): later ones are nobody's, and their hash is not made. */
const LAST_TYPE = 4;

/**
 * Makes the bytes anew of what the node says of the fields, and takes the sender from the signature
 * over them, never from what the node says of it.
 */
async function recoverSender(json: JsonFields, hash: Uint8Array): Promise<Uint8Array | undefined> {
  if (typeOf(json) > LAST_TYPE) return undefined;
  const [{ Transaction }, hashing] = await Promise.all([signer(), blockHashing()]);
  const raw = rawTransaction(json, hashing)!;
  const made = hashing.keccak256(raw);
  if (!equalBytes(made, hash)) {
    const why = `the node says ${toHex(hash)}, its fields make ${toHex(made)}`;
    throw new CodecError("InvalidHeader", `hash: ${why}`);
  }
  try {
    return fromHex(Transaction.fromBytes(raw).sender, "sender", 20);
  } catch {
    // No key has made that signature.
    return undefined;
  }
}

function invalid(what: string, cause: unknown): CodecError {
  const { message, errors } = cause as {
    message: string;
    errors?: { field: string; error: string }[];
  };
  const reason = errors?.map(({ field, error }) => `${field}: ${error}`).join("; ") ?? message;
  return new CodecError("InvalidTransaction", `${what}: ${reason}`, { cause });
}
