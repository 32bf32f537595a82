/**
 * Records, and the marks between them. Every integer is little-endian.
 *
 * | offset | size | field    |                                                                    |
 * | -----: | ---: | -------- | ------------------------------------------------------------------ |
 * |      0 |    4 | length   | of the payload                                                     |
 * |      4 |    4 | crc      | CRC-32C of length, sequence, type and payload, going on from that  |
 * |        |      |          | of the record before, so that none is lost, moved or repeated      |
 * |        |      |          | unseen                                                             |
 * |      8 |    8 | sequence | one more than the record before; the first is 0                    |
 * |     16 |    1 | type     | 1 to 255, its writer's; 0 is a mark                                |
 * |     17 |      | payload  |                                                                    |
 *
 * A mark begins each write, and a write begins when all before it is synced: a whole mark tells that
 * whatever stands before it was acknowledged. It is found without knowing what came before, since it
 * says itself where it stands and from which sum its own goes on. Its sequence is that of the next
 * record; the chain of sums passes it by.
 *
 * | offset | size | payload of a mark |                                                           |
 * | -----: | ---: | ----------------- | --------------------------------------------------------- |
 * |     17 |    4 | offset            | of the mark in its file                                   |
 * |     21 |    4 | chain             | crc of the record before                                  |
 * |     25 |    8 | checkpoint        | the first sequence that is still needed                   |
 *
 * @module
 */
import { crc32c } from "./crc32c.ts";

/** Bytes of a record before its payload. */
export const RECORD_HEADER_BYTES = 17;
/** Bytes of a mark. */
export const MARK_BYTES = 33;
/** The type of a mark. */
export const MARK_TYPE = 0;

const MARK_PAYLOAD_BYTES = MARK_BYTES - RECORD_HEADER_BYTES;

/** A record of the log. */
export interface WalRecord {
  /** Its place in the log; the first is 0. */
  readonly sequence: bigint;
  /** 1 to 255, as its writer said. */
  readonly type: number;
  readonly payload: Uint8Array;
}

/** What a mark says. */
export interface Mark {
  readonly offset: number;
  readonly chain: number;
  /** Of the next record. */
  readonly sequence: bigint;
  readonly checkpoint: bigint;
}

/** Where records go on: what the next one must fit to. */
export interface Position {
  readonly offset: number;
  /** The crc of the record before. */
  readonly chain: number;
  /** Of the next record. */
  readonly sequence: bigint;
}

/** A record or a mark that was found whole. The payload is a view of what was read. */
export interface Frame extends WalRecord {
  readonly crc: number;
  /** Set for a mark. */
  readonly checkpoint?: bigint;
}

/**
 * One write: a mark, then records. The sequences of the records follow `position`.
 *
 * @returns the bytes, and where the next write begins
 */
export function encodeGroup(
  position: Position,
  checkpoint: bigint,
  records: readonly WalRecord[],
): { readonly bytes: Uint8Array; readonly next: Position } {
  const size = records.reduce((sum, record) => sum + recordBytes(record), MARK_BYTES);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(RECORD_HEADER_BYTES, position.offset, true);
  view.setUint32(RECORD_HEADER_BYTES + 4, position.chain, true);
  view.setBigUint64(RECORD_HEADER_BYTES + 8, checkpoint, true);
  sealFrame(view, bytes, 0, MARK_BYTES, position.sequence, MARK_TYPE, position.chain);
  let { chain } = position;
  let at = MARK_BYTES;
  for (const { sequence, type, payload } of records) {
    bytes.set(payload, at + RECORD_HEADER_BYTES);
    const end = at + RECORD_HEADER_BYTES + payload.length;
    chain = sealFrame(view, bytes, at, end, sequence, type, chain);
    at = end;
  }
  const sequence = position.sequence + BigInt(records.length);
  return { bytes, next: { offset: position.offset + size, chain, sequence } };
}

/** Bytes of a record in a segment. */
export function recordBytes({ payload }: WalRecord): number {
  return RECORD_HEADER_BYTES + payload.length;
}

/** Writes the header of a frame whose payload is in place, and gives its crc. */
function sealFrame(
  view: DataView,
  bytes: Uint8Array,
  at: number,
  end: number,
  sequence: bigint,
  type: number,
  chain: number,
): number {
  view.setUint32(at, end - at - RECORD_HEADER_BYTES, true);
  view.setBigUint64(at + 8, sequence, true);
  view.setUint8(at + 16, type);
  const crc = frameCrc(bytes, at, end, chain);
  view.setUint32(at + 4, crc, true);
  return crc;
}

function frameCrc(bytes: Uint8Array, at: number, end: number, chain: number): number {
  return crc32c(bytes, crc32c(bytes, chain, at, at + 4), at + 8, end);
}

/** Bytes of the frame whose header begins at `at`, be they there or not. */
export function frameBytes(view: DataView, at: number): number {
  return RECORD_HEADER_BYTES + view.getUint32(at, true);
}

/**
 * Reads the frame at `at`, of which all bytes are there.
 *
 * @param position what it must fit to; its offset is that of `at` in the file
 * @returns the frame, or why it is none
 */
export function decodeFrame(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  position: Position,
): Frame | string {
  const end = at + frameBytes(view, at);
  const crc = view.getUint32(at + 4, true);
  const sequence = view.getBigUint64(at + 8, true);
  const type = view.getUint8(at + 16);
  if (sequence !== position.sequence) {
    return `its sequence is ${sequence}, need ${position.sequence}`;
  }
  if (frameCrc(bytes, at, end, position.chain) !== crc) return "its checksum does not match";
  const payload = bytes.subarray(at + RECORD_HEADER_BYTES, end);
  if (type !== MARK_TYPE) return { sequence, type, payload, crc };
  const mark = decodeMark(bytes, view, at, position.offset);
  if (!mark) return "its mark is of another place";
  return { sequence, type, payload, crc, checkpoint: mark.checkpoint };
}

/**
 * Reads the mark at `at`, if there is one that is whole and of this place.
 *
 * @param offset of `at` in the file
 */
export function decodeMark(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  offset: number,
): Mark | undefined {
  const end = at + MARK_BYTES;
  if (end > bytes.length || view.getUint32(at, true) !== MARK_PAYLOAD_BYTES) return undefined;
  if (view.getUint8(at + 16) !== MARK_TYPE) return undefined;
  if (view.getUint32(at + RECORD_HEADER_BYTES, true) !== offset) return undefined;
  const chain = view.getUint32(at + RECORD_HEADER_BYTES + 4, true);
  if (frameCrc(bytes, at, end, chain) !== view.getUint32(at + 4, true)) return undefined;
  const checkpoint = view.getBigUint64(at + RECORD_HEADER_BYTES + 8, true);
  return { offset, chain, sequence: view.getBigUint64(at + 8, true), checkpoint };
}
