/**
 * Settings of a batcher, checked.
 *
 * @module
 */
import { MAX_RAW_BATCH_BYTES, PIPELINE_DEFAULTS, type PipelineConfig } from "../config.ts";
import { ConfigError } from "../errors.ts";
import { MAX_U16 } from "../wire/batch.ts";

/**
 * The defaults, with what is given instead of some of them.
 *
 * @throws {ConfigError} `Invalid` naming key and value
 */
export function pipelineConfig(given: Partial<PipelineConfig>): PipelineConfig {
  const config = { ...PIPELINE_DEFAULTS, ...given };
  const bounds: Record<keyof PipelineConfig, readonly [number, number]> = {
    batchIntervalMs: [0, Number.MAX_SAFE_INTEGER],
    maxBatchBytes: [1, Number.MAX_SAFE_INTEGER],
    minBatchBytes: [0, Number.MAX_SAFE_INTEGER],
    maxBlocksPerBatch: [1, MAX_U16],
    targetRawBytes: [1, MAX_RAW_BATCH_BYTES],
    maxPendingBytes: [1, Number.MAX_SAFE_INTEGER],
    maxBatchesAtOnce: [1, 64],
    maxWaitMs: [0, Number.MAX_SAFE_INTEGER],
  };
  for (const key of Object.keys(bounds) as (keyof PipelineConfig)[]) {
    const [least, most] = bounds[key];
    if (Number.isInteger(config[key]) && config[key] >= least && config[key] <= most) continue;
    throw new ConfigError(
      "Invalid",
      `Cannot use ${key} ${config[key]}: need a whole number from ${least} to ${most}`,
      { details: { key, value: config[key] } },
    );
  }
  return config;
}
