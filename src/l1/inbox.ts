/**
 * Reads batches back from Ethereum (design `ethereum.md`, "Reading"): walks L1 by number, checks that
 * each block follows the one before, keeps to what authorised batchers posted to the inbox, and gathers
 * their blobs.
 *
 * | what L1 may do                                | what happens                                        |
 * | --------------------------------------------- | --------------------------------------------------- |
 * | it is reorganised below what was read         | `Reorganised`, once; then goes on above the ancestor |
 * | its head goes back, as with a node that lags  | waits: a block that is not there yet is no other one |
 * | a node names a parent that it does not have   | `Connection`: asked again                           |
 * | a block up to its head is not there           | `Connection`: asked again                           |
 * | a transaction to the inbox has another hash   | `Invalid`: the next node is asked                   |
 * | than its fields make                          |                                                     |
 * | a blob is nowhere now                         | `BlobMissing`: the block is read anew, as it may be  |
 * |                                               | another one by then                                 |
 * | another chain than before, or a reorganisation | `Changed`, which ends it                           |
 * | deeper than what is remembered                |                                                     |
 *
 * @module
 */
import { SAFE_CONFIRMATIONS } from "../config.ts";
import { SourceError } from "../errors.ts";
import type { BlobSource, Chain, L1Header } from "../ethereum.ts";
import type { L1BatchSource, L1Heads, Log } from "../ports.ts";
import type { L1Batch } from "../types.ts";
import { batchOfBlobs } from "../wire/blob.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import type { BlobArchive } from "./blob_archive.ts";
import { type BlockMark, BlockMarks } from "./block_marks.ts";
import { BlockPrefetch, type PrefetchedBlock } from "./block_prefetch.ts";
import { ChainReader, type ReadHead } from "./chain_reader.ts";
import { type Batcher, checkTask, type InboxBlock, inboxBlock } from "./inbox_block.ts";

export type { ReadHead };

/** How many hashes of L1 blocks are remembered: a day of them, and a bit. */
export const REMEMBERED_BLOCKS = 8192;

/** What an inbox is read through. */
export interface L1InboxParts {
  readonly chain: Chain;
  readonly blobs: BlobSource;
  /** Is told of each block with a batch in blobs, so that they can be asked for by its slot later. */
  readonly archive?: Pick<BlobArchive, "noteBlock">;
  readonly log?: Log;
}

/** What is read. */
export interface L1InboxOptions {
  /** 20 bytes. */
  readonly inbox: Uint8Array;
  /** Whose transactions count. */
  readonly batchers: readonly Batcher[];
  /** The first L1 block that is ever read; 0 otherwise. */
  readonly startBlock?: bigint;
  /** Where to go on after an earlier run; `startBlock` otherwise. */
  readonly resumeBlock?: bigint;
  /** Blocks that an earlier run read, so that it is seen where they are gone. */
  readonly known?: readonly BlockMark[];
  /** 12 confirmations otherwise. */
  readonly head?: ReadHead;
  /** How deep a reorganisation may be; {@link REMEMBERED_BLOCKS} otherwise. */
  readonly rememberedBlocks?: number;
  /** Blocks read ahead at most; 8 otherwise. */
  readonly prefetchBlocks?: number;
  /** Bytes of blobs and calldata read ahead at most; 32 MiB otherwise. */
  readonly prefetchBytes?: number;
}

/** The block that is being read. */
interface Current extends PrefetchedBlock {
  nextTransaction: number;
  /** Where in the block's blobs those of the next transaction begin. */
  nextBlob: number;
}

/** How many hashes of blocks that were not read here are kept, so that they are asked for once. */
const CACHED_HASHES = 1024;

/**
 * The batches of an inbox on Ethereum.
 *
 * @example
 * ```ts
 * import { type BlobSource, type Chain, L1Inbox } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * function inbox(chain: Chain, blobs: BlobSource): L1Inbox {
 *   return new L1Inbox({ chain, blobs }, {
 *     inbox: new Uint8Array(20).fill(0x42),
 *     // A key that was changed with L1 block 21000000.
 *     batchers: [
 *       { address: new Uint8Array(20).fill(1), toBlock: 20_999_999n },
 *       { address: new Uint8Array(20).fill(2), fromBlock: 21_000_000n },
 *     ],
 *     head: "finalized",
 *     startBlock: 20_500_000n,
 *   });
 * }
 * ```
 */
export class L1Inbox implements L1BatchSource {
  readonly #chain: ChainReader;
  readonly #blobs: BlobSource;
  readonly #archive: L1InboxParts["archive"];
  readonly #log: Log;
  readonly #options: L1InboxOptions;
  readonly #prefetch: BlockPrefetch;
  #marks: BlockMarks;
  /**
   * What was read before a reorganisation that whoever reads need not have come to: what was read ahead of
   * it comes first, and rests on these.
   */
  #marksBefore: BlockMarks | undefined;
  readonly #cachedHashes = new Map<bigint, Uint8Array>();
  /** The block that was read last. */
  #linked: BlockMark | undefined;

  #next: bigint;
  /** Transactions of block `#next` that were done with, where it is begun and must be read again. */
  #doneInNext = 0;
  #current: Current | undefined;
  #isStartChecked = false;
  /** Up to here there was something to read when it was last looked at. */
  #knownHead = -1n;
  /** The latest block whose chain is known to hold all that was read. */
  #checkedTip: Uint8Array | undefined;

  /** @throws {ConfigError} `Invalid` for addresses and ranges that cannot be */
  constructor({ chain, blobs, archive, log = () => {} }: L1InboxParts, options: L1InboxOptions) {
    checkTask(options);
    this.#chain = new ChainReader(chain, options.head ?? { confirmations: SAFE_CONFIRMATIONS });
    this.#blobs = blobs;
    this.#archive = archive;
    this.#log = log;
    this.#options = options;
    this.#next = options.resumeBlock ?? options.startBlock ?? 0n;
    const { rememberedBlocks = REMEMBERED_BLOCKS, known } = options;
    this.#marks = new BlockMarks(rememberedBlocks, known);
    this.#prefetch = new BlockPrefetch({
      readBlock: async (number) =>
        await inboxBlock(await this.#chain.block(number, options.inbox), options),
      readBlobs: ({ header, blobHashes }) => this.#readBlobs(header, blobHashes),
      maxBlocks: options.prefetchBlocks ?? 8,
      maxBytes: options.prefetchBytes ?? 32 * 1024 * 1024,
    });
  }

  /** The next L1 block to read, and the head as it was last seen; -1 before. */
  get standing(): { readonly next: bigint; readonly head: bigint } {
    return { next: this.#next, head: this.#knownHead };
  }

  /** Bytes that are read ahead. */
  get prefetchedBytes(): number {
    return this.#prefetch.heldBytes;
  }

  /**
   * Some of the blocks read up to `number`, ever farther apart: what to give as `known` to an inbox that
   * goes on above it after a restart. Those that a reorganisation took out are among them until whoever
   * reads goes on after it.
   */
  knownUpTo(number: bigint): readonly BlockMark[] {
    return (this.#marksBefore ?? this.#marks).sparse(number);
  }

  /**
   * Number of the last L1 block that is read up to, as the node tells it now: it may go back.
   *
   * @throws {SourceError | RpcError} `Connection`, or as the chain
   */
  async l1Head(): Promise<bigint> {
    return (await this.#chain.head()).number;
  }

  /**
   * Hash of an L1 block, however old. For a block that was read it is the hash of that very block, as
   * long as nobody goes on after a reorganisation.
   */
  async l1BlockHash(number: bigint): Promise<Uint8Array | undefined> {
    const known = (this.#marksBefore ?? this.#marks).hashOf(number) ??
      this.#cachedHashes.get(number);
    if (known) return known;
    const hash = await this.#chain.hashOf(number);
    const { bottom } = this.#marks;
    if (hash && bottom && number < bottom.number) {
      this.#cachedHashes.set(number, hash);
      const [oldest] = this.#cachedHashes.keys();
      if (this.#cachedHashes.size > CACHED_HASHES) this.#cachedHashes.delete(oldest!);
    }
    return hash;
  }

  /**
   * How far L1 is safe and final, as the node tells it now, and as far as what was read rests on it: where
   * L1 went another way and that was not come to yet, only up to there.
   *
   * @throws {SourceError | RpcError} `Connection`, or as the chain
   */
  async l1Heads(): Promise<L1Heads> {
    const finalized = await this.#headUpTo("finalized");
    const safe = await this.#headUpTo("safe");
    return { safe: safe > finalized ? safe : finalized, finalized };
  }

  async #headUpTo(tag: "safe" | "finalized"): Promise<bigint> {
    const number = await this.#chain.numberOf(tag);
    const marks = this.#marksBefore ?? this.#marks;
    const highest = marks.upTo(number).top;
    if (!highest) return -1n;
    const found = await marks.highestOn(number, (each) => this.#chain.hashNow(each));
    return found === highest ? number : found?.number ?? -1n;
  }

  /**
   * The next batch in L1 order.
   *
   * @throws {SourceError} `Reorganised`: the source stands above `details.block` already, and all that
   * was read above it is void; `BlobMissing`, `Connection`: the next call tries the same again; `Changed`
   */
  async nextBatch(): Promise<L1Batch | undefined> {
    this.#marksBefore = undefined;
    for (;;) {
      const current = this.#current ??= await this.#advance();
      if (!current) return undefined;
      const transaction = current.block.transactions[current.nextTransaction];
      if (!transaction) {
        this.#current = undefined;
        this.#next += 1n;
        this.#doneInNext = 0;
        continue;
      }
      const batch = await this.#read(current);
      current.nextTransaction += 1;
      if (batch) return batch;
    }
  }

  /** Reads again from block `number` on. What was read stays known. */
  rewind(number: bigint): void {
    this.#marksBefore = undefined;
    if (number > this.#next) return;
    const start = this.#options.startBlock ?? 0n;
    this.#next = number > start ? number : start;
    this.#doneInNext = 0;
    this.#current = undefined;
  }

  /** Reads nothing more ahead until the next batch is asked for; resolves when the chain is left alone. */
  async stop(): Promise<void> {
    await this.#prefetch.stop();
  }

  /** The next block, once it is there and known to follow the last. */
  async #advance(): Promise<Current | undefined> {
    if (!this.#isStartChecked) await this.#checkStart();
    if (this.#next > this.#knownHead) {
      const head = await this.#chain.head();
      this.#knownHead = head.number;
      if (this.#next > head.number) {
        await this.#checkTip(head.tip);
        return undefined;
      }
    }
    let taken: PrefetchedBlock;
    try {
      taken = await this.#prefetch.take(this.#next, this.#knownHead);
    } catch (error) {
      // The head may have gone back meanwhile.
      this.#knownHead = -1n;
      throw error;
    }
    await this.#link(taken.block.header);
    await this.#note(taken.block);
    const current: Current = { ...taken, nextTransaction: 0, nextBlob: 0 };
    while (current.nextTransaction < this.#doneInNext) skip(current);
    return current;
  }

  /** What was read before a restart may be gone since, and need not be the parent of the next block. */
  async #checkStart(): Promise<void> {
    const { top } = this.#marks;
    const hash = top && await this.#chain.hashNow(top.number);
    if (hash && !equalBytes(hash, top.hash)) await this.#reorganise({ number: top.number, hash });
    this.#isStartChecked = true;
  }

  /** Adds a block to those read, where it follows them, or is one of them. */
  async #link(header: L1Header): Promise<void> {
    const { number, hash, parentHash } = header;
    const marks = this.#marks;
    const before = this.#linked?.number === number - 1n ? this.#linked.hash : undefined;
    const parent = marks.hashOf(number - 1n) ?? before;
    // Also where the block itself was read before: what was read again since need not be below it.
    if (parent && !equalBytes(parent, parentHash)) await this.#reorganise(header, number - 1n);
    const read = marks.hashOf(number);
    if (read && !equalBytes(read, hash)) await this.#reorganise(header);
    this.#linked = { number, hash };
    // One that is read again and not remembered may be another one than it was: it proves nothing.
    if (marks.top && number <= marks.top.number) return;
    // What stands below the first block tells how far down a reorganisation goes.
    if (!parent && number > 0n) marks.push({ number: number - 1n, hash: parentHash });
    marks.push({ number, hash });
  }

  /** Whether it can be noted or not, it can be read. */
  async #note({ header, blobHashes, allBlobHashes }: InboxBlock): Promise<void> {
    if (!this.#archive || blobHashes.length === 0) return;
    await this.#archive.noteBlock(header, allBlobHashes).catch((error) =>
      this.#log({ event: "endpoint.failed", endpoint: "archive", error, next: undefined })
    );
  }

  async #read(current: Current): Promise<L1Batch | undefined> {
    const { header, transactions } = current.block;
    const transaction = transactions[current.nextTransaction]!;
    const { hash: txHash } = transaction;
    if (transaction.ignored !== undefined) {
      const { ignored: reason } = transaction;
      this.#log({ event: "transaction.ignored", l1Block: header.number, txHash, reason });
      return undefined;
    }
    const { batchNumber, data, blobHashes } = transaction;
    const content = blobHashes.length === 0
      ? { data }
      : batchOfBlobs(await this.#blobsOf(current, blobHashes.length));
    current.nextBlob += blobHashes.length;
    return {
      batchNumber,
      ...content,
      inclusion: {
        blockNumber: header.number,
        blockHash: header.hash,
        timestamp: header.timestamp,
        txHash,
        blobs: blobHashes.length,
      },
    };
  }

  /** Where they are not to be had, the block is read anew: it may have been orphaned. */
  async #blobsOf(current: Current, count: number): Promise<readonly Uint8Array[]> {
    try {
      const blobs = await current.blobs();
      return blobs.slice(current.nextBlob, current.nextBlob + count);
    } catch (error) {
      this.#doneInNext = current.nextTransaction;
      this.#current = undefined;
      this.#knownHead = -1n;
      throw error;
    }
  }

  #readBlobs(header: L1Header, hashes: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
    return hashes.length === 0 ? Promise.resolve([]) : this.#blobs.blobs(header, hashes);
  }

  /**
   * Looks whether what was read last is still there, when nothing follows it: a chain that stands still
   * may have become another one.
   */
  async #checkTip(tip: L1Header | undefined): Promise<void> {
    const { top } = this.#marks;
    // A head below what was read says nothing: a node may lag.
    if (!tip || !top || tip.number < top.number) return;
    if (this.#checkedTip && equalBytes(this.#checkedTip, tip.hash)) return;
    const { number } = top;
    const hash = tip.number === number ? tip.hash : await this.#chain.hashNow(number);
    if (!equalBytes(hash, top.hash)) await this.#reorganise({ number, hash });
    this.#checkedTip = tip.hash;
  }

  /**
   * Finds where the chain as it is now leaves the one that was read, and goes back there.
   *
   * @param gone the highest block that was read and cannot be on a chain with `seen`
   */
  async #reorganise(seen: BlockMark, gone: bigint = seen.number): Promise<never> {
    const marks = this.#marks;
    const top = marks.top!;
    this.#prefetch.clear();
    this.#knownHead = -1n;
    this.#checkedTip = undefined;
    const found = await marks.highestOn(gone, (number) => this.#chain.hashNow(number));
    if (found?.number === gone) {
      throw this.#chain.contradiction(
        `Cannot read L1 block ${seen.number} (${toHex(seen.hash)}): it does not follow block ` +
          `${gone} (${toHex(found.hash)}), which the node has too`,
      );
    }
    const ancestor = found?.number ?? this.#belowStart(seen);
    this.#log({ event: "l1.reorganised", ancestor, depth: top.number - ancestor });
    this.#marksBefore = marks;
    this.#marks = marks.upTo(found ? ancestor : -1n);
    this.#linked = undefined;
    for (const number of this.#cachedHashes.keys()) {
      if (number > ancestor) this.#cachedHashes.delete(number);
    }
    this.#current = undefined;
    this.#doneInNext = 0;
    this.#next = ancestor + 1n;
    throw new SourceError(
      "Reorganised",
      `Cannot go on above L1 block ${top.number} (${
        toHex(top.hash)
      }): L1 was reorganised, and block ` +
        `${ancestor} is the last that is still there`,
      { details: { block: ancestor, depth: top.number - ancestor } },
    );
  }

  /** Where nothing that was read is left: nothing was read below the start, so that is where to go. */
  #belowStart(seen: BlockMark): bigint {
    const { startBlock = 0n, known = [] } = this.#options;
    const { bottom, hasForgotten } = this.#marks;
    const isAllSeen = known.length === 0 && !hasForgotten && bottom!.number > 0n;
    if (isAllSeen) return startBlock - 1n;
    throw new SourceError(
      "Changed",
      `Cannot go on with ${this.#chain.name}: none of the L1 blocks read before is there, from ` +
        `${bottom!.number} (${toHex(bottom!.hash)}) on; L1 was reorganised deeper than is ` +
        `remembered, or this is another L1`,
      { details: { block: seen.number, bottom: bottom!.number } },
    );
  }
}

/** Passes over a transaction that was done with. */
function skip(current: Current): void {
  const transaction = current.block.transactions[current.nextTransaction++];
  if (transaction?.ignored === undefined) current.nextBlob += transaction?.blobHashes.length ?? 0;
}
