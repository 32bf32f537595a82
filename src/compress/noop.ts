/**
 * No compression, for debugging: batches can be read in a hex dump.
 *
 * @module
 */
import type { Compressor } from "../ports.ts";
import { type BoundOptions, decompressesTooLarge, refuseOversized, resolveBound } from "./bound.ts";

/**
 * Gives back the very bytes it is given, not a copy.
 *
 * @example
 * ```ts
 * import { NoopCompressor } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { deepEqual } from "node:assert/strict";
 *
 * const none = new NoopCompressor();
 * deepEqual(await none.compress(Uint8Array.of(1, 2, 3)), Uint8Array.of(1, 2, 3));
 * ```
 */
export class NoopCompressor implements Compressor {
  readonly name = "none";
  readonly format = 2;
  readonly #maxBytes: number;

  /** @throws {CompressionError} `Unsupported` for a bound that is none */
  constructor(options: BoundOptions = {}) {
    this.#maxBytes = resolveBound(options);
  }

  /** @throws {CompressionError} `TooLarge` above the bound */
  // deno-lint-ignore require-await
  async compress(data: Uint8Array): Promise<Uint8Array> {
    refuseOversized(data, this.#maxBytes);
    return data;
  }

  /** @throws {CompressionError} `TooLarge` above the bound */
  // deno-lint-ignore require-await
  async decompress(data: Uint8Array): Promise<Uint8Array> {
    if (data.length > this.#maxBytes) {
      throw decompressesTooLarge(data.length, data.length, this.#maxBytes);
    }
    return data;
  }

  /** Always 1. */
  estimatedRatio(): number {
    return 1;
  }
}
