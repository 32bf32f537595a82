/**
 * Waiting: until something happens, and no longer than so long.
 *
 * @module
 */
import type { Clock } from "../ports.ts";

/** Timers count 31 bits of milliseconds; one that is longer would end at once. */
const LONGEST_MS = 2 ** 31 - 1;

/** A sleep that can be ended. */
export class Waker {
  #sleep: AbortController | undefined;

  get isAsleep(): boolean {
    return this.#sleep !== undefined;
  }

  /** Sleeps for `ms`, or without it until it is woken. */
  async sleep(clock: Clock, ms?: number): Promise<void> {
    const sleep = this.#sleep = new AbortController();
    if (ms === undefined) {
      await new Promise((resolve) => sleep.signal.addEventListener("abort", resolve));
    } else {
      await clock.sleep(Math.min(ms, LONGEST_MS), sleep.signal);
    }
    this.#sleep = undefined;
  }

  /** Ends the sleep under way, if any. */
  wake(): void {
    this.#sleep?.abort();
  }
}

/**
 * What `promise` gives, unless `deadlineMs` passes before.
 *
 * @param late the error then
 */
export async function within<T>(
  promise: Promise<T>,
  deadlineMs: number | undefined,
  clock: Clock,
  late: () => Error,
): Promise<T> {
  if (deadlineMs === undefined) return await promise;
  const done = new AbortController();
  const tooLate = clock.sleep(Math.min(deadlineMs, LONGEST_MS), done.signal).then(() => {
    throw late();
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    done.abort();
  }
}
