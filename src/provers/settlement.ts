/**
 * The rules by which a superblock follows another, as plain checks: what a network proof would prove.
 *
 * @module
 */
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { hashOf, inOrder, merkleRootOf } from "./superblock_hash.ts";
import type { Transition } from "./superblock_json.ts";

/** What is checked, in this order. */
export const SETTLEMENT_RULES = [
  "number + 1",
  "parent hash",
  "slot",
  "timestamp",
  "merkle order",
  "merkle root",
  "block parents",
  "pre-root = last post-root",
] as const;

/** The first rule that a transition breaks, and how; `undefined` where it breaks none. */
export async function brokenRule(
  { previous, next, previousRollups, rollups }: Transition,
): Promise<string | undefined> {
  if (next.number !== previous.number + 1n) {
    return `number + 1: superblock ${next.number} does not follow ${previous.number}`;
  }
  const hash = await hashOf(previous);
  if (!equalBytes(next.parentHash, hash)) {
    return `parent hash: it is ${toHex(next.parentHash)}, superblock ${previous.number} has ${
      toHex(hash)
    }`;
  }
  if (next.slot < previous.slot) return `slot: ${next.slot} is before ${previous.slot}`;
  if (next.timestamp <= previous.timestamp) {
    return `timestamp: ${next.timestamp} is not above ${previous.timestamp}`;
  }
  for (const [at, block] of next.blocks.entries()) {
    const before = next.blocks[at - 1];
    if (!before) continue;
    if (inOrder(before, block) >= 0) {
      return `merkle order: block ${block.number} of chain ${block.chainId} stands behind block ` +
        `${before.number} of chain ${before.chainId}`;
    }
  }
  const merkleRoot = await merkleRootOf(next.blocks);
  if (!equalBytes(next.merkleRoot, merkleRoot)) {
    return `merkle root: it is ${toHex(next.merkleRoot)}, the blocks have ${toHex(merkleRoot)}`;
  }
  for (const [at, block] of next.blocks.entries()) {
    const before = next.blocks[at - 1];
    const isNext = before?.chainId === block.chainId && before.number + 1n === block.number;
    if (isNext && block.parentHash.length > 0 && !equalBytes(block.parentHash, before.hash)) {
      return `block parents: block ${block.number} of chain ${block.chainId} does not follow ` +
        `block ${before.number}`;
    }
  }
  for (const { rollupConfigHash, preRoot } of rollups) {
    const last = previousRollups.find((each) =>
      equalBytes(each.rollupConfigHash, rollupConfigHash)
    );
    if (last && !equalBytes(last.postRoot, preRoot)) {
      return `pre-root = last post-root: rollup ${toHex(rollupConfigHash)} begins at ` +
        `${toHex(preRoot)}, it ended at ${toHex(last.postRoot)}`;
    }
  }
  return undefined;
}
