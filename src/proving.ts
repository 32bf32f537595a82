/**
 * The words of proving: the job that takes a batch from range proofs to the Shared Publisher, and the ports of
 * whoever proves, publishes and keeps jobs (seed `superblock-batch.md`, "Proof Generation Pipeline").
 * Hashes and roots are 32 bytes.
 *
 * @module
 */
import { MontanaError, type MontanaErrorOptions } from "./errors.ts";
import type { ProvableBatch } from "./superblock.ts";

/** What is done for a batch, in this order. */
export const PROOF_STAGES = ["range_proof", "aggregation", "network_agg", "submission"] as const;

/** Where a job stands. From `completed` none comes back; from `failed` and `cancelled` a person takes it. */
export type ProofStage = typeof PROOF_STAGES[number] | "completed" | "failed" | "cancelled";

/** A stage that is worked on. */
export type WorkStage = typeof PROOF_STAGES[number];

/** What is asked of a prover: its id is in the log before the first poll. */
export interface ProofRequest {
  /** The prover's own; none while it is not asked, or has forgotten. */
  readonly requestId?: string;
  readonly proof?: Uint8Array;
  /** The prover checked rules, and proved nothing: what stands for the proof is empty, or says what it checked. */
  readonly isExecutionCheck?: boolean;
}

/** Blocks behind `start`, up to and with `end`, that one range proof is for. */
export interface RangeWork extends ProofRequest {
  /** The block before the first. */
  readonly start: bigint;
  readonly end: bigint;
  /** Times that a prover gave up on it. */
  readonly failures: number;
}

/** What an aggregation proof commits to, as op-succinct has it. */
export interface AggregationOutputs {
  readonly l1Head: Uint8Array;
  readonly l2PreRoot: Uint8Array;
  readonly l2PostRoot: Uint8Array;
  readonly l2BlockNumber: bigint;
  readonly rollupConfigHash: Uint8Array;
  readonly multiBlockVKey: Uint8Array;
  /** 20 bytes. */
  readonly proverAddress: Uint8Array;
  /** Of the newer publishers. */
  readonly mailboxRoot?: Uint8Array;
}

/** A block of a superblock. */
export interface SuperblockBlock {
  readonly chainId: bigint;
  readonly slot: bigint;
  readonly number: bigint;
  readonly hash: Uint8Array;
  /** Empty where the sequencer did not say. */
  readonly parentHash: Uint8Array;
}

/** What the hash of a superblock is made of, and its time. */
export interface SuperblockHeader {
  readonly number: bigint;
  readonly slot: bigint;
  readonly parentHash: Uint8Array;
  /** Unix seconds. */
  readonly timestamp: bigint;
}

/** A superblock: all blocks of one batch number. */
export interface Superblock extends SuperblockHeader {
  readonly merkleRoot: Uint8Array;
  readonly hash: Uint8Array;
  /** By chain, then by number. */
  readonly blocks: readonly SuperblockBlock[];
}

/** What is proved of one batch, and how far it is. */
export interface ProofProgress {
  readonly stage: ProofStage;
  readonly ranges: readonly RangeWork[];
  readonly outputs?: AggregationOutputs;
  readonly aggregation?: ProofRequest;
  readonly superblock?: Superblock;
  readonly network?: ProofRequest;
  /** Set before the first try: a later one asks first whether the publisher has it. */
  readonly isSubmitting?: boolean;
}

/** A batch on its way to the Shared Publisher. */
export interface ProofJob extends ProofProgress {
  /** `<chain>-<batch number>`: the same batch is the same job. */
  readonly id: string;
  readonly batch: ProvableBatch;
  /** Of this stage, after the first try. */
  readonly retries: number;
  /** It is not claimed before. */
  readonly notBeforeMs: number;
  /** The stage that `failed` or `cancelled` ended, which a requeue goes on with. */
  readonly endedStage?: WorkStage;
  /** Why it last failed. */
  readonly error?: string;
  readonly createdAtMs: number;
  /** Since when it stands at its stage. */
  readonly stageSinceMs: number;
  readonly updatedAtMs: number;
}

/** The right to work on a job, until its lease runs out. */
export interface JobClaim {
  readonly job: ProofJob;
  readonly worker: string;
  /** Grows with each claim: what an older one writes is refused. */
  readonly token: number;
}

/** Jobs, kept over crashes. What is resolved is kept. */
export interface JobQueue {
  /** By batch number. Of the completed ones, the newest. */
  list(): Promise<readonly ProofJob[]>;
  get(id: string): Promise<ProofJob | undefined>;
  /** Takes a batch; the job that is there already where it was taken before. */
  enqueue(batch: ProvableBatch): Promise<ProofJob>;
  /** The job of the lowest batch number that is due and that nobody has claimed. */
  claim(worker: string, leaseMs: number): Promise<JobClaim | undefined>;
  /**
   * Extends the lease.
   *
   * @throws {ProvingError} `LeaseLost` where it ran out, or the job was taken away; so do all that take a
   * claim
   */
  heartbeat(claim: JobClaim, leaseMs: number): Promise<void>;
  /** Keeps progress. A new stage begins with no retries. */
  save(claim: JobClaim, progress: ProofProgress): Promise<ProofJob>;
  /** The job is done. Ends the claim. */
  complete(claim: JobClaim): Promise<ProofJob>;
  /** The try failed: it is tried again at `retryAtMs`, or has failed for good. Ends the claim. */
  fail(claim: JobClaim, error: string, retryAtMs?: number, isCounted?: boolean): Promise<ProofJob>;
  /** Gives it back untouched, for nobody to take before `untilMs`. Ends the claim. */
  release(claim: JobClaim, untilMs: number): Promise<void>;
  /**
   * Takes a failed or cancelled job up again, where it ended.
   *
   * @throws {ProvingError} `NotFound`, or `NotAllowed` where it is under way or completed
   */
  requeue(id: string): Promise<ProofJob>;
  /**
   * Ends a job that is under way, whoever has claimed it.
   *
   * @throws {ProvingError} `NotFound`, or `NotAllowed` where it has ended
   */
  cancel(id: string): Promise<ProofJob>;
}

/** How a proof stands with its prover. */
export type ProofStatus =
  | { readonly state: "pending" }
  | {
    readonly state: "proved";
    readonly proof: Uint8Array;
    /** The prover checked rules, and proved nothing: see {@link ProofRequest}. */
    readonly isExecutionCheck?: boolean;
  }
  /** It may be proved when asked for again. */
  | { readonly state: "failed"; readonly reason: string }
  /** Whoever executes it fails: no try will prove it. */
  | { readonly state: "unprovable"; readonly reason: string }
  /** The prover knows no such id: it has forgotten. */
  | { readonly state: "unknown" };

/** Who proves ranges of blocks, and what they come to. */
export interface Prover {
  /** Asks for the proof of the blocks behind `start` up to `end`; resolves with the prover's id. */
  requestRange(range: Pick<RangeWork, "start" | "end">, signal?: AbortSignal): Promise<string>;
  /** Asks for one proof of proofs that follow each other, against an L1 block. */
  requestAggregation(
    proofs: readonly Uint8Array[],
    l1Head: Uint8Array,
    signal?: AbortSignal,
  ): Promise<string>;
  status(requestId: string, signal?: AbortSignal): Promise<ProofStatus>;
}

/** What a superblock is proved from. */
export interface NetworkProofInput {
  readonly previous: Superblock;
  readonly next: Superblock;
  /** Of each chain; none of a chain without blocks. */
  readonly previousOutputs?: AggregationOutputs;
  readonly outputs?: AggregationOutputs;
  readonly aggregationProof?: Uint8Array;
  readonly chainId: bigint;
  /** As it was configured, JSON. */
  readonly aggregationVKey: unknown;
}

/** Who proves that one superblock follows another. */
export interface NetworkProver {
  /** Gives a superblock its order, merkle root and hash. */
  seal(header: SuperblockHeader, blocks: readonly SuperblockBlock[]): Promise<Superblock>;
  request(input: NetworkProofInput, signal?: AbortSignal): Promise<string>;
  status(requestId: string, signal?: AbortSignal): Promise<ProofStatus>;
}

/** What the Shared Publisher is handed of one chain. */
export interface ProofSubmission {
  readonly superblockNumber: bigint;
  readonly superblockHash: Uint8Array;
  readonly chainId: bigint;
  /** The block before the first that is proved. */
  readonly startBlock: bigint;
  readonly outputs: AggregationOutputs;
  readonly aggregationVKey: unknown;
  readonly proof: Uint8Array;
  /** Nothing was proved: a publisher must not be told otherwise. */
  readonly isExecutionCheck?: boolean;
}

/** The Shared Publisher. */
export interface Publisher {
  /**
   * Resolves when it has accepted the proof.
   *
   * @throws {ProvingError} `Refused` where it will not; all that is temporary is tried again for ever
   */
  submit(submission: ProofSubmission, signal?: AbortSignal): Promise<void>;
  /** Whether it has the proof of a chain for a superblock. */
  hasReceived(
    superblockHash: Uint8Array,
    chainId: bigint,
    signal?: AbortSignal,
  ): Promise<boolean>;
}

/** What an aggregation commits to, from the nodes of the rollup. */
export interface OutputSource {
  /** Hash of the L1 block that proofs are made against now. */
  l1Head(): Promise<Uint8Array>;
  /** Output root behind an L2 block. */
  outputRoot(blockNumber: bigint): Promise<Uint8Array>;
}

interface JobEventFields {
  readonly jobId: string;
  readonly batchNumber: bigint;
  readonly stage: ProofStage;
}

/** What a proof pipeline tells, by the seed's names, and what the seed does not do. */
export type ProvingEvent =
  | JobEventFields & { readonly event: "job_created" }
  | JobEventFields & {
    readonly event: "job_completed";
    /** Since the batch was handed in. */
    readonly durationMs: number;
  }
  | JobEventFields & { readonly event: "job_requeued" | "job_cancelled" }
  | JobEventFields & {
    readonly event: "stage_completed";
    /** Nothing was proved: the rules were executed. */
    readonly isExecutionCheck: boolean;
    /** Since the job came to that stage, over all its tries. */
    readonly durationMs: number;
  }
  | JobEventFields & {
    readonly event: "job_retry";
    readonly error: unknown;
    readonly retries: number;
    readonly retryAtMs: number;
  }
  | JobEventFields & { readonly event: "job_failed"; readonly error: unknown }
  | JobEventFields & {
    /** A prover knows an id no more: it is asked again. */
    readonly event: "proof_forgotten";
    readonly requestId: string;
  }
  | JobEventFields & {
    readonly event: "range_split";
    readonly start: bigint;
    readonly end: bigint;
    readonly reason: string;
  };

/**
 * | code          | kind      |                                                               |
 * | ------------- | --------- | ------------------------------------------------------------- |
 * | `Unreachable` | temporary | a prover or publisher gave no answer, not in time, or 429/5xx |
 * | `Invalid`     | temporary | its answer is none of those that its API has                  |
 * | `Failed`      | temporary | a prover gave up; it may prove it the next time               |
 * | `Timeout`     | temporary | the stage was not done within its time                        |
 * | `Refused`     | critical  | HTTP 4xx: it will not take this                               |
 * | `Unprovable`  | critical  | no prover will prove it                                       |
 * | `LeaseLost`   | critical  | the lease ran out, or the job was taken away                  |
 * | `NotFound`    | critical  | there is no such job                                          |
 * | `NotAllowed`  | critical  | a job that stands where it does cannot be treated so          |
 */
export type ProvingErrorCode =
  | "Unreachable"
  | "Invalid"
  | "Failed"
  | "Timeout"
  | "Refused"
  | "Unprovable"
  | "LeaseLost"
  | "NotFound"
  | "NotAllowed";

const TEMPORARY: readonly ProvingErrorCode[] = ["Unreachable", "Invalid", "Failed", "Timeout"];

/** A batch was not proved, or its proof not handed on. */
export class ProvingError extends MontanaError {
  readonly code: ProvingErrorCode;

  constructor(code: ProvingErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, TEMPORARY.includes(code) ? "temporary" : "critical", options);
    this.code = code;
  }
}
