/**
 * A machine with all parts of batch proving, in virtual time: its disk outlives its lives, and its L2 is
 * away, or goes another way, as it is told.
 *
 * @module
 */
import { SourceError } from "../../src/errors.ts";
import { ClockEpochs } from "../../src/l1/epoch_sources.ts";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { LogEvent, Random } from "../../src/ports.ts";
import type { BatchManager } from "../../src/superblock/batch_manager.ts";
import {
  BlockFollower,
  type ChainStart,
  type FollowedChain,
} from "../../src/superblock/block_follower.ts";
import { SuperblockCoordinator } from "../../src/superblock/coordinator.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import { SEQUENCER_DEFAULTS, SequencerIntegration } from "../../src/superblock/sequencer.ts";
import type { L2Block } from "../../src/types.ts";
import { LogJobQueue } from "../../src/wal/job_queue.ts";
import { ProofWorld } from "./proof_world.ts";
import { blockAt, openManager, range, slotMs, SMALL_CLOCK } from "./world.ts";

export const SECOND_MS = 1000;
/** Of a batch. */
export const WINDOW_MS: number = 96 * SECOND_MS;

function l2Block(number: number, branch = 0): L2Block {
  const { slot: _, transactions: __, ...block } = blockAt(number, 12 * number, branch);
  return { ...block, transactions: [] };
}

/** An L2 with a block a slot, as a node gives it. */
export class SlotL2 implements FollowedChain {
  readonly starts: ChainStart[] = [];
  readonly branches: { readonly from: number; readonly branch: number }[] = [{
    from: 0,
    branch: 0,
  }];
  isAway = false;
  isClosed = false;
  #given: L2Block[] = [];
  #next = 0;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  block(number: number): L2Block {
    return l2Block(number, this.branches.findLast(({ from }) => from <= number)!.branch);
  }

  open(start: ChainStart): Promise<SlotL2> {
    this.starts.push(start);
    if (this.isAway) return Promise.reject(new SourceError("Connection", "Cannot ask L2"));
    const newest = start.reported.at(-1)?.number;
    const first = (start.notBefore - SMALL_CLOCK.genesisTime) / 12n;
    this.#given = start.reported.map(({ number, hash, timestamp }) => {
      return { number, hash, timestamp, transactions: [] };
    });
    this.#next = Number(newest === undefined ? first : newest + 1n);
    return Promise.resolve(this);
  }

  // deno-lint-ignore require-await -- it rejects rather than throws
  async pendingBlocks(): Promise<readonly L2Block[]> {
    if (this.isAway) throw new SourceError("Connection", "Cannot ask L2");
    const shared = this.#given.findLast(({ number, hash }) =>
      `${hash}` === `${this.block(Number(number)).hash}`
    );
    if (shared?.number !== this.#given.at(-1)?.number) {
      const block = shared?.number ?? -1n;
      throw new SourceError("Reorganised", "L2 went another way", { details: { block } });
    }
    const newest = Math.floor((this.#nowMs() - slotMs(0)) / (12 * SECOND_MS));
    const blocks = range(this.#next, newest + 1).slice(0, 5).map((number) => this.block(number));
    this.#given.push(...blocks);
    this.#next += blocks.length;
    return blocks;
  }

  rewind(number: bigint): void {
    this.#given = this.#given.filter((each) => each.number! <= number);
    this.#next = Number(number) + 1;
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }
}

/** A life of a machine. */
export interface Life {
  readonly manager: BatchManager;
  readonly sequencer: SequencerIntegration;
  /** Takes up each job that failed, as an operator does. */
  retryFailed(): Promise<void>;
  /** It ends as an operator ends it. @throws what it failed with */
  stop(): Promise<void>;
  /** The power goes away. */
  kill(random: Random): Promise<void>;
}

/** A machine. */
export class Machine {
  readonly proofs = new ProofWorld();
  readonly clock = this.proofs.clock;
  readonly events: LogEvent[] = [];
  readonly l2: SlotL2;
  isFull = false;
  readonly #disk = new MemoryStorage();
  readonly #storage = new FaultyStorage(
    this.#disk,
    ({ method }) => this.isFull && method === "write" ? { error: "NoSpace" } : undefined,
  );

  constructor() {
    this.clock.jump(slotMs(0));
    this.l2 = new SlotL2(() => this.clock.now());
  }

  /** A life, until it fails, or `during` has come to its end. */
  async live(during: (life: Life) => Promise<void>): Promise<void> {
    const life = await this.begin();
    await during(life);
    await life.stop();
  }

  async begin(): Promise<Life> {
    const { clock, proofs } = this;
    const log = (event: LogEvent) => void this.events.push(event);
    const random = new SeededRandom(1);
    const config = { awaitsNextBlock: true, log };
    const { manager, journal } = await openManager(this.#storage, clock, config);
    const queue = await LogJobQueue.open({ storage: this.#storage, directory: "jobs", clock });
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
    const open = (start: ChainStart) => this.l2.open(start);
    const follower = new BlockFollower({ manager, sequencer, open, clock, random, log });
    const pipeline = proofs.pipelineOn(queue, {}, manager);
    const parts = { listener, manager, follower, pipeline, clock, log };
    const coordinator = new SuperblockCoordinator(parts);

    const end = new AbortController();
    let isOver = false;
    const running = coordinator.run(end.signal).finally(() => isOver = true);
    running.catch(() => {});
    const ending = async () => {
      end.abort();
      await clock.run(() => isOver, Infinity);
    };
    return {
      manager,
      sequencer,
      retryFailed: async () => {
        for (const { id, stage } of await queue.list()) {
          if (stage === "failed") await pipeline.requeue(id);
        }
      },
      stop: async () => {
        await ending();
        await queue.close();
        await journal.close();
        await running;
      },
      kill: async (random) => {
        this.#disk.crash(random);
        await ending();
      },
    };
  }

  async pass(ms: number): Promise<void> {
    let isOver = false;
    void this.clock.sleep(ms).then(() => isOver = true);
    await this.clock.run(() => isOver, Infinity);
  }

  told<Name extends LogEvent["event"]>(name: Name): Extract<LogEvent, { event: Name }>[] {
    return this.events.filter((each): each is Extract<LogEvent, { event: Name }> =>
      each.event === name
    );
  }

  /** Numbers of the blocks of each batch that was finalized. */
  get windows(): number[][] {
    return this.told("batch_finalized").map(({ batch }) =>
      batch.blocks.map(({ number }) => Number(number))
    );
  }
}
