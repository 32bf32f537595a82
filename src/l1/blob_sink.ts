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
