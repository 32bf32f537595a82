/**
 * Synchronized batch proving as one thing that runs: epochs of L1 begin and end batches, a sequencer's
 * blocks come in, whole batches are proved. Whatever fails for good ends all of it, and what is in the logs
 * goes on with the next start.
 *
 * @module
 */
import type { Clock, Log } from "../ports.ts";
import type { BatchManager } from "./batch_manager.ts";
import type { BlockFollower } from "./block_follower.ts";
import { batchAt, batchWindow } from "./clock.ts";
import type { EpochListener } from "./epoch_listener.ts";
import type { ProofPipeline } from "./proof_pipeline.ts";
import { together } from "./together.ts";

/** Between two events `standing`. */
const STANDING_MS = 60_000;

/** What a {@link SuperblockCoordinator} runs. */
export interface SuperblockParts {
  readonly listener: EpochListener;
  readonly manager: BatchManager;
  /** Without it batches are collected, and wait to be proved. */
  readonly pipeline?: ProofPipeline;
  /** Without it blocks come by `SequencerIntegration.reportBlock()` only. */
  readonly follower?: BlockFollower;
  readonly clock: Clock;
  readonly log?: Log;
}

/**
 * Runs the parts of synchronized batch proving.
 *
 * @example
 * ```ts
 * import { BATCH_DEFAULTS, BatchManager, ClockEpochs, EpochListener, ETHEREUM_CLOCK, LogBatchJournal }
 *   from "https://example.com/montana/v0.1.0/mod.ts";
 * import { ManualClock, MemoryStorage, SeededRandom, SuperblockCoordinator }
 *   from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const config = { ...BATCH_DEFAULTS, chainId: 1001n, l1Clock: ETHEREUM_CLOCK };
 * const clock = new ManualClock(1_763_769_600_000);
 * const parts = { storage: new MemoryStorage(), directory: "data/batches" }; // Or DiskStorage.
 * const journal = await LogBatchJournal.open(parts, config);
 * const stop = new AbortController();
 * const log = ({ event }: { event: string }) => {
 *   if (event === "batch_started") stop.abort(); // A real one runs on.
 * };
 * const manager = new BatchManager({ journal, clock, log }, config);
 * const listener = new EpochListener({
 *   sources: [new ClockEpochs(ETHEREUM_CLOCK, clock)],
 *   taker: manager,
 *   clock,
 *   random: new SeededRandom(),
 * }, { l1Clock: ETHEREUM_CLOCK, pollIntervalMs: 12_000 });
 * const coordinator = new SuperblockCoordinator({ listener, manager, clock }); // And a pipeline.
 * await coordinator.run(stop.signal);
 * if (manager.currentBatch?.window.batchNumber !== 40_871n) throw new Error("another batch");
 * await journal.close();
 * ```
 */
export class SuperblockCoordinator {
  readonly #parts: SuperblockParts;

  constructor(parts: SuperblockParts) {
    this.#parts = parts;
  }

  /**
   * Runs until aborted.
   *
   * @throws what a part threw that does not pass by itself: {@link EpochListener.run},
   * {@link BatchManager.run}, {@link BlockFollower.run}, {@link ProofPipeline.run}
   */
  async run(signal: AbortSignal): Promise<void> {
    const { listener, manager, pipeline, follower } = this.#parts;
    const running = [
      listener,
      manager,
      ...(follower ? [follower] : []),
      ...pipeline ? [pipeline] : [],
    ];
    await together([
      ...running.map((part) => (signal: AbortSignal) => part.run(signal)),
      (signal) => this.#tellStanding(signal),
    ], signal);
  }

  async #tellStanding(signal: AbortSignal): Promise<void> {
    const { clock, log, manager, listener, pipeline } = this.#parts;
    while (log) {
      await clock.sleep(STANDING_MS, signal);
      if (signal.aborted) return;
      const { currentEpoch, source } = listener.status;
      const { l1Clock } = manager.config;
      const nowSeconds = BigInt(Math.floor(clock.now() / 1000));
      log({
        event: "standing",
        batch: manager.currentBatch,
        endsAt: batchWindow(l1Clock, batchAt(l1Clock, nowSeconds)).endsAt,
        epoch: currentEpoch,
        source,
        newestBlock: manager.batches.findLast(({ blocks }) => blocks.length > 0)?.blocks.at(-1),
        batchesByState: manager.stats.batches_by_state,
        awaitingBlocks: manager.batchesAwaitingBlocks.map(({ window }) => window.batchNumber),
        jobsByStage: (await pipeline?.stats())?.jobs_by_stage,
        atMs: clock.now(),
      });
    }
  }
}
