/**
 * Time of a simulation: it passes when nothing else can happen.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import type { Clock } from "../../src/ports.ts";

interface Sleeper {
  readonly atMs: number;
  readonly wake: () => void;
}

/** Who sleeps is woken at his moment, in the order of falling asleep, one at a time. */
export class SimulatedClock implements Clock {
  #offsetMs: number;
  #elapsedMs = 0;
  /** In the order in which they wake. */
  readonly #sleepers: Sleeper[] = [];

  constructor(startMs: number) {
    this.#offsetMs = startMs;
  }

  now(): number {
    return this.#offsetMs + this.#elapsedMs;
  }

  /** Milliseconds since the start, whatever the clock on the wall says. */
  get elapsedMs(): number {
    return this.#elapsedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        signal?.removeEventListener("abort", abort);
        resolve();
      };
      const sleeper = { atMs: this.#elapsedMs + Math.max(0, Math.ceil(ms)), wake };
      const abort = () => {
        this.#remove(sleeper);
        wake();
      };
      if (ms < Infinity) this.#insert(sleeper);
      signal?.addEventListener("abort", abort);
    });
  }

  /** Sets the clock on the wall; whoever sleeps goes on sleeping for as long. */
  jump(ms: number): void {
    this.#offsetMs += ms;
  }

  /**
   * Lets time pass until `isDone`.
   *
   * @throws {Error} where it goes on for longer than `limitMs`, or where everybody waits for ever
   */
  async run(isDone: () => boolean, limitMs: number): Promise<void> {
    for (;;) {
      await turn();
      if (isDone()) return;
      const next = this.#sleepers.shift();
      if (!next) throw new Error("it hangs: nobody will do anything more");
      if (next.atMs > limitMs) throw new Error(`it is not done after ${limitMs} ms`);
      this.#elapsedMs = next.atMs;
      next.wake();
    }
  }

  #insert(sleeper: Sleeper): void {
    let at = this.#sleepers.length;
    while (at > 0 && this.#sleepers[at - 1]!.atMs > sleeper.atMs) at -= 1;
    this.#sleepers.splice(at, 0, sleeper);
  }

  #remove(sleeper: Sleeper): void {
    const at = this.#sleepers.indexOf(sleeper);
    if (at >= 0) this.#sleepers.splice(at, 1);
  }
}

/** Lets all run that waits for nothing but its turn. */
function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
