/**
 * Blocks of a sequencer's own chain, reported as they come: where nobody calls `reportBlock`, the chain is
 * read. What was reported is in the log, so it goes on behind that after a restart.
 *
 * @module
 */
import { isRetryable, SourceError } from "../errors.ts";
import type { BatchSource, Clock, Log, Random } from "../ports.ts";
import { backoffMs, RETRY_DEFAULTS } from "../retry.ts";
import type { ReportedBlock } from "../superblock.ts";
import type { L2Block } from "../types.ts";
import type { BatchManager } from "./batch_manager.ts";
import { reportBlocks } from "./block_report.ts";
import type { SequencerIntegration } from "./sequencer.ts";

/** More are not needed to find where a reorganisation parts from what was reported. */
const REMEMBERED_BLOCKS = 10_000;

/** A chain that is opened: each block has its number and its hash. */
export interface FollowedChain extends Pick<BatchSource, "pendingBlocks"> {
  /** Gives again what follows block `number`. */
  rewind(number: bigint): void;
  close?(): Promise<void>;
}

/** Where a chain is read from. */
export interface ChainStart {
  /** The newest that were reported, oldest first, one after the other: what follows them is given. */
  readonly reported: readonly ReportedBlock[];
  /** Where none was: Unix seconds, of which or after which the first block is. */
  readonly notBefore: bigint;
}

/** What a {@link BlockFollower} stands on. */
export interface BlockFollowerParts {
  readonly manager: BatchManager;
  readonly sequencer: SequencerIntegration;
  /** Called again while it fails with what may pass. */
  readonly open: (start: ChainStart) => Promise<FollowedChain>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
}

/**
 * Reports the blocks of a chain to a sequencer's batches.
 *
 * @example
 * ```ts
 * import { BATCH_DEFAULTS, BatchManager, BlockFollower, ClockEpochs, EpochListener, ETHEREUM_CLOCK }
 *   from "https://example.com/montana/v0.1.0/mod.ts";
 * import { LogBatchJournal, ManualClock, MemoryStorage, SEQUENCER_DEFAULTS, SeededRandom }
 *   from "https://example.com/montana/v0.1.0/mod.ts";
 * import { SequencerIntegration } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const config = { ...BATCH_DEFAULTS, chainId: 1001n, l1Clock: ETHEREUM_CLOCK };
 * const clock = new ManualClock(1_763_769_600_000);
 * const random = new SeededRandom();
 * const parts = { storage: new MemoryStorage(), directory: "data/batches" };
 * const manager = new BatchManager({ journal: await LogBatchJournal.open(parts, config), clock }, {
 *   ...config,
 *   awaitsNextBlock: true, // None of the chain is left out, however late it is read.
 * });
 * const listener = new EpochListener({
 *   sources: [new ClockEpochs(ETHEREUM_CLOCK, clock)],
 *   taker: manager,
 *   clock,
 *   random,
 * }, { l1Clock: ETHEREUM_CLOCK, pollIntervalMs: 12_000 });
 * const integration = { ...SEQUENCER_DEFAULTS, chainId: 1001n };
 * const sequencer = new SequencerIntegration({ listener, manager, clock }, integration);
 * await listener.look();
 *
 * const stop = new AbortController();
 * const block = { number: 7n, hash: new Uint8Array(32), timestamp: 1_763_769_600n, transactions: [] };
 * const blocks = [block];
 * const follower = new BlockFollower({
 *   manager,
 *   sequencer,
 *   open: () => // Or an `RpcBlockSource`, behind `reported`.
 *     Promise.resolve({
 *       pendingBlocks() {
 *         if (blocks.length === 0) stop.abort();
 *         return Promise.resolve(blocks.splice(0));
 *       },
 *       rewind() {},
 *     }),
 *   clock,
 *   random,
 * });
 * await follower.run(stop.signal);
 * if (manager.currentBatch?.blocks[0]?.number !== 7n) throw new Error("it was not reported");
 * ```
 */
export class BlockFollower {
  readonly #parts: BlockFollowerParts;
  readonly #pollIntervalMs: number;
  #chain: FollowedChain | undefined;
  /** Given by the chain, and not reported yet. */
  #waiting: L2Block[] = [];
  #failure: unknown;

  /** @param pollIntervalMs between two looks at the chain, where nothing new is there */
  constructor(parts: BlockFollowerParts, pollIntervalMs: number = 1000) {
    this.#parts = parts;
    this.#pollIntervalMs = pollIntervalMs;
  }

  /** Why the chain cannot be followed now; `undefined` where it can. */
  get failure(): unknown {
    return this.#failure;
  }

  /**
   * Follows until aborted.
   *
   * @throws {PipelineError} `Reorganised` where the chain no longer has blocks of a batch that is closed
   * @throws {MontanaError} whatever else does not pass by itself
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, log } = this.#parts;
    let failures = 0;
    try {
      while (!signal.aborted) {
        try {
          const isIdle = await this.#step(signal);
          failures = 0;
          this.#failure = undefined;
          if (isIdle) await clock.sleep(this.#pollIntervalMs, signal);
        } catch (error) {
          if (this.#hasSteppedBack(error)) continue;
          if (!isRetryable(error)) throw error;
          this.#failure = error;
          const retryMs = backoffMs(++failures, RETRY_DEFAULTS, random);
          log?.({ event: "tick.failed", error, retryMs });
          await clock.sleep(retryMs, signal);
        }
      }
    } finally {
      await this.#chain?.close?.();
    }
  }

  /** @returns whether nothing is there to be reported */
  async #step(signal: AbortSignal): Promise<boolean> {
    this.#chain ??= await this.#open();
    if (!this.#chain) return true;
    if (this.#waiting.length === 0) this.#waiting = [...await this.#chain.pendingBlocks()];
    if (this.#waiting.length === 0) return true;
    const { blocks, failure } = await reportBlocks(this.#waiting, { ...this.#parts, signal });
    this.#waiting.splice(0, blocks);
    if (failure) throw failure.error;
    return false;
  }

  /** `undefined` until the first epoch has told with which batch it begins. */
  async #open(): Promise<FollowedChain | undefined> {
    const { manager, open } = this.#parts;
    const collecting = manager.batches.find(({ state }) => state === "collecting");
    if (!collecting) return undefined;
    const reported = manager.batches.flatMap(({ blocks }) => blocks).slice(-REMEMBERED_BLOCKS);
    // Above a gap, as others may report them.
    const gap = reported.findLastIndex(({ number }, at) =>
      at > 0 && number !== reported[at - 1]!.number + 1n
    );
    return await open({
      reported: reported.slice(Math.max(0, gap)),
      notBefore: collecting.window.startsAt,
    });
  }

  /** True where the chain went another way, and gives that now. */
  #hasSteppedBack(error: unknown): boolean {
    if (!(error instanceof SourceError) || error.code !== "Reorganised") return false;
    const { block } = error.details;
    if (typeof block !== "bigint") return false;
    this.#chain!.rewind(block);
    return true;
  }
}
