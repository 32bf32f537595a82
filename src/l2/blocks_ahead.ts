/**
 * Blocks read ahead of whoever takes them: some at a time, in bounded memory, and more or fewer at a time
 * as they are small or large. What fails, or comes short, is asked for again in its turn, without what was
 * read behind it.
 *
 * @module
 */
import type { NodeBlock } from "./node_block.ts";

/** What is read, and how much of it. */
export interface BlocksAheadParts {
  /** As many blocks as asked for, or fewer; none where the first is not there yet. */
  readonly read: (first: bigint, count: number) => Promise<readonly NodeBlock[]>;
  /** Bytes of blocks that are read, and of answers that are awaited; more only for a block that is larger. */
  readonly maxBytes: number;
}

/** Blocks asked for together. */
const MAX_BLOCKS = 100;
/** Until the first is seen. */
const FIRST_BLOCKS = 8;
/** One is looked at while the others are on their way. */
const MAX_REQUESTS = 3;
/** Of one answer: so large that a round trip is nothing beside it. */
const ANSWER_BYTES = 2 * 2 ** 20;
/** A block that is read, besides its transactions. */
const HEADER_BYTES = 500;
/** JSON of a block, besides its transactions; and of each transaction, besides twice its bytes. */
const BLOCK_BYTES = 2500;
const TRANSACTION_BYTES = 900;

/** A run of blocks that was asked for. */
interface Run {
  readonly first: bigint;
  /** As many as were asked for, then as many as are there. */
  count: number;
  readonly blocks: Promise<readonly NodeBlock[]>;
  /** Once they are there. */
  read?: readonly NodeBlock[];
  /** Nothing came; its room is kept until its turn comes. */
  hasFailed: boolean;
  heldBytes: number;
}

/** The blocks that follow, in their order. */
export class BlocksAhead {
  readonly #parts: BlocksAheadParts;
  /** In their order; where one came short, the rest of it is missing until it is asked for again. */
  #line: Run[] = [];
  /** Of a block as JSON, of late. */
  #blockBytes: number | undefined;
  readonly #underWay = new Set<Promise<unknown>>();
  #isStopped = false;

  constructor(parts: BlocksAheadParts) {
    this.#parts = parts;
  }

  /** Bytes that are held, or awaited. */
  get heldBytes(): number {
    return this.#line.reduce((sum, { heldBytes }) => sum + heldBytes, 0);
  }

  /**
   * The blocks from `first` on that are there; it waits for one. Those up to `last` are read ahead.
   *
   * @param maxBytes of transactions, after which no further run is given
   * @throws what reading the first of them threw: the next call reads it anew
   */
  async take(first: bigint, last: bigint, maxBytes: number): Promise<readonly NodeBlock[]> {
    this.#line = this.#line.filter((run) =>
      run.first > first || (run.first === first && !run.hasFailed)
    );
    this.#advance(first, last);
    const taken: NodeBlock[] = [];
    let [next, bytes] = [first, 0];
    for (let run = this.#line[0]; run && bytes < maxBytes; run = this.#line[0]) {
      if (run.first !== next || (taken.length > 0 && !run.read)) break;
      const read = await run.blocks;
      // It may have been cleared meanwhile.
      if (this.#line[0] === run) this.#line.shift();
      taken.push(...read);
      next += BigInt(read.length);
      bytes += bytesOf(read);
      if (read.length === 0) return taken;
    }
    this.#advance(next, last);
    return taken;
  }

  /** Forgets what was read ahead. */
  clear(): void {
    this.#line = [];
  }

  /** Begins nothing more; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#line = [];
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  /** Asks for what is not there yet from `next` on, as much as there is room for. */
  #advance(next: bigint, last: bigint): void {
    let first = next;
    for (let at = 0; first <= last && !this.#isStopped; at++) {
      const behind = this.#line[at];
      if (behind?.first !== first) {
        const end = behind && behind.first <= last ? behind.first : last + 1n;
        const missing = Number(end - first);
        const count = this.#countNow(missing, first === next);
        if (count === 0) return;
        this.#line.splice(at, 0, this.#begin(first, count));
        // What blocks are like is to be seen first.
        if (this.#blockBytes === undefined) return;
      }
      first += BigInt(this.#line[at]!.count);
    }
  }

  /** How many of the missing blocks to ask for; one at least of those that are waited for. */
  #countNow(missing: number, isFirst: boolean): number {
    const count = Math.min(missing, this.#runLength());
    const room = Math.floor((this.#parts.maxBytes - this.heldBytes) / this.#answerBytes(1));
    if (isFirst) return Math.max(1, Math.min(count, room));
    const awaited = this.#line.filter(({ read, hasFailed }) => !read && !hasFailed).length;
    return awaited < MAX_REQUESTS && count <= room ? count : 0;
  }

  #runLength(): number {
    if (this.#blockBytes === undefined) return FIRST_BLOCKS;
    const bytes = Math.min(ANSWER_BYTES, this.#parts.maxBytes / MAX_REQUESTS);
    return Math.max(1, Math.min(MAX_BLOCKS, Math.floor(bytes / this.#blockBytes)));
  }

  /** What is to be expected of so many blocks. */
  #answerBytes(count: number): number {
    return count * (this.#blockBytes ?? BLOCK_BYTES);
  }

  #begin(first: bigint, count: number): Run {
    const blocks = this.#parts.read(first, count);
    const heldBytes = this.#answerBytes(count);
    const run: Run = { first, count, blocks, hasFailed: false, heldBytes };
    this.#underWay.add(blocks);
    const end = (read: readonly NodeBlock[]) => {
      this.#underWay.delete(blocks);
      if (read.length > 0) this.#came(run, read);
      else run.hasFailed = true;
    };
    blocks.then(end, () => end([]));
    return run;
  }

  #came(run: Run, read: readonly NodeBlock[]): void {
    run.read = read;
    run.count = read.length;
    run.heldBytes = bytesOf(read);
    // Large ones count at once, small ones by and by: what is awaited must not be far more.
    const mean = read.reduce((sum, each) => sum + jsonBytesOf(each), 0) / read.length;
    this.#blockBytes = Math.max(mean, ((this.#blockBytes ?? mean) + mean) / 2);
  }
}

function bytesOf(blocks: readonly NodeBlock[]): number {
  return blocks.reduce((sum, { bytes }) => sum + HEADER_BYTES + bytes, 0);
}

function jsonBytesOf({ bytes, block, deposits }: NodeBlock): number {
  return BLOCK_BYTES + 2 * bytes + TRANSACTION_BYTES * (block.transactions.length + deposits);
}
