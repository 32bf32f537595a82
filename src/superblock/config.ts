/**
 * The configuration of the seed: the keys of its YAML block `batch:`, its environment names, its presets.
 * Whoever reads a file or an environment hands over what stood there, and where.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";
import type { L1ClockConfig } from "../superblock.ts";
import { BATCH_DEFAULTS, type BatchManagerConfig, checkWindow } from "./batch_config.ts";
import { ETHEREUM_CLOCK } from "./clock.ts";
import { PROOF_PIPELINE_DEFAULTS, type ProofPipelineConfig } from "./proof_config.ts";
import { SEQUENCER_DEFAULTS, type SequencerConfig } from "./sequencer.ts";
import {
  type Given,
  readSetting,
  refused,
  type SettingKey,
  SETTINGS,
  type SettingValue,
} from "./settings.ts";

export type { Given };

/** Where L1 is, and how it is followed. */
export interface L1ListenerSettings {
  /** Without one, no blocks of L1 are known. */
  readonly l1Rpc?: string;
  /** Without one, epochs are told by the execution chain, or by the clock. */
  readonly beaconRpc?: string;
  readonly pollIntervalMs: number;
}

/** What the proof pipeline is told: the limits that the seed names, and what becomes of empty batches. */
export type PipelineSettings = Pick<
  ProofPipelineConfig,
  "maxConcurrentJobs" | "jobTimeoutMs" | "maxRetries" | "retryDelayMs" | "emptyBatches"
>;

/** All that synchronized batch proving is told. */
export interface SuperblockConfig {
  readonly enabled: boolean;
  readonly l1Clock: L1ClockConfig;
  readonly l1Listener: L1ListenerSettings;
  readonly batchManager: BatchManagerConfig;
  readonly pipeline: PipelineSettings;
  readonly integration: SequencerConfig;
}

/** Values for a chain that lives, and for a test of minutes. */
export type PresetName = "production" | "test";

const PRODUCTION: Readonly<Partial<Record<SettingKey, SettingValue>>> = {
  enabled: true,
  "l1_listener.batch_factor": ETHEREUM_CLOCK.batchFactor,
  "l1_listener.genesis_time": ETHEREUM_CLOCK.genesisTime,
  "l1_listener.slot_duration": Number(ETHEREUM_CLOCK.slotSeconds) * 1000,
  "l1_listener.slots_per_epoch": ETHEREUM_CLOCK.slotsPerEpoch,
  "l1_listener.poll_interval": 12_000,
  "batch_manager.max_batch_size": BATCH_DEFAULTS.maxBatchSize,
  "batch_manager.batch_timeout": BATCH_DEFAULTS.batchTimeoutMs,
  "batch_manager.late_block_grace": BATCH_DEFAULTS.lateBlockGraceMs,
  "batch_manager.max_ahead": BATCH_DEFAULTS.maxAheadMs,
  "pipeline.max_concurrent_jobs": BigInt(PROOF_PIPELINE_DEFAULTS.maxConcurrentJobs),
  "pipeline.job_timeout": PROOF_PIPELINE_DEFAULTS.jobTimeoutMs,
  "pipeline.max_retries": BigInt(PROOF_PIPELINE_DEFAULTS.maxRetries),
  "pipeline.retry_delay": PROOF_PIPELINE_DEFAULTS.retryDelayMs,
  "pipeline.empty_batches": PROOF_PIPELINE_DEFAULTS.emptyBatches,
  "integration.enable_batch_sync": SEQUENCER_DEFAULTS.enableBatchSync,
  "integration.block_reporting": SEQUENCER_DEFAULTS.blockReporting,
};

/** The seed's `GetTestConfig`, with epochs of 5 slots: a batch of 2 epochs has its 10 slots then. */
const TEST: typeof PRODUCTION = {
  ...PRODUCTION,
  "l1_listener.l1_rpc": "http://localhost:8545",
  "l1_listener.batch_factor": 2n,
  "l1_listener.slots_per_epoch": 5n,
  "l1_listener.poll_interval": 2000,
  "batch_manager.max_batch_size": 10n,
  "batch_manager.batch_timeout": 5 * 60_000,
  "pipeline.max_concurrent_jobs": 2n,
  "pipeline.job_timeout": 2 * 60_000,
  "pipeline.max_retries": 1n,
  "pipeline.retry_delay": 10_000,
};

/** What counts where nothing is given, by the keys. */
export function presetValues(preset: PresetName): Readonly<Record<string, SettingValue>> {
  return preset === "test" ? TEST : PRODUCTION;
}

/**
 * The configuration that comes of what was given: of two values for a key the later counts.
 *
 * @param given in this order, the file first and the environment behind it
 * @throws {ConfigError} `Invalid`, naming key, value and where it came from
 *
 * @example
 * ```ts
 * import { superblockConfig } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const { batchManager, pipeline } = superblockConfig([
 *   { key: "batch_manager.chain_id", value: 1001, origin: "montana.yaml" },
 *   { key: "batch_manager.batch_timeout", value: "2h", origin: "montana.yaml" },
 *   { key: "pipeline.max_retries", value: "0", origin: "BATCH_PIPELINE_MAX_RETRIES" },
 * ]);
 * if (batchManager.batchTimeoutMs !== 7_200_000) throw new Error("not two hours");
 * if (pipeline.maxRetries !== 0) throw new Error("0 is a value too");
 * ```
 */
export function superblockConfig(
  given: readonly Given[],
  preset: PresetName = "production",
): SuperblockConfig {
  const values = new Map<string, SettingValue>(Object.entries(presetValues(preset)));
  const origins = new Map<string, Given>();
  for (const each of given) {
    values.set(each.key, readSetting(each));
    origins.set(each.key, each);
  }
  const count = (key: SettingKey) => values.get(key) as bigint;
  const ms = (key: SettingKey) => values.get(key) as number;
  const flag = (key: SettingKey) => values.get(key) as boolean;
  const l1Rpc = values.get("l1_listener.l1_rpc") as string | undefined;
  const beaconRpc = values.get("l1_listener.beacon_rpc") as string | undefined;
  const chainId = chainIdOf(values, origins);
  const l1Clock = {
    genesisTime: count("l1_listener.genesis_time"),
    slotSeconds: BigInt(ms("l1_listener.slot_duration")) / 1000n,
    slotsPerEpoch: count("l1_listener.slots_per_epoch"),
    batchFactor: count("l1_listener.batch_factor"),
  };
  const batchManager: BatchManagerConfig = {
    chainId,
    l1Clock,
    maxBatchSize: count("batch_manager.max_batch_size"),
    batchTimeoutMs: ms("batch_manager.batch_timeout"),
    lateBlockGraceMs: ms("batch_manager.late_block_grace"),
    maxAheadMs: ms("batch_manager.max_ahead"),
  };
  checkTogether(batchManager, origins);
  return {
    enabled: flag("enabled"),
    l1Clock,
    l1Listener: {
      ...(l1Rpc !== undefined && { l1Rpc }),
      ...(beaconRpc !== undefined && { beaconRpc }),
      pollIntervalMs: ms("l1_listener.poll_interval"),
    },
    batchManager,
    pipeline: {
      maxConcurrentJobs: Number(count("pipeline.max_concurrent_jobs")),
      jobTimeoutMs: ms("pipeline.job_timeout"),
      maxRetries: Number(count("pipeline.max_retries")),
      retryDelayMs: ms("pipeline.retry_delay"),
      emptyBatches: values.get("pipeline.empty_batches") as "prove" | "skip",
    },
    integration: {
      chainId,
      enableBatchSync: flag("integration.enable_batch_sync"),
      blockReporting: flag("integration.block_reporting"),
    },
  };
}

/** What of a configuration is not fit for a chain that lives (the seed's `IsProductionReady`). */
export function productionConcerns(config: SuperblockConfig): readonly string[] {
  const { l1Listener, batchManager, pipeline } = config;
  const concerns: readonly (readonly [boolean, string])[] = [
    [l1Listener.l1Rpc === undefined, "l1_listener.l1_rpc is not set: epochs go by the clock alone"],
    [
      [l1Listener.l1Rpc, l1Listener.beaconRpc].some((url) => /your[_-]?key/i.test(url ?? "")),
      "a URL of l1_listener holds a placeholder in place of a key",
    ],
    [l1Listener.pollIntervalMs < 10_000, "l1_listener.poll_interval is below 10s"],
    [batchManager.batchTimeoutMs < 30 * 60_000, "batch_manager.batch_timeout is below 30m"],
    [pipeline.jobTimeoutMs < 10 * 60_000, "pipeline.job_timeout is below 10m"],
    [pipeline.maxConcurrentJobs > 20, "pipeline.max_concurrent_jobs is above 20"],
  ];
  return concerns.filter(([isSo]) => isSo).map(([, text]) => text);
}

/** The environment names, and the keys that they stand for. */
export const ENVIRONMENT_NAMES: ReadonlyMap<string, SettingKey> = new Map(
  (Object.keys(SETTINGS) as SettingKey[]).map((key) => [environmentName(key), key]),
);

/** `BATCH_L1_LISTENER_L1_RPC` of `l1_listener.l1_rpc`. */
export function environmentName(key: string): string {
  return `BATCH_${key.replaceAll(".", "_").toUpperCase()}`;
}

/** Either of the two keys tells it; both must agree. */
function chainIdOf(
  values: ReadonlyMap<string, SettingValue>,
  origins: ReadonlyMap<string, Given>,
): bigint {
  const manager = values.get("batch_manager.chain_id") as bigint | undefined;
  const integration = values.get("integration.chain_id") as bigint | undefined;
  const chainId = manager ?? integration;
  if (chainId === undefined) {
    throw new ConfigError(
      "Invalid",
      "Cannot cut batches: batch_manager.chain_id is not set. Set it in the file, or as " +
        environmentName("batch_manager.chain_id"),
    );
  }
  if (integration === undefined || integration === chainId) return chainId;
  const { origin } = origins.get("batch_manager.chain_id")!;
  const why = `batch_manager.chain_id is ${chainId} (${origin}), and both must be equal`;
  throw refused(origins.get("integration.chain_id")!, why);
}

/** Values that contradict each other are refused where the last of them came from. */
function checkTogether(config: BatchManagerConfig, origins: ReadonlyMap<string, Given>): void {
  try {
    checkWindow(config);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const keys = ["max_batch_size", "batch_timeout"].map((key) => `batch_manager.${key}`)
      .concat(
        ["batch_factor", "slots_per_epoch", "slot_duration"].map((key) => `l1_listener.${key}`),
      );
    const from = keys.flatMap((key) => {
      const given = origins.get(key);
      return given ? [`${key} ${String(given.value)} (${given.origin})`] : [];
    });
    const where = from.length > 0 ? `. Given: ${from.join(", ")}` : "";
    throw new ConfigError("Invalid", error.message + where, { cause: error });
  }
}
