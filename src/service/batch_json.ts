/**
 * Batches, epochs and proof jobs as JSON, by the names of the seed, and blocks out of it. Whole numbers are
 * JSON numbers; those above 2^53 - 1 are decimal text. Times are RFC 3339.
 *
 * @module
 */
import { PROOF_STAGES, type ProofJob, type ProofRequest, type RangeWork } from "../proving.ts";
import type { BatchInfo, BatchWindow, EpochSourceName, ReportedBlock } from "../superblock.ts";
import { fromHex, shown, toHex } from "../wire/hex.ts";

/** Where L1 is, as `EpochListener` tells it. */
export interface ServedL1 {
  readonly currentEpoch: bigint;
  readonly currentSlot: bigint;
  readonly currentBatchNumber: bigint;
  readonly lastProcessedEpoch: bigint | undefined;
  readonly nextBatchEpoch: bigint;
  readonly batchFactor: bigint;
  readonly genesisTime: bigint;
  /** Seconds that L1's head is behind the clock here. */
  readonly lagSeconds: bigint;
  readonly source: EpochSourceName | undefined;
}

/** A block that is reported: one of slot and timestamp is enough. */
export type BlockReportJson = Omit<ReportedBlock, "slot" | "timestamp"> & {
  readonly slot?: bigint;
  readonly timestamp?: bigint;
};

/** Whether somebody works on a job, it waits for its turn, for its next try, or has ended. */
export type JobState = "running" | "queued" | "waiting" | "completed" | "failed" | "cancelled";

const U64_MAX = 2n ** 64n - 1n;
/** Years to 9999, in seconds. */
const TIME_MAX = 253_402_300_799n;
const MAX_NAMES = 4096;
const MAX_NAME_LENGTH = 256;

/** The answer to `GET /v1/batch/epoch`. */
export function epochJson(l1: ServedL1): object {
  const { currentEpoch, currentSlot, currentBatchNumber, lastProcessedEpoch } = l1;
  return {
    current_epoch: number(currentEpoch),
    current_slot: number(currentSlot),
    batch_number: number(currentBatchNumber),
    source: l1.source ?? null,
    lag_seconds: number(l1.lagSeconds),
    tracker_stats: {
      current_epoch: number(currentEpoch),
      current_slot: number(currentSlot),
      current_batch_number: number(currentBatchNumber),
      last_processed_epoch: lastProcessedEpoch === undefined ? null : number(lastProcessedEpoch),
      batch_factor: number(l1.batchFactor),
      genesis_time: timeOf(l1.genesisTime),
      next_batch_epoch: number(l1.nextBatchEpoch),
    },
  };
}

/** A batch with its blocks. */
export function batchJson(batch: BatchInfo): object {
  const { window, endedAtMs, endedBy, proofJobId, errorMessage } = batch;
  return {
    id: number(window.batchNumber),
    state: batch.state,
    chain_id: number(batch.chainId),
    start_epoch: number(window.firstEpoch),
    start_time: timeOf(window.startsAt),
    start_slot: number(window.firstSlot),
    end_slot: number(window.lastSlot),
    slot_count: batch.slotCount,
    blocks: batch.blocks.map(blockJson),
    ...(endedAtMs !== undefined && { end_time: atMs(endedAtMs) }),
    ...(endedBy !== undefined && { ended_by: endedBy }),
    ...(proofJobId !== undefined && { proof_job_id: proofJobId }),
    ...(errorMessage !== undefined && { error_message: errorMessage }),
    created_at: atMs(batch.createdAtMs),
    updated_at: atMs(batch.updatedAtMs),
  };
}

/** The time of a batch. */
export function windowJson(window: BatchWindow): object {
  return {
    batch_number: number(window.batchNumber),
    start_epoch: number(window.firstEpoch),
    end_epoch: number(window.lastEpoch),
    start_slot: number(window.firstSlot),
    end_slot: number(window.lastSlot),
    start_time: timeOf(window.startsAt),
    end_time: timeOf(window.endsAt),
  };
}

function blockJson(block: ReportedBlock): object {
  const { parentHash, crossTransactions } = block;
  return {
    slot_number: number(block.slot),
    block_number: number(block.number),
    block_hash: toHex(block.hash),
    ...(parentHash && { parent_hash: toHex(parentHash) }),
    timestamp: timeOf(block.timestamp),
    tx_count: block.transactions,
    ...(crossTransactions && { included_xtxs: crossTransactions }),
  };
}

/** How a job stands; `worker` is who works on it now. */
export function jobJson(job: ProofJob, nowMs: number, worker: string | undefined): object {
  const { batch, error, notBeforeMs, superblock } = job;
  const state = stateOf(job, nowMs, worker);
  return {
    id: job.id,
    chain_id: number(batch.chainId),
    batch_number: number(batch.window.batchNumber),
    /** The one that ended it, where it failed or was cancelled. */
    stage: job.endedStage ?? job.stage,
    state,
    retries: job.retries,
    since: atMs(job.stageSinceMs),
    ...(worker !== undefined && { worker }),
    ...(state === "waiting" && { next_try_at: atMs(notBeforeMs) }),
    ...(error !== undefined && { last_error: error }),
    blocks: batch.blocks.length,
    requests: requestsOf(job),
    ...(superblock && { superblock_hash: toHex(superblock.hash) }),
    created_at: atMs(job.createdAtMs),
    updated_at: atMs(job.updatedAtMs),
  };
}

function stateOf(job: ProofJob, nowMs: number, worker: string | undefined): JobState {
  const { stage } = job;
  if (stage === "completed" || stage === "failed" || stage === "cancelled") return stage;
  if (worker !== undefined) return "running";
  return job.notBeforeMs > nowMs ? "waiting" : "queued";
}

/** What its provers were asked for, in the order of the stages. */
function requestsOf({ ranges, aggregation, network, stage, endedStage }: ProofJob): object[] {
  // Their proofs are dropped once they are in the aggregation.
  const at = PROOF_STAGES.findIndex((each) => each === (endedStage ?? stage));
  const isPast = at !== 0;
  return [
    ...ranges.map((range) => ({
      stage: "range_proof",
      start_block: number(range.start + 1n),
      end_block: number(range.end),
      ...requestJson(range, isPast),
      failures: range.failures,
    })),
    ...(aggregation
      ? [{ stage: "aggregation", ...requestJson(aggregation, at < 0 || at > 1) }]
      : []),
    ...(network ? [{ stage: "network_agg", ...requestJson(network, at < 0 || at > 2) }] : []),
  ];
}

function requestJson(request: ProofRequest | RangeWork, isPast: boolean): object {
  const { requestId, proof, isExecutionCheck } = request;
  const isAsked = requestId !== undefined;
  return {
    ...(isAsked && { request_id: requestId }),
    state: proof || isPast ? "proved" : isAsked ? "asked" : "not asked",
    ...(isExecutionCheck && { is_execution_check: true }),
  };
}

/**
 * The blocks of a request: one, or a list of them.
 *
 * @throws {TypeError} naming what is wrong, and where
 */
export function blocksOf(json: unknown): BlockReportJson[] {
  if (!Array.isArray(json)) return [blockOf(json, "the block")];
  return json.map((each, at) => blockOf(each, `block ${at} of the list`));
}

function blockOf(json: unknown, where: string): BlockReportJson {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new TypeError(`${where} is no object: ${shown(json)}`);
  }
  const fields = json as Record<string, unknown>;
  const wrong = (name: string, need: string) =>
    new TypeError(`${name} of ${where} is ${shown(fields[name])}, need ${need}`);
  const has = (name: string) => fields[name] !== undefined && fields[name] !== null;
  const whole = (name: string, most = U64_MAX): bigint => {
    const value = wholeOf(fields[name]);
    if (value === undefined || value > most) throw wrong(name, `a whole number up to ${most}`);
    return value;
  };
  const hash = (name: string): Uint8Array => {
    try {
      return fromHex(fields[name], name, 32);
    } catch {
      throw wrong(name, "0x and 64 hexadecimal digits");
    }
  };
  const time = (): bigint => {
    const value = wholeOf(fields["timestamp"]) ?? secondsOf(fields["timestamp"]);
    if (value !== undefined && value <= TIME_MAX) return value;
    throw wrong("timestamp", "Unix seconds, or a time as 2026-11-21T23:50:00Z");
  };
  const names = (): string[] => {
    const value = fields["included_xtxs"];
    const isList = Array.isArray(value) && value.length <= MAX_NAMES &&
      value.every((each) => typeof each === "string" && each.length <= MAX_NAME_LENGTH);
    if (isList) return value;
    throw wrong(
      "included_xtxs",
      `a list of at most ${MAX_NAMES} texts of ${MAX_NAME_LENGTH} characters`,
    );
  };
  return {
    ...(has("slot_number") && { slot: whole("slot_number") }),
    number: whole("block_number"),
    hash: hash("block_hash"),
    ...(has("parent_hash") && { parentHash: hash("parent_hash") }),
    ...(has("timestamp") && { timestamp: time() }),
    transactions: Number(whole("tx_count", 2n ** 32n - 1n)),
    ...(has("included_xtxs") && { crossTransactions: names() }),
  };
}

function wholeOf(value: unknown): bigint | undefined {
  if (typeof value === "number") {
    return Number.isSafeInteger(value) && value >= 0 ? BigInt(value) : undefined;
  }
  const isText = typeof value === "string" && /^(\d{1,20}|0x[\da-f]{1,16})$/i.test(value);
  return isText ? BigInt(value) : undefined;
}

/** Of a time as RFC 3339 writes it, to the second. */
function secondsOf(value: unknown): bigint | undefined {
  const isTime = typeof value === "string" &&
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/.test(value);
  const ms = isTime ? Date.parse(value) : NaN;
  return ms >= 0 ? BigInt(Math.floor(ms / 1000)) : undefined;
}

/** A JSON number where it is one exactly, decimal text where it is not. */
export function number(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : `${value}`;
}

/** {@link number} for each number in what the seed's statistics are made of. */
export function numbersIn(value: object): object {
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => {
      if (typeof each === "bigint") return [name, number(each)];
      if (each === undefined) return [name, null];
      return [name, typeof each === "object" && each !== null ? numbersIn(each) : each];
    }),
  );
}

function timeOf(unixSeconds: bigint): string {
  return unixSeconds <= TIME_MAX ? wholeSeconds(Number(unixSeconds) * 1000) : `${unixSeconds}`;
}

function atMs(ms: number): string {
  return new Date(ms).toISOString();
}

function wholeSeconds(ms: number): string {
  return atMs(ms).replace(".000Z", "Z");
}
