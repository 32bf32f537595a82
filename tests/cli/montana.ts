/**
 * Starts the program as its users do, as a process: the executable that `MONTANA_CLI` names, or `cli.ts`
 * under the runtime that runs the test. Each process is ended by its id, whatever becomes of the test.
 *
 * @module
 */
import { doesNotMatch, match, ok, strictEqual as equal } from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { layTraps, openTraps, sprung } from "./traps.ts";

const source = fileURLToPath(new URL("../../cli.ts", import.meta.url));

function commandFor(entry: string): readonly string[] {
  if (process.env["MONTANA_CLI"]) return [process.env["MONTANA_CLI"]];
  if (process.versions["bun"]) return [process.execPath, entry];
  return [process.execPath, "run", "-A", entry];
}

const traps = process.env["MONTANA_TRAPS"] ? openTraps(process.env["MONTANA_TRAPS"]) : undefined;

/** A process that takes longer hangs. */
const LIMIT_MS = 120_000;

/** How the program is started. */
export interface RunOptions {
  /** Given whole, and ended; nothing otherwise. `"open"` stays open, for {@link Running.feed}. */
  readonly stdin?: string | Uint8Array;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly timeoutMs?: number;
  /** An executable to start instead, in `cwd` as it is, and with no environment but `env`. */
  readonly alone?: string;
  /** A module to run in place of `cli.ts`; none for an executable. */
  readonly entry?: string;
  /** A program that starts it, with its arguments, as `["strace", "-f"]`. */
  readonly under?: readonly string[];
}

/** How it ended. */
export interface Outcome {
  /** `null` where a signal ended it. */
  readonly code: number | null;
  readonly stdout: Uint8Array;
  readonly stderr: string;
}

/** A program that runs; disposing of it kills it. */
export class Running implements AsyncDisposable {
  readonly ended: Promise<Outcome>;
  readonly #child: ChildProcess;
  readonly #command: string;
  readonly #out: Uint8Array[] = [];
  readonly #error: Uint8Array[] = [];
  #outcome: Outcome | undefined;

  constructor(args: readonly string[], options: RunOptions) {
    const { stdin = "", env, timeoutMs, alone, entry = source, under = [] } = options;
    const command = alone === undefined ? commandFor(entry) : [alone];
    const [file, ...first] = [...under, ...command];
    const cwd = options.cwd ?? traps?.directory;
    if (traps && alone === undefined) layTraps(cwd!, traps);
    this.#command = `montana ${args.join(" ")}`;
    this.#child = spawn(file!, [...first, ...args], {
      env: alone === undefined
        ? { ...process.env, NO_COLOR: "1", ...(traps ? { HOME: traps.directory } : {}), ...env }
        : { ...env },
      stdio: "pipe",
      ...(cwd === undefined ? {} : { cwd }),
    });
    const { stdin: input, stdout, stderr } = this.#child;
    // A program that does not read to the end is no fault of the test.
    input!.on("error", () => {});
    if (stdin !== "open") input!.end(stdin);
    stdout!.on("data", (chunk: Uint8Array) => this.#out.push(chunk));
    stderr!.on("data", (chunk: Uint8Array) => this.#error.push(chunk));

    const limitMs = timeoutMs ?? LIMIT_MS;
    this.ended = new Promise((resolve, reject) => {
      const limit = setTimeout(() => {
        this.send("SIGKILL");
        reject(new Error(`${this.#command} took more than ${limitMs} ms: ${this.stderr}`));
      }, limitMs);
      this.#child.once("error", reject);
      this.#child.once("close", (code) => {
        clearTimeout(limit);
        this.#outcome = { code, stdout: this.stdout, stderr: this.stderr };
        const loaded = traps ? sprung(traps) : "";
        if (loaded === "") resolve(this.#outcome);
        else reject(new Error(`${this.#command} ran into traps: ${loaded}`));
      });
    });
    // Whoever waits for it is told; a test that failed before must not fail twice.
    this.ended.catch(() => {});
  }

  get pid(): number {
    return this.#child.pid!;
  }

  /** Standard output so far. */
  get stdout(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.#out));
  }

  /** Standard error so far. */
  get stderr(): string {
    return Buffer.concat(this.#error).toString();
  }

  send(signal: "SIGTERM" | "SIGINT" | "SIGHUP" | "SIGKILL" | "SIGUSR1"): void {
    if (this.#outcome) return;
    try {
      // Not by `kill()` of the child: under Deno its exit code would then be lost.
      process.kill(this.#child.pid!, signal);
    } catch {
      // It has ended by itself.
    }
  }

  /** More standard input; `end` closes it. */
  feed(text: string | Uint8Array, { end = false } = {}): void {
    if (end) this.#child.stdin!.end(text);
    else this.#child.stdin!.write(text);
  }

  /** Reads no more of its standard output. */
  closeStdout(): void {
    this.#child.stdout!.destroy();
  }

  /** Waits until something is so; fails at once where the program ended instead. */
  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = Date.now() + LIMIT_MS;
    while (!await isSo()) {
      ok(!this.#outcome, `${this.#command} ended before ${what}: ${this.stderr}`);
      ok(Date.now() < deadline, `${this.#command} runs, but not: ${what}: ${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Waits for words on standard error. */
  untilSaid(text: string | RegExp): Promise<void> {
    const isSaid = () =>
      typeof text === "string" ? this.stderr.includes(text) : text.test(this.stderr);
    return this.until(`it says ${text}`, isSaid);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.send("SIGKILL");
    await this.ended.catch(() => {});
  }
}

/** Starts it; `args` are words, or one text with spaces between them. */
export function start(args: string | readonly string[], options: RunOptions = {}): Running {
  return new Running(wordsOf(args), options);
}

/** Runs it to its end. */
export async function run(
  args: string | readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  await using running = start(args, options);
  return await running.ended;
}

function wordsOf(args: string | readonly string[]): readonly string[] {
  return typeof args === "string" ? args.split(" ").filter((word) => word !== "") : args;
}

/** Standard output as text. */
export function textOf({ stdout }: Outcome): string {
  return new TextDecoder().decode(stdout);
}

/** Makes sure that it ended well, and gives its standard output. */
export function succeeded(outcome: Outcome): string {
  equal(outcome.code, 0, outcome.stderr);
  hasNoTrace(outcome);
  doesNotMatch(outcome.stderr, /^error: /m);
  return textOf(outcome);
}

/** Makes sure that it ended with `code`, one line that says why, and no stack trace. */
export function failed(outcome: Outcome, code: number, why: RegExp): void {
  equal(outcome.code, code, outcome.stderr);
  hasNoTrace(outcome);
  const errors = outcome.stderr.split("\n").filter((line) => line.startsWith("error: "));
  equal(errors.length, 1, outcome.stderr);
  match(errors[0]!, why);
}

/** Makes sure that no stack trace was printed, by us or by the runtime. */
export function hasNoTrace({ stderr }: Outcome): void {
  doesNotMatch(stderr, /^\s+at |file:\/\/|Uncaught|node:events|\.ts:\d+:\d+/m);
}

/** Runs `action` on each, two at a time: a start costs a tenth of a second. */
export async function inPairs<T>(
  items: Iterable<T>,
  action: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const work = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await action(item);
  };
  await Promise.all([work(), work()]);
}
