/**
 * A block as a node tells it, held against its hashes: its transactions as they were signed, and the proof
 * that they are all of them. The hash of the header covers the transactions root, and that covers each
 * byte of each transaction, so a node can only leave out or change what it also lies about in the header's
 * hash; and that the next block names as its parent.
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { type BlockHashing, orderedRoot } from "./block_hashing.ts";
import { headerHash, unknownFields } from "./header_hash.ts";
import { data, type JsonFields, list, objectOf } from "./json_fields.ts";
import { rawTransaction, typeOf } from "./raw_transaction.ts";

/** A transaction in a block. */
export interface ToldTransaction {
  readonly fields: JsonFields;
  readonly type: number;
  /** 32 bytes, as the node says. */
  readonly hash: Uint8Array;
  /** `undefined` where it cannot be made of what the node says of it. */
  readonly raw: Uint8Array | undefined;
  /** Why not, where its type is known. */
  readonly fault?: CodecError;
}

/** Signed bytes of a transaction, asked for where they cannot be made. */
export type AskRaw = (
  block: { readonly number: bigint },
  transaction: { readonly index: number; readonly hash: Uint8Array; readonly type: number },
) => Promise<Uint8Array>;

/**
 * Holds a header against its hash.
 *
 * @param wayOut the flag that does without, and what it does
 * @throws {CodecError} `InvalidHeader` where it is not the one its hash says; `UnknownFormat` where fields
 * stand in it that nothing is known of
 */
export function mustMakeHash(fields: JsonFields, hashing: BlockHashing, wayOut: string): void {
  const said = data(fields, "hash", 32);
  const made = headerHash(fields, hashing);
  if (equalBytes(made, said)) return;
  const unknown = unknownFields(fields);
  if (unknown.length === 0) {
    throw lie(`its hash is ${toHex(said)}, its header makes ${toHex(made)}`);
  }
  throw new CodecError(
    "UnknownFormat",
    `its header has fields that nothing is known of here (${
      unknown.join(", ")
    }), and makes another ` +
      `hash without them: ${wayOut}`,
  );
}

/**
 * The transactions of a block, each held against its hash.
 *
 * @throws {CodecError} `InvalidHeader` where one has a field that is not what it must be
 */
export function toldTransactions(fields: JsonFields, hashing: BlockHashing): ToldTransaction[] {
  return list(fields, "transactions").map((each, index) =>
    within(index, () => toldTransaction(each, hashing))
  );
}

/**
 * Holds the signed transactions of a block against its root.
 *
 * @throws {CodecError} `InvalidHeader`
 */
export function mustBeAll(
  raws: readonly Uint8Array[],
  fields: JsonFields,
  hashing: BlockHashing,
): void {
  const root = data(fields, "transactionsRoot", 32);
  const made = orderedRoot(raws, hashing);
  if (equalBytes(made, root)) return;
  const told = `the ${raws.length} transactions that it lists make ${toHex(made)}`;
  throw lie(
    `its transactions root is ${toHex(root)}, ${told}: one is missing, changed or too many`,
  );
}

function toldTransaction(json: unknown, hashing: BlockHashing): ToldTransaction {
  const fields = objectOf(json, "it");
  const type = typeOf(fields);
  const hash = data(fields, "hash", 32);
  const raw = rawTransaction(fields, hashing);
  const made = raw && hashing.keccak256(raw);
  if (!made || equalBytes(made, hash)) return { fields, type, hash, raw };
  // Some tell a parity where `v` was signed: they may give the bytes.
  const why = `its hash is ${toHex(hash)}, its fields make ${toHex(made)}`;
  return { fields, type, hash, raw: undefined, fault: lie(why) };
}

function within(index: number, read: () => ToldTransaction): ToldTransaction {
  const named = ({ code, message }: CodecError) =>
    new CodecError(code, `transaction ${index}: ${message}`);
  try {
    const told = read();
    return told.fault ? { ...told, fault: named(told.fault) } : told;
  } catch (error) {
    throw error instanceof CodecError ? named(error) : error;
  }
}

/** A node said what cannot be. */
export function lie(why: string): CodecError {
  return new CodecError("InvalidHeader", why);
}
