/**
 * Derived blocks held against those of L2, block by block.
 *
 * Derived blocks carry no numbers. They are the blocks of L2 in their order, so that one which the two
 * have in common gives the number of all others: the first of L2's range is met by its timestamp, and from
 * there on both go forward, the older one first. Where the timestamps part, one side lacks a block, and the
 * next that both have brings them together again. What ties them to hashes is the `parent_check` of each
 * batch: the first 20 bytes of the hash before its first block.
 *
 * @module
 */
import { SinkError, SourceError } from "../errors.ts";
import type { BatchSource, Clock, L2BlockSink } from "../ports.ts";
import type { DerivedBlock, L2Block } from "../types.ts";
import { equalBytes, startsWith } from "../wire/bytes.ts";

/** What the two do not have in common. */
export type BlockDifference =
  | {
    /** A transaction is another one, or there on one side only. */
    readonly kind: "transaction";
    readonly number: bigint;
    /** In the block, from 0. */
    readonly index: number;
    readonly derived: Uint8Array | undefined;
    readonly l2: Uint8Array | undefined;
    readonly block: DerivedBlock;
  }
  | {
    /** The batch that begins with the block says that another one was before it. */
    readonly kind: "parent";
    readonly number: bigint;
    readonly parentHash: Uint8Array;
    readonly block: DerivedBlock;
  }
  /** L1 gives blocks behind it, and not this one. */
  | { readonly kind: "not on L1"; readonly number: bigint; readonly block: L2Block }
  /** L1 gives it, and L2 has no such block before block `number`. */
  | { readonly kind: "not on L2"; readonly number: bigint; readonly block: DerivedBlock };

/** Blocks of L2 to be held against what is derived. */
export interface ComparedRange {
  /** Gives numbered blocks, one after the other, and is exhausted at the last. */
  readonly source: Pick<BatchSource, "pendingBlocks" | "isExhausted">;
  /** The first that counts: the source may give some before it, of the same timestamp. */
  readonly from: bigint;
  /** The last that counts; as far as both go unless told. */
  readonly to?: bigint;
}

/** How far the two were compared, and what came of it. */
export interface ComparisonResult {
  /** The first that counts, once it is known. */
  readonly from: bigint | undefined;
  /** The last that was looked at. */
  readonly last: bigint | undefined;
  /** Blocks that are equal, and the transactions in them. */
  readonly same: number;
  readonly transactions: number;
  /** Blocks that are not, or that one side has alone. */
  readonly different: number;
  readonly firstDifference: BlockDifference | undefined;
  /** The last block of the range was looked at. */
  readonly isDone: boolean;
  /** L2 had no more, when L1 still gave blocks: so many were not looked at. */
  readonly beyondL2: number;
  /** Blocks that L1 gives before the range. */
  readonly before: number;
}

/** What a comparison is made of. */
export interface ComparisonParts {
  /** Where L2 begins, by the first block that is derived. */
  readonly open: (first: DerivedBlock) => Promise<ComparedRange>;
  readonly clock: Clock;
  /** Told once, when the last block of the range was looked at, or L2 has no more of it. */
  readonly onDone?: () => void;
}

/** Between two looks at a source that has nothing now, though it is not at its end. */
const LOOK_AGAIN_MS = 500;

/**
 * Takes derived blocks as a sink does, and holds them against L2. Of L2 and L1 both it keeps no more than
 * what is under way.
 *
 * @example
 * ```ts
 * import {
 *   BlockComparison,
 *   MemoryBatchSource,
 *   MemoryL1,
 *   systemClock,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const blocks = [7n, 8n].map((number) => ({ number, timestamp: 2n * number, transactions: [] }));
 * const comparison = new BlockComparison({
 *   open: () =>
 *     Promise.resolve({ source: new MemoryBatchSource(blocks, new MemoryL1()), from: 7n, to: 8n }),
 *   clock: systemClock,
 * });
 * const origin = { batchNumber: 0n, l1Origin: 0n, l1Block: 1n };
 * for (const { timestamp, transactions } of blocks) {
 *   await comparison.ingest({ timestamp, transactions, ...origin });
 * }
 * const { same, isDone } = comparison.result;
 * if (same !== 2 || !isDone) throw new Error("both blocks are the same");
 * ```
 */
export class BlockComparison implements L2BlockSink {
  readonly #parts: ComparisonParts;
  #range: ComparedRange | undefined;
  /** Blocks of L2 that were read, and the next of them. */
  #read: readonly L2Block[] = [];
  #next = 0;
  /** A block of L2 was passed. */
  #hasBegun = false;
  #last: bigint | undefined;
  #newestTimestamp: bigint | undefined;
  #same = 0;
  #transactions = 0;
  #different = 0;
  #firstDifference: BlockDifference | undefined;
  #isDone = false;
  #beyondL2 = 0;
  #before = 0;

  constructor(parts: ComparisonParts) {
    this.#parts = parts;
  }

  get result(): ComparisonResult {
    return {
      from: this.#range?.from,
      last: this.#last,
      same: this.#same,
      transactions: this.#transactions,
      different: this.#different,
      firstDifference: this.#firstDifference,
      isDone: this.#isDone,
      beyondL2: this.#beyondL2,
      before: this.#before,
    };
  }

  /** Of the last block of L2 that was looked at, in Unix seconds. */
  get newestTimestamp(): bigint | undefined {
    return this.#newestTimestamp;
  }

  /** @throws {SinkError} `Connection` where L2 was reorganised meanwhile; what its source throws */
  async ingest(block: DerivedBlock): Promise<void> {
    this.#range ??= await this.#parts.open(block);
    while (!this.#isDone) {
      const l2 = await this.#peek();
      if (!l2) return this.#passEnd();
      if (block.timestamp < l2.timestamp) return this.#passDerived(block, l2.number!);
      if (block.timestamp === l2.timestamp) return this.#compare(block, l2);
      this.#advance(l2, { kind: "not on L1", number: l2.number!, block: l2 });
    }
  }

  /** @throws {SinkError} `Connection`, always: what was counted cannot be taken back */
  retract(): Promise<void> {
    return Promise.reject(startAgain("L1 was reorganised while it was compared"));
  }

  /** The next block of L2; `undefined` at its end. */
  async #peek(): Promise<L2Block | undefined> {
    const { source } = this.#range!;
    while (this.#next >= this.#read.length) {
      try {
        this.#read = await source.pendingBlocks();
      } catch (error) {
        // To a deriver, this would be a reorganisation of L1.
        if (!(error instanceof SourceError) || error.kind !== "reset") throw error;
        throw startAgain("L2 was reorganised while it was compared", error);
      }
      this.#next = 0;
      if (this.#read.length > 0) break;
      if (source.isExhausted ?? true) return undefined;
      await this.#parts.clock.sleep(LOOK_AGAIN_MS);
    }
    return this.#read[this.#next];
  }

  #passEnd(): void {
    this.#beyondL2 += 1;
    if (this.#beyondL2 === 1 && this.#range!.to !== undefined) this.#parts.onDone?.();
  }

  /** A block that L2 does not have at this place. */
  #passDerived(block: DerivedBlock, number: bigint): void {
    if (!this.#hasBegun) this.#before += 1;
    else this.#note({ kind: "not on L2", number, block });
  }

  #compare(block: DerivedBlock, l2: L2Block): void {
    this.#advance(l2, differenceOf(block, l2));
  }

  /** Goes on behind a block of L2. */
  #advance(l2: L2Block, difference: BlockDifference | undefined): void {
    this.#next += 1;
    this.#hasBegun = true;
    const { from, to } = this.#range!;
    const number = l2.number!;
    if (number < from) return;
    this.#last = number;
    this.#newestTimestamp = l2.timestamp;
    if (difference) {
      this.#note(difference);
    } else {
      this.#same += 1;
      this.#transactions += l2.transactions.length;
    }
    if (to === undefined || number < to) return;
    this.#isDone = true;
    this.#parts.onDone?.();
  }

  #note(difference: BlockDifference): void {
    this.#different += 1;
    this.#firstDifference ??= difference;
  }
}

/** The first difference between two blocks of the same timestamp. */
function differenceOf(block: DerivedBlock, l2: L2Block): BlockDifference | undefined {
  const number = l2.number!;
  const { parentCheck } = block;
  const isKnown = parentCheck?.some((byte) => byte !== 0) && l2.parentHash;
  if (isKnown && !startsWith(l2.parentHash!, parentCheck!)) {
    return { kind: "parent", number, parentHash: l2.parentHash!, block };
  }
  const count = Math.max(block.transactions.length, l2.transactions.length);
  for (let index = 0; index < count; index++) {
    const [derived, ours] = [block.transactions[index], l2.transactions[index]];
    if (derived && ours && equalBytes(derived, ours)) continue;
    return { kind: "transaction", number, index, derived, l2: ours, block };
  }
  return undefined;
}

function startAgain(what: string, cause?: Error): SinkError {
  return new SinkError(
    "Connection",
    `Cannot compare: ${what}${cause ? ` (${cause.message})` : ""}; start again`,
    cause ? { cause } : {},
  );
}
