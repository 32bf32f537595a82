/**
 * Blocks of the embedded L1: what a block holds, how its hash is made, and its JSON.
 *
 * Hashes are SHA-256, integers little-endian:
 *
 * ```
 * transaction hash = sha256( block number u64 ‖ index u32 ‖ type u8 ‖ from 20 ‖ to 20
 *                            ‖ blob count u32 ‖ blob hashes 32 each ‖ input )
 * block hash       = sha256( number u64 ‖ parent hash 32 ‖ timestamp u64 ‖ transaction hashes 32 each )
 * blob hash        = sha256( the 131072 bytes )
 * ```
 *
 * A blob hash is not the versioned hash of EIP-4844, which takes a KZG commitment: this L1 has no
 * consensus to convince.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { CodecError } from "../errors.ts";
import { concatBytes, Writer } from "../wire/bytes.ts";
import { fromHex, parseU64, shown, toHex } from "../wire/hex.ts";

/** A transaction of the embedded L1. */
export interface L1Transaction {
  /** 32 bytes. */
  readonly hash: Uint8Array;
  /** 3 carries blobs, 2 does not. */
  readonly type: 2 | 3;
  /** 20 bytes. Nobody signs here: whoever may write to the L1 is trusted with it. */
  readonly from: Uint8Array;
  /** 20 bytes. */
  readonly to: Uint8Array;
  readonly input: Uint8Array;
  /** 32 bytes each, in order. */
  readonly blobHashes: readonly Uint8Array[];
}

/** A transaction before a block took it. */
export interface L1TransactionDraft {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly input: Uint8Array;
  readonly blobs: readonly Uint8Array[];
}

/** A block of the embedded L1. */
export interface L1Block {
  readonly number: bigint;
  /** 32 bytes. */
  readonly hash: Uint8Array;
  /** 32 bytes; zeros for block 0. */
  readonly parentHash: Uint8Array;
  /** Unix seconds, never below the parent's. */
  readonly timestamp: bigint;
  readonly transactions: readonly L1Transaction[];
}

/** SHA-256 of a blob. */
export function blobHash(blob: Uint8Array): Uint8Array {
  return sha256(blob);
}

/** Makes the block that follows `parent`, or block 0 where there is none. */
export function makeBlock(
  parent: L1Block | undefined,
  drafts: readonly L1TransactionDraft[],
  timestamp: bigint,
): L1Block {
  const number = parent ? parent.number + 1n : 0n;
  const transactions = drafts.map((draft, index): L1Transaction => {
    const { from, to, input } = draft;
    const type = draft.blobs.length > 0 ? 3 : 2;
    const unhashed = { type, from, to, input, blobHashes: draft.blobs.map(blobHash) } as const;
    return { hash: transactionHash(number, index, unhashed), ...unhashed };
  });
  const unhashed = {
    number,
    parentHash: parent?.hash ?? new Uint8Array(32),
    timestamp: parent && parent.timestamp > timestamp ? parent.timestamp : timestamp,
    transactions,
  };
  return { hash: blockHash(unhashed), ...unhashed };
}

/** The block as the text of its file. */
export function formatBlock(block: L1Block): string {
  const json = {
    number: Number(block.number),
    hash: toHex(block.hash),
    parentHash: toHex(block.parentHash),
    timestamp: Number(block.timestamp),
    transactions: block.transactions.map((transaction) => ({
      hash: toHex(transaction.hash),
      type: transaction.type,
      from: toHex(transaction.from),
      to: toHex(transaction.to),
      input: toHex(transaction.input),
      blobHashes: transaction.blobHashes.map(toHex),
    })),
  };
  return JSON.stringify(json, undefined, 1) + "\n";
}

/**
 * Reads the text of a block's file, and makes sure that it hashes to what it says.
 *
 * @throws {CodecError} `InvalidHeader` naming what is not as it must be
 */
export function parseBlock(text: string): L1Block {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new CodecError("InvalidHeader", `Cannot read the block: no JSON: ${shown(text)}`, {
      cause,
    });
  }
  if (typeof json !== "object" || json === null || !Array.isArray(json.transactions)) {
    throw new CodecError("InvalidHeader", `Cannot read transactions: need a list: ${shown(json)}`);
  }
  const block: L1Block = {
    number: parseU64(json.number, "number"),
    hash: fromHex(json.hash, "hash", 32),
    parentHash: fromHex(json.parentHash, "parentHash", 32),
    timestamp: parseU64(json.timestamp, "timestamp"),
    transactions: json.transactions.map(parseTransaction),
  };
  for (const [index, transaction] of block.transactions.entries()) {
    const expected = transactionHash(block.number, index, transaction);
    mustMatch(`transactions[${index}].hash`, transaction.hash, expected);
  }
  mustMatch("hash", block.hash, blockHash(block));
  return block;
}

function parseTransaction(json: Record<string, unknown>, index: number): L1Transaction {
  const field = `transactions[${index}]`;
  const blobHashes = Array.isArray(json?.blobHashes) ? json.blobHashes : undefined;
  const type = blobHashes && blobHashes.length > 0 ? 3 : 2;
  if (!blobHashes || json.type !== type) {
    throw new CodecError(
      "InvalidHeader",
      `Cannot read ${field}: need type 3 with blobHashes, or type 2 without: ${shown(json)}`,
    );
  }
  return {
    hash: fromHex(json.hash, `${field}.hash`, 32),
    type,
    from: fromHex(json.from, `${field}.from`, 20),
    to: fromHex(json.to, `${field}.to`, 20),
    input: fromHex(json.input, `${field}.input`),
    blobHashes: blobHashes.map((hash, at) => fromHex(hash, `${field}.blobHashes[${at}]`, 32)),
  };
}

function mustMatch(field: string, given: Uint8Array, expected: Uint8Array): void {
  if (toHex(given) === toHex(expected)) return;
  throw new CodecError(
    "InvalidHeader",
    `Cannot read ${field}: it says ${toHex(given)}, the content hashes to ${toHex(expected)}`,
  );
}

function transactionHash(
  blockNumber: bigint,
  index: number,
  { type, from, to, input, blobHashes }: Omit<L1Transaction, "hash">,
): Uint8Array {
  return sha256(concatBytes([
    u64(blockNumber),
    u32(index),
    Uint8Array.of(type),
    from,
    to,
    u32(blobHashes.length),
    ...blobHashes,
    input,
  ]));
}

function blockHash({ number, parentHash, timestamp, transactions }: Omit<L1Block, "hash">) {
  const hashes = transactions.map((transaction) => transaction.hash);
  return sha256(concatBytes([u64(number), parentHash, u64(timestamp), ...hashes]));
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest());
}

function u64(value: bigint): Uint8Array {
  const writer = new Writer(8);
  writer.u64(value);
  return writer.bytes;
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}
