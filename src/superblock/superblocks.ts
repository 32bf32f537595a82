/**
 * Superblocks out of batches.
 *
 * @module
 */
import type { NetworkProver, RangeWork, Superblock, SuperblockBlock } from "../proving.ts";
import type { BatchWindow, ProvableBatch } from "../superblock.ts";

/**
 * What is proved of a batch: the blocks behind `start`, up to `end`. Nothing of a batch without blocks, nor of
 * the first block of a chain, which follows none.
 *
 * @param provenUpTo the last block of the batches before: what was never reported between them and this one
 * is proved with it, as a proof begins at the state in which the one before ended
 */
export function provenRange(
  { blocks }: ProvableBatch,
  provenUpTo?: bigint,
): Pick<RangeWork, "start" | "end"> | undefined {
  const [first, last] = [blocks[0]?.number, blocks.at(-1)?.number];
  if (first === undefined || last === undefined || last === 0n) return undefined;
  const before = first === 0n ? 0n : first - 1n;
  return {
    start: provenUpTo !== undefined && provenUpTo < before ? provenUpTo : before,
    end: last,
  };
}

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
