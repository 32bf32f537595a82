/**
 * No more than so much for an hour and for a batch (design `ethereum.md`, "Sending" 12). What is under way
 * counts with the most it can cost, so the limit holds however it comes; what landed counts with what it
 * cost, out of the journal, so a restart forgets nothing.
 *
 * @module
 */
import { ConfigError, SinkError } from "../errors.ts";
import type { LandedTx } from "../ethereum.ts";
import { inEther, weiOf } from "./gas.ts";
import type { NonceSlot } from "./nonce_slot.ts";

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

/** How much may be spent; what is missing is not limited. */
export interface SpendLimits {
  readonly maxSpendPerHourWei?: bigint;
  readonly maxSpendPerBatchWei?: bigint;
}

/** How long the account lasts. */
export interface Runway {
  readonly balanceWei: bigint;
  /** Of the last 24 hours, or since the first transaction that is known. */
  readonly spentWei: bigint;
  readonly overMs: number;
  /** At that rate; `undefined` where nothing was spent. */
  readonly lastsMs: number | undefined;
}

/** What was spent, and what is under way. */
export interface Spending {
  readonly landed: readonly LandedTx[];
  readonly slots: readonly NonceSlot[];
  readonly nowMs: number;
}

/** Holds the limits. */
export class SpendGuard {
  readonly #limits: SpendLimits;

  /** @throws {ConfigError} `Invalid` for limits of 0 or less */
  constructor(limits: SpendLimits) {
    for (const name of ["maxSpendPerHourWei", "maxSpendPerBatchWei"] as const) {
      const wei = limits[name];
      if (wei === undefined || wei > 0n) continue;
      const what = `Cannot spend at most ${inEther(wei)} (${name}): need 1 wei or more`;
      throw new ConfigError("Invalid", what, { details: { [name]: wei } });
    }
    this.#limits = limits;
  }

  /**
   * Why a transaction that can cost `wei` must wait; `undefined` where it need not.
   *
   * @param slot whose attempts it would stand beside: only the dearest of them counts
   */
  refusal(wei: bigint, spending: Spending, slot?: NonceSlot): SinkError | undefined {
    const { maxSpendPerBatchWei, maxSpendPerHourWei } = this.#limits;
    const ofBatch = largest(wei, slot?.worstWei ?? 0n);
    if (maxSpendPerBatchWei !== undefined && ofBatch > maxSpendPerBatchWei) {
      return overBatch(ofBatch, maxSpendPerBatchWei);
    }
    if (maxSpendPerHourWei === undefined) return undefined;
    const others = { ...spending, slots: spending.slots.filter((each) => each !== slot) };
    const ofHour = spentWei(others, HOUR_MS) + ofBatch;
    return ofHour > maxSpendPerHourWei ? overHour(ofHour, maxSpendPerHourWei) : undefined;
  }
}

/** Wei that left the account in the last `windowMs`, with the most that what is under way can cost. */
export function spentWei({ landed, slots, nowMs }: Spending, windowMs: number): bigint {
  const sinceMs = nowMs - windowMs;
  const done = landed.filter((each) => each.landedAtMs >= sinceMs).map(({ cost }) => weiOf(cost));
  const underWay = slots
    .filter(({ inclusion }) => inclusion === undefined || inclusion.blockMs >= sinceMs)
    .map((slot) => slot.wei);
  return [...done, ...underWay].reduce((sum, wei) => sum + wei, 0n);
}

/** How long `balanceWei` lasts at the rate of the last 24 hours. */
export function runway(balanceWei: bigint, spending: Spending): Runway {
  const { landed, slots, nowMs } = spending;
  const included = slots.filter((slot) => slot.inclusion !== undefined);
  const paid = spentWei({ landed, slots: included, nowMs }, DAY_MS);
  const since = [
    ...landed.map((each) => each.landedAtMs),
    ...included.map((slot) => slot.inclusion!.blockMs),
  ];
  const firstMs = Math.min(nowMs, ...since);
  // One transaction tells no rate: an hour at the least.
  const overMs = Math.min(DAY_MS, Math.max(HOUR_MS, nowMs - firstMs));
  const lastsMs = paid === 0n ? undefined : Number(balanceWei * BigInt(overMs) / paid);
  return { balanceWei, spentWei: paid, overMs, lastsMs };
}

/** Time alone does not mend it: fees must fall, or somebody must allow more. */
function overBatch(wei: bigint, max: bigint): SinkError {
  return new SinkError(
    "SpendLimit",
    `Cannot send now: one batch could cost ${inEther(wei)}, at most ${inEther(max)} may be spent ` +
      `(maxSpendPerBatchWei). It waits until fees fall so far, for ever if they do not: allow more, or ` +
      `make batches smaller`,
    { details: { current: wei, max, limit: "maxSpendPerBatchWei" } },
  );
}

function overHour(wei: bigint, max: bigint): SinkError {
  return new SinkError(
    "SpendLimit",
    `Cannot send now: with what is under way an hour could cost ${inEther(wei)}, at most ` +
      `${
        inEther(max)
      } may be spent (maxSpendPerHourWei). It goes on as the hour passes; allow more, ` +
      `if that is too slow`,
    { details: { current: wei, max, limit: "maxSpendPerHourWei" } },
  );
}

function largest(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
