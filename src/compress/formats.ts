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
import { CompressionError } from "../errors.ts";
import type { Compressor } from "../ports.ts";
import type { BoundOptions } from "./bound.ts";
import { BrotliCompressor, type BrotliOptions } from "./brotli.ts";
import { NoopCompressor } from "./noop.ts";
import { ZstdCompressor, type ZstdOptions } from "./zstd.ts";

/** Names by format byte. */
export const FORMATS = ["brotli", "zstd", "none"] as const;

/** A compression by its name, as settings spell it. */
export type FormatName = typeof FORMATS[number];

/** One of each at its defaults, by format byte: all that a reader needs. */
export function allCompressors(options: BoundOptions = {}): readonly Compressor[] {
  return [new BrotliCompressor(options), new ZstdCompressor(options), new NoopCompressor(options)];
}

/** A compressor as plain data, which can travel to another thread. */
export type CompressorOptions =
  | { readonly format: "brotli" } & BrotliOptions
  | { readonly format: "zstd" } & ZstdOptions
  | { readonly format: "none" } & BoundOptions;

/**
 * The compressor that `options` describe.
 *
 * @throws {CompressionError} `Unsupported` for a format or option that is not to be had
 */
export function createCompressor(options: CompressorOptions): Compressor {
  const { format } = options;
  switch (format) {
    case "brotli":
      return new BrotliCompressor(options);
    case "zstd":
      return new ZstdCompressor(options);
    case "none":
      return new NoopCompressor(options);
    default:
      throw new CompressionError(
        "Unsupported",
        `Cannot compress as ${JSON.stringify(format)}: there are ${FORMATS.join(", ")}`,
        { details: { format } },
      );
  }
}
