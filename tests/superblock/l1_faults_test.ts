/**
 * An L1 that misses slots and is reorganised, sources that fail, a machine that loses power and stays off for
 * long, in virtual time: each epoch is taken once, in order, and so is each trigger.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { isRetryable, SourceError, WalError } from "../../src/errors.ts";
import { ClockEpochs, ExecutionEpochs } from "../../src/l1/epoch_sources.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { EpochSource } from "../../src/superblock.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import { LogBatchJournal } from "../../src/wal/batch_journal.ts";
import { Run } from "../simulation/run.ts";
import { seedsHere } from "../simulation/seeds.ts";
import { openManager, range, SlotChain, SMALL_CLOCK, SMALL_CONFIG } from "./world.ts";

const SLOT_MS = 12_000;
/** A batch is under way when a run begins. */
const CLOCK = { ...SMALL_CLOCK, genesisTime: 1_767_225_600n - 12n * 30n };
const GENESIS_MS = Number(CLOCK.genesisTime) * 1000;

/** A chain that grows with the time, and goes another way now and then. */
class WildL1 {
  chain = new SlotChain([]);
  #branch = 0;
  #nextSlot = 0;
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  /** Up to the slot of now. */
  grow(): void {
    const run = this.#run;
    const slot = Math.floor((run.clock.now() - GENESIS_MS) / SLOT_MS);
    for (; this.#nextSlot <= slot; this.#nextSlot++) {
      if (this.#nextSlot > 0 && run.mishap(0.15)) run.count("missed slot");
      else this.mine(this.#nextSlot);
    }
    const depth = run.below(8);
    if (!run.mishap(0.1) || depth === 0 || this.chain.headers.length < 20) return;
    run.count("reorganisation");
    this.#branch += 1;
    this.chain.headers.splice(-depth);
    this.#nextSlot = slot - run.below(depth) + 1;
  }

  mine(slot: number): void {
    this.chain.mine(slot, this.#branch);
    // Of another clock than the chain of these tests has.
    const header = this.chain.headers.at(-1)!;
    Object.assign(header, { timestamp: CLOCK.genesisTime + BigInt(12 * slot) });
  }
}

/** Fails for a while at a time. */
function failing(run: Run, source: EpochSource): EpochSource {
  let downUntilMs = 0;
  const asked = async <T>(ask: () => Promise<T>): Promise<T> => {
    await run.clock.sleep(run.around(1, 500));
    if (run.mishap(0.05)) downUntilMs = run.clock.elapsedMs + run.around(1000, 200_000);
    if (run.isCalm || run.clock.elapsedMs >= downUntilMs) return await ask();
    run.count(`${source.name} is down`);
    throw new SourceError("Connection", `Cannot ask the ${source.name}`);
  };
  return {
    name: source.name,
    headSlot: () => asked(() => source.headSlot()),
    ...(source.firstBlock && {
      firstBlock: (first: bigint, last: bigint) => asked(() => source.firstBlock!(first, last)),
      hasBlock: (block) => asked(() => source.hasBlock!(block)),
    }),
  };
}

/** One run of several lives. */
async function simulate(seed: number): Promise<Run> {
  const run = new Run(seed);
  const l1 = new WildL1(run);
  const storage = new MemoryStorage();
  const lives = run.between(2, 5);
  const hasClock = run.chance(0.5);
  let isDone = false;
  let failure: unknown;
  const live = async (isLast: boolean) => {
    const { manager, journal } = await openManager(storage, run.clock, {
      l1Clock: CLOCK,
      log: run.log("manager"),
    });
    const execution = new ExecutionEpochs({
      name: "wild L1",
      header: (tag) => (l1.grow(), l1.chain.header(tag)),
    }, CLOCK);
    const sources = [
      failing(run, { ...bound(execution), name: "beacon" }),
      failing(run, execution),
      ...(hasClock ? [new ClockEpochs(CLOCK, run.clock)] : []),
    ];
    const stop = new AbortController();
    let isDead = false;
    const listener = new EpochListener({
      sources,
      taker: manager,
      clock: run.clock,
      random: run.random,
      log: run.log("listener"),
    }, { l1Clock: CLOCK, pollIntervalMs: SLOT_MS });
    const running = listener.run(stop.signal).catch((error) => {
      // What the power loss leaves half done: whoever wrote then is dead.
      if (!isRetryable(error) && !(isDead && error instanceof WalError)) throw error;
    });
    await run.clock.sleep(run.around(10_000, 1_000_000));
    if (isLast) {
      run.isCalm = true;
      l1.grow();
      await run.clock.sleep(400_000);
    } else {
      run.count("power loss");
      storage.crash(run.random);
      isDead = true;
    }
    stop.abort();
    await running;
    if (isLast) await journal.close();
  };
  void (async () => {
    for (let at = 0; at < lives; at++) {
      await live(at === lives - 1);
      // Over a hundred epochs, at times.
      if (at < lives - 1) await run.clock.sleep(run.around(100, 8_000_000));
    }
  })().catch((error) => failure = error).finally(() => isDone = true);
  await run.clock.run(() => isDone, 1e9);
  if (failure) throw failure;
  const { found, close } = await reopened(storage);
  const taken = found.changes.flatMap((each) =>
    each.change === "epoch" ? [Number(each.epoch)] : []
  );
  await close();
  const last = Math.floor((run.clock.now() - GENESIS_MS) / SLOT_MS / 4);
  // Slots 24 to 31 are batch 3, which was under way.
  deepEqual(taken, range(6, taken.length + 6), `seed ${seed}`);
  ok(taken.at(-1)! >= last - 1, `seed ${seed}: ${taken.at(-1)} of ${last}`);
  const started = found.changes.filter((each) => each.change === "epoch" && each.epoch % 2n === 0n);
  run.counts.triggers = started.length;
  run.counts.epochs = taken.length;
  return run;
}

function bound(source: ExecutionEpochs): Omit<EpochSource, "name"> {
  return {
    headSlot: () => source.headSlot(),
    firstBlock: (first, last) => source.firstBlock(first, last),
    hasBlock: (block) => source.hasBlock(block),
  };
}

async function reopened(storage: MemoryStorage) {
  const owner = { ...SMALL_CONFIG, l1Clock: CLOCK };
  const journal = await LogBatchJournal.open({ storage, directory: "batches" }, owner);
  return { found: journal.found, close: () => journal.close() };
}

test("Property: over reorganisations, sources that fail and long stops, each trigger once, in order", async () => {
  const totals: Record<string, number> = {};
  const { first, count } = seedsHere(60);
  for (let seed = first; seed < first + count; seed++) {
    const { counts } = await simulate(seed);
    for (const [name, times] of Object.entries(counts)) totals[name] = (totals[name] ?? 0) + times;
    // Each that was told is told once, but for one that a power loss may have hidden.
    const told = counts.batch_trigger ?? 0;
    ok(told <= counts.triggers! && told >= counts.triggers! - 5, `seed ${seed}: ${told}`);
  }
  // What never happened was not shown.
  const names = [
    "missed slot",
    "reorganisation",
    "beacon is down",
    "execution is down",
    "power loss",
  ];
  for (const name of [...names, "epoch_reorganised", "epoch_source_recovered"]) {
    ok((totals[name] ?? 0) > 20, `${name}: ${totals[name]}`);
  }
});

test("Equal seeds are equal runs of L1's faults", async () => {
  const [one, two] = [await simulate(3), await simulate(3)];
  deepEqual(one.lines, two.lines);
});
