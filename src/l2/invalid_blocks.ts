/**
 * Blocks that were found invalid, so that what follows them is too.
 *
 * @module
 */
import { toHex } from "../wire/hex.ts";

/** How many are remembered; the oldest goes first. */
const MAX_REMEMBERED = 1024;

/** Why a block is invalid. */
export interface InvalidBlock {
  /** The newest valid block below it, where that is known. */
  readonly latestValidHash: Uint8Array | undefined;
  readonly reason: string;
}

/** Invalid blocks by their hashes. */
export class InvalidBlocks {
  readonly #blocks = new Map<string, InvalidBlock>();

  /** What is known of a block that is invalid. */
  find(hash: Uint8Array): InvalidBlock | undefined {
    return this.#blocks.get(toHex(hash));
  }

  add(hash: Uint8Array, latestValidHash: Uint8Array | undefined, reason: string): void {
    this.#blocks.set(toHex(hash), { latestValidHash, reason });
    if (this.#blocks.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#blocks.keys()) {
      this.#blocks.delete(oldest);
      break;
    }
  }
}
