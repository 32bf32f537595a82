/**
 * A sequencer as a process, `montana superblock`, whose clock is wrong, that is killed and started again.
 *
 * @module
 */
import { ok, strictEqual as equal } from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { clearSkew, skewedBy } from "../skewed_clock.ts";
import { type Running, start } from "./montana.ts";

/** A line of its log. */
export interface Told {
  readonly event: string;
  readonly ts: string;
  readonly [field: string]: unknown;
}

/** How a sequencer is started. */
export interface SequencerOptions {
  readonly name: string;
  readonly cwd: string;
  /** Its clock is so far ahead. */
  readonly skewMs: number;
  /** What `--config` names. */
  readonly yaml: string;
  readonly flags: readonly string[];
}

/** A life takes no longer. */
const LIFE_LIMIT_MS = 30 * 60_000;

/** Lives of one sequencer, over one data directory. */
export class SequencerProcess implements AsyncDisposable {
  readonly name: string;
  readonly skewMs: number;
  readonly dataDirectory: string;
  readonly #options: SequencerOptions;
  readonly #ended: Told[] = [];
  #life: Running | undefined;
  #url: string | undefined;

  constructor(options: SequencerOptions) {
    this.#options = options;
    this.name = options.name;
    this.skewMs = options.skewMs;
    this.dataDirectory = join(options.cwd, "data");
  }

  /** Where it listens; `undefined` while it does not. */
  get url(): string | undefined {
    return this.#url;
  }

  async start(): Promise<void> {
    const { cwd, yaml, flags, skewMs } = this.#options;
    await mkdir(cwd, { recursive: true });
    await writeFile(join(cwd, "montana.yaml"), yaml);
    const args = ["superblock", "--config", "montana.yaml", "--data-dir", "data"];
    const startedAtMs = Date.now();
    const life = start([...args, "--listen", "0", "--log-format", "json", ...flags], {
      cwd,
      env: skewedBy(skewMs),
      timeoutMs: LIFE_LIMIT_MS,
    });
    this.#life = life;
    await life.untilSaid(/listening on http\S+\d\b/);
    this.#url = /listening on (http:\/\/[\w.]+:\d+)/.exec(life.stderr)![1];
    if (this.#ended.length === 0) await this.#checkClock(life, startedAtMs);
  }

  /** Fails where the life has ended by itself. */
  async kill(): Promise<void> {
    const { code, stderr } = await this.#end("SIGKILL");
    equal(code, null, `${this.name} ended by itself: ${stderr}`);
  }

  /** As an operator does. */
  async stop(): Promise<void> {
    const { code, stderr } = await this.#end("SIGTERM");
    equal(code, 0, `${this.name}: ${stderr}`);
  }

  /** What its lives have told of one kind. */
  told(event: string): readonly Told[] {
    const all = [...this.#ended, ...this.#life ? linesOf(this.#life.stderr) : []];
    return all.filter((each) => each.event === event);
  }

  /** Waits until something is so; fails where the life has ended instead. */
  async until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    await this.#life!.until(`${this.name}: ${what}`, isSo);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const life = this.#life;
    if (!life) return;
    await life[Symbol.asyncDispose]();
    clearSkew(life.pid);
  }

  /** What it says first, it says by a clock that is wrong by just so much. */
  async #checkClock(life: Running, startedAtMs: number): Promise<void> {
    await life.until("it tells something", () => linesOf(life.stderr).length > 0);
    const trueMs = Date.parse(linesOf(life.stderr)[0]!.ts) - this.skewMs;
    const isSo = startedAtMs - 1 <= trueMs && trueMs <= Date.now() + 1;
    ok(isSo, `${this.name}: ${trueMs} is not between ${startedAtMs} and ${Date.now()}`);
  }

  async #end(signal: "SIGKILL" | "SIGTERM") {
    const life = this.#life!;
    this.#url = undefined;
    life.send(signal);
    const outcome = await life.ended;
    this.#ended.push(...linesOf(outcome.stderr));
    this.#life = undefined;
    clearSkew(life.pid);
    return outcome;
  }
}

/** The last line of a life that was killed may be half of one. */
function linesOf(stderr: string): Told[] {
  return stderr.split("\n").flatMap((line) => {
    try {
      return line.startsWith("{") ? [JSON.parse(line)] : [];
    } catch {
      return [];
    }
  });
}
