/**
 * Blocks read ahead of whoever takes them: some at a time, in bounded memory, and more or fewer at a time
 * as they are small or large.
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
  readonly count: number;
  readonly blocks: Promise<readonly NodeBlock[]>;
  /** Once they are there. */
  read?: readonly NodeBlock[];
  heldBytes: number;
}

/** The blocks that follow, in their order. */
export class BlocksAhead {
  readonly #parts: BlocksAheadParts;
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
    if (this.#line[0]?.first !== first) this.#line = [];
    this.#advance(first, last);
    const taken: NodeBlock[] = [];
    let bytes = 0;
    for (let run = this.#line[0]; run && bytes < maxBytes; run = this.#line[0]) {
      if (taken.length > 0 && !run.read) break;
      let read: readonly NodeBlock[];
      try {
        read = await run.blocks;
      } catch (error) {
        this.#line = [];
        throw error;
      }
      // It may have been cleared meanwhile.
      if (this.#line[0] === run) this.#line.shift();
      taken.push(...read);
      bytes += bytesOf(read);
      if (read.length < run.count) this.#line = [];
      if (read.length === 0) return taken;
    }
    this.#advance(first + BigInt(taken.length), last);
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

  /** Asks for as much as there is room for. */
  #advance(next: bigint, last: bigint): void {
    const behind = this.#line.at(-1);
    let first = behind ? behind.first + BigInt(behind.count) : next;
    const awaited = () => this.#line.filter(({ read }) => !read).length;
    while (first <= last && !this.#isStopped && awaited() < MAX_REQUESTS) {
      const left = Number(last - first) + 1;
      const count = Math.min(left, this.#runLength());
      const bytes = count * (this.#blockBytes ?? BLOCK_BYTES);
      if (this.#line.length > 0 && this.heldBytes + bytes > this.#parts.maxBytes) return;
      this.#begin(first, count, bytes);
      first += BigInt(count);
      // What blocks are like is to be seen first.
      if (this.#blockBytes === undefined) return;
    }
  }

  #runLength(): number {
    if (this.#blockBytes === undefined) return FIRST_BLOCKS;
    const bytes = Math.min(ANSWER_BYTES, this.#parts.maxBytes / MAX_REQUESTS);
    return Math.max(1, Math.min(MAX_BLOCKS, Math.floor(bytes / this.#blockBytes)));
  }

  #begin(first: bigint, count: number, heldBytes: number): void {
    const blocks = this.#parts.read(first, count).then((read) => {
      run.read = read;
      run.heldBytes = bytesOf(read);
      // Large ones count at once, small ones by and by: what is awaited must not be far more.
      const mean = read.reduce((sum, each) => sum + jsonBytesOf(each), 0) /
        Math.max(1, read.length);
      this.#blockBytes = Math.max(mean, ((this.#blockBytes ?? mean) + mean) / 2);
      return read;
    });
    const run: Run = { first, count, blocks, heldBytes };
    this.#line.push(run);
    this.#underWay.add(blocks);
    const done = () => this.#underWay.delete(blocks);
    blocks.then(done, done);
  }
}

function bytesOf(blocks: readonly NodeBlock[]): number {
  return blocks.reduce((sum, { bytes }) => sum + HEADER_BYTES + bytes, 0);
}

function jsonBytesOf({ bytes, block, deposits }: NodeBlock): number {
  return BLOCK_BYTES + 2 * bytes + TRANSACTION_BYTES * (block.transactions.length + deposits);
}
