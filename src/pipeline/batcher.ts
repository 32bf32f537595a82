/**
 * The batcher pipeline (seed `montana.md`, "Batcher Pipeline"): takes blocks, cuts them into batches,
 * seals each once, and submits in order. A sealed batch keeps its bytes until a sink has taken it.
 *
 * @module
 */
import { MAX_RAW_BATCH_BYTES, PIPELINE_DEFAULTS, type PipelineConfig } from "../config.ts";
import {
  CompressionError,
  ConfigError,
  describeError,
  isRetryable,
  MontanaError,
  PipelineError,
  SinkError,
  SourceError,
} from "../errors.ts";
import type {
  BatchCodec,
  BatchSink,
  BatchSource,
  Clock,
  Compressor,
  CutReason,
  Log,
} from "../ports.ts";
import type { CompressedBatch, L2Block, SubmissionReceipt } from "../types.ts";
import {
  CHECK_SIZE,
  encodedBlockSize,
  HEADER_SIZE,
  headerFor,
  MAX_U16,
  standardCodec,
} from "../wire/batch.ts";
import { equalBytes } from "../wire/bytes.ts";
import { open, seal } from "../wire/envelope.ts";
import {
  countWithin,
  fitWithin,
  longestRun,
  rawSize,
  sizeLimits,
  type WaitingBlock,
} from "./packer.ts";

/** What a batcher is made of. */
export interface BatcherParts {
  readonly source: BatchSource;
  readonly compressor: Compressor;
  readonly sink: BatchSink;
  readonly clock: Clock;
  readonly codec?: BatchCodec;
  readonly log?: Log;
}

/** Where a batcher goes on. */
export interface BatcherPosition {
  readonly nextBatchNumber: bigint;
  /** The last block of the batch before, where there is one. */
  readonly lastBlock?: L2Block;
  /** Blocks taken from the source already, that no batch holds yet. */
  readonly pending?: readonly L2Block[];
}

interface SealedBatch extends CompressedBatch {
  readonly blocks: readonly WaitingBlock[];
  readonly rawBytes: number;
}

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
  readonly #compressor: Compressor;
  readonly #sink: BatchSink;
  readonly #clock: Clock;
  readonly #codec: BatchCodec;
  readonly #log: Log;
  readonly #config: PipelineConfig;

  #nextBatchNumber: bigint;
  #lastBlock: L2Block | undefined;
  #waiting: WaitingBlock[] = [];
  #waitingBytes = 0;
  #sealed: SealedBatch | undefined;
  /** Compressed bytes for one raw byte, of a try at the blocks now waiting. */
  #measuredShare: number | undefined;
  #lastSubmissionMs: number;
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
    this.#compressor = parts.compressor;
    this.#sink = parts.sink;
    this.#clock = parts.clock;
    this.#codec = parts.codec ?? standardCodec;
    this.#log = parts.log ?? (() => {});
    this.#config = checkedConfig({ ...PIPELINE_DEFAULTS, ...config });
    this.#lastSubmissionMs = parts.clock.now();
    this.#nextBatchNumber = position.nextBatchNumber;
    this.#lastBlock = position.lastBlock;
    this.#take(position.pending ?? []);
  }

  /** The number that the next batch to be sealed will have. */
  get nextBatchNumber(): bigint {
    return this.#nextBatchNumber + (this.#sealed ? 1n : 0n);
  }

  /** Blocks taken and not yet in a submitted batch. */
  get pendingBlocks(): number {
    return this.#waiting.length + (this.#sealed?.blocks.length ?? 0);
  }

  /**
   * One iteration: take what is new, cut and seal a batch if one is due, submit it.
   *
   * @returns the receipt of the batch submitted, or `undefined` when none was due
   * @throws what source, compressor or sink threw; every block is still held, and the next call goes on
   */
  tick(): Promise<SubmissionReceipt | undefined> {
    return this.#serially(async () => {
      this.#refuseIfClosed();
      const sourceError = await this.#collect();
      if (!this.#sealed) {
        const reason = await this.#dueReason();
        if (reason) await this.#cut(reason);
      }
      const receipt = await this.#submitSealed();
      if (!receipt && sourceError) throw sourceError;
      return receipt;
    });
  }

  /** Submits a batch of what is waiting, however small; `undefined` when nothing waits. */
  forceSubmit(reason: CutReason = "manual"): Promise<SubmissionReceipt | undefined> {
    return this.#serially(async () => {
      this.#refuseIfClosed();
      return await this.#force(reason);
    });
  }

  /**
   * Submits everything taken, and takes no more. Where it throws, it can be called again.
   *
   * @returns the receipts of what it submitted
   */
  shutdown(): Promise<readonly SubmissionReceipt[]> {
    return this.#serially(async () => {
      const receipts: SubmissionReceipt[] = [];
      for (;;) {
        const receipt = await this.#force("shutdown");
        if (!receipt) break;
        receipts.push(receipt);
      }
      this.#isClosed = true;
      return receipts;
    });
  }

  async #force(reason: CutReason): Promise<SubmissionReceipt | undefined> {
    if (!this.#sealed && this.#waiting.length > 0) await this.#cut(reason);
    return await this.#submitSealed();
  }

  /** Takes new blocks; gives back a temporary error, so that what waits already can still go. */
  async #collect(): Promise<unknown> {
    if (this.#waitingBytes >= this.#config.maxPendingBytes) return undefined;
    let blocks: readonly L2Block[];
    try {
      blocks = await this.#source.pendingBlocks();
      this.#take(blocks);
    } catch (cause) {
      const error = asSourceError(cause);
      this.#log({ event: "source.failed", error });
      if (isRetryable(error)) return error;
      this.#broken = error;
      throw error;
    }
    if (blocks.length > 0) this.#log({ event: "blocks.taken", blocks });
    return undefined;
  }

  #take(blocks: readonly L2Block[]): void {
    const takenAtMs = this.#clock.now();
    for (const block of blocks) {
      const before = this.#waiting.at(-1)?.block ?? this.#sealed?.blocks.at(-1)?.block ??
        this.#lastBlock;
      if (before && block.timestamp < before.timestamp) throw backwards(before, block);
      const size = encodedBlockSize(block);
      this.#waiting.push({ block, size, takenAtMs });
      this.#waitingBytes += size;
    }
  }

  /** Why a batch is due now, if one is. */
  async #dueReason(): Promise<CutReason | undefined> {
    const oldest = this.#waiting[0];
    if (!oldest) return undefined;
    const { batchIntervalMs, maxBlocksPerBatch, minBatchBytes } = this.#config;
    const { targetRawBytes, maxPendingBytes } = this.#config;

    if (this.#waitingBytes >= Math.min(targetRawBytes, maxPendingBytes)) return "size";
    if (this.#waiting.length >= maxBlocksPerBatch) return "blocks";
    if (longestRun(this.#waiting, this.#config) < this.#waiting.length) return "timestamp";
    const estimate = this.#estimatedBytes();
    if (estimate >= (await sizeLimits(this.#sink, this.#config)).target) return "full";

    const now = this.#clock.now();
    if (now - oldest.takenAtMs >= batchIntervalMs) return "interval";
    const isIntervalOver = now - this.#lastSubmissionMs >= batchIntervalMs;
    return isIntervalOver && estimate >= minBatchBytes ? "interval" : undefined;
  }

  #estimatedBytes(): number {
    return this.#waitingBytes * this.#estimatedShare();
  }

  /** Compressed bytes for one raw byte. */
  #estimatedShare(): number {
    return this.#measuredShare ?? 1 / this.#compressor.estimatedRatio();
  }

  /** Seals the next batch, unless it was only thought to be full and is not. */
  async #cut(reason: CutReason): Promise<void> {
    const limits = await sizeLimits(this.#sink, this.#config);
    const run = longestRun(this.#waiting, this.#config);
    const l1Origin = await this.#source.l1Origin();
    const l1OriginCheck = (await this.#source.l1OriginHash(l1Origin)).slice(0, CHECK_SIZE);
    const parentCheck = (await this.#parentHash()).slice(0, CHECK_SIZE);
    const batchNumber = this.#nextBatchNumber;

    const { count, sealed } = await fitWithin(this.#waiting, run, limits, async (count) => {
      const blocks = this.#waiting.slice(0, count).map((each) => each.block);
      const header = headerFor({ batchNumber, l1Origin, l1OriginCheck, parentCheck }, blocks);
      const raw = this.#codec.encode(header, blocks);
      return { data: await this.#seal(raw), raw };
    }, countWithin(this.#waiting, limits.target / this.#estimatedShare()));

    const { data, raw } = sealed;
    if (reason === "full" && count === this.#waiting.length && data.length < limits.target) {
      this.#measuredShare = data.length / (raw.length - HEADER_SIZE);
      if (this.#estimatedBytes() < limits.target) return;
    }
    const blocks = this.#waiting.splice(0, count);
    this.#waitingBytes -= rawSize(blocks);
    this.#measuredShare = undefined;
    this.#sealed = { batchNumber, data, blocks, rawBytes: raw.length };
    this.#log({
      event: "batch.sealed",
      batchNumber,
      blocks: count,
      transactions: blocks.reduce((sum, each) => sum + each.block.transactions.length, 0),
      rawBytes: raw.length,
      compressedBytes: data.length,
      reason: count < run ? "full" : reason,
      lastBlock: blocks.at(-1)!.block,
    });
  }

  /** Compresses, and refuses what does not come back as it was: it could never be derived. */
  async #seal(raw: Uint8Array): Promise<Uint8Array> {
    const data = await seal(raw, this.#compressor);
    if (equalBytes(await open(data, [this.#compressor]), raw)) return data;
    throw new CompressionError(
      "Failed",
      `Cannot use ${this.#compressor.name}: ${raw.length} bytes did not come back as they were`,
      { details: { size: raw.length } },
    );
  }

  async #parentHash(): Promise<Uint8Array> {
    const known = this.#waiting[0]?.block.parentHash ?? this.#lastBlock?.hash;
    if (known) return known;
    // The source tells of its first block only: behind a last block it would be the wrong one.
    return this.#lastBlock ? new Uint8Array(32) : await this.#source.parentHash();
  }

  async #submitSealed(): Promise<SubmissionReceipt | undefined> {
    const batch = this.#sealed;
    if (!batch) return undefined;
    const startedMs = this.#clock.now();
    let receipt: SubmissionReceipt;
    try {
      receipt = await this.#sink.submit({ batchNumber: batch.batchNumber, data: batch.data });
    } catch (cause) {
      const error = asSinkError(cause);
      this.#log({ event: "batch.failed", batchNumber: batch.batchNumber, error });
      throw error;
    }
    this.#sealed = undefined;
    this.#nextBatchNumber += 1n;
    this.#lastBlock = batch.blocks.at(-1)!.block;
    this.#lastSubmissionMs = this.#clock.now();
    this.#log({
      event: "batch.submitted",
      receipt,
      blocks: batch.blocks.length,
      lastBlock: this.#lastBlock,
      rawBytes: batch.rawBytes,
      compressedBytes: batch.data.length,
      latencyMs: this.#lastSubmissionMs - startedMs,
    });
    return receipt;
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

/** What is not of our families comes from a library below a port: it is asked again. */
function asSourceError(cause: unknown): MontanaError {
  if (cause instanceof MontanaError) return cause;
  const message = `Cannot ask the source for blocks: ${describeError(cause)}`;
  return new SourceError("Connection", message, { cause });
}

/** As {@link asSourceError}; submitting the same batch again is safe. */
function asSinkError(cause: unknown): MontanaError {
  if (cause instanceof MontanaError) return cause;
  return new SinkError("Connection", `Cannot submit: ${describeError(cause)}`, { cause });
}

function backwards(before: L2Block, block: L2Block): SourceError {
  const named = ({ number, timestamp }: L2Block) => `${number ?? "?"} (timestamp ${timestamp})`;
  return new SourceError(
    "InvalidBlock",
    `Cannot take block ${named(block)}: it is older than block ${named(before)} before it`,
    { details: { block: block.number, timestamp: block.timestamp, before: before.timestamp } },
  );
}

function checkedConfig(config: PipelineConfig): PipelineConfig {
  const bounds: Record<keyof PipelineConfig, readonly [number, number]> = {
    batchIntervalMs: [0, Number.MAX_SAFE_INTEGER],
    maxBatchBytes: [1, Number.MAX_SAFE_INTEGER],
    minBatchBytes: [0, Number.MAX_SAFE_INTEGER],
    maxBlocksPerBatch: [1, MAX_U16],
    targetRawBytes: [1, MAX_RAW_BATCH_BYTES],
    maxPendingBytes: [1, Number.MAX_SAFE_INTEGER],
  };
  for (const key of Object.keys(bounds) as (keyof PipelineConfig)[]) {
    const [least, most] = bounds[key];
    if (Number.isInteger(config[key]) && config[key] >= least && config[key] <= most) continue;
    throw new ConfigError(
      "Invalid",
      `Cannot use ${key} ${config[key]}: need a whole number from ${least} to ${most}`,
      { details: { key, value: config[key] } },
    );
  }
  return config;
}
