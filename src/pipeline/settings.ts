/**
 * Settings of a batcher and of a deriver, checked.
 *
 * @module
 */
import {
  DERIVER_DEFAULTS,
  type DeriverConfig,
  MAX_RAW_BATCH_BYTES,
  PIPELINE_DEFAULTS,
  type PipelineConfig,
} from "../config.ts";
import { ConfigError } from "../errors.ts";
import { MAX_U16 } from "../wire/batch.ts";

/** Least and most of each setting. */
type Bounds<Config> = Readonly<Record<keyof Config, readonly [number, number]>>;

const PIPELINE_BOUNDS: Bounds<PipelineConfig> = {
  batchIntervalMs: [0, Number.MAX_SAFE_INTEGER],
  maxBatchBytes: [1, Number.MAX_SAFE_INTEGER],
  minBatchBytes: [0, Number.MAX_SAFE_INTEGER],
  maxBlocksPerBatch: [1, MAX_U16],
  targetRawBytes: [1, MAX_RAW_BATCH_BYTES],
  maxPendingBytes: [1, Number.MAX_SAFE_INTEGER],
  maxBatchesAtOnce: [1, 128],
  maxWaitMs: [0, Number.MAX_SAFE_INTEGER],
};

const DERIVER_BOUNDS: Bounds<DeriverConfig> = {
  maxWaitingBytes: [0, Number.MAX_SAFE_INTEGER],
  maxAheadBytes: [0, Number.MAX_SAFE_INTEGER],
};

/**
 * The defaults, with what is given instead of some of them.
 *
 * @throws {ConfigError} `Invalid` naming key and value
 */
export function pipelineConfig(given: Partial<PipelineConfig>): PipelineConfig {
  return checked({ ...PIPELINE_DEFAULTS, ...given }, PIPELINE_BOUNDS);
}

/** As {@link pipelineConfig}, of a deriver. */
export function deriverConfig(given: Partial<DeriverConfig>): DeriverConfig {
  return checked({ ...DERIVER_DEFAULTS, ...given }, DERIVER_BOUNDS);
}

function checked<Config extends Readonly<Record<keyof Config, number>>>(
  config: Config,
  bounds: Bounds<Config>,
): Config {
  for (const key of Object.keys(bounds) as (keyof Config & string)[]) {
    const [least, most] = bounds[key];
    const value = config[key];
    if (Number.isInteger(value) && value >= least && value <= most) continue;
    throw new ConfigError(
      "Invalid",
      `Cannot use ${key} ${value}: need a whole number from ${least} to ${most}`,
      { details: { key, value } },
    );
  }
  return config;
}
