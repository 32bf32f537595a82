/**
 * How much gas a batch takes on L1, in calldata and in blobs, and what that costs.
 *
 * @module
 */
import type { FeeCaps, TxReceipt } from "../ethereum.ts";
import type { TxCost } from "../types.ts";

/** Of a blob (EIP-4844). */
export const GAS_PER_BLOB = 131_072n;
/** Of every transaction. */
const BASE_GAS = 21_000n;
/** Of a token of calldata: a zero byte is one, another byte four (EIP-7623). */
const FLOOR_GAS_PER_TOKEN = 10n;
const TOKENS_PER_BYTE = 4n;

const ETHER = 10n ** 18n;

/** What gas costs at a block, in wei for one gas. */
export interface Market {
  readonly baseFee: bigint;
  /** What whoever makes blocks wants besides. */
  readonly tip: bigint;
  readonly blobBaseFee: bigint;
}

/**
 * Gas of a transaction that carries `input` to an account without code: since Prague the floor of
 * EIP-7623, which is never below what was asked before.
 */
export function gasFor(input: Uint8Array): bigint {
  let zeros = 0;
  for (const byte of input) if (byte === 0) zeros += 1;
  const tokens = BigInt(zeros) + TOKENS_PER_BYTE * BigInt(input.length - zeros);
  return BASE_GAS + FLOOR_GAS_PER_TOKEN * tokens;
}

/** Wei as ether for people, to six digits that count: `0.0165 ETH`. */
export function inEther(wei: bigint): string {
  const digits = `${wei}`.padStart(19, "0");
  const places = digits.slice(-18);
  const leading = wei >= ETHER ? 0 : places.search(/[1-9]/);
  const part = places.slice(0, Math.max(0, leading) + 6).replace(/0+$/, "");
  return `${digits.slice(0, -18)}${part === "" ? "" : `.${part}`} ETH`;
}

/** Wei that a transaction can cost at the most. */
export function worstCostWei(gas: bigint, blobs: number, fees: FeeCaps): bigint {
  return gas * fees.maxFeePerGas + BigInt(blobs) * GAS_PER_BLOB * fees.maxFeePerBlobGas;
}

/** What a transaction costs in the next block, as things stand. */
export function expectedCost(gasUsed: bigint, blobs: number, market: Market): TxCost {
  return {
    gasUsed,
    gasPrice: market.baseFee + market.tip,
    blobGasUsed: BigInt(blobs) * GAS_PER_BLOB,
    blobGasPrice: blobs > 0 ? market.blobBaseFee : 0n,
  };
}

/** {@link expectedCost} in wei. */
export function expectedCostWei(gas: bigint, blobs: number, market: Market): bigint {
  return weiOf(expectedCost(gas, blobs, market));
}

/** What a transaction cost, by its receipt. */
export function costOf(receipt: TxReceipt): TxCost {
  const { gasUsed, effectiveGasPrice: gasPrice, blobGasUsed, blobGasPrice } = receipt;
  return { gasUsed, gasPrice, blobGasUsed, blobGasPrice };
}

/** Wei that were paid for both kinds of gas. */
export function weiOf({ gasUsed, gasPrice, blobGasUsed, blobGasPrice }: TxCost): bigint {
  return gasUsed * gasPrice + blobGasUsed * blobGasPrice;
}
