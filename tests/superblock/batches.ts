/**
 * Batches to be proved, for tests.
 *
 * @module
 */
import type { BatchWindow, ProvableBatch, ReportedBlock } from "../../src/superblock.ts";
import { noise } from "../helpers.ts";

export const CHAIN_ID = 1001n;

/** Slots in a batch of the common clock. */
const SLOTS = 320n;

/** The window of a batch, where L1 began at 0. */
export function windowOf(batchNumber: bigint): BatchWindow {
  const firstSlot = batchNumber * SLOTS;
  return {
    batchNumber,
    firstEpoch: batchNumber * 10n,
    lastEpoch: batchNumber * 10n + 9n,
    firstSlot,
    lastSlot: firstSlot + SLOTS - 1n,
    startsAt: firstSlot * 12n,
    endsAt: (firstSlot + SLOTS) * 12n,
  };
}

/** The hash of a made-up block. */
export function hashOf(number: bigint): Uint8Array {
  return noise(32, Number(number));
}

/** A batch of so many blocks: block numbers go on from batch to batch. */
export function batchOf(batchNumber: bigint, blocks = 4): ProvableBatch {
  const window = windowOf(batchNumber);
  return {
    chainId: CHAIN_ID,
    window,
    blocks: Array.from({ length: blocks }, (_, at): ReportedBlock => {
      const number = batchNumber * BigInt(blocks) + BigInt(at) + 1n;
      const slot = window.firstSlot + BigInt(at);
      return {
        slot,
        number,
        hash: hashOf(number),
        parentHash: hashOf(number - 1n),
        timestamp: slot * 12n,
        transactions: 2,
      };
    }),
  };
}
