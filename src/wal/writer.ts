/**
 * Writes a log: groups of records at the end of the last segment, a new segment when that one is full.
 * One call at a time.
 *
 * @module
 */
import type { AppendFile, Storage } from "../ports.ts";
import { SyncFailure, syncing, writeWhole } from "./files.ts";
import { encodeGroup, MARK_BYTES, type Position, recordBytes, type WalRecord } from "./record.ts";
import {
  encodeHead,
  encodeSegmentHeader,
  type Head,
  HEAD_NAME,
  type SegmentHeader,
  segmentName,
  startOf,
} from "./segment.ts";

/** A segment, as far as it is synced. */
export interface SyncedSegment {
  readonly path: string;
  readonly header: SegmentHeader;
  /** Where its synced records end. */
  readonly end: Position;
}

/** The end of a log. */
export class LogWriter {
  readonly #storage: Storage;
  readonly #directory: string;
  readonly #segmentBytes: number;
  readonly #aheadBytes: number;
  #segments: SyncedSegment[];
  #head: Head | undefined;
  #checkpoint: bigint;
  #file: AppendFile | undefined;
  /** A new segment is begun: it may be there already, so nothing more may follow in the one before. */
  #isRotating = false;

  constructor(
    storage: Storage,
    directory: string,
    state: {
      readonly segments: readonly SyncedSegment[];
      readonly head: Head | undefined;
      readonly checkpoint: bigint;
    },
    sizes: { readonly segmentBytes: number; readonly aheadBytes: number },
  ) {
    this.#storage = storage;
    this.#directory = directory;
    this.#segmentBytes = sizes.segmentBytes;
    this.#aheadBytes = sizes.aheadBytes;
    this.#segments = state.segments.map(({ path, header, end }) => ({ path, header, end }));
    this.#head = state.head;
    this.#checkpoint = state.checkpoint;
  }

  /** All segments that are there, in order. */
  get segments(): readonly SyncedSegment[] {
    return this.#segments;
  }

  /** The first sequence that is still needed, as a restart would find it. */
  get checkpoint(): bigint {
    return this.#checkpoint;
  }

  /** Where the next write begins. */
  get position(): Position {
    return this.#segments.at(-1)?.end ?? { offset: 0, chain: 0, sequence: 0n };
  }

  /**
   * Makes ready to write, and makes sure of all that was found: who left it there may have been killed
   * before its sync.
   */
  async start(): Promise<void> {
    if (this.#segments.length === 0) await this.#addSegment();
    const file = await this.#openLast();
    await syncing(() => file.sync());
    await syncing(() => this.#storage.syncDirectory(this.#directory));
    await this.#writeHead();
  }

  /** How many of these records go with the next write; a new segment is begun where none fits. */
  async fitting(records: readonly WalRecord[], maxGroupBytes: number): Promise<number> {
    const [first] = records;
    if (this.#isRotating || first && this.#isFullFor(first)) await this.#rotate();
    const room = Math.min(this.#segmentBytes - this.#last.end.offset, maxGroupBytes) - MARK_BYTES;
    let used = 0;
    const count = records.findIndex((record) => (used += recordBytes(record)) > room);
    return count < 0 ? records.length : Math.max(1, count);
  }

  /**
   * Writes and syncs. Where only the write fails, it is undone, and the next may succeed.
   *
   * @throws {SyncFailure} when nobody knows any more what the disk holds
   */
  async write(records: readonly WalRecord[], checkpoint: bigint): Promise<void> {
    const segment = this.#last;
    const file = await this.#openLast();
    const { bytes, next } = encodeGroup(segment.end, checkpoint, records);
    try {
      await file.write(bytes);
    } catch (error) {
      // A part of it must not stand before what comes next: it is cut off now, or before that.
      await this.close();
      await this.#cutOff().catch((failure) => {
        if (failure instanceof SyncFailure) throw failure;
      });
      throw error;
    }
    await syncing(() => file.sync());
    this.#segments[this.#segments.length - 1] = { ...segment, end: next };
    this.#checkpoint = checkpoint;
  }

  /** Removes the segments that hold nothing at or above the checkpoint. */
  async removeOld(): Promise<void> {
    for (let [first, next] = this.#segments; next; [first, next] = this.#segments) {
      if (next.header.first > this.#checkpoint) return;
      await this.#storage.remove(first!.path);
      // One after the other: a gap between those that are left would look like a loss.
      await syncing(() => this.#storage.syncDirectory(this.#directory));
      this.#segments = this.#segments.slice(1);
    }
  }

  /** Says in the head that all is synced. */
  async finish(): Promise<void> {
    await this.#writeHead();
  }

  /** All in the file is synced: a disk that does not let it be closed takes nothing away. */
  async close(): Promise<void> {
    await this.#file?.close().catch(() => {});
    this.#file = undefined;
  }

  get #last(): SyncedSegment {
    return this.#segments.at(-1)!;
  }

  #isFullFor(record: WalRecord): boolean {
    const { header, end } = this.#last;
    // One without a record takes any: the next would have the same name.
    if (end.sequence === header.first) return false;
    return end.offset + MARK_BYTES + recordBytes(record) > this.#segmentBytes;
  }

  /** Opens the last segment, whose end must be that of its last record. */
  async #openLast(): Promise<AppendFile> {
    if (this.#file) return this.#file;
    await this.#cutOff();
    this.#file = await this.#storage.openAppend(this.#last.path, this.#aheadBytes);
    return this.#file;
  }

  /** Cuts off what stands behind the last record: zeros, or a part of a write. */
  async #cutOff(): Promise<void> {
    const { path, end } = this.#last;
    if (await this.#storage.size(path) === end.offset) return;
    await syncing(() => this.#storage.truncate(path, end.offset));
  }

  async #rotate(): Promise<void> {
    this.#isRotating = true;
    const { end, header } = this.#last;
    // Where the head could not be written, the segment is there already.
    if (end.sequence > header.first) {
      await this.close();
      await this.#cutOff();
      await this.#addSegment();
    }
    await this.#writeHead();
    this.#isRotating = false;
  }

  async #addSegment(): Promise<void> {
    const { chain, sequence } = this.position;
    const header = { first: sequence, follows: sequence, checkpoint: this.#checkpoint, chain };
    const name = segmentName(sequence);
    const path = `${this.#directory}/${name}`;
    await writeWhole(this.#storage, this.#directory, name, [encodeSegmentHeader(header)]);
    this.#segments = [...this.#segments, { path, header, end: startOf(header) }];
  }

  async #writeHead(): Promise<void> {
    const { header, end: { sequence, offset } } = this.#last;
    const head = { last: header.first, next: sequence, end: offset };
    if (this.#head?.last === head.last && this.#head.end === head.end) return;
    await writeWhole(this.#storage, this.#directory, HEAD_NAME, [encodeHead(head)]);
    this.#head = head;
  }
}
