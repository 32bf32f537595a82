/**
 * The compressions by number, as the first byte of a compressed batch names them.
 *
 * | byte | name   | class              |                                         |
 * | ---: | ------ | ------------------ | --------------------------------------- |
 * |    0 | brotli | `BrotliCompressor` | the one for production                  |
 * |    1 | zstd   | `ZstdCompressor`   | for comparison                          |
 * |    2 | none   | `NoopCompressor`   | for debugging                           |
 *
 * @module
 */
import type { Compressor } from "../ports.ts";
import type { BoundOptions } from "./bound.ts";
import { BrotliCompressor } from "./brotli.ts";
import { NoopCompressor } from "./noop.ts";
import { ZstdCompressor } from "./zstd.ts";

/** Names by format byte. */
export const FORMATS = ["brotli", "zstd", "none"] as const;

/** A compression by its name, as settings spell it. */
export type FormatName = typeof FORMATS[number];

/** One of each at its defaults, by format byte: all that a reader needs. */
export function allCompressors(options: BoundOptions = {}): readonly Compressor[] {
  return [new BrotliCompressor(options), new ZstdCompressor(options), new NoopCompressor(options)];
}
