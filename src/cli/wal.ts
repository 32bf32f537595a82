/**
 * `montana wal`: looks into a durable log, and repairs it.
 *
 * @module
 */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, SourceError, StorageError, WalError } from "../errors.ts";
import { DiskStorage } from "../local/disk_storage.ts";
import { writeStdout } from "../runtime.ts";
import { type Fault, inspectLog, type LogState } from "../wal/inspection.ts";
import { corruption } from "../wal/opening.ts";
import { readSegment } from "../wal/reading.ts";
import type { WalRecord } from "../wal/record.ts";
import { type Repair, repairLog, type RepairStep } from "../wal/repair.ts";
import { runRecords, salvageSegment } from "../wal/salvage.ts";
import { BROKEN_SUFFIX, parseSegmentName } from "../wal/segment.ts";
import { toHex } from "../wire/hex.ts";
import {
  type CommandGroup,
  type CommandSpec,
  EXIT,
  type FlagValues,
  JSON_FLAG,
  textOf,
} from "./command.ts";
import { countOf, formatBytes, formatTable, toJson } from "./text.ts";

const DIRECTORY = { name: "<dir>", help: "directory of a log" };

/** How often a log is looked at again that seems damaged: a process may be writing it just now. */
const LOOKS = 3;

const storage = new DiskStorage();

const ls: CommandSpec = {
  name: "ls",
  summary: "List the segments of a log",
  argument: DIRECTORY,
  flags: [JSON_FLAG],
  examples: ["wal ls data/log", "wal ls data/log --json"],
  run: async (flags, [directory] = []) => {
    const listing = await listLog(directory!);
    await writeStdout(flags.json ? toJson(listing) : listingText(listing));
    return EXIT.done;
  },
};

const dump: CommandSpec = {
  name: "dump",
  summary: "Print the records of a log, one JSON object a line",
  argument: { name: "<dir>", help: "directory of a log; or a file of one, damaged or kept aside" },
  flags: [
    { flags: "--from <sequence>", help: "begin with this record (default: the first)" },
    { flags: "--limit <count>", help: "print so many at most (default: all)" },
  ],
  examples: ["wal dump data/log --from 120 --limit 3", "wal dump data/log/*.broken"],
  run: runDump,
};

const check: CommandSpec = {
  name: "check",
  summary: "Read a log to its end: exit 0, or 1 with the file and offset of the first damage",
  argument: DIRECTORY,
  flags: [JSON_FLAG],
  examples: ["wal check data/log"],
  run: async (flags, [directory] = []) => {
    const state = await lookAt(directory!);
    const isDamaged = state.fault?.kind === "corrupt";
    if (flags.json) await writeStdout(toJson({ ok: !isDamaged, ...summaryOf(state) }));
    else if (isDamaged) throw corruption(directory!, state.fault!);
    else await writeStdout(checkText(state));
    return isDamaged ? EXIT.failed : EXIT.done;
  },
};

const repair: CommandSpec = {
  name: "repair",
  summary:
    "Make a damaged log usable: keeps every whole record, copies what it changes aside first",
  argument: DIRECTORY,
  flags: [
    { flags: "--dry-run", help: "tell what would be done, and change nothing" },
    JSON_FLAG,
  ],
  examples: ["wal repair data/log --dry-run", "wal repair data/log"],
  run: async (flags, [directory] = []) => {
    await checkThere(directory!);
    const isDryRun = flags.dryRun === true;
    const repair = await repairLog({ storage, directory: directory! }, { isDryRun });
    await writeStdout(flags.json ? toJson({ isDryRun, ...repair }) : repairText(repair, isDryRun));
    return EXIT.done;
  },
};

/** All of them. */
export const wal: CommandGroup = {
  name: "wal",
  summary: "Look into a durable log: ls, dump, check, repair",
  commands: [ls, dump, check, repair],
};

interface Listing {
  readonly directory: string;
  readonly checkpoint: bigint;
  readonly nextSequence: bigint;
  readonly segments: readonly {
    readonly name: string;
    readonly first: bigint;
    readonly last: bigint | undefined;
    readonly records: number | undefined;
    readonly bytes: number;
    readonly state: string;
  }[];
  readonly broken: readonly string[];
  readonly fault: Fault | undefined;
}

async function listLog(directory: string): Promise<Listing> {
  const state = await lookAt(directory);
  const names = await storage.list(directory);
  const segments: Listing["segments"][number][] = [];
  for (const name of names) {
    const first = parseSegmentName(name);
    if (first === undefined) continue;
    const read = state.segments.find(({ header }) => header.first === first);
    const bytes = read?.bytes ?? await storage.size(`${directory}/${name}`) ?? 0;
    const isOld = state.leftovers.includes(name);
    segments.push({
      name,
      first,
      last: read && read.records > 0 ? read.end.sequence - 1n : undefined,
      records: read?.records,
      bytes,
      state: read?.fault?.kind ?? (read ? "whole" : isOld ? "done with" : "not read"),
    });
  }
  const broken = names.filter((name) => name.endsWith(BROKEN_SUFFIX));
  const { checkpoint, nextSequence, fault } = state;
  return { directory, checkpoint, nextSequence, segments, broken, fault };
}

function listingText({ checkpoint, nextSequence, segments, broken, fault }: Listing): string {
  const rows = segments.map(({ name, first, last, records, bytes, state }) => [
    name,
    `${first}`,
    `${last ?? "-"}`,
    `${records ?? "-"}`,
    formatBytes(bytes),
    state,
  ]);
  const table = formatTable(["segment", "first", "last", "records", "bytes", "state"], rows);
  const kept = broken.map((name) => `kept aside: ${name}\n`).join("");
  const end = `checkpoint ${checkpoint}, next record ${nextSequence}\n`;
  return `${table}${kept}${end}${fault ? faultText(fault) : ""}`;
}

async function runDump(flags: FlagValues, [path]: readonly string[] = []): Promise<number> {
  const from = countFlag(flags, "from") ?? 0n;
  let left = countFlag(flags, "limit");
  for await (const records of recordsOf(path!, from)) {
    const some = left === undefined ? records : records.slice(0, Number(left));
    const lines = some.map(({ sequence, type, payload }) =>
      toJson({ sequence, type, payload: toHex(payload) })
    );
    await writeStdout(lines.join(""));
    if (left !== undefined) left -= BigInt(some.length);
    if (left === 0n) break;
  }
  return EXIT.done;
}

async function* recordsOf(path: string, from: bigint): AsyncIterable<readonly WalRecord[]> {
  await checkThere(path);
  if ((await stat(path)).isFile()) {
    const { header, runs } = await salvageSegment(storage, path);
    if (!header && runs.length === 0) {
      const what = `Cannot dump ${path}: it holds no whole record, and does not begin as a segment`;
      throw new SourceError("Damaged", what);
    }
    for (const run of runs) {
      for await (const records of runRecords(storage, run)) {
        yield records.filter(({ sequence }) => sequence >= from);
      }
    }
    return;
  }
  for (let next = from;;) {
    const { segments, fault } = await lookAt(path);
    try {
      for (const segment of segments) {
        if (segment.end.sequence <= next) continue;
        const changed = yield* readSegment(storage, segment, next);
        if (changed) throw corruption(path, changed);
        next = segment.end.sequence;
      }
    } catch (error) {
      // A checkpoint has removed it meanwhile: what is left comes after it.
      if (error instanceof WalError && isNotFound(error.cause)) continue;
      throw error;
    }
    if (fault?.kind === "corrupt") throw corruption(path, fault);
    return;
  }
}

/** Reads a log, which a process may be writing meanwhile: damage that is none is gone at a second look. */
async function lookAt(directory: string): Promise<LogState> {
  await checkThere(directory);
  for (let look = 1;; look++) {
    try {
      const state = await inspectLog(storage, directory);
      if (state.segments.length === 0 && !state.fault) throw await noLog(directory);
      if (state.fault?.kind !== "corrupt" || look === LOOKS) return state;
    } catch (error) {
      if (!isNotFound(error) || look === LOOKS) throw error;
    }
  }
}

function isNotFound(error: unknown): boolean {
  return error instanceof StorageError && error.code === "NotFound";
}

async function checkThere(path: string): Promise<void> {
  if (await storage.size(path) === undefined) throw await noLog(path);
}

/** Logs that roles keep under a data directory. */
const LOGS_OF_ROLES = ["batcher", "deriver", "wal"];

async function noLog(path: string): Promise<WalError> {
  const names: string[] = [];
  for (const name of LOGS_OF_ROLES) {
    if ((await storage.list(join(path, name))).length > 0) names.push(join(path, name));
  }
  const hint = names.length > 0 ? `; did you mean ${names.join(" or ")}?` : "";
  return new WalError("Unreadable", `Cannot read a log in ${path}: there is none${hint}`);
}

function summaryOf({ directory, checkpoint, nextSequence, segments, fault }: LogState) {
  const records = segments.reduce((sum, segment) => sum + segment.records, 0);
  return { directory, checkpoint, nextSequence, segments: segments.length, records, fault };
}

function checkText(state: LogState): string {
  const { records, segments, checkpoint, nextSequence } = summaryOf(state);
  const { directory, fault } = state;
  return `${directory}: ${countOf(records, "record")} in ${
    countOf(segments, "segment")
  }, all whole; ` +
    `checkpoint ${checkpoint}, next record ${nextSequence}\n` + (fault ? faultText(fault) : "");
}

function faultText({ kind, path, offset, reason }: Fault): string {
  const what = kind === "torn"
    ? "not finished, is being written or will be cut off when the log is opened"
    : "damaged";
  return `${path} at offset ${offset}: ${what}: ${reason}\n`;
}

function repairText(repair: Repair, isDryRun: boolean): string {
  const { fault, steps, kept, lost, checkpoint, nextSequence } = repair;
  if (!fault) return "nothing to repair\n";
  const lines = [
    faultText(fault).trimEnd(),
    ...steps.map((step) => `${isDryRun ? "would " : ""}${stepText(step)}`),
    ...kept.map(({ first, last }) => `kept: records ${first} to ${last}`),
    ...lost.map(({ first, last }) => `lost: records ${first} to ${last}`),
    `checkpoint ${checkpoint}, next record ${nextSequence}`,
  ];
  return lines.map((line) => line + "\n").join("");
}

function stepText(step: RepairStep): string {
  switch (step.action) {
    case "copy":
      return `copy ${step.path} to ${step.to}`;
    case "write":
      return `write ${countOf(step.records, "record")} to ${step.path}`;
    case "remove":
      return `remove ${step.path}`;
    case "cut":
      return `copy ${step.path} from offset ${step.offset} on aside, and cut it off there`;
    case "checkpoint":
      return `set the checkpoint to ${step.sequence}`;
  }
}

/** A number of any size, as sequences have 64 bits. */
function countFlag(flags: FlagValues, name: string): bigint | undefined {
  const text = textOf(flags, name);
  if (text === undefined) return undefined;
  if (/^\d{1,20}$/.test(text)) return BigInt(text);
  throw new ConfigError("Usage", `Cannot use --${name} "${text}": need a whole number from 0`);
}
