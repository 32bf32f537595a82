/**
 * What a program sent, without its sidecar.
 *
 * @module
 */
import { rlp } from "../../src/l1/deps.ts";
import { type DecodedTransaction, decodeSigned } from "../../src/l1/transaction.ts";

/** A transaction as it was sent, and what it says. */
export interface SentTransaction extends DecodedTransaction {
  /** As it was sent. */
  readonly raw: Uint8Array;
}

/** Takes a transaction apart, in either form of its sidecar, or without one. */
export async function sentTransaction(raw: Uint8Array): Promise<SentTransaction> {
  const decoded = await decodeSigned(await withoutSidecar(raw));
  return { ...decoded, raw };
}

async function withoutSidecar(raw: Uint8Array): Promise<Uint8Array> {
  if (raw[0] !== 3) return raw;
  const { RLP } = await rlp();
  const items = RLP.decode(raw.subarray(1));
  if (!Array.isArray(items) || !Array.isArray(items[0])) return raw;
  return Uint8Array.of(3, ...RLP.encode(items[0]));
}
