/**
 * What sinks of blobs and of calldata share: a batch is looked at once more, and given to the account's
 * manager with the last block that may include it.
 *
 * @module
 */
import { allCompressors } from "../compress/formats.ts";
import { SinkError } from "../errors.ts";
import type { Compressor } from "../ports.ts";
import type { CompressedBatch, SubmissionReceipt } from "../types.ts";
import { deadlineOf, type InboxData, preflight } from "./preflight.ts";
import { Turns } from "./turns.ts";
import type { TxManager } from "./tx_manager.ts";

/** What batches are posted with. */
export interface PostingOptions {
  readonly manager: Pick<TxManager, "send" | "healthCheck" | "maxInFlight">;
  /** 20 bytes: where batches go. */
  readonly inbox: Uint8Array;
  /** What opens batches before they are posted; all there are otherwise. */
  readonly compressors?: readonly Compressor[];
  /** Shared by sinks whose batches follow each other. */
  readonly turns?: Turns;
}

/** Posts what a sink made of a batch. */
export class InboxPosting {
  readonly #manager: PostingOptions["manager"];
  readonly #inbox: Uint8Array;
  readonly #compressors: readonly Compressor[];
  readonly #turns: Turns;

  constructor(
    { manager, inbox, compressors = allCompressors(), turns = new Turns() }: PostingOptions,
  ) {
    this.#manager = manager;
    this.#inbox = inbox;
    this.#compressors = compressors;
    this.#turns = turns;
  }

  /**
   * @throws {SinkError} `TooLarge`, what {@link preflight} throws, and what the manager throws
   */
  async post(
    batch: CompressedBatch,
    capacity: number,
    encode: () => InboxData,
  ): Promise<SubmissionReceipt> {
    const { batchNumber, data: { length } } = batch;
    if (length > capacity) {
      throw new SinkError(
        "TooLarge",
        `Cannot post batch ${batchNumber}: ${length} bytes, a transaction takes ${capacity}`,
        { details: { size: length, max: capacity } },
      );
    }
    const turn = this.#turns.take();
    try {
      const data = encode();
      const header = await preflight(batch, data, this.#compressors);
      const deadlineL1Block = deadlineOf(header);
      // Batches are looked at side by side, and get their nonces in the order of the calls.
      await turn.before;
      const sent = this.#manager.send({ batchNumber, to: this.#inbox, ...data, deadlineL1Block });
      turn.end();
      return await sent;
    } finally {
      turn.end();
    }
  }

  /** Batches that may be on their way at the same time. */
  get maxInFlight(): number {
    return this.#manager.maxInFlight;
  }

  async healthCheck(): Promise<void> {
    await this.#manager.healthCheck();
  }
}
