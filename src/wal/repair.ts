/**
 * Repairs a damaged log: every record that is proved to be whole is kept, under its sequence; what was
 * damaged is copied aside, and its sequences are never given again.
 *
 * | the damage                       | what is done                                                      |
 * | -------------------------------- | ----------------------------------------------------------------- |
 * | a torn end                       | what opening does: copied aside, cut off                          |
 * | bytes within a segment           | the segment is copied aside; each run of whole records in it      |
 * |                                  | becomes a segment, which says that something is missing before it |
 * | a header                         | the same                                                          |
 * | a segment is missing             | the next one says so                                              |
 * | records at the end are missing   | a new segment begins behind them                                  |
 * | the head                         | written anew                                                      |
 *
 * @module
 */
import { StorageError } from "../errors.ts";
import type { Storage, StorageLock } from "../ports.ts";
import { freeName, pieces, SyncFailure, syncing, walError, writeWhole } from "./files.ts";
import { type Fault, inspectLog, type LogState, misfitOf } from "./inspection.ts";
import { WAL_DEFAULTS } from "./log.ts";
import { corruption, recoverLog } from "./opening.ts";
import { type Run, runBytes, type SalvagedSegment, salvageSegment } from "./salvage.ts";
import {
  BROKEN_SUFFIX,
  encodeSegmentHeader,
  LOCK_NAME,
  parseSegmentName,
  type SegmentHeader,
  segmentName,
} from "./segment.ts";
import { LogWriter } from "./writer.ts";

/** Sequences, both ends included. */
export interface SequenceRange {
  readonly first: bigint;
  readonly last: bigint;
}

/** What is done, in this order; copies come before what they are copies of is changed. */
export type RepairStep =
  | { readonly action: "copy"; readonly path: string; readonly to: string }
  | { readonly action: "write"; readonly path: string; readonly records: number }
  | { readonly action: "remove"; readonly path: string }
  | { readonly action: "cut"; readonly path: string; readonly offset: number }
  | { readonly action: "checkpoint"; readonly sequence: bigint };

/** What a repair found and did, or would do. */
export interface Repair {
  /** What was wrong; nothing is done where nothing was. */
  readonly fault: Fault | undefined;
  readonly steps: readonly RepairStep[];
  /** Records from the checkpoint on that are there afterwards. */
  readonly kept: readonly SequenceRange[];
  /** Records from the checkpoint on that are gone. */
  readonly lost: readonly SequenceRange[];
  readonly checkpoint: bigint;
  /** What the next record will be numbered. */
  readonly nextSequence: bigint;
}

/** A new segment, and what goes into it. */
interface NewSegment {
  readonly header: SegmentHeader;
  readonly run: Run | undefined;
}

interface Plan {
  readonly repair: Repair;
  readonly copies: readonly { readonly path: string; readonly to: string }[];
  readonly segments: readonly NewSegment[];
  readonly removals: readonly string[];
}

/**
 * Repairs the log in a directory, or tells what a repair would do.
 *
 * @example
 * ```ts
 * import { MemoryStorage, repairLog, Wal } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const parts = { storage: new MemoryStorage(), directory: "/log" };
 * const log = await Wal.open(parts);
 * for (const byte of [1, 2, 3]) await log.append(1, Uint8Array.of(byte));
 * await log.close();
 * parts.storage.flipBit("/log/00000000000000000000.wal", 8 * 100); // A disk that rots.
 *
 * const refused = await Wal.open(parts).catch((error) => error);
 * if (refused.code !== "Corrupted") throw new Error("expected to be refused");
 * const { lost } = await repairLog(parts);
 * if (lost.length !== 1) throw new Error("expected to lose one record");
 * await (await Wal.open(parts)).close();
 * ```
 *
 * @throws {WalError} `Locked` while a process has the log open
 */
export async function repairLog(
  { storage, directory }: { readonly storage: Storage; readonly directory: string },
  { isDryRun = false }: { readonly isDryRun?: boolean } = {},
): Promise<Repair> {
  let lock: StorageLock | undefined;
  try {
    lock = await storage.lock(`${directory}/${LOCK_NAME}`);
    const state = await inspectLog(storage, directory);
    if (state.fault?.kind !== "corrupt") return await repairTail(storage, state, isDryRun);
    const plan = await planRepair(storage, state);
    if (!isDryRun) await carryOut(storage, directory, plan);
    return plan.repair;
  } catch (cause) {
    const isKnown = cause instanceof StorageError || cause instanceof SyncFailure;
    throw isKnown ? walError(`repair the log in ${directory}`, cause) : cause;
  } finally {
    await lock?.release();
  }
}

/** A whole log needs nothing, and a torn end only what opening does. */
async function repairTail(storage: Storage, state: LogState, isDryRun: boolean): Promise<Repair> {
  const { directory, fault, checkpoint, nextSequence, segments } = state;
  const steps: RepairStep[] = fault
    ? [{ action: "cut", path: fault.path, offset: fault.offset }]
    : [];
  if (fault && !isDryRun) {
    await recoverLog(storage, directory, (event) => {
      if (event.event !== "log.tail_cut") return;
      steps.unshift({ action: "copy", path: event.path, to: event.brokenPath });
    });
  }
  const ends = segments.map(({ header, end }) => ({ first: header.first, end: end.sequence }));
  const kept = keptOf(ends, checkpoint);
  return { fault, steps, kept, lost: [], checkpoint, nextSequence };
}

async function planRepair(storage: Storage, state: LogState): Promise<Plan> {
  const { directory, head, leftovers, fault } = state;
  const names = await storage.list(directory);
  const firsts = names
    .filter((name) => !leftovers.includes(name))
    .map(parseSegmentName)
    .filter((first) => first !== undefined);
  const salvaged: SalvagedSegment[] = [];
  for (const first of firsts) {
    const from = salvaged.flatMap(({ runs }) => runs).at(-1)?.to.sequence ?? 0n;
    salvaged.push(await salvageSegment(storage, `${directory}/${segmentName(first)}`, from));
  }

  const end = salvaged.flatMap(({ runs }) => runs).at(-1)?.to.sequence ?? 0n;
  const nextSequence = most([end, head?.next ?? 0n, head?.last ?? 0n, firsts.at(-1) ?? 0n]);
  const told = most(salvaged.map((segment) => segment.checkpoint));
  const layout = layOut(salvaged, nextSequence, told);
  const { kept: untouched, segments, runs } = layout;
  const checkpoint = most([told, runs[0]?.from.sequence ?? nextSequence]);

  const copies: { path: string; to: string }[] = [];
  for (const { path } of salvaged.filter(({ path }) => !untouched.has(path))) {
    const stem = path.slice(directory.length + 1);
    copies.push({ path, to: await freeName(storage, directory, stem, BROKEN_SUFFIX) });
  }
  const written = segments.map(({ header }) => `${directory}/${segmentName(header.first)}`);
  const removals = copies.map(({ path }) => path).filter((path) => !written.includes(path));
  const steps: RepairStep[] = [
    ...copies.map(({ path, to }) => ({ action: "copy", path, to: `${directory}/${to}` } as const)),
    ...segments.map(({ run }, index) => (
      { action: "write", path: written[index]!, records: run?.records ?? 0 } as const
    )),
    ...removals.map((path) => ({ action: "remove", path } as const)),
    ...(checkpoint > told ? [{ action: "checkpoint", sequence: checkpoint } as const] : []),
  ];
  const ends = runs.map(({ from, to }) => ({ first: from.sequence, end: to.sequence }));
  const kept = keptOf(ends, checkpoint);
  const lost = gapsOf(kept, told, nextSequence);
  const repair = { fault, steps, kept, lost, checkpoint, nextSequence };
  return { repair, copies, segments, removals };
}

/** Which segments stay as they are, and which are made of what is whole in the others. */
function layOut(salvaged: readonly SalvagedSegment[], nextSequence: bigint, checkpoint: bigint) {
  const kept = new Set<string>();
  const segments: NewSegment[] = [];
  const runs: Run[] = [];
  for (const segment of salvaged) {
    const before = runs.at(-1)?.to;
    const { header, isWhole, path } = segment;
    const fits = header && !(before && misfitOf(header, before));
    if (isWhole && fits && segment.runs.length > 0) {
      kept.add(path);
      runs.push(...segment.runs);
      continue;
    }
    for (const run of segment.runs) {
      const before = runs.at(-1)?.to;
      const { sequence: first, chain } = run.from;
      // Of the right number, but no continuation: it is of another log.
      if (before?.sequence === first && before.chain !== chain) break;
      segments.push({
        header: { first, follows: before?.sequence ?? first, checkpoint, chain },
        run,
      });
      runs.push(run);
    }
  }
  const end = runs.at(-1)?.to.sequence;
  if (end === undefined || end < nextSequence) {
    // The sequences of what is lost at the end are not given again.
    const header = { first: nextSequence, follows: end ?? nextSequence, checkpoint, chain: 0 };
    segments.push({ header, run: undefined });
  }
  return { kept, segments, runs };
}

async function carryOut(storage: Storage, directory: string, plan: Plan): Promise<void> {
  for (const { path, to } of plan.copies) {
    const bytes = await storage.size(path) ?? 0;
    await writeWhole(storage, directory, to, pieces(storage, path, 0, bytes));
  }
  // From the last to the first: the first run of a segment takes its name, and all are read from it.
  for (const { header, run } of plan.segments.toReversed()) {
    const name = segmentName(header.first);
    await writeWhole(storage, directory, name, segmentBytes(storage, header, run));
  }
  for (const path of plan.removals) await storage.remove(path);
  await syncing(() => storage.syncDirectory(directory));

  const { segments } = await inspectLog(storage, directory);
  const parts = { segments, head: undefined, checkpoint: plan.repair.checkpoint };
  const writer = new LogWriter(storage, directory, parts, WAL_DEFAULTS);
  try {
    await writer.start();
    await writer.write([], plan.repair.checkpoint);
  } finally {
    await writer.close();
  }
  const { fault } = await inspectLog(storage, directory);
  if (fault) throw corruption(directory, fault);
}

async function* segmentBytes(storage: Storage, header: SegmentHeader, run: Run | undefined) {
  yield encodeSegmentHeader(header);
  if (run) yield* runBytes(storage, run);
}

function most(sequences: readonly bigint[]): bigint {
  return sequences.reduce((a, b) => a > b ? a : b, 0n);
}

/** What of these is at or above the checkpoint; those that follow each other as one. */
function keptOf(
  ends: readonly { readonly first: bigint; readonly end: bigint }[],
  checkpoint: bigint,
): SequenceRange[] {
  const kept: SequenceRange[] = [];
  for (const { first, end } of ends) {
    const range = { first: most([first, checkpoint]), last: end - 1n };
    if (range.last < range.first) continue;
    const before = kept.at(-1);
    if (before?.last === range.first - 1n) kept[kept.length - 1] = { ...before, last: range.last };
    else kept.push(range);
  }
  return kept;
}

/** What of `from` up to, not including, `to` is in none of the ranges. */
function gapsOf(ranges: readonly SequenceRange[], from: bigint, to: bigint): SequenceRange[] {
  const ends = [...ranges, { first: to, last: to }];
  const gaps = ends.map(({ first }, index) => ({
    first: index === 0 ? from : ends[index - 1]!.last + 1n,
    last: first - 1n,
  }));
  return gaps.filter(({ first, last }) => last >= first);
}
