/**
 * How batches are cut, and what cannot be.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";
import type { L1ClockConfig } from "../superblock.ts";
import { batchWindow, checkedClock, slotsPerBatch } from "./clock.ts";

/** How batches are cut. */
export interface BatchManagerConfig {
  readonly chainId: bigint;
  readonly l1Clock: L1ClockConfig;
  /** The most slots of a batch: a clock with longer windows is refused. */
  readonly maxBatchSize: bigint;
  /** So long after its window began a batch ends, even if no trigger comes. */
  readonly batchTimeoutMs: number;
  /** So long after its end a batch takes blocks of its window that are late. */
  readonly lateBlockGraceMs: number;
  /** So far ahead of the clock here a block's time may be. */
  readonly maxAheadMs: number;
  /**
   * Blocks are reported in the order of their numbers, each of them, if late: after its end and its grace a
   * batch waits for the first block behind it, so that none is missing while nobody can read them.
   */
  readonly awaitsNextBlock?: boolean;
}

/** The seed's, with the bounds it lacks. */
export const BATCH_DEFAULTS: Omit<BatchManagerConfig, "chainId" | "l1Clock"> = Object.freeze({
  maxBatchSize: 320n,
  batchTimeoutMs: 90 * 60 * 1000,
  lateBlockGraceMs: 30_000,
  maxAheadMs: 15_000,
});

/** @throws {ConfigError} `Invalid` for values that contradict each other */
export function checkWindow({ l1Clock, maxBatchSize, batchTimeoutMs }: BatchManagerConfig): void {
  const slots = slotsPerBatch(checkedClock(l1Clock));
  if (slots > maxBatchSize) {
    throw new ConfigError(
      "Invalid",
      `Cannot use max_batch_size ${maxBatchSize}: a batch of ${l1Clock.batchFactor} epochs has ${slots} ` +
        `slots, and blocks behind the limit would never be proved. Raise it, or lower batch_factor`,
      { details: { maxBatchSize, slots } },
    );
  }
  const { startsAt, endsAt } = batchWindow(l1Clock, 0n);
  const windowMs = Number(endsAt - startsAt) * 1000;
  if (batchTimeoutMs > windowMs) return;
  throw new ConfigError(
    "Invalid",
    `Cannot use batch_timeout ${batchTimeoutMs} ms: a window lasts ${windowMs} ms, and would be cut ` +
      `short. Need more than that`,
    { details: { batchTimeoutMs, windowMs } },
  );
}
