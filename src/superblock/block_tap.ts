/**
 * Blocks that a batcher takes, reported to the batches that are proved: before they count as taken, so that
 * no crash leaves one out.
 *
 * @module
 */
import { SourceError } from "../errors.ts";
import type { BatcherParts } from "../pipeline/batcher_parts.ts";
import type { BatchSource, Clock, Log, Random } from "../ports.ts";
import { retry, RETRY_DEFAULTS } from "../retry.ts";
import type { L2Block } from "../types.ts";
import type { BatchManager } from "./batch_manager.ts";
import { BlockFollower, type ChainStart, type FollowedChain } from "./block_follower.ts";
import { reportBlocks } from "./block_report.ts";
import type { SequencerIntegration } from "./sequencer.ts";

/** A chain that has nothing to be reported. */
const NOTHING: FollowedChain = { pendingBlocks: () => Promise.resolve([]), rewind() {} };

const PATIENT = { ...RETRY_DEFAULTS, maxAttempts: Number.MAX_SAFE_INTEGER };

/** What a {@link BlockTap} stands on. */
export interface BlockTapParts {
  readonly manager: BatchManager;
  readonly sequencer: SequencerIntegration;
  /**
   * Opens the chain once more, for blocks that were taken and posted while nobody reported them. Without it
   * these are left out, and told of.
   */
  readonly open?: (start: ChainStart, lastBlock: bigint) => Promise<FollowedChain>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
}

/** What earlier runs of a batcher took. */
export interface TakenBefore {
  /** The last that is in a batch on L1 for sure, where there is one. */
  readonly lastPosted: L2Block | undefined;
  /** What was taken behind it, in order. */
  readonly taken: readonly L2Block[];
}

/**
 * Stands between a batcher and its journal.
 *
 * @example
 * ```ts
 * import {
 *   BATCH_DEFAULTS,
 *   BatcherPipeline,
 *   BatchManager,
 *   BlockTap,
 *   ClockEpochs,
 *   EpochListener,
 *   ETHEREUM_CLOCK,
 *   LogBatchJournal,
 *   ManualClock,
 *   MemoryBatchSource,
 *   MemoryL1,
 *   MemoryStorage,
 *   NoopCompressor,
 *   SeededRandom,
 *   SEQUENCER_DEFAULTS,
 *   SequencerIntegration,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const config = { ...BATCH_DEFAULTS, chainId: 1001n, l1Clock: ETHEREUM_CLOCK };
 * const timestamp = 1_763_769_600n;
 * const clock = new ManualClock(Number(timestamp) * 1000);
 * const random = new SeededRandom();
 * const parts = { storage: new MemoryStorage(), directory: "data/batches" }; // Or DiskStorage.
 * const journal = await LogBatchJournal.open(parts, config);
 * const manager = new BatchManager({ journal, clock }, config);
 * const listener = new EpochListener({
 *   sources: [new ClockEpochs(ETHEREUM_CLOCK, clock)],
 *   taker: manager,
 *   clock,
 *   random,
 * }, { l1Clock: ETHEREUM_CLOCK, pollIntervalMs: 12_000 });
 * const sequencer = new SequencerIntegration({ listener, manager, clock }, {
 *   ...SEQUENCER_DEFAULTS,
 *   chainId: 1001n,
 * });
 * const tap = new BlockTap({ manager, sequencer, clock, random });
 *
 * const l1 = new MemoryL1();
 * const block = { number: 7n, hash: new Uint8Array(32), timestamp, transactions: [] };
 * const batcher = new BatcherPipeline({
 *   source: new MemoryBatchSource([block], l1),
 *   compressor: new NoopCompressor(),
 *   sink: l1.sink(),
 *   clock,
 *   journal: tap.over(undefined), // Or over a `BatcherJournal`, behind `catchUp()`.
 * });
 * await batcher.tick();
 * if (manager.batch(40_871n)?.blocks[0]?.number !== 7n) throw new Error("it was not reported");
 * await journal.close();
 * ```
 */
export class BlockTap {
  readonly #parts: BlockTapParts;
  /** Number of the newest block that is done with, of those that were not dropped since. */
  #done = -1n;

  constructor(parts: BlockTapParts) {
    this.#parts = parts;
  }

  /**
   * Reports what earlier runs took and the batches do not know, the oldest first: before it is found out
   * what of it was posted, and before anything else is taken.
   *
   * @throws {MontanaError} what does not pass by itself
   */
  async catchUp({ lastPosted, taken }: TakenBefore, signal: AbortSignal): Promise<void> {
    const { manager, open, log } = this.#parts;
    const numbers = manager.batches.flatMap(({ blocks }) => blocks.at(-1)?.number ?? []);
    const newest = numbers.at(-1);
    const last = lastPosted?.number;
    if (lastPosted && last !== undefined && last > (newest ?? -1n)) {
      if (open) await this.#follow(open, { last, timestamp: lastPosted.timestamp }, signal);
      else if (newest !== undefined) {
        const error = new SourceError(
          "Empty",
          "they were posted while nobody reported them, and this source does not give them again",
        );
        log?.({ event: "blocks_left_out", firstBlock: newest + 1n, lastBlock: last, error });
      }
    }
    await this.#reportAtLast(taken, signal);
  }

  /**
   * The same source; what it gives is reported first: for as long as it is found out what of it was posted,
   * since that is never written down as taken.
   */
  before(source: BatchSource, signal: AbortSignal): BatchSource {
    return {
      get isExhausted() {
        return source.isExhausted ?? true;
      },
      pendingBlocks: async () => {
        const blocks = await source.pendingBlocks();
        await this.#reportAtLast(blocks, signal);
        return blocks;
      },
      l1Origin: () => source.l1Origin(),
      l1OriginHash: (number) => source.l1OriginHash(number),
      parentHash: () => source.parentHash(),
    };
  }

  /** The same journal; what it is to take is reported first. Without one, nothing is written down. */
  over(journal: BatcherParts["journal"]): NonNullable<BatcherParts["journal"]> {
    return {
      taken: async (blocks) => {
        await this.#report(blocks);
        await journal?.taken(blocks);
      },
      drop: (blocks) => {
        // Others with their numbers follow, and stand in their place.
        this.#done = -1n;
        journal?.drop(blocks);
      },
      sealed: async (batch) => await journal?.sealed(batch),
      confirmed: async (receipt, blocks) => await journal?.confirmed(receipt, blocks),
    };
  }

  /** All of them, or it throws; what is done with is not reported once more when it is called again. */
  async #report(blocks: readonly L2Block[]): Promise<void> {
    const left = blocks.filter(({ number = this.#done + 1n }) => number > this.#done);
    const { blocks: count, failure } = await reportBlocks(left, this.#parts);
    this.#done = left[count - 1]?.number ?? this.#done;
    if (failure) throw failure.error;
  }

  /** As often as it takes. */
  async #reportAtLast(blocks: readonly L2Block[], signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#parts;
    const context = { clock, random, signal };
    await retry(() => this.#report(blocks), PATIENT, context, (_attempt, retryMs, error) => {
      log?.({ event: "tick.failed", error, retryMs });
    }).catch((error) => {
      if (!signal.aborted) throw error;
    });
  }

  /** Reads the chain up to block `last`, which has that timestamp. */
  async #follow(
    open: NonNullable<BlockTapParts["open"]>,
    { last, timestamp }: { readonly last: bigint; readonly timestamp: bigint },
    signal: AbortSignal,
  ): Promise<void> {
    const read = new AbortController();
    const follower = new BlockFollower({
      ...this.#parts,
      open: async (start) => {
        // Older than the batches: the chain would begin behind it, where there may be no block yet.
        if (start.reported.length === 0 && timestamp < start.notBefore) {
          read.abort();
          return NOTHING;
        }
        return new ChainUpTo(last, await open(start, last), () => read.abort());
      },
    });
    await follower.run(AbortSignal.any([signal, read.signal]));
  }
}

/** A chain as if it ended with a block. */
class ChainUpTo implements FollowedChain {
  readonly #last: bigint;
  readonly #chain: FollowedChain;
  readonly #onEnd: () => void;
  #isGiven = false;

  /** @param onEnd called when more is asked for behind the last */
  constructor(last: bigint, chain: FollowedChain, onEnd: () => void) {
    this.#last = last;
    this.#chain = chain;
    this.#onEnd = onEnd;
  }

  async pendingBlocks(): Promise<readonly L2Block[]> {
    if (this.#isGiven) {
      this.#onEnd();
      return [];
    }
    const blocks = await this.#chain.pendingBlocks();
    this.#isGiven = (blocks.at(-1)?.number ?? -1n) >= this.#last;
    return blocks.filter(({ number }) => number! <= this.#last);
  }

  rewind(number: bigint): void {
    this.#isGiven = false;
    this.#chain.rewind(number);
  }

  async close(): Promise<void> {
    await this.#chain.close?.();
  }
}
