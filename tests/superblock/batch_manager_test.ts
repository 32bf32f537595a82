import {
  deepStrictEqual as deepEqual,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { WalError } from "../../src/errors.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { BatchInfo } from "../../src/superblock.ts";
import { BatchManager } from "../../src/superblock/batch_manager.ts";
import { ETHEREUM_CLOCK } from "../../src/superblock/clock.ts";
import { Events } from "../helpers.ts";
import { blockAt, epochEvent, openManager, range, slotMs, SMALL_CONFIG } from "./world.ts";

/** At slot 0 of batch 0, which is begun. */
async function begun(config: Parameters<typeof openManager>[2] = {}) {
  const clock = new ManualClock(slotMs(0));
  const events = new Events();
  const storage = new MemoryStorage();
  const { manager, journal } = await openManager(storage, clock, { log: events.log, ...config });
  await manager.takeEpoch(epochEvent(0));
  return { clock, events, storage, manager, journal };
}

const numbers = (batch: BatchInfo | undefined) => batch?.blocks.map(({ number }) => Number(number));
const states = ({ batches }: BatchManager) =>
  batches.map(({ window, state }) => `${window.batchNumber} ${state}`);
const named = ({ all }: Events) =>
  all.map((each) =>
    "batch" in each
      ? `${each.event} ${(each as { batch: BatchInfo }).batch.window.batchNumber}`
      : ""
  );

test("A batch collects, is proved when the next one begins, and is completed", async () => {
  const { clock, events, manager } = await begun();
  for (const number of range(0, 8)) {
    clock.advance(12_000);
    equal(await manager.addBlock(blockAt(number, 12 * number)), "added");
  }
  await manager.takeEpoch(epochEvent(1));
  equal(manager.currentBatch?.window.batchNumber, 0n);
  await manager.takeEpoch(epochEvent(2));
  equal(manager.currentBatch?.window.batchNumber, 1n);
  await manager.finalizeDue();
  deepEqual(states(manager), ["0 collecting", "1 collecting"]);
  clock.advance(10_000);
  await manager.finalizeDue();
  deepEqual(states(manager), ["0 proving", "1 collecting"]);
  const [batch] = manager.batchesReadyForProving();
  deepEqual([batch?.chainId, batch?.window.firstSlot, batch?.window.lastSlot], [1001n, 0n, 7n]);
  deepEqual(batch?.blocks.map(({ number }) => number), range(0, 8).map(BigInt));
  equal(manager.batch(0n)?.slotCount, 8);
  await manager.updateBatchProofJob(0n, "job 1");
  deepEqual(manager.batchesReadyForProving(), []);
  await manager.markBatchCompleted(0n);
  await manager.markBatchCompleted(0n);
  deepEqual(named(events), [
    "batch_started 0",
    "batch_started 1",
    "batch_finalized 0",
    "batch_completed 0",
  ]);
  deepEqual(manager.stats, {
    total_batches: 1,
    current_batch_id: 1n,
    batches_by_state: { collecting: 1, proving: 0, completed: 1, failed: 0 },
    chain_id: 1001n,
    max_batch_size: 8n,
    batch_timeout: 130_000,
  });
});

test("Defect 8: a batch is known by its number on the common clock, not by a count", async () => {
  const clock = new ManualClock(slotMs(8 * 40_871 + 3));
  const { manager } = await openManager(new MemoryStorage(), clock);
  await manager.takeEpoch(epochEvent(2 * 40_871));
  equal(manager.currentBatch?.window.batchNumber, 40_871n);
});

test("Defect 10: a block of the old window that comes after the trigger goes to the old batch", async () => {
  const { clock, manager } = await begun();
  clock.advance(97_000);
  await manager.takeEpoch(epochEvent(2));
  await manager.addBlock(blockAt(8, 96));
  await manager.addBlock(blockAt(7, 95));
  deepEqual([numbers(manager.batch(0n)), numbers(manager.batch(1n))], [[7], [8]]);
  clock.advance(10_000);
  await manager.finalizeDue();
  await rejects(manager.addBlock(blockAt(6, 94)), {
    code: "TooLate",
    message: /block 6: its timestamp 1000094 is in batch 0, which is proving/,
  });
  // What was taken already is no late block.
  equal(await manager.addBlock(blockAt(7, 95)), "known");
});

test("Defect 10: a block before the first batch underflows nothing and is refused by name", async () => {
  const clock = new ManualClock(slotMs(17));
  const { manager } = await openManager(new MemoryStorage(), clock);
  await manager.takeEpoch(epochEvent(4));
  await rejects(manager.addBlock(blockAt(1, 12 * 15)), { code: "TooLate" });
  const early = { ...blockAt(1, 0), timestamp: 999_999n, slot: 0n };
  await rejects(manager.addBlock(early), { code: "WrongSlot", message: /from genesis 1000000/ });
  deepEqual(states(manager), ["2 collecting"]);
});

test("The first block of all begins no batches of long ago", async () => {
  const clock = new ManualClock(slotMs(8 * 40_871 + 3));
  const { manager } = await openManager(new MemoryStorage(), clock);
  await rejects(manager.addBlock(blockAt(0, 0)), { code: "TooLate", message: /was over before/ });
  deepEqual(manager.batches, []);
});

test("Slots that are not those of the timestamp, as a count from 1 would give, are refused", async () => {
  const { manager } = await begun();
  await rejects(manager.addBlock({ ...blockAt(0, 1), slot: 1n }), {
    code: "WrongSlot",
    message: /its slot is 1, but its timestamp 1000001 is in slot 0/,
  });
});

test("A block from a sequencer whose clock is ahead opens the next batch; from the future, none", async () => {
  const { clock, manager } = await begun();
  clock.advance(94_000);
  await manager.addBlock(blockAt(8, 96));
  deepEqual(states(manager), ["0 collecting", "1 collecting"]);
  await manager.takeEpoch(epochEvent(1));
  equal(manager.batch(0n)?.endedBy, undefined);
  await rejects(manager.addBlock(blockAt(9, 110)), { code: "TooEarly", isRetryable: true });
});

test("Defect 2: an epoch that was taken before changes nothing", async () => {
  const { manager, journal } = await begun();
  await manager.takeEpoch(epochEvent(3));
  const { batches } = manager;
  const before = [...batches];
  journal.note = () => Promise.reject(new Error("nothing is to be noted"));
  for (const epoch of [3, 2, 0]) await manager.takeEpoch(epochEvent(epoch));
  deepEqual([manager.lastEpoch, manager.batches], [3n, before]);
});

test("Defect 7: an empty batch is handed on like any other", async () => {
  const { clock, manager } = await begun();
  clock.advance(96_000);
  await manager.takeEpoch(epochEvent(2));
  clock.advance(10_000);
  await manager.finalizeDue();
  equal(manager.batch(0n)?.state, "proving");
  equal(manager.batchesReadyForProving().length, 1);
  equal(manager.stats.total_batches, 1);
});

test("Defect 5: batch_timeout ends a batch whose trigger never comes", async () => {
  const { clock, events, manager } = await begun();
  await manager.addBlock(blockAt(0, 0));
  clock.advance(129_999);
  await manager.finalizeDue();
  equal(manager.batch(0n)?.endedBy, undefined);
  clock.advance(1);
  await manager.finalizeDue();
  equal(manager.batch(0n)?.endedBy, "timeout");
  // The trigger comes after all: it ended already.
  await manager.takeEpoch(epochEvent(2));
  clock.advance(10_000);
  await manager.finalizeDue();
  deepEqual(events.of("batch_finalized").map(({ batch }) => batch.endedBy), ["timeout"]);
});

test("Defect 5: max_batch_size is held: a clock whose windows are longer is refused", () => {
  const journal = { found: { snapshot: undefined, changes: [] } } as never;
  const parts = { journal, clock: new ManualClock() };
  const make = (config: object) => new BatchManager(parts, { ...SMALL_CONFIG, ...config });
  throws(() => make({ maxBatchSize: 7n }), {
    code: "Invalid",
    message: /max_batch_size 7: a batch of 2 epochs has 8 slots, .* lower batch_factor/,
  });
  throws(() => make({ l1Clock: { ...ETHEREUM_CLOCK, batchFactor: 11n } }), /max_batch_size 8/);
  throws(() => make({ batchTimeoutMs: 96_000 }), /batch_timeout 96000 ms: a window lasts 96000 ms/);
});

test("run() finalizes at the end of the grace, and ends when it is told to", async () => {
  const { clock, manager } = await begun();
  clock.advance(96_000);
  await manager.takeEpoch(epochEvent(2));
  const stop = new AbortController();
  const log = manager.run(stop.signal);
  while (manager.batch(0n)?.state === "collecting") await Promise.resolve();
  equal(clock.now() >= slotMs(8) + 10_000, true);
  stop.abort();
  await log;
});

test("run() goes on when the disk has room again, and says so", async () => {
  const { clock, events, manager, journal } = await begun();
  clock.advance(96_000);
  await manager.takeEpoch(epochEvent(2));
  const note = journal.note.bind(journal);
  let failures = 3;
  journal.note = (change) =>
    failures-- > 0 ? Promise.reject(new WalError("NoSpace", "Cannot append")) : note(change);
  const stop = new AbortController();
  const run = manager.run(stop.signal);
  while (manager.batch(0n)?.state === "collecting") await Promise.resolve();
  stop.abort();
  await run;
  equal(events.of("tick.failed").length, 3);
});

test("forceFinalize() waits for neither trigger nor late blocks, but never cuts an open window", async () => {
  const { clock, manager } = await begun();
  clock.advance(95_999);
  await rejects(manager.forceFinalize(0n), { code: "WindowOpen", message: /open until 1000096/ });
  await manager.forceFinalize();
  equal(manager.batch(0n)?.state, "collecting");
  clock.advance(1);
  await manager.forceFinalize(0n);
  deepEqual([manager.batch(0n)?.state, manager.batch(0n)?.endedBy], ["proving", "forced"]);
  await rejects(manager.forceFinalize(0n), { code: "WrongState", message: /it is proving/ });
  await rejects(manager.forceFinalize(7n), { code: "Unknown" });
});

test("Defect 11: a failed batch can be proved again, with a job of its own", async () => {
  const { clock, events, manager } = await begun();
  await rejects(manager.markBatchFailed(0n, new Error("no")), { code: "WrongState" });
  clock.advance(96_000);
  await manager.forceFinalize(0n);
  await manager.updateBatchProofJob(0n, "job 1");
  await manager.markBatchFailed(0n, new Error("unprovable"));
  deepEqual([manager.batch(0n)?.errorMessage, manager.batch(0n)?.proofJobId], [
    "unprovable",
    "job 1",
  ]);
  await manager.requeueBatch(0n);
  equal(manager.batchesReadyForProving().length, 1);
  equal(manager.batch(0n)?.errorMessage, undefined);
  equal(events.of("batch_failed").length, 1);
});

test("Defect 11: completed batches are forgotten in time, failed ones never", async () => {
  const { clock, manager } = await begun();
  for (const number of range(0, 200)) {
    clock.advance(96_000);
    await manager.takeEpoch(epochEvent(2 * number + 2));
    await manager.forceFinalize(BigInt(number));
    if (number === 3) await manager.markBatchFailed(3n, new Error("no"));
    else await manager.markBatchCompleted(BigInt(number));
  }
  equal(manager.batches.length, 66);
  equal(manager.batch(3n)?.state, "failed");
  equal(manager.stats.total_batches, 200);
});

test("A block whose number is taken replaces what stood on it; not in a batch that is closed", async () => {
  const { clock, events, manager } = await begun();
  clock.advance(40_000);
  for (const number of range(0, 5)) await manager.addBlock(blockAt(number, 10 * number));
  equal(await manager.addBlock(blockAt(2, 20, 1)), "replaced");
  deepEqual(numbers(manager.batch(0n)), [0, 1, 2]);
  deepEqual(events.of("blocks_replaced").map(({ blocks }) => blocks), [3]);
  await rejects(manager.addBlock(blockAt(3, 5)), {
    code: "Conflict",
    message: /its timestamp 1000005 is before 1000020 of block 2/,
  });
  clock.advance(60_000);
  await manager.forceFinalize(0n);
  await rejects(manager.addBlock(blockAt(2, 96, 2)), {
    code: "Conflict",
    message: /batch 0 is proving already/,
  });
});

test("Blocks between that nobody reported are told when the batch is finalized", async () => {
  const { clock, events, manager } = await begun();
  clock.advance(96_000);
  for (const number of [1, 2, 6]) await manager.addBlock(blockAt(number, 10 * number));
  await manager.forceFinalize(0n);
  deepEqual(events.of("batch_finalized").map(({ missingBlocks }) => missingBlocks), [3n]);
});

test("The log gets its room back: a snapshot follows the change after which one is due", async () => {
  const clock = new ManualClock(slotMs(0));
  const { journal } = await openManager(new MemoryStorage(), clock);
  let [changes, isSnapshotDue] = [0, false];
  const saved: unknown[][] = [];
  const manager = new BatchManager({
    journal: {
      found: journal.found,
      note(change) {
        isSnapshotDue = ++changes % 3 === 0;
        return journal.note(change);
      },
      get isSnapshotDue() {
        return isSnapshotDue;
      },
      save(snapshot) {
        saved.push([changes, snapshot.batches.flatMap(({ blocks }) => blocks.length)]);
        return journal.save(snapshot);
      },
    },
    clock,
  }, SMALL_CONFIG);
  clock.advance(40_000);
  for (let number = 0; number < 6; number++) await manager.addBlock(blockAt(number, number));
  deepEqual(saved, [[3, [3]], [6, [6]]]);
  await journal.close();
});

test("Defect 9: no restart loses a block, a batch, a job or an epoch", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const random = new SeededRandom(seed);
      const storage = new MemoryStorage();
      const clock = new ManualClock(slotMs(0));
      let { manager, journal } = await openManager(storage, clock);
      let next = 0;
      for (let step = 0; step < 60; step++) {
        clock.advance(Math.floor(random.next() * 20_000));
        const seconds = (clock.now() - slotMs(0)) / 1000;
        await manager.takeEpoch(epochEvent(Math.floor(seconds / 48)));
        await manager.addBlock(blockAt(next++, Math.floor(seconds)));
        await manager.finalizeDue();
        const [ready] = manager.batchesReadyForProving();
        if (ready && random.next() < 0.5) {
          await manager.updateBatchProofJob(ready.window.batchNumber, `job ${step}`);
          if (random.next() < 0.5) await manager.markBatchCompleted(ready.window.batchNumber);
        }
        if (random.next() > 0.2) continue;
        const { batches, lastEpoch, stats } = manager;
        storage.crash(random);
        ({ manager, journal } = await openManager(storage, clock));
        deepEqual(manager.batches, batches);
        deepEqual([manager.lastEpoch, manager.stats], [lastEpoch, stats]);
      }
      await journal.close();
      const blocks = manager.batches.flatMap((batch) => numbers(batch)!);
      deepEqual(blocks, range(0, next));
    }),
    { numRuns: 25 },
  );
});
