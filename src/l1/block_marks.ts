/**
 * Numbers and hashes of the L1 blocks that were read: what a reorganisation is seen by, and what tells
 * how far down it goes.
 *
 * @module
 */
import { equalBytes } from "../wire/bytes.ts";

/** An L1 block that was read. */
export interface BlockMark {
  readonly number: bigint;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

/** Marks in ascending order, the oldest of which go when there are too many. */
export class BlockMarks {
  readonly #maxMarks: number;
  readonly #marks: BlockMark[];
  #hasForgotten = false;

  /** @param marks in any order, one a number */
  constructor(maxMarks: number, marks: readonly BlockMark[] = []) {
    this.#maxMarks = maxMarks;
    this.#marks = [...marks].sort((a, b) => a.number < b.number ? -1 : 1);
    this.#forgetOldest();
  }

  get top(): BlockMark | undefined {
    return this.#marks.at(-1);
  }

  get bottom(): BlockMark | undefined {
    return this.#marks[0];
  }

  /** Whether marks were there below the lowest. */
  get hasForgotten(): boolean {
    return this.#hasForgotten;
  }

  /** Adds one above all others. */
  push(mark: BlockMark): void {
    this.#marks.push(mark);
    this.#forgetOldest();
  }

  hashOf(number: bigint): Uint8Array | undefined {
    const found = this.#marks[this.#indexOf(number)];
    return found?.number === number ? found.hash : undefined;
  }

  /** The lowest mark above a number; of all, where none is told. */
  above(number: bigint | undefined): BlockMark | undefined {
    return number === undefined ? this.bottom : this.#marks[this.#indexOf(number + 1n)];
  }

  /** Of the lowest mark that is not below `number`. */
  #indexOf(number: bigint): number {
    const { top } = this;
    if (!top || top.number < number) return this.#marks.length;
    let [low, high] = [0, this.#marks.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#marks[middle]!.number < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * The highest mark up to `number`, the lowest of all, and of those between the next at 1, 2, 4 … blocks
   * down: of what is left of them after another restart, and another one, as many are left.
   */
  sparse(number: bigint): BlockMark[] {
    const kept: BlockMark[] = [];
    let next = number;
    let distance = 1n;
    for (const mark of this.#marks.toReversed()) {
      if (mark.number > next && mark !== this.bottom) continue;
      if (mark.number > number) continue;
      const top = kept.at(-1)?.number ?? mark.number;
      kept.unshift(mark);
      while (top - distance >= mark.number) distance *= 2n;
      next = top - distance;
    }
    return kept;
  }

  /** Those up to `number`. */
  upTo(number: bigint): BlockMarks {
    const marks = new BlockMarks(
      this.#maxMarks,
      this.#marks.filter((mark) => mark.number <= number),
    );
    marks.#hasForgotten = this.#hasForgotten;
    return marks;
  }

  /**
   * The highest mark up to `number` that is still on the chain; `undefined` where none is. Where a block is
   * on it, all below are: few questions are enough, also for one far down.
   *
   * @param hashNow hash of a block of the chain as it is now
   */
  async highestOn(
    number: bigint,
    hashNow: (number: bigint) => Promise<Uint8Array>,
  ): Promise<BlockMark | undefined> {
    const marks = this.#marks.filter((mark) => mark.number <= number);
    const isOn = async (index: number) =>
      equalBytes(await hashNow(marks[index]!.number), marks[index]!.hash);
    let [on, off] = [-1, marks.length];
    // Most reorganisations are short, so from the top: 1, 2, 4 … blocks down.
    for (let step = 1; off - step >= 0; step *= 2) {
      if (await isOn(off - step)) {
        on = off - step;
        break;
      }
      off -= step;
    }
    while (off - on > 1) {
      const middle = (on + off) >> 1;
      if (await isOn(middle)) on = middle;
      else off = middle;
    }
    return marks[on];
  }

  #forgetOldest(): void {
    const extra = this.#marks.length - this.#maxMarks;
    if (extra <= 0) return;
    this.#marks.splice(0, extra);
    this.#hasForgotten = true;
  }
}
