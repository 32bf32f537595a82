import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { RpcChain } from "../../src/l1/chain.ts";
import { ExecutionEpochs } from "../../src/l1/epoch_sources.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { systemClock } from "../../src/runtime.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import { LogBatchJournal } from "../../src/wal/batch_journal.ts";
import { BatchManager } from "../../src/superblock/batch_manager.ts";
import { Events, withDirectory } from "../helpers.ts";
import { type Anvil, skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { slotMs, SMALL_CLOCK, SMALL_CONFIG } from "./world.ts";

const skip = skipWithoutAnvil("epochs of anvil");

/** Blocks in these slots; the others are missed. */
async function mineSlots(anvil: Anvil, slots: readonly number[]): Promise<void> {
  for (const slot of slots) {
    await anvil.rpc("evm_setNextBlockTimestamp", [slotMs(slot) / 1000]);
    await anvil.mine(1);
  }
}

test(
  "On anvil and a disk: missed slots, a reorganisation over an epoch, a restart",
  { skip },
  async () => {
    await using anvil = await startAnvil({ noMining: true, args: ["--timestamp", "1000000"] });
    await withDirectory(async (directory) => {
      const clock = new ManualClock(slotMs(1));
      const chain = new RpcChain(new HttpJsonRpc({ url: anvil.url, clock: systemClock }));
      const open = async () => {
        const parts = { storage: new DiskStorage(), directory };
        const journal = await LogBatchJournal.open(parts, SMALL_CONFIG);
        const events = new Events();
        const manager = new BatchManager({ journal, clock, log: events.log }, SMALL_CONFIG);
        const listener = new EpochListener({
          sources: [new ExecutionEpochs(chain, SMALL_CLOCK)],
          taker: manager,
          clock,
          random: new SeededRandom(),
          log: events.log,
        }, { l1Clock: SMALL_CLOCK, pollIntervalMs: 1000 });
        return { journal, manager, listener, events };
      };
      const epochsOf = (events: Events) =>
        events.of("epoch").map(({ epoch: { epoch, block } }) => [epoch, block?.slot]);

      const first = await open();
      // Slots 3 to 4 are missed, and all of epoch 2: 8 to 11.
      await mineSlots(anvil, [1]);
      await first.listener.look();
      await mineSlots(anvil, [2, 5, 6, 7, 13]);
      clock.advance(slotMs(13) - clock.now());
      await first.listener.look();
      deepEqual(epochsOf(first.events), [[0n, 0n], [1n, 5n], [2n, undefined], [3n, 13n]]);
      deepEqual(first.events.of("batch_trigger").map(({ trigger }) => trigger.batchNumber), [
        0n,
        1n,
      ]);

      // The block that comes instead has the time of the one before: L1 is back in epoch 1, and more
      // than an epoch behind the clock.
      await anvil.rpc("anvil_reorg", [1, []]);
      await first.listener.look();
      match(String(first.events.of("epoch_source_failed")[0]?.error), /slot 7, 6 slots behind/);
      equal(first.events.of("epoch_reorganised").length, 0);
      await mineSlots(anvil, [14]);
      clock.advance(slotMs(14) - clock.now());
      await first.listener.look();
      const [told] = first.events.of("epoch_reorganised");
      deepEqual([told?.epoch.epoch, told?.before.slot, told?.epoch.block?.slot], [3n, 13n, 14n]);
      equal(first.events.of("batch_trigger").length, 2);
      await first.journal.close();

      await mineSlots(anvil, [16, 20]);
      clock.advance(slotMs(20) - clock.now());
      const second = await open();
      await second.listener.look();
      deepEqual(epochsOf(second.events), [[4n, 16n], [5n, 20n]]);
      deepEqual(second.events.of("batch_trigger").map(({ trigger }) => trigger.batchNumber), [2n]);
      deepEqual(
        second.manager.batches.map(({ window, endedBy }) => [window.batchNumber, endedBy]),
        [[0n, "trigger"], [1n, "trigger"], [2n, undefined]],
      );
      await second.journal.close();
    });
  },
);
