/**
 * All parts together, in virtual time: an L2 that is away, is reorganised, is started behind what was
 * reported.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { describe } from "../../src/cli/log.ts";
import { ConfigError, SourceError } from "../../src/errors.ts";
import { ClockEpochs } from "../../src/l1/epoch_sources.ts";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { LogEvent } from "../../src/ports.ts";
import {
  BlockFollower,
  type ChainStart,
  type FollowedChain,
} from "../../src/superblock/block_follower.ts";
import { SuperblockCoordinator } from "../../src/superblock/coordinator.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import { SEQUENCER_DEFAULTS, SequencerIntegration } from "../../src/superblock/sequencer.ts";
import type { L2Block } from "../../src/types.ts";
import { HOUR_MS, MINUTE_MS, ProofWorld } from "./proof_world.ts";
import { blockAt, openManager, range, slotMs, SMALL_CLOCK } from "./world.ts";

const SECOND_MS = 1000;
/** Of a batch. */
const WINDOW_MS = 96 * SECOND_MS;

function l2Block(number: number, branch = 0): L2Block {
  const { slot: _, transactions: __, ...block } = blockAt(number, 12 * number, branch);
  return { ...block, transactions: [] };
}

/** An L2 with a block a slot, as a node gives it. */
class SlotL2 implements FollowedChain {
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

/** A machine: its disk outlives its lives. */
class Machine {
  readonly proofs = new ProofWorld();
  readonly clock = this.proofs.clock;
  readonly events: LogEvent[] = [];
  readonly l2: SlotL2;
  isFull = false;
  readonly #storage = new FaultyStorage(
    new MemoryStorage(),
    ({ method }) => this.isFull && method === "write" ? { error: "NoSpace" } : undefined,
  );

  constructor() {
    this.clock.jump(slotMs(0));
    this.l2 = new SlotL2(() => this.clock.now());
  }

  /** A life, until it fails, or `during` has come to its end. */
  async live(
    during: (life: Awaited<ReturnType<Machine["open"]>>) => Promise<void>,
  ): Promise<void> {
    const life = await this.open();
    const end = new AbortController();
    let isOver = false;
    const running = life.coordinator.run(end.signal).finally(() => isOver = true);
    running.catch(() => {});
    await during(life);
    end.abort();
    await this.clock.run(() => isOver, Infinity);
    await life.journal.close();
    await running;
  }

  async open() {
    const { clock } = this;
    const log = (event: LogEvent) => void this.events.push(event);
    const random = new SeededRandom(1);
    const { manager, journal } = await openManager(this.#storage, clock, {
      awaitsNextBlock: true,
      log,
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
    const open = (start: ChainStart) => this.l2.open(start);
    const follower = new BlockFollower({ manager, sequencer, open, clock, random, log });
    const pipeline = this.proofs.pipelineOn(this.proofs.queue, {}, manager);
    const parts = { listener, manager, follower, pipeline, clock, log };
    return { manager, journal, sequencer, coordinator: new SuperblockCoordinator(parts) };
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

test("Each block of an L2 is in the batch of its time, and all is proved in order", async () => {
  const machine = new Machine();
  await machine.live(() => machine.pass(20 * MINUTE_MS));
  ok(machine.windows.length > 10);
  deepEqual(
    machine.windows,
    machine.windows.map((_, batch) => range(8 * batch, 8 * batch + 8)),
  );
  const numbers = machine.proofs.publisher.numbers;
  ok(numbers.length > 5);
  deepEqual(numbers, numbers.map((_, index) => BigInt(index)));
  ok(machine.l2.isClosed);
});

test("Batches wait for the blocks of an L2 that is away for hours: none is lost, none is early", async () => {
  const machine = new Machine();
  await machine.live(async ({ manager }) => {
    await machine.pass(50 * SECOND_MS);
    machine.l2.isAway = true;
    await machine.pass(3 * HOUR_MS);
    deepEqual(machine.windows, []);
    ok(manager.batchesAwaitingBlocks.length > 100);
    const { awaitingBlocks } = machine.told("standing").at(-1)!;
    equal(awaitingBlocks[0], 0n);
    match(describe(machine.told("standing").at(-1)!).text, /batches 0 to \d+ wait for blocks/);
    machine.l2.isAway = false;
    await machine.pass(10 * MINUTE_MS);
  });
  ok(machine.windows.length > 110);
  deepEqual(
    machine.windows,
    machine.windows.map((_, batch) => range(8 * batch, 8 * batch + 8)),
  );
});

test("A start goes on behind the newest block that was reported", async () => {
  const machine = new Machine();
  await machine.live(() => machine.pass(5 * WINDOW_MS));
  await machine.pass(HOUR_MS);
  await machine.live(() => machine.pass(5 * WINDOW_MS));
  const [first, second] = machine.l2.starts;
  deepEqual([first!.reported.length, first!.notBefore], [0, SMALL_CLOCK.genesisTime]);
  equal(second!.reported.at(-1)!.number, 39n);
  deepEqual(second!.reported.map(({ number }) => Number(number)), range(0, 40));
  deepEqual(
    machine.windows,
    machine.windows.map((_, batch) => range(8 * batch, 8 * batch + 8)),
  );
  ok(machine.windows.length > 40);
});

test("The first start takes the whole window that is open, and nothing before it", async () => {
  const machine = new Machine();
  machine.clock.jump(10 * WINDOW_MS + WINDOW_MS / 2);
  await machine.live(() => machine.pass(2 * WINDOW_MS));
  deepEqual(machine.windows[0], range(80, 88));
  equal(machine.told("batch_finalized")[0]!.batch.window.batchNumber, 10n);
  deepEqual(machine.told("blocks_left_out"), []);
});

test("Blocks above a gap are what a start goes on behind", async () => {
  const machine = new Machine();
  machine.l2.isAway = true;
  await machine.live(async ({ sequencer }) => {
    await machine.pass(60 * SECOND_MS);
    for (const number of [0, 1, 3, 4]) {
      await sequencer.reportBlock(blockAt(number, 12 * number));
    }
  });
  await machine.live(() => machine.pass(SECOND_MS));
  deepEqual(machine.l2.starts.at(-1)!.reported.map(({ number }) => number), [3n, 4n]);
});

test("An L2 that goes another way replaces what was reported of a batch that collects", async () => {
  const machine = new Machine();
  await machine.live(async ({ manager }) => {
    await machine.pass(70 * SECOND_MS);
    machine.l2.branches.push({ from: 3, branch: 1 });
    await machine.pass(2 * WINDOW_MS);
    const blocks = manager.batch(0n)!.blocks;
    deepEqual(
      blocks.map(({ hash }) => hash),
      range(0, 8).map((number) => machine.l2.block(number).hash),
    );
  });
  equal(machine.told("blocks_replaced").length, 1);
});

test("An L2 that goes another way below a closed batch ends all of it: a person has to decide", async () => {
  const machine = new Machine();
  const life = machine.live(async () => {
    await machine.pass(3 * WINDOW_MS);
    machine.l2.branches.push({ from: 3, branch: 1 });
    await machine.pass(WINDOW_MS);
  });
  await rejects(life, (error: { code: string; message: string }) => {
    equal(error.code, "Reorganised");
    match(error.message, /block 3 .*batch 0 is (?:proving|completed) already/s);
    return true;
  });
});

test("A batch that is ended by hand does not wait, and says which blocks it leaves out", async () => {
  const machine = new Machine();
  await machine.live(async ({ manager, sequencer }) => {
    await machine.pass(30 * SECOND_MS);
    machine.l2.isAway = true;
    await machine.pass(2 * WINDOW_MS);
    await sequencer.forceFinalize(0n);
    equal(manager.batch(0n)?.state, "proving");
    machine.l2.isAway = false;
    await machine.pass(2 * WINDOW_MS);
  });
  deepEqual(machine.windows.slice(0, 2), [range(0, 3), range(8, 16)]);
  const leftOut = machine.told("blocks_left_out");
  deepEqual([leftOut[0]?.firstBlock, leftOut.at(-1)?.lastBlock], [3n, 7n]);
  match(describe(machine.told("blocks_left_out")[0]!).text, /left out, and nobody proves them/);
});

test("On a full disk all waits, and no block is missing when there is room again", async () => {
  const machine = new Machine();
  await machine.live(async () => {
    await machine.pass(50 * SECOND_MS);
    machine.isFull = true;
    await machine.pass(HOUR_MS);
    deepEqual(machine.windows, []);
    machine.isFull = false;
    await machine.pass(10 * MINUTE_MS);
  });
  ok(machine.windows.length > 35);
  deepEqual(
    machine.windows,
    machine.windows.map((_, batch) => range(8 * batch, 8 * batch + 8)),
  );
});

test("What fails for good ends all parts, and is what is thrown", async () => {
  const machine = new Machine();
  machine.l2.open = () => Promise.reject(new ConfigError("Invalid", "Cannot use that URL"));
  await rejects(machine.live(() => machine.pass(MINUTE_MS)), { message: "Cannot use that URL" });
});

test("Each minute it says how all of it stands", async () => {
  const machine = new Machine();
  await machine.live(() => machine.pass(4 * MINUTE_MS + SECOND_MS));
  const said = machine.told("standing").map((event) => describe(event).text);
  equal(said.length, 4);
  match(
    said[0]!,
    /^batch 0 collects, 5 blocks, 36 s to go; newest block 4, 12 s old; L1 epoch 1 by the clock; 0 to be proved$/,
  );
  match(said[2]!, /^batch 1 collects, .* 1 to be proved, range_proof 1$/);
});
