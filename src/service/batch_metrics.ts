/**
 * Metrics of synchronized batches for Prometheus: what happened is counted from events, how it stands is
 * looked at when it is asked for. No label has a value of which there may be many.
 *
 * @module
 */
import process from "node:process";
import type { Clock, Log, LogEvent } from "../ports.ts";
import { PROOF_STAGES, type ProofStage } from "../proving.ts";
import { runtimeName } from "../runtime.ts";
import { VERSION } from "../version.ts";
import type { BatchGauges, ServedMetrics } from "./batch_parts.ts";
import {
  type PromClient,
  promClient,
  type PromCounter,
  type PromGauge,
  type PromHistogram,
  type PromLabels,
  type PromRegistry,
} from "./deps.ts";

/** From a second to the four hours that op-succinct gives a proof. */
const STAGE_SECONDS = [1, 5, 15, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400];

const STAGES: readonly ProofStage[] = [...PROOF_STAGES, "completed", "failed", "cancelled"];
const SOURCES = ["beacon", "execution", "clock"] as const;
const ENDS = ["trigger", "timeout", "forced"] as const;
const STATES = ["collecting", "proving", "completed", "failed"] as const;

/** Counters by name: what they count, the label that they have, and its values. */
const COUNTERS = {
  montana_epochs_total: ["Epochs of L1 that were delivered"],
  montana_batch_triggers_total: ["Epochs that began a batch"],
  montana_epochs_reorganised_total: ["Epochs that L1 gave another first block"],
  montana_l1_source_failures_total: ["Failures of a source of epochs", "source", SOURCES],
  montana_batches_started_total: ["Batches that began to collect"],
  montana_batches_finalized_total: ["Batches that take no more blocks", "reason", ENDS],
  montana_batches_completed_total: ["Batches whose proof the publisher accepted"],
  montana_batches_failed_total: ["Batches that failed"],
  montana_batch_blocks_total: ["Blocks in batches that were finalized"],
  montana_batch_blocks_missing_total: ["Numbers between them that nobody reported"],
  montana_blocks_replaced_total: ["Blocks that no longer count as L2 went another way"],
  montana_blocks_left_out_total: ["Blocks of L2 that were read too late for their batch"],
  montana_passing_failures_total: ["Failures of L1, L2 or the log after which it is tried again"],
  montana_proof_jobs_created_total: ["Batches that were handed in to be proved"],
  montana_proof_jobs_completed_total: ["Jobs whose proof the publisher accepted"],
  montana_proof_jobs_failed_total: ["Jobs that failed for good", "stage", PROOF_STAGES],
  montana_proof_jobs_requeued_total: ["Jobs that a person took up again"],
  montana_proof_jobs_cancelled_total: ["Jobs that a person cancelled"],
  montana_proof_retries_total: ["Tries after the first", "stage", PROOF_STAGES],
  montana_proof_execution_checks_total: [
    "Stages that executed the rules and proved nothing",
    "stage",
    PROOF_STAGES,
  ],
  montana_proofs_forgotten_total: ["Proofs that a prover forgot", "stage", PROOF_STAGES],
  montana_proof_ranges_split_total: ["Ranges that are proved in halves"],
} as const;

type CounterName = keyof typeof COUNTERS;

/** Gauges by name: what they tell, and the label that they have. */
const GAUGES = {
  montana_build_info: ["What runs", "version", "runtime"],
  montana_slot_number: ["Slot of the head of L1"],
  montana_epoch_number: ["Epoch of the head of L1"],
  montana_epoch_processed_number: ["The last epoch that was delivered"],
  montana_l1_lag_seconds: ["That the head of L1 is behind the clock here"],
  montana_l1_source_active: ["1 for the source that tells epochs now", "source"],
  montana_batch_number: ["The batch whose window is open"],
  montana_batch_end_timestamp_seconds: ["When that window ends"],
  montana_batch_blocks: ["Blocks in the batch that collects"],
  montana_batch_slot_number: ["Slot of the newest block that was reported"],
  montana_batches: ["Batches that are known still, by state", "state"],
  montana_proof_completed_timestamp_seconds: ["When a proof was last accepted"],
  montana_proof_jobs: ["Jobs that are known still, by stage", "stage"],
  montana_proof_jobs_running: ["Jobs that a worker works on"],
  montana_proof_jobs_limit: ["Jobs that may be worked on at the same time"],
  montana_proof_job_oldest_timestamp_seconds: ["When the oldest job under way was handed in"],
  process_start_time_seconds: ["When the process started"],
  process_resident_memory_bytes: ["Memory that the process holds"],
} as const;

type GaugeName = keyof typeof GAUGES;

/**
 * Counts events, and writes metrics.
 *
 * @example
 * ```ts
 * import { BatchMetrics, systemClock as clock } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const metrics = await BatchMetrics.open(clock);
 * const log = metrics.counting(); // The log of listener, manager and pipeline.
 * log({ event: "job_created", jobId: "1001-7", batchNumber: 7n, stage: "range_proof" });
 * const { text } = await metrics.text(undefined); // `serveBatches` asks for it.
 * if (!/^montana_proof_jobs_created_total 1$/m.test(text)) throw new Error("it was not counted");
 * ```
 */
export class BatchMetrics implements ServedMetrics {
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #registry: PromRegistry;
  readonly #counters: Readonly<Record<CounterName, PromCounter>>;
  readonly #gauges: Readonly<Record<GaugeName, PromGauge>>;
  readonly #reports: PromCounter;
  readonly #cpu: PromCounter;
  readonly #stages: PromHistogram;
  readonly #jobs: PromHistogram;

  private constructor(prom: PromClient, clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.now();
    const registers = [this.#registry = new prom.Registry()];
    this.#counters = fromNames(COUNTERS, (name) => {
      const [help, label, values = []] = COUNTERS[name] as readonly [string, string?, string[]?];
      const counter = new prom.Counter({
        name,
        help,
        registers,
        ...(label !== undefined && { labelNames: [label] }),
      });
      // What has not happened yet is 0, and not unknown.
      for (const value of values) counter.inc({ [label!]: value }, 0);
      return counter;
    });
    this.#gauges = fromNames(GAUGES, (name) => {
      const [help, ...labelNames] = GAUGES[name];
      const gauge = new prom.Gauge({ name, help, labelNames, registers });
      if (labelNames.length === 0) gauge.remove();
      return gauge;
    });
    this.#reports = new prom.Counter({
      name: "montana_block_reports_total",
      help: "Blocks that were reported, by what became of them",
      labelNames: ["outcome"],
      registers,
    });
    this.#cpu = new prom.Counter({
      name: "process_cpu_seconds_total",
      help: "Time of processors that the process used",
      registers,
    });
    this.#stages = new prom.Histogram({
      name: "montana_proof_stage_duration_seconds",
      help: "Time that a job took for a stage, over all its tries",
      labelNames: ["stage"],
      buckets: STAGE_SECONDS,
      registers,
    });
    for (const stage of PROOF_STAGES) this.#stages.zero({ stage });
    this.#jobs = new prom.Histogram({
      name: "montana_proof_job_duration_seconds",
      help: "Time from a batch that is handed in to its proof that is accepted",
      buckets: STAGE_SECONDS,
      registers,
    });
  }

  /** Loads what it needs. */
  static async open(clock: Clock): Promise<BatchMetrics> {
    return new BatchMetrics(await promClient(), clock);
  }

  /** A log that counts, and hands on to another. */
  counting(log?: Log): Log {
    return (event) => {
      this.#count(event);
      log?.(event);
    };
  }

  async text(
    gauges: BatchGauges | undefined,
  ): Promise<{ readonly type: string; readonly text: string }> {
    this.#lookAtProcess();
    if (gauges) this.#lookAtBatches(gauges);
    if (gauges) this.#lookAtJobs(gauges);
    return { type: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #count(event: LogEvent): void {
    switch (event.event) {
      case "epoch":
        return this.#inc("montana_epochs_total");
      case "batch_trigger":
        return this.#inc("montana_batch_triggers_total");
      case "epoch_reorganised":
        return this.#inc("montana_epochs_reorganised_total");
      case "epoch_source_failed":
        return this.#inc("montana_l1_source_failures_total", { source: event.source });
      case "batch_started":
        return this.#inc("montana_batches_started_total");
      case "batch_finalized": {
        const { batch: { endedBy = "trigger", blocks }, missingBlocks } = event;
        this.#inc("montana_batches_finalized_total", { reason: endedBy });
        this.#inc("montana_batch_blocks_total", {}, blocks.length);
        return this.#inc("montana_batch_blocks_missing_total", {}, Number(missingBlocks));
      }
      case "batch_completed":
        return this.#inc("montana_batches_completed_total");
      case "batch_failed":
        return this.#inc("montana_batches_failed_total");
      case "blocks_replaced":
        return this.#inc("montana_blocks_replaced_total", {}, event.blocks);
      case "blocks_left_out": {
        const blocks = event.lastBlock - event.firstBlock + 1n;
        return this.#inc("montana_blocks_left_out_total", {}, Number(blocks));
      }
      case "tick.failed":
        return this.#inc("montana_passing_failures_total");
      case "job_created":
        return this.#inc("montana_proof_jobs_created_total");
      case "job_completed":
        this.#jobs.observe({}, event.durationMs / 1000);
        return this.#inc("montana_proof_jobs_completed_total");
      case "job_failed":
        return this.#inc("montana_proof_jobs_failed_total", { stage: event.stage });
      case "job_requeued":
        return this.#inc("montana_proof_jobs_requeued_total");
      case "job_cancelled":
        return this.#inc("montana_proof_jobs_cancelled_total");
      case "job_retry":
        return this.#inc("montana_proof_retries_total", { stage: event.stage });
      case "stage_completed": {
        const { stage, durationMs, isExecutionCheck } = event;
        this.#stages.observe({ stage }, durationMs / 1000);
        if (isExecutionCheck) this.#inc("montana_proof_execution_checks_total", { stage });
        return;
      }
      case "proof_forgotten":
        return this.#inc("montana_proofs_forgotten_total", { stage: event.stage });
      case "range_split":
        return this.#inc("montana_proof_ranges_split_total");
    }
  }

  #lookAtProcess(): void {
    this.#set("montana_build_info", 1, { version: VERSION, runtime: runtimeName() });
    this.#set("process_start_time_seconds", this.#startMs / 1000);
    this.#set("process_resident_memory_bytes", process.memoryUsage().rss);
    const { user, system } = process.cpuUsage();
    this.#cpu.reset();
    this.#cpu.inc({}, (user + system) / 1e6);
  }

  #lookAtBatches({ status }: BatchGauges): void {
    const { l1, window, batch, stats, blockReports } = status;
    this.#set("montana_slot_number", Number(l1.currentSlot));
    this.#set("montana_epoch_number", Number(l1.currentEpoch));
    if (l1.lastProcessedEpoch !== undefined) {
      this.#set("montana_epoch_processed_number", Number(l1.lastProcessedEpoch));
    }
    this.#set("montana_l1_lag_seconds", Number(l1.lagSeconds));
    for (const source of SOURCES) {
      this.#set("montana_l1_source_active", Number(source === l1.source), { source });
    }
    this.#set("montana_batch_number", Number(window.batchNumber));
    this.#set("montana_batch_end_timestamp_seconds", Number(window.endsAt));
    this.#set("montana_batch_blocks", batch?.blocks.length ?? 0);
    if (status.lastProcessedSlot !== undefined) {
      this.#set("montana_batch_slot_number", Number(status.lastProcessedSlot));
    }
    for (const state of STATES) {
      this.#set("montana_batches", stats.batches_by_state[state] ?? 0, { state });
    }
    this.#reports.reset();
    for (const [outcome, count] of Object.entries(blockReports)) {
      this.#reports.inc({ outcome }, count);
    }
  }

  #lookAtJobs({ pipeline, jobs, running }: BatchGauges): void {
    for (const stage of STAGES) {
      this.#set("montana_proof_jobs", pipeline.jobs_by_stage[stage] ?? 0, { stage });
    }
    this.#set("montana_proof_jobs_running", running);
    this.#set("montana_proof_jobs_limit", pipeline.max_concurrent_jobs);
    const underWay = jobs.filter(({ stage }) =>
      (PROOF_STAGES as readonly ProofStage[]).includes(stage)
    );
    const oldest = Math.min(...underWay.map(({ createdAtMs }) => createdAtMs));
    const completed = jobs.filter(({ stage }) => stage === "completed");
    if (completed.length > 0) {
      const last = Math.max(...completed.map(({ stageSinceMs }) => stageSinceMs));
      this.#set("montana_proof_completed_timestamp_seconds", last / 1000);
    }
    // Where nothing waits nothing is old, and nobody is to be woken.
    const at = Number.isFinite(oldest) ? oldest : this.#clock.now();
    this.#set("montana_proof_job_oldest_timestamp_seconds", at / 1000);
  }

  #inc(name: CounterName, labels: PromLabels = {}, value = 1): void {
    this.#counters[name].inc(labels, value);
  }

  #set(name: GaugeName, value: number, labels: PromLabels = {}): void {
    this.#gauges[name].set(labels, value);
  }
}

function fromNames<Name extends string, T>(
  names: Readonly<Record<Name, unknown>>,
  make: (name: Name) => T,
): Readonly<Record<Name, T>> {
  const entries = (Object.keys(names) as Name[]).map((name) => [name, make(name)] as const);
  return Object.fromEntries(entries) as Record<Name, T>;
}
