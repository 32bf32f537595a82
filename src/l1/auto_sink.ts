/**
 * Batches where they are cheaper: in blobs, or in calldata (design `ethereum.md`, "Sending" 9). Compared is
 * what the batch at hand costs in the next block, at the size it really has. It does not flap: once it
 * changed, so many batches go that way before it changes back. Pools take one type at a time from an
 * account, so the first of the other kind waits until those before it are in a block.
 *
 * @module
 */
import type { EthereumEvent } from "../ethereum.ts";
import type { BatchSink, Log } from "../ports.ts";
import type { CompressedBatch, SubmissionReceipt } from "../types.ts";
import { BLOB_CAPACITY, blobCount } from "../wire/blob.ts";
import { batchCalldata, blobCalldata, CALLDATA_CAPACITY } from "../wire/inbox.ts";
import { BlobSink, type BlobSinkOptions } from "./blob_sink.ts";
import { CalldataSink } from "./calldata_sink.ts";
import { expectedCostWei, gasFor, type Market } from "./gas.ts";
import { Turns } from "./turns.ts";
import type { TxManager } from "./tx_manager.ts";

/** Batches that go one way before it changes back. */
export const BATCHES_BEFORE_CHANGE = 16;

/** Which way data goes. */
export type DataKind = "blobs" | "calldata";

/** How batches are posted where they are cheaper. */
export interface AutoSinkOptions extends BlobSinkOptions {
  readonly manager: Pick<
    TxManager,
    "send" | "healthCheck" | "maxInFlight" | "market" | "kindOf"
  >;
  readonly log?: Log;
}

/** What a batch costs either way. */
export type DataCosts = Pick<
  Extract<EthereumEvent, { event: "da.switched" }>,
  "blobsWei" | "calldataWei"
>;

/** What a batch costs in the next block; one that is too large for calldata counts as several. */
export function dataCosts(batch: CompressedBatch, market: Market): DataCosts {
  const pieces = Math.max(1, Math.ceil(batch.data.length / CALLDATA_CAPACITY));
  const more = BigInt(pieces - 1) * gasFor(blobCalldata(batch.batchNumber));
  return {
    blobsWei: expectedCostWei(
      gasFor(blobCalldata(batch.batchNumber)),
      blobCount(batch.data.length),
      market,
    ),
    calldataWei: expectedCostWei(gasFor(batchCalldata(batch)) + more, 0, market),
  };
}

/**
 * Posts each batch in blobs or in calldata, as it is cheaper.
 *
 * @example
 * ```ts
 * import {
 *   AutoSink,
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
 *   market: () => Promise.resolve({ baseFee: 7n, tip: 1n, blobBaseFee: 1n }),
 *   kindOf: () => undefined,
 * };
 * const blocks = [{ timestamp: 1000n, transactions: [] }];
 * const [l1OriginCheck, parentCheck] = [new Uint8Array(20), new Uint8Array(20)];
 * const header = headerFor({ batchNumber: 0n, l1Origin: 1n, l1OriginCheck, parentCheck }, blocks);
 * const data = await seal(encodeBatch(header, blocks), new NoopCompressor());
 * const sink = new AutoSink({ manager, inbox: new Uint8Array(20).fill(0x42) });
 * const receipt = await sink.submit({ batchNumber: 0n, data });
 * if (receipt.l1Block !== 1n) throw new Error("unexpected receipt");
 * ```
 */
export class AutoSink implements BatchSink {
  readonly blobBytes: number = BLOB_CAPACITY;
  readonly #options: AutoSinkOptions;
  readonly #sinks: Readonly<Record<DataKind, BatchSink>>;
  readonly #turns = new Turns();
  #kind: DataKind = "blobs";
  /** Batches since it changed last. */
  #since = BATCHES_BEFORE_CHANGE;

  /** @throws {ConfigError} `Invalid` for a number of blobs that no transaction takes */
  constructor(options: AutoSinkOptions) {
    const shared = { ...options, turns: new Turns() };
    this.#options = options;
    this.#sinks = { blobs: new BlobSink(shared), calldata: new CalldataSink(shared) };
  }

  async submit(batch: CompressedBatch): Promise<SubmissionReceipt> {
    const turn = this.#turns.take();
    try {
      await turn.before;
      const kind = await this.#kindFor(batch);
      const submitted = this.#sinks[kind].submit(batch);
      turn.end();
      return await submitted;
    } finally {
      turn.end();
    }
  }

  /** Of the way that batches go now: in calldata they are smaller. */
  capacity(): Promise<number> {
    return this.#sinks[this.#kind].capacity();
  }

  healthCheck(): Promise<void> {
    return this.#options.manager.healthCheck();
  }

  get maxInFlight(): number {
    return this.#options.manager.maxInFlight;
  }

  async #kindFor(batch: CompressedBatch): Promise<DataKind> {
    // What is under way goes on as it is.
    const known = this.#options.manager.kindOf(batch.batchNumber);
    if (known) return known;
    await this.#decide(batch);
    return batch.data.length > CALLDATA_CAPACITY ? "blobs" : this.#kind;
  }

  async #decide(batch: CompressedBatch): Promise<void> {
    let costs: DataCosts;
    try {
      costs = dataCosts(batch, await this.#options.manager.market());
    } catch {
      // Nobody knows the prices: the manager waits for them, and whoever asks it learns why.
      return;
    }
    const { blobsWei, calldataWei } = costs;
    const cheaper = calldataWei < blobsWei ? "calldata" : "blobs";
    if (cheaper !== this.#kind && this.#since >= BATCHES_BEFORE_CHANGE) {
      this.#options.log?.({ event: "da.switched", from: this.#kind, to: cheaper, ...costs });
      this.#kind = cheaper;
      this.#since = 0;
    }
    this.#since += 1;
  }
}
