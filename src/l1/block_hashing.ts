/**
 * What the hashes of Ethereum are made with: RLP, keccak256, and the roots of the tries in a header.
 *
 * @module
 */
import { keccak, rlp, type RlpItem } from "./deps.ts";

/** RLP and keccak256, loaded. */
export interface BlockHashing {
  rlp(item: RlpItem): Uint8Array;
  /** 32 bytes. */
  keccak256(bytes: Uint8Array): Uint8Array;
}

/** Hashes are shorter than what they stand for, from this size on. */
const HASH_SIZE = 32;
const NONE = new Uint8Array();

let loading: Promise<BlockHashing> | undefined;

/** Loads it, once. */
export function blockHashing(): Promise<BlockHashing> {
  return loading ??= Promise.all([rlp(), keccak()]).then(([{ RLP }, { keccak_256 }]) => ({
    rlp: (item) => RLP.encode(item),
    keccak256: (bytes) => keccak_256(bytes),
  }));
}

/**
 * The root of the Merkle Patricia trie that holds each value under the RLP of its index: what a header
 * says of its transactions, receipts and withdrawals (yellow paper, appendix D).
 *
 * @param values of transactions their signed bytes, in block order
 * @returns 32 bytes
 */
export function orderedRoot(values: readonly Uint8Array[], hashing: BlockHashing): Uint8Array {
  const entries = values.map((value, index): Entry => ({ path: pathOf(index, hashing), value }));
  if (entries.length === 0) return hashing.keccak256(hashing.rlp(NONE));
  // No path begins another, as RLP tells its own length: a node below which there are many has no value.
  entries.sort((a, b) => comparePaths(a.path, b.path));
  return hashing.keccak256(hashing.rlp(nodeOf(entries, 0, hashing)));
}

/** A value, and the nibbles that lead to it. */
interface Entry {
  readonly path: Uint8Array;
  readonly value: Uint8Array;
}

/** The node above `entries`, which are sorted, and share their first `depth` nibbles. */
function nodeOf(entries: readonly Entry[], depth: number, hashing: BlockHashing): RlpItem {
  const first = entries[0]!;
  if (entries.length === 1) return [packed(first.path.subarray(depth), true), first.value];
  const shared = sharedLength(first.path, entries.at(-1)!.path);
  if (shared > depth) {
    const below = referenceTo(nodeOf(entries, shared, hashing), hashing);
    return [packed(first.path.subarray(depth, shared), false), below];
  }
  const branch: RlpItem[] = Array.from({ length: 17 }, () => NONE);
  for (let from = 0; from < entries.length;) {
    const nibble = entries[from]!.path[depth]!;
    let to = from + 1;
    while (to < entries.length && entries[to]!.path[depth] === nibble) to += 1;
    branch[nibble] = referenceTo(nodeOf(entries.slice(from, to), depth + 1, hashing), hashing);
    from = to;
  }
  return branch;
}

/** A node as it stands in the one above: itself where it is short, else its hash. */
function referenceTo(node: RlpItem, { rlp, keccak256 }: BlockHashing): RlpItem {
  const encoded = rlp(node);
  return encoded.length < HASH_SIZE ? node : keccak256(encoded);
}

function pathOf(index: number, { rlp }: BlockHashing): Uint8Array {
  const key = rlp(index);
  const path = new Uint8Array(2 * key.length);
  for (const [at, byte] of key.entries()) path.set([byte >> 4, byte & 15], 2 * at);
  return path;
}

/** Nibbles as bytes, behind a flag that says whether they are odd, and whether a value follows. */
function packed(nibbles: Uint8Array, isLeaf: boolean): Uint8Array {
  const isOdd = nibbles.length % 2;
  const bytes = new Uint8Array(1 + (nibbles.length - isOdd) / 2);
  bytes[0] = ((isLeaf ? 2 : 0) + isOdd) << 4 | (isOdd ? nibbles[0]! : 0);
  for (let at = 1; at < bytes.length; at++) {
    const from = 2 * at - 2 + isOdd;
    bytes[at] = nibbles[from]! << 4 | nibbles[from + 1]!;
  }
  return bytes;
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return length;
}

function comparePaths(a: Uint8Array, b: Uint8Array): number {
  const at = sharedLength(a, b);
  return (a[at] ?? 0) - (b[at] ?? 0);
}
