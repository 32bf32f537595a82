import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { BlockTag, Chain } from "../../src/ethereum.ts";
import { FinalBlocks } from "../../src/l1/final_blocks.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { withMembers } from "../helpers.ts";
import { SimulatedEthereum } from "../simulation/ethereum.ts";
import { SimulatedNode } from "../simulation/ethereum_node.ts";

/** A node that was on another branch until lately. */
function world() {
  const ethereum = new SimulatedEthereum({ finalDepth: 4 });
  ethereum.slots(10);
  ethereum.reorganise(4);
  const ahead = new SimulatedNode(ethereum);
  const behind = new SimulatedNode(ethereum, { headsBehind: 6 });
  ethereum.slots(5);
  return { ethereum, ahead, behind };
}

test("FinalBlocks gives the hash that came with the number, whatever another node says of it", async () => {
  const { ethereum, ahead, behind } = world();
  const asked: BlockTag[] = [];
  const blocks = new FinalBlocks({
    name: "two nodes",
    header(tag) {
      asked.push(tag);
      return (tag === 12n ? behind : ahead).header(tag);
    },
  });
  const { number, hash } = await blocks.newest();
  equal(number, 11n);
  ethereum.slots(1);
  await blocks.newest();
  for (const each of [number, 12n]) {
    deepEqual(await blocks.hashOf(each), ethereum.blockAt(each)!.header.hash);
  }
  deepEqual(hash, ethereum.blockAt(number)!.header.hash);
  deepEqual(asked, ["finalized", "finalized", 11n]);
  // Any other block is asked for.
  await blocks.hashOf(3n);
  equal(asked.at(-1), 3n);
});

test("FinalBlocks does not go back with a node that lags", async () => {
  const { ahead, behind } = world();
  let node = ahead;
  const blocks = new FinalBlocks({ name: "two nodes", header: (tag) => node.header(tag) });
  const newest = await blocks.newest();
  node = behind;
  deepEqual(await blocks.newest(), newest);
});

test("FinalBlocks takes no newer block from a chain that lacks the last one", async () => {
  const { ethereum, ahead } = world();
  let node = ahead;
  const blocks = new FinalBlocks({
    name: "two nodes",
    header: (tag) => (tag === "finalized" ? ahead : node).header(tag),
  });
  const newest = await blocks.newest();
  ethereum.slots(3);
  const further = new SimulatedNode(ethereum, { headsBehind: 9 });
  for (node of [further, new SimulatedNode(ethereum, { headsBehind: 100 })]) {
    deepEqual(await blocks.newest(), newest);
  }
  node = ahead;
  equal((await blocks.newest()).number, newest.number + 3n);
});

test("FinalBlocks takes a block that lies deep where a node knows none that is final", async () => {
  const { ahead } = world();
  const header = (tag: BlockTag) =>
    tag === "finalized" ? Promise.resolve(undefined) : ahead.header(tag);
  equal((await new FinalBlocks({ name: "node", header }, 12).newest()).number, 3n);
  equal((await new FinalBlocks({ name: "node", header }, 100).newest()).number, 0n);
  const none = () => Promise.resolve(undefined);
  await rejects(new FinalBlocks({ name: "node", header: none }).newest(), {
    name: "SourceError",
    code: "NoOrigin",
    message: "Cannot name L1 block latest: node does not have it now",
  });
});

test("FinalBlocks.mustBeSame() lets nodes lag, and says that it is another L1 once that is sure", async () => {
  const { ethereum, ahead, behind } = world();
  const blocks = new FinalBlocks(ahead);
  await blocks.mustBeSame(); // Nothing was told yet.
  await blocks.newest();
  await blocks.mustBeSame();

  const tooShort = new SimulatedNode(ethereum, { headsBehind: 100 });
  await rejects(blocks.mustBeSame(tooShort), {
    code: "Invalid",
    message: /has no block 11, which was final/,
  });
  // Behind the same name another node answers, now and then.
  for (let look = 0; look < 5; look++) {
    await rejects(blocks.mustBeSame(behind), { name: "RpcError", code: "Invalid" });
    await blocks.mustBeSame(ahead);
  }

  for (const slots of [2, 40]) {
    const other = new SimulatedEthereum({ finalDepth: 4, random: new SeededRandom(9) });
    other.slots(slots);
    const node = withMembers<Chain>(new SimulatedNode(other), {
      header: async (tag) => {
        const header = await new SimulatedNode(other).header(tag);
        return header && { ...header, hash: header.hash.toReversed() };
      },
    });
    for (const slot of [0, 0, 0, 1]) {
      if (slot > 0) other.slot();
      await rejects(blocks.mustBeSame(node), { code: "Invalid" });
    }
    other.slot();
    await rejects(blocks.mustBeSame(node), {
      name: "PipelineError",
      code: "WrongL1",
      message: slots === 2 ? /its block 0 is 0x/ : /its block 11 is 0x/,
    });
    await blocks.mustBeSame(ahead);
  }
});
