/**
 * Finds what is whole in a log that is damaged: runs of records, each proved by its sums from the first
 * to the last.
 *
 * @module
 */
import type { Storage } from "../ports.ts";
import { SegmentCursor } from "./cursor.ts";
import { readHeader } from "./inspection.ts";
import {
  decodeFrame,
  decodeMark,
  type Frame,
  frameBytes,
  MARK_TYPE,
  type Position,
  RECORD_HEADER_BYTES,
} from "./record.ts";
import { type SegmentHeader, startOf } from "./segment.ts";

/** Records of a file that follow each other. */
export interface Run {
  readonly path: string;
  readonly from: Position;
  readonly to: Position;
  readonly records: number;
}

/** What is whole of a segment. */
export interface SalvagedSegment {
  readonly path: string;
  /** Where its header is whole. */
  readonly header: SegmentHeader | undefined;
  readonly runs: readonly Run[];
  readonly isWhole: boolean;
  /** The highest checkpoint that it tells of. */
  readonly checkpoint: bigint;
}

/**
 * Reads what can be read of a segment, or of a copy of one.
 *
 * @param path its name begins with the sequence of its first record
 * @param from records below it are not looked for: they were found before
 * @throws {StorageError} when the disk does not let it be read
 */
export async function salvageSegment(
  storage: Storage,
  path: string,
  from = 0n,
): Promise<SalvagedSegment> {
  const [, digits = ""] = /(?:^|\/)(\d{20})\.wal[^/]*$/.exec(path) ?? [];
  const first = BigInt(digits);
  const bytes = await storage.size(path) ?? 0;
  const header = await readHeader(storage, path, first);
  const isHeaded = !("reason" in header) && first >= from;
  let checkpoint = isHeaded ? header.checkpoint : 0n;
  let start: Start | undefined = isHeaded
    ? { ...startOf(header), isProved: true }
    : await findStart(storage, path, 0, bytes, from);
  let isWhole = isHeaded;
  const runs: Run[] = [];
  while (start) {
    const cursor = new SegmentCursor(storage, path, start, bytes);
    let records = 0;
    let { isProved } = start;
    for (let frames = await cursor.next(); frames.length > 0; frames = await cursor.next()) {
      for (const frame of frames) {
        if (frame.type !== MARK_TYPE) records += 1;
        else if (frame.checkpoint! > checkpoint) checkpoint = frame.checkpoint!;
        isProved ||= frame.type === MARK_TYPE;
      }
    }
    const to = cursor.position;
    if (records > 0 && isProved) runs.push({ path, from: start, to, records });
    if (cursor.fault === undefined) break;
    isWhole = false;
    const next = runs.at(-1)?.to.sequence ?? from;
    start = await findStart(storage, path, to.offset, bytes, next);
  }
  return { path, header: isHeaded ? header : undefined, runs, isWhole, checkpoint };
}

/** Where records may begin; proved where it is known that this is no part of a payload. */
interface Start extends Position {
  readonly isProved: boolean;
}

/**
 * The next place from `from` on where records may be whole: at a mark, which tells the sum before it; or
 * behind a record, be it damaged, that holds that sum. The second could be a log within a payload, and counts only
 * where a mark goes on from it.
 */
async function findStart(
  storage: Storage,
  path: string,
  from: number,
  end: number,
  least: bigint,
): Promise<Start | undefined> {
  // A segment is small enough to be in memory, and this is not done every day.
  const bytes = await storage.read(path, from, end - from);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + RECORD_HEADER_BYTES <= bytes.length; at++) {
    const mark = decodeMark(bytes, view, at, from + at);
    if (mark && mark.sequence >= least) return { ...mark, isProved: true };
    const position = behindRecord(bytes, view, at, least);
    if (position) return { ...position, offset: from + position.offset, isProved: false };
  }
  return undefined;
}

/** Where a record goes on from the sum that the one at `at` holds, it is whole, whatever that one is. */
function behindRecord(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  least: bigint,
): Position | undefined {
  const sequence = view.getBigUint64(at + 8, true);
  if (sequence < least || sequence > least + BigInt(bytes.length)) return undefined;
  if (view.getUint8(at + 16) === MARK_TYPE) return undefined;
  const offset = at + frameBytes(view, at);
  if (offset + RECORD_HEADER_BYTES > bytes.length) return undefined;
  if (offset + frameBytes(view, offset) > bytes.length) return undefined;
  const position = { offset, chain: view.getUint32(at + 4, true), sequence: sequence + 1n };
  return typeof decodeFrame(bytes, view, offset, position) === "string" ? undefined : position;
}

/** The records of a run, as many at once as are in memory; their payloads are views. */
export async function* runRecords(storage: Storage, run: Run): AsyncGenerator<readonly Frame[]> {
  const cursor = new SegmentCursor(storage, run.path, run.from, run.to.offset);
  for (let frames = await cursor.next(); frames.length > 0; frames = await cursor.next()) {
    yield frames.filter(({ type }) => type !== MARK_TYPE);
  }
}

/** The bytes of a run without its marks, whose offsets would be wrong in another place. */
export async function* runBytes(storage: Storage, run: Run): AsyncGenerator<Uint8Array> {
  for await (const frames of runRecords(storage, run)) {
    for (const { payload } of frames) {
      // It is a view of the bytes it was read with: its header stands before it.
      const start = payload.byteOffset - RECORD_HEADER_BYTES;
      yield new Uint8Array(payload.buffer, start, RECORD_HEADER_BYTES + payload.length);
    }
  }
}
