/**
 * Blocks of L2 by their timestamps: where derived blocks begin, which carry no numbers.
 *
 * @module
 */
import type { L2Block } from "../types.ts";
import { startsWith } from "../wire/bytes.ts";
import type { L2Head, L2Nodes } from "./l2_nodes.ts";

type Nodes = Pick<L2Nodes, "head" | "blocks">;

/** The first block that was derived, as far as it tells which one it is. */
export type FirstDerived = Pick<L2Block, "timestamp"> & { readonly parentCheck?: Uint8Array };

/**
 * Number of the block with the timestamp of `first`, and of several, the one whose parent's hash begins
 * with its `parentCheck`. Where L2 has none of that timestamp, the first that is newer.
 *
 * @returns `undefined` where all of L2 is older
 * @throws {RpcError}
 */
export async function blockAt(
  nodes: Nodes,
  { timestamp, parentCheck }: FirstDerived,
  head: L2Head,
): Promise<bigint | undefined> {
  const last = (await nodes.head(head)).number;
  let [low, high] = [1n, last + 1n];
  while (low < high) {
    const middle = (low + high) / 2n;
    if ((await blockOf(nodes, middle)).timestamp < timestamp) low = middle + 1n;
    else high = middle;
  }
  if (low > last) return undefined;
  if (!parentCheck?.some((byte) => byte !== 0)) return low;
  for (let number = low; number <= last; number++) {
    const block = await blockOf(nodes, number);
    if (block.timestamp > timestamp) break;
    if (startsWith(block.parentHash!, parentCheck)) return number;
  }
  return low;
}

/** The lowest block with the timestamp of block `number`: on some chains several have the same. */
export async function firstOfItsTime(nodes: Nodes, number: bigint): Promise<bigint> {
  const { timestamp } = await blockOf(nodes, number);
  let first = number;
  while (first > 1n && (await blockOf(nodes, first - 1n)).timestamp === timestamp) first -= 1n;
  return first;
}

async function blockOf(nodes: Nodes, number: bigint): Promise<L2Block> {
  const [read] = await nodes.blocks(number, 1);
  return read!.block;
}
