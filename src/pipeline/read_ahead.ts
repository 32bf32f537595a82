/**
 * Reads and opens the batches that follow while the one before them is judged and handed over. L1
 * and the decompressor then work while the sink waits for its disk.
 *
 * Nothing is decided here. Batches come out in the order of the source, and what fails comes out
 * where it failed: after every batch before it.
 *
 * @module
 */
import { MAX_RAW_BATCH_BYTES } from "../config.ts";
import type { L1BatchSource } from "../ports.ts";
import type { L1Batch } from "../types.ts";
import { type Opener, ReadBatch } from "./opening.ts";

/** What to read, and how far. */
export interface ReadAheadParts {
  readonly source: L1BatchSource;
  readonly opener: Opener;
  /**
   * Bytes held at most, compressed and not. A batch that is not open yet may become
   * {@link MAX_RAW_BATCH_BYTES}, and is let in only where these are free; one alone always is. With
   * 0 nothing is read ahead.
   */
  readonly maxBytes: number;
  /** Whether to open a batch before its turn, which is lost work where it is not accepted then. */
  readonly isWorthOpening: (batch: L1Batch) => boolean;
}

/** A batch in line. */
interface Place {
  readonly item: ReadBatch;
  /** What it counts for the bound. */
  bytes: number;
  /** To be opened ahead, and not begun. */
  isClosed: boolean;
  isTaken: boolean;
}

/** The batches of a source in their order, and some of them before they are asked for. */
export class ReadAhead {
  readonly #parts: ReadAheadParts;
  /** Read, and not asked for. Only the last can be closed for want of room. */
  readonly #line: Place[] = [];
  #heldBytes = 0;
  /** What the source threw behind the last in line. */
  #failure: { readonly error: unknown } | undefined;
  /** The one call of the source that is under way. */
  #reading: Promise<void> | undefined;
  readonly #openings = new Set<Promise<void>>();
  #isStopped = false;

  constructor(parts: ReadAheadParts) {
    this.#parts = parts;
  }

  /** Bytes that batches in line take, as far as they are known; at most `maxBytes`, or one batch. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /**
   * The next batch, or `undefined` when the source, asked after this call, had none. Reading ahead
   * begins, and goes on until {@link ReadAhead.stop}.
   *
   * @throws what the source threw in the place of this batch: the next call asks it again
   */
  async next(): Promise<ReadBatch | undefined> {
    this.#isStopped = false;
    // A source that was asked before this call may have missed what came since: it is asked again.
    if (this.#isEmpty) await this.#reading;
    if (this.#isEmpty) await this.#read();

    const place = this.#line.shift();
    if (place) {
      this.#count(place, 0);
      place.isTaken = true;
      this.#advance();
      return place.item;
    }
    const failure = this.#failure;
    this.#failure = undefined;
    if (failure) throw failure.error;
    return undefined;
  }

  /**
   * Begins nothing more until the next batch is asked for; what was read stays in line.
   *
   * @returns resolves when nothing is under way any more, and never rejects
   */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([this.#reading, ...this.#openings]);
  }

  /** Lets go of all that was read. The source must be left alone: as it is when it has just failed. */
  clear(): void {
    for (const place of this.#line) {
      this.#count(place, 0);
      place.isTaken = true;
    }
    this.#line.length = 0;
    this.#failure = undefined;
  }

  get #isEmpty(): boolean {
    return this.#line.length === 0 && !this.#failure;
  }

  /** Begins whatever there is room for. */
  #advance(): void {
    if (this.#isStopped || this.#parts.maxBytes === 0) return;
    const last = this.#line.at(-1);
    if (last?.isClosed) {
      if (this.#line.length > 1 && !this.#hasRoom) return;
      this.#open(last);
    }
    if (this.#failure || this.#reading) return;
    if (this.#line.length === 0 || this.#hasRoom) void this.#read();
  }

  get #hasRoom(): boolean {
    return this.#heldBytes + MAX_RAW_BATCH_BYTES <= this.#parts.maxBytes;
  }

  /** Never rejects. */
  #read(): Promise<void> {
    return this.#reading ??= this.#readOne().then((isThereMore) => {
      this.#reading = undefined;
      if (isThereMore) this.#advance();
    });
  }

  async #readOne(): Promise<boolean> {
    try {
      const batch = await this.#parts.source.nextBatch();
      if (batch) this.#append(batch);
      return batch !== undefined;
    } catch (error) {
      this.#failure = { error };
      return false;
    }
  }

  #append(batch: L1Batch): void {
    const item = new ReadBatch(batch, this.#parts.opener);
    const isClosed = this.#parts.isWorthOpening(batch);
    const place = { item, bytes: 0, isClosed, isTaken: false };
    this.#line.push(place);
    this.#count(place, sizeOf(batch));
  }

  #open(place: Place): void {
    place.isClosed = false;
    const { item } = place;
    this.#count(place, sizeOf(item.batch) + MAX_RAW_BATCH_BYTES);
    const opening = item.openAhead().then((bytes) => {
      this.#openings.delete(opening);
      this.#count(place, sizeOf(item.batch) + bytes);
      this.#advance();
    });
    this.#openings.add(opening);
  }

  #count(place: Place, bytes: number): void {
    if (place.isTaken) return;
    this.#heldBytes += bytes - place.bytes;
    place.bytes = bytes;
  }
}

/** Its bytes, and what the smallest takes beside them. */
function sizeOf(batch: L1Batch): number {
  return batch.data.length + 1024;
}
