/**
 * What a transaction offers, and what its replacement does (design `ethereum.md`, "Sending" 3).
 *
 * | cap       | first                          | each replacement                                  |
 * | --------- | ------------------------------ | ------------------------------------------------- |
 * | tip       | the market's                   | ×1.10, ×2 with blobs; then at least as the first  |
 * | gas       | tip + 2 · base fee             | the same                                          |
 * | blob gas  | 2 · blob base fee, ≥ 1 gwei    | ×2, then at least as the first                    |
 *
 * Pools take a replacement only where every cap has grown so much (geth: 10 %, and 100 % with blobs). A
 * cap does not go above a multiple of what a first transaction would offer where the one before could land
 * as it is, and never above its ceiling: what the market asks beyond that is waited out. A tip is no such
 * price: nodes suggest what others paid lately, however absurd. Of it what is left below the ceiling is
 * offered, and waited only where that is next to nothing.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";
import type { FeeCaps } from "../ethereum.ts";
import type { Market } from "./gas.ts";

const GWEI = 1_000_000_000n;
const LEAST_BLOB_FEE = GWEI;
/** What a last offer reckons with: below it, a base fee rises manyfold within minutes. */
const LEAST_LAST_FEE = GWEI;

/**
 * What gets into a block in the end. Blocks are half full where the base fee stands still (EIP-1559), so
 * whoever makes them takes any tip above the least there is; geth's is a hundredth of this.
 */
const MODEST_TIP = GWEI / 10n;

/** How high caps may go. */
export interface FeeLimits {
  /** So many times what a first transaction would offer now, at the most. */
  readonly feeLimitMultiplier: number;
  /** Ceiling of wei for one gas. */
  readonly maxFeePerGas: bigint;
  /** Ceiling of wei for one gas of blobs. */
  readonly maxFeePerBlobGas: bigint;
}

/** 5 times the market, 1000 gwei for gas and for gas of blobs. */
export const FEE_DEFAULTS: FeeLimits = Object.freeze({
  feeLimitMultiplier: 5,
  maxFeePerGas: 1000n * GWEI,
  maxFeePerBlobGas: 1000n * GWEI,
});

/** What a transaction can offer now. */
export type Offer =
  | { readonly caps: FeeCaps }
  /** The market asks `current` for one gas, and `max` is the most that may be offered. */
  | { readonly wait: "base fee" | "blob fee"; readonly current: bigint; readonly max: bigint };

/** @throws {ConfigError} `Invalid` for limits under which nothing could ever be sent */
export function checkFeeLimits(limits: FeeLimits): void {
  const { feeLimitMultiplier, maxFeePerGas, maxFeePerBlobGas } = limits;
  if (!(feeLimitMultiplier >= 2)) {
    const need = "need at least 2: a replacement with blobs doubles what the first offered";
    throw invalid(`a fee limit multiplier of ${feeLimitMultiplier}`, need);
  }
  if (maxFeePerGas < 1n) {
    throw invalid(`a ceiling of ${maxFeePerGas} wei for gas`, "need 1 or more");
  }
  if (maxFeePerBlobGas < 1n) {
    throw invalid(`a ceiling of ${maxFeePerBlobGas} wei for gas of blobs`, "need 1 or more");
  }
}

/** What a first transaction offers where nothing limits it. */
export function marketCaps(market: Market, hasBlobs: boolean): FeeCaps {
  return {
    maxFeePerGas: market.tip + 2n * market.baseFee,
    maxPriorityFeePerGas: market.tip,
    maxFeePerBlobGas: hasBlobs ? larger(2n * market.blobBaseFee, LEAST_BLOB_FEE) : 0n,
  };
}

/** A market as far as it can be met: its tip is no more than what is left below the ceiling. */
export function withinCeiling(market: Market, { maxFeePerGas }: FeeLimits): Market {
  const left = larger(maxFeePerGas - market.baseFee, 0n);
  return { ...market, tip: smaller(market.tip, left) };
}

/** What a first transaction offers. */
export function firstOffer(asked: Market, hasBlobs: boolean, limits: FeeLimits): Offer {
  const market = withinCeiling(asked, limits);
  return tooExpensive(asked, hasBlobs, limits) ??
    {
      caps: withLastChance(clipped(marketCaps(market, hasBlobs), limits), market, hasBlobs, limits),
    };
}

/**
 * What replaces a transaction that offered `before`; `undefined` where it is left as it is, since the next
 * step would be above the limit that the market sets, and it is not too cheap either.
 *
 * @param hasBlobs whether either of the two has blobs: pools with blobs ask for the double
 */
export function replacementOffer(
  before: FeeCaps,
  now: Market,
  hasBlobs: boolean,
  limits: FeeLimits,
): Offer | undefined {
  const dear = tooExpensive(now, hasBlobs, limits);
  const market = withinCeiling(now, limits);
  if (dear) return meetsMarket(before, market, hasBlobs) ? undefined : dear;

  const least = bumped(before, hasBlobs);
  const asked = marketCaps(market, hasBlobs);
  const caps = clipped(eachLarger(least, asked), limits);
  // A ceiling below the least step of a pool: no replacement would be taken.
  if (!isAtLeast(caps, least)) {
    return meetsMarket(before, market, hasBlobs) ? undefined : ceiling(least, limits, market);
  }
  const highest = multiplied(asked, limits.feeLimitMultiplier);
  const offer = { caps: withLastChance(caps, market, hasBlobs, limits) };
  if (isAtLeast(highest, offer.caps)) return offer;
  // One cap can be far above the market while another is too low for it. Pools take no replacement that
  // raises only one, so all go up: each such step needs a market that went above what was offered.
  return meetsMarket(before, market, hasBlobs) ? undefined : offer;
}

/** The least that replaces a transaction, whatever the market asks; `undefined` above a ceiling. */
export function leastOffer(
  before: FeeCaps,
  hasBlobs: boolean,
  limits: FeeLimits,
): Offer | undefined {
  const caps = bumped(before, hasBlobs);
  return isAtLeast(clipped(caps, limits), caps) ? { caps } : undefined;
}

/** Whether the next block could include it. */
export function meetsMarket(caps: FeeCaps, market: Market, hasBlobs: boolean): boolean {
  return caps.maxFeePerGas >= market.baseFee + smaller(market.tip, caps.maxPriorityFeePerGas) &&
    (!hasBlobs || caps.maxFeePerBlobGas >= market.blobBaseFee);
}

/** The least that pools take in place of `before`. */
export function bumped(before: FeeCaps, hasBlobs: boolean): FeeCaps {
  const percent = hasBlobs ? 200n : 110n;
  // Upward, and by one at the least: 110 % of 1 wei is 1 wei.
  const up = (value: bigint) => larger((value * percent + 99n) / 100n, value + 1n);
  return {
    maxFeePerGas: up(before.maxFeePerGas),
    maxPriorityFeePerGas: up(before.maxPriorityFeePerGas),
    maxFeePerBlobGas: hasBlobs ? up(before.maxFeePerBlobGas) : 0n,
  };
}

function tooExpensive(market: Market, hasBlobs: boolean, limits: FeeLimits): Offer | undefined {
  const { maxFeePerGas, maxFeePerBlobGas } = limits;
  const current = market.baseFee + smaller(market.tip, MODEST_TIP);
  if (current > maxFeePerGas) return { wait: "base fee", current, max: maxFeePerGas };
  if (!hasBlobs || market.blobBaseFee <= maxFeePerBlobGas) return undefined;
  return { wait: "blob fee", current: market.blobBaseFee, max: maxFeePerBlobGas };
}

/**
 * What can be replaced no more below the ceilings offers as much as any replacement could: it would be
 * stuck as soon as one of its caps did not meet the market, however far that stayed below the ceiling. A
 * market that rises further still is waited out, since nobody who set one ceiling near the market meant
 * to offer all of the other.
 */
function withLastChance(
  caps: FeeCaps,
  market: Market,
  hasBlobs: boolean,
  limits: FeeLimits,
): FeeCaps {
  const next = bumped(caps, hasBlobs);
  if (isAtLeast(clipped(next, limits), next)) return caps;
  const asked = marketCaps(market, hasBlobs);
  const floor = { ...asked, maxFeePerGas: larger(asked.maxFeePerGas, LEAST_LAST_FEE) };
  const highest = clipped(multiplied(floor, limits.feeLimitMultiplier), limits);
  const { maxPriorityFeePerGas } = caps;
  return { ...eachLarger(caps, highest), maxPriorityFeePerGas };
}

/** Which ceiling stands below the least step. */
function ceiling(least: FeeCaps, limits: FeeLimits, market: Market): Offer {
  const { maxFeePerGas, maxFeePerBlobGas } = limits;
  if (least.maxFeePerGas <= maxFeePerGas) {
    return { wait: "blob fee", current: market.blobBaseFee, max: maxFeePerBlobGas };
  }
  return { wait: "base fee", current: market.baseFee + market.tip, max: maxFeePerGas };
}

function clipped(caps: FeeCaps, { maxFeePerGas, maxFeePerBlobGas }: FeeLimits): FeeCaps {
  return {
    maxFeePerGas: smaller(caps.maxFeePerGas, maxFeePerGas),
    maxPriorityFeePerGas: smaller(caps.maxPriorityFeePerGas, maxFeePerGas),
    maxFeePerBlobGas: smaller(caps.maxFeePerBlobGas, maxFeePerBlobGas),
  };
}

function eachLarger(a: FeeCaps, b: FeeCaps): FeeCaps {
  return {
    maxFeePerGas: larger(a.maxFeePerGas, b.maxFeePerGas),
    maxPriorityFeePerGas: larger(a.maxPriorityFeePerGas, b.maxPriorityFeePerGas),
    maxFeePerBlobGas: larger(a.maxFeePerBlobGas, b.maxFeePerBlobGas),
  };
}

function isAtLeast(a: FeeCaps, b: FeeCaps): boolean {
  return a.maxFeePerGas >= b.maxFeePerGas && a.maxPriorityFeePerGas >= b.maxPriorityFeePerGas &&
    a.maxFeePerBlobGas >= b.maxFeePerBlobGas;
}

function multiplied(caps: FeeCaps, multiplier: number): FeeCaps {
  const hundredths = BigInt(Math.round(multiplier * 100));
  const times = (value: bigint) => value * hundredths / 100n;
  return {
    maxFeePerGas: times(caps.maxFeePerGas),
    maxPriorityFeePerGas: times(caps.maxPriorityFeePerGas),
    maxFeePerBlobGas: times(caps.maxFeePerBlobGas),
  };
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function invalid(what: string, need: string): ConfigError {
  return new ConfigError("Invalid", `Cannot send with ${what}: ${need}`);
}
