/**
 * What batch transactions cost: by their receipts what was paid, not what was offered; or by an estimate.
 *
 * @module
 */
import type { TxReceipt } from "../ethereum.ts";
import { costOf, weiOf } from "../l1/gas.ts";
import type { TxCost } from "../types.ts";
import type { RoleL1 } from "./l1.ts";
import { weiEach } from "./text.ts";

/** Receipts asked for at the same time: a node serves others, too. */
const RECEIPTS_AT_ONCE = 8;

/** What a transaction used, and what was paid. Amounts are wei, in JSON as decimal text. */
export interface BatchCost {
  readonly gasUsed: bigint;
  /** Paid for one gas. */
  readonly gasPriceWei: bigint;
  /** 0 for calldata. */
  readonly blobGasUsed: bigint;
  /** Paid for one gas of blobs. */
  readonly blobGasPriceWei: bigint;
  /** Of all gas and blob gas. */
  readonly costWei: bigint;
}

/** What one L2 transaction and one posted byte cost: decimal text with up to three places. */
export interface UnitCosts {
  /** `null` where there is no transaction. */
  readonly weiPerTransaction: string | null;
  /** Of the compressed bytes; `null` where there are none. */
  readonly weiPerByte: string | null;
}

/** What a receipt says was paid. */
function batchCostOf(receipt: TxReceipt): BatchCost {
  return batchCostFrom(costOf(receipt));
}

/** A cost by the names that rows have. */
export function batchCostFrom(cost: TxCost): BatchCost {
  return {
    gasUsed: cost.gasUsed,
    gasPriceWei: cost.gasPrice,
    blobGasUsed: cost.blobGasUsed,
    blobGasPriceWei: cost.blobGasPrice,
    costWei: weiOf(cost),
  };
}

/** What rows cost together. */
export interface CostSums extends UnitCosts {
  readonly costWei: bigint;
  /** The part of it that is for blob gas. */
  readonly blobCostWei: bigint;
}

/** Sums over rows that have a cost. */
export function costSums(rows: readonly (BatchCost & Shared)[]): CostSums {
  const total = (of: (row: BatchCost) => bigint) => rows.reduce((wei, each) => wei + of(each), 0n);
  const count = (of: (row: Shared) => number) => rows.reduce((sum, each) => sum + of(each), 0);
  const costWei = total((each) => each.costWei);
  return {
    costWei,
    blobCostWei: total((each) => each.blobGasUsed * each.blobGasPriceWei),
    ...unitCosts(
      costWei,
      count((each) => each.transactions),
      count((each) => each.compressedBytes),
    ),
  };
}

/** What a cost is shared by. */
interface Shared {
  readonly transactions: number;
  readonly compressedBytes: number;
}

/** Shares of a cost. */
export function unitCosts(costWei: bigint, transactions: number, bytes: number): UnitCosts {
  return {
    weiPerTransaction: transactions > 0 ? weiEach(costWei, transactions) : null,
    weiPerByte: bytes > 0 ? weiEach(costWei, bytes) : null,
  };
}

/**
 * What transactions cost, in their order; `undefined` for each whose receipt the node does not have.
 *
 * @returns nothing at all for an L1 where nothing costs anything
 */
export async function costsOf(
  l1: Pick<RoleL1, "receipt">,
  txHashes: readonly Uint8Array[],
): Promise<readonly (BatchCost | undefined)[] | undefined> {
  if (!l1.receipt) return undefined;
  const costs: (BatchCost | undefined)[] = new Array(txHashes.length);
  let next = 0;
  const work = async () => {
    for (let index = next++; index < txHashes.length; index = next++) {
      const receipt = await l1.receipt!(txHashes[index]!);
      costs[index] = receipt && batchCostOf(receipt);
    }
  };
  await Promise.all(Array.from({ length: RECEIPTS_AT_ONCE }, work));
  return costs;
}
