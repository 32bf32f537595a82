/**
 * What gas costs: EIP-1559 for gas, EIP-4844 with the blob schedule of Prague and Osaka for blobs, EIP-7623
 * for calldata.
 *
 * @module
 */
import type { FeeCaps, UnsignedTransaction } from "../../src/ethereum.ts";

export const GAS_LIMIT = 36_000_000n;
export const GAS_PER_BLOB = 131_072n;
export const MAX_BLOBS_PER_BLOCK = 9;
const TARGET_BLOBS = 6n;
const UPDATE_FRACTION = 5_007_716n;

/** Base fee of the block that follows one with this fee and so much gas. */
export function nextBaseFee(baseFee: bigint, gasUsed: bigint): bigint {
  const target = GAS_LIMIT / 2n;
  if (gasUsed === target) return baseFee;
  const change = baseFee * (gasUsed > target ? gasUsed - target : target - gasUsed) / target / 8n;
  const next = gasUsed > target ? baseFee + (change || 1n) : baseFee - change;
  return next < 7n ? 7n : next;
}

export function nextExcessBlobGas(excess: bigint, used: bigint): bigint {
  const next = excess + used - TARGET_BLOBS * GAS_PER_BLOB;
  return next > 0n ? next : 0n;
}

/** The Taylor series of EIP-4844 for `e ** (excess / fraction)`. */
export function blobBaseFeeOf(excess: bigint): bigint {
  let sum = 0n;
  let term = UPDATE_FRACTION;
  for (let i = 1n; term > 0n; i++) {
    sum += term;
    term = term * excess / (UPDATE_FRACTION * i);
  }
  return sum / UPDATE_FRACTION;
}

/** The least excess that makes blob gas cost about so much. */
export function excessBlobGasFor(blobBaseFee: bigint): bigint {
  return BigInt(Math.round(Number(UPDATE_FRACTION) * Math.log(Math.max(1, Number(blobBaseFee)))));
}

/** Gas of a transfer with this input to an account that runs no code. */
export function gasOf(input: Uint8Array): bigint {
  let tokens = 0n;
  for (const byte of input) tokens += byte === 0 ? 1n : 4n;
  return 21_000n + 10n * tokens;
}

/** What it can cost at the most, in wei. */
export function costOf({ gas, fees, blobHashes }: UnsignedTransaction): bigint {
  return gas * fees.maxFeePerGas +
    BigInt(blobHashes.length) * GAS_PER_BLOB * fees.maxFeePerBlobGas;
}

/** What whoever makes the block gets for one gas. */
export function tipOf(fees: FeeCaps, baseFee: bigint): bigint {
  const left = fees.maxFeePerGas - baseFee;
  return left < fees.maxPriorityFeePerGas ? left : fees.maxPriorityFeePerGas;
}
