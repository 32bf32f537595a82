/**
 * A proof job under way: what is written down of it, and what its prover says.
 *
 * @module
 */
import { isRetryable } from "../errors.ts";
import type { Clock, Log } from "../ports.ts";
import {
  type JobClaim,
  type JobQueue,
  type NetworkProver,
  type OutputSource,
  type ProofJob,
  type ProofProgress,
  type ProofStatus,
  type Prover,
  ProvingError,
  type Publisher,
  type RangeWork,
} from "../proving.ts";
import type { ProofPipelineConfig, ProvenRollup } from "./proof_config.ts";
import { provenRange } from "./superblocks.ts";

/** What the stages are made of. */
export interface StageParts {
  readonly queue: JobQueue;
  readonly prover: Prover;
  readonly networkProver: NetworkProver;
  readonly publisher: Publisher;
  readonly outputs: OutputSource;
  readonly rollup: ProvenRollup;
  readonly clock: Clock;
  readonly log?: Log;
}

/** The batch before is not as far as this one needs it: it is given back for a while. */
export class WaitsForBatch extends Error {}

/** A job that is claimed, and how far it is. */
export class StageRun {
  readonly parts: StageParts;
  readonly config: ProofPipelineConfig;
  readonly signal: AbortSignal;
  readonly #onSaved: (job: ProofJob) => void;
  #claim: JobClaim;

  constructor(
    parts: StageParts,
    config: ProofPipelineConfig,
    claim: JobClaim,
    signal: AbortSignal,
    onSaved: (job: ProofJob) => void,
  ) {
    this.parts = parts;
    this.config = config;
    this.#claim = claim;
    this.signal = signal;
    this.#onSaved = onSaved;
  }

  get job(): ProofJob {
    return this.#claim.job;
  }

  /** Nothing is to be proved of this chain. */
  get isEmpty(): boolean {
    return provenRange(this.job.batch) === undefined;
  }

  async save(progress: ProofProgress): Promise<void> {
    this.signal.throwIfAborted();
    const job = await this.parts.queue.save(this.#claim, progress);
    this.#claim = { ...this.#claim, job };
    this.#onSaved(job);
  }

  /** Sleeps until the prover is asked again. */
  async pause(): Promise<void> {
    await this.parts.clock.sleep(this.config.pollIntervalMs, this.signal);
    this.signal.throwIfAborted();
  }

  /** What a prover says; while it cannot be asked, the proof is under way for all that is known. */
  async status(ask: Promise<ProofStatus>): Promise<ProofStatus> {
    try {
      const answer = await ask;
      // Too late: this try is over, and whoever goes on with the job asks anew.
      this.signal.throwIfAborted();
      return answer;
    } catch (error) {
      this.signal.throwIfAborted();
      if (isRetryable(error)) return { state: "pending" };
      throw error;
    }
  }

  forgotten(requestId: string): void {
    const { id, batch, stage } = this.job;
    const { batchNumber } = batch.window;
    this.parts.log?.({ event: "proof_forgotten", jobId: id, batchNumber, stage, requestId });
  }
}

/** What a prover said, as an error; of a range, which blocks it is about. */
export function proofFailure(
  { id, stage }: ProofJob,
  { state, reason }: Extract<ProofStatus, { reason: string }>,
  range?: Pick<RangeWork, "start" | "end">,
): ProvingError {
  const blocks = range === undefined
    ? ""
    : range.end - range.start === 1n
    ? `, block ${range.end}`
    : `, blocks ${range.start + 1n} to ${range.end}`;
  return new ProvingError(
    state === "failed" ? "Failed" : "Unprovable",
    `Cannot prove job ${id} (${stage}${blocks}): the prover ${
      state === "failed" ? "gave up" : "cannot execute it"
    }: ${reason}`,
    { details: { job: id, stage } },
  );
}
