/**
 * The proof pipeline (seed `superblock-batch.md`, "Proof Pipeline"): batches become jobs, workers claim them,
 * and a job is completed when the Shared Publisher has accepted its proof.
 *
 * @module
 */
import { isRetryable, WalError } from "../errors.ts";
import { isUnderWay, jobId } from "../job_table.ts";
import {
  type JobClaim,
  type ProofJob,
  type ProofRequest,
  type ProofStage,
  ProvingError,
  type ProvingEvent,
} from "../proving.ts";
import { BatchError, type ProvableBatch, type ProvableBatches } from "../superblock.ts";
import { withDeadline } from "./deadline.ts";
import { PROOF_PIPELINE_DEFAULTS, type ProofPipelineConfig } from "./proof_config.ts";
import { runStage } from "./proof_stages.ts";
import { type StageParts, StageRun, WaitsForBatch } from "./stage_run.ts";
import { aborted, together } from "./together.ts";

/** What a proof pipeline is made of. */
export interface ProofPipelineParts extends StageParts {
  /** Where batches come from, beside `enqueue()`, and are told what became of them. */
  readonly batches?: ProvableBatches;
}

/** How a pipeline stands, by the seed's names. Times are milliseconds. */
export interface ProofPipelineStats {
  readonly active_jobs: number;
  readonly max_concurrent_jobs: number;
  readonly job_timeout: number;
  readonly max_retries: number;
  readonly jobs_by_stage: Readonly<Partial<Record<ProofStage, number>>>;
}

/**
 * Proves batches, several at the same time, and hands their proofs on in order.
 *
 * @example
 * ```ts
 * import { ManualClock, MemoryJobQueue, ProofPipeline } from "https://example.com/montana/v0.1.0/mod.ts";
 * import type { NetworkProver, Prover, Publisher } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const clock = new ManualClock();
 * const nobody = () => Promise.reject(new Error("nobody is asked here"));
 * const hash = new Uint8Array(32);
 * const prover: Prover = { requestRange: nobody, requestAggregation: nobody, status: nobody };
 * const networkProver: NetworkProver = { seal: nobody, request: nobody, status: nobody };
 * const publisher: Publisher = { submit: nobody, hasReceived: nobody };
 * const pipeline = new ProofPipeline({
 *   queue: new MemoryJobQueue(clock),
 *   prover,
 *   networkProver,
 *   publisher,
 *   outputs: { l1Head: nobody, outputRoot: nobody },
 *   rollup: {
 *     rollupConfigHash: hash,
 *     multiBlockVKey: hash,
 *     proverAddress: new Uint8Array(20),
 *     aggregationVKey: {},
 *   },
 *   clock,
 * });
 * const stats = await pipeline.stats();
 * if (stats.max_concurrent_jobs !== 5 || stats.active_jobs !== 0) throw new Error("it has no jobs");
 * ```
 */
export class ProofPipeline {
  readonly #parts: ProofPipelineParts;
  readonly #config: ProofPipelineConfig;
  /** Aborted with what the log said when it broke in the hands of a caller. */
  readonly #broken = new AbortController();

  constructor(parts: ProofPipelineParts, config: Partial<ProofPipelineConfig> = {}) {
    this.#parts = parts;
    this.#config = { ...PROOF_PIPELINE_DEFAULTS, ...config };
  }

  /** Takes a batch; the job that is there already where it was taken before. */
  async enqueue(batch: ProvableBatch): Promise<ProofJob> {
    const { queue } = this.#parts;
    const known = await queue.get(jobId(batch));
    const job = await this.#kept(queue.enqueue(batch));
    if (!known && isUnderWay(job)) this.#tell({ event: "job_created", ...named(job) });
    return job;
  }

  /** @throws {ProvingError} as {@link JobQueue.requeue} does */
  async requeue(id: string): Promise<ProofJob> {
    const job = await this.#kept(this.#parts.queue.requeue(id));
    this.#tell({ event: "job_requeued", ...named(job) });
    if (this.#parts.batches) await this.#reportJob(this.#parts.batches, job);
    return job;
  }

  /** @throws {ProvingError} as {@link JobQueue.cancel} does */
  async cancel(id: string): Promise<ProofJob> {
    const job = await this.#kept(this.#parts.queue.cancel(id));
    this.#tell({ event: "job_cancelled", ...named(job) });
    return job;
  }

  async stats(): Promise<ProofPipelineStats> {
    const jobs = await this.#parts.queue.list();
    const byStage: Partial<Record<ProofStage, number>> = {};
    for (const { stage } of jobs) byStage[stage] = (byStage[stage] ?? 0) + 1;
    return {
      active_jobs: jobs.filter(isUnderWay).length,
      max_concurrent_jobs: this.#config.maxConcurrentJobs,
      job_timeout: this.#config.jobTimeoutMs,
      max_retries: this.#config.maxRetries,
      jobs_by_stage: byStage,
    };
  }

  /**
   * Works until aborted. What is under way then goes on with the next run.
   *
   * @throws {WalError} where nothing can be kept any more
   */
  async run(signal: AbortSignal): Promise<void> {
    const names = Array.from({ length: this.#config.maxConcurrentJobs }, (_, at) => `worker ${at}`);
    await together([
      (signal) => this.#intake(signal),
      ...names.map((name) => (signal: AbortSignal) => this.#worker(name, signal)),
      (signal) => this.#untilBroken(signal),
    ], signal);
  }

  async #untilBroken(signal: AbortSignal): Promise<void> {
    const broken = this.#broken.signal;
    await aborted(AbortSignal.any([signal, broken]));
    if (broken.aborted) throw broken.reason;
  }

  /** A change that somebody asks for: where the log breaks, nothing is kept any more, and the run ends. */
  async #kept(change: Promise<ProofJob>): Promise<ProofJob> {
    try {
      return await change;
    } catch (error) {
      if (error instanceof WalError && !isRetryable(error)) this.#broken.abort(error);
      throw error;
    }
  }

  async #intake(signal: AbortSignal): Promise<void> {
    const { batches, clock, log } = this.#parts;
    const { pollIntervalMs: retryMs } = this.#config;
    while (batches && !signal.aborted) {
      try {
        for (const batch of batches.batchesReadyForProving()) {
          const { id } = await this.enqueue(batch);
          await batches.updateBatchProofJob(batch.window.batchNumber, id);
        }
        await this.#report(batches);
      } catch (error) {
        // A batch may have gone on meanwhile.
        const isOutdated = error instanceof BatchError;
        if (!isOutdated && !isRetryable(error)) throw error;
        if (!isOutdated) log?.({ event: "tick.failed", error, retryMs });
      }
      await clock.sleep(retryMs, signal);
    }
  }

  /** Tells the batches how their jobs stand: also what could not be told, or not before a crash. */
  async #report(batches: ProvableBatches): Promise<void> {
    for (const job of await this.#parts.queue.list()) await this.#reportJob(batches, job);
  }

  async #reportJob(batches: ProvableBatches, job: ProofJob): Promise<void> {
    const { batch: { window: { batchNumber } }, stage, error } = job;
    const state = batches.batch(batchNumber)?.state;
    if (state !== "failed" && state !== "proving") return;
    const hasFailed = stage === "failed" || stage === "cancelled";
    try {
      if (state === "failed" && !hasFailed) await batches.requeueBatch(batchNumber);
      if (stage === "completed") await batches.markBatchCompleted(batchNumber);
      if (state === "proving" && hasFailed) {
        await batches.markBatchFailed(batchNumber, new ProvingError("Failed", error ?? stage));
      }
    } catch (failure) {
      // Somebody else told it meanwhile: the next time it is looked at anew.
      if (!(failure instanceof BatchError)) throw failure;
    }
  }

  async #worker(name: string, signal: AbortSignal): Promise<void> {
    const { queue, clock } = this.#parts;
    const { leaseMs, pollIntervalMs } = this.#config;
    while (!signal.aborted) {
      const claim = await queue.claim(name, leaseMs);
      const isWorth = claim && await this.#work(claim, signal);
      if (!isWorth) await clock.sleep(pollIntervalMs, signal);
    }
  }

  /** Works on a job while its lease lasts. False where the worker had better wait. */
  async #work(claim: JobClaim, signal: AbortSignal): Promise<boolean> {
    const lease = new AbortController();
    const stop = () => lease.abort(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    const beating = this.#heartbeat(claim, lease);
    try {
      return await this.#stages(claim, lease.signal);
    } finally {
      lease.abort();
      signal.removeEventListener("abort", stop);
      await beating;
    }
  }

  async #heartbeat(claim: JobClaim, lease: AbortController): Promise<void> {
    const { leaseMs } = this.#config;
    while (!lease.signal.aborted) {
      await this.#parts.clock.sleep(leaseMs / 3, lease.signal);
      if (lease.signal.aborted) return;
      await this.#parts.queue.heartbeat(claim, leaseMs).catch((error) => lease.abort(error));
    }
  }

  async #stages(claim: JobClaim, lease: AbortSignal): Promise<boolean> {
    const { clock, queue } = this.#parts;
    let { job } = claim;
    try {
      for (;;) {
        const { stage, stageSinceMs } = job;
        await withDeadline({
          clock,
          ms: this.#config.jobTimeoutMs,
          signal: lease,
          late: () => late(job, this.#config.jobTimeoutMs),
        }, async (signal) => {
          const run = new StageRun(
            this.#parts,
            this.#config,
            { ...claim, job },
            signal,
            (saved) => {
              job = saved;
            },
          );
          await runStage(run);
        });
        const isExecutionCheck = isOnlyChecked(job, stage);
        const durationMs = clock.now() - stageSinceMs;
        this.#tell({
          event: "stage_completed",
          ...named(job),
          stage,
          isExecutionCheck,
          durationMs,
        });
        if (stage === "submission") break;
      }
      const completed = await queue.complete(claim);
      const durationMs = completed.updatedAtMs - completed.createdAtMs;
      this.#tell({ event: "job_completed", ...named(completed), durationMs });
      if (this.#parts.batches) await this.#reportJob(this.#parts.batches, completed);
      return true;
    } catch (error) {
      return await this.#failed({ ...claim, job }, error, lease);
    }
  }

  async #failed(claim: JobClaim, error: unknown, lease: AbortSignal): Promise<boolean> {
    const { clock, queue } = this.#parts;
    const { pollIntervalMs, retryDelayMs, maxRetries } = this.#config;
    // Whoever has the job now goes on with it.
    if (error instanceof ProvingError && error.code === "LeaseLost") return true;
    if (error instanceof WalError && !isRetryable(error)) throw error;
    const isWaiting = error instanceof WaitsForBatch || error instanceof WalError;
    if (isWaiting || lease.aborted) {
      const untilMs = clock.now() + (isWaiting ? pollIntervalMs : 0);
      await queue.release(claim, untilMs).catch(ignoreLostLease);
      return !(error instanceof WalError);
    }
    try {
      await this.#settle(claim, error, { retryAtMs: clock.now() + retryDelayMs, maxRetries });
      return true;
    } catch (failure) {
      if (!isRetryable(failure)) ignoreLostLease(failure);
      // No room to note it: the next worker finds the same.
      await queue.release(claim, clock.now() + pollIntervalMs).catch(ignoreLostLease);
      return false;
    }
  }

  /** Notes a failure: another try, or the end. */
  async #settle(
    claim: JobClaim,
    error: unknown,
    { retryAtMs, maxRetries }: { readonly retryAtMs: number; readonly maxRetries: number },
  ): Promise<void> {
    const { queue, batches } = this.#parts;
    const { job } = claim;
    const text = error instanceof Error ? error.message : String(error);
    // A proof that is made is not lost because the publisher is away.
    const isCounted = job.stage !== "submission" && !isOwnFailureOfRange(job, error);
    if (isRetryable(error) && (!isCounted || job.retries < maxRetries)) {
      if (error instanceof ProvingError && error.code === "Timeout") {
        await queue.save(claim, withoutRequests(job));
      }
      const { retries } = await queue.fail(claim, text, retryAtMs, isCounted);
      this.#tell({ event: "job_retry", ...named(job), error, retries, retryAtMs });
      return;
    }
    const failed = await queue.fail(claim, text);
    this.#tell({ event: "job_failed", ...named(failed), stage: job.stage, error });
    if (batches) await this.#reportJob(batches, failed);
  }

  #tell(event: ProvingEvent): void {
    this.#parts.log?.(event);
  }
}

/** Whether nothing was proved in a stage. */
function isOnlyChecked({ ranges, aggregation, network }: ProofJob, stage: ProofStage): boolean {
  const proofs: Partial<Record<ProofStage, readonly (ProofRequest | undefined)[]>> = {
    range_proof: ranges,
    aggregation: [aggregation],
    network_agg: [network],
  };
  return (proofs[stage] ?? []).some((proof) => proof?.isExecutionCheck === true);
}

/**
 * Each range has its own tries, as it is split after some: those of others are none of it. As many retries
 * are counted as the range took that was given up most often.
 */
function isOwnFailureOfRange({ stage, ranges, retries }: ProofJob, error: unknown): boolean {
  const isOfRange = stage === "range_proof" && error instanceof ProvingError &&
    error.code === "Failed";
  return isOfRange && ranges.every(({ failures }) => failures <= retries);
}

function named({ id, batch, stage }: ProofJob) {
  return { jobId: id, batchNumber: batch.window.batchNumber, stage };
}

function late({ id, stage }: ProofJob, ms: number): ProvingError {
  const message = `Cannot wait longer for job ${id} (${stage}): it took more than ${ms} ms`;
  return new ProvingError("Timeout", message, { details: { job: id, stage } });
}

/** What was asked and is not proved is asked for again. */
function withoutRequests(job: ProofJob): ProofJob {
  const unasked = <T extends ProofRequest>(request: T): T => {
    const { requestId: _, ...rest } = request;
    return request.proof ? request : rest as T;
  };
  return {
    ...job,
    ranges: job.ranges.map(unasked),
    ...(job.aggregation && { aggregation: unasked(job.aggregation) }),
    ...(job.network && { network: unasked(job.network) }),
  };
}

function ignoreLostLease(error: unknown): void {
  if (!(error instanceof ProvingError && error.code === "LeaseLost")) throw error;
}
