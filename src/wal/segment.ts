/**
 * What stands in the directory of a log.
 *
 * ```
 * DIR/
 *   00000000000000000000.wal              records, from the sequence that the name tells
 *   00000000000000031415.wal
 *   head                                  what must be there: a log that lacks it was damaged
 *   lock                                  held by the process that has the log open
 *   00000000000000031415.wal.4711.broken  what was cut off at offset 4711
 * ```
 *
 * A segment begins with a header, so that it can be checked when those before it are gone. Then come
 * writes (`record.ts`). Zeros may follow the last of them in the last segment: room that was allotted in
 * advance. A segment is followed by another only when all in it is synced, and its zeros are cut off.
 * Every integer is little-endian.
 *
 * | offset | size | header     |                                                                    |
 * | -----: | ---: | ---------- | ------------------------------------------------------------------ |
 * |      0 |    4 | magic      | `MWAL`                                                             |
 * |      4 |    4 | version    | 1                                                                  |
 * |      8 |    8 | first      | sequence of its first record                                       |
 * |     16 |    8 | follows    | where the segment before ends: at `first`, unless a repair could   |
 * |        |      |            | not save what was between                                          |
 * |     24 |    8 | checkpoint | the first sequence that was needed when it was made                |
 * |     32 |    4 | chain      | crc of the record before; 0 for the first of a log                 |
 * |     36 |    4 | crc        | CRC-32C of the 36 bytes before                                     |
 *
 * `head` is written anew with each segment, and when a log is opened and closed: at a crash only what was
 * written after it can be torn.
 *
 * | offset | size | head    |                                                                       |
 * | -----: | ---: | ------- | --------------------------------------------------------------------- |
 * |      0 |    4 | magic   | `MWHD`                                                                |
 * |      4 |    4 | version | 1                                                                     |
 * |      8 |    8 | last    | the last segment, by the sequence of its first record                 |
 * |     16 |    8 | next    | all records below this sequence were synced                           |
 * |     24 |    4 | end     | all bytes of that segment before this offset were synced              |
 * |     28 |    4 | crc     | CRC-32C of the 28 bytes before                                        |
 *
 * @module
 */
import { crc32c } from "./crc32c.ts";
import type { Position } from "./record.ts";

/** Bytes of a segment before its first write. */
export const SEGMENT_HEADER_BYTES = 40;
/** The file that tells what must be there. */
export const HEAD_NAME = "head";
/** The file whose lock means that the log is open. */
export const LOCK_NAME = "lock";
/** How a file ends that was not finished. */
export const TEMPORARY_SUFFIX = ".tmp";
/** How a file ends that keeps what was cut off. */
export const BROKEN_SUFFIX = ".broken";

const SEGMENT_MAGIC = 0x4c41574d;
const HEAD_MAGIC = 0x4448574d;
const HEAD_BYTES = 32;
const VERSION = 1;

/** What the header of a segment says. */
export interface SegmentHeader {
  readonly first: bigint;
  readonly follows: bigint;
  readonly checkpoint: bigint;
  readonly chain: number;
}

/** What must be there. */
export interface Head {
  readonly last: bigint;
  readonly next: bigint;
  /** Offset in the last segment: a checkpoint may stand behind the last record. */
  readonly end: number;
}

/** `00000000000000000042.wal`. */
export function segmentName(first: bigint): string {
  return `${first.toString().padStart(20, "0")}.wal`;
}

/** The sequence that a name tells; `undefined` where it is no name of a segment. */
export function parseSegmentName(name: string): bigint | undefined {
  const [, digits] = /^(\d{20})\.wal$/.exec(name) ?? [];
  return digits === undefined ? undefined : BigInt(digits);
}

/** Where the first write of a segment begins. */
export function startOf({ first, chain }: SegmentHeader): Position {
  return { offset: SEGMENT_HEADER_BYTES, chain, sequence: first };
}

/** The bytes that a segment begins with. */
export function encodeSegmentHeader(header: SegmentHeader): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, header.first, true);
  view.setBigUint64(16, header.follows, true);
  view.setBigUint64(24, header.checkpoint, true);
  view.setUint32(32, header.chain, true);
  return sealed(view, bytes, SEGMENT_MAGIC);
}

/** @returns what the header says, or why it is none */
export function decodeSegmentHeader(bytes: Uint8Array): SegmentHeader | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const fault = faultOf(view, bytes, SEGMENT_HEADER_BYTES, SEGMENT_MAGIC);
  if (fault !== undefined) return fault;
  return {
    first: view.getBigUint64(8, true),
    follows: view.getBigUint64(16, true),
    checkpoint: view.getBigUint64(24, true),
    chain: view.getUint32(32, true),
  };
}

/** The bytes of a head. */
export function encodeHead({ last, next, end }: Head): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, last, true);
  view.setBigUint64(16, next, true);
  view.setUint32(24, end, true);
  return sealed(view, bytes, HEAD_MAGIC);
}

/** @returns what the head says, or why it is none */
export function decodeHead(bytes: Uint8Array): Head | string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const fault = bytes.length > HEAD_BYTES
    ? `it has ${bytes.length} bytes, need ${HEAD_BYTES}`
    : faultOf(view, bytes, HEAD_BYTES, HEAD_MAGIC);
  if (fault !== undefined) return fault;
  return {
    last: view.getBigUint64(8, true),
    next: view.getBigUint64(16, true),
    end: view.getUint32(24, true),
  };
}

function sealed(view: DataView, bytes: Uint8Array, magic: number): Uint8Array {
  view.setUint32(0, magic, true);
  view.setUint32(4, VERSION, true);
  view.setUint32(bytes.length - 4, crc32c(bytes, 0, 0, bytes.length - 4), true);
  return bytes;
}

function faultOf(
  view: DataView,
  bytes: Uint8Array,
  size: number,
  magic: number,
): string | undefined {
  if (bytes.length < size) return `it has ${bytes.length} bytes, its header needs ${size}`;
  if (crc32c(bytes, 0, 0, size - 4) !== view.getUint32(size - 4, true)) {
    return "the checksum of its header does not match";
  }
  if (view.getUint32(0, true) !== magic) return "it does not begin as such a file does";
  const version = view.getUint32(4, true);
  return version === VERSION
    ? undefined
    : `its version is ${version}, this program knows ${VERSION}`;
}
