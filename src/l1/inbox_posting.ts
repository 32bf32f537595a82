/**
 * What sinks of blobs and of calldata share: a batch is looked at once more, and given to the account's
 * manager with the last block that may include it.
 *
 * @module
 */
import { allCompressors } from "../compress/formats.ts";
import { SinkError } from "../errors.ts";
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
  /** Called before: it throws where L1 is another one than before, or that cannot be told. */
  readonly mustBeSameL1?: () => Promise<void>;
  /** What opens batches before they are posted; all there are otherwise. */
  readonly compressors?: readonly Compressor[];
  /** Shared by sinks whose batches follow each other. */
  readonly turns?: Turns;
}

/** How often in a row the L1 origin of a batch must be wrong. */
const LOOKS_UNTIL_DROPPED = 3;

/** Posts what a sink made of a batch. */
export class InboxPosting {
  readonly #manager: PostingOptions["manager"];
  readonly #inbox: Uint8Array;
  readonly #compressors: readonly Compressor[];
  readonly #turns: Turns;
  readonly #chain: PostingOptions["chain"];
  readonly #mustBeSameL1: () => Promise<void>;
  /** Of batches whose origin is wrong: how often that was seen. */
  readonly #faults = new Map<bigint, number>();

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
      await this.#mustHaveOrigin(header);
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

  /** A node that lags may say otherwise for a while. */
  async #mustHaveOrigin(header: BatchHeader): Promise<void> {
    if (!this.#chain) return;
    await this.#mustBeSameL1();
    const { batchNumber } = header;
    const fault = await originFault(header, this.#chain);
    if (!fault) return void this.#faults.delete(batchNumber);
    const looks = (this.#faults.get(batchNumber) ?? 0) + 1;
    this.#faults.set(batchNumber, looks);
    if (looks >= LOOKS_UNTIL_DROPPED) throw dropped(batchNumber, fault);
    const message = `Cannot post batch ${batchNumber} now: ${fault}`;
    throw new SinkError("Connection", message, { details: { batch: batchNumber } });
  }

  /** Batches that may be on their way at the same time. */
  get maxInFlight(): number {
    return this.#manager.maxInFlight;
  }

  async healthCheck(): Promise<void> {
    await this.#manager.healthCheck();
  }
}
