/**
 * What a choice says of the blocks that were taken, though its branch does not lead down to them: blocks
 * between are missing, and may never come.
 *
 * ```
 * root 99 ── 100 ── 101 ── 102         taken
 *      99' ── 100' ── … ── 104'        chosen: 99' is in the place of the root
 *                    102'' ── 103''    chosen: what it follows is another block 101
 * ```
 *
 * @module
 */
import type { BlockRef, ForkchoiceUpdate } from "../engine.ts";
import { isZeroHash } from "./payload.ts";
import type { PayloadTree } from "./payload_tree.ts";

/**
 * Number of the last block that the branch of `own` can share with a choice; `undefined` where nothing in
 * hand speaks against all of it.
 *
 * @param own a block that is connected, or the root
 */
export function sharedAtMost(
  tree: PayloadTree,
  own: BlockRef,
  { head, safe, finalized }: ForkchoiceUpdate,
): bigint | undefined {
  let lowest: bigint | undefined;
  for (const hash of [head, safe, finalized]) {
    const bound = isZeroHash(hash) ? undefined : boundOf(tree, own, hash);
    if (bound !== undefined && (lowest === undefined || bound < lowest)) lowest = bound;
  }
  return lowest;
}

function boundOf(tree: PayloadTree, own: BlockRef, hash: Uint8Array): bigint | undefined {
  if (tree.isConnected(hash)) {
    const isSame = tree.isOnBranch(hash, own.hash) || tree.isOnBranch(own.hash, hash);
    return isSame ? undefined : tree.shared(own.hash, hash).number;
  }
  const block = tree.get(hash);
  const root = tree.root!;
  // What ends below the root may lead up to it.
  if (!block || block.number < root.number) return undefined;
  let oldest = block;
  for (let next = tree.get(oldest.parentHash); next; next = tree.get(oldest.parentHash)) {
    // A branch that counts wrongly says nothing: it will be invalid.
    if (next.number !== oldest.number - 1n) return undefined;
    oldest = next;
  }
  const below = oldest.number - 1n;
  if (below > own.number) return undefined;
  // From the root on its parent is not ours, or it would be connected.
  return below < root.number ? below : below - 1n;
}
