/**
 * When a batch is due, and why: the bounds of what may wait, and the time that it may.
 *
 * @module
 */
import type { PipelineConfig } from "../config.ts";
import type { CutReason } from "../ports.ts";
import { longestRun } from "./packer.ts";
import type { WaitingBlocks } from "./waiting_blocks.ts";

/** What the waiting blocks are thought to compress to, and what there is room for. */
export interface SizeNow {
  readonly estimatedBytes: number;
  /** Compressed bytes of a full batch, once they are known. */
  readonly target: number | undefined;
}

/** Which bound the waiting blocks have reached: they are a batch, and no more are asked for. */
export function boundReached(
  waiting: WaitingBlocks,
  { estimatedBytes, target }: SizeNow,
  config: PipelineConfig,
): CutReason | undefined {
  const { maxBlocksPerBatch, targetRawBytes, maxPendingBytes } = config;
  if (waiting.rawBytes >= Math.min(targetRawBytes, maxPendingBytes)) return "size";
  if (waiting.length >= maxBlocksPerBatch) return "blocks";
  if (longestRun(waiting.all, config) < waiting.length) return "timestamp";
  return target !== undefined && estimatedBytes >= target ? "full" : undefined;
}

/** What the clock says. */
export interface TimeNow {
  readonly nowMs: number;
  readonly lastSubmissionMs: number;
  /** Another batch is on its way. */
  readonly isBusy: boolean;
}

/**
 * Whether the waiting blocks have waited long enough. A block waits an interval, and never so long that
 * the sequencing window comes in sight; a batch worth posting goes when an interval has passed since
 * the last.
 */
export function timeReached(
  waiting: WaitingBlocks,
  { estimatedBytes }: SizeNow,
  { nowMs, lastSubmissionMs, isBusy }: TimeNow,
  { batchIntervalMs, minBatchBytes, maxWaitMs }: PipelineConfig,
): CutReason | undefined {
  if (!waiting.first) return undefined;
  const waitedMs = nowMs - waiting.first.takenAtMs;
  if (waitedMs >= batchIntervalMs) return "interval";
  if (waitedMs >= maxWaitMs) return "window";
  const isIntervalOver = nowMs - lastSubmissionMs >= batchIntervalMs && !isBusy;
  return isIntervalOver && estimatedBytes >= minBatchBytes ? "interval" : undefined;
}
