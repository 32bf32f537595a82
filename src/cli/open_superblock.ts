/**
 * Opens synchronized batch proving below a data directory: `batches/` and `jobs/` are its logs.
 *
 * @module
 */
import { join } from "node:path";
import { describeError } from "../errors.ts";
import { DiskStorage } from "../local/disk_storage.ts";
import type { Log } from "../ports.ts";
import {
  leaveMemoryOutOfCores,
  systemClock as clock,
  systemRandom as random,
  writeStderr,
} from "../runtime.ts";
import { readyChecks, serveBatches } from "../service/batch_api.ts";
import { BATCH_METRICS, watchBatches } from "../service/batch_metrics.ts";
import type { ReadyCheck } from "../service/health.ts";
import type { Listening } from "../service/http_server.ts";
import { Metrics } from "../service/metrics.ts";
import { meteredStorage } from "../service/storage_metrics.ts";
import { ROLE_METRICS } from "../service/role_metrics.ts";
import { BatchManager } from "../superblock/batch_manager.ts";
import { BlockFollower } from "../superblock/block_follower.ts";
import { SuperblockCoordinator } from "../superblock/coordinator.ts";
import { EpochListener } from "../superblock/epoch_listener.ts";
import { ProofPipeline } from "../superblock/proof_pipeline.ts";
import { SequencerIntegration } from "../superblock/sequencer.ts";
import { aborted } from "../superblock/together.ts";
import { LogBatchJournal } from "../wal/batch_journal.ts";
import { LogJobQueue } from "../wal/job_queue.ts";
import type { SuperblockSettings } from "./superblock_flags.ts";
import { epochSources, openReportedL2, provingParts } from "./superblock_parts.ts";

/** How it is opened. */
export interface OpenSuperblockOptions {
  readonly log: Log;
  /** Of the process, where there are any. */
  readonly metrics?: Metrics | undefined;
  /** Whoever reports blocks reports each, in order, and again after a failure: no batch ends without. */
  readonly isReportedInOrder?: boolean;
}

/** Synchronized batch proving, opened. */
export interface OpenedSuperblock {
  readonly manager: BatchManager;
  readonly listener: EpochListener;
  readonly sequencer: SequencerIntegration;
  /** Runs where provers are named; jobs can be looked after without. */
  readonly pipeline: ProofPipeline;
  readonly queue: LogJobQueue;
  /** Reasons not to be ready, beside L1 and the batch that collects. */
  readonly checks: () => readonly ReadyCheck[];
  /** All reasons, with L1 and the batch that collects. */
  readonly readiness: () => readonly ReadyCheck[];
  /** Of all that its log is told, and of whatever else runs in the process. */
  readonly metrics: Metrics;
  /** It cuts batches, and so follows epochs. */
  readonly isActive: boolean;
  /** Runs all of it until aborted. */
  run(signal: AbortSignal): Promise<void>;
  /** When it no longer runs. */
  close(): Promise<void>;
}

/**
 * Opens it.
 *
 * @throws {WalError} `Locked` where another process has it open
 * @throws {ConfigError} `Invalid` where the directory is of another chain, or of another clock
 */
export async function openSuperblock(
  settings: SuperblockSettings,
  { log: told, metrics: given, isReportedInOrder = false }: OpenSuperblockOptions,
): Promise<OpenedSuperblock> {
  const metrics = given ?? await Metrics.open(clock);
  const log = metrics.counting([BATCH_METRICS, ROLE_METRICS], told);
  const { dataDir, config, l2, proving, proofPollMs } = settings;
  const { l1Clock, batchManager, integration } = config;
  await leaveMemoryOutOfCores();
  const storage = meteredStorage(new DiskStorage(), metrics);
  const inLog = (name: string) => ({ storage, directory: join(dataDir, name), log });
  const journal = await LogBatchJournal.open(inLog("batches"), batchManager);
  const queue = await LogJobQueue.open({ ...inLog("jobs"), clock }).catch(async (error) => {
    await journal.close();
    throw error;
  });
  const manager = new BatchManager({ journal, clock, log }, {
    ...batchManager,
    awaitsNextBlock: integration.blockReporting && (isReportedInOrder || l2 !== undefined),
  });
  const listener = new EpochListener({
    sources: epochSources(config),
    taker: manager,
    clock,
    random,
    log,
  }, { l1Clock, pollIntervalMs: config.l1Listener.pollIntervalMs });
  const sequencer = new SequencerIntegration({ listener, manager, clock }, integration);
  const stages = provingParts(config, settings);
  const pipeline = new ProofPipeline({ ...stages, queue, batches: manager, clock, log }, {
    ...config.pipeline,
    pollIntervalMs: proofPollMs,
  });
  const follower = l2 && !isReportedInOrder && integration.blockReporting
    ? new BlockFollower({
      manager,
      sequencer,
      open: (start) => openReportedL2(l2, config, start, log),
      clock,
      random,
      log,
    })
    : undefined;
  const coordinator = new SuperblockCoordinator({
    listener,
    manager,
    ...(proving && { pipeline }),
    ...(follower && { follower }),
    clock,
    log,
  });
  const checks = () => follower ? [l2Check(follower)] : [];
  const batches = { sequencer, pipeline, queue };
  const stopWatching = config.enabled ? watchBatches(metrics, batches, clock) : () => {};
  const isActive = config.enabled && integration.enableBatchSync;
  return {
    manager,
    listener,
    sequencer,
    pipeline,
    queue,
    checks,
    readiness: () => readyChecks({ clock, checks, ...(config.enabled && { batches }) }),
    metrics,
    isActive,
    async run(signal) {
      if (isActive) return await coordinator.run(signal);
      // What was whole before is proved all the same.
      if (config.enabled && proving) return await pipeline.run(signal);
      await aborted(signal);
    },
    async close() {
      stopWatching();
      await queue.close();
      await journal.close();
    },
  };
}

function l2Check({ failure }: BlockFollower): ReadyCheck {
  if (failure === undefined) return { name: "l2", ok: true };
  return { name: "l2", ok: false, reason: describeError(failure) };
}

/**
 * Serves it on the control socket, and where `--listen` says.
 *
 * @returns ends that
 * @throws {ConfigError} `Invalid` where it cannot listen there
 */
export async function serveSuperblock(
  { config, control, listen }: SuperblockSettings,
  { sequencer, pipeline, queue, checks, metrics }: OpenedSuperblock,
): Promise<() => Promise<void>> {
  const batches = { sequencer, pipeline, queue };
  const parts = { clock, metrics, checks, ...(config.enabled && { batches }) };
  const servers: Listening[] = [];
  const close = async () => {
    for (const server of servers) await server.close();
  };
  try {
    servers.push(await serveBatches(parts, control));
    if (listen) {
      const server = await serveBatches(parts, listen);
      servers.push(server);
      writeStderr(`listening on ${server.name}`);
    }
    return close;
  } catch (error) {
    await close();
    throw error;
  }
}
