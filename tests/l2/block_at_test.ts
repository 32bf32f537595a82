import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { blockAt, firstOfItsTime } from "../../src/l2/block_at.ts";
import type { NodeBlock } from "../../src/l2/node_block.ts";
import { linkedBlocks } from "../helpers.ts";

/** Blocks 1 and on, with these timestamps. */
function nodeOf(timestamps: readonly number[]) {
  const blocks = linkedBlocks(timestamps.length, { first: 1 })
    .map((block, at) => ({ ...block, timestamp: BigInt(timestamps[at]!) }));
  let asked = 0;
  const nodes = {
    head: () =>
      Promise.resolve({
        number: BigInt(blocks.length),
        hash: new Uint8Array(32),
        parentHash: new Uint8Array(32),
        timestamp: 0n,
      }),
    blocks: (first: bigint) => {
      asked += 1;
      return Promise.resolve([{ block: blocks[Number(first) - 1]! } as NodeBlock]);
    },
  };
  return { nodes, blocks, asked: () => asked };
}

/** Some blocks have the timestamp of the one before. */
const timestamps = fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 40 })
  .map((steps) => steps.map((_, at) => steps.slice(0, at + 1).reduce((a, b) => a + b)));

test("blockAt() finds each block by its timestamp and its parent, wherever it is", async () => {
  await fc.assert(fc.asyncProperty(timestamps, fc.nat(), async (times, pick) => {
    const { nodes, blocks } = nodeOf(times);
    const { number, timestamp, parentHash } = blocks[pick % blocks.length]!;
    const parentCheck = parentHash!.slice(0, 20);
    equal(await blockAt(nodes, { timestamp, parentCheck }, "unsafe"), number);
  }));
});

test("blockAt() takes the first of a timestamp where nothing tells more, or nothing fits", async () => {
  const { nodes } = nodeOf([5, 7, 7, 7, 9]);
  equal(await blockAt(nodes, { timestamp: 7n }, "unsafe"), 2n);
  equal(await blockAt(nodes, { timestamp: 7n, parentCheck: new Uint8Array(20) }, "unsafe"), 2n);
  const parentCheck = new Uint8Array(20).fill(1);
  equal(await blockAt(nodes, { timestamp: 7n, parentCheck }, "unsafe"), 2n);
});

test("blockAt() takes the next block where none is of that time, and none behind the last", async () => {
  const { nodes } = nodeOf([5, 7, 9]);
  equal(await blockAt(nodes, { timestamp: 1n }, "unsafe"), 1n);
  equal(await blockAt(nodes, { timestamp: 8n }, "unsafe"), 3n);
  equal(await blockAt(nodes, { timestamp: 10n }, "unsafe"), undefined);
  equal(await blockAt(nodeOf([]).nodes, { timestamp: 1n }, "unsafe"), undefined);
});

test("blockAt() looks at few of many blocks", async () => {
  const { nodes, asked } = nodeOf(Array.from({ length: 1000 }, (_, at) => 2 * at));
  equal(await blockAt(nodes, { timestamp: 1400n }, "unsafe"), 701n);
  equal(asked() <= 11, true, `${asked()}`);
});

test("firstOfItsTime() goes back to the first block of a timestamp", async () => {
  const { nodes } = nodeOf([5, 7, 7, 7, 9]);
  const found = await Promise.all([1n, 2n, 3n, 4n, 5n].map((each) => firstOfItsTime(nodes, each)));
  equal(found.join(), "1,2,2,2,5");
});
