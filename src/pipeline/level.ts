/**
 * Which compression the next batch gets: the best one, or a faster one while the workers cannot keep up
 * (design `performance.md`, "Packing").
 *
 * To keep up is to seal as much of the chain's time as passes on the clock. So a backlog alone lowers
 * nothing: one of hours that is worked off at ten times the speed of the chain is best worked off at the
 * best level. What counts are batches that had to wait for their compression while another whole batch
 * was due behind them; where one of them did not, the count begins anew.
 *
 * @module
 */
/** One batch, when its compression was waited for. */
export interface Sealed {
  /** Seconds of the chain: from the last block of the batch before to its own last block. */
  readonly chainSeconds: number;
  readonly nowMs: number;
  /** It had to be waited for, and another whole batch is due that no worker is free for. */
  readonly isBehind: boolean;
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

/** A ladder of compressors, the best first, and the step that is taken now. */
export class LevelChoice<Step> {
  readonly #ladder: readonly Step[];
  /** Batches that must have been late: the first few were begun before there was any hurry. */
  readonly #leastBatches: number;
  #step = 0;
  /** While batches are late: since when. */
  #lateSinceMs: number | undefined;
  #batches = 0;
  #chainSeconds = 0;

  /** @param atOnce how many batches are compressed at the same time */
  constructor(ladder: readonly Step[], atOnce: number) {
    this.#ladder = ladder;
    this.#leastBatches = 2 * atOnce;
  }

  /** What the next batch is compressed with. */
  get step(): Step {
    return this.#ladder[this.#step]!;
  }

  /** Takes in one batch; gives the change that it brings about, if any. */
  note(batch: Sealed): LevelChange | undefined {
    return batch.isBehind ? this.#noteLate(batch) : this.#noteCalm();
  }

  #noteLate({ chainSeconds, nowMs }: Sealed): LevelChange | undefined {
    if (this.#lateSinceMs === undefined) {
      this.#restart(nowMs);
      return undefined;
    }
    this.#batches += 1;
    this.#chainSeconds += chainSeconds;
    const seconds = (nowMs - this.#lateSinceMs) / 1000;
    if (this.#batches < this.#leastBatches) return undefined;
    const change = { reason: "behind" as const, chainSeconds: this.#chainSeconds, seconds };
    this.#restart(nowMs);
    // Timestamps that stand still tell nothing.
    const isTooSlow = change.chainSeconds > 0 && change.chainSeconds < seconds;
    return isTooSlow && this.#move(1) ? change : undefined;
  }

  #noteCalm(): LevelChange | undefined {
    if (this.#lateSinceMs !== undefined) this.#restart(undefined);
    this.#batches += 1;
    if (this.#batches < CALM_BATCHES) return undefined;
    this.#restart(undefined);
    return this.#move(-1) ? { reason: "caught up", chainSeconds: 0, seconds: 0 } : undefined;
  }

  /** @returns whether there was such a step */
  #move(by: number): boolean {
    if (this.#ladder[this.#step + by] === undefined) return false;
    this.#step += by;
    return true;
  }

  #restart(lateSinceMs: number | undefined): void {
    this.#lateSinceMs = lateSinceMs;
    this.#batches = 0;
    this.#chainSeconds = 0;
  }
}
