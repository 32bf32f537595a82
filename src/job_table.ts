/**
 * The rules of a queue of proof jobs, wherever it is kept: who may claim what, and what follows on what.
 * Each change is kept first and counts then, one after the other.
 *
 * @module
 */
import type { Clock } from "./ports.ts";
import {
  type JobClaim,
  type JobQueue,
  PROOF_STAGES,
  type ProofJob,
  type ProofProgress,
  type ProofRequest,
  ProvingError,
  type WorkStage,
} from "./proving.ts";
import type { ProvableBatch } from "./superblock.ts";

/** Completed jobs that are remembered: the next superblock follows the newest. */
export const KEPT_COMPLETED_JOBS = 64;

/** Where jobs are kept. */
export interface JobTableParts {
  readonly clock: Clock;
  /** Resolves when the job would survive a crash. */
  readonly keep: (job: ProofJob, state: () => JobTableState) => Promise<void>;
}

/** What a table begins with. */
export interface JobTableState {
  readonly jobs: readonly ProofJob[];
  /** Of each chain, the newest batch that was completed and forgotten. */
  readonly forgotten: Readonly<Record<string, bigint>>;
}

interface Lease {
  readonly token: number;
  readonly worker: string;
  untilMs: number;
}

/** Jobs in memory, and the leases on them, which no crash outlives: who held one is gone. */
export class JobTable implements JobQueue {
  readonly #parts: JobTableParts;
  readonly #jobs = new Map<string, ProofJob>();
  readonly #forgotten = new Map<string, bigint>();
  readonly #leases = new Map<string, Lease>();
  /** Given back, and until when: not kept. */
  readonly #released = new Map<string, number>();
  #token = 0;
  #changes: Promise<unknown> = Promise.resolve();

  constructor(parts: JobTableParts, state: JobTableState = { jobs: [], forgotten: {} }) {
    this.#parts = parts;
    for (const [chain, number] of Object.entries(state.forgotten)) {
      this.#forgotten.set(chain, number);
    }
    for (const job of state.jobs) this.#put(job);
  }

  /** All that a new table needs to go on from here. */
  get state(): JobTableState {
    return { jobs: this.#sorted(), forgotten: Object.fromEntries(this.#forgotten) };
  }

  list(): Promise<readonly ProofJob[]> {
    return Promise.resolve(this.#sorted());
  }

  get(id: string): Promise<ProofJob | undefined> {
    return Promise.resolve(this.#jobs.get(id));
  }

  enqueue(batch: ProvableBatch): Promise<ProofJob> {
    return this.#inTurn(async () => {
      const id = jobId(batch);
      const known = this.#jobs.get(id);
      if (known) return known;
      const nowMs = this.#parts.clock.now();
      const isForgotten = batch.window.batchNumber <=
        (this.#forgotten.get(`${batch.chainId}`) ?? -1n);
      const job: ProofJob = {
        id,
        batch,
        stage: isForgotten ? "completed" : "range_proof",
        ranges: [],
        retries: 0,
        notBeforeMs: nowMs,
        createdAtMs: nowMs,
        stageSinceMs: nowMs,
        updatedAtMs: nowMs,
      };
      return isForgotten ? job : await this.#keep(job);
    });
  }

  claim(worker: string, leaseMs: number): Promise<JobClaim | undefined> {
    const nowMs = this.#parts.clock.now();
    const job = this.#sorted().find((each) => this.#isDue(each, nowMs));
    if (!job) return Promise.resolve(undefined);
    this.#token += 1;
    this.#leases.set(job.id, { token: this.#token, worker, untilMs: nowMs + leaseMs });
    return Promise.resolve({ job, worker, token: this.#token });
  }

  /** Who works on a job now. */
  claimedBy(id: string): string | undefined {
    const lease = this.#leases.get(id);
    return lease && lease.untilMs > this.#parts.clock.now() ? lease.worker : undefined;
  }

  // deno-lint-ignore require-await -- it rejects rather than throws
  async heartbeat(claim: JobClaim, leaseMs: number): Promise<void> {
    this.#leaseOf(claim).untilMs = this.#parts.clock.now() + leaseMs;
  }

  save(claim: JobClaim, progress: ProofProgress): Promise<ProofJob> {
    return this.#change(claim, (job) => {
      const { id, batch, retries, notBeforeMs, createdAtMs, stageSinceMs, updatedAtMs, error } =
        job;
      const times = { notBeforeMs, createdAtMs, stageSinceMs, updatedAtMs };
      const kept = { id, batch, ...times, ...progressOf(progress) };
      if (progress.stage !== job.stage) return { ...kept, retries: 0 };
      return { ...kept, retries, ...(error === undefined ? {} : { error }) };
    });
  }

  complete(claim: JobClaim): Promise<ProofJob> {
    return this.#change(claim, ({ error: _, isSubmitting: __, ...job }) => ({
      ...job,
      stage: "completed",
      ranges: job.ranges.map(withoutProof),
      ...(job.aggregation && { aggregation: withoutProof(job.aggregation) }),
      ...(job.network && { network: withoutProof(job.network) }),
    }), true);
  }

  fail(
    claim: JobClaim,
    error: string,
    retryAtMs?: number,
    isCounted = true,
  ): Promise<ProofJob> {
    return this.#change(claim, (job) => {
      if (retryAtMs === undefined) return ended(job, "failed", error);
      return { ...job, error, notBeforeMs: retryAtMs, retries: job.retries + Number(isCounted) };
    }, true);
  }

  // deno-lint-ignore require-await -- it rejects rather than throws
  async release(claim: JobClaim, untilMs: number): Promise<void> {
    this.#leaseOf(claim);
    this.#leases.delete(claim.job.id);
    this.#released.set(claim.job.id, untilMs);
  }

  requeue(id: string): Promise<ProofJob> {
    return this.#inTurn(async () => {
      const { error: _, endedStage, ...job } = this.#find(id);
      if (job.stage !== "failed" && job.stage !== "cancelled") {
        throw notAllowed(job, "requeue", "only a failed or cancelled job is taken up again");
      }
      this.#released.delete(id);
      const nowMs = this.#parts.clock.now();
      const stage = endedStage ?? "range_proof";
      return await this.#keep({ ...job, stage, retries: 0, notBeforeMs: nowMs });
    });
  }

  cancel(id: string): Promise<ProofJob> {
    return this.#inTurn(async () => {
      const job = this.#find(id);
      if (!isUnderWay(job)) throw notAllowed(job, "cancel", "it has ended");
      const cancelled = await this.#keep(ended(job, "cancelled", "cancelled by hand"));
      this.#leases.delete(id);
      return cancelled;
    });
  }

  #change(
    claim: JobClaim,
    next: (job: ProofJob) => ProofJob,
    isEnd = false,
  ): Promise<ProofJob> {
    return this.#inTurn(async () => {
      this.#leaseOf(claim);
      const job = await this.#keep(next(this.#find(claim.job.id)));
      // It may have run out meanwhile, and be another's.
      const isOwn = this.#leases.get(job.id)?.token === claim.token;
      if (isEnd && isOwn) this.#leases.delete(job.id);
      return job;
    });
  }

  async #keep(job: ProofJob): Promise<ProofJob> {
    const nowMs = this.#parts.clock.now();
    const isNewStage = this.#jobs.get(job.id)?.stage !== job.stage;
    const since = isNewStage ? { stageSinceMs: nowMs } : {};
    const changed = { ...job, ...since, updatedAtMs: nowMs };
    await this.#parts.keep(changed, () => this.state);
    this.#put(changed);
    return changed;
  }

  /** In memory, without the oldest of those completed. */
  #put(job: ProofJob): void {
    this.#jobs.set(job.id, job);
    if (job.stage !== "completed") return;
    const { chainId } = job.batch;
    const completed = this.#sorted().filter((each) =>
      each.stage === "completed" && each.batch.chainId === chainId
    );
    for (const { id, batch } of completed.slice(0, -KEPT_COMPLETED_JOBS)) {
      this.#jobs.delete(id);
      this.#released.delete(id);
      this.#forgotten.set(`${chainId}`, batch.window.batchNumber);
    }
  }

  #isDue(job: ProofJob, nowMs: number): boolean {
    if (!isUnderWay(job) || job.notBeforeMs > nowMs) return false;
    if ((this.#released.get(job.id) ?? 0) > nowMs) return false;
    const lease = this.#leases.get(job.id);
    return !lease || lease.untilMs <= nowMs;
  }

  #leaseOf({ job, token, worker }: JobClaim): Lease {
    const lease = this.#leases.get(job.id);
    if (lease?.token === token && lease.untilMs > this.#parts.clock.now()) return lease;
    throw new ProvingError(
      "LeaseLost",
      `Cannot go on with job ${job.id} as ${worker}: its lease ran out, or the job was taken away`,
      { details: { job: job.id, worker } },
    );
  }

  #find(id: string): ProofJob {
    const job = this.#jobs.get(id);
    if (job) return job;
    const message = `Cannot find job ${id}: a job is named CHAIN-BATCH; list those there are`;
    throw new ProvingError("NotFound", message, { details: { job: id } });
  }

  #sorted(): ProofJob[] {
    return [...this.#jobs.values()].sort((one, other) =>
      Number(one.batch.window.batchNumber - other.batch.window.batchNumber) ||
      Number(one.batch.chainId - other.batch.chainId)
    );
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const done = this.#changes.then(action);
    this.#changes = done.catch(() => {});
    return done;
  }
}

/** The name of the job for a batch: the same for each sequencer of a chain, and after each restart. */
export function jobId({ chainId, window }: ProvableBatch): string {
  return `${chainId}-${window.batchNumber}`;
}

/** Whether anything is still to be done. */
export function isUnderWay({ stage }: Pick<ProofJob, "stage">): boolean {
  return (PROOF_STAGES as readonly string[]).includes(stage);
}

/** These fields and no others, whatever else the object has: what is left out is no longer known. */
function progressOf(progress: ProofProgress): ProofProgress {
  const { stage, ranges, outputs, aggregation, superblock, network, isSubmitting } = progress;
  return {
    stage,
    ranges,
    ...(outputs && { outputs }),
    ...(aggregation && { aggregation }),
    ...(superblock && { superblock }),
    ...(network && { network }),
    ...(isSubmitting && { isSubmitting }),
  };
}

/** The publisher has it now. */
function withoutProof<T extends ProofRequest>({ proof: _, ...request }: T): Omit<T, "proof"> {
  return request;
}

function ended(job: ProofJob, stage: "failed" | "cancelled", error: string): ProofJob {
  return { ...job, stage, error, endedStage: job.stage as WorkStage };
}

function notAllowed({ id, stage }: Pick<ProofJob, "id" | "stage">, what: string, why: string) {
  return new ProvingError("NotAllowed", `Cannot ${what} job ${id}, which is ${stage}: ${why}`, {
    details: { job: id, stage },
  });
}
