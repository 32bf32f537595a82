/**
 * Settings of a processor, checked.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";
import { RETRY_DEFAULTS, type RetryPolicy } from "../retry.ts";
import type { AdmissionBounds } from "./admission.ts";
import type { SizeBounds } from "./batch_size.ts";
import type { MemoryBounds } from "./operation_queue.ts";

/** How a processor batches, and what it does where it cannot go on. */
export interface ProcessorConfig extends AdmissionBounds, MemoryBounds, SizeBounds {
  /** Longest wait of an operation for its batch; 0 waits for nothing. */
  readonly intervalMs: number;
  /** Bytes that make a batch. An operation that is larger is a batch by itself. */
  readonly maxBatchBytes: number;
  /** `adaptive` finds the size between least and most; `fixed` takes the most. */
  readonly batchSize: "adaptive" | "fixed";
  /** Waits after a handler failed; `maxAttempts` tries after the first, then the batch is dead. */
  readonly retry: RetryPolicy;
  /** A call of the handler is aborted after so long; 0 never is. */
  readonly handlerTimeoutMs: number;
  /** Once a batch is dead, the line goes on with the next, or stops until it is resumed. */
  readonly whenDead: "continue" | "stop";
}

/** The seed's 100 ms, 1000 operations and 1 MiB, with the bounds it lacks. */
export const PROCESSOR_DEFAULTS: ProcessorConfig = Object.freeze({
  intervalMs: 100,
  minBatchOperations: 10,
  maxBatchOperations: 1000,
  maxBatchBytes: 1024 * 1024,
  batchSize: "adaptive",
  latencyGoalMs: 1000,
  maxQueuedOperations: 1_000_000,
  maxQueuedBytes: 1024 ** 3,
  maxOperationBytes: 16 * 1024 * 1024,
  whenFull: "wait",
  memoryOperations: 50_000,
  memoryBytes: 32 * 1024 * 1024,
  retry: RETRY_DEFAULTS,
  handlerTimeoutMs: 60_000,
  whenDead: "continue",
});

/** What an adaptive size begins with, where its bounds allow. */
export const INITIAL_BATCH_OPERATIONS = 100;

/** Below these no processor works. */
const LEAST: Readonly<Partial<Record<keyof ProcessorConfig, number>>> = {
  intervalMs: 0,
  minBatchOperations: 1,
  maxBatchOperations: 1,
  maxBatchBytes: 1,
  latencyGoalMs: 1,
  maxQueuedOperations: 1,
  maxQueuedBytes: 1,
  maxOperationBytes: 1,
  memoryOperations: 1,
  memoryBytes: 1,
  handlerTimeoutMs: 0,
};

/**
 * The defaults, with what is given instead of some of them.
 *
 * @throws {ConfigError} `Invalid` naming key and value
 */
export function processorConfig(given: Partial<ProcessorConfig>): ProcessorConfig {
  const config = { ...PROCESSOR_DEFAULTS, ...given };
  for (const key of Object.keys(LEAST) as (keyof ProcessorConfig)[]) {
    const value = config[key];
    if (Number.isSafeInteger(value) && Number(value) >= LEAST[key]!) continue;
    throw invalid(key, value, `a whole number from ${LEAST[key]}`);
  }
  const { minBatchOperations, maxBatchOperations } = config;
  if (config.batchSize === "adaptive" && minBatchOperations > maxBatchOperations) {
    // Whoever sets the most alone does not mean to be told of the least.
    if (given.minBatchOperations !== undefined) {
      throw invalid("minBatchOperations", minBatchOperations, `at most ${maxBatchOperations}`);
    }
    return processorConfig({ ...given, minBatchOperations: maxBatchOperations });
  }
  return config;
}

function invalid(key: string, value: unknown, expected: string): ConfigError {
  return new ConfigError("Invalid", `Cannot use ${key} ${value}: need ${expected}`, {
    details: { key, value: String(value) },
  });
}
