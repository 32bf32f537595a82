/**
 * The last blocks that an execution client was handed, for one that loses some of them, as clients do that
 * are killed: what they had not written down.
 *
 * @module
 */
import type { BlockRef } from "../engine.ts";
import type { DerivedBlock } from "../types.ts";

const MAX_BYTES = 32 * 2 ** 20;
/** What a block takes besides its transactions. */
const BLOCK_BYTES = 512;

interface Entry extends BlockRef {
  /** None for the block that handing over began behind. */
  readonly block: DerivedBlock | undefined;
  readonly bytes: number;
}

/** Remembers blocks, bounded in bytes; they follow each other. */
export class RecentBlocks {
  #entries: Entry[] = [];
  #bytes = 0;

  push({ number, hash }: BlockRef, block?: DerivedBlock): void {
    this.cutTo(number - 1n);
    const transactions = block?.transactions ?? [];
    const bytes = transactions.reduce((sum, each) => sum + each.length, BLOCK_BYTES);
    this.#entries.push({ number, hash, block, bytes });
    this.#bytes += bytes;
    while (this.#bytes > MAX_BYTES && this.#entries.length > 1) {
      this.#bytes -= this.#entries.shift()!.bytes;
    }
  }

  hashAt(number: bigint): Uint8Array | undefined {
    return this.#entries.find((each) => each.number === number)?.hash;
  }

  /** Those above a number that is remembered itself. */
  after(number: bigint): readonly DerivedBlock[] {
    return this.#entries.filter((each) => each.number > number).map(({ block }) => block!);
  }

  /** Forgets those above a number. */
  cutTo(number: bigint): void {
    while ((this.#entries.at(-1)?.number ?? number) > number) {
      this.#bytes -= this.#entries.pop()!.bytes;
    }
  }
}
