/**
 * What a batcher's journal holds (design `durability.md`, "Batcher's journal"). Little-endian; `?` is
 * there where its flag is set.
 *
 * | type | record   | payload                                                                        |
 * | ---- | -------- | ------------------------------------------------------------------------------ |
 * | 1    | position | JSON: what is confirmed, see {@link JournalPosition}                            |
 * | 2    | taken    | index u64 ‖ blocks; index counts all blocks ever taken                         |
 * | 3    | sealed   | batch u64 ‖ index u64 ‖ blocks u32 ‖ reason u8 ‖ the compressed batch          |
 * | 4    | resealed | the same, in the place of the one of that number                               |
 *
 * A block: flags u8 ‖ timestamp u64 ‖ number? u64 ‖ hash? 32 ‖ parent hash? 32 ‖ transactions u32 ‖ each
 * as its length u32 and its bytes.
 *
 * @module
 */
import type { CutReason } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { Reader, Writer } from "../wire/bytes.ts";
import { fromJsonPayload, toJsonPayload } from "../wal/json_payload.ts";

/** Types of records. */
export const RECORD: {
  readonly position: 1;
  readonly taken: 2;
  readonly sealed: 3;
  readonly resealed: 4;
} = Object.freeze({ position: 1, taken: 2, sealed: 3, resealed: 4 });

/** What is on L1 for sure: where a batcher goes on from. */
export interface JournalPosition {
  readonly nextBatchNumber: bigint;
  /** Blocks in the batches before. */
  readonly blocks: number;
  /** The last of them, without its transactions. */
  readonly lastBlock?: L2Block;
  /**
   * The L1 block above which a restart reads again: that with the last of these batches, or one below it
   * that is final, where L1 may be reorganised; in the beginning the head at the start.
   */
  readonly l1Block: bigint;
  readonly l1BlockHash: Uint8Array;
  /** Where batches go, and whose they are. */
  readonly inbox: Uint8Array;
  readonly batcher: Uint8Array;
}

/** A batch whose bytes will not change any more. */
export interface SealedBatch {
  readonly batchNumber: bigint;
  /** How many blocks it has. */
  readonly blocks: number;
  readonly reason: CutReason;
  /** As it is posted. */
  readonly data: Uint8Array;
}

/** The payload of a position. */
export function encodePosition(position: JournalPosition): Uint8Array {
  const { lastBlock, ...rest } = position;
  return toJsonPayload(
    lastBlock ? { ...rest, lastBlock: { ...lastBlock, transactions: [] } } : rest,
  );
}

/** @throws {TypeError} and what parsing throws, where it is none */
export function decodePosition(payload: Uint8Array): JournalPosition {
  const position = fromJsonPayload(payload) as Partial<JournalPosition> | null;
  const { nextBatchNumber, blocks, lastBlock, l1Block } = position ?? {};
  const isWhole = typeof nextBatchNumber === "bigint" && Number.isSafeInteger(blocks) &&
    typeof l1Block === "bigint" &&
    [position!.l1BlockHash, position!.inbox, position!.batcher]
      .every((each) => each instanceof Uint8Array) &&
    (lastBlock === undefined || typeof lastBlock.timestamp === "bigint");
  if (!isWhole) throw new TypeError("need a position with all its keys");
  return position as JournalPosition;
}

/** Blocks that were taken at once, the first with its index. */
export interface TakenBlocks {
  readonly index: number;
  readonly blocks: readonly L2Block[];
}

const HAS = { number: 1, hash: 2, parentHash: 4 };
const HASH_SIZE = 32;

/** Bytes of a block in the journal. */
export function journaledSize({ number, hash, parentHash, transactions }: L2Block): number {
  const fixed = 1 + 8 + (number === undefined ? 0 : 8) + (hash ? HASH_SIZE : 0) +
    (parentHash ? HASH_SIZE : 0) + 4;
  return transactions.reduce((size, each) => size + 4 + each.length, fixed);
}

/** The payload of blocks taken. */
export function encodeTaken({ index, blocks }: TakenBlocks): Uint8Array {
  const writer = new Writer(blocks.reduce((size, block) => size + journaledSize(block), 8));
  writer.u64(BigInt(index));
  for (const { timestamp, number, hash, parentHash, transactions } of blocks) {
    writer.u8(
      (number === undefined ? 0 : HAS.number) | (hash ? HAS.hash : 0) |
        (parentHash ? HAS.parentHash : 0),
    );
    writer.u64(timestamp);
    if (number !== undefined) writer.u64(number);
    if (hash) writer.raw(hash);
    if (parentHash) writer.raw(parentHash);
    writer.u32(transactions.length);
    for (const each of transactions) {
      writer.u32(each.length);
      writer.raw(each);
    }
  }
  return writer.bytes;
}

/** @throws {CodecError} where it is something else */
export function decodeTaken(payload: Uint8Array): TakenBlocks {
  const reader = new Reader(payload);
  const index = Number(reader.u64("index"));
  const blocks: L2Block[] = [];
  while (reader.offset < payload.length) {
    const flags = reader.u8("flags");
    const timestamp = reader.u64("timestamp");
    const known = {
      ...(flags & HAS.number ? { number: reader.u64("number") } : {}),
      ...(flags & HAS.hash ? { hash: reader.bytes(HASH_SIZE, "hash") } : {}),
      ...(flags & HAS.parentHash ? { parentHash: reader.bytes(HASH_SIZE, "parent hash") } : {}),
    };
    const count = reader.u32("transactions");
    const transactions: Uint8Array[] = [];
    while (transactions.length < count) {
      transactions.push(reader.bytes(reader.u32("length"), "transaction"));
    }
    blocks.push({ timestamp, transactions, ...known });
  }
  return { index, blocks };
}

const REASONS: readonly CutReason[] = [
  "full",
  "interval",
  "blocks",
  "size",
  "timestamp",
  "window",
  "shutdown",
  "manual",
];

/** The payload of a sealed batch whose first block has `index`. */
export function encodeSealed(batch: SealedBatch, index: number): Uint8Array {
  const { batchNumber, blocks, reason, data } = batch;
  const writer = new Writer(8 + 8 + 4 + 1 + data.length);
  writer.u64(batchNumber);
  writer.u64(BigInt(index));
  writer.u32(blocks);
  writer.u8(REASONS.indexOf(reason));
  writer.raw(data);
  return writer.bytes;
}

/** @throws {CodecError} where it is something else */
export function decodeSealed(payload: Uint8Array): SealedBatch & { readonly index: number } {
  const reader = new Reader(payload);
  return {
    batchNumber: reader.u64("batch number"),
    index: Number(reader.u64("index")),
    blocks: reader.u32("blocks"),
    reason: REASONS[reader.u8("reason")] ?? "manual",
    data: reader.bytes(payload.length - reader.offset, "batch"),
  };
}
