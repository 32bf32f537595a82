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

/** A line without its newline. */
export interface Line {
  readonly text: string;
  /** Counted from 1. */
  readonly number: number;
  /** False for a last line that no newline ends. */
  readonly isWhole: boolean;
}

/** Splits chunks into lines; gives `undefined` on where there is none now but may be later. */
export async function* splitLines(
  chunks: Chunks,
  path: string,
): AsyncGenerator<Line | undefined, void, undefined> {
  const decoder = new TextDecoder();
  let parts: Uint8Array[] = [];
  let size = 0;
  let number = 0;
  const take = (isWhole: boolean): Line => {
    const text = decoder.decode(parts.length === 1 ? parts[0] : concatBytes(parts));
    number += 1;
    parts = [];
    size = 0;
    return { text, number, isWhole };
  };

  for await (const chunk of chunks) {
    if (!chunk) {
      yield undefined;
      continue;
    }
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      parts.push(chunk.subarray(from, at));
      size += at - from;
      from = at + 1;
      yield take(true);
    }
    if (from === chunk.length) continue;
    parts.push(chunk.subarray(from));
    size += chunk.length - from;
    if (size > MAX_LINE_BYTES) {
      throw new SourceError(
        "InvalidBlock",
        `Cannot read ${path}:${number + 1}: the line is longer than ${MAX_LINE_BYTES} bytes`,
        { details: { line: number + 1, max: MAX_LINE_BYTES } },
      );
    }
  }
  if (size > 0) yield take(false);
}
