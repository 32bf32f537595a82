/**
 * Batches into calldata.
 *
 * @module
 */
import type { BatchSink } from "../ports.ts";
import type { CompressedBatch, SubmissionReceipt } from "../types.ts";
import { batchCalldata, CALLDATA_CAPACITY } from "../wire/inbox.ts";
import { InboxPosting, type PostingOptions } from "./inbox_posting.ts";

/**
 * Posts each batch in the calldata of one transaction to the inbox.
 *
 * @example
 * ```ts
 * import {
 *   CalldataSink,
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
 * const sink = new CalldataSink({ manager, inbox: new Uint8Array(20).fill(0x42) });
 * const receipt = await sink.submit({ batchNumber: 0n, data });
 * if (receipt.l1Block !== 1n) throw new Error("unexpected receipt");
 * ```
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
