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
  const tooLong = (line: number) =>
    new SourceError(
      "InvalidBlock",
      `Cannot read ${path}:${line}: the line is longer than ${MAX_LINE_BYTES} bytes`,
      { details: { line, max: MAX_LINE_BYTES } },
    );
  for await (const line of splitByteLines(chunks, MAX_LINE_BYTES, tooLong)) {
    if (!line) {
      yield undefined;
      continue;
    }
    const { bytes, number, isWhole } = line;
    yield { text: decoder.decode(bytes), number, isWhole };
  }
}

/**
 * Splits chunks into lines of bytes, which may be views of the chunks.
 *
 * @param tooLong the error for a line that is longer than `maxBytes`
 */
export async function* splitByteLines(
  chunks: AsyncIterable<Uint8Array | undefined>,
  maxBytes: number,
  tooLong: (line: number) => Error,
): AsyncGenerator<ByteLine | undefined, void, undefined> {
  let parts: Uint8Array[] = [];
  let size = 0;
  let number = 0;
  const add = (part: Uint8Array) => {
    size += part.length;
    if (size > maxBytes) throw tooLong(number + 1);
    parts.push(part);
  };
  const take = (isWhole: boolean): ByteLine => {
    const bytes = parts.length === 1 ? parts[0]! : concatBytes(parts);
    number += 1;
    parts = [];
    size = 0;
    return { bytes, number, isWhole };
  };

  for await (const chunk of chunks) {
    if (!chunk) {
      yield undefined;
      continue;
    }
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      add(chunk.subarray(from, at));
      from = at + 1;
      yield take(true);
    }
    if (from < chunk.length) add(chunk.subarray(from));
  }
  if (size > 0) yield take(false);
}
