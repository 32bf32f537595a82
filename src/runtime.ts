/**
 * The process: its clock, its chance, its signals, its streams, and what differs between Deno, Bun and
 * Node.
 *
 * @module
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { writeFile } from "node:fs/promises";
import process from "node:process";
import { randomInt } from "node:crypto";
import { writeError } from "./local/disk.ts";
import type { Clock, Random } from "./ports.ts";

/** `setTimeout` takes no more, and returns at once then. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The clock of the machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      let leftMs = ms;
      let timer: ReturnType<typeof setTimeout>;
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const wait = () => {
        const partMs = Math.min(leftMs, LONGEST_TIMER_MS);
        leftMs -= partMs;
        timer = setTimeout(leftMs > 0 ? wait : done, partMs);
      };
      wait();
      signal?.addEventListener("abort", done);
    }),
};

/** The chance of the machine. */
export const systemRandom: Random = { next: () => randomInt(2 ** 32) / 2 ** 32 };

/** The runtime that runs this, and its version. */
export function runtimeName(): string {
  const { bun, deno, node } = process.versions;
  if (bun) return `bun ${bun}`;
  return deno ? `deno ${deno}` : `node ${node}`;
}

/**
 * What `new Worker()` of `node:worker_threads` takes to run a module of ours in a thread of its own.
 *
 * | this program                | what is different                                               |
 * | --------------------------- | --------------------------------------------------------------- |
 * | source, or a package        | nothing; in a package all is `.js`                              |
 * | Deno, imported by URL       | Deno takes no such URL, but a module of one line that imports it |
 * | executable, made with Bun   | all modules are named by its root; `scripts/build.ts` adds these |
 *
 * @param path of the module from the top of the repository: `src/local/compressor_worker.ts`
 * @param from where this module is
 */
export function workerUrl(path: string, from: string = import.meta.url): URL {
  const [, extension] = /\/src\/runtime(\.[jt]s)$/.exec(from) ?? [];
  if (extension === undefined) return new URL(`./${path}`, from);
  const url = new URL(`../${path.replace(/\.ts$/, extension)}`, from);
  if (url.protocol === "file:") return url;
  return new URL(`data:text/javascript,import ${encodeURIComponent(JSON.stringify(url.href))};`);
}

/** A file that is locked. */
export interface FileLock {
  release(): void;
}

/**
 * Takes the lock of a file, which one process on this machine can have at a time, and which the kernel
 * takes back from a process that is killed. The three runtimes have no call for such a lock in common,
 * but all have SQLite, which takes it the same way in each: so they exclude each other.
 *
 * The file is opened by SQLite alone: closing it in any other way would give the lock up (POSIX, `fcntl`).
 *
 * @returns `undefined` where it is taken, by this process too
 */
export function lockFile(path: string): FileLock | undefined {
  const database = new (sqlite().DatabaseSync)(path);
  try {
    database.exec("BEGIN EXCLUSIVE");
    return { release: () => database.close() };
  } catch (error) {
    database.close();
    if (/is locked/.test(String(error))) return undefined;
    throw error;
  }
}

/** Node 22 warns of its SQLite, on standard error and at each start. */
function sqlite(): typeof import("node:sqlite") {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule("node:sqlite");
  } finally {
    process.emitWarning = emitWarning;
  }
}

/**
 * What of the memory is written when a process dies of a fault: nothing, from now on, in this process and
 * those that it starts. Linux alone has such a switch (core(5)).
 */
export async function leaveMemoryOutOfCores(): Promise<void> {
  // Where it cannot be had, the limits of the service have to do it: `LimitCORE=0`.
  await writeFile("/proc/self/coredump_filter", "0").catch(() => {});
}

/**
 * Aborts at the first SIGINT, SIGTERM or SIGHUP; ends the process with 130 at the second.
 *
 * @param onFirst told which signal it was
 */
export function onShutdownSignal(onFirst: (name: string) => void): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) {
        takeStatusAway();
        process.exit(130);
      }
      onFirst(name);
      controller.abort();
    });
  }
  return controller.signal;
}

/**
 * Writes to standard output, and resolves when it is handed over.
 *
 * @throws {SinkError} `NoSpace` or `Unwritable`
 */
export async function writeStdout(data: string | Uint8Array): Promise<void> {
  quieten(process.stdout);
  const isBelow = status !== "" && isTerminal.stdout;
  try {
    if (isBelow) process.stderr.write(ERASE_LINE);
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(data, (error) => error ? reject(error) : resolve());
    });
    if (isBelow) process.stderr.write(status);
  } catch (cause) {
    throw writeError("output to", "standard output", cause);
  }
}

/** Who speaks: it goes with the calls that are made, and with what they wait for. */
const speaker = new AsyncLocalStorage<string>();

/** Lines that `action` writes to standard error begin with a name: several speak in one process. */
export function speakingAs<T>(name: string, action: () => T): T {
  return speaker.run(name, action);
}

/**
 * The name that is spoken under; `undefined` where one alone speaks. What comes from outside, as a request
 * does, comes under any name: whoever is called by it asks before, and says it.
 */
export function speakerName(): string | undefined {
  return speaker.getStore();
}

/**
 * Writes a line to standard error. Where that cannot be done, nobody listens: the work goes on.
 *
 * @param name whoever speaks; none where it is empty
 */
export function writeStderr(line: string, name: string = speakerName() ?? ""): void {
  quieten(process.stderr);
  const told = (name === "" ? line : `${name}: ${line}`) + "\n";
  try {
    process.stderr.write(status === "" ? told : ERASE_LINE + told + status);
  } catch {
    // Deno throws what Bun and Node emit.
  }
}

/** ECMA-48: to the first column, and nothing left in the line. */
const ERASE_LINE = "\r\x1b[2K";
/** What stands in the last line of the terminal. */
let status = "";
/** What each speaker has in it. */
const statuses = new Map<string, string>();

/**
 * Writes a line on a terminal in the place of the one before; other lines go above it. `undefined` takes
 * it away. Where several speak, it has room for all of them.
 */
export function writeStatus(line: string | undefined): void {
  if (line === undefined && status === "") return;
  quieten(process.stderr);
  const name = speakerName() ?? "";
  if (line === undefined) statuses.delete(name);
  else statuses.set(name, name === "" ? line : `${name}: ${line}`);
  // One that wraps could not be taken away again.
  status = [...statuses.values()].join(" · ").slice(0, (process.stderr.columns || 80) - 1);
  try {
    process.stderr.write(ERASE_LINE + status);
  } catch {
    // As above.
  }
}

/** Of all that speak. */
function takeStatusAway(): void {
  statuses.clear();
  writeStatus(undefined);
}

/** The write that fails tells its caller; without a listener the process would end with a trace. */
function quieten(stream: NodeJS.WriteStream): void {
  if (stream.listenerCount("error") === 0) stream.on("error", () => {});
}

/** All of standard input. */
export async function readStdin(): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of stdinChunks()) parts.push(part);
  return new Uint8Array(Buffer.concat(parts));
}

/** Standard input, piece by piece. */
export function stdinChunks(): AsyncIterable<Uint8Array> {
  return process.stdin;
}

/** Calls `action` at each SIGUSR1. */
export function onUserSignal(action: () => void): void {
  process.on("SIGUSR1", action);
}

/** Whether a person looks at it. */
export const isTerminal: { readonly stdout: boolean; readonly stderr: boolean } = {
  stdout: process.stdout.isTTY === true,
  stderr: process.stderr.isTTY === true,
};

/**
 * Loads a package on first use: by URL under its pinned name, else under its bare one, which `deno.json` or a
 * bundler maps. A copy of the sources in another program has no such map: there Deno takes the pinned name too.
 *
 * @param from `import.meta.url` of who asks
 * @param pinned out of a variable, since whoever knows the text would fetch it with the sources
 */
export async function loadPackage<T>(
  from: string,
  bare: () => Promise<T>,
  pinned: string,
): Promise<T> {
  if (from.startsWith("http")) return await import(pinned);
  try {
    return await bare();
  } catch (cause) {
    if (!("Deno" in globalThis)) throw cause;
    return await import(pinned).catch(() => {
      throw cause;
    });
  }
}

/** Sends a text as one datagram; whether somebody took it. */
export type SendDatagram = (text: string) => boolean;

interface SocketCalls {
  socket(domain: number, type: number, protocol: number): number;
  sendto(
    socket: number,
    data: Uint8Array<ArrayBuffer>,
    length: bigint,
    flags: number,
    address: Uint8Array<ArrayBuffer>,
    addressLength: number,
  ): bigint | number;
}

/** socket(2) on Linux: AF_UNIX, SOCK_DGRAM with SOCK_CLOEXEC; MSG_DONTWAIT with MSG_NOSIGNAL. */
const UNIX = 1;
const DATAGRAM = 0o2000002;
const AT_ONCE = 0x4040;

/**
 * Datagrams to a unix socket, which `node:dgram` has not: by the C library, which Bun and Deno can call.
 *
 * @param path where it is; after `@` a name in the abstract namespace
 * @returns nothing under Node, on other systems than Linux, or where Deno may not call it (`--allow-ffi`)
 */
export async function unixDatagrams(path: string): Promise<SendDatagram | undefined> {
  const calls = process.platform === "linux"
    ? await socketCalls().catch(() => undefined)
    : undefined;
  if (!calls) return undefined;
  const encoder = new TextEncoder();
  const name = encoder.encode(path.startsWith("@") ? `\0${path.slice(1)}` : `${path}\0`);
  // The family, in the order of this machine's bytes, then the path (unix(7)).
  const address = new Uint8Array(2 + name.length);
  new Uint16Array(address.buffer, 0, 1)[0] = UNIX;
  address.set(name, 2);
  const socket = calls.socket(UNIX, DATAGRAM, 0);
  if (socket < 0) return undefined;
  return (text) => {
    const data = encoder.encode(text);
    const { length } = data;
    return Number(calls.sendto(socket, data, BigInt(length), AT_ONCE, address, address.length)) ===
      length;
  };
}

async function socketCalls(): Promise<SocketCalls | undefined> {
  const { bun, deno } = process.versions;
  if (deno) {
    const { dlopen } = (globalThis as unknown as { Deno: DynamicLibraries }).Deno;
    return dlopen("libc.so.6", {
      socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
      sendto: { parameters: ["i32", "buffer", "usize", "i32", "buffer", "u32"], result: "isize" },
    }).symbols;
  }
  if (!bun) return undefined;
  // Out of a variable, since the other runtimes know no such module.
  const module = "bun:ffi";
  const { dlopen } = await import(module) as DynamicLibraries;
  return dlopen("libc.so.6", {
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
  }).symbols;
}

interface DynamicLibraries {
  dlopen(path: string, calls: Readonly<Record<string, unknown>>): { readonly symbols: SocketCalls };
}
