/**
 * What is served of synchronized batches: parts of the flows, described by what is used of them.
 *
 * @module
 */
import type { JobQueue, ProofJob } from "../proving.ts";
import type { BatchInfo, BatchWindow } from "../superblock.ts";
import type { BlockReportJson, ServedL1 } from "./batch_json.ts";
import type { HealthParts } from "./health.ts";

/** How a sequencer and its batches stand, as `SequencerIntegration` tells it. */
export interface ServedBatchStatus {
  readonly isActive: boolean;
  readonly lastProcessedSlot: bigint | undefined;
  readonly window: BatchWindow;
  readonly batch: BatchInfo | undefined;
  readonly stats: { readonly batches_by_state: Readonly<Record<string, number>> };
  /** Blocks that were reported, by what became of them. */
  readonly blockReports: Readonly<Record<string, number>>;
  readonly l1: ServedL1;
  /** Why the log did not keep what it was last given; `undefined` where it did. */
  readonly logError: unknown;
}

/** Takes blocks and tells of batches: a `SequencerIntegration`. */
export interface ServedSequencer {
  readonly status: ServedBatchStatus;
  isInBatchCollectionPeriod(): boolean;
  /** Resolves when the block is in the log; `off` where blocks are not to be reported. */
  reportBlock(block: BlockReportJson): Promise<"added" | "known" | "replaced" | "off">;
  /** Ends a batch whose window is over, without the blocks that it waits for. */
  forceFinalize(batchNumber: bigint): Promise<void>;
}

/** What a proof pipeline tells of itself, by the seed's names. */
export interface ServedPipelineStats {
  readonly active_jobs: number;
  readonly max_concurrent_jobs: number;
  readonly jobs_by_stage: Readonly<Partial<Record<string, number>>>;
}

/** Looks after jobs: a `ProofPipeline`. */
export interface ServedPipeline {
  stats(): Promise<ServedPipelineStats>;
  requeue(id: string): Promise<ProofJob>;
  cancel(id: string): Promise<ProofJob>;
}

/** Where jobs are: a `LogJobQueue`. */
export interface ServedJobs extends Pick<JobQueue, "list" | "get"> {
  /** Who works on a job now. */
  claimedBy?(id: string): string | undefined;
}

/** Batches, and what looks after them. */
export interface ServedBatches {
  readonly sequencer: ServedSequencer;
  readonly pipeline: ServedPipeline;
  readonly queue: ServedJobs;
}

/** What is served; its `checks` are reasons beside L1, the batch that collects, and the log. */
export interface BatchApiParts extends HealthParts {
  /** None where synchronized batches are not enabled: `batch_disabled`. */
  readonly batches?: ServedBatches;
  /** Whether jobs may be retried and cancelled, and batches ended. */
  readonly isControl?: boolean;
}
