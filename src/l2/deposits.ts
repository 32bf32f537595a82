/**
 * Deposits among the raw transactions of a block of the OP stack: L1 made them, so they are in no batch,
 * and the first names the L1 block that the block was made from.
 *
 * @module
 */
import { rlp } from "../l1/deps.ts";
import { DEPOSIT_TYPE } from "../l1/raw_transaction.ts";
import { toHex } from "../wire/hex.ts";
import { type L1Attributes, l1AttributesOf } from "./l1_attributes.ts";

/** Fields of a deposit: hash of its source, from, to, mint, value, gas, whether of the system, data. */
const [FROM, TO, INPUT] = [1, 2, 7] as const;

/** Whether L1 made a transaction. */
export function isDeposit([type]: Uint8Array): boolean {
  return type === DEPOSIT_TYPE;
}

/** The L1 block that the first transaction names; `undefined` where it is no such deposit. */
export async function l1BlockOf(
  [first]: readonly Uint8Array[],
): Promise<L1Attributes | undefined> {
  if (first === undefined || !isDeposit(first)) return undefined;
  const { RLP } = await rlp();
  try {
    const fields = RLP.decode(first.subarray(1)) as Uint8Array[];
    const [from, to, input] = [FROM, TO, INPUT].map((index) => toHex(fields[index]!));
    return l1AttributesOf({ type: `0x${DEPOSIT_TYPE.toString(16)}`, from, to, input });
  } catch {
    // Another chain's transaction under the same number.
    return undefined;
  }
}
