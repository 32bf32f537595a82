/**
 * What transactions would take and cost: in the place of an account's manager, for sinks that are to post
 * nothing.
 *
 * @module
 */
import type { SubmissionReceipt } from "../types.ts";
import { expectedCost, gasFor, type Market } from "./gas.ts";
import type { TxManager, TxRequest } from "./tx_manager.ts";

/**
 * Answers each transaction at once, as if the next block included it at the fees that it knows. Receipts
 * have its cost, and as many blob hashes as there are blobs; hashes and L1 block are zeros.
 *
 * @example
 * ```ts
 * import {
 *   AutoSink,
 *   estimateBatches,
 *   MemoryBatchSource,
 *   MemoryL1,
 *   NoopCompressor,
 *   TxQuotes,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const manager = new TxQuotes({ baseFee: 10n ** 9n, tip: 10n ** 8n, blobBaseFee: 1n });
 * const sink = new AutoSink({ manager, inbox: new Uint8Array(20).fill(0x42) });
 * const blocks = [{ timestamp: 1000n, transactions: [new Uint8Array(5000).fill(7)] }];
 * const source = new MemoryBatchSource(blocks, new MemoryL1());
 * const [batch] = await estimateBatches({ source, compressor: new NoopCompressor(), sink });
 * if (batch?.blobs !== 1) throw new Error("expected one blob");
 * if (batch.cost?.gasPrice !== 1_100_000_000n) throw new Error("unexpected price");
 * ```
 */
export class TxQuotes
  implements Pick<TxManager, "send" | "healthCheck" | "maxInFlight" | "market" | "kindOf"> {
  readonly maxInFlight: number = 1;
  readonly #market: Market;

  /** @param market wei for one gas, and for one gas of blobs */
  constructor(market: Market) {
    this.#market = market;
  }

  send({ batchNumber, input, blobs }: TxRequest): Promise<SubmissionReceipt> {
    return Promise.resolve({
      batchNumber,
      txHash: new Uint8Array(32),
      l1Block: 0n,
      l1BlockHash: new Uint8Array(32),
      blobHashes: blobs.map(() => new Uint8Array(32)),
      cost: expectedCost(gasFor(input), blobs.length, this.#market),
    });
  }

  market(): Promise<Market> {
    return Promise.resolve(this.#market);
  }

  kindOf(): undefined {
    return undefined;
  }

  healthCheck(): Promise<void> {
    return Promise.resolve();
  }
}
