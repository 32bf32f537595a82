/**
 * Zstandard (RFC 8878) over the runtime's `node:zlib`, to compare Brotli with. Its bytes differ
 * between runtimes and their versions.
 *
 * What `node:zlib` leaves open is closed here: truncation and trailing bytes pass unseen on Deno
 * 2.9.6 and Bun 1.4.5, so the frame is walked first; on Deno the asynchronous decoder throws
 * corruption where nobody can catch it, so the synchronous one is used (64 MiB take 0.1 s); and
 * Deno's encoder may add an empty frame, which is cut off.
 *
 * @module
 */
import { CompressionError } from "../errors.ts";
import type { Compressor } from "../ports.ts";
import { type BoundOptions, decompressesTooLarge, refuseOversized, resolveBound } from "./bound.ts";
import { RatioEstimate } from "./ratio.ts";
import { readZstdFrame } from "./zstd_frame.ts";

type Zlib = typeof import("node:zlib");

const MIN_LEVEL = 1;
const MAX_LEVEL = 22;
/** The highest before those that need a larger window: bytes are paid for, seconds are not. */
const DEFAULT_LEVEL = 19;
/** What libzstd holds at most unless it is told otherwise (`ZSTD_WINDOWLOG_LIMIT_DEFAULT`). */
const MAX_WINDOW_BYTES = 2 ** 27;
/** The least that blocks of any chain measured gave is 1.73. */
const INITIAL_RATIO = 1.6;

/** How to compress. */
export interface ZstdOptions extends BoundOptions {
  /** From 1, fast, to 22, small; 19 by default. */
  readonly level?: number;
}

/**
 * Compresses to one frame with content size and checksum, and restores whole, lone frames.
 *
 * @example
 * ```ts
 * import { ZstdCompressor } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { deepEqual, rejects } from "node:assert/strict";
 *
 * const zstd = new ZstdCompressor({ level: 3 });
 * const compressed = await zstd.compress(new Uint8Array(1000));
 * deepEqual(await zstd.decompress(compressed), new Uint8Array(1000));
 *
 * const twice = Uint8Array.of(...compressed, ...compressed);
 * await rejects(zstd.decompress(twice), { code: "Corrupted" });
 * ```
 */
export class ZstdCompressor implements Compressor {
  readonly name = "zstd";
  readonly format = 1;
  readonly #level: number;
  readonly #maxBytes: number;
  readonly #estimate = new RatioEstimate(INITIAL_RATIO);

  /** @throws {CompressionError} `Unsupported` for a level or bound that is not to be had */
  constructor(options: ZstdOptions = {}) {
    const { level = DEFAULT_LEVEL } = options;
    if (!Number.isInteger(level) || level < MIN_LEVEL || level > MAX_LEVEL) {
      throw new CompressionError(
        "Unsupported",
        `Cannot compress with level ${level}: zstd has ${MIN_LEVEL} to ${MAX_LEVEL}`,
        { details: { level } },
      );
    }
    this.#level = level;
    this.#maxBytes = resolveBound(options);
  }

  get level(): number {
    return this.#level;
  }

  /**
   * @throws {CompressionError} `TooLarge` above the bound, `Unsupported` where the runtime has no
   * zstd, `Failed` when it gives up
   */
  async compress(data: Uint8Array): Promise<Uint8Array> {
    refuseOversized(data, this.#maxBytes);
    const zlib = requireZstd(await import("node:zlib"));
    const frames = await compressNatively(zlib, data, this.#level);
    const frame = readZstdFrame(frames);
    if (frame.contentBytes !== data.length) {
      throw new CompressionError(
        "Failed",
        `Cannot compress ${data.length} bytes as zstd: the frame says ${frame.contentBytes}`,
      );
    }
    this.#estimate.learn(data.length, frame.end);
    return frames.subarray(0, frame.end);
  }

  /**
   * @throws {CompressionError} `Corrupted` for anything but one whole frame, `TooLarge` above the
   * bound, `Unsupported` where the runtime has no zstd
   */
  async decompress(data: Uint8Array): Promise<Uint8Array> {
    const frame = readZstdFrame(data);
    if (frame.end < data.length) {
      throw corrupted(data, `${data.length - frame.end} bytes follow the end of the frame`);
    }
    if ((frame.contentBytes ?? 0) > this.#maxBytes) {
      throw decompressesTooLarge(data.length, frame.contentBytes ?? 0, this.#maxBytes);
    }
    if (frame.windowBytes > MAX_WINDOW_BYTES) {
      throw new CompressionError(
        "TooLarge",
        `Cannot decompress ${data.length} bytes as zstd: it wants a window of ` +
          `${frame.windowBytes} bytes, at most ${MAX_WINDOW_BYTES} may be`,
        { details: { size: frame.windowBytes, max: MAX_WINDOW_BYTES } },
      );
    }

    const zlib = requireZstd(await import("node:zlib"));
    const content = decompressNatively(zlib, data, this.#maxBytes);
    if (content.length !== (frame.contentBytes ?? content.length)) {
      throw corrupted(data, `${content.length} bytes came out, it says ${frame.contentBytes}`);
    }
    return content;
  }

  /** Raw bytes for one compressed byte; see `ratio.ts`. */
  estimatedRatio(): number {
    return this.#estimate.ratio;
  }
}

/** The module given back, if it has zstd: Node has since 22.15, types say that all do. */
export function requireZstd(zlib: Partial<Zlib>): Zlib {
  if (zlib.zstdCompress && zlib.zstdDecompressSync) return zlib as Zlib;
  throw new CompressionError(
    "Unsupported",
    "Cannot use zstd: node:zlib of this runtime lacks it; Deno 2.9.6 and Bun 1.4.5 have it",
  );
}

function compressNatively(zlib: Zlib, data: Uint8Array, level: number): Promise<Uint8Array> {
  const { ZSTD_c_compressionLevel, ZSTD_c_checksumFlag } = zlib.constants;
  const options = {
    params: { [ZSTD_c_compressionLevel]: level, [ZSTD_c_checksumFlag]: 1 },
    // Puts the content size into the header, and fits the window to it.
    pledgedSrcSize: data.length,
  };
  return new Promise((resolve, reject) => {
    zlib.zstdCompress(data, options, (error, compressed) => {
      if (error) {
        const message = `Cannot compress ${data.length} bytes as zstd: ${error.message}`;
        reject(new CompressionError("Failed", message, { cause: error }));
      } else {
        resolve(plain(compressed));
      }
    });
  });
}

function decompressNatively(zlib: Zlib, data: Uint8Array, maxBytes: number): Uint8Array {
  try {
    return plain(zlib.zstdDecompressSync(data, { maxOutputLength: maxBytes }));
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") {
      throw decompressesTooLarge(data.length, maxBytes + 1, maxBytes, error);
    }
    throw corrupted(data, error instanceof Error ? error.message : String(error), error);
  }
}

/** Buffer's slice() does not copy, and strict comparisons tell the two apart. */
function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

function corrupted(data: Uint8Array, reason: string, cause?: unknown): CompressionError {
  return new CompressionError(
    "Corrupted",
    `Cannot decompress ${data.length} bytes as zstd: ${reason}`,
    { cause, details: { size: data.length } },
  );
}
