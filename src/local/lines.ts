/**
 * Lines out of chunks, with numbers and positions, in memory bounded by the longest line.
 *
 * @module
 */
import { SourceError } from "../errors.ts";
import { concatBytes } from "../wire/bytes.ts";
import type { Chunks } from "./chunks.ts";

/** No line may be longer: a block of 64 MiB is 128 MiB of hexadecimals. */
const MAX_LINE_BYTES = 160 * 1024 * 1024;
const NEWLINE = 0x0a;

/** A line without its newline, as bytes. */
export interface ByteLine {
  readonly bytes: Uint8Array;
  /** Counted from 1. */
  readonly number: number;
  /** False for a last line that no newline ends. */
  readonly isWhole: boolean;
}

/** A line without its newline. */
export interface Line extends Omit<ByteLine, "bytes"> {
  readonly text: string;
}

/** Splits chunks into lines; gives `undefined` on where there is none now but may be later. */
export async function* splitLines(
  chunks: Chunks,
  path: string,
): AsyncGenerator<Line | undefined, void, undefined> {
  const decoder = new TextDecoder();
  const splitter = new LineSplitter(MAX_LINE_BYTES, (line) =>
    new SourceError(
      "InvalidBlock",
      `Cannot read ${path}:${line}: the line is longer than ${MAX_LINE_BYTES} bytes`,
      { details: { line, max: MAX_LINE_BYTES } },
    ));
  const decoded = ({ bytes, number, isWhole }: ByteLine): Line => {
    return { text: decoder.decode(bytes), number, isWhole };
  };
  for await (const chunk of chunks) {
    if (!chunk) yield undefined;
    else for (const line of splitter.push(chunk)) yield decoded(line);
  }
  for (const line of splitter.end()) yield decoded(line);
}

/** Makes lines of bytes out of chunks. */
export class LineSplitter {
  readonly #maxBytes: number;
  readonly #tooLong: (line: number) => Error;
  #parts: Uint8Array[] = [];
  #size = 0;
  #number = 0;

  /** @param tooLong the error for a line that is longer than `maxBytes` */
  constructor(maxBytes: number, tooLong: (line: number) => Error) {
    this.#maxBytes = maxBytes;
    this.#tooLong = tooLong;
  }

  /** The lines that end in this chunk; they may be views of it. */
  *push(chunk: Uint8Array): Generator<ByteLine, void, undefined> {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      this.#add(chunk.subarray(from, at));
      from = at + 1;
      yield this.#take(true);
    }
    if (from < chunk.length) this.#add(chunk.subarray(from));
  }

  /** The last line, where no newline ends it. */
  *end(): Generator<ByteLine, void, undefined> {
    if (this.#size > 0) yield this.#take(false);
  }

  #add(part: Uint8Array): void {
    this.#size += part.length;
    if (this.#size > this.#maxBytes) throw this.#tooLong(this.#number + 1);
    this.#parts.push(part);
  }

  #take(isWhole: boolean): ByteLine {
    const bytes = this.#parts.length === 1 ? this.#parts[0]! : concatBytes(this.#parts);
    this.#number += 1;
    this.#parts = [];
    this.#size = 0;
    return { bytes, number: this.#number, isWhole };
  }
}
