/**
 * Superblocks out of batches.
 *
 * @module
 */
import type { NetworkProver, Superblock, SuperblockBlock } from "../proving.ts";
import type { BatchWindow, ProvableBatch } from "../superblock.ts";

/** The blocks of a batch, as a superblock holds them. */
export function superblockBlocks({ chainId, blocks }: ProvableBatch): SuperblockBlock[] {
  return blocks.map(({ slot, number, hash, parentHash }) => {
    return { chainId, slot, number, hash, parentHash: parentHash ?? new Uint8Array() };
  });
}

/**
 * What the first superblock of a chain follows: an empty one at the end of the window before, the same for
 * each sequencer. None before batch 0.
 */
export async function firstParent(
  { batchNumber, firstSlot, startsAt }: BatchWindow,
  prover: NetworkProver,
): Promise<Superblock | undefined> {
  if (batchNumber === 0n) return undefined;
  return await prover.seal({
    number: batchNumber - 1n,
    slot: firstSlot - 1n,
    parentHash: new Uint8Array(32),
    timestamp: startsAt,
  }, []);
}
