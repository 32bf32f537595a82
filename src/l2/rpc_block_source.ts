/**
 * L2 blocks from execution clients by JSON-RPC: each block checked against its hash, each hash against the
 * block that follows.
 *
 * @module
 */
import { MontanaError, RpcError, SourceError } from "../errors.ts";
import type { JsonRpc } from "../ethereum.ts";
import { BlockMarks } from "../l1/block_marks.ts";
import type { OriginL1 } from "../local/inbox.ts";
import type { BatchSource, Clock, Log, Random } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { BlocksAhead } from "./blocks_ahead.ts";
import { type L1Attributes, originOf } from "./l1_attributes.ts";
import { type L2Chain, type L2Head, L2Nodes } from "./l2_nodes.ts";
import type { NodeBlock, NodeHeader } from "./node_block.ts";
import { takenRef } from "./taken_block.ts";

/** Bytes of blocks that are read ahead, and of answers that are awaited. */
export const PREFETCH_BYTES: number = 32 * 2 ** 20;
/** Between two looks at the head, where nothing is behind it. */
const POLL_INTERVAL_MS = 500;
/** Transactions after which one call of `pendingBlocks()` returns. */
const BYTES_PER_CALL = 8 * 2 ** 20;
/** A node that tells of a block and does not have it may be many machines: so often it is looked at again. */
const MAX_MISSES = 20;
/** Blocks whose hashes are remembered: a reorganisation that goes deeper stops the batcher. */
const REMEMBERED_BLOCKS = 10_000;

/** Where blocks come from, and which. */
export interface RpcBlockSourceOptions {
  /** Nodes of one chain, the preferred one first. */
  readonly endpoints: readonly JsonRpc[];
  /** The L1 that batches refer to. */
  readonly l1: OriginL1;
  readonly clock: Clock;
  readonly random: Random;
  /** Which chain it must be; that of the first node which answers, unless told. */
  readonly chainId?: bigint;
  /** Hash of its block 0; that of the first node which answers, unless told. */
  readonly genesisHash?: Uint8Array;
  /** Is told of the chain once it is known, before anything is given: who goes on later has to tell it. */
  readonly onChain?: (chain: L2Chain) => Promise<void>;
  /** How far it follows; `unsafe`, which is the newest block, unless told. */
  readonly head?: L2Head;
  /** The first block to give, where nothing was taken yet; 1 unless told, as block 0 is the genesis. */
  readonly startBlock?: bigint;
  /** What earlier runs took, the end of it, oldest first: what follows is given. */
  readonly taken?: readonly L2Block[];
  /** Goes on with blocks that come later; else it ends with the head as it is at the first look. */
  readonly follow?: boolean;
  /**
   * Takes the nodes' word for the hash and the transactions root of a header, for chains whose headers are
   * made otherwise: what a node leaves out is then not seen. Transactions still have their hashes.
   */
  readonly trustsHashes?: boolean;
  /** Time between two looks at the head, where it is reached; 500 unless told. */
  readonly pollIntervalMs?: number;
  /** {@link PREFETCH_BYTES} unless told. */
  readonly prefetchBytes?: number;
  readonly log?: Log;
}

/**
 * Follows an L2 chain. A reorganisation of what was given is an error of the kind `reset`; who drops what
 * is above the block that it names, and calls {@link RpcBlockSource.rewind}, is given the other way.
 *
 * @example
 * ```ts
 * import {
 *   HttpJsonRpc,
 *   MemoryL1,
 *   RpcBlockSource,
 *   systemClock as clock,
 *   systemRandom as random,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const source = new RpcBlockSource({
 *   endpoints: [new HttpJsonRpc({ url: "http://127.0.0.1:1/", clock })],
 *   l1: new MemoryL1(),
 *   clock,
 *   random,
 *   head: "safe",
 *   startBlock: 1000n,
 * });
 * const error = await source.pendingBlocks().then(undefined, (error) => error);
 * if (!error.isRetryable) throw new Error("nobody answers there, which may change");
 * await source.close();
 * ```
 */
export class RpcBlockSource implements BatchSource {
  readonly #nodes: L2Nodes;
  readonly #options: RpcBlockSourceOptions;
  readonly #log: Log;
  readonly #ahead: BlocksAhead;
  /** Blocks that were given, by this run or before it. */
  #marks: BlockMarks;
  /** The block to give next. */
  #next: bigint;
  #head: NodeHeader | undefined;
  /** The node that gave the newest block. */
  #giver: JsonRpc | undefined;
  /** When the nodes last told where the head is. */
  #lookedAtMs = -Infinity;
  /** The last block to give, where it does not follow. */
  #last: bigint | undefined;
  /** Looks in a row at which the next block was not there. */
  #misses = 0;
  #firstParent: Uint8Array | undefined;
  #origin: L1Attributes | undefined;
  #depositsLeftOut = 0;

  /** @throws {SourceError} `InvalidBlock` where what was taken has no numbers and hashes */
  constructor(options: RpcBlockSourceOptions) {
    const { startBlock = 1n, taken = [], prefetchBytes = PREFETCH_BYTES } = options;
    this.#nodes = new L2Nodes(options);
    this.#options = options;
    this.#log = options.log ?? (() => {});
    this.#marks = new BlockMarks(REMEMBERED_BLOCKS, taken.map(takenRef));
    this.#next = this.#marks.top ? this.#marks.top.number + 1n : startBlock;
    this.#ahead = new BlocksAhead({
      read: (first, count) => {
        const known = { head: this.#head?.number, parent: this.#hashBefore(first) };
        return this.#nodes.blocks(first, count, known);
      },
      maxBytes: prefetchBytes,
    });
  }

  /** Number of the last block that the nodes had at the last look. */
  get headNumber(): bigint | undefined {
    return this.#head?.number;
  }

  /** Transactions that L1 made, and that were left out. */
  get depositsLeftOut(): number {
    return this.#depositsLeftOut;
  }

  get blocksLeft(): number {
    const head = this.#head?.number ?? -1n;
    const last = this.#last !== undefined && this.#last < head ? this.#last : head;
    return last < this.#next ? 0 : Number(last - this.#next) + 1;
  }

  get isExhausted(): boolean {
    return !this.#options.follow && this.#last !== undefined && this.#next > this.#last;
  }

  /**
   * @throws {SourceError} `Connection` where no node can be asked, or each says what cannot be; `Empty`
   * where the nodes are behind what was taken; `InvalidBlock` for blocks of which something is not known
   * here; `Reorganised` where blocks that were given are no more: `details.block` is the last that both
   * ways share; `Changed` where none is known to be
   */
  async pendingBlocks(): Promise<readonly L2Block[]> {
    if (this.isExhausted) return [];
    try {
      if (this.#isDue()) await this.#look();
      const left = this.blocksLeft;
      if (left === 0) return [];
      const last = this.#next + BigInt(left) - 1n;
      const read = await this.#ahead.take(this.#next, last, BYTES_PER_CALL);
      if (read.length === 0) this.#miss();
      else this.#misses = 0;
      return await this.#give(read);
    } catch (error) {
      // It may be another one by now.
      this.#forgetHead();
      throw asSourceError(error);
    }
  }

  /** Gives again what follows block `number`. */
  rewind(number: bigint): void {
    this.#ahead.clear();
    this.#marks = this.#marks.upTo(number);
    this.#next = number + 1n;
    this.#last = this.#origin = undefined;
    this.#forgetHead();
  }

  /**
   * Of a chain of the OP stack what its newest given block names, or the newest that is final on L1, if
   * that is older; of others that one.
   */
  async l1Origin(): Promise<bigint> {
    const final = await this.#options.l1.head("safe");
    return originOf(await this.#newestOrigin(), final);
  }

  async l1OriginHash(number: bigint): Promise<Uint8Array> {
    return (await this.#options.l1.block(number)).hash;
  }

  parentHash(): Promise<Uint8Array> {
    return Promise.resolve(this.#firstParent ?? new Uint8Array(32));
  }

  /** Resolves when nothing is asked any more. */
  async close(): Promise<void> {
    await this.#ahead.stop();
  }

  /** Where it is known already. */
  #hashBefore(number: bigint): Uint8Array | undefined {
    const { top } = this.#marks;
    return top?.number === number - 1n ? top.hash : undefined;
  }

  #isDue(): boolean {
    if (this.#head && this.#next <= this.#head.number) return false;
    const { clock, pollIntervalMs = POLL_INTERVAL_MS } = this.#options;
    return clock.now() - this.#lookedAtMs >= pollIntervalMs;
  }

  #forgetHead(): void {
    this.#head = undefined;
    this.#lookedAtMs = -Infinity;
  }

  /** The head is told, and the block that leads to it is not there: it is looked for again by and by. */
  #miss(): void {
    const head = this.#head?.number;
    this.#misses += 1;
    this.#head = undefined;
    if (this.#misses < MAX_MISSES) return;
    throw new SourceError(
      "Connection",
      `Cannot take L2 block ${this.#next} from ${this.#nodes.name}: there is none, though the head was ` +
        `block ${head} at ${this.#misses} looks in a row`,
      { details: { block: this.#next } },
    );
  }

  /** Where the head is, and whether what was given still leads to it. */
  async #look(): Promise<void> {
    const head = await this.#nodes.head(this.#options.head ?? "unsafe");
    this.#head = head;
    this.#lookedAtMs = this.#options.clock.now();
    if (!this.#options.follow) this.#last ??= head.number;
    const { top, bottom } = this.#marks;
    if (!top || head.number > top.number) return;
    if (head.number < bottom!.number) {
      throw new SourceError(
        "Empty",
        `Cannot take L2 blocks from ${this.#nodes.name}: the head there is block ${head.number}, and ` +
          `blocks up to ${top.number} were taken; it may have to catch up`,
        { details: { head: head.number, taken: top.number } },
      );
    }
    // A node that is behind has the same blocks.
    if (!equalBytes(this.#marks.hashOf(head.number) ?? head.hash, head.hash)) {
      await this.#stepBack(head);
    }
    this.#nodes.settle();
  }

  async #give(read: readonly NodeBlock[]): Promise<readonly L2Block[]> {
    const blocks: L2Block[] = [];
    let deposits = 0;
    for (const each of read) {
      const { top } = this.#marks;
      if (top && !equalBytes(each.block.parentHash, top.hash)) {
        this.#ahead.clear();
        // What stands before it is given first.
        if (blocks.length > 0) break;
        await this.#stepBack(each);
      }
      this.#firstParent ??= each.block.parentHash;
      this.#marks.push({ number: each.number, hash: each.hash });
      this.#origin = each.l1Attributes ?? this.#origin;
      this.#next = each.number + 1n;
      this.#giver = each.from;
      deposits += each.deposits;
      blocks.push(each.block);
    }
    if (blocks.length > 0) this.#nodes.settle();
    this.#depositsLeftOut += deposits;
    if (deposits > 0) {
      const [firstBlock, lastBlock] = [blocks[0]!.number!, blocks.at(-1)!.number!];
      this.#log({ event: "deposits.left_out", firstBlock, lastBlock, deposits });
    }
    return blocks;
  }

  /** Finds where the ways part. @throws {SourceError} `Reorganised`, `Changed` or `Connection`, always */
  async #stepBack(seen: { readonly number: bigint; readonly hash: Uint8Array }): Promise<never> {
    const top = this.#marks.top!;
    const bottom = this.#marks.bottom!;
    this.#ahead.clear();
    const { shared, endpoint } = await this.#nodes.parting(this.#marks, this.#giver);
    if (shared?.number === top.number) {
      throw new SourceError(
        "Connection",
        `Cannot take L2 block ${seen.number} (${
          toHex(seen.hash)
        }) from ${this.#nodes.name}: it does ` +
          `not follow block ${top.number} (${toHex(top.hash)}), which is there too`,
        { details: { block: seen.number } },
      );
    }
    if (!shared && this.#marks.hasForgotten) {
      throw new SourceError(
        "Changed",
        `Cannot go on with ${endpoint}: L2 was reorganised below block ${bottom.number}, more ` +
          `than ${REMEMBERED_BLOCKS} blocks deep; is it the chain whose blocks were taken?`,
        { details: { block: bottom.number, reason: "WrongChain" } },
      );
    }
    const ancestor = shared?.number ?? bottom.number - 1n;
    const depth = top.number - ancestor;
    this.#log({ event: "l2.reorganised", ancestor, depth, endpoint });
    throw new SourceError(
      "Reorganised",
      `L2 was reorganised, says ${endpoint}: ${depth} blocks above block ${ancestor} that were taken ` +
        `are no more, block ${top.number} was ${toHex(top.hash)}`,
      { details: { block: ancestor, depth, endpoint } },
    );
  }

  /** After a restart out of the last block that was taken. */
  async #newestOrigin(): Promise<L1Attributes | undefined> {
    const { top } = this.#marks;
    if (this.#origin || !top || this.#firstParent) return this.#origin;
    try {
      const [block] = await this.#nodes.blocks(top.number, 1, { head: top.number });
      if (block && equalBytes(block.hash, top.hash)) this.#origin = block.l1Attributes;
    } catch (error) {
      throw asSourceError(error);
    }
    return this.#origin;
  }
}

/** What is not known here stays so; all else may pass. */
function asSourceError(error: unknown): MontanaError {
  if (!(error instanceof RpcError)) return error as MontanaError;
  const { message, details, kind } = error;
  const isUnknown = details["reason"] === "UnknownFormat";
  return new SourceError(isUnknown ? "InvalidBlock" : "Connection", message, {
    details,
    kind: isUnknown ? "critical" : kind,
    cause: error,
  });
}
