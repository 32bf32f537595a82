/**
 * What happens to the batches that are proved together, in a log of its own.
 *
 * | type | record   |                                                                  |
 * | ---: | -------- | ---------------------------------------------------------------- |
 * |    1 | owner    | the chain, and the clock by which its batches are cut            |
 * |    2 | change   | an epoch, a block, an end, a state, a job                        |
 * |    3 | snapshot | all that is known; the records before it are needed no more      |
 *
 * @module
 */
import type { BatchChange, BatchJournal, BatchSnapshot, L1ClockConfig } from "../superblock.ts";
import { openLog } from "./journal_log.ts";
import type { WalConfig, WalParts } from "./log.ts";
import { SnapshotLog } from "./snapshot_log.ts";

const RECORD = { owner: 1, change: 2, snapshot: 3 } as const;
const CHANGES: readonly unknown[] = ["epoch", "epoch_block", "block", "ended", "state", "job"];

/** Whose batches a journal holds: neither may change, or its numbers would mean other windows. */
export interface BatchJournalOwner {
  readonly chainId: bigint;
  readonly l1Clock: L1ClockConfig;
}

/**
 * A {@link BatchJournal} on a log, for one chain.
 *
 * @example
 * ```ts
 * import { ETHEREUM_CLOCK, LogBatchJournal, MemoryStorage } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const parts = { storage: new MemoryStorage(), directory: "data/batches" };
 * const owner = { chainId: 1001n, l1Clock: ETHEREUM_CLOCK };
 * const journal = await LogBatchJournal.open(parts, owner);
 * await journal.note({ change: "epoch", epoch: 408_710n, atMs: 0 });
 * await journal.close();
 *
 * const again = await LogBatchJournal.open(parts, owner);
 * if (again.found.changes[0]?.change !== "epoch") throw new Error("it forgot the epoch");
 * await again.close();
 * ```
 */
export class LogBatchJournal implements BatchJournal {
  readonly #log: SnapshotLog;
  #owner: BatchJournalOwner | undefined;
  #snapshot: BatchSnapshot | undefined;
  #changes: BatchChange[] = [];

  private constructor(log: SnapshotLog) {
    this.#log = log;
  }

  /**
   * Opens a journal, and begins one where there is none.
   *
   * @throws {WalError} what opening a log throws; `Corrupted` where it holds what is no change
   * @throws {ConfigError} `Invalid` where it is of another chain, or was cut by another clock
   */
  static async open(
    parts: WalParts,
    owner: BatchJournalOwner,
    config: Partial<WalConfig> = {},
  ): Promise<LogBatchJournal> {
    const name = `the batches in ${parts.directory}`;
    return await openLog(parts, config, async (wal) => {
      const log = new SnapshotLog(wal, { name, snapshotType: RECORD.snapshot });
      const journal = new LogBatchJournal(log);
      await log.replay((type, value) => journal.#replay(type, value));
      const { chainId, l1Clock } = owner;
      const found = journal.#owner;
      journal.#owner = await log.claim(RECORD.owner, found, { chainId, l1Clock }, {
        named,
        refusal: (expected) => `they are of ${expected}. Configure that`,
      });
      return journal;
    });
  }

  get found(): BatchJournal["found"] {
    return { snapshot: this.#snapshot, changes: this.#changes };
  }

  get isSnapshotDue(): boolean {
    return this.#log.isSnapshotDue;
  }

  async note(change: BatchChange): Promise<void> {
    await this.#log.append(RECORD.change, change);
  }

  async save(snapshot: BatchSnapshot): Promise<void> {
    await this.#log.save({ ...this.#owner!, ...snapshot });
  }

  async close(): Promise<void> {
    await this.#log.close();
  }

  #replay(type: number, value: Record<string, unknown>): void {
    switch (type) {
      case RECORD.owner:
        this.#owner = ownerOf(value);
        return;
      case RECORD.change:
        if (!CHANGES.includes(value.change)) throw new TypeError("it is no change");
        this.#changes.push(value as unknown as BatchChange);
        return;
      case RECORD.snapshot: {
        if (!Array.isArray(value.batches)) throw new TypeError("it has no batches");
        this.#owner = ownerOf(value);
        // JSON leaves out what is undefined.
        const { lastEpoch, recentEpochs, finalized, batches } = value as unknown as BatchSnapshot;
        this.#snapshot = {
          lastEpoch,
          ...(recentEpochs && { recentEpochs }),
          finalized,
          batches,
        };
        this.#changes = [];
        return;
      }
      default:
        throw new TypeError(`type ${type} is unknown`);
    }
  }
}

function ownerOf({ chainId, l1Clock }: Record<string, unknown>): BatchJournalOwner {
  const clock = Object(l1Clock) as L1ClockConfig;
  const numbers = [clock.genesisTime, clock.slotSeconds, clock.slotsPerEpoch, clock.batchFactor];
  if ([chainId, ...numbers].every((each) => typeof each === "bigint")) {
    return { chainId: chainId as bigint, l1Clock: clock };
  }
  throw new TypeError("it is no owner");
}

function named({ chainId, l1Clock }: BatchJournalOwner): string {
  const { genesisTime, slotSeconds, slotsPerEpoch, batchFactor } = l1Clock;
  return `chain ${chainId} with batches of ${batchFactor} epochs of ${slotsPerEpoch} slots of ` +
    `${slotSeconds} s from ${genesisTime}`;
}
