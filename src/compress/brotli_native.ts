/**
 * Brotli by the runtime's own library: faster, with a choice of window, and with bytes that differ
 * between runtimes and their versions.
 *
 * @module
 */
import { CompressionError } from "../errors.ts";

/** One whole stream, off the calling thread where the runtime can. */
export async function nativeBrotliCompress(
  data: Uint8Array,
  level: number,
  windowSize: number,
): Promise<Uint8Array> {
  // Loaded on first use: no other path of the library touches a built-in module for Brotli.
  const { brotliCompress, constants } = await import("node:zlib");
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: level,
    [constants.BROTLI_PARAM_LGWIN]: windowSize,
    [constants.BROTLI_PARAM_SIZE_HINT]: data.length,
  };
  return await new Promise((resolve, reject) => {
    brotliCompress(data, { params }, (error, compressed) => {
      if (error) {
        const message = `Cannot compress ${data.length} bytes natively: ${error.message}`;
        reject(new CompressionError("Failed", message, { cause: error }));
      } else {
        // A plain array: Buffer's slice() does not copy, and strict comparisons tell the two apart.
        resolve(new Uint8Array(compressed.buffer, compressed.byteOffset, compressed.length));
      }
    });
  });
}
