/**
 * Blocks that were taken and that no batch holds yet, in order.
 *
 * @module
 */
import type { L2Block } from "../types.ts";
import { encodedBlockSize } from "../wire/batch.ts";

/** A block on its way into a batch. */
export interface WaitingBlock {
  readonly block: L2Block;
  /** Bytes it takes inside a raw batch. */
  readonly size: number;
  /** When it was taken from the source, in milliseconds of the clock. */
  readonly takenAtMs: number;
}

/** The queue in front of the packer. */
export class WaitingBlocks {
  #blocks: WaitingBlock[] = [];
  #rawBytes = 0;

  get length(): number {
    return this.#blocks.length;
  }

  /** What they take inside a raw batch, its header aside. */
  get rawBytes(): number {
    return this.#rawBytes;
  }

  get first(): WaitingBlock | undefined {
    return this.#blocks[0];
  }

  get last(): L2Block | undefined {
    return this.#blocks.at(-1)?.block;
  }

  /** All of them, as they stand now. */
  get all(): readonly WaitingBlock[] {
    return this.#blocks;
  }

  /** Adds one behind the others. */
  push(block: L2Block, takenAtMs: number): void {
    const size = encodedBlockSize(block);
    this.#blocks.push({ block, size, takenAtMs });
    this.#rawBytes += size;
  }

  /** Removes the first `count` and gives them. */
  take(count: number): readonly WaitingBlock[] {
    const taken = this.#blocks.splice(0, count);
    this.#rawBytes -= rawSize(taken);
    return taken;
  }

  /** Removes those behind block `number`, and tells how many they were. */
  dropAfter(number: bigint): number {
    const keep = this.#blocks.findIndex(({ block }) => block.number! > number);
    if (keep < 0) return 0;
    const dropped = this.#blocks.splice(keep);
    this.#rawBytes -= rawSize(dropped);
    return dropped.length;
  }

  /** Puts blocks that were taken in front again. */
  putBack(blocks: readonly WaitingBlock[]): void {
    this.#blocks = [...blocks, ...this.#blocks];
    this.#rawBytes += rawSize(blocks);
  }
}

/** Raw bytes of the first `count` blocks. */
export function rawSize(
  waiting: readonly WaitingBlock[],
  count: number = waiting.length,
): number {
  let size = 0;
  for (let index = 0; index < count; index++) size += waiting[index]!.size;
  return size;
}

/** How many of the first blocks have at most `rawBytes` together. */
export function countWithin(waiting: readonly WaitingBlock[], rawBytes: number): number {
  let size = 0;
  for (const [index, each] of waiting.entries()) {
    size += each.size;
    if (size > rawBytes) return index;
  }
  return waiting.length;
}
