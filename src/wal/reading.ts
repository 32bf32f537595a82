/**
 * Gives the records of a segment: no more than a chunk is in memory.
 *
 * @module
 */
import { StorageError } from "../errors.ts";
import type { Storage } from "../ports.ts";
import { SegmentCursor } from "./cursor.ts";
import { walError } from "./files.ts";
import type { Fault } from "./inspection.ts";
import { MARK_TYPE, type WalRecord } from "./record.ts";
import { type SegmentHeader, startOf } from "./segment.ts";

/** Up to where a segment is read. */
export interface ReadableSegment {
  readonly path: string;
  readonly header: SegmentHeader;
  readonly end: { readonly offset: number };
}

/**
 * The records of a segment from a sequence on, as many at once as are in memory. Each payload is a copy of its own.
 *
 * @returns what stands in the way of reading on, once all before it is given
 * @throws {WalError} `Unreadable` when the disk does not give it
 */
export async function* readSegment(
  storage: Storage,
  { path, header, end }: ReadableSegment,
  from: bigint,
): AsyncGenerator<readonly WalRecord[], Fault | undefined> {
  const cursor = new SegmentCursor(storage, path, startOf(header), end.offset);
  for (;;) {
    const frames = await cursor.next().catch((cause) => {
      if (!(cause instanceof StorageError)) throw cause;
      throw walError(`read the log's ${path}`, cause);
    });
    if (frames.length === 0) break;
    const records: WalRecord[] = [];
    for (const { type, sequence, payload } of frames) {
      if (type === MARK_TYPE || sequence < from) continue;
      records.push({ sequence, type, payload: payload.slice() });
    }
    yield records;
  }
  if (cursor.fault === undefined) return undefined;
  return { kind: "corrupt", path, offset: cursor.position.offset, reason: cursor.fault };
}
