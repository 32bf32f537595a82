/**
 * What tests of synchronized batches share: a small clock of L1, an L1 that misses slots and is
 * reorganised, a taker of epochs.
 *
 * @module
 */
import type { L1Header } from "../../src/ethereum.ts";
import { WalError } from "../../src/errors.ts";
import type { BlockTag } from "../../src/ethereum.ts";
import type { BatchTrigger, EpochEvent, EpochTaker, L1ClockConfig } from "../../src/superblock.ts";
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
