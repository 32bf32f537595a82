/**
 * Derived blocks for whoever asks: a sink in front of another one, which remembers the newest blocks, finds
 * the older ones in the file they went to, and tells followers of new ones and of those taken back. Nothing
 * is given out before it is safe with the sink behind.
 *
 * A block goes by its number and by an id, `<number>-<digest>`: the digest is of the block and of all before
 * it, so who has an id can tell, and be told, whether that is still the chain.
 *
 * @module
 */
import { DerivedHeads } from "../l2/derived_heads.ts";
import { formatBlockLine } from "../local/block_line.ts";
import { type BlockHistory, digestAfter, FIRST_DIGEST } from "../local/block_history.ts";
import type { L1Heads, L2BlockSink } from "../ports.ts";
import type { DerivedBlock } from "../types.ts";

/** How firmly a block stands: as firmly as the L1 block that it came from. */
export type BlockStatus = "latest" | "safe" | "finalized";

/** A block as it is given out. */
export interface ServedBlock {
  readonly number: number;
  readonly id: string;
  /** Its JSON, as in a file of blocks. */
  readonly line: string;
}

/** A block by name. */
export type BlockId = Pick<ServedBlock, "number" | "id">;

/** The newest block, and the newest that is safe, and final. */
export interface FeedHeads {
  readonly head: BlockId;
  readonly safe: number | undefined;
  readonly finalized: number | undefined;
}

/** What a follower is told. */
export type FeedItem =
  | { readonly kind: "block"; readonly block: ServedBlock; readonly status: BlockStatus }
  /** Blocks behind this one are taken back. */
  | { readonly kind: "retracted"; readonly kept: BlockId; readonly blocks: number }
  | { readonly kind: "heads"; readonly heads: FeedHeads };

/** Where the feed begins. */
export interface BlockFeedOptions {
  /** Number of the first block that was ever derived; 1 otherwise. */
  readonly firstNumber?: number;
  /** Blocks that the sink took in earlier runs. */
  readonly blocks?: number;
  /** Of the last of them; as {@link BlockFeed.digest} told it. */
  readonly digest?: string;
  /** The L1 block that the last of them came from. */
  readonly l1Block?: bigint;
  /** The file where older blocks are; without it they are forgotten. */
  readonly history?: BlockHistory;
  /** Of the newest blocks that are remembered; 16 MiB otherwise. */
  readonly maxBytes?: number;
}

/** A sink that can take blocks back. */
export type RetractingSink = L2BlockSink & Required<Pick<L2BlockSink, "retract">>;

const MAX_BYTES = 16 * 2 ** 20;
/** Names of blocks that were taken back, so that who comes back with one is told. */
const MAX_RETRACTED = 10_000;
const MAX_RETRACTIONS = 256;
/** Of what is read at once. */
const READ_BLOCKS = 64;
const READ_BYTES = 2 ** 20;

/**
 * A sink that gives out what goes through it.
 *
 * @example
 * ```ts
 * import { BlockFeed, MemoryBlockSink } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const feed = new BlockFeed(new MemoryBlockSink());
 * await feed.ingest({
 *   timestamp: 7n,
 *   transactions: [],
 *   batchNumber: 0n,
 *   l1Origin: 0n,
 *   l1Block: 1n,
 * });
 * await feed.flush();
 * const [block] = await feed.read(1, 10, 1024);
 * if (block?.number !== 1 || feed.statusOf(1) !== "latest") throw new Error("it is the first");
 * ```
 */
export class BlockFeed implements L2BlockSink {
  readonly #sink: RetractingSink;
  readonly #firstNumber: number;
  readonly #history: BlockHistory | undefined;
  readonly #maxBytes: number;
  readonly #heads = new DerivedHeads();
  /** The newest, oldest first; they follow each other. */
  #recent: ServedBlock[] = [];
  #recentBytes = 0;
  /** Ingested, and not safe with the sink yet. */
  #pending: DerivedBlock[] = [];
  #head: BlockId;
  /** Of blocks that were taken back: the id of the block that was kept instead. */
  readonly #keptFor = new Map<string, BlockId>();
  #retractions: BlockId[] = [];
  #retractionsBefore = 0;
  /** Of each stream that is open: wakes it where it waits. */
  readonly #followers = new Set<() => void>();
  #changes = 0;

  constructor(sink: RetractingSink, options: BlockFeedOptions = {}) {
    const { firstNumber = 1, blocks = 0, digest = FIRST_DIGEST, l1Block, history } = options;
    this.#sink = sink;
    this.#firstNumber = firstNumber;
    this.#history = history;
    this.#maxBytes = options.maxBytes ?? MAX_BYTES;
    this.#head = nameOf(firstNumber + blocks - 1, history?.digest ?? digest);
    if (blocks > 0 && l1Block !== undefined) this.#mark(this.#head.number, l1Block);
  }

  /** For {@link BlockFeedOptions.digest} of a later run. */
  get digest(): string {
    return digestOf(this.#head);
  }

  get heads(): FeedHeads {
    const { safe, finalized } = this.#heads;
    return {
      head: this.#head,
      safe: safe && Number(safe.number),
      finalized: finalized && Number(finalized.number),
    };
  }

  /** Streams that are open. */
  get followers(): number {
    return this.#followers.size;
  }

  /** Number of the oldest block that can be had. */
  get oldest(): number {
    if (this.#history) return this.#firstNumber;
    return this.#recent[0]?.number ?? this.#head.number + 1;
  }

  statusOf(number: number): BlockStatus {
    const { safe, finalized } = this.heads;
    if (finalized !== undefined && number <= finalized) return "finalized";
    return safe !== undefined && number <= safe ? "safe" : "latest";
  }

  async ingest(block: DerivedBlock): Promise<void> {
    await this.#sink.ingest(block);
    this.#pending.push(block);
  }

  async flush(): Promise<void> {
    await this.#sink.flush?.();
    const blocks = this.#pending;
    if (blocks.length === 0) return;
    this.#pending = [];
    for (const block of blocks) this.#publish(block);
    this.#tell();
  }

  parentHash(): Promise<Uint8Array | undefined> {
    return this.#sink.parentHash?.() ?? Promise.resolve(undefined);
  }

  async retract(blocks: number): Promise<void> {
    await this.#sink.flush?.();
    for (const block of this.#pending.splice(0)) this.#publish(block);
    const number = this.#head.number - blocks;
    // While the file still has them.
    const kept = await this.#idOf(number) ?? nameOf(number, FIRST_DIGEST);
    await this.#noteKept(kept);
    await this.#history?.cutTo(number - this.#firstNumber + 1);
    await this.#sink.retract(blocks);
    this.#cutBehind(kept);
    this.#tell();
  }

  async noteL1Heads(heads: L1Heads): Promise<void> {
    await this.#sink.noteL1Heads?.(heads);
    const before = JSON.stringify(this.heads);
    this.#heads.note(heads);
    if (JSON.stringify(this.heads) !== before) this.#tell();
  }

  /**
   * Blocks from a number on, as far as they are there: one at least, where there is one.
   *
   * @param maxBytes where it stops after a block
   */
  async read(from: number, count: number, maxBytes: number): Promise<readonly ServedBlock[]> {
    const first = this.#recent[0]?.number ?? Infinity;
    if (from < first) return await this.#readOld(from, Math.min(count, first - from), maxBytes);
    const found: ServedBlock[] = [];
    let bytes = 0;
    for (const block of this.#recent.slice(from - first, from - first + count)) {
      found.push(block);
      bytes += block.line.length;
      if (bytes >= maxBytes) break;
    }
    return found;
  }

  /**
   * The last block of what `id` names that is still there: where that block was taken back, one before it.
   * `undefined` where nobody knows.
   */
  async find(id: string): Promise<BlockId | undefined> {
    let name: BlockId | undefined = { number: Number(id.split("-")[0]), id };
    for (let turns = 0; name && turns <= MAX_RETRACTED; turns++) {
      if (name.number <= this.#head.number) {
        const there = await this.#idOf(name.number);
        if (there?.id === name.id) return there;
      }
      name = this.#keptFor.get(name.id);
    }
    return undefined;
  }

  /** The block before one that can be had, or comes next, to follow from there. */
  async before(number: number): Promise<BlockId> {
    return await this.#idOf(number - 1) ?? nameOf(number - 1, FIRST_DIGEST);
  }

  /**
   * What comes behind a block, and goes on to come. Who takes it slowly is told later, and holds nothing up.
   *
   * @param last the last block that the follower has; it is told first where that is no longer there
   * @throws {Error} where it slept through too much, or nobody knows its block: it is to come again
   */
  async *follow(last: BlockId, signal: AbortSignal): AsyncGenerator<FeedItem, void, undefined> {
    let wake = () => {};
    const onChange = () => wake();
    this.#followers.add(onChange);
    signal.addEventListener("abort", onChange);
    // Not a race of promises: what is left of each wait would be held as long as the stream is open.
    const changed = (since: number) =>
      new Promise<void>((resolve) => {
        if (this.#changes !== since || signal.aborted) return resolve();
        wake = resolve;
      });
    try {
      yield* this.#follow(last, signal, changed);
    } finally {
      this.#followers.delete(onChange);
      signal.removeEventListener("abort", onChange);
    }
  }

  async *#follow(
    last: BlockId,
    signal: AbortSignal,
    changed: (since: number) => Promise<void>,
  ): AsyncGenerator<FeedItem, void, undefined> {
    let told = "";
    let seen = this.#retractionsBefore + this.#retractions.length;
    const there = await this.find(last.id) ?? this.#forgotten(last);
    if (there.number < last.number) {
      yield { kind: "retracted", kept: there, blocks: last.number - there.number };
    }
    last = there;
    while (!signal.aborted) {
      const changes = this.#changes;
      const lowest = this.#lowestSince(seen);
      seen = this.#retractionsBefore + this.#retractions.length;
      if (lowest && lowest.number < last.number) {
        yield { kind: "retracted", kept: lowest, blocks: last.number - lowest.number };
        last = lowest;
        continue;
      }
      const blocks = await this.read(last.number + 1, READ_BLOCKS, READ_BYTES);
      // What was read while blocks were taken back may be some of those.
      if (seen !== this.#retractionsBefore + this.#retractions.length) continue;
      for (const block of blocks) {
        if (this.#lowestSince(seen)) break;
        yield { kind: "block", block, status: this.statusOf(block.number) };
        last = block;
      }
      if (blocks.length > 0) continue;
      const heads = this.heads;
      const text = JSON.stringify([heads.safe, heads.finalized]);
      if (text !== told) yield { kind: "heads", heads };
      told = text;
      await changed(changes);
    }
  }

  /** One that is too old to be told from another in its place. */
  #forgotten(last: BlockId): BlockId {
    if (last.number < this.oldest && last.number <= this.#head.number) return last;
    throw new Error(
      `a follower has block ${last.number} of a chain that nobody knows: it must come again`,
    );
  }

  #lowestSince(seen: number): BlockId | undefined {
    if (seen < this.#retractionsBefore) {
      throw new Error("a follower slept while too many blocks were taken back: it must come again");
    }
    return this.#retractions.slice(seen - this.#retractionsBefore)
      .reduce<BlockId | undefined>((a, b) => a && a.number <= b.number ? a : b, undefined);
  }

  #publish(block: DerivedBlock): void {
    const line = formatBlockLine(block);
    const digest = this.#history?.push(line) ?? digestAfter(this.digest, line);
    this.#head = nameOf(this.#head.number + 1, digest);
    this.#recent.push({ ...this.#head, line });
    this.#recentBytes += line.length;
    this.#mark(this.#head.number, block.l1Block);
    let forgotten = 0;
    while (this.#recentBytes > this.#maxBytes && forgotten < this.#recent.length - 1) {
      this.#recentBytes -= this.#recent[forgotten++]!.line.length;
    }
    this.#recent.splice(0, forgotten);
  }

  #mark(number: number, l1Block: bigint): void {
    this.#heads.push({ number: BigInt(number), hash: new Uint8Array(), l1Block });
  }

  /** Notes what will be kept for each block behind it: for the newest, as many as are remembered. */
  async #noteKept(kept: BlockId): Promise<void> {
    const head = this.#head;
    const before = [...this.#keptFor.values()].filter(({ number }) => number > kept.number);
    for (const { id } of [...before, head]) this.#keptFor.set(id, kept);
    let next = Math.max(kept.number + 1, this.oldest, head.number + 1 - MAX_RETRACTED);
    while (next <= head.number) {
      const blocks = await this.read(next, READ_BLOCKS, READ_BYTES);
      if (blocks.length === 0) break;
      for (const { id } of blocks) this.#keptFor.set(id, kept);
      next += blocks.length;
    }
    for (const id of this.#keptFor.keys()) {
      if (this.#keptFor.size <= MAX_RETRACTED) break;
      this.#keptFor.delete(id);
    }
  }

  #cutBehind(kept: BlockId): void {
    this.#recent = this.#recent.filter(({ number }) => number <= kept.number);
    this.#recentBytes = this.#recent.reduce((sum, { line }) => sum + line.length, 0);
    this.#head = kept;
    const number = BigInt(kept.number);
    const l1Block = this.#heads.l1BlockOf(number) ?? -1n;
    this.#heads.backTo({ number, hash: new Uint8Array(), l1Block });
    this.#retractions.push(kept);
    if (this.#retractions.length <= MAX_RETRACTIONS) return;
    this.#retractionsBefore += 1;
    this.#retractions.shift();
  }

  /** `undefined` for one that is forgotten. */
  async #idOf(number: number): Promise<BlockId | undefined> {
    if (number === this.#head.number) return this.#head;
    if (number === this.#firstNumber - 1) return nameOf(number, FIRST_DIGEST);
    const [block] = await this.read(number, 1, 1);
    return block?.number === number ? { number, id: block.id } : undefined;
  }

  async #readOld(from: number, count: number, maxBytes: number): Promise<readonly ServedBlock[]> {
    const lines = await this.#history?.read(from - this.#firstNumber, count, maxBytes) ?? [];
    return lines.map(({ line, digest }, index) => ({ ...nameOf(from + index, digest), line }));
  }

  #tell(): void {
    this.#changes += 1;
    for (const wake of this.#followers) wake();
  }
}

function nameOf(number: number, digest: string): BlockId {
  return { number, id: `${number}-${digest}` };
}

function digestOf({ id }: BlockId): string {
  return id.slice(id.indexOf("-") + 1);
}
