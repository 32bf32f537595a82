/**
 * The batch, version 0: a 67-byte header, then blocks. Every integer is little-endian.
 *
 * | offset | size | header field    |                                                       |
 * | -----: | ---: | --------------- | ----------------------------------------------------- |
 * |      0 |    1 | version         | 0x00                                                  |
 * |      1 |    8 | batch_number    | one more than the batch before; the first is 0        |
 * |      9 |    8 | l1_origin       | L1 block number, the epoch                            |
 * |     17 |   20 | l1_origin_check | first 20 bytes of that L1 block's hash                |
 * |     37 |   20 | parent_check    | first 20 bytes of the hash of the L2 block before     |
 * |     57 |    8 | timestamp       | of the first block                                    |
 * |     65 |    2 | block_count     | 1 to 65535                                            |
 *
 * | size | block field     |                                                              |
 * | ---: | --------------- | ------------------------------------------------------------ |
 * |    2 | timestamp_delta | seconds since the block before; 0 for the first              |
 * |    2 | tx_count        |                                                              |
 * |    3 | tx_len          | then that many bytes, opaque; a length of 0 is kept          |
 *
 * The seed `montana.md` draws it; the delta counts from the block before because from the first it would
 * overflow after 18 hours. A batch ends with its last block.
 *
 * @module
 */
import { BATCH_VERSION } from "../config.ts";
import { CodecError } from "../errors.ts";
import type { BatchCodec } from "../ports.ts";
import type { Batch, BatchHeader, L2Block } from "../types.ts";
import { Reader, Writer } from "./bytes.ts";

/** Bytes of a header. */
export const HEADER_SIZE: number = 1 + 8 + 8 + 20 + 20 + 8 + 2;
/** Bytes of the two `…_check` fields, the front of a 32-byte hash. */
export const CHECK_SIZE = 20;
/** Bytes before a block's transactions. */
export const BLOCK_OVERHEAD = 4;
/** Bytes before a transaction. */
export const TRANSACTION_OVERHEAD = 3;
/** The most a u16 holds: blocks of a batch, transactions of a block, seconds between two blocks. */
export const MAX_U16 = 0xffff;

const MAX_U24 = 0xff_ffff;
const MAX_U64 = 0xffff_ffff_ffff_ffffn;

/** What a header cannot be told from the blocks alone. */
export type HeaderInput = Pick<
  BatchHeader,
  "batchNumber" | "l1Origin" | "l1OriginCheck" | "parentCheck"
>;

/** A whole header: version, first timestamp and count are the blocks'. */
export function headerFor(input: HeaderInput, blocks: readonly L2Block[]): BatchHeader {
  return {
    version: BATCH_VERSION,
    batchNumber: input.batchNumber,
    l1Origin: input.l1Origin,
    l1OriginCheck: input.l1OriginCheck,
    parentCheck: input.parentCheck,
    timestamp: blocks[0]?.timestamp ?? 0n,
    blockCount: blocks.length,
  };
}

/** Bytes that a block takes inside a batch. */
export function encodedBlockSize(block: L2Block): number {
  return block.transactions.reduce(
    (size, transaction) => size + TRANSACTION_OVERHEAD + transaction.length,
    BLOCK_OVERHEAD,
  );
}

/**
 * Encodes blocks under a header.
 *
 * @throws {CodecError} `InvalidVersion`, `InvalidBlockCount`, `InvalidHeader`, `InvalidTimestampDelta`
 * or `TooLarge`, naming the block and the value; nothing is ever cut to fit
 *
 * @example
 * ```ts
 * import { decodeBatch, encodeBatch, headerFor } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const blocks = [{ timestamp: 1000n, transactions: [Uint8Array.of(1, 2, 3)] }];
 * const check = new Uint8Array(20);
 * const header = headerFor(
 *   { batchNumber: 0n, l1Origin: 7n, l1OriginCheck: check, parentCheck: check },
 *   blocks,
 * );
 * const bytes = encodeBatch(header, blocks);
 * if (bytes.length !== 67 + 4 + 3 + 3) throw new Error("unexpected size");
 * if (decodeBatch(bytes).blocks[0]?.timestamp !== 1000n) throw new Error("unexpected timestamp");
 * ```
 */
export function encodeBatch(header: BatchHeader, blocks: readonly L2Block[]): Uint8Array {
  checkHeader(header, blocks);
  const size = blocks.reduce((sum, block) => sum + encodedBlockSize(block), HEADER_SIZE);
  const writer = new Writer(size);

  writer.u8(header.version);
  writer.u64(header.batchNumber);
  writer.u64(header.l1Origin);
  writer.raw(header.l1OriginCheck);
  writer.raw(header.parentCheck);
  writer.u64(header.timestamp);
  writer.u16(header.blockCount);

  let previous = header.timestamp;
  for (const [index, block] of blocks.entries()) {
    writer.u16(timestampDelta(previous, block.timestamp, index));
    writer.u16(checkedCount(block, index));
    for (const [position, transaction] of block.transactions.entries()) {
      if (transaction.length > MAX_U24) {
        throw new CodecError(
          "TooLarge",
          `Cannot write tx_len of block ${index}, transaction ${position}: ` +
            `${transaction.length} bytes, at most ${MAX_U24}`,
          { details: { block: index, transaction: position, size: transaction.length } },
        );
      }
      writer.u24(transaction.length);
      writer.raw(transaction);
    }
    previous = block.timestamp;
  }
  return writer.bytes;
}

/**
 * Decodes a batch. Transactions are views of `data`: copy them to keep them longer than it.
 *
 * @throws {CodecError} `InvalidVersion`, `Truncated`, `InvalidBlockCount`, `InvalidTimestampDelta` or
 * `TrailingBytes`, naming field and offset
 */
export function decodeBatch(data: Uint8Array): Batch {
  const reader = new Reader(data);
  const header = readHeader(reader);
  const blocks: L2Block[] = [];
  let timestamp = header.timestamp;
  for (let index = 0; index < header.blockCount; index++) {
    const offset = reader.offset;
    const delta = reader.u16("timestamp_delta");
    timestamp += BigInt(delta);
    if ((index === 0 && delta !== 0) || timestamp > MAX_U64) {
      throw new CodecError(
        "InvalidTimestampDelta",
        `Cannot use timestamp_delta ${delta} of block ${index} at offset ${offset}: ` +
          (index === 0 ? "the first must be 0" : "the timestamp would be over 2^64 - 1"),
        { details: { block: index, offset, value: delta } },
      );
    }
    const transactions: Uint8Array[] = [];
    const txCount = reader.u16("tx_count");
    for (let position = 0; position < txCount; position++) {
      transactions.push(reader.bytes(reader.u24("tx_len"), "transaction"));
    }
    blocks.push({ timestamp, transactions });
  }
  reader.end("the last block");
  return { header, blocks };
}

/** The seed's `StandardCodec`: {@link encodeBatch} and {@link decodeBatch} as a port. */
export const standardCodec: BatchCodec = { encode: encodeBatch, decode: decodeBatch };

/** Seconds from one block to the next, as far as the wire can carry them. */
export function deltaFits(previous: bigint, next: bigint): boolean {
  return next >= previous && next - previous <= BigInt(MAX_U16);
}

function readHeader(reader: Reader): BatchHeader {
  const version = reader.u8("version");
  if (version !== BATCH_VERSION) {
    throw new CodecError(
      "InvalidVersion",
      `Cannot decode batch version ${version} at offset 0: need ${BATCH_VERSION}`,
      { details: { offset: 0, value: version } },
    );
  }
  const header: BatchHeader = {
    version,
    batchNumber: reader.u64("batch_number"),
    l1Origin: reader.u64("l1_origin"),
    l1OriginCheck: reader.bytes(CHECK_SIZE, "l1_origin_check"),
    parentCheck: reader.bytes(CHECK_SIZE, "parent_check"),
    timestamp: reader.u64("timestamp"),
    blockCount: reader.u16("block_count"),
  };
  if (header.blockCount === 0) {
    throw new CodecError(
      "InvalidBlockCount",
      `Cannot decode a batch of 0 blocks: block_count at offset ${HEADER_SIZE - 2}`,
      { details: { offset: HEADER_SIZE - 2, value: 0 } },
    );
  }
  return header;
}

function checkHeader(header: BatchHeader, blocks: readonly L2Block[]): void {
  if (header.version !== BATCH_VERSION) {
    throw new CodecError(
      "InvalidVersion",
      `Cannot encode batch version ${header.version}: need ${BATCH_VERSION}`,
    );
  }
  if (blocks.length === 0 || blocks.length > MAX_U16) {
    throw new CodecError(
      "InvalidBlockCount",
      `Cannot encode a batch of ${blocks.length} blocks: need 1 to ${MAX_U16}`,
      { details: { value: blocks.length } },
    );
  }
  if (header.blockCount !== blocks.length) {
    throw new CodecError(
      "InvalidBlockCount",
      `Cannot encode block_count ${header.blockCount} over ${blocks.length} blocks`,
      { details: { value: header.blockCount } },
    );
  }
  if (header.timestamp !== blocks[0]?.timestamp) {
    throw new CodecError(
      "InvalidHeader",
      `Cannot encode timestamp ${header.timestamp}: the first block has ${blocks[0]?.timestamp}`,
    );
  }
  for (const field of ["batchNumber", "l1Origin", "timestamp"] as const) {
    if (header[field] < 0n || header[field] > MAX_U64) {
      throw new CodecError(
        "TooLarge",
        `Cannot write ${field} ${header[field]}: need 0 to 2^64 - 1`,
      );
    }
  }
  for (const field of ["l1OriginCheck", "parentCheck"] as const) {
    if (header[field].length !== CHECK_SIZE) {
      throw new CodecError(
        "InvalidHeader",
        `Cannot write ${field}: need ${CHECK_SIZE} bytes, have ${header[field].length}`,
      );
    }
  }
}

function timestampDelta(previous: bigint, timestamp: bigint, index: number): number {
  if (deltaFits(previous, timestamp)) return Number(timestamp - previous);
  throw new CodecError(
    "InvalidTimestampDelta",
    `Cannot write timestamp_delta of block ${index}: ${timestamp - previous} s after the block ` +
      `before, need 0 to ${MAX_U16}`,
    { details: { block: index, value: timestamp - previous } },
  );
}

function checkedCount(block: L2Block, index: number): number {
  const count = block.transactions.length;
  if (count <= MAX_U16) return count;
  throw new CodecError(
    "TooLarge",
    `Cannot write tx_count of block ${index}: ${count} transactions, at most ${MAX_U16}`,
    { details: { block: index, value: count } },
  );
}
