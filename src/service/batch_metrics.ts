/**
 * Metrics of synchronized batches for Prometheus: what happened is counted from events, how it stands is
 * looked at when it is asked for. No label has a value of which there may be many.
 *
 * @module
 */
import type { Clock } from "../ports.ts";
import { PROOF_STAGES, type ProofJob, type ProofStage } from "../proving.ts";
import type { ServedBatches, ServedBatchStatus, ServedPipelineStats } from "./batch_parts.ts";
import {
  counter,
  gauge,
  histogram,
  type MetricChapter,
  type MetricRecorder,
} from "./metric_chapter.ts";
import type { Metrics } from "./metrics.ts";

/** From a second to the four hours that op-succinct gives a proof. */
const STAGE_SECONDS = [1, 5, 15, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400];

const STAGES: readonly ProofStage[] = [...PROOF_STAGES, "completed", "failed", "cancelled"];
const SOURCES = ["beacon", "execution", "clock"] as const;
const ENDS = ["trigger", "timeout", "forced"] as const;
const STATES = ["collecting", "proving", "completed", "failed"] as const;

const SPECS = {
  montana_epochs_total: counter("Epochs of L1 that were delivered"),
  montana_batch_triggers_total: counter("Epochs that began a batch"),
  montana_epochs_reorganised_total: counter("Epochs that L1 gave another first block"),
  montana_l1_source_failures_total: counter("Failures of a source of epochs", "source", SOURCES),
  montana_batches_started_total: counter("Batches that began to collect"),
  montana_batches_finalized_total: counter("Batches that take no more blocks", "reason", ENDS),
  montana_batches_completed_total: counter("Batches whose proof the publisher accepted"),
  montana_batches_failed_total: counter("Batches that failed"),
  montana_batch_blocks_total: counter("Blocks in batches that were finalized"),
  montana_batch_blocks_missing_total: counter("Numbers between them that nobody reported"),
  montana_blocks_replaced_total: counter("Blocks that no longer count as L2 went another way"),
  montana_blocks_left_out_total: counter("Blocks of L2 that were read too late for their batch"),
  montana_proof_jobs_created_total: counter("Batches that were handed in to be proved"),
  montana_proof_jobs_completed_total: counter("Jobs whose proof the publisher accepted"),
  montana_proof_jobs_failed_total: counter("Jobs that failed for good", "stage", PROOF_STAGES),
  montana_proof_jobs_requeued_total: counter("Jobs that a person took up again"),
  montana_proof_jobs_cancelled_total: counter("Jobs that a person cancelled"),
  montana_proof_retries_total: counter("Tries after the first", "stage", PROOF_STAGES),
  montana_proof_execution_checks_total: counter(
    "Stages that executed the rules and proved nothing",
    "stage",
    PROOF_STAGES,
  ),
  montana_proofs_forgotten_total: counter("Proofs that a prover forgot", "stage", PROOF_STAGES),
  montana_proof_ranges_split_total: counter("Ranges that are proved in halves"),
  montana_block_reports_total: counter(
    "Blocks that were reported, by what became of them",
    "outcome",
  ),
  montana_slot_number: gauge("Slot of the head of L1"),
  montana_epoch_number: gauge("Epoch of the head of L1"),
  montana_epoch_processed_number: gauge("The last epoch that was delivered"),
  montana_l1_lag_seconds: gauge("That the head of L1 is behind the clock here"),
  montana_l1_source_active: gauge("1 for the source that tells epochs now", "source"),
  montana_batch_number: gauge("The batch whose window is open"),
  montana_batch_end_timestamp_seconds: gauge("When that window ends"),
  montana_batch_blocks: gauge("Blocks in the batch that collects"),
  montana_batch_slot_number: gauge("Slot of the newest block that was reported"),
  montana_batches: gauge("Batches that are known still, by state", "state"),
  montana_proof_completed_timestamp_seconds: gauge("When a proof was last accepted"),
  montana_proof_jobs: gauge("Jobs that are known still, by stage", "stage"),
  montana_proof_jobs_running: gauge("Jobs that a worker works on"),
  montana_proof_jobs_limit: gauge("Jobs that may be worked on at the same time"),
  montana_proof_job_oldest_timestamp_seconds: gauge("When the oldest job under way was handed in"),
  montana_proof_stage_duration_seconds: histogram(
    "Time that a job took for a stage, over all its tries",
    STAGE_SECONDS,
    "stage",
    PROOF_STAGES,
  ),
  montana_proof_job_duration_seconds: histogram(
    "Time from a batch that is handed in to its proof that is accepted",
    STAGE_SECONDS,
  ),
};

type Name = keyof typeof SPECS;

const CHAPTER: MetricChapter<Name> = {
  specs: SPECS,
  count(event, to) {
    switch (event.event) {
      case "epoch":
        return to.inc("montana_epochs_total");
      case "batch_trigger":
        return to.inc("montana_batch_triggers_total");
      case "epoch_reorganised":
        return to.inc("montana_epochs_reorganised_total");
      case "epoch_source_failed":
        return to.inc("montana_l1_source_failures_total", 1, event.source);
      case "batch_started":
        return to.inc("montana_batches_started_total");
      case "batch_finalized": {
        const { batch: { endedBy = "trigger", blocks }, missingBlocks } = event;
        to.inc("montana_batches_finalized_total", 1, endedBy);
        to.inc("montana_batch_blocks_total", blocks.length);
        return to.inc("montana_batch_blocks_missing_total", Number(missingBlocks));
      }
      case "batch_completed":
        return to.inc("montana_batches_completed_total");
      case "batch_failed":
        return to.inc("montana_batches_failed_total");
      case "blocks_replaced":
        return to.inc("montana_blocks_replaced_total", event.blocks);
      case "blocks_left_out": {
        const blocks = event.lastBlock - event.firstBlock + 1n;
        return to.inc("montana_blocks_left_out_total", Number(blocks));
      }
      case "job_created":
        return to.inc("montana_proof_jobs_created_total");
      case "job_completed":
        to.observe("montana_proof_job_duration_seconds", event.durationMs / 1000);
        return to.inc("montana_proof_jobs_completed_total");
      case "job_failed":
        return to.inc("montana_proof_jobs_failed_total", 1, event.stage);
      case "job_requeued":
        return to.inc("montana_proof_jobs_requeued_total");
      case "job_cancelled":
        return to.inc("montana_proof_jobs_cancelled_total");
      case "job_retry":
        return to.inc("montana_proof_retries_total", 1, event.stage);
      case "stage_completed": {
        const { stage, durationMs, isExecutionCheck } = event;
        to.observe("montana_proof_stage_duration_seconds", durationMs / 1000, stage);
        if (isExecutionCheck) to.inc("montana_proof_execution_checks_total", 1, stage);
        return;
      }
      case "proof_forgotten":
        return to.inc("montana_proofs_forgotten_total", 1, event.stage);
      case "range_split":
        return to.inc("montana_proof_ranges_split_total");
    }
  },
};

/** Of epochs, synchronized batches, and their proofs. */
export const BATCH_METRICS: MetricChapter = CHAPTER;

/**
 * Tells how batches and jobs stand, each time that metrics are asked for.
 *
 * @returns ends that
 */
export function watchBatches(
  metrics: Metrics,
  { sequencer, pipeline, queue }: ServedBatches,
  clock: Clock,
): () => void {
  metrics.include(BATCH_METRICS);
  return metrics.watch(async (to) => {
    const { status } = sequencer;
    if (!status.isActive) return;
    const jobs = await queue.list();
    const running = jobs.filter(({ id }) => queue.claimedBy?.(id) !== undefined).length;
    lookAtBatches(status, to);
    lookAtJobs({ pipeline: await pipeline.stats(), jobs, running }, clock, to);
  });
}

/** Jobs, and how many of them are worked on. */
interface Jobs {
  readonly pipeline: ServedPipelineStats;
  readonly jobs: readonly ProofJob[];
  readonly running: number;
}

function lookAtBatches(status: ServedBatchStatus, to: MetricRecorder<Name>): void {
  const { l1, window, batch, stats, blockReports } = status;
  to.set("montana_slot_number", Number(l1.currentSlot));
  to.set("montana_epoch_number", Number(l1.currentEpoch));
  if (l1.lastProcessedEpoch !== undefined) {
    to.set("montana_epoch_processed_number", Number(l1.lastProcessedEpoch));
  }
  to.set("montana_l1_lag_seconds", Number(l1.lagSeconds));
  for (const source of SOURCES) {
    to.set("montana_l1_source_active", Number(source === l1.source), source);
  }
  to.set("montana_batch_number", Number(window.batchNumber));
  to.set("montana_batch_end_timestamp_seconds", Number(window.endsAt));
  to.set("montana_batch_blocks", batch?.blocks.length ?? 0);
  if (status.lastProcessedSlot !== undefined) {
    to.set("montana_batch_slot_number", Number(status.lastProcessedSlot));
  }
  for (const state of STATES) {
    to.set("montana_batches", stats.batches_by_state[state] ?? 0, state);
  }
  for (const [outcome, count] of Object.entries(blockReports)) {
    to.total("montana_block_reports_total", count, outcome);
  }
}

function lookAtJobs(
  { pipeline, jobs, running }: Jobs,
  clock: Clock,
  to: MetricRecorder<Name>,
): void {
  for (const stage of STAGES) {
    to.set("montana_proof_jobs", pipeline.jobs_by_stage[stage] ?? 0, stage);
  }
  to.set("montana_proof_jobs_running", running);
  to.set("montana_proof_jobs_limit", pipeline.max_concurrent_jobs);
  const underWay = jobs.filter(({ stage }) =>
    (PROOF_STAGES as readonly ProofStage[]).includes(stage)
  );
  const oldest = Math.min(...underWay.map(({ createdAtMs }) => createdAtMs));
  const completed = jobs.filter(({ stage }) => stage === "completed");
  if (completed.length > 0) {
    const last = Math.max(...completed.map(({ stageSinceMs }) => stageSinceMs));
    to.set("montana_proof_completed_timestamp_seconds", last / 1000);
  }
  // Where nothing waits nothing is old, and nobody is to be woken.
  const at = Number.isFinite(oldest) ? oldest : clock.now();
  to.set("montana_proof_job_oldest_timestamp_seconds", at / 1000);
}
