/**
 * The next batch: its header, its blocks, and where it ends.
 *
 * @module
 */
import type { PipelineConfig } from "../config.ts";
import type { BatchCodec, BatchSource } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { CHECK_SIZE, HEADER_SIZE, headerFor } from "../wire/batch.ts";
import { longestRun, planCut, type SizeLimits } from "./packer.ts";
import { type Attempt, withinAttempt } from "./sealing.ts";
import type { SizeEstimate } from "./size_estimate.ts";
import { rawSize, type WaitingBlock } from "./waiting_blocks.ts";

/** What a batch is planned by. */
export interface PlanParts {
  readonly source: BatchSource;
  readonly codec: BatchCodec;
  readonly estimate: SizeEstimate;
  readonly config: PipelineConfig;
}

/** Where it stands. */
export interface PlanPosition {
  readonly batchNumber: bigint;
  /** The block before the first that waits, where there is one. */
  readonly blockBefore: L2Block | undefined;
  readonly limits: SizeLimits;
  readonly attempt: Attempt;
}

/** A batch that is not compressed yet. */
export interface PlannedBatch {
  /** How many of the waiting blocks it has. */
  readonly count: number;
  readonly raw: Uint8Array;
  /** What it is thought to compress to. */
  readonly estimated: number;
  /** It ends where it is full, and not where time differences, raw size or blocks do. */
  readonly isCutBySize: boolean;
}

/** Plans the batch that begins with the first of `waiting`. */
export async function planNextBatch(
  waiting: readonly WaitingBlock[],
  { source, codec, estimate, config }: PlanParts,
  { batchNumber, blockBefore, limits, attempt }: PlanPosition,
): Promise<PlannedBatch> {
  const l1Origin = await source.l1Origin();
  const l1OriginCheck = (await source.l1OriginHash(l1Origin)).slice(0, CHECK_SIZE);
  const parent = await parentHash(waiting[0]!.block, blockBefore, source);
  const checks = { l1OriginCheck, parentCheck: parent.slice(0, CHECK_SIZE) };

  const encode = (count: number) => {
    const blocks = waiting.slice(0, count).map((each) => each.block);
    return codec.encode(headerFor({ batchNumber, l1Origin, ...checks }, blocks), blocks);
  };
  const measure = (count: number) =>
    estimate.measure(HEADER_SIZE + rawSize(waiting, count), () => encode(count));

  const run = longestRun(waiting, config);
  const planned = await planCut(waiting, run, limits, estimate, measure);
  const count = withinAttempt(planned.count, attempt);
  const estimated = count === planned.count ? planned.size : await measure(count);
  return { count, raw: encode(count), estimated, isCutBySize: count < run };
}

async function parentHash(
  first: L2Block,
  before: L2Block | undefined,
  source: BatchSource,
): Promise<Uint8Array> {
  const known = first.parentHash ?? before?.hash;
  if (known) return known;
  // The source tells of its first block only: behind a last block it would be the wrong one.
  return before ? new Uint8Array(32) : await source.parentHash();
}
