/**
 * A block of L2 out of a node's JSON, held against its hashes.
 *
 * @module
 */
import type { BlockRef } from "../engine.ts";
import type { JsonRpc } from "../ethereum.ts";
import type { BlockHashing } from "../l1/block_hashing.ts";
import { data, type JsonFields, quantity } from "../l1/json_fields.ts";
import { DEPOSIT_TYPE } from "../l1/raw_transaction.ts";
import { type AskRaw, mustBeAll, mustMakeHash, toldTransactions } from "../l1/told_block.ts";
import type { L2Block } from "../types.ts";
import { type L1Attributes, l1AttributesOf } from "./l1_attributes.ts";

/** A block as its node has it. */
export interface NodeBlock extends BlockRef {
  readonly block: L2Block & Required<Pick<L2Block, "number" | "hash" | "parentHash">>;
  /** Transactions that L1 made, and that are left out. */
  readonly deposits: number;
  /** On chains of the OP stack. */
  readonly l1Attributes: L1Attributes | undefined;
  /** Of its transactions. */
  readonly bytes: number;
  /** The node that gave it. */
  readonly from?: JsonRpc;
}

/** What is known of a header. */
export interface NodeHeader extends BlockRef {
  readonly parentHash: Uint8Array;
  readonly timestamp: bigint;
}

/** How a block is looked at. */
export interface BlockCheck {
  readonly hashing: BlockHashing;
  /** The node's word is taken for the hash and the transactions root of a header. */
  readonly trustsHashes: boolean;
}

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
  mustMakeHash(fields, hashing, "--l2-trust-hashes takes the node's word for hashes");
  return header;
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
  const listed = toldTransactions(fields, check.hashing);
  const raws: Uint8Array[] = [];
  for (const [index, { type, hash, raw, fault }] of listed.entries()) {
    const asked = () => askRaw(header, { index, type, hash });
    raws.push(raw ?? await asked().catch((error) => Promise.reject(fault ?? error)));
  }
  if (!check.trustsHashes) mustBeAll(raws, fields, check.hashing);
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
