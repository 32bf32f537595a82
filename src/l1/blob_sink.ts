/**
 * Batches into blobs.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";
import type { BatchSink } from "../ports.ts";
import type { CompressedBatch, SubmissionReceipt } from "../types.ts";
import { BLOB_CAPACITY, MAX_BLOBS_PER_TX, toBlobs } from "../wire/blob.ts";
import { blobCalldata } from "../wire/inbox.ts";
import { InboxPosting, type PostingOptions } from "./inbox_posting.ts";

/** How batches are posted in blobs. */
export interface BlobSinkOptions extends PostingOptions {
  /** Blobs of one transaction, 1 to 6; 6 otherwise. */
  readonly maxBlobs?: number;
}

/**
 * Posts each batch in the blobs of one transaction to the inbox.
 *
 * @example
 * ```ts
 * import {
 *   BlobSink,
 *   encodeBatch,
 *   headerFor,
 *   NoopCompressor,
 *   seal,
 *   type TxRequest,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const manager = { // Or what TxManager.open() resolves with.
 *   maxInFlight: 1,
 *   healthCheck: () => Promise.resolve(),
 *   send: ({ batchNumber }: TxRequest) => {
 *     const [txHash, l1BlockHash] = [new Uint8Array(32), new Uint8Array(32)];
 *     return Promise.resolve({ batchNumber, txHash, l1Block: 1n, l1BlockHash, blobHashes: [] });
 *   },
 * };
 * const blocks = [{ timestamp: 1000n, transactions: [] }];
 * const [l1OriginCheck, parentCheck] = [new Uint8Array(20), new Uint8Array(20)];
 * const header = headerFor({ batchNumber: 0n, l1Origin: 1n, l1OriginCheck, parentCheck }, blocks);
 * const data = await seal(encodeBatch(header, blocks), new NoopCompressor());
 * const sink = new BlobSink({ manager, inbox: new Uint8Array(20).fill(0x42) });
 * const receipt = await sink.submit({ batchNumber: 0n, data });
 * if (receipt.l1Block !== 1n) throw new Error("unexpected receipt");
 * ```
 */
export class BlobSink implements BatchSink {
  readonly blobBytes: number = BLOB_CAPACITY;
  readonly #posting: InboxPosting;
  readonly #capacity: number;

  /** @throws {ConfigError} `Invalid` for a number of blobs that no transaction takes */
  constructor(options: BlobSinkOptions) {
    const { maxBlobs = MAX_BLOBS_PER_TX } = options;
    if (!Number.isInteger(maxBlobs) || maxBlobs < 1 || maxBlobs > MAX_BLOBS_PER_TX) {
      const need = `need an integer from 1 to ${MAX_BLOBS_PER_TX}`;
      throw new ConfigError("Invalid", `Cannot post ${maxBlobs} blobs in a transaction: ${need}`);
    }
    this.#posting = new InboxPosting(options);
    this.#capacity = maxBlobs * BLOB_CAPACITY;
  }

  submit(batch: CompressedBatch): Promise<SubmissionReceipt> {
    return this.#posting.post(batch, this.#capacity, () => ({
      input: blobCalldata(batch.batchNumber),
      blobs: toBlobs(batch.data),
    }));
  }

  get maxInFlight(): number {
    return this.#posting.maxInFlight;
  }

  capacity(): Promise<number> {
    return Promise.resolve(this.#capacity);
  }

  healthCheck(): Promise<void> {
    return this.#posting.healthCheck();
  }
}
