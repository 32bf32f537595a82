import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { Chain, TxJournal } from "../../src/ethereum.ts";
import { FinalBlocks } from "../../src/l1/final_blocks.ts";
import { countStrangers, untilNoStrangers } from "../../src/l1/strangers.ts";
import { MemoryTxJournal } from "../../src/local/memory_tx_journal.ts";
import { withMembers } from "../helpers.ts";
import { ADDRESS, answered, request, TxWorld } from "./tx_world.ts";

/** An account that posted three batches, which are in blocks that are not final. */
async function posted(): Promise<TxWorld> {
  const world = new TxWorld({ config: { confirmations: 1 }, ethereum: { finalDepth: 30 } });
  const manager = await world.open();
  for (const number of [0, 1, 2]) await world.run(manager.send(request(number)));
  await world.run(manager.close());
  return world;
}

function partsOf(world: TxWorld, journal: TxJournal = world.journal, chain: Chain = world.node) {
  const final = new FinalBlocks(chain);
  return { chain, address: ADDRESS, journal, finalBlock: () => final.newest() };
}

test("countStrangers() counts what is in blocks, not final, and not in the journal", async () => {
  const world = await posted();
  equal(await countStrangers(partsOf(world)), 0n);
  const lost = partsOf(world, new MemoryTxJournal());
  equal(await countStrangers(lost), 3n);

  const [first] = world.journal.attempts;
  await lost.journal.signed(first!);
  equal(await countStrangers(lost), 2n);
  // Another transaction of the same nonce is in the chain: this one is nowhere.
  const never = new MemoryTxJournal();
  const raw = { raw: first!.signed.raw, hash: new Uint8Array(32) };
  await never.signed({ ...first!, signed: raw });
  equal(await countStrangers(partsOf(world, never)), 3n);

  world.ethereum.reorganise(25, { returned: 0 });
  equal(await countStrangers(lost), 0n);
  world.close();
});

test("untilNoStrangers() waits until they are final, and says so once", async () => {
  const world = await posted();
  const told: bigint[] = [];
  const wait = {
    ...partsOf(world, new MemoryTxJournal()),
    clock: world.clock,
    onWait: (count: bigint) => void told.push(count),
  };
  await world.run(untilNoStrangers(wait));
  deepEqual(told, [3n]);
  const { ethereum } = world;
  equal(ethereum.account(ADDRESS, ethereum.blockAt(ethereum.finalNumber())!).nonce, 3n);

  const end = new AbortController();
  end.abort();
  await world.run(untilNoStrangers({ ...wait, signal: end.signal }));
  world.close();
});

test("untilNoStrangers() waits for what is in the pool where the journal knows of nothing", async () => {
  const world = new TxWorld({ ethereum: { finalDepth: 3, isOverlooked: () => isOverlooked } });
  let isOverlooked = true;
  const manager = await world.open();
  const sending = manager.send(request(0));
  sending.catch(() => {});
  await world.until(() => world.told("tx.sent").length > 0);
  await world.run(manager.close());
  const told: string[] = [];
  const waitFor = (journal: TxJournal) => ({
    ...partsOf(world, journal),
    clock: world.clock,
    onWait: (count: bigint, where: string) => void told.push(`${count} in ${where}`),
  });
  await world.run(untilNoStrangers(waitFor(world.journal)));
  deepEqual(told, []);
  const waiting = untilNoStrangers(waitFor(new MemoryTxJournal()));
  await world.pass(100_000);
  deepEqual(told, ["1 in pool"]);
  isOverlooked = false;
  await world.run(waiting);
  deepEqual(told, ["1 in pool", "1 in blocks"]);
  world.close();
});

test("countStrangers() goes by the journal where a node has no state of a final block any more", async () => {
  const world = await posted();
  const chain = withMembers<Chain>(world.node, {
    nonce: (address, tag) =>
      typeof tag === "bigint"
        ? Promise.reject(answered("missing trie node"))
        : world.node.nonce(address, tag),
  });
  equal(await countStrangers(partsOf(world, world.journal, chain)), 0n);
  equal(await countStrangers(partsOf(world, new MemoryTxJournal(), chain)), 3n);
  world.close();
});
