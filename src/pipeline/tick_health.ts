/**
 * Whether a loop does what it is there for: what its last tick failed with, and when one went well.
 *
 * @module
 */

/** How the ticks of a loop go. */
export interface LoopHealth {
  /** Milliseconds since 1970; `undefined` before a first tick went well. */
  readonly lastGoodAtMs: number | undefined;
  /** What failed last; `undefined` once a tick went well since. */
  readonly failure: unknown;
}

/** Notes it. */
export class TickHealth implements LoopHealth {
  #lastGoodAtMs: number | undefined;
  #failure: unknown;
  #hasFailed = false;

  get lastGoodAtMs(): number | undefined {
    return this.#lastGoodAtMs;
  }

  get failure(): unknown {
    return this.#failure;
  }

  begin(): void {
    this.#hasFailed = false;
  }

  /** It may go on all the same: a batch is submitted though no blocks could be read. */
  fail(error: unknown): void {
    this.#failure = error;
    this.#hasFailed = true;
  }

  end(nowMs: number): void {
    if (this.#hasFailed) return;
    this.#failure = undefined;
    this.#lastGoodAtMs = nowMs;
  }
}
