/**
 * The batcher pipeline (seed `montana.md`, "Batcher Pipeline"): takes blocks, cuts them into batches
 * by an estimate of their size, seals several at once, and submits in order. A sealed batch keeps its
 * bytes until a sink has taken it.
 *
 * @module
 */
import type { PipelineConfig } from "../config.ts";
import { isRetryable, PipelineError } from "../errors.ts";
import type { BatchCodec, BatchSink, BatchSource, Clock, CutReason, Log } from "../ports.ts";
import type { L2Block, SubmissionReceipt } from "../types.ts";
import { standardCodec } from "../wire/batch.ts";
import type { SealedBatch } from "./batcher_journal.ts";
import type { BatcherParts, BatcherPosition } from "./batcher_parts.ts";
import { boundReached, type SizeNow, timeReached } from "./due.ts";
import { Intake } from "./intake.ts";
import { LevelChoice } from "./level.ts";
import { planNextBatch } from "./next_batch.ts";
import { blockTooLarge, GOOD_FILL, type SizeLimits, sizeLimits } from "./packer.ts";
import { Posting } from "./posting.ts";
import {
  type Attempt,
  type BatchInLine,
  type Compression,
  firstAttempt,
  fitOf,
  nextAttempt,
  restoredBatch,
  SealingLine,
} from "./sealing.ts";
import { pipelineConfig } from "./settings.ts";
import { SizeEstimate } from "./size_estimate.ts";
import { steady } from "./steady_clock.ts";
import { mustBeAbove, sharedBlock } from "./step_back.ts";
import { WaitingBlocks } from "./waiting_blocks.ts";

export type { BatcherParts, BatcherPosition };

/**
 * Blocks in, batches out; call {@link BatcherPipeline.tick} in a loop.
 *
 * @example
 * ```ts
 * import {
 *   BatcherPipeline,
 *   MemoryBatchSource,
 *   MemoryL1,
 *   NoopCompressor,
 *   systemClock,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const l1 = new MemoryL1();
 * const source = new MemoryBatchSource([{ timestamp: 1000n, transactions: [] }], l1);
 * const batcher = new BatcherPipeline({
 *   source,
 *   compressor: new NoopCompressor(),
 *   sink: l1.sink(),
 *   clock: systemClock,
 * });
 * await batcher.tick();
 * const receipts = await batcher.shutdown();
 * if (receipts[0]?.batchNumber !== 0n) throw new Error("nothing was submitted");
 * ```
 */
export class BatcherPipeline {
  readonly #source: BatchSource;
  readonly #sink: BatchSink;
  readonly #clock: Clock;
  readonly #codec: BatchCodec;
  readonly #log: Log;
  readonly #config: PipelineConfig;
  readonly #levels: LevelChoice<Compression>;
  readonly #line = new SealingLine();
  readonly #waiting = new WaitingBlocks();
  readonly #intake: Intake;
  readonly #posting: Posting;

  /** Of the first in line to be sealed, or of the batch that begins with the first waiting block. */
  #nextBatchNumber: bigint;
  #lastBlock: L2Block | undefined;
  /** The first in line was compressed, and its size is right: it stays as it is. */
  #isFirstFitting = false;
  /** What an earlier run took was not held against the source yet. */
  #isUnasked: boolean;
  /** Of the batch that begins with the first waiting block, where its size was misjudged. */
  #attempt: Attempt | undefined;
  /** As they were when they were asked for last. */
  #limits: SizeLimits | undefined;
  /** What stopped it for good: going on would leave a hole in the blocks. */
  #broken: unknown;
  #isClosed = false;
  #running: Promise<unknown> = Promise.resolve();

  /** @throws {ConfigError} `Invalid` naming key and value */
  constructor(
    parts: BatcherParts,
    config: Partial<PipelineConfig> = {},
    position: BatcherPosition = { nextBatchNumber: 0n },
  ) {
    this.#source = parts.source;
    this.#sink = parts.sink;
    this.#clock = steady(parts.clock);
    this.#codec = parts.codec ?? standardCodec;
    this.#log = parts.log ?? (() => {});
    this.#config = pipelineConfig(config);
    const { compressor, faster = [], estimator } = parts;
    const ladder: Compression[] = [
      { compressor, estimate: new SizeEstimate(compressor, estimator) },
      ...faster.map((each) => ({
        compressor: each,
        estimate: new SizeEstimate(each, estimator, 1),
      })),
    ];
    this.#levels = new LevelChoice(ladder, this.#config.maxBatchesAtOnce);
    this.#nextBatchNumber = position.nextBatchNumber;
    this.#lastBlock = position.lastBlock;
    this.#intake = new Intake(parts.source, parts.journal);
    this.#posting = new Posting({ ...parts, clock: this.#clock, log: this.#log });
    this.#take(position.pending ?? []);
    for (const sealed of position.sealed ?? []) this.#restore(sealed);
    this.#isUnasked = this.#waiting.length > 0;
  }

  /** The number that the next batch to be sealed will have. */
  get nextBatchNumber(): bigint {
    return this.#nextBatchNumber + BigInt(this.#line.length);
  }

  /** Blocks taken and not yet in a submitted batch. */
  get pendingBlocks(): number {
    return this.#intake.held + this.#waiting.length + this.#line.blocks + this.#posting.blocks;
  }

  /** Compressed bytes to be posted, as far as they can be told: also of blocks that were not given yet. */
  get unpostedBytes(): number {
    const raw = this.#waiting.rawBytes + this.#line.rawBytes;
    const known = this.#posting.bytes + raw * this.#levels.step.estimate.share;
    const blocks = Math.max(1, this.pendingBlocks);
    return Math.round(known + (this.#source.blocksLeft ?? 0) * known / blocks);
  }

  /**
   * One iteration: take what is new, begin to seal the batches that are due, submit the first. Where the
   * sink takes several at a time, it is waited for only when it takes no more.
   *
   * @returns the receipt of a batch that is on L1 now, or `undefined` when there was nothing to wait for
   * @throws what source, compressor or sink threw; every block is still held, and the next call goes on
   */
  tick(): Promise<SubmissionReceipt | undefined> {
    return this.#serially(async () => {
      this.#refuseIfClosed();
      await this.#posting.settle();
      // Whether or not another batch ever follows.
      this.#posting.submit();
      const asks = { left: this.#config.maxBatchesAtOnce };
      for (;;) {
        const failure = await this.#fillLine(asks);
        if (this.#posting.isFull || this.#posting.isOldestOver) return await this.#posting.next();
        if (!this.#line.first && failure) throw failure.error;
        if (!this.#line.first) return undefined;
        await this.#postFirst();
      }
    });
  }

  /**
   * Submits a batch of what is waiting, however small, and waits until it is on L1; `undefined` when
   * nothing waits.
   */
  forceSubmit(reason: CutReason = "manual"): Promise<SubmissionReceipt | undefined> {
    return this.#serially(async () => {
      this.#refuseIfClosed();
      await this.#posting.settle();
      const batchNumber = this.#nextBatchNumber;
      for (;;) {
        const receipt = await this.#force(reason);
        if (!receipt || receipt.batchNumber >= batchNumber) return receipt;
      }
    });
  }

  /**
   * Submits everything taken, and takes no more. Where it throws, it can be called again.
   *
   * @returns the receipts of what came to be on L1
   */
  shutdown(): Promise<readonly SubmissionReceipt[]> {
    return this.#serially(async () => {
      await this.#posting.settle();
      const receipts: SubmissionReceipt[] = [];
      for (;;) {
        const receipt = await this.#force("shutdown", this.#atOnce);
        if (receipt) {
          receipts.push(receipt);
          continue;
        }
        if (this.#broken || this.#intake.held === 0) break;
        const failure = await this.#collect();
        if (failure) throw failure.error;
      }
      this.#isClosed = true;
      return receipts;
    });
  }

  /** Seals and submits all that waits; the receipt is that of the oldest on its way. */
  async #force(reason: CutReason, atOnce = 1): Promise<SubmissionReceipt | undefined> {
    const unasked = await this.#askFirst();
    if (unasked && this.#posting.length === 0) throw unasked.error;
    while (!unasked && !this.#posting.isFull) {
      while (this.#waiting.length > 0 && this.#line.length < atOnce) {
        const failure = await this.#start(reason).then(() => undefined, (error) => ({ error }));
        if (failure && !this.#line.first) throw failure.error;
        if (failure) break;
      }
      if (!this.#line.first) break;
      await this.#postFirst();
    }
    return await this.#posting.next();
  }

  /**
   * Takes blocks and begins to seal, as long as batches are due and there is room.
   *
   * @returns what went wrong: the batches already in line can still go
   */
  async #fillLine(asks: { left: number }): Promise<{ readonly error: unknown } | undefined> {
    let failure = await this.#askFirst();
    if (failure) return failure;
    for (;;) {
      if (!failure && asks.left > 0 && !this.#reachedReason()) {
        asks.left -= 1;
        failure = await this.#collect();
      }
      // While the sink takes no more, the batch that waits for it holds the place of one.
      const places = this.#atOnce - (this.#posting.isFull ? 1 : 0);
      if (this.#line.length >= places) return failure;
      try {
        const reason = await this.#dueReason();
        if (!reason) return failure;
        await this.#start(reason);
      } catch (error) {
        return { error };
      }
    }
  }

  /** As long as sizes are only guessed, one batch shows how far off the guess is. */
  get #atOnce(): number {
    return this.#levels.step.estimate.isTrusted ? this.#config.maxBatchesAtOnce : 1;
  }

  /** Before anything that an earlier run took is sealed: L2 may have gone another way meanwhile. */
  async #askFirst(): Promise<{ readonly error: unknown } | undefined> {
    if (!this.#isUnasked) return undefined;
    const failure = await this.#collect();
    this.#isUnasked = failure !== undefined;
    return failure;
  }

  /** Takes new blocks; gives back a temporary error, so that what waits already can still go. */
  async #collect(): Promise<{ readonly error: unknown } | undefined> {
    const { blocks, failure } = await this.#intake.take(this.#waiting.last ?? this.#blockBefore);
    this.#take(blocks);
    if (blocks.length > 0) this.#log({ event: "blocks.taken", blocks });
    if (!failure) return undefined;
    const { error } = failure;
    try {
      const shared = sharedBlock(this.#source, error);
      if (shared !== undefined) return await this.#stepBack(shared);
      this.#log({ event: "source.failed", error });
      if (isRetryable(error)) return failure;
      throw error;
    } catch (reason) {
      this.#broken = reason;
      throw reason;
    }
  }

  /** L2 was reorganised above block `number`: what no sealed batch holds is taken anew. */
  async #stepBack(number: bigint): Promise<undefined> {
    await this.#takeBack(undefined);
    this.#isFirstFitting = false;
    mustBeAbove(number, this.#lastBlock, this.#nextBatchNumber);
    const blocks = this.#waiting.dropAfter(number);
    const last = this.#waiting.last ?? this.#lastBlock;
    this.#intake.rewind(last?.number ?? number, blocks);
    this.#log({ event: "blocks.dropped", number, blocks });
  }

  #take(blocks: readonly L2Block[]): void {
    const takenAtMs = this.#clock.now();
    for (const block of blocks) this.#waiting.push(block, takenAtMs);
  }

  /** The block before the first that waits. */
  get #blockBefore(): L2Block | undefined {
    return this.#line.lastBlock ?? this.#lastBlock;
  }

  /** Which bound the waiting blocks have reached: no more are asked for. */
  #reachedReason(): CutReason | undefined {
    return boundReached(this.#waiting, this.#sizeNow, this.#config);
  }

  /** Why a batch is due now, if one is. */
  async #dueReason(): Promise<CutReason | undefined> {
    if (this.#waiting.length === 0) return undefined;
    this.#limits = await sizeLimits(this.#sink, this.#config);
    const time = {
      nowMs: this.#clock.now(),
      lastSubmissionMs: this.#posting.lastMs,
      isBusy: this.#line.first !== undefined || this.#posting.isFull,
    };
    return this.#reachedReason() ??
      timeReached(this.#waiting, this.#sizeNow, time, this.#config);
  }

  get #sizeNow(): SizeNow {
    const estimatedBytes = this.#waiting.rawBytes * this.#levels.step.estimate.share;
    return { estimatedBytes, target: this.#limits?.target };
  }

  /** Begins to seal the next batch, unless it was only thought to be full and is not. */
  async #start(reason: CutReason): Promise<void> {
    const batchNumber = this.nextBatchNumber;
    const compression = this.#levels.step;
    const limits = await sizeLimits(this.#sink, this.#config);
    const first = this.#waiting.first!;
    const attempt = this.#attempt?.first === first ? this.#attempt : firstAttempt(first);
    const { count, raw, estimated, isCutBySize } = await planNextBatch(
      this.#waiting.all,
      {
        source: this.#source,
        codec: this.#codec,
        estimate: compression.estimate,
        config: this.#config,
      },
      { batchNumber, blockBefore: this.#blockBefore, limits, attempt },
    );
    const isAll = count === this.#waiting.length;
    if (reason === "full" && isAll && estimated < GOOD_FILL * limits.target) return;
    const batch = {
      batchNumber,
      blocks: this.#waiting.take(count),
      rawBytes: raw.length,
      compression,
      reason: isCutBySize ? "full" as const : reason,
      limits,
      estimated,
      attempt,
    };
    this.#line.add(batch, raw);
  }

  /** A batch that an earlier run sealed goes out as it was. */
  #restore(sealed: SealedBatch): void {
    const blocks = this.#waiting.take(sealed.blocks);
    this.#posting.restore(restoredBatch(sealed, blocks, this.#levels.step), sealed.data);
    this.#nextBatchNumber += 1n;
    this.#lastBlock = blocks.at(-1)!.block;
  }

  /** Begins to submit the first in line, unless its size is wrong. */
  async #postFirst(): Promise<void> {
    const batch = this.#line.first;
    if (!batch || !(await this.#isFitting(batch))) return;
    await this.#posting.begin(batch, await this.#line.sealed());
    this.#line.shift();
    this.#isFirstFitting = false;
    this.#nextBatchNumber += 1n;
    this.#lastBlock = batch.blocks.at(-1)!.block;
  }

  /** Waits for the first in line; where its size is wrong, the whole line goes back to be planned again. */
  async #isFitting(batch: BatchInLine): Promise<boolean> {
    if (this.#isFirstFitting) return true;
    const { batchNumber, blocks, rawBytes, attempt, compression } = batch;
    const lost = this.#line.length - 1;
    const askedMs = this.#clock.now();
    let size: number;
    try {
      size = (await this.#line.sealed()).length;
    } catch (error) {
      await this.#takeBack({ ...attempt, passes: attempt.passes + 1 + lost });
      throw error;
    }
    const fit = fitOf(batch, size);
    compression.estimate.learn(rawBytes, batch.estimated, size, fit !== "fits");
    if (fit !== "fits") {
      await this.#takeBack(nextAttempt(batch, fit, lost));
      const isAlone = fit === "too large" && blocks.length === 1;
      if (isAlone) throw blockTooLarge(blocks[0]!.block, size, batch.limits.most);
      return false;
    }
    this.#isFirstFitting = true;
    this.#log({
      event: "batch.sealed",
      batchNumber,
      blocks: blocks.length,
      transactions: blocks.reduce((sum, each) => sum + each.block.transactions.length, 0),
      rawBytes,
      compressedBytes: size,
      reason: batch.reason,
      lastBlock: blocks.at(-1)!.block,
      passes: attempt.passes + 1,
      level: compression.compressor.level,
    });
    this.#chooseLevel(batch, this.#clock.now() - askedMs);
    return true;
  }

  #chooseLevel({ blocks }: BatchInLine, waitedMs: number): void {
    const { maxBatchesAtOnce } = this.#config;
    const last = blocks.at(-1)!.block.timestamp;
    const before = this.#lastBlock?.timestamp ?? blocks[0]!.block.timestamp;
    // In a line of several, the last has no worker yet.
    const isLineFull = maxBatchesAtOnce > 1 && this.#line.length >= maxBatchesAtOnce;
    const change = this.#levels.note({
      chainSeconds: Number(last - before),
      nowMs: this.#clock.now(),
      waitedMs,
      isBacklog: isLineFull || this.#reachedReason() !== undefined,
    });
    const { level } = this.#levels.step.compressor;
    if (change) this.#log({ event: "compression.level", level, ...change });
  }

  async #takeBack(attempt: Attempt | undefined): Promise<void> {
    const blocks = this.#line.takeBack().flatMap((each) => each.blocks);
    this.#waiting.putBack(blocks);
    this.#attempt = attempt;
    await this.#line.settled();
  }

  #refuseIfClosed(): void {
    if (this.#broken) throw this.#broken;
    if (this.#isClosed) {
      throw new PipelineError("Closed", "Cannot take blocks: this batcher was shut down");
    }
  }

  /** One thing at a time: a shutdown waits for the tick that is under way. */
  #serially<T>(action: () => Promise<T>): Promise<T> {
    const next = this.#running.then(action, action);
    this.#running = next.catch(() => {});
    return next;
  }
}
