import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { BlockTag } from "../../src/ethereum.ts";
import { FinalBlocks } from "../../src/l1/final_blocks.ts";
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
      return (tag === "finalized" ? ahead : behind).header(tag);
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
  deepEqual(asked, ["finalized", "finalized"]);
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
