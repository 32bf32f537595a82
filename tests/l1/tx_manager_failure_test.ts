/**
 * An account whose journal fails for good while nobody waits for a batch.
 *
 * @module
 */
import { rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { WalError } from "../../src/errors.ts";
import { MemoryTxJournal } from "../../src/local/memory_tx_journal.ts";
import { request, TxWorld } from "./tx_world.ts";

// deno task sim --world ethereum-batcher --seed 60121
test("TxManager tells that it has ended, though nobody waits for a batch", async () => {
  const broken = new WalError("SyncFailed", "as planned");
  class BrokenJournal extends MemoryTxJournal {
    override forget(): Promise<void> {
      return Promise.reject(broken);
    }
  }
  const world = new TxWorld({ journal: new BrokenJournal() });
  const manager = await world.open();
  let hasFailed = false;
  manager.failed.catch(() => hasFailed = true);
  await world.run(manager.send(request(0)));
  equal(hasFailed, false);
  await rejects(world.run(manager.failed), broken);
  await rejects(async () => await manager.send(request(1)), broken);
  world.close();
});

test("TxManager does not fail where it is closed", async () => {
  const world = new TxWorld();
  const manager = await world.open();
  let hasFailed = false;
  manager.failed.catch(() => hasFailed = true);
  await world.run(manager.send(request(0)));
  await world.run(manager.close());
  await world.pass(60_000);
  equal(hasFailed, false);
  world.close();
});
