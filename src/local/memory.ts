/**
 * Everything in memory: an L1, a source and a sink of blocks, a clock that is turned by hand. For tests,
 * and for those who want the pipeline without a disk.
 *
 * @module
 */
import { SourceError } from "../errors.ts";
import type { BatchSource, Clock, L2BlockSink, Random } from "../ports.ts";
import type { DerivedBlock, L2Block } from "../types.ts";
import { toHex } from "../wire/hex.ts";
import {
  InboxSink,
  type InboxSinkOptions,
  InboxSource,
  type InboxSourceOptions,
  type L1Head,
  type LocalL1,
} from "./inbox.ts";
import { blobHash, type L1Block, type L1TransactionDraft, makeBlock } from "./l1_block.ts";

/** A clock that stands still until it is moved; sleeping moves it. */
export class ManualClock implements Clock {
  #nowMs: number;

  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (!signal?.aborted) this.#nowMs += ms;
    return Promise.resolve();
  }
}

/** The same numbers from the same seed (mulberry32). */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed = 0) {
    this.#state = seed;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** An L1 that is gone with the process. */
export class MemoryL1 implements LocalL1 {
  readonly #blocks: L1Block[] = [makeBlock(undefined, [], 0n)];
  readonly #blobs = new Map<string, Uint8Array>();
  readonly #safeConfirmations: number;
  readonly #clock: Clock;

  constructor(options: { readonly clock?: Clock; readonly safeConfirmations?: number } = {}) {
    this.#clock = options.clock ?? new ManualClock();
    this.#safeConfirmations = options.safeConfirmations ?? 0;
  }

  /** A sink that posts to it. */
  sink(options: Partial<InboxSinkOptions> = {}): InboxSink {
    return new InboxSink(this, { clock: this.#clock, ...options });
  }

  /** A source that reads from it. */
  source(options: InboxSourceOptions = {}): InboxSource {
    return new InboxSource(this, options);
  }

  head(tag: L1Head): Promise<bigint> {
    const depth = tag === "latest" ? 0 : this.#safeConfirmations;
    return Promise.resolve(BigInt(Math.max(0, this.#blocks.length - 1 - depth)));
  }

  block(number: bigint): Promise<L1Block> {
    const block = this.#blocks[Number(number)];
    if (block) return Promise.resolve(block);
    const message = `Cannot read L1 block ${number}: the head is ${this.#blocks.length - 1}`;
    return Promise.reject(new SourceError("Damaged", message));
  }

  blob(hash: Uint8Array): Promise<Uint8Array> {
    const blob = this.#blobs.get(toHex(hash));
    if (blob) return Promise.resolve(blob);
    const message = `Cannot read blob ${toHex(hash)}: there is none`;
    return Promise.reject(new SourceError("Damaged", message));
  }

  async mine(
    drafts: readonly L1TransactionDraft[],
    timestamp: bigint,
    check?: (parent: L1Block) => Promise<void>,
  ): Promise<L1Block> {
    await check?.(this.#blocks.at(-1)!);
    const block = makeBlock(this.#blocks.at(-1), drafts, timestamp);
    for (const draft of drafts) {
      for (const blob of draft.blobs) this.#blobs.set(toHex(blobHash(blob)), blob);
    }
    this.#blocks.push(block);
    return block;
  }

  check(): Promise<void> {
    return Promise.resolve();
  }
}

/** Gives the blocks of a list, then those pushed to it. */
export class MemoryBatchSource implements BatchSource {
  readonly #blocks: L2Block[];
  readonly #l1: LocalL1;
  #given = 0;
  /** The last block that stayed, where others than those that were given stand behind it. */
  #shared: bigint | undefined;

  constructor(blocks: readonly L2Block[], l1: LocalL1) {
    this.#blocks = [...blocks];
    this.#l1 = l1;
  }

  push(...blocks: readonly L2Block[]): void {
    this.#blocks.push(...blocks);
  }

  /** Puts `blocks` in place of those behind block `number`; all are numbered. */
  reorganise(number: bigint, blocks: readonly L2Block[]): void {
    const kept = this.#countTo(number);
    this.#blocks.splice(kept, this.#blocks.length, ...blocks);
    if (kept < this.#given) this.#shared = number;
  }

  pendingBlocks(): Promise<readonly L2Block[]> {
    if (this.#shared !== undefined) {
      const message = `L2 was reorganised above block ${this.#shared}`;
      const details = { block: this.#shared };
      return Promise.reject(new SourceError("Reorganised", message, { details }));
    }
    const blocks = this.#blocks.slice(this.#given);
    this.#given = this.#blocks.length;
    return Promise.resolve(blocks);
  }

  rewind(number: bigint): void {
    this.#given = this.#countTo(number);
    this.#shared = undefined;
  }

  #countTo(number: bigint): number {
    return this.#blocks.findLastIndex((block) => block.number! <= number) + 1;
  }

  l1Origin(): Promise<bigint> {
    return this.#l1.head("latest");
  }

  async l1OriginHash(number: bigint): Promise<Uint8Array> {
    return (await this.#l1.block(number)).hash;
  }

  parentHash(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(32));
  }
}

/** Keeps the blocks it is given. */
export class MemoryBlockSink implements L2BlockSink {
  readonly blocks: DerivedBlock[] = [];

  ingest(block: DerivedBlock): Promise<void> {
    this.blocks.push(block);
    return Promise.resolve();
  }

  retract(blocks: number): Promise<void> {
    this.blocks.splice(this.blocks.length - blocks);
    return Promise.resolve();
  }
}
