/**
 * Sequencers that know nothing of each other cut the same windows: with clocks that differ by up to 2
 * seconds, blocks that come late, and crashes at any moment, in virtual time.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import { isRetryable } from "../../src/errors.ts";
import { ClockEpochs } from "../../src/l1/epoch_sources.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { Clock } from "../../src/ports.ts";
import {
  BatchError,
  type BatchInfo,
  type L1ClockConfig,
  type ReportedBlock,
} from "../../src/superblock.ts";
import type { BatchManager } from "../../src/superblock/batch_manager.ts";
import { batchAt, slotAt } from "../../src/superblock/clock.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import { noise } from "../helpers.ts";
import { Run, Violation } from "../simulation/run.ts";
import { seedsHere } from "../simulation/seeds.ts";
import { openManager, SMALL_CLOCK } from "./world.ts";

const GRACE_MS = 10_000;
const BATCHES = 6;
const BATCH_MS = 96_000;

/** A clock that is wrong by as much as is told. */
function skewed(clock: Clock, skewMs: number): Clock {
  return { now: () => clock.now() + skewMs, sleep: (ms, signal) => clock.sleep(ms, signal) };
}

/** One sequencer: it produces blocks by its own clock, and a manager in its process takes them. */
class Sequencer {
  readonly name: string;
  readonly finalized = new Map<bigint, BatchInfo>();
  /** Numbers of blocks that were acknowledged, with their times. */
  readonly acknowledged = new Map<bigint, bigint>();
  readonly refused = new Map<bigint, bigint>();
  readonly #run: Run;
  readonly #clock: Clock;
  readonly #l1Clock: L1ClockConfig;
  readonly #storage = new MemoryStorage();
  #manager: BatchManager | undefined;
  #ends = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();
  #next = 0;

  constructor(run: Run, name: string, skewMs: number, l1Clock: L1ClockConfig) {
    this.#run = run;
    this.name = name;
    this.#clock = skewed(run.clock, skewMs);
    this.#l1Clock = l1Clock;
  }

  async start(): Promise<void> {
    const log = (event: { readonly event: string }) => {
      this.#run.counts[event.event] = (this.#run.counts[event.event] ?? 0) + 1;
    };
    const l1Clock = this.#l1Clock;
    const config = { l1Clock, lateBlockGraceMs: GRACE_MS, log };
    const { manager } = await openManager(this.#storage, this.#clock, config);
    const { random } = this.#run;
    const listener = new EpochListener({
      sources: [new ClockEpochs(l1Clock, this.#clock)],
      taker: manager,
      clock: this.#clock,
      random,
      log,
    }, { l1Clock, pollIntervalMs: 12_000 });
    const ends = this.#ends = new AbortController();
    // What a crash leaves half done fails: nobody waits for it.
    this.#loops = Promise.allSettled([listener.run(ends.signal), manager.run(ends.signal)]);
    this.#manager = manager;
  }

  async crash(): Promise<void> {
    this.#run.counts.crashes = (this.#run.counts.crashes ?? 0) + 1;
    this.#manager = undefined;
    this.#storage.crash(this.#run.random);
    this.#ends.abort();
    await this.#loops;
  }

  /** Produces a block, and reports it after a while, over crashes too. */
  produce(): void {
    const number = BigInt(this.#next++);
    const timestamp = BigInt(Math.floor(this.#clock.now() / 1000));
    const block: ReportedBlock = {
      slot: slotAt(this.#l1Clock, timestamp),
      number,
      hash: noise(32, Number(number)),
      timestamp,
      transactions: 1,
    };
    void this.#report(block, this.#run.below(8) === 0 ? this.#run.below(40_000) : 0);
  }

  async #report(block: ReportedBlock, delayMs: number): Promise<void> {
    await this.#run.clock.sleep(delayMs);
    for (;;) {
      try {
        if (this.#manager) {
          await this.#manager.addBlock(block);
          this.acknowledged.set(block.number, block.timestamp);
          return;
        }
      } catch (error) {
        if (error instanceof BatchError && error.code === "TooLate") {
          this.refused.set(block.number, block.timestamp);
          return;
        }
        if (error instanceof BatchError && !isRetryable(error)) throw error;
      }
      await this.#run.clock.sleep(500);
    }
  }

  /** Holds what it finalized against what it promised. */
  check(): void {
    for (const batch of this.#manager?.batches ?? []) {
      if (batch.state !== "collecting") this.finalized.set(batch.window.batchNumber, batch);
    }
    const batches = this.#manager?.batches ?? [];
    const held = new Map(
      batches.flatMap(({ window, blocks }) =>
        blocks.map((block) => [block.number, window.batchNumber] as const)
      ),
    );
    for (const [number, timestamp] of this.acknowledged) {
      const expected = batchAt(this.#l1Clock, timestamp);
      if (held.get(number) === expected) continue;
      throw new Violation(
        `${this.name}: block ${number} is in batch ${held.get(number)}, not ${expected}`,
      );
    }
    for (const { window, blocks } of batches) {
      const isOut = blocks.some(({ timestamp }) =>
        timestamp < window.startsAt || timestamp >= window.endsAt
      );
      if (isOut) throw new Violation(`${this.name}: batch ${window.batchNumber} holds a stranger`);
    }
  }

  async end(): Promise<void> {
    this.#ends.abort();
    await this.#loops;
  }
}

/** What is equal for all, or ought to be. */
function windowOf({ window }: BatchInfo): string {
  return `${window.batchNumber}: slots ${window.firstSlot} to ${window.lastSlot}, ` +
    `${window.startsAt} to ${window.endsAt}`;
}

async function simulate(seed: number, clocks: readonly L1ClockConfig[]): Promise<Run> {
  const run = new Run(seed);
  const startMs = run.clock.now();
  const sequencers = clocks.map((l1Clock, index) =>
    new Sequencer(run, `sequencer ${index}`, run.between(-2000, 2000), l1Clock)
  );
  for (const sequencer of sequencers) await sequencer.start();
  const endMs = startMs + BATCHES * BATCH_MS;
  const lives = sequencers.map(async (sequencer) => {
    while (run.clock.now() < endMs) {
      await run.clock.sleep(run.between(1000, 12_000));
      sequencer.produce();
      if (run.below(12) !== 0) continue;
      await sequencer.crash();
      await run.clock.sleep(run.below(4) === 0 ? run.below(2 * BATCH_MS) : run.below(5000));
      await sequencer.start();
    }
  });
  let isDone = false;
  let failure: unknown;
  void Promise.all(lives).catch((error) => failure = error).finally(() => isDone = true);
  await run.clock.run(() => isDone, 10 * BATCHES * BATCH_MS);
  if (failure) throw failure;
  // All that is under way is reported, and finalized.
  const restMs = run.clock.elapsedMs + 3 * BATCH_MS;
  void run.clock.sleep(3 * BATCH_MS);
  await run.clock.run(() => run.clock.elapsedMs >= restMs, restMs + 1);
  for (const sequencer of sequencers) {
    sequencer.check();
    await sequencer.end();
    run.counts.refused = (run.counts.refused ?? 0) + sequencer.refused.size;
    run.counts.acknowledged = (run.counts.acknowledged ?? 0) + sequencer.acknowledged.size;
  }
  compare(sequencers);
  return run;
}

function compare(sequencers: readonly Sequencer[]): void {
  const windows = new Map<bigint, string>();
  for (const { name, finalized } of sequencers) {
    const numbers = [...finalized.keys()];
    const isInOrder = numbers.every((each, at) => at === 0 || each === numbers[at - 1]! + 1n);
    if (!isInOrder || numbers.length < BATCHES) {
      throw new Violation(`${name} finalized ${numbers}`);
    }
    for (const [number, batch] of finalized) {
      const window = windowOf(batch);
      const other = windows.get(number);
      if (other !== undefined && other !== window) {
        throw new Violation(`${name} cut ${window}; another ${other}`);
      }
      windows.set(number, window);
    }
  }
}

/** Mid-window, as sequencers start when they like. */
const CLOCK: L1ClockConfig = { ...SMALL_CLOCK, genesisTime: 1_767_225_600n - 96n * 50n - 30n };

test("Property: sequencers with skewed clocks, late blocks and crashes cut identical windows", async () => {
  const totals: Record<string, number> = {};
  const { first, count } = seedsHere(60);
  for (let seed = first; seed < first + count; seed++) {
    const { counts } = await simulate(seed, [CLOCK, CLOCK, CLOCK]).catch((cause) => {
      throw new Error(`seed ${seed}: ${cause.message}`, { cause });
    });
    for (const [name, times] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + times;
  }
  // What never happened was not shown.
  for (const name of ["crashes", "refused", "acknowledged", "batch_finalized", "batch_trigger"]) {
    ok((totals[name] ?? 0) > 0, `${name}: ${totals[name]}`);
  }
});

test("Equal seeds are equal runs", async () => {
  const [one, two] = [await simulate(7, [CLOCK, CLOCK]), await simulate(7, [CLOCK, CLOCK])];
  deepEqual(one.counts, two.counts);
});

test("A sequencer with another genesis is found out", async () => {
  const other = { ...CLOCK, genesisTime: CLOCK.genesisTime + 12n };
  await rejects(simulate(1, [CLOCK, other]), { name: "Violation", message: /cut .* another/ });
});
