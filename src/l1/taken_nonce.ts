/**
 * What has the nonce that a batch was signed for, where that is none of our transactions. If it went where
 * batches go it may be the very batch, posted by another program: then L1 has to be looked at before
 * anything is paid again. What a person sent from the account by hand holds no batch.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import type { Chain } from "../ethereum.ts";
import { equalBytes } from "../wire/bytes.ts";

/** A nonce that is in the chain, and where its batch was to go. */
export interface TakenNonce {
  readonly chain: Chain;
  readonly address: Uint8Array;
  readonly nonce: bigint;
  readonly to: Uint8Array;
  /** Number of the newest block. */
  readonly head: bigint;
}

/**
 * Whether its transaction went where the batch was to go. Where that cannot be told, it may have.
 *
 * @throws {RpcError} where the node cannot be asked now
 */
export async function mayHoldBatch(taken: TakenNonce): Promise<boolean> {
  try {
    const destination = await destinationOf(taken);
    return destination === undefined || equalBytes(destination, taken.to);
  } catch (error) {
    // A node that keeps no state of blocks that old.
    if (error instanceof RpcError && error.code === "Answered") return true;
    throw error;
  }
}

/** Where its transaction went, if that is found; nowhere is 0 bytes. */
async function destinationOf(taken: TakenNonce): Promise<Uint8Array | undefined> {
  const { chain, address, nonce } = taken;
  const number = await blockOf(taken);
  const before = number === 0n ? 0n : await chain.nonce(address, number - 1n);
  const block = await chain.block(number);
  // Those of an account stand in a block in the order of their nonces.
  let next = before;
  for (const transaction of block?.transactions ?? []) {
    const from = await transaction.sender().catch(() => "told wrong" as const);
    // It may be the one, or one before that.
    if (from === "told wrong") return undefined;
    if (!from || !equalBytes(from, address)) continue;
    if (next === nonce) return transaction.to ?? new Uint8Array();
    next += 1n;
  }
  return undefined;
}

/** The first block under which the account has used the nonce: not far from the head, so from there on. */
async function blockOf({ chain, address, nonce, head }: TakenNonce): Promise<bigint> {
  const isUsed = async (number: bigint) => await chain.nonce(address, number) > nonce;
  let used = head;
  let unused = -1n;
  for (let step = 1n; used > 0n; step *= 2n) {
    const number = used > step ? used - step : 0n;
    if (!await isUsed(number)) {
      unused = number;
      break;
    }
    used = number;
  }
  while (used - unused > 1n) {
    const middle = (used + unused) / 2n;
    if (await isUsed(middle)) used = middle;
    else unused = middle;
  }
  return used;
}
