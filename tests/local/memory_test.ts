import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import {
  ManualClock,
  MemoryBatchSource,
  MemoryBlockSink,
  MemoryL1,
  SeededRandom,
} from "../../src/local/memory.ts";
import { GENESIS_HASH, mineEmpty, plainBlocks } from "../helpers.ts";

test("ManualClock moves when it is moved or slept on, and not once aborted", async () => {
  const clock = new ManualClock(50);
  clock.advance(7);
  await clock.sleep(100);
  equal(clock.now(), 157);
  await clock.sleep(1000, AbortSignal.abort());
  equal(clock.now(), 157);
});

test("SeededRandom gives the same numbers from 0 to 1 for the same seed", () => {
  const random = new SeededRandom(42);
  deepEqual([random.next(), random.next(), random.next()], [
    0.6011037519201636,
    0.44829055899754167,
    0.8524657934904099,
  ]);
  const many = Array.from({ length: 10_000 }, () => random.next());
  ok(many.every((number) => number >= 0 && number < 1));
  const mean = many.reduce((sum, number) => sum + number, 0) / many.length;
  ok(mean > 0.49 && mean < 0.51);
});

test("MemoryL1 begins with an empty block 0 and links each block to the one before", async () => {
  const l1 = new MemoryL1();
  await mineEmpty(l1, 3);
  deepEqual((await l1.block(0n)).hash, GENESIS_HASH);
  for (let number = 1n; number <= 3n; number++) {
    deepEqual((await l1.block(number)).parentHash, (await l1.block(number - 1n)).hash);
  }
  await l1.check();
});

test("MemoryL1 never lets time go backwards", async () => {
  const l1 = new MemoryL1();
  await l1.mine([], 90n);
  equal((await l1.mine([], 20n)).timestamp, 90n);
});

test("MemoryL1.head() counts safe blocks from its confirmations", async () => {
  const l1 = new MemoryL1({ safeConfirmations: 2 });
  const heads = async () => [await l1.head("latest"), await l1.head("safe")];
  deepEqual(await heads(), [0n, 0n]);
  await mineEmpty(l1, 1);
  deepEqual(await heads(), [1n, 0n]);
  await mineEmpty(l1, 3);
  deepEqual(await heads(), [4n, 2n]);
});

test("MemoryL1 refuses blocks and blobs that it does not have", async () => {
  const l1 = new MemoryL1();
  await rejects(l1.block(1n), { name: "SourceError", code: "Damaged", message: /the head is 0/ });
  await rejects(l1.blob(new Uint8Array(32)), { code: "Damaged", message: /there is none/ });
});

test("MemoryBatchSource gives each block once, and MemoryBlockSink keeps them", async () => {
  const l1 = new MemoryL1();
  const source = new MemoryBatchSource(plainBlocks(2), l1);
  equal((await source.pendingBlocks()).length, 2);
  deepEqual(await source.pendingBlocks(), []);
  source.push(...plainBlocks(1, { first: 2 }));
  equal((await source.pendingBlocks()).length, 1);
  deepEqual(await source.l1OriginHash(await source.l1Origin()), GENESIS_HASH);
  deepEqual(await source.parentHash(), new Uint8Array(32));

  const sink = new MemoryBlockSink();
  const derived = { ...plainBlocks(1)[0]!, batchNumber: 0n, l1Origin: 0n, l1Block: 1n };
  await sink.ingest(derived);
  deepEqual(sink.blocks, [derived]);
});
