/**
 * Reads L1 blocks and their blobs ahead of whoever works on them, several at the same time. They leave in
 * order, and what fails ahead is asked for again in its turn.
 *
 * @module
 */
import type { InboxBlock } from "./inbox_block.ts";

/** What to read, and how far. */
export interface PrefetchParts {
  readonly readBlock: (number: bigint) => Promise<InboxBlock>;
  readonly readBlobs: (block: InboxBlock) => Promise<readonly Uint8Array[]>;
  /** Blocks ahead at most; 0 reads none ahead. */
  readonly maxBlocks: number;
  /** Bytes of blobs and calldata ahead at most. */
  readonly maxBytes: number;
}

/** A block whose turn has come. */
export interface PrefetchedBlock {
  readonly block: InboxBlock;
  /** Its blobs, in the order of {@link InboxBlock.blobHashes}. */
  blobs(): Promise<readonly Uint8Array[]>;
}

/** A block in line. */
interface Place {
  readonly number: bigint;
  readonly block: Promise<InboxBlock>;
  /** Once the block is read. */
  loaded?: InboxBlock;
  /** Once there was room for them. */
  blobs?: Promise<readonly Uint8Array[]>;
}

/** The blocks that follow, in their order. */
export class BlockPrefetch {
  readonly #parts: PrefetchParts;
  #line: Place[] = [];
  /** The last block that may be read. */
  #head = -1n;
  readonly #underWay = new Set<Promise<unknown>>();
  #isStopped = false;

  constructor(parts: PrefetchParts) {
    this.#parts = parts;
  }

  /** Bytes of what is in line and read, or being read. */
  get heldBytes(): number {
    return this.#line.reduce((sum, { blobs, loaded }) => sum + (blobs ? loaded!.bytes : 0), 0);
  }

  /**
   * The block `number`; those up to `head` are read ahead from here on.
   *
   * @throws what reading it threw: the next call reads it anew
   */
  async take(number: bigint, head: bigint): Promise<PrefetchedBlock> {
    this.#isStopped = false;
    this.#head = head;
    const ahead = this.#line[0]?.number === number ? this.#line.shift() : undefined;
    if (!ahead && this.#line[0]?.number !== number + 1n) this.#line = [];
    const reading = ahead ? ahead.block.catch(() => this.#read(number)) : this.#read(number);
    this.#advance(number + 1n);
    const block = await reading;
    return {
      block,
      blobs: () => {
        const readBlobs = () => this.#track(this.#parts.readBlobs(block));
        return ahead?.blobs ? ahead.blobs.catch(readBlobs) : readBlobs();
      },
    };
  }

  /** Forgets what was read ahead. */
  clear(): void {
    this.#line = [];
  }

  /** Begins nothing more until a block is taken; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#line = [];
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  /** Begins whatever there is room for. */
  #advance(next = this.#line[0]?.number): void {
    if (this.#isStopped || next === undefined) return;
    const { maxBlocks, maxBytes } = this.#parts;
    const isFull = () => this.#line.length >= maxBlocks || this.heldBytes >= maxBytes;
    for (let number = (this.#line.at(-1)?.number ?? next - 1n) + 1n; number <= this.#head;) {
      if (isFull()) break;
      this.#begin(number++);
    }
    for (const place of this.#line) {
      // In order: whoever comes first must not wait for room that a later one took.
      if (!place.loaded) return;
      if (place.blobs) continue;
      if (this.heldBytes > 0 && this.heldBytes + place.loaded.bytes > maxBytes) return;
      place.blobs = this.#track(this.#parts.readBlobs(place.loaded));
    }
  }

  #begin(number: bigint): void {
    const place: Place = { number, block: this.#read(number) };
    this.#line.push(place);
    place.block.then((block) => {
      place.loaded = block;
      this.#advance();
    }, () => {});
  }

  #read(number: bigint): Promise<InboxBlock> {
    return this.#track(this.#parts.readBlock(number));
  }

  /** Whoever takes it hears of its failure; ahead nobody may. */
  #track<T>(work: Promise<T>): Promise<T> {
    const end = work.then(() => {}, () => {}).finally(() => this.#underWay.delete(end));
    this.#underWay.add(end);
    return work;
  }
}
