/**
 * Where a deriver stood after each batch, so that it can go back there when L1 goes another way (design
 * `wire-format.md`, "Verdicts of derivation").
 *
 * @module
 */

/** Where a deriver goes on. */
export interface DeriverPosition {
  /** The batch number it waits for. */
  readonly nextBatchNumber: bigint;
  /** Timestamp of the last block it emitted, where there is one. */
  readonly lastTimestamp?: bigint;
}

/** Where a deriver stood once. */
export interface Standing {
  readonly position: DeriverPosition;
  /** The highest L1 block that anything accepted until then came from. */
  readonly l1Block: bigint;
  /**
   * The L1 block to read again from: a batch that waited then may lie below `l1Block`. What an earlier run
   * kept may lie above it, where that had read on since.
   */
  readonly readFrom: bigint;
  /** Blocks emitted until then, from wherever counting began. */
  readonly blocks: number;
}

/** A batch each; no reorganisation goes so deep. */
const MAX_STANDINGS = 20_000;

/** Before anything was read. */
const BEGINNING: Standing = {
  position: { nextBatchNumber: 0n },
  l1Block: -1n,
  readFrom: 0n,
  blocks: 0,
};

/** The way back. */
export class Undo {
  /** `l1Block` never falls from one to the next. */
  #standings: Standing[];

  /**
   * @param position where the deriver begins
   * @param history where earlier runs stood, the last at `position`
   */
  constructor(position: DeriverPosition, history: readonly Standing[]) {
    const isNew = position.nextBatchNumber === 0n;
    this.#standings = history.length === 0 && isNew ? [BEGINNING] : [...history];
  }

  /** Blocks emitted until now. */
  get blocks(): number {
    return this.#standings.at(-1)?.blocks ?? 0;
  }

  /** The highest L1 block that anything emitted came from; `undefined` where nobody knows. */
  get l1Block(): bigint | undefined {
    return this.#standings.at(-1)?.l1Block;
  }

  note(standing: Standing): void {
    // An earlier run may have read further than this one has by now.
    const highest = this.l1Block ?? -1n;
    const l1Block = highest > standing.l1Block ? highest : standing.l1Block;
    this.#standings.push({ ...standing, l1Block });
    if (this.#standings.length > MAX_STANDINGS) this.#standings.shift();
  }

  /** Where it stood last when nothing above `l1Block` counted; `undefined` where nobody knows. */
  find(l1Block: bigint): Standing | undefined {
    return this.#standings.findLast((each) => each.l1Block <= l1Block);
  }

  /** Forgets what came after, and that anything was read from `readFrom` on. */
  backTo(standing: Standing, readFrom: bigint): void {
    this.#standings.length = this.#standings.indexOf(standing);
    this.#standings.push({ ...standing, readFrom });
  }
}
