/**
 * How many operations make a batch: hill climbing on throughput, with multiplicative decrease.
 *
 * - **Throughput** is measured over a window of {@link WINDOW_BATCHES} batches that were cut because the
 *   size was reached; others say nothing about it. It counts the whole way of a batch: cut, handler,
 *   checkpoint.
 * - **Up**: after a window the size is doubled, and the next window compared. Where it was faster by
 *   {@link GAIN}, the size is doubled again; else it goes back to what it was, since a smaller batch is
 *   an earlier one. It stays for two windows, then looks again; for four after the next look in vain, up
 *   to {@link REST_WINDOWS}: times are noisy, and a load changes.
 * - **Down**: a full batch that takes longer than the latency goal, and one that its handler fails, shrink
 *   the size by {@link DECREASE} at once, and the window begins anew. Until the next look nothing grows.
 *   Where the smaller batch is as slow, the handler is what takes long, not the size: it goes back.
 *
 * AIMD alone, as of Netflix's concurrency limits, would grow until latency or an error stops it: handlers
 * with neither would get batches as large as they come, for no gain.
 *
 * @module
 */
import type { SizeReason } from "../types.ts";

/** Batches whose throughput is one measurement. */
export const WINDOW_BATCHES = 8;
/** A window lasts at least so long: the clock counts whole milliseconds. */
export const WINDOW_MS = 50;
/** However fast they are, after so many the window ends. */
const WINDOW_BATCHES_MOST = 256;
/** How much faster twice the size must be. What further doublings would gain together is about as much. */
export const GAIN = 1.03;
/** What is left of the size after a failure, or a slow batch. */
export const DECREASE = 0.7;
/** A smaller batch takes at most this share of the time, or its size is not what makes it slow. */
const QUICKER = 0.9;
/** Windows of rest between two looks, at most. */
export const REST_WINDOWS = 16;
/** Windows of rest after the first look in vain. */
const FIRST_REST_WINDOWS = 2;
/** Decisions that are remembered. */
const MEMORY = 32;

/** Between what the size moves. */
export interface SizeBounds {
  readonly minBatchOperations: number;
  readonly maxBatchOperations: number;
  /** How long a batch may take. */
  readonly latencyGoalMs: number;
}

/** A change of the size, or the choice to leave it. */
export interface SizeDecision {
  readonly from: number;
  readonly to: number;
  readonly reason: SizeReason;
  /** Operations in a second, as measured at `from`; none where the window was not over. */
  readonly operationsPerSecond?: number;
}

/** A batch that was handled. */
export interface HandledBatch {
  readonly operations: number;
  readonly elapsedMs: number;
  /** Cut because the size was reached. */
  readonly isFull: boolean;
}

/** The size, as it adapts. */
export class BatchSize {
  readonly #bounds: SizeBounds;
  readonly #onDecision: (decision: SizeDecision) => void;
  readonly #decisions: SizeDecision[] = [];
  #operations: number;
  /** What a look is compared with, while one is under way. */
  #before: { readonly operations: number; readonly rate: number } | undefined;
  #restWindows = 0;
  /** Looks in vain, one after the other. */
  #vain = 0;
  /** The full batch that was too slow, until a smaller one is compared with it. */
  #slow: { readonly operations: number; readonly elapsedMs: number } | undefined;
  /** Slow batches that are let pass, since smaller ones were no quicker. */
  #patience = 0;
  #window = { batches: 0, operations: 0, elapsedMs: 0 };

  constructor(
    initial: number,
    bounds: SizeBounds,
    onDecision: (decision: SizeDecision) => void = () => {},
  ) {
    this.#bounds = bounds;
    this.#onDecision = onDecision;
    this.#operations = this.#within(initial);
  }

  /** Operations that make a batch. */
  get operations(): number {
    return this.#operations;
  }

  /** The last decisions, oldest first. */
  get decisions(): readonly SizeDecision[] {
    return this.#decisions;
  }

  /** Tells of a batch that its handler took at the first try. */
  handled({ operations, elapsedMs, isFull }: HandledBatch): void {
    if (!isFull) return;
    if (elapsedMs > this.#bounds.latencyGoalMs && this.#patience-- <= 0) {
      return this.#slowed(elapsedMs);
    }
    this.#slow = undefined;
    const window = this.#window;
    window.batches += 1;
    window.operations += operations;
    window.elapsedMs += elapsedMs;
    const isLong = window.batches >= WINDOW_BATCHES && window.elapsedMs >= WINDOW_MS;
    if (isLong || window.batches >= WINDOW_BATCHES_MOST) this.#judge();
  }

  /** Tells of a batch that its handler did not take at the first try. */
  failed(): void {
    this.#slow = undefined;
    this.#shrink("failed");
  }

  #slowed(elapsedMs: number): void {
    const slow = this.#slow;
    if (!slow || elapsedMs <= QUICKER * slow.elapsedMs) {
      this.#slow = { operations: this.#operations, elapsedMs };
      return this.#shrink("too slow");
    }
    this.#slow = undefined;
    this.#patience = REST_WINDOWS * WINDOW_BATCHES;
    this.#rest();
    this.#decide(slow.operations, "no quicker");
  }

  #judge(): void {
    const { operations, elapsedMs } = this.#window;
    const rate = 1000 * operations / Math.max(1, elapsedMs);
    this.#clearWindow();
    const before = this.#before;
    if (!before) {
      if (this.#restWindows-- <= 0) this.#look(rate);
      return;
    }
    if (rate >= before.rate * GAIN) {
      this.#decide(this.#operations, "faster", rate);
      this.#vain = 0;
      return this.#look(rate);
    }
    this.#decide(before.operations, "no faster", rate);
    this.#vain += 1;
    this.#rest(FIRST_REST_WINDOWS * 2 ** (this.#vain - 1));
  }

  /** Tries twice the size. */
  #look(rate: number): void {
    const operations = this.#within(this.#operations * 2);
    if (operations === this.#operations) return this.#rest();
    this.#before = { operations: this.#operations, rate };
    this.#decide(operations, "probe", rate);
  }

  #rest(windows = REST_WINDOWS): void {
    this.#before = undefined;
    this.#restWindows = Math.min(windows, REST_WINDOWS);
    this.#clearWindow();
  }

  #shrink(reason: "too slow" | "failed"): void {
    this.#rest();
    const operations = this.#within(this.#operations * DECREASE);
    if (operations < this.#operations) this.#decide(operations, reason);
  }

  #decide(to: number, reason: SizeReason, rate?: number): void {
    const decision: SizeDecision = {
      from: this.#operations,
      to,
      reason,
      ...(rate === undefined ? {} : { operationsPerSecond: Math.round(rate) }),
    };
    this.#operations = to;
    this.#decisions.push(decision);
    if (this.#decisions.length > MEMORY) this.#decisions.shift();
    this.#onDecision(decision);
  }

  #within(operations: number): number {
    const { minBatchOperations, maxBatchOperations } = this.#bounds;
    return Math.min(maxBatchOperations, Math.max(minBatchOperations, Math.floor(operations)));
  }

  #clearWindow(): void {
    this.#window = { batches: 0, operations: 0, elapsedMs: 0 };
  }
}
