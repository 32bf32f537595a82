/**
 * Accounts of a state trie by the proofs of `eth_getProof` (EIP-1186): what a node says of an account is
 * held against the state root of a header.
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import { rlp } from "../l1/deps.ts";
import { type BlockHashing, blockHashing } from "../l1/block_hashing.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";

/** Which account, of which state. */
export interface AccountPlace {
  /** 32 bytes. */
  readonly stateRoot: Uint8Array;
  /** 20 bytes. */
  readonly address: Uint8Array;
}

/** Fields of an account in the trie: nonce, balance, storage root, code hash. */
const ACCOUNT_FIELDS = 4;
const STORAGE_ROOT = 2;
const BRANCH_ITEMS = 17;

/**
 * The storage root of an account; that of an empty trie where the proof says that there is no account.
 *
 * @param nodes of the trie from its root on, as `accountProof` lists them
 * @returns 32 bytes
 * @throws {CodecError} `InvalidHeader` where the nodes do not lead from the state root to the account
 */
export async function storageRootOf(
  { stateRoot, address }: AccountPlace,
  nodes: readonly Uint8Array[],
): Promise<Uint8Array> {
  const hashing = await blockHashing();
  const { RLP } = await rlp();
  const path = nibblesOf(hashing.keccak256(address));
  let [expected, depth] = [stateRoot, 0];
  for (const [at, node] of nodes.entries()) {
    if (!equalBytes(hashing.keccak256(node), expected)) {
      throw unproved(`node ${at} is not the one with hash ${toHex(expected)}`);
    }
    const items = listOf(RLP.decode(node), at);
    let next: unknown;
    if (items.length === BRANCH_ITEMS) {
      next = items[path[depth]!];
      depth += 1;
    } else {
      const { nibbles, isLeaf } = unpacked(items[0], at);
      const isOnPath = nibbles.every((nibble, index) => path[depth + index] === nibble);
      // The trie goes elsewhere here.
      if (!isOnPath) return emptyRoot(hashing);
      if (isLeaf) return storageRootIn(RLP.decode(bytesOf(items[1], at)), at);
      next = items[1];
      depth += nibbles.length;
    }
    const reference = bytesOf(next, at);
    if (reference.length === 0) return emptyRoot(hashing);
    expected = reference;
  }
  throw unproved(`it ends after ${nodes.length} nodes, above the account`);
}

function storageRootIn(account: unknown, at: number): Uint8Array {
  const fields = listOf(account, at);
  const root = fields.length === ACCOUNT_FIELDS ? bytesOf(fields[STORAGE_ROOT], at) : undefined;
  if (root?.length === 32) return root;
  throw unproved(`node ${at} holds no account`);
}

/** Nibbles behind the flag that says whether they are odd, and whether a value follows (yellow paper, C). */
function unpacked(packed: unknown, at: number): { nibbles: number[]; isLeaf: boolean } {
  const [flag = 0, ...nibbles] = nibblesOf(bytesOf(packed, at));
  const isOdd = (flag & 1) === 1;
  return { nibbles: isOdd ? nibbles : nibbles.slice(1), isLeaf: (flag & 2) === 2 };
}

function nibblesOf(bytes: Uint8Array): number[] {
  return [...bytes].flatMap((byte) => [byte >> 4, byte & 15]);
}

function emptyRoot({ keccak256, rlp }: BlockHashing): Uint8Array {
  return keccak256(rlp(new Uint8Array()));
}

function listOf(item: unknown, at: number): readonly unknown[] {
  if (Array.isArray(item)) return item;
  throw unproved(`node ${at} is no list`);
}

function bytesOf(item: unknown, at: number): Uint8Array {
  if (item instanceof Uint8Array) return item;
  throw unproved(`node ${at} holds a list in place of bytes`);
}

function unproved(why: string): CodecError {
  return new CodecError("InvalidHeader", `accountProof: ${why}`);
}
