/**
 * An account whose journal fails for good, or whose batches do not get their turn.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
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

test("TxManager lets no batch overtake one whose turn did not come in time", async () => {
  let isFull = true;
  const ethereum = { isOverlooked: () => isFull };
  const config = { sendTimeoutMs: 100_000, maxPendingTx: 1 };
  const world = new TxWorld({ ethereum, config });
  try {
    const manager = await world.open();
    const outcomes = [0, 1].map((number) => manager.send(request(number)).catch((error) => error));
    await world.pass(60_000);
    outcomes.push(manager.send(request(2)).catch((error) => error));
    for (const outcome of outcomes.slice(0, 2)) {
      equal((await world.run(outcome)).code, "Timeout");
    }
    equal(manager.state.queued, 0);
    equal((await outcomes[2]).code, "Timeout");
    isFull = false;
    const landed = async (number: number): Promise<unknown> =>
      await world.run(manager.send(request(number))).catch(() => landed(number));
    for (const number of [0, 1, 2]) await landed(number);
    deepEqual(world.record.landed(), [0n, 1n, 2n]);
    await world.run(manager.close());
    deepEqual(world.violations, []);
  } finally {
    world.close();
  }
});
