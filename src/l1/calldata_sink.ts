/**
 * Batches into calldata.
 *
 * @module
 */
import type { BatchSink } from "../ports.ts";
import type { CompressedBatch, SubmissionReceipt } from "../types.ts";
import { batchCalldata } from "../wire/inbox.ts";
import { InboxPosting, type PostingOptions } from "./inbox_posting.ts";

/** The most calldata of one transaction that nodes pass on (128 KiB), less what surrounds it. */
export const CALLDATA_CAPACITY = 120_000;

/**
 * Posts each batch in the calldata of one transaction to the inbox.
 */
export class CalldataSink implements BatchSink {
  readonly #posting: InboxPosting;

  constructor(options: PostingOptions) {
    this.#posting = new InboxPosting(options);
  }

  submit(batch: CompressedBatch): Promise<SubmissionReceipt> {
    return this.#posting.post(batch, CALLDATA_CAPACITY, () => ({
      input: batchCalldata(batch),
      blobs: [],
    }));
  }

  get maxInFlight(): number {
    return this.#posting.maxInFlight;
  }

  capacity(): Promise<number> {
    return Promise.resolve(CALLDATA_CAPACITY);
  }

  healthCheck(): Promise<void> {
    return this.#posting.healthCheck();
  }
}
