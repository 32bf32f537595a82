/**
 * The bound that all compressors share: what one batch may be, uncompressed. Writers keep it too,
 * or they would make what no reader takes.
 *
 * @module
 */
import { MAX_RAW_BATCH_BYTES } from "../config.ts";
import { CompressionError } from "../errors.ts";

/** What every compressor can be given. */
export interface BoundOptions {
  /** Most bytes that `compress()` takes and `decompress()` gives back; 64 MiB by default. */
  readonly maxDecompressedBytes?: number;
}

/** The bound of the options, checked. */
export function resolveBound(options: BoundOptions): number {
  const bytes = options.maxDecompressedBytes ?? MAX_RAW_BATCH_BYTES;
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new CompressionError(
      "Unsupported",
      `Cannot bound batches by ${bytes} bytes: maxDecompressedBytes is a whole number from 1`,
    );
  }
  return bytes;
}

/** Refuses to compress what could not be decompressed. */
export function refuseOversized(data: Uint8Array, maxBytes: number): void {
  if (data.length <= maxBytes) return;
  throw new CompressionError(
    "TooLarge",
    `Cannot compress ${data.length} bytes: a batch has at most ${maxBytes}`,
    { details: { size: data.length, max: maxBytes } },
  );
}

/**
 * @param compressedBytes size of what was to be decompressed
 * @param size how many bytes come out; where that is not known, how many were seen to
 */
export function decompressesTooLarge(
  compressedBytes: number,
  size: number,
  maxBytes: number,
  cause?: unknown,
): CompressionError {
  return new CompressionError(
    "TooLarge",
    `Cannot decompress ${compressedBytes} bytes: ` +
      `they become ${size} or more, at most ${maxBytes} may`,
    { details: { size, max: maxBytes }, cause },
  );
}
