/**
 * Which derived blocks are safe and which final: those whose L1 block is. L1 goes on one block at a time,
 * so of each L1 block only the last block derived from it is kept.
 *
 * @module
 */
import type { BlockRef } from "../engine.ts";
import type { L1Heads } from "../ports.ts";

/** A derived block. */
export interface DerivedMark extends BlockRef {
  /** The L1 block that it came from. */
  readonly l1Block: bigint;
}

/** The safe and the final block. */
export class DerivedHeads {
  /** Those above the final one; `number` and `l1Block` grow. */
  #marks: DerivedMark[] = [];
  #safe: BlockRef | undefined;
  #finalized: BlockRef | undefined;

  /** What was safe and final before. */
  constructor(safe?: BlockRef, finalized?: BlockRef) {
    this.#safe = safe;
    this.#finalized = finalized;
  }

  get safe(): BlockRef | undefined {
    return this.#safe;
  }

  get finalized(): BlockRef | undefined {
    return this.#finalized;
  }

  /** One more block was derived. A batch may have waited for one that came later: it stands no firmer. */
  push({ number, hash, l1Block }: DerivedMark): void {
    const before = this.#marks.at(-1)?.l1Block ?? l1Block;
    const highest = before > l1Block ? before : l1Block;
    if (before === highest) this.#marks.pop();
    this.#marks.push({ number, hash, l1Block: highest });
  }

  /** L1 went on. Neither head goes back: for that there is {@link DerivedHeads.backTo}. */
  note({ safe, finalized }: L1Heads): void {
    this.#safe = higher(this.#safe, this.#lastUpTo(safe));
    this.#finalized = higher(this.#finalized, this.#lastUpTo(finalized));
    const done = this.#finalized?.number ?? -1n;
    this.#marks = this.#marks.filter(({ number }) => number > done);
  }

  /** Blocks above were taken back. */
  backTo(block: DerivedMark): void {
    const below = this.#marks.filter(({ number }) => number < block.number);
    const hadAbove = below.length < this.#marks.length;
    // How high its L1 block was is known of the last one of each only: not above that of what is gone.
    this.#marks = hadAbove ? [...below, block] : below;
    if (this.#safe && this.#safe.number > block.number) this.#safe = block;
  }

  /** The L1 block that `number` came from, at the highest; `undefined` where nobody knows. */
  l1BlockOf(number: bigint): bigint | undefined {
    return this.#marks.find((mark) => mark.number >= number)?.l1Block;
  }

  #lastUpTo(l1Block: bigint): DerivedMark | undefined {
    return this.#marks.findLast((mark) => mark.l1Block <= l1Block);
  }
}

function higher(a: BlockRef | undefined, b: BlockRef | undefined): BlockRef | undefined {
  return a && (!b || b.number <= a.number) ? a : b;
}
