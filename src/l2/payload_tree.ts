/**
 * Payloads as a tree. It stands on one block, the root, that is taken for granted; what leads down to it is
 * connected, all else waits for what is between.
 *
 * ```
 *            ┌ 12b                    beside the chosen chain
 * root 10 ── 11 ── 12a ── 13a         connected
 *                            15c      waits for 14c
 * ```
 *
 * @module
 */
import type { BlockRef, PayloadEnvelope } from "../engine.ts";
import { toHex } from "../wire/hex.ts";

/** What a block takes in memory besides its transactions; some 3.4 KB were measured. */
export const BYTES_PER_BLOCK = 4096;

/** A block of the tree. */
export interface TreeBlock extends BlockRef {
  readonly envelope: PayloadEnvelope;
  readonly parentHash: Uint8Array;
  /** Where the journal has it. */
  readonly sequence: bigint;
  /** Of its transactions, and {@link BYTES_PER_BLOCK}. */
  readonly bytes: number;
  /** Whether it leads down to the root. */
  isConnected: boolean;
  /** Whether it was called valid; what was once is for ever. */
  isValid: boolean;
}

/** Blocks by their hashes, on a root. */
export class PayloadTree {
  readonly #blocks = new Map<string, TreeBlock>();
  /** By the hash of their parent, whether that is there or not. */
  readonly #children = new Map<string, TreeBlock[]>();
  #root: BlockRef | undefined;
  #bytes = 0;
  #waiting = 0;

  /** The block that all connected ones lead to; it may have a payload itself. */
  get root(): BlockRef | undefined {
    return this.#root;
  }

  /** Blocks in hand. */
  get size(): number {
    return this.#blocks.size;
  }

  /** What they take, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many of them do not lead to the root. */
  get waiting(): number {
    return this.#waiting;
  }

  /** All blocks, in the order in which they came. */
  blocks(): Iterable<TreeBlock> {
    return this.#blocks.values();
  }

  get(hash: Uint8Array): TreeBlock | undefined {
    return this.#blocks.get(toHex(hash));
  }

  children(hash: Uint8Array): readonly TreeBlock[] {
    return this.#children.get(toHex(hash)) ?? [];
  }

  /** Whether a block leads to the root, or is it. */
  isConnected(hash: Uint8Array): boolean {
    return this.#isRoot(toHex(hash)) || this.get(hash)?.isConnected === true;
  }

  /** Number of a block that is connected, or is the root. */
  numberOf(hash: Uint8Array): bigint | undefined {
    if (this.#isRoot(toHex(hash))) return this.#root!.number;
    const block = this.get(hash);
    return block?.isConnected ? block.number : undefined;
  }

  /** Adds a block that is not there yet, and connects what waited for it. */
  add(envelope: PayloadEnvelope, sequence: bigint): TreeBlock {
    const { blockNumber: number, blockHash: hash, parentHash, transactions } = envelope.payload;
    const bytes = transactions.reduce((sum, { length }) => sum + length, BYTES_PER_BLOCK);
    const state = { isConnected: false, isValid: false };
    const block: TreeBlock = { number, hash, parentHash, envelope, sequence, bytes, ...state };
    this.#blocks.set(toHex(hash), block);
    const siblings = this.#children.get(toHex(parentHash));
    if (siblings) siblings.push(block);
    else this.#children.set(toHex(parentHash), [block]);
    this.#bytes += bytes;
    this.#waiting += 1;
    if (this.isConnected(parentHash)) this.#connectAbove(parentHash);
    return block;
  }

  /** Puts the tree on another block: what does not lead there waits from then on. */
  setRoot(root: BlockRef): void {
    this.#root = root;
    for (const block of this.#blocks.values()) block.isConnected = false;
    this.#waiting = this.#blocks.size;
    const own = this.get(root.hash);
    if (own) this.#connect(own);
    this.#connectAbove(root.hash);
  }

  /** The oldest block in hand below `block`, or itself. */
  oldestBelow(block: TreeBlock): TreeBlock {
    let oldest = block;
    for (let next = this.get(oldest.parentHash); next; next = this.get(oldest.parentHash)) {
      oldest = next;
    }
    return oldest;
  }

  /** Whether `below` is `block`, or one that it follows. Both are connected, or the root. */
  isOnBranch(below: Uint8Array, block: Uint8Array): boolean {
    const number = this.numberOf(below);
    if (number === undefined) return false;
    const at = this.at(block, number);
    return at !== undefined && toHex(at) === toHex(below);
  }

  /** Hash of the block `number` on the branch that ends with `block`, down to the root. */
  at(block: Uint8Array, number: bigint): Uint8Array | undefined {
    let [hash, at] = [block, this.numberOf(block)];
    if (at === undefined || number > at || number < this.#root!.number) return undefined;
    for (; at > number; at--) hash = this.get(hash)!.parentHash;
    return hash;
  }

  /** What follows `below` up to `block`; `undefined` where it does not. */
  path(below: BlockRef, block: Uint8Array): readonly TreeBlock[] | undefined {
    if (!this.isOnBranch(below.hash, block)) return undefined;
    const blocks: TreeBlock[] = [];
    for (let hash = block; toHex(hash) !== toHex(below.hash);) {
      const next = this.get(hash)!;
      blocks.push(next);
      hash = next.parentHash;
    }
    return blocks.reverse();
  }

  /** The newest block that two branches share. Both are connected. */
  shared(one: Uint8Array, other: Uint8Array): BlockRef {
    const [a, b] = [this.numberOf(one)!, this.numberOf(other)!];
    let number = a < b ? a : b;
    let [left, right] = [this.at(one, number)!, this.at(other, number)!];
    while (toHex(left) !== toHex(right)) {
      [left, right] = [this.get(left)!.parentHash, this.get(right)!.parentHash];
      number -= 1n;
    }
    return { number, hash: left };
  }

  /** Makes a connected block the root, and lets go of all that does not follow it. */
  prune(root: BlockRef): void {
    this.setRoot(root);
    const gone = [...this.#blocks.values()].filter(({ isConnected, number }) =>
      !isConnected && number <= root.number
    );
    for (const block of gone) {
      gone.push(...this.children(block.hash).filter(({ isConnected }) => !isConnected));
      this.#remove(block);
    }
  }

  /** Lets go of a block, and of all that follows it. */
  removeBranch(block: TreeBlock): TreeBlock[] {
    const removed = [block];
    for (const each of removed) {
      removed.push(...this.children(each.hash));
      this.#remove(each);
    }
    return removed;
  }

  #remove(block: TreeBlock): void {
    if (!this.#blocks.delete(toHex(block.hash))) return;
    this.#bytes -= block.bytes;
    if (!block.isConnected) this.#waiting -= 1;
    const parent = toHex(block.parentHash);
    const siblings = this.#children.get(parent)!.filter((each) => each !== block);
    if (siblings.length > 0) this.#children.set(parent, siblings);
    else this.#children.delete(parent);
  }

  #connectAbove(hash: Uint8Array): void {
    const open = [...this.children(hash)];
    for (let block = open.pop(); block; block = open.pop()) {
      if (block.isConnected) continue;
      this.#connect(block);
      open.push(...this.children(block.hash));
    }
  }

  #connect(block: TreeBlock): void {
    block.isConnected = true;
    this.#waiting -= 1;
  }

  #isRoot(key: string): boolean {
    return this.#root !== undefined && toHex(this.#root.hash) === key;
  }
}
