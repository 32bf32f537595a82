import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { Chain, L1Header } from "../../src/ethereum.ts";
import { withMembers } from "../helpers.ts";
import { request, TxWorld } from "./tx_world.ts";

test("TxManager sends again what L1 dropped, though a node that lags still has the block", async () => {
  for (const lies of [1, 2, 5]) {
    let old: L1Header | undefined;
    let answers = lies;
    const chain = (node: Chain) =>
      withMembers(node, {
        async header(tag) {
          if (old && tag === old.number && answers-- > 0) return old;
          return await node.header(tag);
        },
      });
    const world = new TxWorld({ chain, config: { confirmations: 30 } });
    try {
      const manager = await world.open();
      const sending = manager.send(request(0));
      await world.until(() => world.told("tx.included").length > 0);
      await world.pass(12_000);
      const { blockNumber } = world.told("tx.included")[0]!.receipt;
      old = world.ethereum.blockAt(blockNumber)!.header;
      world.ethereum.reorganise(3, { returned: 0, empty: 1, longer: 1 });
      await world.until(() => world.told("tx.reorganised").length > 0);
      // Long before the block would be so deep that it is asked for once more.
      ok(world.ethereum.head.header.number < blockNumber + 12n);
      await world.run(sending);
      world.record.verify(1);
      await world.run(manager.close());
      deepEqual(world.violations, []);
    } finally {
      world.close();
    }
  }
});

test("TxManager says which block no node has though the head is above, and goes on once one has it", async () => {
  for (const isFound of [true, false]) {
    let isHidden = false;
    let lost: bigint | undefined;
    const chain = (node: Chain) =>
      withMembers(node, {
        header: (tag) => isHidden && tag === lost ? Promise.resolve(undefined) : node.header(tag),
      });
    const world = new TxWorld({ chain, config: { confirmations: 5 } });
    try {
      const manager = await world.open();
      const sending = manager.send(request(0));
      const find = () => world.told("tx.included")[0]?.receipt.blockNumber;
      if (isFound) await world.until(() => find() !== undefined);
      else await world.until(() => world.told("tx.sent").length > 0);
      const nextBlock = () => world.ethereum.head.header.number + 1n;
      lost = isFound ? find() : nextBlock();
      isHidden = true;
      await world.pass(30 * 12_000);

      const waits = world.told("tx.waits");
      equal(waits.length, 1);
      const [{ reason, batchNumber, error }] = waits as [typeof waits[0]];
      deepEqual([reason, batchNumber], ["node", 0n]);
      const why =
        `batch 0 is on L1: ${world.node.name} has no block ${lost}, though its head is block`;
      ok((error as Error).message.includes(why), `${error}`);

      isHidden = false;
      equal((await world.run(sending)).l1Block, lost);
      await world.run(manager.close());
      deepEqual(world.violations, []);
    } finally {
      world.close();
    }
  }
});
