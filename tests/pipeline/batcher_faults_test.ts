import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { CompressionError, SinkError, SourceError } from "../../src/errors.ts";
import { MemoryBatchSource, MemoryL1 } from "../../src/local/memory.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import type { CompressedBatch } from "../../src/types.ts";
import { content, flaky, inTurn, plainBlocks, withMembers } from "../helpers.ts";
import { posted, worldOf } from "./world.ts";

const down = new SinkError("Connection", "down");
const timeout = new SinkError("Timeout", "late");
const poor = new SinkError("InsufficientFunds", "poor");
const unreachable = new SourceError("Connection", "unreachable");
const broken = new SourceError("Gap", "a block is missing");

/** A sink on `l1` that keeps what it was given, whatever becomes of it. */
function recording(l1: MemoryL1) {
  const given: CompressedBatch[] = [];
  const inner = l1.sink();
  const sink = withMembers(inner, {
    submit(batch) {
      given.push({ ...batch, data: batch.data.slice() });
      return inner.submit(batch);
    },
  });
  return { sink, given };
}

test("BatcherPipeline drops no block and no number when a sink fails", async () => {
  const blocks = plainBlocks(6);
  const { l1, source, batcher, events } = worldOf(blocks.slice(0, 2), {
    config: { maxBlocksPerBatch: 2 },
    faults: { submit: [down, poor, new TypeError("bug"), undefined, down, down] },
  });
  await rejects(batcher.tick(), down);
  await rejects(batcher.tick(), poor);
  await rejects(batcher.tick(), { name: "SinkError", code: "Connection", kind: "temporary" });
  equal(batcher.pendingBlocks, 2);
  await batcher.tick();
  source.push(...blocks.slice(2));
  await rejects(batcher.tick(), down);
  await rejects(batcher.tick(), down);
  await batcher.tick();
  await batcher.tick();
  const batches = await posted(l1);
  deepEqual(batches.map((each) => each.header.batchNumber), [0n, 1n, 2n]);
  deepEqual(content(batches.flatMap((each) => each.blocks)), content(blocks));
  equal(events.of("batch.failed").length, 5);
});

test("BatcherPipeline keeps the bytes of a sealed batch over failed submits", async () => {
  const l1 = new MemoryL1();
  const { sink, given } = recording(l1);
  const { source, batcher, clock, events } = worldOf(plainBlocks(2), {
    sink,
    config: { maxBlocksPerBatch: 2 },
    faults: { submit: [{ after: timeout }, { after: timeout }] },
  });
  await rejects(batcher.tick(), timeout);
  source.push(...plainBlocks(3, { first: 2 }));
  clock.advance(600_000);
  await rejects(batcher.tick(), timeout);
  equal(batcher.nextBatchNumber, 1n);
  await batcher.tick();
  equal(given.length, 3);
  deepEqual(given[1], given[0]);
  deepEqual(given[2], given[0]);
  equal(events.of("batch.sealed").length, 1);
  equal(batcher.pendingBlocks, 3);
});

test("BatcherPipeline leaves no gap in the numbers when compression fails", async () => {
  const full = new CompressionError("Failed", "out of memory");
  const compressor = flaky(new NoopCompressor(), inTurn({ compress: [full, full] }));
  const { l1, batcher, clock } = worldOf(plainBlocks(2), { compressor });
  await batcher.tick();
  clock.advance(12_000);
  await rejects(batcher.tick(), full);
  clock.advance(12_000);
  await rejects(batcher.tick(), full);
  clock.advance(12_000);
  equal((await batcher.tick())?.batchNumber, 0n);
  deepEqual(content((await posted(l1))[0]!.blocks), content(plainBlocks(2)));
});

test("BatcherPipeline posts nothing that does not come back as it was", async () => {
  const compressor = withMembers(new NoopCompressor(), {
    decompress: (data) => Promise.resolve(data.slice(0, -1)),
  });
  const { l1, batcher } = worldOf(plainBlocks(2), { compressor });
  await batcher.tick();
  await rejects(batcher.shutdown(), { name: "CompressionError", code: "Failed" });
  equal(await l1.head("latest"), 0n);
  equal(batcher.pendingBlocks, 2);
});

test("BatcherPipeline still posts what waits while the source fails", async () => {
  const { batcher, clock } = worldOf(plainBlocks(2), {
    faults: { pendingBlocks: [undefined, unreachable, unreachable] },
  });
  await batcher.tick();
  clock.advance(12_000);
  equal((await batcher.tick())?.batchNumber, 0n);
  await rejects(batcher.tick(), unreachable);
});

test("BatcherPipeline takes nothing behind a source that broke off, and posts what is before", async () => {
  const { l1, source, batcher } = worldOf(plainBlocks(2), {
    faults: { pendingBlocks: [undefined, broken] },
  });
  await batcher.tick();
  await rejects(batcher.tick(), broken);
  source.push(...plainBlocks(2, { first: 5 })); // Behind a hole.
  await rejects(batcher.tick(), broken);
  await rejects(batcher.forceSubmit(), broken);
  equal((await batcher.shutdown()).length, 1);
  deepEqual(content((await posted(l1))[0]!.blocks), content(plainBlocks(2)));
  await rejects(batcher.tick(), broken);
});

test("BatcherPipeline asks a source again that threw what is no error of ours", async () => {
  const { batcher } = worldOf(plainBlocks(2), {
    faults: { pendingBlocks: [new TypeError("fetch failed")] },
  });
  const refusal = { name: "SourceError", code: "Connection", message: /fetch failed/ };
  await rejects(batcher.tick(), refusal);
  await batcher.tick();
  equal(batcher.pendingBlocks, 2);
});

test("BatcherPipeline refuses a block that is older than the one before, for good", async () => {
  const [first, second, third] = plainBlocks(3);
  const { l1, source, batcher } = worldOf([second!, first!, third!]);
  const refusal = { name: "SourceError", code: "InvalidBlock", message: /timestamp 1000.*1002/ };
  await rejects(batcher.tick(), refusal);
  source.push(third!);
  await rejects(batcher.tick(), refusal);
  await batcher.shutdown();
  deepEqual(content((await posted(l1))[0]!.blocks), content([second!]));

  const lastBlock = third!;
  const resumed = worldOf([second!], { position: { nextBatchNumber: 1n, lastBlock } });
  await rejects(resumed.batcher.tick(), { code: "InvalidBlock", message: /1002.*1004/ });
});

test("BatcherPipeline holds its blocks when the sink cannot tell its capacity", async () => {
  const { batcher, clock } = worldOf(plainBlocks(2), { faults: { capacity: [down, down] } });
  await rejects(batcher.tick(), down);
  await rejects(batcher.tick(), down);
  equal(batcher.pendingBlocks, 2);
  clock.advance(12_000);
  equal((await batcher.tick())?.batchNumber, 0n);
});

test("BatcherPipeline refers to an L1 block by number and hash of the same block", async () => {
  const l1 = new MemoryL1();
  const source = withMembers(new MemoryBatchSource(plainBlocks(1), l1), {
    async l1Origin() {
      const number = await l1.head("latest");
      await l1.mine([], 0n); // L1 goes on between the two questions.
      return number;
    },
  });
  const { clock } = worldOf([]);
  const batcher = new BatcherPipeline({
    source,
    compressor: new NoopCompressor(),
    sink: l1.sink(),
    clock,
  });
  await batcher.tick();
  await batcher.shutdown();
  const [batch] = await posted(l1);
  const { hash } = await l1.block(batch!.header.l1Origin);
  deepEqual(batch!.header.l1OriginCheck, hash.slice(0, 20));
});

test("BatcherPipeline does one thing at a time, whoever calls it how often", async () => {
  const l1 = new MemoryL1();
  const inner = l1.sink();
  let inside = 0;
  let most = 0;
  const slow = withMembers(inner, {
    async submit(batch) {
      most = Math.max(most, ++inside);
      for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      const receipt = await inner.submit(batch);
      inside -= 1;
      return receipt;
    },
  });
  const blocks = plainBlocks(12);
  const { batcher } = worldOf(blocks, { sink: slow, config: { maxBlocksPerBatch: 2 } });
  const [receipts, rest, after] = await Promise.all([
    Promise.all([batcher.tick(), batcher.tick(), batcher.forceSubmit(), batcher.tick()]),
    batcher.shutdown(),
    batcher.tick().catch((error) => error.code),
    batcher.shutdown(),
  ]);
  deepEqual(receipts.map((each) => each?.batchNumber), [0n, 1n, 2n, 3n]);
  deepEqual(rest.map((each) => each.batchNumber), [4n, 5n]);
  equal(after, "Closed");
  equal(most, 1);
  deepEqual(content((await posted(l1)).flatMap((each) => each.blocks)), content(blocks));
});

test("BatcherPipeline.tick() that fails does not fail the call behind it", async () => {
  const { batcher } = worldOf(plainBlocks(2), {
    config: { maxBlocksPerBatch: 2 },
    faults: { submit: [down] },
  });
  const [first, second] = await Promise.allSettled([batcher.tick(), batcher.tick()]);
  equal(first.status, "rejected");
  equal(second.status === "fulfilled" && second.value?.batchNumber, 0n);
});

test("BatcherPipeline.forceSubmit() posts what waits, however small", async () => {
  const { batcher, events } = worldOf(plainBlocks(1));
  await batcher.tick();
  equal((await batcher.forceSubmit())?.batchNumber, 0n);
  equal(await batcher.forceSubmit(), undefined);
  deepEqual(events.of("batch.sealed").map((each) => each.reason), ["manual"]);
});

test("BatcherPipeline.shutdown() posts all that was taken and can be called again when it failed", async () => {
  const blocks = plainBlocks(5);
  const { l1, source, batcher, events } = worldOf(blocks, {
    config: { maxBlocksPerBatch: 2 },
    faults: { submit: [down, undefined, down] },
  });
  await rejects(batcher.tick(), down);
  await rejects(batcher.shutdown(), down);
  source.push(...plainBlocks(1, { first: 9 })); // Comes too late.
  equal(batcher.pendingBlocks, 3);
  equal((await batcher.shutdown()).length, 2);
  deepEqual(await batcher.shutdown(), []);
  await rejects(batcher.tick(), { name: "PipelineError", code: "Closed" });
  await rejects(batcher.forceSubmit(), { code: "Closed" });
  deepEqual(content((await posted(l1)).flatMap((each) => each.blocks)), content(blocks));
  deepEqual(events.of("batch.sealed").map((each) => each.reason), [
    "blocks",
    "shutdown",
    "shutdown",
  ]);
});
