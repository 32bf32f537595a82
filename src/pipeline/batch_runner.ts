/**
 * Runs a batcher (seed `montana-batch-runner.md`): streams blocks, cuts by thresholds, submits, counts,
 * tells; pauses and resumes; drains at the end.
 *
 * @module
 */
import { PIPELINE_DEFAULTS, type PipelineConfig } from "../config.ts";
import { PipelineError, SourceError } from "../errors.ts";
import type { Clock, Log, LogEvent, Random } from "../ports.ts";
import { retry, RETRY_DEFAULTS, type RetryPolicy } from "../retry.ts";
import type { L2Block, SubmissionReceipt } from "../types.ts";
import { type BatcherParts, BatcherPipeline, type BatcherPosition } from "./batcher.ts";
import { BatchSubmissionCounter, type BatchSubmissionMetrics } from "./metrics.ts";
import { poll } from "./poll.ts";
import { steady } from "./steady_clock.ts";
import { type LoopHealth, TickHealth } from "./tick_health.ts";

/** Settings of a runner: the seed's names, and the pipeline's own for the rest. */
export interface BatchSubmissionConfig extends Omit<PipelineConfig, "targetRawBytes"> {
  /** Uncompressed bytes at which a batch is cut (the pipeline's `targetRawBytes`). */
  readonly targetBatchSize: number;
  /** Interval between polls. */
  readonly pollIntervalMs: number;
  /** Waits after a failed tick. */
  readonly retry: RetryPolicy;
}

/** The seed's defaults: 10 blocks, 128 KiB uncompressed, 100 ms. */
export const BATCH_SUBMISSION_DEFAULTS: BatchSubmissionConfig = Object.freeze({
  ...PIPELINE_DEFAULTS,
  maxBlocksPerBatch: 10,
  targetBatchSize: 128 * 1024,
  pollIntervalMs: 100,
  retry: RETRY_DEFAULTS,
});

/** What a runner tells as it happens. A callback must not throw. */
export interface BatchSubmissionCallbacks {
  readonly onBatchSubmitted?: (receipt: SubmissionReceipt, position: BatcherPosition) => void;
  readonly onBatchFailed?: (batchNumber: bigint, error: unknown) => void;
  readonly onBlockProcessed?: (block: L2Block) => void;
  /** The highest block number that the source has given. */
  readonly onChainHeadUpdated?: (number: bigint) => void;
}

/** How one run goes. */
export interface BatchRunOptions {
  /** Blocks with a lower number are left out. */
  readonly startBlock?: bigint;
  /** Aborted: takes no more, submits what was taken, returns. */
  readonly signal?: AbortSignal;
  /** Works off what the source has, submits it all, returns. */
  readonly once?: boolean;
  /** How long the last submissions may be tried again. */
  readonly shutdownTimeoutMs?: number;
}

/**
 * @example
 * ```ts
 * import {
 *   BatchSubmissionRunner,
 *   MemoryBatchSource,
 *   MemoryL1,
 *   NoopCompressor,
 *   systemClock,
 *   systemRandom,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const l1 = new MemoryL1();
 * const blocks = Array.from({ length: 25 }, (_, i) => ({
 *   timestamp: BigInt(1000 + 2 * i),
 *   transactions: [],
 * }));
 * const runner = new BatchSubmissionRunner({
 *   source: new MemoryBatchSource(blocks, l1),
 *   compressor: new NoopCompressor(),
 *   sink: l1.sink(),
 *   clock: systemClock,
 *   random: systemRandom,
 * }, { maxBlocksPerBatch: 10, pollIntervalMs: 100 });
 *
 * await runner.run({ once: true });
 * if (runner.metrics().batches_submitted !== 3) throw new Error("25 blocks are 3 batches of 10");
 * ```
 */
export class BatchSubmissionRunner {
  readonly #pipeline: BatcherPipeline;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #config: BatchSubmissionConfig;
  readonly #callbacks: BatchSubmissionCallbacks;
  readonly #counter = new BatchSubmissionCounter();
  readonly #health = new TickHealth();
  readonly #log: Log;
  readonly #isSourceExhausted: () => boolean;
  #startBlock: bigint | undefined;
  #chainHead: bigint | undefined;
  #isPaused = false;
  #isRunning = false;
  /** Blocks that the tick took; `undefined` while it did not ask. */
  #taken: number | undefined;

  constructor(
    parts: BatcherParts & { readonly random: Random },
    config: Partial<BatchSubmissionConfig> = {},
    callbacks: BatchSubmissionCallbacks = {},
    position?: BatcherPosition,
  ) {
    const { source, clock, random, log } = parts;
    this.#config = { ...BATCH_SUBMISSION_DEFAULTS, ...config };
    const { targetBatchSize, pollIntervalMs: _, retry: __, ...pipelineConfig } = this.#config;
    this.#clock = steady(clock);
    this.#random = random;
    this.#callbacks = callbacks;
    this.#log = log ?? (() => {});
    this.#isSourceExhausted = () => source.isExhausted ?? true;
    this.#pipeline = new BatcherPipeline(
      {
        ...parts,
        source: {
          pendingBlocks: async () => this.#fromStart(await source.pendingBlocks()),
          l1Origin: () => source.l1Origin(),
          l1OriginHash: (number) => source.l1OriginHash(number),
          parentHash: () => source.parentHash(),
          get blocksLeft() {
            return source.blocksLeft ?? 0;
          },
          ...(source.rewind ? { rewind: (number) => source.rewind!(number) } : {}),
        },
        log: (event) => this.#tell(event),
      },
      { ...pipelineConfig, targetRawBytes: targetBatchSize },
      position,
    );
  }

  /** The seeds' counters, as they stand. */
  metrics(): BatchSubmissionMetrics {
    return this.#counter.snapshot();
  }

  /** Blocks taken and not yet submitted. */
  get pendingBlocks(): number {
    return this.#pipeline.pendingBlocks;
  }

  /** Compressed bytes that are to be posted, as far as they can be told now. */
  get unpostedBytes(): number {
    return this.#pipeline.unpostedBytes;
  }

  /** How its ticks go: one that reads no blocks has failed, though it may have submitted a batch. */
  get health(): LoopHealth {
    return this.#health;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Takes and submits nothing until {@link resume}. A submission under way is finished. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
  }

  /**
   * Runs until aborted, or with `once` until the source has nothing more; then submits what is left.
   *
   * @throws the first error that trying again cannot help; every block taken is still held, and `run()`
   * can be called again unless the source itself broke off
   */
  async run(options: BatchRunOptions = {}): Promise<void> {
    if (this.#isRunning) {
      throw new PipelineError("Closed", "Cannot run: this runner is running already");
    }
    this.#isRunning = true;
    try {
      await this.#poll(options);
    } catch (error) {
      // What a stream gave before it broke off, it will not give again.
      if (error instanceof SourceError) await this.#drain(options.shutdownTimeoutMs ?? 60_000);
      throw error;
    } finally {
      this.#isRunning = false;
    }
    await this.#drain(options.shutdownTimeoutMs ?? 60_000);
  }

  async #poll(options: BatchRunOptions): Promise<void> {
    this.#startBlock = options.startBlock;
    await poll(() => this.#tick(), {
      clock: this.#clock,
      random: this.#random,
      pollIntervalMs: this.#config.pollIntervalMs,
      retry: this.#config.retry,
      log: this.#log,
      health: this.#health,
      ...(options.signal ? { signal: options.signal } : {}),
      ...(options.once ? { untilIdle: () => this.#taken === 0 && this.#isSourceExhausted() } : {}),
    });
  }

  /** Submits what is waiting now, however small. */
  async flush(): Promise<SubmissionReceipt | undefined> {
    return await this.#counted(() => this.#pipeline.forceSubmit());
  }

  async #tick(): Promise<"worked" | "idle"> {
    if (this.#isPaused) return "idle";
    this.#taken = undefined;
    const receipt = await this.#counted(() => this.#pipeline.tick());
    return receipt || this.#taken ? "worked" : "idle";
  }

  /** Tries within the timeout, so that a sink that is down for a moment leaves nothing behind. */
  async #drain(timeoutMs: number): Promise<void> {
    const deadline = this.#clock.now() + timeoutMs;
    const timeUp = new AbortController();
    await retry(
      () => this.#counted(() => this.#pipeline.shutdown()),
      { ...this.#config.retry, maxAttempts: Number.MAX_SAFE_INTEGER },
      { clock: this.#clock, random: this.#random, signal: timeUp.signal },
      (_attempt, retryMs, error) => {
        this.#log({ event: "tick.failed", error, retryMs });
        if (this.#clock.now() + retryMs > deadline) timeUp.abort();
      },
    );
  }

  async #counted<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      this.#counter.recordError(error);
      throw error;
    }
  }

  #fromStart(blocks: readonly L2Block[]): readonly L2Block[] {
    this.#taken = (this.#taken ?? 0) + blocks.length;
    const start = this.#startBlock;
    if (start === undefined) return blocks;
    return blocks.filter(({ number }) => number === undefined || number >= start);
  }

  #tell(event: LogEvent): void {
    this.#counter.record(event);
    if (event.event === "source.failed") this.#health.fail(event.error);
    this.#log(event);
    const { onBatchSubmitted, onBatchFailed, onBlockProcessed, onChainHeadUpdated } =
      this.#callbacks;
    if (event.event === "batch.submitted") {
      const { receipt, lastBlock } = event;
      onBatchSubmitted?.(receipt, { nextBatchNumber: receipt.batchNumber + 1n, lastBlock });
    } else if (event.event === "batch.failed") {
      onBatchFailed?.(event.batchNumber, event.error);
    } else if (event.event === "blocks.taken") {
      for (const block of event.blocks) onBlockProcessed?.(block);
      const head = event.blocks.at(-1)?.number;
      if (head === undefined || (this.#chainHead !== undefined && head <= this.#chainHead)) return;
      this.#chainHead = head;
      onChainHeadUpdated?.(head);
    }
  }
}
