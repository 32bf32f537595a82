/**
 * The last step of a batch: written down, posted, and written down as posted, in that order.
 *
 * @module
 */
import { isRetryable } from "../errors.ts";
import type { BatchSink, Clock, Log } from "../ports.ts";
import type { SubmissionReceipt } from "../types.ts";
import type { BatcherJournal } from "./batcher_journal.ts";
import { asSinkError } from "./port_errors.ts";
import type { BatchInLine } from "./sealing.ts";

/** What it is made of. */
export interface PostingParts {
  readonly sink: BatchSink;
  readonly clock: Clock;
  readonly log: Log;
  readonly journal?: Pick<BatcherJournal, "sealed" | "confirmed">;
}

/** Posts batches one after the other. */
export class Posting {
  readonly #parts: PostingParts;
  /** The batch that is written down: it is posted as it is, however often. */
  #recorded: bigint | undefined;
  /** On L1, and not written down as such. */
  #unconfirmed: { readonly receipt: SubmissionReceipt; readonly blocks: number } | undefined;
  #lastMs: number;

  /** @param recorded number of the batch that is written down already, if one is */
  constructor(parts: PostingParts, recorded: bigint | undefined) {
    this.#parts = parts;
    this.#recorded = recorded;
    this.#lastMs = parts.clock.now();
  }

  /** When the last batch was posted, or when this began. */
  get lastMs(): number {
    return this.#lastMs;
  }

  /**
   * Posts the batch, once the one before is settled; where it throws, the same call may be made again.
   *
   * @throws {SinkError} | {WalError} what sink and journal threw
   */
  async post(batch: BatchInLine, data: Uint8Array): Promise<SubmissionReceipt> {
    const { sink, clock, log, journal } = this.#parts;
    const { batchNumber, rawBytes, reason } = batch;
    const blocks = batch.blocks.length;
    // One that is posted behind it would pass for it.
    await this.settle();
    if (this.#recorded !== batchNumber) {
      // Before anything goes out: what is posted again must be the same.
      await journal?.sealed({ batchNumber, blocks, reason, data });
      this.#recorded = batchNumber;
    }
    const startedMs = clock.now();
    let receipt: SubmissionReceipt;
    try {
      receipt = await sink.submit({ batchNumber, data });
    } catch (cause) {
      const error = asSinkError(cause);
      log({ event: "batch.failed", batchNumber, error });
      throw error;
    }
    this.#unconfirmed = { receipt, blocks };
    this.#lastMs = clock.now();
    log({
      event: "batch.submitted",
      receipt,
      reason,
      blocks,
      lastBlock: batch.blocks.at(-1)!.block,
      rawBytes,
      compressedBytes: data.length,
      latencyMs: this.#lastMs - startedMs,
    });
    return receipt;
  }

  /** Writes down what was posted, if that is still to be done; nothing else may be written before. */
  async settle(): Promise<void> {
    if (!this.#unconfirmed) return;
    const { receipt, blocks } = this.#unconfirmed;
    await this.#parts.journal?.confirmed(receipt, blocks);
    this.#unconfirmed = undefined;
  }

  /** As {@link settle}; what can be tried again is left to the next call. L1 has the batch. */
  async trySettle(): Promise<void> {
    try {
      await this.settle();
    } catch (error) {
      if (!isRetryable(error)) throw error;
    }
  }
}
