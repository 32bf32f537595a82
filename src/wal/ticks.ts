/**
 * The interval of a processor, as arithmetic over a clock that is asked by others. Ticks keep their
 * phase; those that were missed are one, and a tick at which nothing waited is none.
 *
 * @module
 */

/** Every so many milliseconds, from a start. */
export class Ticks {
  readonly #intervalMs: number;
  #nextMs: number;

  constructor(intervalMs: number, nowMs: number) {
    this.#intervalMs = intervalMs;
    this.#nextMs = nowMs + intervalMs;
  }

  /** Milliseconds until the next tick; 0 when it is due. */
  dueInMs(nowMs: number): number {
    // A clock that was set back must not make what waits wait for longer than an interval.
    this.#nextMs = Math.min(this.#nextMs, nowMs + this.#intervalMs);
    return Math.max(0, this.#nextMs - nowMs);
  }

  /** Leaves behind all ticks up to now: what they were for is done, or there was nothing. */
  pass(nowMs: number): void {
    if (this.#nextMs > nowMs) return;
    const missed = this.#intervalMs > 0 ? Math.floor((nowMs - this.#nextMs) / this.#intervalMs) : 0;
    this.#nextMs = this.#intervalMs > 0 ? this.#nextMs + (missed + 1) * this.#intervalMs : nowMs;
  }
}
