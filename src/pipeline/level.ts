/**
 * Which compression the next batch gets: the best one, or a faster one while the workers cannot keep up
 * (design `performance.md`, "Packing").
 *
 * To keep up is to seal as much of the chain's time as passes on the clock. So a backlog alone lowers
 * nothing: one of hours that is worked off at ten times the speed of the chain is best worked off at the
 * best level. What counts are batches behind which others were due already, and only where most of the
 * time went into waiting for their compression: a slow sink is not made faster by a lower level.
 *
 * @module
 */

/** One batch, when it was sealed. */
export interface Sealed {
  /** Seconds of the chain: from the last block of the batch before to its own last block. */
  readonly chainSeconds: number;
  readonly nowMs: number;
  /** How long its compression was waited for. */
  readonly waitedMs: number;
  /** Another whole batch is due that no worker is free for. */
  readonly isBacklog: boolean;
}

/** Why the step changed. */
export interface LevelChange {
  readonly reason: "behind" | "caught up";
  /** Of the batches that showed it: seconds of the chain, and how long they took. */
  readonly chainSeconds: number;
  readonly seconds: number;
}

/** Batches in a row without a backlog, after which a better level is tried. */
const CALM_BATCHES = 3;

/** Since when there is a backlog, and what was sealed since it was judged last. */
interface Late {
  readonly sinceMs: number;
  batches: number;
  chainSeconds: number;
  waitedMs: number;
}

/** A ladder of compressors, the best first, and the step that is taken now. */
export class LevelChoice<Step> {
  readonly #ladder: readonly Step[];
  /** Batches that are judged together: neighbours are often done at the same time. */
  readonly #judgedBatches: number;
  #step = 0;
  /** While there is a backlog. */
  #late: Late | undefined;
  #calmBatches = 0;

  /** @param atOnce how many batches are compressed at the same time */
  constructor(ladder: readonly Step[], atOnce: number) {
    this.#ladder = ladder;
    this.#judgedBatches = 2 * atOnce;
  }

  /** What the next batch is compressed with. */
  get step(): Step {
    return this.#ladder[this.#step]!;
  }

  /** Takes in one batch; gives the change that it brings about, if any. */
  note(batch: Sealed): LevelChange | undefined {
    this.#calmBatches = batch.isBacklog ? 0 : this.#calmBatches + 1;
    if (this.#calmBatches >= CALM_BATCHES) return this.#rise();
    if (this.#late) return this.#judge(this.#late, batch);
    if (batch.isBacklog) this.#judgeFrom(batch.nowMs);
    return undefined;
  }

  #judge(
    late: Late,
    { chainSeconds, nowMs, waitedMs, isBacklog }: Sealed,
  ): LevelChange | undefined {
    late.batches += 1;
    late.chainSeconds += chainSeconds;
    late.waitedMs += waitedMs;
    if (late.batches < this.#judgedBatches || !isBacklog) return undefined;
    this.#judgeFrom(nowMs);
    const tookMs = nowMs - late.sinceMs;
    // Timestamps that stand still tell nothing.
    const isTooSlow = late.chainSeconds > 0 && 1000 * late.chainSeconds < tookMs &&
      late.waitedMs > tookMs / 2;
    if (!isTooSlow || !this.#move(1)) return undefined;
    return { reason: "behind", chainSeconds: late.chainSeconds, seconds: tookMs / 1000 };
  }

  #rise(): LevelChange | undefined {
    this.#calmBatches = 0;
    this.#late = undefined;
    return this.#move(-1) ? { reason: "caught up", chainSeconds: 0, seconds: 0 } : undefined;
  }

  /** @returns whether there was such a step */
  #move(by: number): boolean {
    if (this.#ladder[this.#step + by] === undefined) return false;
    this.#step += by;
    return true;
  }

  #judgeFrom(sinceMs: number): void {
    this.#late = { sinceMs, batches: 0, chainSeconds: 0, waitedMs: 0 };
  }
}
