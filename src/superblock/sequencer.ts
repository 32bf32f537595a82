/**
 * Where a sequencer meets the batches (seed `superblock-batch.md`, "Sequencer Integration"): it reports its
 * blocks, and asks where the batch stands.
 *
 * @module
 */
import type { Clock } from "../ports.ts";
import {
  BatchError,
  type BatchInfo,
  type BatchTrigger,
  type BatchWindow,
  type ReportedBlock,
} from "../superblock.ts";
import type { BatchManager, BatchStats, ReportOutcome } from "./batch_manager.ts";
import { batchAt, batchWindow, slotAt, slotStart } from "./clock.ts";
import type { EpochListener, EpochListenerStatus } from "./epoch_listener.ts";

/** What of it is used. */
export interface SequencerConfig {
  readonly chainId: bigint;
  /** Without it there are no batches: nothing is collected, and nobody waits. */
  readonly enableBatchSync: boolean;
  /** Without it blocks that are reported are left out. */
  readonly blockReporting: boolean;
}

/** The seed's. */
export const SEQUENCER_DEFAULTS: Omit<SequencerConfig, "chainId"> = Object.freeze({
  enableBatchSync: true,
  blockReporting: true,
});

/** What a {@link SequencerIntegration} stands on. */
export interface SequencerParts {
  readonly listener: EpochListener;
  readonly manager: BatchManager;
  readonly clock: Clock;
}

/** A block as a sequencer has it: where it knows only one of slot and timestamp, that is enough. */
export interface BlockReport extends Omit<ReportedBlock, "slot" | "timestamp"> {
  readonly slot?: bigint;
  /** That of its slot, by default. */
  readonly timestamp?: bigint;
}

/** What became of a report; `off` where blocks are not to be reported. */
export type BlockReportOutcome = ReportOutcome | "off";

/** All that can be asked. */
export interface SequencerStatus {
  readonly chainId: bigint;
  readonly isActive: boolean;
  /** Of the newest block that was reported, since it runs. */
  readonly lastProcessedSlot: bigint | undefined;
  /** The window that is open now, by the clock here. */
  readonly window: BatchWindow;
  readonly batch: BatchInfo | undefined;
  readonly stats: BatchStats;
  /** How many blocks were reported since it runs, by what became of them. */
  readonly blockReports: Readonly<Record<BlockReportOutcome | "refused", number>>;
  readonly l1: EpochListenerStatus;
  /** Why the log did not keep what it was last given; `undefined` where it did. */
  readonly logError: unknown;
}

/**
 * Reports blocks, and tells of batches.
 *
 * @example
 * ```ts
 * import { BATCH_DEFAULTS, BatchManager, ClockEpochs, EpochListener, ETHEREUM_CLOCK, LogBatchJournal }
 *   from "https://example.com/montana/v0.1.0/mod.ts";
 * import { ManualClock, MemoryStorage, SEQUENCER_DEFAULTS, SeededRandom, SequencerIntegration }
 *   from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const config = { ...BATCH_DEFAULTS, chainId: 1001n, l1Clock: ETHEREUM_CLOCK };
 * const clock = new ManualClock(1_763_769_600_000);
 * const parts = { storage: new MemoryStorage(), directory: "data/batches" }; // Or DiskStorage.
 * const journal = await LogBatchJournal.open(parts, config);
 * const manager = new BatchManager({ journal, clock }, config);
 * const listener = new EpochListener({
 *   sources: [new ClockEpochs(ETHEREUM_CLOCK, clock)],
 *   taker: manager,
 *   clock,
 *   random: new SeededRandom(),
 * }, { l1Clock: ETHEREUM_CLOCK, pollIntervalMs: 12_000 });
 * const sequencer = new SequencerIntegration({ listener, manager, clock }, {
 *   ...SEQUENCER_DEFAULTS,
 *   chainId: 1001n,
 * });
 *
 * await listener.look(); // Or `listener.run(signal)`, beside `manager.run(signal)`.
 * if (!sequencer.isInBatchCollectionPeriod()) throw new Error("no batch collects");
 * await sequencer.reportBlock({
 *   slot: 13_078_798n,
 *   number: 7n,
 *   hash: new Uint8Array(32),
 *   transactions: 3,
 *   crossTransactions: ["xt-1"],
 * });
 * if (sequencer.status.batch?.blocks.length !== 1) throw new Error("it was not taken");
 * await journal.close();
 * ```
 */
export class SequencerIntegration {
  readonly #parts: SequencerParts;
  readonly #config: SequencerConfig;
  readonly #reports = { added: 0, known: 0, replaced: 0, off: 0, refused: 0 };
  #lastProcessedSlot: bigint | undefined;

  constructor(parts: SequencerParts, config: SequencerConfig) {
    this.#parts = parts;
    this.#config = config;
  }

  get status(): SequencerStatus {
    const { listener, manager } = this.#parts;
    return {
      chainId: this.#config.chainId,
      isActive: this.#config.enableBatchSync,
      lastProcessedSlot: this.#lastProcessedSlot,
      window: this.#openWindow(),
      batch: manager.currentBatch,
      stats: manager.stats,
      blockReports: { ...this.#reports },
      l1: listener.status,
      logError: manager.logError,
    };
  }

  /**
   * Reports a block that was produced. Resolves when it is in the log: no crash loses it then.
   *
   * @throws {BatchError} what {@link BatchManager.addBlock} throws; `WrongSlot` where neither slot nor
   * timestamp is given
   */
  async reportBlock(report: BlockReport): Promise<BlockReportOutcome> {
    try {
      const outcome = await this.#report(report);
      this.#reports[outcome] += 1;
      return outcome;
    } catch (error) {
      this.#reports.refused += 1;
      throw error;
    }
  }

  async #report(report: BlockReport): Promise<BlockReportOutcome> {
    if (!this.#config.enableBatchSync || !this.#config.blockReporting) return "off";
    const { l1Clock } = this.#parts.manager.config;
    const { slot, timestamp } = report;
    if (slot === undefined && timestamp === undefined) {
      throw new BatchError(
        "WrongSlot",
        `Cannot take block ${report.number}: it has neither a slot nor a timestamp`,
        { details: { number: report.number } },
      );
    }
    const block: ReportedBlock = {
      ...report,
      slot: slot ?? slotAt(l1Clock, timestamp!),
      timestamp: timestamp ?? slotStart(l1Clock, slot!),
    };
    const outcome = await this.#parts.manager.addBlock(block);
    const last = this.#lastProcessedSlot ?? -1n;
    this.#lastProcessedSlot = block.slot > last ? block.slot : last;
    return outcome;
  }

  /** Whether blocks of now go into a batch. */
  isInBatchCollectionPeriod(): boolean {
    if (!this.#config.enableBatchSync) return false;
    const batch = this.#parts.manager.batch(this.#openWindow().batchNumber);
    return batch?.state === "collecting" && batch.endedBy === undefined;
  }

  /** The next trigger; `undefined` once aborted, or where batches are not wanted. */
  waitForBatchTrigger(signal?: AbortSignal): Promise<BatchTrigger | undefined> {
    if (!this.#config.enableBatchSync) return Promise.resolve(undefined);
    return this.#parts.listener.nextTrigger(signal);
  }

  /**
   * Ends a batch whose window is over, without its trigger and without late blocks; by default all such.
   *
   * @throws {BatchError} what {@link BatchManager.forceFinalize} throws
   */
  forceFinalize(batchNumber?: bigint): Promise<void> {
    return this.#parts.manager.forceFinalize(batchNumber);
  }

  #openWindow(): BatchWindow {
    const { clock, manager } = this.#parts;
    const { l1Clock } = manager.config;
    return batchWindow(l1Clock, batchAt(l1Clock, BigInt(Math.floor(clock.now() / 1000))));
  }
}
