/**
 * Reads a segment from one whole record to the next, a chunk at a time.
 *
 * @module
 */
import type { Storage } from "../ports.ts";
import {
  decodeFrame,
  decodeMark,
  type Frame,
  frameBytes,
  type Mark,
  MARK_BYTES,
  MARK_TYPE,
  type Position,
  RECORD_HEADER_BYTES,
} from "./record.ts";

/** Read at once; a record that is larger is read whole. */
const CHUNK_BYTES = 1024 * 1024;

/** Goes through a segment, up to its end or to the first record that is not whole. */
export class SegmentCursor {
  readonly #storage: Storage;
  readonly #path: string;
  #end: number;
  /** Changed in place: an object for each record would be most of the work. */
  readonly #position: { -readonly [Field in keyof Position]: Position[Field] };
  #fault: string | undefined;

  /**
   * @param start where the first write begins
   * @param end where reading stops: the size of the file, or less
   */
  constructor(storage: Storage, path: string, start: Position, end: number) {
    this.#storage = storage;
    this.#path = path;
    const { offset, chain, sequence } = start;
    this.#position = { offset, chain, sequence };
    this.#end = end;
  }

  /** Where the last whole record ended, and what must come next. */
  get position(): Position {
    return { ...this.#position };
  }

  /** Why there is no record at {@link position} although there are bytes. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** The next records and marks; none at the end, and before what is not whole. */
  async next(): Promise<readonly Frame[]> {
    const frames = await this.#read();
    // Room that was allotted in advance is no fault.
    if (frames.length === 0 && this.#fault !== undefined && await this.#isZeroFromHere()) {
      this.#fault = undefined;
      this.#end = this.#position.offset;
    }
    return frames;
  }

  async #read(): Promise<readonly Frame[]> {
    let need = RECORD_HEADER_BYTES;
    while (this.#fault === undefined && this.#position.offset < this.#end) {
      const left = this.#end - this.#position.offset;
      if (need > left) {
        this.#fault = `it needs ${need} bytes, ${left} are there`;
        break;
      }
      const length = Math.min(left, Math.max(CHUNK_BYTES, need));
      const bytes = await this.#storage.read(this.#path, this.#position.offset, length);
      if (bytes.length < length) this.#fault = "the file is shorter than it was";
      const frames = this.#parse(bytes);
      if (frames.length > 0) return frames;
      if (this.#fault === undefined) need = frameBytes(viewOf(bytes), 0);
    }
    return [];
  }

  async #isZeroFromHere(): Promise<boolean> {
    for (let at = this.#position.offset; at < this.#end; at += CHUNK_BYTES) {
      const bytes = await this.#storage.read(this.#path, at, Math.min(CHUNK_BYTES, this.#end - at));
      if (bytes.some((byte) => byte !== 0)) return false;
    }
    return true;
  }

  /** All that are whole in `bytes`, which begin at the position. */
  #parse(bytes: Uint8Array): Frame[] {
    const view = viewOf(bytes);
    const frames: Frame[] = [];
    let at = 0;
    while (at + RECORD_HEADER_BYTES <= bytes.length) {
      const size = frameBytes(view, at);
      if (at + size > bytes.length) break;
      const frame = decodeFrame(bytes, view, at, this.#position);
      if (typeof frame === "string") {
        // What came before it is given first; then it is met again.
        if (at === 0) this.#fault = frame;
        break;
      }
      frames.push(frame);
      this.#position.offset += size;
      if (frame.type !== MARK_TYPE) {
        this.#position.chain = frame.crc;
        this.#position.sequence += 1n;
      }
      at += size;
    }
    return frames;
  }
}

/** The first whole mark behind `from`, wherever it stands. */
export async function findMark(
  storage: Storage,
  path: string,
  from: number,
  end: number,
): Promise<Mark | undefined> {
  for (let offset = from; offset < end; offset += CHUNK_BYTES) {
    // One that lies across the chunks is whole in the first of them.
    const bytes = await storage.read(path, offset, CHUNK_BYTES + MARK_BYTES);
    const view = viewOf(bytes);
    const last = Math.min(CHUNK_BYTES, bytes.length - MARK_BYTES + 1, end - offset);
    for (let at = 0; at < last; at++) {
      const mark = decodeMark(bytes, view, at, offset + at);
      if (mark) return mark;
    }
  }
  return undefined;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
