/**
 * What a proof pipeline is told, with the defaults of the seed.
 *
 * @module
 */

/** Limits of a proof pipeline. */
export interface ProofPipelineConfig {
  /** Jobs that are worked on at the same time. */
  readonly maxConcurrentJobs: number;
  /** Of one try of one stage: what is not proved by then is asked for again. */
  readonly jobTimeoutMs: number;
  /** Of one stage, after its first try; 0 tries once. */
  readonly maxRetries: number;
  readonly retryDelayMs: number;
  /** How often a prover is asked how a proof stands, and the queue what is to be done. */
  readonly pollIntervalMs: number;
  /** A worker that is silent for longer has lost its job. */
  readonly leaseMs: number;
  /** `prove`: a superblock without blocks of this chain is proved too. `skip`: it is only counted. */
  readonly emptyBatches: "prove" | "skip";
}

/** 5 jobs at once, 30 min a stage, 3 retries 5 min apart; polled every 10 s; leases of 1 min. */
export const PROOF_PIPELINE_DEFAULTS: ProofPipelineConfig = Object.freeze({
  maxConcurrentJobs: 5,
  jobTimeoutMs: 30 * 60_000,
  maxRetries: 3,
  retryDelayMs: 5 * 60_000,
  pollIntervalMs: 10_000,
  leaseMs: 60_000,
  emptyBatches: "prove",
});

/** What a rollup proves with. */
export interface ProvenRollup {
  /** 32 bytes. */
  readonly rollupConfigHash: Uint8Array;
  /** 32 bytes. */
  readonly multiBlockVKey: Uint8Array;
  /** 20 bytes. */
  readonly proverAddress: Uint8Array;
  /** Any JSON: handed on as it is. */
  readonly aggregationVKey: unknown;
}
