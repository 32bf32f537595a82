/**
 * From the source into the journal: what was not written down yet is held, and not counted as taken.
 *
 * @module
 */
import type { BatchSource } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { encodedBlockSize } from "../wire/batch.ts";
import { asSourceError, backwards } from "./port_errors.ts";

/** Where blocks are written down before they count. */
export interface TakenJournal {
  taken(blocks: readonly L2Block[]): Promise<void>;
  /** The last `blocks` blocks count no more: those that are taken next stand in their place. */
  drop(blocks: number): void;
}

/** What one call brought. */
export interface Taken {
  readonly blocks: readonly L2Block[];
  /** What source or journal threw behind them; `InvalidBlock` for a block older than the one before. */
  readonly failure?: { readonly error: unknown };
}

/** Raw bytes that are written down at once. */
const CHUNK_BYTES = 8 * 1024 * 1024;

/** Asks a source, and never twice for the same block. */
export class Intake {
  readonly #source: BatchSource;
  readonly #journal: TakenJournal | undefined;
  #held: readonly L2Block[] = [];

  constructor(source: BatchSource, journal: TakenJournal | undefined) {
    this.#source = source;
    this.#journal = journal;
  }

  /** Blocks that the source gave, and that could not be written down. */
  get held(): number {
    return this.#held.length;
  }

  /**
   * The next blocks, which will not be forgotten.
   *
   * @param before the one in front of them
   */
  async take(before: L2Block | undefined): Promise<Taken> {
    const blocks: L2Block[] = [];
    try {
      if (this.#held.length === 0) this.#held = await this.#ask();
      while (this.#held.length > 0) {
        const chunk = nextChunk(this.#held, blocks.at(-1) ?? before);
        await this.#journal?.taken(chunk);
        blocks.push(...chunk);
        this.#held = this.#held.slice(chunk.length);
      }
      return { blocks };
    } catch (error) {
      return { blocks, failure: { error } };
    }
  }

  /** Goes back behind block `number`, the last that was taken and still counts. */
  rewind(number: bigint, dropped: number): void {
    this.#held = [];
    this.#journal?.drop(dropped);
    this.#source.rewind?.(number);
  }

  async #ask(): Promise<readonly L2Block[]> {
    try {
      return await this.#source.pendingBlocks();
    } catch (cause) {
      throw asSourceError(cause);
    }
  }
}

/** The first blocks, as far as they are in order and not too many bytes; at least one. */
function nextChunk(blocks: readonly L2Block[], before: L2Block | undefined): readonly L2Block[] {
  let bytes = 0;
  let last = before;
  for (const [index, block] of blocks.entries()) {
    const isOlder = last !== undefined && block.timestamp < last.timestamp;
    if (isOlder && index === 0) throw backwards(last!, block);
    bytes += encodedBlockSize(block);
    if (isOlder || (bytes > CHUNK_BYTES && index > 0)) return blocks.slice(0, index);
    last = block;
  }
  return blocks;
}
