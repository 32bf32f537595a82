/**
 * What a program asked of the kernel, in order, as strace tells it; and whether that order keeps what the
 * program says. The idea is ALICE's (OSDI 2014), with the strictest disk: bytes are safe once their file was
 * synced, names once their directory was.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { basename, dirname, resolve } from "node:path";
import { whyNot } from "../runtimes.ts";

/** A file that is cut off is no write: where that is lost, there is more than should be, and not less. */
const WRITES = ["write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto"];
const SYNCS = ["fdatasync", "fsync"];
const MOVES = ["rename", "renameat", "renameat2", "link", "linkat"];
const MAKES = ["open", "openat", "creat", "mkdir", "mkdirat"];

/** The arguments of strace: of all threads, with the paths of files; the report goes to `report`. */
export function straceArguments(report: string): string[] {
  const calls = [...WRITES, ...SYNCS, ...MOVES, ...MAKES].map((name) => `?${name}`).join();
  return ["strace", "-f", "-y", "-s", "200", "--seccomp-bpf", "-e", `trace=${calls}`, "-o", report];
}

/** Prints and gives the reason why nothing can be traced here; `false` where it can. */
export function whyNoTrace(test: string): string | false {
  return whyNot(test, () => {
    const { status, error } = spawnSync("strace", ["-f", "--seccomp-bpf", "true"]);
    if (error) throw new Error("there is no strace: apt-get install strace");
    if (status !== 0) throw new Error("strace may trace no process, or is older than 5.3");
  });
}

/** One call that succeeded. */
export interface Call {
  readonly kind: "write" | "sync" | "move" | "make";
  /** What is written, synced, made, or where a name goes; of what has none, as `pipe:[7]`. */
  readonly path: string;
  /** What another name is given. */
  readonly from?: string;
  readonly bytes: number;
  /** The first of what is written. */
  readonly text: string;
  /** Lines of the report: calls of several threads may overlap. */
  readonly startedAt: number;
  readonly endedAt: number;
}

/** Whether it is output to whoever started the program; Bun gives that descriptors of its own. */
export function isSaid({ kind, path }: Call): boolean {
  return kind === "write" && /^(pipe|socket):/.test(path);
}

/** Reads a report: what was done in `cwd`, where the program was started, and what it said. */
export function parseTrace(report: string, cwd: string): Call[] {
  const open = new Map<string, { readonly text: string; readonly startedAt: number }>();
  const calls: Call[] = [];
  report.split("\n").forEach((line, at) => {
    const [, thread, rest] = /^(\d+) +(.*)$/.exec(line) ?? [];
    if (thread === undefined) return;
    const unfinished = /^(.*) <unfinished \.\.\.>$/.exec(rest!);
    if (unfinished) {
      open.set(thread, { text: unfinished[1]!, startedAt: at });
      return;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest!);
    const begun = resumed && open.get(thread);
    if (resumed && !begun) return;
    open.delete(thread);
    const text = begun ? begun.text + resumed[1] : rest!;
    const call = parseCall(text, cwd, begun?.startedAt ?? at, at);
    const isOurs = call && (call.path === cwd || call.path.startsWith(`${cwd}/`));
    if (isOurs || call && isSaid(call)) calls.push(call);
  });
  return calls.sort((a, b) => a.startedAt - b.startedAt);
}

function parseCall(
  text: string,
  cwd: string,
  startedAt: number,
  endedAt: number,
): Call | undefined {
  const [, name = "", given = "", result = "-1"] = /^(\w+)\((.*)\) += (-?\d+)/.exec(text) ?? [];
  if (Number(result) < 0) return undefined;
  const times = { startedAt, endedAt, bytes: 0, text: "" };
  const [, path = ""] = /^\d+<([^>]*)>/.exec(given) ?? [];
  if (WRITES.includes(name)) {
    const [, written = ""] = /"((?:[^"\\]|\\.)*)"/.exec(given) ?? [];
    return { ...times, kind: "write", path, bytes: Number(result), text: written };
  }
  if (SYNCS.includes(name)) return { ...times, kind: "sync", path };
  // Paths are relative to the directory before them, or to where the program was started.
  const named = [...given.matchAll(/(?:<([^>]*)>, )?"((?:[^"\\]|\\.)*)"/g)]
    .map(([, directory = cwd, path]) => resolve(directory, path!));
  if (MOVES.includes(name)) return { ...times, kind: "move", from: named[0]!, path: named[1]! };
  const makes = !name.startsWith("open") || /\bO_CREAT\b/.test(given);
  return makes && named[0] ? { ...times, kind: "make", path: named[0] } : undefined;
}

/** A promise of the program: where it does this, what it has done there before must be safe. */
export interface Promised {
  readonly when: (call: Call) => boolean;
  /** Files and directories, with all in them. */
  readonly under: string;
}

/** The disk's own affairs, which may be lost. */
const isPassing = (path: string) => /^(lock|probe\.)/.test(basename(path));
/** What is in it is lost until it has its name. */
const isTemporary = (path: string) => path.endsWith(".tmp");

/** The calls that broke a promise, or gave a name to bytes that were not safe, each in a line. */
export function breaches(calls: readonly Call[], promises: readonly Promised[]): string[] {
  const found: string[] = [];
  /** What would be lost of a file or a directory, and when the last call for that ended. */
  const unsafe = new Map<string, { readonly what: string; readonly endedAt: number }>();
  const seen = new Set<string>();
  for (const { kind, path, from, startedAt, endedAt, ...call } of calls) {
    const blame = (what: string) => found.push(`line ${startedAt + 1}: ${what} not synced`);
    for (const { when, under } of promises) {
      if (!when({ kind, path, startedAt, endedAt, ...call })) continue;
      for (const [name, { what }] of unsafe) {
        const isMeant = name === under || name.startsWith(under + "/");
        if (isMeant && !isTemporary(name)) blame(what);
      }
    }
    if (isPassing(path)) continue;
    // One that began before the write had ended may have missed it.
    if (kind === "sync" && (unsafe.get(path)?.endedAt ?? Infinity) < startedAt) unsafe.delete(path);
    if (kind === "write") unsafe.set(path, { what: `bytes of ${path}`, endedAt });
    if (kind === "move" && unsafe.delete(from!)) blame(`bytes of ${from}`);
    const isNew = kind === "move" || kind === "make" && !isTemporary(path) && !seen.has(path);
    if (isNew) unsafe.set(dirname(path), { what: `name of ${path}`, endedAt });
    seen.add(path);
  }
  return found;
}
