/**
 * Hashes of superblocks, as superblock-prover makes them (`lib/src/lib.rs`):
 *
 * - leaf = keccak(chain id ‖ block hash ‖ number, 8 bytes), in the order of the chain ids' bytes
 * - node = keccak(left ‖ right), the last one doubled where they are odd; without blocks: zeros
 * - hash = keccak(number, 8 bytes ‖ slot, 8 bytes ‖ parent hash ‖ merkle root)
 *
 * @module
 */
import { keccak } from "../l1/deps.ts";
import type { Superblock, SuperblockBlock, SuperblockHeader } from "../proving.ts";

/** A superblock with its merkle root and its hash; its blocks in their order. */
export async function sealSuperblock(
  header: SuperblockHeader,
  blocks: readonly SuperblockBlock[],
): Promise<Superblock> {
  const ordered = [...blocks].sort(inOrder);
  const merkleRoot = await merkleRootOf(ordered);
  return { ...header, blocks: ordered, merkleRoot, hash: await hashOf({ ...header, merkleRoot }) };
}

/** Root of blocks in the order in which they are given. */
export async function merkleRootOf(blocks: readonly SuperblockBlock[]): Promise<Uint8Array> {
  const { keccak_256 } = await keccak();
  let level = blocks.map(({ chainId, hash, number }) =>
    keccak_256(joined(chainIdBytes(chainId), hash, u64(number)))
  );
  if (level.length === 0) return new Uint8Array(32);
  while (level.length > 1) {
    const pairs = Math.ceil(level.length / 2);
    level = Array.from({ length: pairs }, (_, at) => {
      const left = level[2 * at]!;
      return keccak_256(joined(left, level[2 * at + 1] ?? left));
    });
  }
  return level[0]!;
}

/** Hash of a header, whatever blocks it has. */
export async function hashOf(
  { number, slot, parentHash, merkleRoot }: SuperblockHeader & Pick<Superblock, "merkleRoot">,
): Promise<Uint8Array> {
  const { keccak_256 } = await keccak();
  return keccak_256(joined(u64(number), u64(slot), parentHash, merkleRoot));
}

/** By the bytes of the chain's id, as texts are; then by number. */
export function inOrder(one: SuperblockBlock, other: SuperblockBlock): number {
  const [left, right] = [chainIdBytes(one.chainId), chainIdBytes(other.chainId)];
  const at = left.findIndex((byte, index) => byte !== right[index]);
  if (at >= 0) return left[at]! - (right[at] ?? -1);
  return left.length - right.length || Number(one.number - other.number);
}

/** Big-endian, without leading zeros: how the publisher has it. */
export function chainIdBytes(chainId: bigint): Uint8Array {
  const digits = chainId.toString(16);
  const text = digits.padStart(digits.length + digits.length % 2, "0");
  return Uint8Array.from(text.match(/../g)!, (byte) => parseInt(byte, 16));
}

function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
