/**
 * The compressed batch: `format u8 ‖ payload`.
 *
 * | format | payload                                             |
 * | -----: | --------------------------------------------------- |
 * |   0x00 | Brotli; the seed's version byte                     |
 * |   0x01 | zstd, an extension for testing                      |
 * |   0x02 | the batch as it is, an extension for debugging      |
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import type { Compressor } from "../ports.ts";
import { Writer } from "./bytes.ts";

/** Compresses a raw batch and puts the format in front. */
export async function seal(raw: Uint8Array, compressor: Compressor): Promise<Uint8Array> {
  const payload = await compressor.compress(raw);
  const sealed = new Writer(1 + payload.length);
  sealed.u8(compressor.format);
  sealed.raw(payload);
  return sealed.bytes;
}

/**
 * Gives back the raw batch, decompressed by whichever of `compressors` its first byte names.
 *
 * @throws {CodecError} `Truncated` when empty, `UnknownFormat` for any other first byte
 * @throws {CompressionError} when the payload is not one whole stream, or too large
 */
export async function open(
  sealed: Uint8Array,
  compressors: readonly Compressor[],
): Promise<Uint8Array> {
  return await compressorFor(sealed, compressors).decompress(sealed.subarray(1));
}

/** The one of `compressors` that the first byte names. */
export function compressorFor(
  sealed: Uint8Array,
  compressors: readonly Compressor[],
): Compressor {
  const format = sealed[0];
  if (format === undefined) {
    throw new CodecError("Truncated", "Cannot read format: need 1 bytes, 0 left at offset 0", {
      details: { field: "format", offset: 0, need: 1, left: 0 },
    });
  }
  const compressor = compressors.find((candidate) => candidate.format === format);
  if (compressor) return compressor;
  const known = compressors.map((each) => `0x0${each.format} ${each.name}`).join(", ");
  throw new CodecError(
    "UnknownFormat",
    `Cannot open a batch of format 0x${format.toString(16).padStart(2, "0")}: known are ${known}`,
    { details: { offset: 0, value: format } },
  );
}
