/**
 * The clock that all sequencers share: slots, epochs and batches of Ethereum, by arithmetic alone. Before
 * the genesis it stands at 0.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";
import type { BatchTrigger, BatchWindow, L1ClockConfig } from "../superblock.ts";

/** Of Ethereum, with a batch of 10 epochs: 320 slots, 64 minutes. */
export const ETHEREUM_CLOCK: L1ClockConfig = Object.freeze({
  genesisTime: 1_606_824_023n,
  slotSeconds: 12n,
  slotsPerEpoch: 32n,
  batchFactor: 10n,
});

/** After so many epochs a block of L1 is final where it ever is: none is looked at again. */
export const WATCHED_EPOCHS = 2;

/** @throws {ConfigError} `Invalid` for a clock that cannot be */
export function checkedClock(clock: L1ClockConfig): L1ClockConfig {
  for (const name of ["genesisTime", "slotSeconds", "slotsPerEpoch", "batchFactor"] as const) {
    const least = name === "genesisTime" ? 0n : 1n;
    if (clock[name] >= least) continue;
    throw new ConfigError(
      "Invalid",
      `Cannot count epochs with ${name} ${clock[name]}: need at least ${least}`,
      { details: { [name]: clock[name] } },
    );
  }
  return clock;
}

/**
 * The slot at a time.
 *
 * @param unixSeconds of a block, or of now
 *
 * @example
 * ```ts
 * import { batchAt, ETHEREUM_CLOCK, epochAt, slotAt } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const at = 1_763_769_600n;
 * if (slotAt(ETHEREUM_CLOCK, at) !== 13_078_798n) throw new Error("wrong slot");
 * if (epochAt(ETHEREUM_CLOCK, at) !== 408_712n) throw new Error("wrong epoch");
 * if (batchAt(ETHEREUM_CLOCK, at) !== 40_871n) throw new Error("wrong batch");
 * ```
 */
export function slotAt({ genesisTime, slotSeconds }: L1ClockConfig, unixSeconds: bigint): bigint {
  return unixSeconds < genesisTime ? 0n : (unixSeconds - genesisTime) / slotSeconds;
}

/** The epoch at a time. */
export function epochAt(clock: L1ClockConfig, unixSeconds: bigint): bigint {
  return epochOfSlot(clock, slotAt(clock, unixSeconds));
}

/** The batch at a time: that of a block with this timestamp. */
export function batchAt(clock: L1ClockConfig, unixSeconds: bigint): bigint {
  return batchOfEpoch(clock, epochAt(clock, unixSeconds));
}

/** The epoch that a slot stands in. */
export function epochOfSlot({ slotsPerEpoch }: L1ClockConfig, slot: bigint): bigint {
  return slot / slotsPerEpoch;
}

/** The batch that an epoch belongs to. */
export function batchOfEpoch({ batchFactor }: L1ClockConfig, epoch: bigint): bigint {
  return epoch / batchFactor;
}

/** Unix seconds at which a slot begins. */
export function slotStart({ genesisTime, slotSeconds }: L1ClockConfig, slot: bigint): bigint {
  return genesisTime + slot * slotSeconds;
}

/** The first slot of an epoch. */
export function firstSlotOf({ slotsPerEpoch }: L1ClockConfig, epoch: bigint): bigint {
  return epoch * slotsPerEpoch;
}

/** Unix seconds at which an epoch begins. */
export function epochStart(clock: L1ClockConfig, epoch: bigint): bigint {
  return slotStart(clock, firstSlotOf(clock, epoch));
}

/** What an epoch triggers: a batch, where the factor divides it. */
export function triggerAt(clock: L1ClockConfig, epoch: bigint): BatchTrigger | undefined {
  if (epoch % clock.batchFactor !== 0n) return undefined;
  return {
    batchNumber: batchOfEpoch(clock, epoch),
    triggerEpoch: epoch,
    triggerSlot: firstSlotOf(clock, epoch),
    triggerTime: epochStart(clock, epoch),
  };
}

/** How many slots the window of a batch has. */
export function slotsPerBatch({ slotsPerEpoch, batchFactor }: L1ClockConfig): bigint {
  return slotsPerEpoch * batchFactor;
}

/**
 * The time of a batch. Windows follow each other without a gap.
 *
 * @example
 * ```ts
 * import { batchWindow, ETHEREUM_CLOCK } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const { firstSlot, lastSlot, startsAt, endsAt } = batchWindow(ETHEREUM_CLOCK, 1n);
 * if (firstSlot !== 320n || lastSlot !== 639n) throw new Error("wrong slots");
 * if (endsAt - startsAt !== 3840n) throw new Error("not 64 minutes");
 * ```
 */
export function batchWindow(clock: L1ClockConfig, batchNumber: bigint): BatchWindow {
  const firstEpoch = batchNumber * clock.batchFactor;
  const nextEpoch = firstEpoch + clock.batchFactor;
  return {
    batchNumber,
    firstEpoch,
    lastEpoch: nextEpoch - 1n,
    firstSlot: firstSlotOf(clock, firstEpoch),
    lastSlot: firstSlotOf(clock, nextEpoch) - 1n,
    startsAt: epochStart(clock, firstEpoch),
    endsAt: epochStart(clock, nextEpoch),
  };
}
