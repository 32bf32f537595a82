/**
 * What batch transactions cost, by their receipts: what was paid, not what was offered.
 *
 * @module
 */
import type { TxReceipt } from "../ethereum.ts";
import { costOf, weiOf } from "../l1/gas.ts";
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
  const cost = costOf(receipt);
  return {
    gasUsed: cost.gasUsed,
    gasPriceWei: cost.gasPrice,
    blobGasUsed: cost.blobGasUsed,
    blobGasPriceWei: cost.blobGasPrice,
    costWei: weiOf(cost),
  };
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
