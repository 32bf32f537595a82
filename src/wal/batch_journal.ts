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
import { ConfigError, isRetryable, WalError } from "../errors.ts";
import type { BatchChange, BatchJournal, BatchSnapshot, L1ClockConfig } from "../superblock.ts";
import { fromJsonPayload, toJsonPayload } from "./json_payload.ts";
import { Wal, type WalConfig, type WalParts } from "./log.ts";

const RECORD = { owner: 1, change: 2, snapshot: 3 } as const;
const CHANGES: readonly unknown[] = ["epoch", "epoch_block", "block", "ended", "state", "job"];

/** A snapshot is due after so many bytes of changes, and after so many times its own size. */
const SNAPSHOT_AFTER_BYTES = 4 * 1024 * 1024;
const SNAPSHOT_AFTER_TIMES = 4;

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
  readonly #wal: Wal;
  readonly #directory: string;
  #owner: BatchJournalOwner | undefined;
  #snapshot: BatchSnapshot | undefined;
  #changes: BatchChange[] = [];
  #bytesSinceSnapshot = 0;
  #snapshotBytes = 0;

  private constructor(wal: Wal, directory: string) {
    this.#wal = wal;
    this.#directory = directory;
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
    const wal = await Wal.open(parts, config);
    try {
      const journal = new LogBatchJournal(wal, parts.directory);
      for await (const { sequence, type, payload } of wal.read()) {
        journal.#replay(sequence, type, payload);
      }
      await journal.#claim(owner);
      return journal;
    } catch (error) {
      await wal.close();
      throw error;
    }
  }

  get found(): BatchJournal["found"] {
    return { snapshot: this.#snapshot, changes: this.#changes };
  }

  get isSnapshotDue(): boolean {
    const times = SNAPSHOT_AFTER_TIMES * this.#snapshotBytes;
    return this.#bytesSinceSnapshot >= Math.max(SNAPSHOT_AFTER_BYTES, times);
  }

  async note(change: BatchChange): Promise<void> {
    await this.#append(RECORD.change, change);
  }

  async save(snapshot: BatchSnapshot): Promise<void> {
    try {
      const sequence = await this.#append(RECORD.snapshot, { ...this.#owner!, ...snapshot });
      this.#snapshotBytes = this.#bytesSinceSnapshot;
      await this.#wal.checkpoint(sequence);
    } catch (error) {
      // It only gives room back: the next one does it as well.
      if (!isRetryable(error)) throw error;
    }
  }

  async close(): Promise<void> {
    await this.#wal.close();
  }

  async #claim(owner: BatchJournalOwner): Promise<void> {
    const own = this.#owner;
    if (own === undefined) {
      await this.#append(RECORD.owner, { chainId: owner.chainId, l1Clock: owner.l1Clock });
      this.#owner = owner;
      return;
    }
    if (named(own) === named(owner)) return;
    throw new ConfigError(
      "Invalid",
      `Cannot use the batches in ${this.#directory} for ${named(owner)}: they are of ${
        named(own)
      }. ` +
        `Configure that, or give another directory`,
      { details: { expected: named(own), value: named(owner) } },
    );
  }

  async #append(type: number, value: object): Promise<bigint> {
    const payload = toJsonPayload(value);
    const sequence = await this.#wal.append(type, payload);
    if (type === RECORD.snapshot) this.#bytesSinceSnapshot = 0;
    this.#bytesSinceSnapshot += payload.length;
    return sequence;
  }

  #replay(sequence: bigint, type: number, payload: Uint8Array): void {
    try {
      const value = Object(fromJsonPayload(payload)) as Record<string, unknown>;
      this.#bytesSinceSnapshot += payload.length;
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
          this.#snapshotBytes = this.#bytesSinceSnapshot = payload.length;
          return;
        }
        default:
          throw new TypeError(`type ${type} is unknown`);
      }
    } catch (cause) {
      throw new WalError(
        "Corrupted",
        `Cannot read record ${sequence} of the batches in ${this.#directory}: it is not as this ` +
          `program writes it`,
        { cause, details: { sequence } },
      );
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
