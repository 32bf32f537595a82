/**
 * Wakes whoever sleeps.
 *
 * @module
 */
import type { Clock } from "../ports.ts";

/** A ring that comes while nobody sleeps ends the next sleep at once. */
export class Bell {
  #controller = new AbortController();

  ring(): void {
    this.#controller.abort();
  }

  /** Resolves after `ms`, or when it rings; with `Infinity` only then. */
  async sleep(clock: Clock, ms: number): Promise<void> {
    const { signal } = this.#controller;
    if (ms < Infinity) await clock.sleep(ms, signal);
    else if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    }
    if (signal.aborted) this.#controller = new AbortController();
  }
}
