import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { ClockEpochs } from "../../src/l1/epoch_sources.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import {
  SEQUENCER_DEFAULTS,
  type SequencerConfig,
  SequencerIntegration,
} from "../../src/superblock/sequencer.ts";
import { blockAt, openManager, slotMs, SMALL_CLOCK } from "./world.ts";

async function sequencerAt(slot: number, config: Partial<SequencerConfig> = {}) {
  const clock = new ManualClock(slotMs(slot));
  const { manager } = await openManager(new MemoryStorage(), clock);
  const listener = new EpochListener({
    sources: [new ClockEpochs(SMALL_CLOCK, clock)],
    taker: manager,
    clock,
    random: new SeededRandom(),
  }, { l1Clock: SMALL_CLOCK, pollIntervalMs: 12_000 });
  const whole = { ...SEQUENCER_DEFAULTS, chainId: 1001n, ...config };
  const sequencer = new SequencerIntegration({ listener, manager, clock }, whole);
  return { clock, manager, listener, sequencer };
}

test("reportBlock() takes a slot for a timestamp, and a timestamp for a slot", async () => {
  const { manager, sequencer } = await sequencerAt(3);
  const { slot: _slot, timestamp: _timestamp, ...bare } = blockAt(1, 0);
  equal(await sequencer.reportBlock({ ...bare, slot: 2n }), "added");
  equal(await sequencer.reportBlock({ ...bare, number: 2n, timestamp: 1_000_036n }), "added");
  deepEqual(manager.currentBatch?.blocks.map(({ slot, timestamp }) => [slot, timestamp]), [
    [2n, 1_000_024n],
    [3n, 1_000_036n],
  ]);
  equal(sequencer.status.lastProcessedSlot, 3n);
  await rejects(sequencer.reportBlock({ ...bare, number: 3n }), {
    code: "WrongSlot",
    message: /block 3: it has neither a slot nor a timestamp/,
  });
  const contradiction = { ...bare, number: 3n, slot: 2n, timestamp: 1_000_036n };
  await rejects(sequencer.reportBlock(contradiction), { code: "WrongSlot", message: /slot is 2/ });
});

test("Defect 10: a block is never left out in silence, batch or no batch", async () => {
  const { clock, manager, sequencer } = await sequencerAt(3);
  // No trigger was delivered yet.
  equal(await sequencer.reportBlock(blockAt(1, 36)), "added");
  clock.advance(80_000);
  await manager.forceFinalize(0n);
  await rejects(sequencer.reportBlock(blockAt(2, 40)), { code: "TooLate" });
});

test("Defect 5: enable_batch_sync and block_reporting are heeded", async () => {
  for (const off of [{ enableBatchSync: false }, { blockReporting: false }]) {
    const { manager, listener, sequencer } = await sequencerAt(3, off);
    await listener.look();
    equal(await sequencer.reportBlock(blockAt(1, 36)), "off");
    deepEqual(manager.currentBatch?.blocks, []);
    const isSynced = off.enableBatchSync === undefined;
    equal(sequencer.isInBatchCollectionPeriod(), isSynced);
    equal(sequencer.status.isActive, isSynced);
    if (!isSynced) equal(await sequencer.waitForBatchTrigger(), undefined);
  }
});

test("isInBatchCollectionPeriod() is true from the trigger to the end of the window", async () => {
  const { clock, manager, listener, sequencer } = await sequencerAt(0);
  equal(sequencer.isInBatchCollectionPeriod(), false);
  const trigger = sequencer.waitForBatchTrigger();
  await listener.look();
  equal((await trigger)?.batchNumber, 0n);
  equal(sequencer.isInBatchCollectionPeriod(), true);
  clock.advance(95_999);
  equal(sequencer.isInBatchCollectionPeriod(), true);
  clock.advance(1);
  equal(sequencer.isInBatchCollectionPeriod(), false);
  equal(sequencer.status.window.batchNumber, 1n);
  await listener.look();
  equal(sequencer.isInBatchCollectionPeriod(), true);
  await sequencer.forceFinalize(0n);
  equal(manager.batch(0n)?.state, "proving");
});

test("status tells the window, the batch, the statistics and L1", async () => {
  const { listener, sequencer } = await sequencerAt(9);
  await listener.look();
  const { chainId, window, batch, stats, l1, lastProcessedSlot } = sequencer.status;
  deepEqual([chainId, window.batchNumber, batch?.window.batchNumber], [1001n, 1n, 1n]);
  deepEqual([stats.current_batch_id, l1.currentEpoch, lastProcessedSlot], [1n, 2n, undefined]);
});
