/**
 * Events of proof jobs in words.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { LogEvent } from "../ports.ts";
import type { ProofStage, ProvingEvent } from "../proving.ts";
import type { Described } from "./processor_log.ts";

const NAMES: Readonly<Record<ProvingEvent["event"], true>> = {
  job_created: true,
  stage_completed: true,
  job_retry: true,
  job_failed: true,
  job_completed: true,
  job_requeued: true,
  job_cancelled: true,
  proof_forgotten: true,
  range_split: true,
};

/** What a stage is called in a sentence. */
const STAGE: Readonly<Record<ProofStage, string>> = {
  range_proof: "range proof",
  aggregation: "aggregation",
  network_agg: "network aggregation",
  submission: "submission",
  completed: "completed",
  failed: "failed",
  cancelled: "cancelled",
};

export function isProvingEvent(event: LogEvent): event is ProvingEvent {
  return Object.hasOwn(NAMES, event.event);
}

/** What happened. */
export function describeProvingEvent(event: ProvingEvent): Described {
  const { level, text, fields } = described(event);
  const { jobId, batchNumber, stage } = event;
  return {
    level,
    text: `proof job ${jobId} ${text}`,
    fields: { job: jobId, batch: `${batchNumber}`, stage, ...fields },
  };
}

function described(event: ProvingEvent): Described {
  const stage = STAGE[event.stage];
  switch (event.event) {
    case "job_created":
      return { level: "info", text: "waits for its range proof", fields: {} };
    case "stage_completed": {
      const fields = { duration_ms: event.durationMs };
      return event.isExecutionCheck
        ? { level: "warn", text: `passed an execution check of its ${stage}, no proof`, fields }
        : { level: "info", text: `is done with its ${stage}`, fields };
    }
    case "job_completed": {
      const fields = { duration_ms: event.durationMs };
      return { level: "info", text: "is completed: the publisher has accepted it", fields };
    }
    case "job_requeued":
      return { level: "info", text: `is taken up again at its ${stage}`, fields: {} };
    case "job_cancelled":
      return { level: "warn", text: "was cancelled by hand", fields: {} };
    case "job_retry": {
      const error = describeError(event.error);
      return {
        level: "warn",
        text: `tries its ${stage} again, retry ${event.retries}: ${error}`,
        fields: { retries: event.retries, retry_at: event.retryAtMs, error },
      };
    }
    case "job_failed": {
      const error = describeError(event.error);
      return {
        level: "warn",
        text: `failed, and waits for \`montana proofs retry ${event.jobId}\`: ${error}`,
        fields: { error },
      };
    }
    case "proof_forgotten": {
      const { requestId } = event;
      return {
        level: "warn",
        text: `asks for its ${stage} again: the prover knows no ${requestId} any more`,
        fields: { request: requestId },
      };
    }
    case "range_split": {
      const { start, end, reason } = event;
      return {
        level: "warn",
        text: `has blocks ${start + 1n} to ${end} proved in two halves: ${reason}`,
        fields: { start: `${start}`, end: `${end}`, reason },
      };
    }
  }
}
