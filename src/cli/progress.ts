/**
 * Long work shows itself: how fast it goes, how much is left, how far behind the chain it is. On a terminal
 * that is one line which is written anew; off a terminal one line of the log every ten seconds. Who is
 * caught up, and who is so within ten seconds, shows nothing.
 *
 * @module
 */
import type { Clock, Log } from "../ports.ts";
import { isTerminal, systemClock, writeStatus } from "../runtime.ts";
import type { ProgressEvent } from "../types.ts";
import { type FlagValues, textOf } from "./command.ts";
import type { Described } from "./processor_log.ts";
import { countOf, timeText } from "./text.ts";

/** How a work stands. */
export interface WorkState {
  /** L2 blocks that this run is done with. */
  readonly blocks: number;
  /** What is left to be read; `undefined` where nobody knows. */
  readonly left: number | undefined;
  readonly leftUnit: ProgressEvent["leftUnit"];
  /** L2 blocks that were read, and are not done with. */
  readonly waiting?: number;
  /** Of the newest block that is done with, in Unix seconds. */
  readonly newestTimestamp?: bigint | undefined;
}

/** So much is left at least where work is long, and at most where it is caught up. */
const LONG: Readonly<
  Record<ProgressEvent["leftUnit"], { readonly from: number; readonly to: number }>
> = { "block": { from: 100, to: 10 }, "L1 block": { from: 32, to: 3 } };
const LOOK_MS = 500;
/** Off a terminal. */
const TELL_MS = 10_000;
/** Rates are those of so long. */
const WINDOW_MS = 30_000;

/** What a progress is made of. */
export interface ProgressParts {
  readonly task: ProgressEvent["task"];
  readonly read: () => WorkState;
  readonly clock: Clock;
  readonly log: Log;
  /** Rewrites a line; none off a terminal. `undefined` takes it away. */
  readonly show?: (line: string | undefined) => void;
}

interface Sample {
  readonly atMs: number;
  readonly blocks: number;
  /** Unknown before the first look at a chain. */
  readonly left: number | undefined;
}

/** Looks at a work as it goes on, and tells how. */
export class Progress {
  readonly #parts: ProgressParts;
  /** Of late, oldest first. */
  #samples: Sample[] = [];
  /** Since when it is long, and what was done by then. */
  #long: Sample | undefined;
  #toldAtMs = 0;
  #wasTold = false;

  constructor(parts: ProgressParts) {
    this.#parts = parts;
  }

  /** Looks until `signal` is aborted, and a last time then. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.look();
      await this.#parts.clock.sleep(LOOK_MS, signal);
    }
    this.look();
    this.#parts.show?.(undefined);
  }

  /** Looks once, and tells where it is time. */
  look(): void {
    const { clock, read, log, show } = this.#parts;
    const state = read();
    const { blocks, left } = state;
    const now = { atMs: clock.now(), blocks, left };
    this.#keep(now);
    if (left === undefined) return;
    const { from, to } = LONG[state.leftUnit];
    if (this.#long && left <= to) return this.#tellEnd(state, now);
    if (!this.#long && left < from) return;
    if (!this.#long) {
      this.#long = now;
      this.#toldAtMs = now.atMs;
      return;
    }
    if (show) {
      this.#wasTold = true;
      return show(describeProgress(this.#event(state, now)).text);
    }
    if (now.atMs - this.#toldAtMs < TELL_MS) return;
    this.#toldAtMs = now.atMs;
    this.#wasTold = true;
    log(this.#event(state, now));
  }

  #keep(now: Sample): void {
    this.#samples.push(now);
    while (this.#samples.length > 2 && this.#samples[1]!.atMs <= now.atMs - WINDOW_MS) {
      this.#samples.shift();
    }
  }

  #tellEnd(state: WorkState, now: Sample): void {
    const { log, show, task } = this.#parts;
    const { atMs, blocks } = this.#long!;
    const elapsedMs = now.atMs - atMs;
    this.#long = undefined;
    if (!this.#wasTold) return;
    this.#wasTold = false;
    show?.(undefined);
    log({
      event: "progress",
      task,
      isCaughtUp: true,
      blocks: now.blocks - blocks,
      blocksPerSecond: perSecond(now.blocks - blocks, elapsedMs),
      left: state.left!,
      leftUnit: state.leftUnit,
      elapsedMs,
      ...this.#standing(state, now),
    });
  }

  #event(state: WorkState, now: Sample): ProgressEvent {
    const [oldest] = this.#samples;
    const started = this.#samples.find(({ left, atMs }) =>
      left !== undefined && atMs >= this.#long!.atMs
    )!;
    // What the chain grows by meanwhile counts: without it, the end would never come nearer.
    const gone = started.left! - state.left!;
    const passedMs = now.atMs - started.atMs;
    const timeLeftMs = gone > 0 ? Math.round(state.left! * passedMs / gone) : undefined;
    return {
      event: "progress",
      task: this.#parts.task,
      isCaughtUp: false,
      blocks: state.blocks,
      blocksPerSecond: perSecond(now.blocks - oldest!.blocks, now.atMs - oldest!.atMs),
      left: state.left!,
      leftUnit: state.leftUnit,
      elapsedMs: now.atMs - this.#long!.atMs,
      ...(timeLeftMs === undefined ? {} : { timeLeftMs }),
      ...this.#standing(state, now),
    };
  }

  #standing({ waiting, newestTimestamp }: WorkState, { atMs }: Sample) {
    return {
      ...(waiting === undefined ? {} : { waiting }),
      ...(newestTimestamp === undefined
        ? {}
        : { lagMs: Math.max(0, atMs - Number(newestTimestamp) * 1000) }),
    };
  }
}

/** Shows the progress of a command, until it is stopped. */
export function startProgress(
  flags: FlagValues,
  parts: Pick<ProgressParts, "task" | "read" | "log">,
): { stop(): Promise<void> } {
  const level = textOf(flags, "logLevel") ?? "info";
  const isShown = isTerminal.stderr && textOf(flags, "logFormat") !== "json" &&
    ["debug", "info"].includes(level);
  const progress = new Progress({
    ...parts,
    clock: systemClock,
    ...(isShown ? { show: writeStatus } : {}),
  });
  const end = new AbortController();
  const running = progress.run(end.signal);
  return {
    async stop() {
      end.abort();
      await running;
    },
  };
}

const DONE = {
  batcher: "posted",
  deriver: "derived",
  verify: "compared",
  estimate: "read",
} as const;

/** In words. */
export function describeProgress(event: ProgressEvent): Described {
  const { task, isCaughtUp, blocks, blocksPerSecond, left, leftUnit, elapsedMs } = event;
  const { waiting, timeLeftMs, lagMs } = event;
  const rate = `${inThreeDigits(blocksPerSecond)} blocks/s`;
  const lag = lagMs === undefined ? [] : [`newest block ${timeText(lagMs)} old`];
  const done = `${DONE[task]} ${countOf(blocks, "block")}`;
  const taken = waiting ? [`${waiting} more taken`] : [];
  const parts = isCaughtUp
    ? [`caught up: ${done} in ${timeText(elapsedMs)}`, rate, ...taken, ...lag]
    : [
      done,
      ...taken,
      rate,
      `${countOf(left, leftUnit)} to go`,
      ...(timeLeftMs === undefined ? [] : [`${timeText(timeLeftMs)} left`]),
      ...lag,
    ];
  return {
    level: "info",
    text: parts.join(", "),
    fields: {
      task,
      caught_up: `${isCaughtUp}`,
      blocks,
      blocks_per_s: Number(inThreeDigits(blocksPerSecond)),
      left,
      left_unit: leftUnit,
      elapsed_ms: elapsedMs,
      ...(waiting === undefined ? {} : { waiting }),
      ...(timeLeftMs === undefined ? {} : { time_left_ms: timeLeftMs }),
      ...(lagMs === undefined ? {} : { lag_ms: lagMs }),
    },
  };
}

function perSecond(count: number, ms: number): number {
  return ms > 0 ? Math.max(0, count) * 1000 / ms : 0;
}

function inThreeDigits(value: number): string {
  return value >= 100 ? value.toFixed(0) : `${Number(value.toPrecision(3))}`;
}
