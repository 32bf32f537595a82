/**
 * A batcher whose blocks are reported, with its L1, its L2 and its disk in memory, on one clock.
 *
 * @module
 */
import { NoopCompressor } from "../../src/compress/noop.ts";
import { ClockEpochs } from "../../src/l1/epoch_sources.ts";
import { ManualClock, MemoryBatchSource, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import { BatcherJournal } from "../../src/pipeline/batcher_journal.ts";
import { recoverFromJournal } from "../../src/pipeline/journaled_recovery.ts";
import type { ReportedBlock } from "../../src/superblock.ts";
import type { BatchManager } from "../../src/superblock/batch_manager.ts";
import type { ChainStart, FollowedChain } from "../../src/superblock/block_follower.ts";
import { BlockTap, type TakenBefore } from "../../src/superblock/block_tap.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import { SEQUENCER_DEFAULTS, SequencerIntegration } from "../../src/superblock/sequencer.ts";
import type { L2Block } from "../../src/types.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { Events, noise } from "../helpers.ts";
import { openManager, slotMs, SMALL_CLOCK } from "./world.ts";

/** One start of the program. */
export interface Life {
  readonly batcher: BatcherPipeline;
  readonly journal: BatcherJournal;
  readonly manager: BatchManager;
  readonly listener: EpochListener;
  readonly source: MemoryBatchSource;
  readonly tap: BlockTap;
}

/** What outlives a crash. */
export class TappedWorld {
  batchIntervalMs = 20_000;
  readonly clock = new ManualClock(slotMs(0));
  readonly storage = new MemoryStorage();
  readonly l1 = new MemoryL1({ clock: this.clock });
  readonly events = new Events();
  /** The whole L2, from block 1. */
  chain: L2Block[] = [];
  #branch = 0;

  /** Blocks with the time of now. */
  mine(count = 1): L2Block[] {
    const mined = Array.from({ length: count }, () => {
      const before = this.chain.at(-1);
      const number = (before?.number ?? 0n) + 1n;
      const block: L2Block = {
        number,
        hash: noise(32, Number(number) + 100_000 * this.#branch),
        parentHash: before?.hash ?? noise(32),
        timestamp: BigInt(Math.floor(this.clock.now() / 1000)),
        transactions: [noise(20, Number(number))],
      };
      this.chain.push(block);
      return block;
    });
    return mined;
  }

  /** Other blocks behind `number`, with the time of now. */
  reorganise(number: bigint, count: number): L2Block[] {
    this.#branch += 1;
    this.chain = this.chain.filter((block) => block.number! <= number);
    return this.mine(count);
  }

  /** The whole chain once more, as a node gives it. */
  readonly open = ({ reported, notBefore }: ChainStart): Promise<FollowedChain> => {
    const last = reported.at(-1)?.number ?? -1n;
    let left = this.chain.filter((block) => block.number! > last && block.timestamp >= notBefore);
    return Promise.resolve({
      pendingBlocks: () => {
        const given = left.slice(0, 2);
        left = left.slice(2);
        return Promise.resolve(given);
      },
      rewind: () => {},
    });
  };

  /**
   * @param isJoined the batcher reports its blocks
   * @param batches where they are
   */
  async start(
    { isJoined = true, canOpen = true, directory = "batcher", batches = "batches" } = {},
  ): Promise<Life> {
    const { clock, storage, l1, events: { log } } = this;
    const random = new SeededRandom();
    const { manager } = await openManager(storage, clock, {
      log,
      awaitsNextBlock: true,
      directory: batches,
    });
    const listener = new EpochListener({
      sources: [new ClockEpochs(SMALL_CLOCK, clock)],
      taker: manager,
      clock,
      random,
    }, { l1Clock: SMALL_CLOCK, pollIntervalMs: 12_000 });
    const sequencer = new SequencerIntegration({ listener, manager, clock }, {
      ...SEQUENCER_DEFAULTS,
      chainId: 1001n,
    });
    await listener.look();
    const parts = { manager, sequencer, clock, random, log };
    const tap = new BlockTap({ ...parts, ...(canOpen && { open: this.open }) });

    const journal = await BatcherJournal.open({ storage, directory });
    const { signal } = new AbortController();
    const before = () => ({
      lastPosted: journal.state.position?.lastBlock,
      taken: journal.state.taken,
    });
    if (isJoined) await tap.catchUp(before(), signal);
    const source = this.#sourceBehind(before());
    const { position } = journal.state;
    const recovered = await recoverFromJournal({
      journal,
      start: { inbox: noise(20), batcher: noise(20, 1), l1Block: 0n, l1BlockHash: noise(32, 2) },
      source: isJoined ? tap.before(source, signal) : source,
      l1: l1.source({ startBlock: position ? position.l1Block + 1n : 0n }),
      compressors: [new NoopCompressor()],
      clock,
    });
    const batcher = new BatcherPipeline(
      {
        source,
        compressor: new NoopCompressor(),
        sink: l1.sink(),
        clock,
        log,
        journal: isJoined ? tap.over(journal) : journal,
      },
      { maxBlocksPerBatch: 4, batchIntervalMs: this.batchIntervalMs, minBatchBytes: 1 },
      recovered,
    );
    return { batcher, journal, manager, listener, source, tap };
  }

  /** It knows what was taken, as a node's source does, and that L2 went another way meanwhile. */
  #sourceBehind({ lastPosted, taken }: TakenBefore): MemoryBatchSource {
    const last = (taken.at(-1) ?? lastPosted)?.number ?? -1n;
    const isShared = (block: L2Block) =>
      !taken.some(({ number, hash }) => number === block.number && !equalBytes(hash!, block.hash!));
    const parting = this.chain.findIndex((block) => !isShared(block));
    const shared = parting < 0 ? this.chain : this.chain.slice(0, parting);
    const number = shared.at(-1)?.number ?? 0n;
    const gone = taken.filter((block) => block.number! > number);
    const source = new MemoryBatchSource([...shared, ...gone], this.l1);
    source.rewind(last);
    if (gone.length > 0) source.reorganise(number, this.chain.slice(shared.length));
    return source;
  }
}

/** Numbers and hashes of blocks, as text. */
export function named(blocks: readonly (L2Block | ReportedBlock)[]): string[] {
  return blocks.map(({ number, hash }) => `${number}:${hash![0]!.toString(16)}${hash![1]}`);
}

/** All that the batches hold, in order. */
export function reported(manager: BatchManager): string[] {
  return named(manager.batches.flatMap(({ blocks }) => blocks));
}
