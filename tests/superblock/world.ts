/**
 * What tests of synchronized batches share: a small clock of L1, an L1 that misses slots and is
 * reorganised, a taker of epochs.
 *
 * @module
 */
import { WalError } from "../../src/errors.ts";
import type { BlockTag, L1Header } from "../../src/ethereum.ts";
import type { Clock, Log, Storage } from "../../src/ports.ts";
import type {
  BatchTrigger,
  EpochEvent,
  EpochTaker,
  L1ClockConfig,
  ReportedBlock,
} from "../../src/superblock.ts";
import { BATCH_DEFAULTS, type BatchManagerConfig } from "../../src/superblock/batch_config.ts";
import { BatchManager } from "../../src/superblock/batch_manager.ts";
import { epochStart, slotAt } from "../../src/superblock/clock.ts";
import { LogBatchJournal } from "../../src/wal/batch_journal.ts";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";

/** 4 slots an epoch, 2 epochs a batch: 96 seconds. */
export const SMALL_CLOCK: L1ClockConfig = {
  genesisTime: 1_000_000n,
  slotSeconds: 12n,
  slotsPerEpoch: 4n,
  batchFactor: 2n,
};

/** Milliseconds at which a slot of {@link SMALL_CLOCK} begins. */
export function slotMs(slot: number): number {
  return (1_000_000 + 12 * slot) * 1000;
}

/** An execution chain: one block a slot, but for those that are missed. */
export class SlotChain {
  readonly name = "slot chain";
  readonly headers: L1Header[] = [];
  asked = 0;

  constructor(slots: readonly number[]) {
    for (const slot of slots) this.mine(slot);
  }

  mine(slot: number, branch = 0): void {
    const number = this.headers.length;
    this.headers.push({
      number: BigInt(number),
      hash: noise(32, 1000 * branch + slot),
      parentHash: this.headers.at(-1)?.hash ?? new Uint8Array(32),
      timestamp: BigInt(slotMs(slot) / 1000),
      baseFeePerGas: 1n,
      blobGasUsed: 0n,
      excessBlobGas: 0n,
    });
  }

  header(tag: BlockTag): Promise<L1Header | undefined> {
    this.asked += 1;
    const header = typeof tag === "bigint" ? this.headers[Number(tag)] : this.headers.at(-1);
    return Promise.resolve(header);
  }
}

/** A header as a node tells it. */
export function headerJson(
  { number, hash, parentHash, timestamp }: Pick<
    L1Header,
    "number" | "hash" | "parentHash" | "timestamp"
  >,
): object {
  return {
    number: `0x${number.toString(16)}`,
    hash: toHex(hash),
    parentHash: toHex(parentHash),
    timestamp: `0x${timestamp.toString(16)}`,
    baseFeePerGas: "0x1",
  };
}

/** Keeps what it is given; fails as it is told to, before or after it is kept. */
export class FakeTaker implements EpochTaker {
  readonly epochs: EpochEvent[] = [];
  readonly triggers: BatchTrigger[] = [];
  lastEpoch: bigint | undefined;
  fails: () => boolean = () => false;

  // deno-lint-ignore require-await -- it rejects rather than throws
  async takeEpoch(epoch: EpochEvent, trigger: BatchTrigger | undefined): Promise<void> {
    if (this.fails()) throw new WalError("NoSpace", "Cannot append: the disk is full");
    this.epochs.push(epoch);
    if (trigger) this.triggers.push(trigger);
    this.lastEpoch = epoch.epoch;
  }
}

/** Whole numbers from one up to, not including, another. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

/** A block of L2 at a time after the genesis of {@link SMALL_CLOCK}, linked to the one before. */
export function blockAt(number: number, seconds: number, branch = 0): ReportedBlock {
  const timestamp = SMALL_CLOCK.genesisTime + BigInt(seconds);
  return {
    slot: slotAt(SMALL_CLOCK, timestamp),
    number: BigInt(number),
    hash: noise(32, 5000 + 1000 * branch + number),
    parentHash: noise(32, 4999 + 1000 * branch + number),
    timestamp,
    transactions: number % 3,
  };
}

/** An epoch of {@link SMALL_CLOCK}, as the clock alone tells it. */
export function epochEvent(epoch: number): EpochEvent {
  const startsAt = epochStart(SMALL_CLOCK, BigInt(epoch));
  return { epoch: BigInt(epoch), slot: BigInt(4 * epoch), startsAt, source: "clock" };
}

/** A manager of 96-second batches that take late blocks for 10 seconds. */
export const SMALL_CONFIG: BatchManagerConfig = {
  ...BATCH_DEFAULTS,
  chainId: 1001n,
  l1Clock: SMALL_CLOCK,
  maxBatchSize: 8n,
  batchTimeoutMs: 130_000,
  lateBlockGraceMs: 10_000,
};

/** Opens a manager on a disk, as each start of a program does. */
export async function openManager(
  storage: Storage,
  clock: Clock,
  { log, directory = "batches", ...config }: Partial<BatchManagerConfig> & {
    readonly log?: Log;
    readonly directory?: string;
  } = {},
): Promise<{ readonly manager: BatchManager; readonly journal: LogBatchJournal }> {
  const whole = { ...SMALL_CONFIG, ...config };
  const journal = await LogBatchJournal.open({ storage, directory }, whole);
  return { journal, manager: new BatchManager({ journal, clock, ...(log && { log }) }, whole) };
}
