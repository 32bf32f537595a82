/**
 * L2 blocks from a consensus client, which takes this for an execution client: what it hands over through
 * the Engine API, on the branch that it chooses, up to the head that is followed.
 *
 * @module
 */
import {
  type BlockRef,
  type ForkchoiceUpdate,
  type PayloadEnvelope,
  type PayloadJournal,
  type PayloadStatus,
} from "../engine.ts";
import { SourceError } from "../errors.ts";
import type { OriginL1 } from "../local/inbox.ts";
import type { BatchSource, Log } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { isDeposit, l1BlockOf } from "./deposits.ts";
import { type L1Attributes, originOf } from "./l1_attributes.ts";
import type { NewPayload } from "./payload.ts";
import { sharedAtMost } from "./other_branch.ts";
import { PayloadChain } from "./payload_chain.ts";
import type { TreeBlock } from "./payload_tree.ts";
import { takenRef } from "./taken_block.ts";

/** Transactions after which one call of `pendingBlocks()` returns. */
const BYTES_PER_CALL = 8 * 2 ** 20;
const BLOCKS_PER_CALL = 1000;
/** Blocks that are both final and taken before a record is written that lets go of them. */
const PRUNE_EVERY_BLOCKS = 64n;
/** A reorganisation that is followed though half of the room is taken by blocks that are not final. */
const DEEPEST_WITHOUT_FINALITY = 64n;
/** Of payloads that are held: days of a busy chain. */
export const MAX_HELD_BYTES: number = 2 ** 30;

/** What a source is made of. */
export interface EngineApiSourceOptions {
  /** Where payloads are before they are answered. */
  readonly journal: PayloadJournal;
  /** The L1 that batches refer to. */
  readonly l1: OriginL1;
  /** How far it follows; `unsafe`, which is the head, unless told. */
  readonly head?: "unsafe" | "safe" | "finalized";
  /** The first block to give, where nothing was taken yet: the first that comes, unless told. */
  readonly startBlock?: bigint;
  /** What earlier runs took, the end of it, oldest first: what follows is given. */
  readonly taken?: readonly L2Block[];
  /** {@link MAX_HELD_BYTES} unless told; above it payloads are refused, to come again later. */
  readonly maxHeldBytes?: number;
  readonly log?: Log;
}

/**
 * Takes blocks from a consensus client. A payload is in the journal before it is answered; it leaves it when
 * it is final, and taken for good. A reorganisation of what was given is an error of the kind `reset`; who
 * drops what is above the block that it names, and calls {@link EngineApiSource.rewind}, is given the other
 * way. `serveEngine()` puts it behind a port.
 *
 * `VALID` says here that a payload is what its hash says, and where: nothing is executed. So a consensus
 * client that has this for its only execution client follows whatever it is given.
 *
 * @example
 * ```ts
 * import {
 *   EngineApiSource,
 *   MemoryL1,
 *   MemoryPayloadJournal,
 *   parseNewPayload,
 *   payloadHash,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const source = await EngineApiSource.open({
 *   journal: new MemoryPayloadJournal(), // Or LogPayloadJournal, which outlives a crash.
 *   l1: new MemoryL1(),
 *   head: "unsafe",
 * });
 * const zeros = (bytes: number) => `0x${"00".repeat(bytes)}`;
 * const json = {
 *   ...{ parentHash: zeros(32), feeRecipient: zeros(20), stateRoot: zeros(32) },
 *   ...{ receiptsRoot: zeros(32), logsBloom: zeros(256), prevRandao: zeros(32) },
 *   ...{ blockNumber: "0x7", gasLimit: "0x5208", gasUsed: "0x0", timestamp: "0x1" },
 *   ...{ extraData: "0x", baseFeePerGas: "0x7", blockHash: zeros(32), transactions: ["0x02"] },
 * };
 * const { envelope } = parseNewPayload(1, [json]);
 * const head = await payloadHash(envelope);
 * const payload = { ...envelope.payload, blockHash: head };
 *
 * const { status } = await source.newPayload({ envelope: { payload } });
 * if (status !== "VALID") throw new Error("its hash is right");
 * await source.forkchoiceUpdated({ head, safe: new Uint8Array(32), finalized: new Uint8Array(32) });
 * const [block] = await source.pendingBlocks();
 * if (block?.number !== 7n) throw new Error("it was chosen");
 * await source.close();
 * ```
 */
export class EngineApiSource implements BatchSource {
  /** Nobody knows when a consensus client has given all: whoever looks for a block waits. */
  readonly isExhausted = false;
  readonly #chain: PayloadChain;
  readonly #options: EngineApiSourceOptions;
  readonly #log: Log;
  /** The last block that was given, in this run or before. */
  #given: BlockRef | undefined;
  /** The last block that is surely taken: who asks again has written down what came before. */
  #taken: BlockRef | undefined;
  /** The first block that the caller can have kept. */
  #first: bigint | undefined;
  #firstParent: Uint8Array | undefined;
  #origin: L1Attributes | undefined;
  #depositsLeftOut = 0;

  private constructor(chain: PayloadChain, options: EngineApiSourceOptions) {
    this.#chain = chain;
    this.#options = options;
    this.#log = options.log ?? (() => {});
  }

  /**
   * Opens a source, with what the journal holds.
   *
   * @throws {SourceError} `InvalidBlock` where what was taken has no numbers and hashes
   * @throws {WalError} what reading the journal throws
   */
  static async open(options: EngineApiSourceOptions): Promise<EngineApiSource> {
    const { journal, log = () => {}, startBlock, maxHeldBytes = MAX_HELD_BYTES } = options;
    const taken = (options.taken ?? []).map(takenRef);
    const parts = { journal, log, startBlock, maxHeldBytes };
    const chain = await PayloadChain.open(parts, taken.at(-1));
    const source = new EngineApiSource(chain, options);
    source.#given = source.#taken = taken.at(-1);
    source.#first = taken[0]?.number;
    return source;
  }

  /** The block of the head that was chosen last, or of another; `undefined` where it is not in hand. */
  block(tag: "latest" | "safe" | "finalized" | bigint | Uint8Array): PayloadEnvelope | undefined {
    const { tree, forkchoice } = this.#chain;
    const hash = tag instanceof Uint8Array
      ? tag
      : typeof tag === "bigint"
      ? forkchoice && tree.at(forkchoice.head, tag)
      : forkchoice?.[tag === "latest" ? "head" : tag];
    return hash && tree.get(hash)?.envelope;
  }

  /** Number of the head that was chosen last. */
  get headNumber(): bigint | undefined {
    const { tree, forkchoice } = this.#chain;
    return forkchoice && tree.numberOf(forkchoice.head);
  }

  /** Transactions that L1 made, and that were left out. */
  get depositsLeftOut(): number {
    return this.#depositsLeftOut;
  }

  /** Payloads in hand. */
  get heldPayloads(): number {
    return this.#chain.tree.size;
  }

  /**
   * Takes a payload; resolves when it would survive a crash.
   *
   * @throws {EngineError} `UnsupportedFork`, `Unavailable`
   */
  newPayload(payload: NewPayload): Promise<PayloadStatus> {
    return this.#chain.newPayload(payload);
  }

  /**
   * Takes a choice of a branch; resolves when it would survive a crash.
   *
   * @throws {EngineError} `InvalidForkchoice`, `Unavailable`
   */
  async forkchoiceUpdated(state: ForkchoiceUpdate): Promise<PayloadStatus> {
    const status = await this.#chain.choose(state);
    await this.#prune();
    return status;
  }

  /**
   * @throws {SourceError} `Reorganised` where blocks that were given are not on the chosen branch:
   * `details.block` is the last that both share
   * @throws {WalError} where the journal failed for good: no more payloads are taken
   */
  async pendingBlocks(): Promise<readonly L2Block[]> {
    if (this.#chain.failure) throw this.#chain.failure;
    this.#taken = this.#given;
    const blocks = this.#next();
    const given = blocks.map(({ envelope: { payload } }): L2Block => ({
      number: payload.blockNumber,
      hash: payload.blockHash,
      parentHash: payload.parentHash,
      timestamp: payload.timestamp,
      transactions: payload.transactions.filter((each) => !isDeposit(each)),
    }));
    const [first, last] = [blocks[0], blocks.at(-1)];
    if (first && last) {
      this.#first ??= first.number;
      this.#firstParent ??= first.parentHash;
      this.#given = { number: last.number, hash: last.hash };
      this.#origin = await l1BlockOf(last.envelope.payload.transactions) ?? this.#origin;
      this.#tellDeposits(blocks);
    }
    await this.#prune();
    return given;
  }

  /**
   * Gives again what follows block `number` of what was given; where that is below all of it, it begins anew.
   *
   * @throws {SourceError} `Gap` where that is not in hand any more
   */
  rewind(number: bigint): void {
    const { tree } = this.#chain;
    if (this.#given === undefined || number >= this.#given.number) return;
    this.#origin = undefined;
    if (number < this.#first!) {
      this.#given =
        this.#taken =
        this.#first =
        this.#firstParent =
          undefined;
      return;
    }
    const hash = tree.at(this.#given.hash, number);
    if (hash === undefined) {
      throw new SourceError(
        "Gap",
        `Cannot give again what follows block ${number}: the oldest block here is ${tree.root?.number}; ` +
          "bring the consensus client back to the chain with that block, or begin with another --data-dir",
        { details: { block: number } },
      );
    }
    this.#given = this.#taken = { number, hash };
  }

  /**
   * Of a chain of the OP stack what its newest given block names, or the newest that is final on L1, if
   * that is older; of others that one.
   */
  async l1Origin(): Promise<bigint> {
    const final = await this.#options.l1.head("safe");
    const payload = this.#given && this.#chain.tree.get(this.#given.hash)?.envelope.payload;
    this.#origin ??= payload && await l1BlockOf(payload.transactions);
    return originOf(this.#origin, final);
  }

  async l1OriginHash(number: bigint): Promise<Uint8Array> {
    return (await this.#options.l1.block(number)).hash;
  }

  parentHash(): Promise<Uint8Array> {
    return Promise.resolve(this.#firstParent ?? new Uint8Array(32));
  }

  /** Answers no more; resolves when nothing is under way. The journal is the caller's to close. */
  async close(): Promise<void> {
    await this.#chain.close();
  }

  /** What follows the last given block on the branch that was chosen, as far as one call gives. */
  #next(): readonly TreeBlock[] {
    this.#mustNotBeElsewhere();
    const { tree, forkchoice } = this.#chain;
    const target = forkchoice?.[TARGETS[this.#options.head ?? "unsafe"]];
    // A safe block may be older than a final one, which the tree begins with.
    if (target === undefined || !tree.isConnected(target)) return [];
    const from = this.#given ?? tree.root!;
    const path = tree.path(from, target);
    if (path === undefined) return this.#stepBack(from, target);
    const end = this.#sharedAtMost({ number: tree.numberOf(target)!, hash: target });
    const wanted = path.filter(({ number }) =>
      (this.#given || this.#isWanted(number)) && (end === undefined || number <= end)
    );
    let bytes = 0;
    const count = wanted.findIndex((block, index) => {
      const isOver = index >= BLOCKS_PER_CALL ||
        (index > 0 && bytes + block.bytes > BYTES_PER_CALL);
      bytes += block.bytes;
      return isOver;
    });
    return count < 0 ? wanted : wanted.slice(0, count);
  }

  #isWanted(number: bigint): boolean {
    return number >= (this.#options.startBlock ?? number);
  }

  /** Nothing new where the head only stepped back: the other way shows when there is one. */
  #stepBack(given: BlockRef, target: Uint8Array): readonly TreeBlock[] {
    const { tree } = this.#chain;
    if (tree.isOnBranch(target, given.hash)) return [];
    // What was given is in hand, or the root, as long as it is not final.
    const shared = tree.shared(given.hash, target);
    throw this.#reorganised(given, shared.number);
  }

  /** Of a branch, the last block that what was chosen last can still hold, where that is not all. */
  #sharedAtMost(own: BlockRef): bigint | undefined {
    const { tree, notFollowed } = this.#chain;
    return notFollowed && sharedAtMost(tree, own, notFollowed);
  }

  /** Whether the first block of all was given in this run. */
  get #hasBegun(): boolean {
    return this.#first !== undefined && !this.#options.taken?.length;
  }

  /** What was chosen last may never lead down to what was given: that shows before all of it is here. */
  #mustNotBeElsewhere(): void {
    const { root } = this.#chain.tree;
    const own = this.#given ?? root;
    const shared = own && this.#sharedAtMost(own);
    if (shared === undefined) return;
    if (this.#given) throw this.#reorganised(this.#given, shared);
    if (shared < root!.number) this.#chain.beginAnew();
  }

  #reorganised(given: BlockRef, shared: bigint): SourceError {
    // Below the first block of all nothing was taken.
    const before = this.#hasBegun ? this.#first! - 1n : shared;
    const ancestor = shared < before ? before : shared;
    const depth = given.number - ancestor;
    this.#log({ event: "l2.reorganised", ancestor, depth });
    return new SourceError(
      "Reorganised",
      `L2 was reorganised: ${depth} blocks above block ${ancestor} that were taken are no more, ` +
        `block ${given.number} was ${toHex(given.hash)}`,
      { details: { block: ancestor, depth } },
    );
  }

  /** What is final and taken is never asked for again. */
  async #prune(): Promise<void> {
    const { tree } = this.#chain;
    const head = this.#chain.forkchoice?.head;
    const number = this.#doneWith();
    if (!head || !this.#taken || number < tree.root!.number + PRUNE_EVERY_BLOCKS) return;
    const hash = tree.at(head, number);
    const own = tree.at(this.#taken.hash, number);
    if (hash === undefined || own === undefined || !equalBytes(hash, own)) return;
    // It only gives room back; where the journal fails for good, `pendingBlocks()` says so.
    await this.#chain.prune({ number, hash }).catch(() => {});
  }

  /** Number of the last block that nobody needs. */
  #doneWith(): bigint {
    const { tree, forkchoice } = this.#chain;
    const { maxHeldBytes = MAX_HELD_BYTES } = this.#options;
    if (!this.#taken) return -1n;
    const final = forkchoice?.finalized && tree.numberOf(forkchoice.finalized);
    // A chain without finality must not fill the house.
    const isCrowded = tree.bytes > maxHeldBytes / 2;
    const deep = isCrowded ? this.#taken.number - DEEPEST_WITHOUT_FINALITY : -1n;
    const last = final !== undefined && final > deep ? final : deep;
    return last < this.#taken.number ? last : this.#taken.number;
  }

  #tellDeposits(blocks: readonly TreeBlock[]): void {
    const deposits = blocks.reduce(
      (sum, { envelope: { payload } }) => sum + payload.transactions.filter(isDeposit).length,
      0,
    );
    if (deposits === 0) return;
    this.#depositsLeftOut += deposits;
    const [firstBlock, lastBlock] = [blocks[0]!.number, blocks.at(-1)!.number];
    this.#log({ event: "deposits.left_out", firstBlock, lastBlock, deposits });
  }
}

const TARGETS = { unsafe: "head", safe: "safe", finalized: "finalized" } as const;
