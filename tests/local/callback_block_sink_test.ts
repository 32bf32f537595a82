import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { CallbackBlockSink } from "../../src/local/callback_block_sink.ts";
import type { DerivedBlock } from "../../src/types.ts";

const BLOCK: DerivedBlock = {
  timestamp: 1n,
  transactions: [],
  batchNumber: 0n,
  l1Origin: 0n,
  l1Block: 1n,
};

test("CallbackBlockSink calls the functions that it was given, and waits for them", async () => {
  const calls: string[] = [];
  const sink = new CallbackBlockSink({
    onBlock: async ({ timestamp }) => {
      await Promise.resolve();
      calls.push(`block ${timestamp}`);
    },
    onBatch: () => void calls.push("batch"),
    onRetract: (blocks) => void calls.push(`back ${blocks}`),
    onL1Heads: ({ safe }) => void calls.push(`safe ${safe}`),
    parentHash: () => Uint8Array.of(7),
  });
  await sink.ingest(BLOCK);
  await sink.flush();
  await sink.retract!(1);
  await sink.noteL1Heads!({ safe: 3n, finalized: 2n });
  deepEqual(calls, ["block 1", "batch", "back 1", "safe 3"]);
  deepEqual(await sink.parentHash!(), Uint8Array.of(7));
});

test("CallbackBlockSink tells a deriver what it cannot do, and hands on what a function throws", async () => {
  const sink = new CallbackBlockSink({
    onBlock: () => {
      throw new Error("no room");
    },
  });
  equal(sink.retract, undefined);
  equal(sink.parentHash, undefined);
  equal(sink.noteL1Heads, undefined);
  await rejects(sink.ingest(BLOCK), /no room/);
  await sink.flush();
});
