/**
 * Looks at a log and changes nothing: what stands in it, and what is wrong with it.
 *
 * Where the records end before the bytes do, the log is torn or corrupt. Only one write is under way at a
 * time, and the next begins when it is synced, so a crash can tear the last write alone. It is
 *
 * - corrupt where a whole mark stands behind the place, since that mark was written after the place was
 *   synced; where another segment follows; or where `head` says that more was synced;
 * - torn otherwise: nobody was told that what follows is safe. Records of that last write may still be
 *   whole behind the place, as a disk writes the sectors of one write in any order.
 *
 * @module
 */
import type { Storage } from "../ports.ts";
import { findMark, SegmentCursor } from "./cursor.ts";
import { MARK_TYPE, type Position } from "./record.ts";
import {
  decodeHead,
  decodeSegmentHeader,
  type Head,
  HEAD_NAME,
  parseSegmentName,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
  segmentName,
  startOf,
  TEMPORARY_SUFFIX,
} from "./segment.ts";

/** What is wrong with a log, and where. */
export interface Fault {
  /** `torn` is what a power loss leaves, and opening mends it; `corrupt` is refused. */
  readonly kind: "torn" | "corrupt";
  readonly path: string;
  readonly offset: number;
  readonly reason: string;
}

/** A segment that was read. */
export interface SegmentState {
  readonly path: string;
  readonly header: SegmentHeader;
  readonly bytes: number;
  /** Where its whole records end. */
  readonly end: Position;
  readonly records: number;
  readonly fault?: Fault;
}

/** A log as it stands. */
export interface LogState {
  readonly directory: string;
  /** Those that hold what is needed, in order; where one is corrupt, up to that one. */
  readonly segments: readonly SegmentState[];
  /** Names of segments before these: a crash came between a checkpoint and their removal. */
  readonly leftovers: readonly string[];
  /** Names of files that were not finished. */
  readonly temporaries: readonly string[];
  readonly head: Head | undefined;
  readonly checkpoint: bigint;
  readonly nextSequence: bigint;
  readonly fault: Fault | undefined;
}

/**
 * Reads all that is needed of a log.
 *
 * @throws {StorageError} when the disk does not let it be read
 */
export async function inspectLog(storage: Storage, directory: string): Promise<LogState> {
  // The head first: what it names is there when the names are read, also beside a writer.
  const head = await readHead(storage, `${directory}/${HEAD_NAME}`);
  const names = await storage.list(directory);
  const firsts = names.map(parseSegmentName).filter((first) => first !== undefined);
  const found = await findSegments(storage, directory, firsts);

  let { checkpoint } = found;
  let fault: Fault | undefined;
  const segments: SegmentState[] = [];
  for (const first of found.needed) {
    if (fault) break;
    const path = `${directory}/${segmentName(first)}`;
    const before = segments.at(-1)?.end;
    const scan = await scanSegment(storage, path, first, checkpoint, before);
    if ("reason" in scan) {
      fault = scan;
      break;
    }
    checkpoint = scan.checkpoint;
    const isLast = first === firsts.at(-1);
    fault = await judgeEnd(storage, scan.state, isLast, head);
    segments.push(fault ? { ...scan.state, fault } : scan.state);
  }
  if (fault?.kind !== "corrupt") {
    fault = judgeWhole(directory, names, segments, head, checkpoint) ?? fault;
  }

  const kept = segments.length > 0 ? segments[0]!.header.first : undefined;
  return {
    directory,
    segments,
    leftovers: firsts.filter((first) => kept !== undefined && first < kept).map(segmentName),
    temporaries: names.filter((name) => name.endsWith(TEMPORARY_SUFFIX)),
    head: typeof head === "string" ? undefined : head,
    checkpoint,
    nextSequence: segments.at(-1)?.end.sequence ?? 0n,
    fault,
  };
}

async function readHead(storage: Storage, path: string): Promise<Head | string | undefined> {
  if (await storage.size(path) === undefined) return undefined;
  return decodeHead(await storage.read(path));
}

/** The header of the last segment knows from where on they are needed. */
async function findSegments(
  storage: Storage,
  directory: string,
  firsts: readonly bigint[],
): Promise<{ readonly needed: readonly bigint[]; readonly checkpoint: bigint }> {
  const last = firsts.at(-1);
  if (last === undefined) return { needed: [], checkpoint: 0n };
  const header = await readHeader(storage, `${directory}/${segmentName(last)}`, last);
  // It is met again when the segments are read.
  if ("reason" in header) return { needed: firsts, checkpoint: 0n };
  const { checkpoint } = header;
  const start = firsts.findLastIndex((first) => first <= checkpoint);
  return { needed: firsts.slice(Math.max(0, start)), checkpoint };
}

/** Reads the header of a segment. It was synced before the segment got its name: it cannot be torn. */
export async function readHeader(
  storage: Storage,
  path: string,
  first: bigint,
): Promise<SegmentHeader | Fault> {
  const header = decodeSegmentHeader(await storage.read(path, 0, SEGMENT_HEADER_BYTES));
  if (typeof header === "string") return corrupt(path, 0, header);
  if (header.first === first) return header;
  return corrupt(path, 8, `its header says that it begins with record ${header.first}`);
}

interface Scan {
  readonly state: SegmentState;
  readonly checkpoint: bigint;
}

async function scanSegment(
  storage: Storage,
  path: string,
  first: bigint,
  checkpoint: bigint,
  before: Position | undefined,
): Promise<Scan | Fault> {
  const header = await readHeader(storage, path, first);
  if ("reason" in header) return header;
  const misfit = before && misfitOf(header, before);
  if (misfit !== undefined) return corrupt(path, 16, misfit);
  const bytes = await storage.size(path) ?? 0;
  const cursor = new SegmentCursor(storage, path, startOf(header), bytes);
  let records = 0;
  for (let frames = await cursor.next(); frames.length > 0; frames = await cursor.next()) {
    for (const frame of frames) {
      if (frame.type !== MARK_TYPE) records += 1;
      else if (frame.checkpoint! > checkpoint) checkpoint = frame.checkpoint!;
    }
  }
  const state = { path, header, bytes, end: cursor.position, records };
  if (cursor.fault === undefined) return { state, checkpoint };
  const fault = {
    kind: "torn",
    path,
    offset: cursor.position.offset,
    reason: cursor.fault,
  } as const;
  return { state: { ...state, fault }, checkpoint };
}

/** Why a segment cannot come after one that ends at `before`. */
export function misfitOf(header: SegmentHeader, before: Position): string | undefined {
  const { follows, first, chain } = header;
  if (follows > before.sequence) {
    return `records ${before.sequence} to ${follows - 1n} before it are missing`;
  }
  if (follows < before.sequence) {
    return `it follows on record ${follows - 1n}, the segment before it ends with ` +
      `${before.sequence - 1n}`;
  }
  // What a repair could not save is missing between them.
  if (follows < first || chain === before.chain) return undefined;
  return "it does not follow from the last record of the segment before it";
}

/** Whether a segment that ends before its bytes do is torn or corrupt. */
async function judgeEnd(
  storage: Storage,
  { path, bytes, end, fault }: SegmentState,
  isLast: boolean,
  head: Head | string | undefined,
): Promise<Fault | undefined> {
  if (!fault) return undefined;
  const { offset, reason } = fault;
  const is = `no whole record stands there (${reason})`;
  if (!isLast) return corrupt(path, offset, `${is}, and another segment follows`);
  if (typeof head === "object" && head.next > end.sequence) {
    return corrupt(path, offset, `${is}, and records up to ${head.next - 1n} had been synced`);
  }
  const mark = await findMark(storage, path, offset + 1, bytes);
  if (mark) {
    return corrupt(path, offset, `${is}, and a later write begins at offset ${mark.offset}`);
  }
  return fault;
}

/** What only shows when all segments are looked at together. */
function judgeWhole(
  directory: string,
  names: readonly string[],
  segments: readonly SegmentState[],
  head: Head | string | undefined,
  checkpoint: bigint,
): Fault | undefined {
  const path = `${directory}/${HEAD_NAME}`;
  if (typeof head === "string") return corrupt(path, 0, head);
  const [firstSegment, lastSegment] = [segments[0], segments.at(-1)];
  if (!firstSegment || !lastSegment) {
    if (!head) return undefined;
    return corrupt(`${directory}/${segmentName(head.last)}`, 0, "the segment is missing");
  }
  const { first } = firstSegment.header;
  if (first > checkpoint) {
    const reason = `records ${checkpoint} to ${first - 1n} before it are missing`;
    return corrupt(firstSegment.path, 0, reason);
  }
  if (!head) {
    const isFirstStart = first === 0n && segments.length === 1 && lastSegment.records === 0;
    return isFirstStart ? undefined : corrupt(path, 0, "it is missing");
  }
  const last = segmentName(head.last);
  if (!names.includes(last)) return corrupt(`${directory}/${last}`, 0, "the segment is missing");
  const { end } = lastSegment;
  if (end.sequence < head.next) {
    const reason = `records ${end.sequence} to ${head.next - 1n} are missing`;
    return corrupt(lastSegment.path, end.offset, reason);
  }
  const named = segments.find((segment) => segment.header.first === head.last);
  if (!named || named.end.offset >= head.end) return undefined;
  const reason = `a checkpoint is missing: all before offset ${head.end} had been synced`;
  return corrupt(named.path, named.end.offset, reason);
}

function corrupt(path: string, offset: number, reason: string): Fault {
  return { kind: "corrupt", path, offset, reason };
}
