/**
 * What blocks would be posted as, before they are: a batcher over them in time that is only reckoned.
 *
 * @module
 */
import type { PipelineConfig } from "../config.ts";
import type { BatchSource, Clock, CutReason, LogEvent } from "../ports.ts";
import type { L2Block, TxCost } from "../types.ts";
import { BatcherPipeline } from "./batcher.ts";
import type { BatcherParts } from "./batcher_parts.ts";
import { pipelineConfig } from "./settings.ts";

/** What is estimated with: the very parts of a batcher, and a sink that posts nothing. */
export type EstimateParts = Omit<BatcherParts, "clock" | "faster" | "journal">;

/** How it is estimated. */
export interface EstimateOptions {
  /**
   * All blocks are there at once, as for a batcher that was away: batches end where they are full. Without
   * it each block comes at its timestamp, and batches are due as at the head of the chain.
   */
  readonly isBacklog?: boolean;
}

/** A batch as it would be posted. */
export interface EstimatedBatch {
  readonly batchNumber: bigint;
  /** Why it ends where it does. `shutdown` is the end of the blocks. */
  readonly reason: CutReason;
  readonly blocks: number;
  readonly transactions: number;
  readonly rawBytes: number;
  readonly compressedBytes: number;
  /** 0 for calldata. */
  readonly blobs: number;
  readonly lastBlock: L2Block;
  /** How long its first block waited until it was posted; none in a backlog. */
  readonly waitedMs?: number;
  /** As the sink's receipt tells it. */
  readonly cost?: TxCost;
}

/**
 * Plans, compresses and hands over the batches of all that a source has. Time is that of the blocks'
 * timestamps: compression takes none, a batch is on L1 as soon as the sink says so, and what is left at
 * the end goes as it is.
 *
 * @throws what source, compressor and sink throw
 * @throws {ConfigError} `Invalid` naming key and value
 */
export async function estimateBatches(
  parts: EstimateParts,
  config: Partial<PipelineConfig> = {},
  { isBacklog = false }: EstimateOptions = {},
): Promise<readonly EstimatedBatch[]> {
  const time = new ChainTime(parts.source, pipelineConfig(config), isBacklog);
  const batches: EstimatedBatch[] = [];
  const sealed = new Map<bigint, number>();
  const log = (event: LogEvent) => {
    if (event.event === "batch.sealed") sealed.set(event.batchNumber, event.transactions);
    if (event.event === "batch.submitted") {
      const { receipt, reason, blocks, rawBytes, compressedBytes, lastBlock } = event;
      const { batchNumber, blobHashes: { length: blobs }, cost } = receipt;
      const waitedMs = time.posted(blocks);
      const transactions = sealed.get(batchNumber)!;
      sealed.delete(batchNumber);
      batches.push({
        batchNumber,
        reason,
        blocks,
        transactions,
        rawBytes,
        compressedBytes,
        blobs,
        lastBlock,
        ...(isBacklog ? {} : { waitedMs }),
        ...(cost ? { cost } : {}),
      });
    }
    parts.log?.(event);
  };
  if (!await time.advance()) return [];
  // Now that the first block is there: a batcher's intervals begin when it does.
  const batcher = new BatcherPipeline({ ...parts, source: time, clock: time.clock, log }, config);
  do {
    let isWorking = true;
    while (isWorking) {
      const given = time.given;
      const receipt = await batcher.tick();
      isWorking = receipt !== undefined || time.given > given;
    }
  } while (await time.advance());
  await batcher.shutdown();
  return batches;
}

/** A source that gives blocks when it is time, and the clock that tells it. */
class ChainTime implements BatchSource {
  readonly #source: BatchSource;
  readonly #config: PipelineConfig;
  readonly #isBacklog: boolean;
  #nowMs = 0;
  /** Not given yet. */
  #ahead: L2Block[] = [];
  /** When each block came that was given, and is in no posted batch. */
  readonly #waitingSinceMs: number[] = [];
  #lastPostedMs: number | undefined;
  /** Blocks that were given. */
  given = 0;

  constructor(source: BatchSource, config: PipelineConfig, isBacklog: boolean) {
    this.#source = source;
    this.#config = config;
    this.#isBacklog = isBacklog;
  }

  readonly clock: Clock = {
    now: () => this.#nowMs,
    sleep: () => Promise.resolve(),
  };

  /** Moves on to the next block, or to when a batch may be due before it; false where no block is left. */
  async advance(): Promise<boolean> {
    while (this.#ahead.length === 0) {
      this.#ahead.push(...await this.#source.pendingBlocks());
      if (this.#ahead.length === 0 && (this.#source.isExhausted ?? true)) return false;
    }
    if (this.#isBacklog) return true;
    const blockMs = timeOf(this.#ahead[0]!);
    this.#nowMs = Math.max(this.#nowMs, Math.min(blockMs, ...this.#dueMs()));
    this.#lastPostedMs ??= this.#nowMs;
    return true;
  }

  /** When a batch of what was given may be due, by the clock alone. */
  #dueMs(): number[] {
    const [firstMs] = this.#waitingSinceMs;
    if (firstMs === undefined) return [];
    const { batchIntervalMs, maxWaitMs } = this.#config;
    const dueMs = [
      firstMs + Math.min(batchIntervalMs, maxWaitMs),
      this.#lastPostedMs! + batchIntervalMs,
    ];
    return dueMs.filter((each) => each > this.#nowMs);
  }

  async pendingBlocks(): Promise<readonly L2Block[]> {
    // In a backlog there is always more, as far as the source goes.
    if (this.#isBacklog && this.#ahead.length === 0) {
      this.#ahead.push(...await this.#source.pendingBlocks());
    }
    const later = this.#isBacklog
      ? -1
      : this.#ahead.findIndex((block) => timeOf(block) > this.#nowMs);
    const blocks = this.#ahead.splice(0, later < 0 ? this.#ahead.length : later);
    this.given += blocks.length;
    for (const _ of blocks) this.#waitingSinceMs.push(this.#nowMs);
    return blocks;
  }

  /** @returns how long the first of the blocks waited that are posted now */
  posted(blocks: number): number {
    this.#lastPostedMs = this.#nowMs;
    const [firstMs] = this.#waitingSinceMs.splice(0, blocks);
    return this.#nowMs - firstMs!;
  }

  l1Origin(): Promise<bigint> {
    return this.#source.l1Origin();
  }

  l1OriginHash(number: bigint): Promise<Uint8Array> {
    return this.#source.l1OriginHash(number);
  }

  parentHash(): Promise<Uint8Array> {
    return this.#source.parentHash();
  }
}

/** Timestamps beyond what a clock can say are as late as it can. */
function timeOf({ timestamp }: L2Block): number {
  return Number(timestamp) * 1000;
}
