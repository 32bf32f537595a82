/**
 * Derived blocks into functions.
 *
 * @module
 */
import type { L1Heads, L2BlockSink } from "../ports.ts";
import type { DerivedBlock } from "../types.ts";

/** What is called. What one throws, or rejects with, comes out of the deriver; the call is made again. */
export interface BlockCallbacks {
  /** A block was derived. */
  onBlock(block: DerivedBlock): void | Promise<void>;
  /** All blocks of a batch were given: what a crash must not take is to be kept by now. */
  onBatch?(): void | Promise<void>;
  /** L1 lost the last blocks that were given. Without it, such a reorganisation is the end. */
  onRetract?(blocks: number): void | Promise<void>;
  /** L1 went on: what was derived from its blocks up to there is safe, or final. */
  onL1Heads?(heads: L1Heads): void | Promise<void>;
  /** Hash of the last block, where that is known: batches that name another parent are left out. */
  parentHash?(): Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

/**
 * Gives each block to a function, one after the other: the next comes when that has resolved.
 *
 * @example
 * ```ts
 * import {
 *   allCompressors,
 *   CallbackBlockSink,
 *   DerivationRunner,
 *   MemoryL1,
 *   systemClock as clock,
 *   systemRandom as random,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const timestamps: bigint[] = [];
 * const sink = new CallbackBlockSink({
 *   onBlock: ({ timestamp }) => void timestamps.push(timestamp),
 *   onRetract: (blocks) => void timestamps.splice(-blocks),
 * });
 * const source = new MemoryL1().source();
 * const runner = new DerivationRunner({
 *   source,
 *   compressors: allCompressors(),
 *   sink,
 *   clock,
 *   random,
 * });
 * await runner.run({ once: true });
 * if (timestamps.length > 0) throw new Error("an empty L1 holds no block");
 * ```
 */
export class CallbackBlockSink implements L2BlockSink {
  /** Only where there is a function for it: a deriver then knows what it can ask for. */
  readonly retract?: (blocks: number) => Promise<void>;
  readonly parentHash?: () => Promise<Uint8Array | undefined>;
  readonly noteL1Heads?: (heads: L1Heads) => Promise<void>;
  readonly #callbacks: BlockCallbacks;

  constructor(callbacks: BlockCallbacks) {
    this.#callbacks = callbacks;
    const { onRetract, onL1Heads, parentHash } = callbacks;
    if (onRetract) this.retract = async (blocks) => await onRetract.call(callbacks, blocks);
    if (onL1Heads) this.noteL1Heads = async (heads) => await onL1Heads.call(callbacks, heads);
    if (parentHash) this.parentHash = async () => await parentHash.call(callbacks);
  }

  async ingest(block: DerivedBlock): Promise<void> {
    await this.#callbacks.onBlock(block);
  }

  async flush(): Promise<void> {
    await this.#callbacks.onBatch?.();
  }
}
