/**
 * What can be said of a payload without executing it.
 *
 * | looked at                                         | not looked at                                  |
 * | ------------------------------------------------- | ---------------------------------------------- |
 * | its hash, over all its parts                      | state, receipts and logs: nothing is executed  |
 * | number and time after its parent's                | signatures and nonces of its transactions      |
 * | gas within its limit, no empty transaction        | base fee, blob gas, limits of the chain        |
 * | the hashes of its blobs                           |                                                |
 *
 * @module
 */
import type { ExecutionPayload } from "../engine.ts";
import { describeError } from "../errors.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { blobHashesOf } from "./blob_hashes.ts";
import { type NewPayload, payloadHash } from "./payload.ts";

/** What is wrong with a payload. */
export interface PayloadFault {
  readonly reason: string;
  /** Its hash is that of another block, so nothing can be said of the block that has it. */
  readonly isWrongHash?: boolean;
  /** Found without regard to what it follows: the specification wants no `latestValidHash`. */
  readonly isUnplaced?: boolean;
}

/** What is wrong with a payload by itself; `undefined` where nothing is. */
export async function faultOf(
  { envelope, blobHashes }: NewPayload,
): Promise<PayloadFault | undefined> {
  const { payload } = envelope;
  const hash = await payloadHash(envelope);
  if (!equalBytes(hash, payload.blockHash)) {
    const [have, need] = [toHex(payload.blockHash), toHex(hash)];
    return { reason: `blockHash is ${have}, its parts make ${need}`, isWrongHash: true };
  }
  const empty = payload.transactions.findIndex(({ length }) => length === 0);
  if (empty >= 0) return { reason: `transaction ${empty} has no bytes` };
  if (payload.gasUsed > payload.gasLimit) {
    return { reason: `gasUsed ${payload.gasUsed} is above gasLimit ${payload.gasLimit}` };
  }
  const blobs = blobHashes && await blobFault(payload, blobHashes);
  return blobs === undefined ? undefined : { reason: blobs, isUnplaced: true };
}

/** Why a payload cannot follow another; `undefined` where it can. */
export function followFault(
  payload: ExecutionPayload,
  parent: { readonly number: bigint; readonly timestamp?: bigint | undefined },
): string | undefined {
  if (payload.blockNumber !== parent.number + 1n) {
    return `blockNumber is ${payload.blockNumber}, its parent's ${parent.number}`;
  }
  if (parent.timestamp !== undefined && payload.timestamp <= parent.timestamp) {
    return `timestamp is ${payload.timestamp}, its parent's ${parent.timestamp}`;
  }
  return undefined;
}

async function blobFault(
  { transactions }: ExecutionPayload,
  expected: readonly Uint8Array[],
): Promise<string | undefined> {
  try {
    const hashes = await blobHashesOf(transactions);
    if (hashes.length !== expected.length) {
      return `its transactions have ${hashes.length} blobs, expected are ${expected.length}`;
    }
    const other = hashes.findIndex((hash, index) => !equalBytes(hash, expected[index]!));
    return other < 0
      ? undefined
      : `blob ${other} is ${toHex(hashes[other]!)}, expected is ${toHex(expected[other]!)}`;
  } catch (error) {
    return describeError(error);
  }
}
