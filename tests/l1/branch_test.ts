import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { Chain, L1Header } from "../../src/ethereum.ts";
import { Branch } from "../../src/l1/branch.ts";
import { withMembers } from "../helpers.ts";
import { FakeChain } from "./fake_chain.ts";
import { request, TxWorld } from "./tx_world.ts";

test("Branch asks for each block between a head and what is below it once, whatever head follows", async () => {
  const chain = new FakeChain();
  chain.mineEmpty(20);
  const branch = new Branch(chain);
  const hashAt = (number: bigint) => branch.hashAt(number, chain.blocks.at(-1)!.header);
  deepEqual(await hashAt(18n), chain.blocks[18]!.header.hash);
  deepEqual(await hashAt(20n), chain.blocks[20]!.header.hash);
  equal(await hashAt(21n), undefined);
  deepEqual(chain.asked.splice(0), ["header 19", "header 18"]);
  chain.mine();
  deepEqual(await hashAt(18n), chain.blocks[18]!.header.hash);
  deepEqual(chain.asked, []);
  chain.mineEmpty(2);
  deepEqual(await hashAt(18n), chain.blocks[18]!.header.hash);
  deepEqual(chain.asked.splice(0), ["header 22"]);

  chain.drop(4);
  chain.mineEmpty(5);
  deepEqual(await hashAt(20n), chain.blocks[20]!.header.hash);
  deepEqual(await hashAt(18n), chain.blocks[18]!.header.hash);
  deepEqual(chain.asked.splice(0), ["header 23", "header 22", "header 21", "header 20"]);

  // So deep that it is final.
  chain.mineEmpty(200);
  deepEqual(await hashAt(30n), chain.blocks[30]!.header.hash);
  deepEqual(chain.asked, ["header 30"]);
});

test("Branch takes no block that is not linked to the head", async () => {
  const chain = new FakeChain();
  chain.mineEmpty(20);
  const { blocks } = chain;
  const branch = new Branch(chain);
  const old = blocks[18]!.header;
  chain.drop(4);
  chain.mineEmpty(6);
  const head = chain.blocks.at(-1)!.header;
  const now = chain.blocks;
  // A node that lags, and one that has not heard of the block.
  for (const lagging of [[...now.slice(0, 18), { ...now[18]!, header: old }], now.slice(0, 18)]) {
    chain.blocks = [...lagging, ...now.slice(19)];
    equal(await branch.hashAt(18n, head), undefined);
    equal(await branch.hashAt(17n, head), undefined);
  }
  chain.blocks = now;
  deepEqual(await branch.hashAt(18n, head), now[18]!.header.hash);
});

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
