/**
 * Runs a deriver (seed `montana-derivation-runner.md`): polls, derives, counts, measures how long a batch
 * took from submission to derivation, and tells the sink what of it is safe and final.
 *
 * @module
 */
import type { DeriverConfig } from "../config.ts";
import type { Clock, Log, LogEvent, Random } from "../ports.ts";
import { RETRY_DEFAULTS, type RetryPolicy } from "../retry.ts";
import { DerivationPipeline, type DeriverParts, type DeriverPosition } from "./deriver.ts";
import { Finality } from "./finality.ts";
import { DerivationCounter, type DerivationMetrics } from "./metrics.ts";
import { poll } from "./poll.ts";
import { type LoopHealth, TickHealth } from "./tick_health.ts";
import type { Standing } from "./undo.ts";

/** Settings of a runner; the other settings are the pipeline's. */
export interface DerivationConfig extends DeriverConfig {
  /** Poll interval for checking new batches. */
  readonly pollIntervalMs: number;
  /** Waits after a failed step. */
  readonly retry: RetryPolicy;
}

/** How one run goes. */
export interface DerivationRunOptions {
  /** Aborted: ends after the batch under way, and does not wait for what is being read ahead. */
  readonly signal?: AbortSignal;
  /** Works off what is there, then returns. */
  readonly once?: boolean;
  /** Told after each batch, when its blocks are safe with the sink. */
  readonly onProgress?: () => void | Promise<void>;
}

/** Submissions whose time is remembered until they are derived. */
const MAX_REMEMBERED = 10_000;

/**
 * @example
 * ```ts
 * import {
 *   DerivationRunner,
 *   MemoryBlockSink,
 *   MemoryL1,
 *   NoopCompressor,
 *   systemClock,
 *   systemRandom,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const runner = new DerivationRunner({
 *   source: new MemoryL1().source(),
 *   compressors: [new NoopCompressor()],
 *   sink: new MemoryBlockSink(),
 *   clock: systemClock,
 *   random: systemRandom,
 * }, { pollIntervalMs: 100 });
 *
 * if (await runner.tick() !== undefined) throw new Error("an empty L1 holds no batch");
 * ```
 */
export class DerivationRunner {
  readonly pipeline: DerivationPipeline;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #pollIntervalMs: number;
  readonly #retry: RetryPolicy;
  readonly #health = new TickHealth();
  readonly #log: Log;
  readonly #finality: Finality;
  readonly #counter = new DerivationCounter();
  readonly #submittedAtMs = new Map<bigint, number>();

  constructor(
    parts: DeriverParts & { readonly clock: Clock; readonly random: Random },
    config: Partial<DerivationConfig> = {},
    position?: DeriverPosition,
    history?: readonly Standing[],
  ) {
    this.#clock = parts.clock;
    this.#random = parts.random;
    this.#pollIntervalMs = config.pollIntervalMs ?? 100;
    this.#retry = config.retry ?? RETRY_DEFAULTS;
    this.#log = parts.log ?? (() => {});
    this.#finality = new Finality(parts, this.#pollIntervalMs);
    this.pipeline = new DerivationPipeline(
      { ...parts, log: (event) => this.recordEvent(event) },
      config,
      position,
      history,
    );
  }

  /** The seeds' counters, as they stand. */
  metrics(): DerivationMetrics {
    return this.#counter.snapshot();
  }

  /** How its ticks go. */
  get health(): LoopHealth {
    return this.#health;
  }

  /**
   * Remembers when a batch was submitted, so that its latency is exact; without it the timestamp of the
   * L1 block serves, which is whole seconds.
   */
  recordSubmission(batchNumber: bigint, atMs: number): void {
    this.#submittedAtMs.set(batchNumber, atMs);
    if (this.#submittedAtMs.size <= MAX_REMEMBERED) return;
    const [oldest] = this.#submittedAtMs.keys();
    this.#submittedAtMs.delete(oldest!);
  }

  /** Counts an event of a part that is not the pipeline, such as an ignored transaction. */
  recordEvent(event: LogEvent): void {
    const nowMs = this.#clock.now();
    let submittedAtMs = nowMs;
    if (event.event === "batch.accepted") {
      const { batchNumber, inclusion } = event.batch;
      submittedAtMs = this.#submittedAtMs.get(batchNumber) ?? Number(inclusion.timestamp) * 1000;
      this.#submittedAtMs.delete(batchNumber);
    }
    this.#counter.record(event, submittedAtMs, nowMs);
    this.#log(event);
  }

  /**
   * Derives the next batch, if there is one.
   *
   * @returns the counters after it, or `undefined` when no batch was available
   */
  async tick(): Promise<DerivationMetrics | undefined> {
    try {
      const result = await this.pipeline.step();
      if (result) return this.metrics();
      this.#counter.recordEmpty();
      return undefined;
    } catch (error) {
      this.#counter.recordError(error);
      throw error;
    }
  }

  /**
   * Ticks until aborted, or with `once` until caught up with L1. Nothing more is read ahead from then
   * on; what was stays for the next run.
   *
   * @throws the first error that trying again cannot help
   */
  async run({ signal, once, onProgress }: DerivationRunOptions = {}): Promise<void> {
    const tick = async () => {
      const hasWorked = await this.tick() !== undefined;
      if (hasWorked) await onProgress?.();
      await this.#finality.look({ isCaughtUp: !hasWorked });
      return hasWorked ? "worked" : "idle";
    };
    const stopReadingAhead = () => void this.pipeline.stopReadingAhead();
    signal?.addEventListener("abort", stopReadingAhead);
    try {
      await poll(tick, {
        clock: this.#clock,
        random: this.#random,
        pollIntervalMs: this.#pollIntervalMs,
        retry: this.#retry,
        log: this.#log,
        health: this.#health,
        ...(signal ? { signal } : {}),
        ...(once ? { untilIdle: () => true } : {}),
      });
    } finally {
      signal?.removeEventListener("abort", stopReadingAhead);
      stopReadingAhead();
    }
  }
}
