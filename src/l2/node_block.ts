/**
 * A block of L2 out of a node's JSON: its transactions as they were signed, and the proof that they are
 * all of them. The hash of the header covers the transactions root, and that covers each byte of each
 * transaction, so a node can only leave out or change what it also lies about in the header's hash; and
 * that the next block names as its parent.
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import { type BlockHashing, orderedRoot } from "../l1/block_hashing.ts";
import { headerHash, unknownFields } from "../l1/header_hash.ts";
import { data, type JsonFields, list, objectOf, quantity } from "../l1/json_fields.ts";
import { DEPOSIT_TYPE, rawTransaction, typeOf } from "../l1/raw_transaction.ts";
import type { L2Block } from "../types.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { type L1Attributes, l1AttributesOf } from "./l1_attributes.ts";

/** A block as its node has it. */
export interface NodeBlock extends Mark {
  readonly block: L2Block & Required<Pick<L2Block, "number" | "hash" | "parentHash">>;
  /** Transactions that L1 made, and that are left out. */
  readonly deposits: number;
  /** On chains of the OP stack. */
  readonly l1Attributes: L1Attributes | undefined;
  /** Of its transactions. */
  readonly bytes: number;
}

/** Which block. */
export interface Mark {
  readonly number: bigint;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

/** What is known of a header. */
export interface NodeHeader extends Mark {
  readonly parentHash: Uint8Array;
  readonly timestamp: bigint;
}

/** How a block is looked at. */
export interface BlockCheck {
  readonly hashing: BlockHashing;
  /** The node's word is taken for the hash and the transactions root of a header. */
  readonly trustsHashes: boolean;
}

/** A transaction in a block. */
interface Listed {
  readonly fields: JsonFields;
  readonly type: number;
  /** `undefined` where it cannot be made of what the node says of it. */
  readonly raw: Uint8Array | undefined;
  /** Why not, where its type is known. */
  readonly fault?: CodecError;
}

/** Its signed bytes, asked for otherwise. */
export type AskRaw = (
  block: NodeHeader,
  transaction: { readonly index: number; readonly hash: Uint8Array; readonly type: number },
) => Promise<Uint8Array>;

/**
 * Reads a header.
 *
 * @throws {CodecError} `InvalidHeader` where it is none, or not the one its hash says;
 * `UnknownFormat` where fields stand in it that nothing is known of
 */
export function readHeader(fields: JsonFields, { hashing, trustsHashes }: BlockCheck): NodeHeader {
  const header = {
    number: quantity(fields, "number"),
    hash: data(fields, "hash", 32),
    parentHash: data(fields, "parentHash", 32),
    timestamp: quantity(fields, "timestamp"),
  };
  if (trustsHashes) return header;
  const made = headerHash(fields, hashing);
  if (equalBytes(made, header.hash)) return header;
  const unknown = unknownFields(fields);
  if (unknown.length === 0) {
    throw lie(`its hash is ${toHex(header.hash)}, its header makes ${toHex(made)}`);
  }
  throw new CodecError(
    "UnknownFormat",
    `its header has fields that nothing is known of here (${
      unknown.join(", ")
    }), and makes another ` +
      `hash without them: --l2-trust-hashes takes the node's word for hashes`,
  );
}

/**
 * Reads a block with its transactions.
 *
 * @param askRaw for transactions that cannot be made of what the node says of them
 * @throws {CodecError} as {@link readHeader}, and where the transactions are not those of the header
 */
export async function readBlock(
  fields: JsonFields,
  check: BlockCheck,
  askRaw: AskRaw,
): Promise<NodeBlock> {
  const header = readHeader(fields, check);
  const listed = list(fields, "transactions").map((each, index) =>
    within(index, () => readTransaction(each, check.hashing))
  );
  const raws: Uint8Array[] = [];
  for (const [index, { fields, type, raw, fault }] of listed.entries()) {
    const asked = () => askRaw(header, { index, type, hash: data(fields, "hash", 32) });
    raws.push(raw ?? await asked().catch((error) => Promise.reject(fault ?? error)));
  }
  if (!check.trustsHashes) mustBeAll(raws, data(fields, "transactionsRoot", 32), check.hashing);
  const transactions = raws.filter((_, index) => listed[index]!.type !== DEPOSIT_TYPE);
  return {
    number: header.number,
    hash: header.hash,
    block: { ...header, transactions },
    deposits: raws.length - transactions.length,
    l1Attributes: l1AttributesOf(listed[0]?.fields),
    bytes: transactions.reduce((sum, { length }) => sum + length, 0),
  };
}

function mustBeAll(raws: readonly Uint8Array[], root: Uint8Array, hashing: BlockHashing): void {
  const made = orderedRoot(raws, hashing);
  if (equalBytes(made, root)) return;
  const told = `the ${raws.length} transactions that it lists make ${toHex(made)}`;
  throw lie(
    `its transactions root is ${toHex(root)}, ${told}: one is missing, changed or too many`,
  );
}

function readTransaction(json: unknown, hashing: BlockHashing): Listed {
  const fields = objectOf(json, "it");
  const type = typeOf(fields);
  const said = data(fields, "hash", 32);
  const raw = rawTransaction(fields, hashing);
  const made = raw && hashing.keccak256(raw);
  if (!made || equalBytes(made, said)) return { fields, type, raw };
  // Some tell a parity where `v` was signed: they may give the bytes.
  const why = `its hash is ${toHex(said)}, its fields make ${toHex(made)}`;
  return { fields, type, raw: undefined, fault: lie(why) };
}

function within(index: number, read: () => Listed): Listed {
  const named = ({ code, message }: CodecError) =>
    new CodecError(code, `transaction ${index}: ${message}`);
  try {
    const listed = read();
    return listed.fault ? { ...listed, fault: named(listed.fault) } : listed;
  } catch (error) {
    throw error instanceof CodecError ? named(error) : error;
  }
}

/** A node said what cannot be. */
export function lie(why: string): CodecError {
  return new CodecError("InvalidHeader", why);
}
