/**
 * Two programs on one account, which both hold the same batches: what one of them sent may be what the other
 * is about to pay for. Who finds a nonce of its own used by somebody else has to look at L1 first.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { Chain } from "../../src/ethereum.ts";
import type { TxManager } from "../../src/l1/tx_manager.ts";
import { MemoryTxJournal } from "../../src/local/memory_tx_journal.ts";
import { withMembers } from "../helpers.ts";
import { answered, request, TxWorld } from "./tx_world.ts";

const TAKEN = { code: "NonceTaken", message: /somebody else sent a transaction with nonce 0/ };

/** One whose first sends come too late: those of the other are in the chain by then. */
class Late {
  readonly journal = new MemoryTxJournal();
  readonly world: TxWorld;
  isBehind = true;

  constructor(world: TxWorld) {
    this.world = world;
  }

  open(): Promise<TxManager> {
    const chain = withMembers<Chain>(this.world.chain, {
      send: (raw) => {
        if (!this.isBehind) return this.world.chain.send(raw);
        return Promise.reject(answered("nonce too low: next nonce 1, tx nonce 0"));
      },
    });
    return this.world.open({ chain, journal: this.journal });
  }

  get nonces(): bigint[] {
    return this.journal.attempts.map(({ nonce }) => nonce);
  }
}

/** Two that began at once and signed for the same nonce, of which the first lands. */
async function both(world: TxWorld, late: Late): Promise<[TxManager, TxManager]> {
  const managers = [await world.open(), await late.open()] as const;
  const first = managers[0].send(request(0));
  // Other bytes: batches are cut by the clock.
  const second = managers[1].send(request(0, { blobs: 2 }));
  await world.until(() => late.journal.attempts.length === 1);
  await rejects(world.run(second), TAKEN);
  equal((await world.run(first)).batchNumber, 0n);
  return [...managers];
}

test("TxManager does not pay for a batch of which another program used the nonce, though it never published its own", async () => {
  const world = new TxWorld();
  const late = new Late(world);
  const managers = await both(world, late);
  await world.pass(3_600_000);
  deepEqual(late.nonces, []);
  deepEqual(world.record.landed(), [0n]);
  for (const manager of managers) await world.run(manager.close());
  world.close();
});

test("TxManager does not send such a batch by itself either when it begins anew, and forgets the nonce", async () => {
  const world = new TxWorld();
  const late = new Late(world);
  const managers = await both(world, late);
  for (const manager of managers) await world.run(manager.close());
  late.isBehind = false;
  const again = await late.open();
  deepEqual(late.nonces, [0n]);
  await world.until(() => late.journal.attempts.length === 0);
  deepEqual(world.record.landed(), [0n]);
  // It goes on with the next.
  equal((await world.run(again.send(request(1)))).batchNumber, 1n);
  deepEqual(world.record.landed(), [0n, 1n]);
  await world.run(again.close());
  world.close();
});

test("TxManager has L1 looked at again where a nonce is taken that it signed for before it began, and then goes on", async () => {
  const world = new TxWorld();
  const late = new Late(world);
  const before = await late.open();
  before.send(request(0, { blobs: 2 })).catch(() => {});
  await world.until(() => late.journal.attempts.length === 1);
  await world.run(before.close());

  // It has looked at L1 by now, and found no batch 0 there.
  const joining = await late.open();
  const joined = joining.send(request(0, { blobs: 2 }));
  const other = await world.open();
  await world.run(other.send(request(7)));
  await rejects(world.run(joined), TAKEN);
  await world.run(joining.close());

  // And once more: what took the nonce was another batch.
  late.isBehind = false;
  const last = await late.open();
  equal((await world.run(last.send(request(0, { blobs: 2 })))).batchNumber, 0n);
  deepEqual(world.record.landed(), [7n, 0n]);
  for (const manager of [other, last]) await world.run(manager.close());
  world.close();
});

test("TxManager ends where a reorganisation gives the nonce of a confirmed batch to another program", async () => {
  const world = new TxWorld({ config: { confirmations: 2 } });
  const late = new Late(world);
  late.isBehind = false;
  const manager = await late.open();
  await world.run(manager.send(request(0)));
  // Nobody has heard of its transaction any more, and the other has the nonce.
  late.isBehind = true;
  world.ethereum.reorganise(3, { returned: 0 });
  const other = await world.open();
  equal((await world.run(other.send(request(0, { blobs: 2 })))).batchNumber, 0n);
  await rejects(world.run(manager.failed), TAKEN);
  deepEqual(world.record.landed(), [0n]);

  late.isBehind = false;
  const again = await late.open();
  await world.until(() => late.journal.attempts.length === 0);
  deepEqual(world.record.landed(), [0n]);
  for (const each of [other, again]) await world.run(each.close());
  world.close();
});
