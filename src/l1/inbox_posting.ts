/**
 * What sinks of blobs and of calldata share: a batch is looked at once more, and given to the account's
 * manager with the last block that may include it.
 *
 * @module
 */
import { allCompressors } from "../compress/formats.ts";
import { isRetryable, RpcError, SinkError } from "../errors.ts";
import type { Chain } from "../ethereum.ts";
import type { Compressor } from "../ports.ts";
import type { BatchHeader, CompressedBatch, SubmissionReceipt } from "../types.ts";
import { originFault } from "./origin_check.ts";
import { deadlineOf, dropped, type InboxData, preflight } from "./preflight.ts";
import { Turns } from "./turns.ts";
import type { TxManager } from "./tx_manager.ts";

/** What batches are posted with. */
export interface PostingOptions {
  readonly manager: Pick<TxManager, "send" | "healthCheck" | "maxInFlight">;
  /** 20 bytes: where batches go. */
  readonly inbox: Uint8Array;
  /** Asked whether the L1 block that a batch names is there; without it nobody looks. */
  readonly chain?: Pick<Chain, "name" | "header">;
  /** Called where that is not so: it throws where L1 is another one than before, or that cannot be told. */
  readonly mustBeSameL1?: () => Promise<void>;
  /** What opens batches before they are posted; all there are otherwise. */
  readonly compressors?: readonly Compressor[];
  /** Shared by sinks whose batches follow each other. */
  readonly turns?: Turns;
}

/** A node that lags may say otherwise for a moment: so often in a row the L1 origin of a batch must be wrong. */
const LOOKS_UNTIL_DROPPED = 5;

/** Posts what a sink made of a batch. */
export class InboxPosting {
  readonly #manager: PostingOptions["manager"];
  readonly #inbox: Uint8Array;
  readonly #compressors: readonly Compressor[];
  readonly #turns: Turns;
  readonly #chain: PostingOptions["chain"];
  readonly #mustBeSameL1: () => Promise<void>;

  constructor(
    {
      manager,
      inbox,
      chain,
      mustBeSameL1 = () => Promise.resolve(),
      compressors = allCompressors(),
      turns = new Turns(),
    }: PostingOptions,
  ) {
    this.#mustBeSameL1 = mustBeSameL1;
    this.#chain = chain;
    this.#manager = manager;
    this.#inbox = inbox;
    this.#compressors = compressors;
    this.#turns = turns;
  }

  /**
   * @throws {SinkError} `TooLarge`, what {@link preflight} throws, `TxFailed` where readers would drop it for its
   * L1 origin, and what the manager throws
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
      if (this.#chain) await this.#mustHaveOrigin(header, this.#chain);
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

  /**
   * Refuses what readers would drop for its origin. Where that cannot be told now it goes on: batches behind
   * this one must not overtake it, and the manager sends nothing to an L1 that is another.
   */
  async #mustHaveOrigin(header: BatchHeader, chain: Pick<Chain, "name" | "header">): Promise<void> {
    let fault: string | undefined;
    for (let look = 0; look < LOOKS_UNTIL_DROPPED; look++) {
      fault = await originFault(header, chain).catch((error) => {
        if (!isRetryable(error) && !(error instanceof RpcError)) throw error;
        return undefined;
      });
      if (!fault) return;
    }
    await this.#mustBeSameL1();
    throw dropped(header.batchNumber, fault!);
  }

  /** Batches that may be on their way at the same time. */
  get maxInFlight(): number {
    return this.#manager.maxInFlight;
  }

  async healthCheck(): Promise<void> {
    await this.#manager.healthCheck();
  }
}
