/**
 * One run of a simulation: its seed, its chance, its time, and what it came to.
 *
 * @module
 */
import { MontanaError } from "../../src/errors.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import type { Log } from "../../src/ports.ts";
import { SimulatedClock } from "./clock.ts";

/** What a run came to. */
export interface Outcome {
  /** What happened, a line each; equal for equal seeds. */
  readonly lines: readonly string[];
  /** How often something happened. */
  readonly counts: Readonly<Record<string, number>>;
}

/** A promise that was broken. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** 2026-01-01, in milliseconds. */
const START_MS = 1_767_225_600_000;

/** What all who take part in a run share. */
export class Run implements Outcome {
  readonly seed: number;
  readonly random: SeededRandom;
  readonly clock = new SimulatedClock(START_MS);
  readonly lines: string[] = [];
  readonly counts: Record<string, number> = {};
  readonly #isVerbose: boolean;
  #violation: Violation | undefined;
  /** From now on nothing goes wrong any more, and all must come to its end. */
  isCalm = false;

  constructor(seed: number, isVerbose = false) {
    this.seed = seed;
    this.random = new SeededRandom(Math.imul(seed + 1, 0x9e3779b1));
    this.#isVerbose = isVerbose;
  }

  /** The first promise that was found broken. */
  get violation(): Violation | undefined {
    return this.#violation;
  }

  /** From 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor(this.random.next() * limit);
  }

  /** From `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** From `least` to `most`, small ones as likely as large ones. */
  around(least: number, most: number): number {
    return Math.round(least * (most / least) ** this.random.next());
  }

  chance(probability: number): boolean {
    return this.random.next() < probability;
  }

  /** A chance that there is only while things go wrong. */
  mishap(probability: number): boolean {
    return !this.isCalm && this.chance(probability);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  say(line: string): void {
    this.lines.push(`${(this.clock.elapsedMs / 1000).toFixed(3)} ${line}`);
  }

  /** What only whoever looks for a cause wants to read. */
  whisper(line: () => string): void {
    if (this.#isVerbose) this.say(line());
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** Says it and counts it. */
  note(who: string, what: string, more = ""): void {
    this.count(what);
    this.say(`${who}: ${what}${more}`);
  }

  /** Events of a flow, by their names. */
  log(who: string): Log {
    return (event) => {
      const why = "error" in event ? `: ${nameOf(event.error)}` : "";
      this.note(who, event.event, why);
    };
  }

  /** @throws {Violation} where it is false; the run ends, whoever catches it */
  check(isKept: boolean, message: string): void {
    if (isKept) return;
    const violation = new Violation(message);
    this.#violation ??= violation;
    this.say(`violation: ${message}`);
    throw violation;
  }
}

/** An error in the trace. */
export function nameOf(error: unknown): string {
  if (error instanceof MontanaError) return `${error.name} ${error.code}`;
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
