/**
 * The rules by which a superblock follows another, as plain checks: what a network proof would prove.
 *
 * @module
 */
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import type { Superblock } from "../proving.ts";
import { isExecutionCheck, reportOf } from "./execution_check.ts";
import { hashOf, inOrder, merkleRootOf } from "./superblock_hash.ts";
import type { AggregationClaim, Transition } from "./superblock_json.ts";

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
  "outputs = what was aggregated",
] as const;

/** The first rule that a transition breaks, and how; `undefined` where it breaks none. */
export async function brokenRule(
  { previous, next, previousRollups, rollups, aggregations = [] }: Transition,
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
  for (const claim of aggregations) {
    const difference = isExecutionCheck(claim.proof) && differenceOf(claim, next);
    if (difference) return `outputs = what was aggregated: ${difference}`;
  }
  return undefined;
}

/** How outputs differ from a report of what was checked. Into a proof nobody looks here. */
function differenceOf(
  { chainId, preRoot, postRoot, l2BlockNumber, proof }: AggregationClaim,
  { blocks }: Superblock,
): string | undefined {
  const { chainId: own, start, end } = reportOf(proof);
  if (own !== chainId) return `chain ${chainId} comes with a check of chain ${own}`;
  const roots = [["l2PreRoot", preRoot, start], ["l2PostRoot", postRoot, end]] as const;
  for (const [name, root, { number, outputRoot }] of roots) {
    if (equalBytes(root, outputRoot)) continue;
    return `${name} of chain ${chainId} is ${toHex(root)}, behind block ${number} it was found ` +
      toHex(outputRoot);
  }
  if (l2BlockNumber !== end.number) return `l2BlockNumber is ${l2BlockNumber}, not ${end.number}`;
  const last = blocks.filter((block) => block.chainId === chainId).at(-1);
  if (last?.number === end.number && equalBytes(last.hash, end.hash)) return undefined;
  const have = last ? `block ${last.number} ${toHex(last.hash)}` : "no block";
  return `the superblock ends chain ${chainId} with ${have}, checked was block ${end.number} ` +
    toHex(end.hash);
}
