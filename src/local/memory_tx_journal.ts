/**
 * What an account sent, gone with the process: for tests, and for those who do not mind.
 *
 * @module
 */
import type { BlobStore, LandedTx, TxAttempt, TxJournal } from "../ethereum.ts";
import { toHex } from "../wire/hex.ts";

/**
 * Keeps what an account signed in memory. Whoever needs to outlive a crash takes `LogTxJournal`.
 *
 * @example
 * ```ts
 * import { MemoryTxJournal } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const journal = new MemoryTxJournal();
 * await journal.forget(5n, []);
 * if (journal.attempts.length !== 0) throw new Error("nothing was signed");
 * ```
 */
export class MemoryTxJournal implements TxJournal {
  #attempts: readonly TxAttempt[] = [];
  #landed: readonly LandedTx[] = [];

  get attempts(): readonly TxAttempt[] {
    return this.#attempts;
  }

  get landed(): readonly LandedTx[] {
    return this.#landed;
  }

  signed(attempt: TxAttempt): Promise<void> {
    this.#attempts = [...this.#attempts, attempt];
    return Promise.resolve();
  }

  forget(nonce: bigint, landed: readonly LandedTx[]): Promise<void> {
    this.#attempts = this.#attempts.filter((attempt) => attempt.nonce >= nonce);
    this.#landed = [...this.#landed, ...landed];
    return Promise.resolve();
  }
}

/** Keeps blobs in memory until they are forgotten. Whoever needs them longer takes `BlobArchive`. */
export class MemoryBlobStore implements BlobStore {
  readonly #blobs = new Map<string, Uint8Array>();

  get size(): number {
    return this.#blobs.size;
  }

  put(hash: Uint8Array, blob: Uint8Array): Promise<void> {
    this.#blobs.set(toHex(hash), blob);
    return Promise.resolve();
  }

  get(hash: Uint8Array): Promise<Uint8Array | undefined> {
    return Promise.resolve(this.#blobs.get(toHex(hash)));
  }

  forget(hashes: readonly Uint8Array[]): void {
    for (const hash of hashes) this.#blobs.delete(toHex(hash));
  }
}
