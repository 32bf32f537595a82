/**
 * Tells a sink what of its blocks is safe and what is final, as L1 goes on.
 *
 * @module
 */
import type { Clock, L1BatchSource, L1Heads, L2BlockSink } from "../ports.ts";

/** What it stands between. */
export interface FinalityParts {
  readonly source: Pick<L1BatchSource, "l1Heads">;
  readonly sink: Pick<L2BlockSink, "noteL1Heads">;
  readonly clock: Clock;
}

/** Looks at the heads of L1, where the source knows them and the sink cares. */
export class Finality {
  readonly #parts: FinalityParts;
  readonly #intervalMs: number;
  #lookedAtMs = -Infinity;

  /** @param intervalMs how often it looks while there is work */
  constructor(parts: FinalityParts, intervalMs: number) {
    this.#parts = parts;
    this.#intervalMs = intervalMs;
  }

  /**
   * Looks, and tells. A sink takes what it was told before.
   *
   * @throws what source or sink threw: the next call does the same again
   */
  async look({ isCaughtUp }: { readonly isCaughtUp: boolean }): Promise<void> {
    const { source, sink, clock } = this.#parts;
    if (!source.l1Heads || !sink.noteL1Heads) return;
    const nowMs = clock.now();
    if (!isCaughtUp && nowMs - this.#lookedAtMs < this.#intervalMs) return;
    const heads: L1Heads = await source.l1Heads();
    await sink.noteL1Heads(heads);
    this.#lookedAtMs = nowMs;
  }
}
