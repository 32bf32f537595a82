import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SourceError } from "../../src/errors.ts";
import { ClockEpochs, ExecutionEpochs } from "../../src/l1/epoch_sources.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { EpochSource, EpochTaker } from "../../src/superblock.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import { Events } from "../helpers.ts";
import { SimulatedClock } from "../simulation/clock.ts";
import { FakeTaker, openManager, range, SlotChain, slotMs, SMALL_CLOCK } from "./world.ts";

const POLL_MS = 12_000;

function world(startMs: number, chain?: SlotChain, taker = new FakeTaker()) {
  const clock = new SimulatedClock(startMs);
  const source = chain
    ? new ExecutionEpochs(chain, SMALL_CLOCK)
    : new ClockEpochs(SMALL_CLOCK, clock);
  return { clock, taker, sources: [source] as readonly EpochSource[], events: new Events() };
}

type World = ReturnType<typeof world>;
type Listened = Omit<World, "taker"> & { readonly taker: EpochTaker };

function listenerIn({ clock, taker, sources, events }: Listened, pollIntervalMs = POLL_MS) {
  const parts = { clock, taker, sources, random: new SeededRandom(1), log: events.log };
  return new EpochListener(parts, { l1Clock: SMALL_CLOCK, pollIntervalMs });
}

/** Runs a listener until `isDone`, then ends it. */
async function runUntil(world: World, isDone: () => boolean, pollIntervalMs = POLL_MS) {
  const stop = new AbortController();
  let hasEnded = false;
  const run = listenerIn(world, pollIntervalMs).run(stop.signal).finally(() => hasEnded = true);
  await world.clock.run(() => hasEnded || isDone(), 10_000_000);
  stop.abort();
  await run;
}

const epochsOf = ({ taker }: World) => taker.epochs.map(({ epoch }) => Number(epoch));
const batchesOf = ({ taker }: World) =>
  taker.triggers.map(({ batchNumber }) => Number(batchNumber));

test("Each epoch is delivered at the moment it begins, however long the interval", async () => {
  const time = world(slotMs(5));
  const atMs: number[] = [];
  const { taker, clock } = time;
  const takeEpoch = taker.takeEpoch.bind(taker);
  taker.takeEpoch = (epoch, trigger) => {
    atMs.push(clock.now());
    return takeEpoch(epoch, trigger);
  };
  await runUntil(time, () => taker.epochs.length >= 5, 3_600_000);
  deepEqual(epochsOf(time), [0, 1, 2, 3, 4]);
  deepEqual(atMs, [slotMs(5), slotMs(5), slotMs(8), slotMs(12), slotMs(16)]);
  deepEqual(batchesOf(time), [0, 1, 2]);
});

test("The poll finds an epoch that began while the clock was set, as a safety net", async () => {
  const time = world(slotMs(5));
  const stop = new AbortController();
  const run = listenerIn(time).run(stop.signal);
  await time.clock.run(() => time.taker.epochs.length === 2, 10_000);
  time.clock.jump(8 * 12_000);
  await time.clock.run(() => time.taker.epochs.length === 4, 2 * POLL_MS);
  stop.abort();
  await run;
  deepEqual(epochsOf(time), [0, 1, 2, 3]);
});

test("A run begins with the batch under way, as one that was never stopped would have it", async () => {
  const time = world(slotMs(8 * 40 + 6));
  await runUntil(time, () => time.taker.epochs.length >= 2);
  deepEqual(epochsOf(time), [80, 81]);
  deepEqual(batchesOf(time), [40]);
});

test("100 epochs missed in a long stop are delivered in order, each trigger once", async () => {
  const taker = new FakeTaker();
  taker.lastEpoch = 7n;
  const chain = new SlotChain(range(0, 4 * 108 + 1).filter((slot) => slot % 9 !== 4));
  const late = world(slotMs(4 * 108), chain, taker);
  await runUntil(late, () => taker.epochs.length >= 101);
  deepEqual(epochsOf(late), range(8, 109));
  deepEqual(batchesOf(late), range(4, 55));
});

test("Defect 2: a missed first slot stalls nothing, and triggers nothing twice", async () => {
  // Slots 8, 9 and all of epoch 3 are missed: 12 to 15.
  const chain = new SlotChain([...range(0, 8), 10, 11]);
  const time = world(slotMs(8), chain);
  const mine = async () => {
    for (const slot of [16, 17, 18, 19, 20]) {
      await time.clock.sleep(slotMs(slot) - time.clock.now());
      chain.mine(slot);
    }
  };
  void mine();
  await runUntil(time, () => time.taker.epochs.length >= 4);
  deepEqual(epochsOf(time), [2, 3, 4, 5]);
  deepEqual(batchesOf(time), [1, 2]);
  const slots = time.taker.epochs.map(({ block }) => block?.slot);
  deepEqual(slots, [10n, undefined, 16n, 20n]);
});

test("Property: with restarts and a disk that is full at times, each trigger is delivered once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 }),
      fc.integer(),
      async (runs, seed) => {
        const time = world(slotMs(0));
        const random = new SeededRandom(seed);
        time.taker.fails = () => random.next() < 0.3;
        for (const slots of runs) {
          const endMs = time.clock.now() + slots * 12_000;
          const stop = new AbortController();
          const run = listenerIn(time).run(stop.signal);
          await time.clock.run(() => time.clock.now() >= endMs, 100_000_000);
          stop.abort();
          await run;
          time.clock.jump(Math.floor(random.next() * 50) * 12_000);
        }
        const last = Number(time.taker.lastEpoch ?? -1n);
        deepEqual(epochsOf(time), range(0, last + 1));
        deepEqual(batchesOf(time), range(0, Math.floor((last + 2) / 2)));
      },
    ),
    { numRuns: 50 },
  );
});

test("Defect 15: a source that is down is asked again with exponential backoff", async () => {
  const time = world(slotMs(1));
  const askedMs: number[] = [];
  const down = new SourceError("Connection", "Cannot ask the beacon node: connection refused");
  const beacon: EpochSource = {
    name: "beacon",
    headSlot() {
      askedMs.push(time.clock.elapsedMs);
      if (time.clock.elapsedMs < 200_000) return Promise.reject(down);
      return new ClockEpochs(SMALL_CLOCK, time.clock).headSlot();
    },
  };
  await runUntil(
    { ...time, sources: [beacon] },
    () => time.taker.epochs.length >= 6,
  );
  const waits = askedMs.slice(1, 7).map((ms, index) => ms - askedMs[index]!);
  for (const [index, wait] of waits.entries()) {
    const fullMs = 1000 * 2 ** index;
    equal(wait <= fullMs && wait >= 0.8 * fullMs, true, `wait ${index}: ${wait} ms`);
  }
  deepEqual(epochsOf(time), [0, 1, 2, 3, 4, 5]);
  equal(time.events.of("epoch_source_recovered").length, 1);
  equal(time.events.of("epoch_source_failed")[0]?.error, down);
});

test("While the beacon node is down, the next source tells", async () => {
  const time = world(slotMs(1));
  let isDown = true;
  const own = new ClockEpochs(SMALL_CLOCK, time.clock);
  const beacon: EpochSource = {
    name: "beacon",
    headSlot: () =>
      isDown ? Promise.reject(new SourceError("Connection", "Cannot ask")) : own.headSlot(),
  };
  const sources = [beacon, own];
  await runUntil({ ...time, sources }, () => {
    if (time.taker.epochs.length === 2) isDown = false;
    return time.taker.epochs.length >= 4;
  });
  deepEqual(time.taker.epochs.map(({ source }) => source), ["clock", "clock", "beacon", "beacon"]);
});

test("A beacon node that is down is not back because the chain beside it answers for blocks", async () => {
  const time = world(slotMs(1));
  const clock = new ManualClock(slotMs(1));
  const block = { number: 7n, hash: new Uint8Array(32), slot: 0n, timestamp: 1_000_000n };
  const asked: string[] = [];
  const blocksOf = (name: string) => () => {
    asked.push(name);
    return Promise.resolve(block);
  };
  const beacon: EpochSource = {
    name: "beacon",
    headSlot: () => Promise.reject(new SourceError("Connection", "Cannot ask")),
    firstBlock: blocksOf("beacon"),
  };
  const execution: EpochSource = {
    name: "execution",
    headSlot() {
      // So slow that the beacon node may be asked again.
      clock.advance(2000);
      return Promise.resolve(1n);
    },
    firstBlock: blocksOf("execution"),
  };
  const { taker, events } = time;
  const parts = { clock, taker, sources: [beacon, execution], random: new SeededRandom(1) };
  const config = { l1Clock: SMALL_CLOCK, pollIntervalMs: POLL_MS };
  await new EpochListener({ ...parts, log: events.log }, config).look();
  deepEqual(asked, ["execution"]);
  deepEqual([events.of("epoch_source_failed").length, events.of("epoch_source_recovered")], [
    1,
    [],
  ]);
});

test("A head that the clock here cannot believe is refused, and says what to see to", async () => {
  for (const head of [2n ** 50n, 1n]) {
    const time = world(slotMs(100));
    const beacon: EpochSource = { name: "beacon", headSlot: () => Promise.resolve(head) };
    const lost = { ...time, sources: [beacon] };
    await listenerIn(lost).look();
    deepEqual(time.taker.epochs, []);
    const [failure] = time.events.of("epoch_source_failed");
    const text = String(failure?.error);
    equal(/slots (ahead of|behind) the clock here. See to the clock/.test(text), true, text);
  }
});

test("A reorganisation over an epoch's first block gives it another block, not another trigger", async () => {
  const chain = new SlotChain(range(0, 10));
  const time = world(slotMs(9), chain);
  const listener = listenerIn(time);
  await listener.look();
  deepEqual(epochsOf(time), [2]);
  const before = chain.headers[8]!;
  // Back over the boundary, then another way, on which slot 8 is missed.
  chain.headers.splice(7);
  await listener.look();
  deepEqual(time.events.all.filter(({ event }) => event.startsWith("epoch_")), []);
  for (const slot of [9, 10, 11, 12]) chain.mine(slot, 1);
  time.clock.jump(3 * 12_000);
  await listener.look();
  await listener.look();
  const [told, ...more] = time.events.of("epoch_reorganised");
  deepEqual(more, []);
  deepEqual([told?.before.hash, told?.epoch.block?.slot], [before.hash, 9n]);
  deepEqual(epochsOf(time), [2, 3]);
  deepEqual(batchesOf(time), [1]);
});

test("A reorganisation during a stop is found after the restart, once, and triggers nothing", async () => {
  for (const isSaved of [false, true]) {
    const chain = new SlotChain(range(0, 10));
    const storage = new MemoryStorage();
    const { clock, sources } = world(slotMs(9), chain);
    const start = async (isSaved: boolean) => {
      const events = new Events();
      const { manager, journal } = await openManager(storage, clock, { log: events.log });
      // Each change by a snapshot.
      Object.defineProperty(journal, "isSnapshotDue", { value: isSaved });
      const listener = listenerIn({ clock, taker: manager, sources, events });
      return { manager, journal, listener, events };
    };
    const first = await start(isSaved);
    await first.listener.look();
    const before = chain.headers[8]!;
    await first.journal.close();
    // Slot 8, with which epoch 2 and batch 1 began, is missed on the other way.
    chain.headers.splice(8);
    for (const slot of [9, 10]) chain.mine(slot, 1);
    clock.jump(12_000);
    const second = await start(isSaved);
    await second.listener.look();
    const told = second.events.of("epoch_reorganised");
    deepEqual(told.map((each) => [each.epoch.epoch, each.before.hash, each.epoch.block?.slot]), [
      [2n, before.hash, 9n],
    ]);
    deepEqual(second.events.of("batch_trigger"), []);
    await second.journal.close();
    // Nor is it told again, by a snapshot either.
    const third = await start(isSaved);
    await third.listener.look();
    deepEqual(third.events.all, []);
    await third.journal.close();
  }
});

test("Defect 12: everybody who waits for a trigger gets it", async () => {
  const time = world(slotMs(1));
  const listener = listenerIn(time);
  const stop = new AbortController();
  const both = Promise.all([listener.nextTrigger(), listener.nextTrigger()]);
  const run = listener.run(stop.signal);
  await time.clock.run(() => time.taker.triggers.length === 1, 10_000);
  deepEqual((await both).map((trigger) => trigger?.batchNumber), [0n, 0n]);
  stop.abort();
  await run;
});

test("Defect 13: the end gives nobody a trigger that never was, nor an error", async () => {
  const time = world(slotMs(1));
  const listener = listenerIn(time);
  const stop = new AbortController();
  const run = listener.run(stop.signal);
  await time.clock.run(() => time.taker.triggers.length === 1, 10_000);
  const leave = new AbortController();
  const waiting = [listener.nextTrigger(), listener.nextTrigger(leave.signal)];
  leave.abort();
  stop.abort();
  await run;
  deepEqual(await Promise.all(waiting), [undefined, undefined]);
  equal(await listener.nextTrigger(leave.signal), undefined);
  equal(time.taker.triggers.length, 1);
});

test("A taker that cannot go on ends the listener with its reason", async () => {
  const time = world(slotMs(1));
  const broken = new Error("broken");
  time.taker.takeEpoch = () => Promise.reject(broken);
  await rejects(listenerIn(time).run(new AbortController().signal), broken);
});

test("status tells where L1 is, what was delivered, and when the next batch begins", async () => {
  const time = world(slotMs(9));
  const listener = listenerIn(time);
  equal(listener.status.source, undefined);
  await listener.look();
  deepEqual(listener.status, {
    currentEpoch: 2n,
    currentSlot: 9n,
    currentBatchNumber: 1n,
    lastProcessedEpoch: 2n,
    nextBatchEpoch: 4n,
    batchFactor: 2n,
    genesisTime: 1_000_000n,
    lagSeconds: 0n,
    source: "clock",
  });
});
