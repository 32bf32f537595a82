import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { test } from "node:test";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { NoopCompressor } from "../../src/compress/noop.ts";
import type { PipelineConfig } from "../../src/config.ts";
import { SinkError, SourceError } from "../../src/errors.ts";
import { ManualClock, MemoryBatchSource, MemoryL1 } from "../../src/local/memory.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import type { Compressor } from "../../src/ports.ts";
import type { L2Block } from "../../src/types.ts";
import { content, l2Hash, linkedBlocks, mineEmpty, plainBlocks, withMembers } from "../helpers.ts";
import { posted, worldOf } from "./world.ts";

const down = new SinkError("Connection", "down");
const unreachable = new SourceError("Connection", "unreachable");

test("BatcherPipeline.tick() posts a batch with every field of its header right", async () => {
  const blocks = linkedBlocks(3, { first: 7, size: 600 });
  const { clock, l1, batcher, events } = worldOf(blocks);
  await mineEmpty(l1, 4);
  clock.advance(12_000);
  const receipt = await batcher.tick();
  equal(receipt?.batchNumber, 0n);
  equal(receipt.l1Block, 5n);
  const [batch] = await posted(l1);
  deepEqual(batch!.header, {
    version: 0,
    batchNumber: 0n,
    l1Origin: 4n,
    l1OriginCheck: (await l1.block(4n)).hash.slice(0, 20),
    parentCheck: l2Hash(6).slice(0, 20),
    timestamp: blocks[0]!.timestamp,
    blockCount: 3,
  });
  deepEqual(content(batch!.blocks), content(blocks));
  deepEqual(events.all.map((each) => each.event), [
    "blocks.taken",
    "batch.sealed",
    "batch.submitted",
  ]);
  equal(events.of("batch.sealed")[0]!.reason, "interval");
  equal(events.of("batch.submitted")[0]!.rawBytes, 67 + 3 * 607);
  equal(events.of("batch.submitted")[0]!.compressedBytes, 1 + 67 + 3 * 607);
});

test("BatcherPipeline.tick() builds no empty batch when the interval ends", async () => {
  const { clock, batcher, events } = worldOf([]);
  for (let index = 0; index < 5; index++) {
    clock.advance(12_000);
    equal(await batcher.tick(), undefined);
  }
  equal(await batcher.forceSubmit(), undefined);
  deepEqual(await batcher.shutdown(), []);
  deepEqual(events.all, []);
});

test("BatcherPipeline.tick() lets less than 1 KiB wait for the interval, not for ever", async () => {
  const { clock, source, batcher } = worldOf([]);
  clock.advance(60_000); // The interval since the last submission is over long ago.
  source.push(...plainBlocks(2));
  equal(await batcher.tick(), undefined);
  clock.advance(11_999);
  equal(await batcher.tick(), undefined);
  clock.advance(1);
  equal((await batcher.tick())?.batchNumber, 0n);
  equal(batcher.pendingBlocks, 0);
});

test("BatcherPipeline.tick() lets nothing wait for longer because the clock was set back", async () => {
  const { clock, source, batcher } = worldOf([]);
  source.push(...plainBlocks(2));
  equal(await batcher.tick(), undefined);
  clock.advance(6000);
  equal(await batcher.tick(), undefined);
  clock.advance(-3_600_000);
  equal(await batcher.tick(), undefined);
  clock.advance(6000);
  equal((await batcher.tick())?.batchNumber, 0n);
});

test("BatcherPipeline.tick() posts 1 KiB as soon as the last submission is an interval ago", async () => {
  const { clock, source, batcher } = worldOf(plainBlocks(2, { size: 600 }));
  clock.advance(11_999);
  equal(await batcher.tick(), undefined);
  clock.advance(1);
  equal((await batcher.tick())?.batchNumber, 0n);
  source.push(...plainBlocks(2, { first: 2, size: 600 }));
  clock.advance(11_999);
  equal(await batcher.tick(), undefined);
  clock.advance(1);
  equal((await batcher.tick())?.batchNumber, 1n);
});

test("BatcherPipeline.tick() does not wait when a whole blob is full", async () => {
  const { l1, batcher, events } = worldOf(plainBlocks(400, { size: 1000 }));
  for (let number = 0n; number < 3n; number++) {
    equal((await batcher.tick())?.batchNumber, number);
  }
  equal(await batcher.tick(), undefined);
  equal(batcher.pendingBlocks, 400 - 3 * 129);
  for (const { compressedBytes, reason, blocks } of events.of("batch.sealed")) {
    equal(reason, "full");
    equal(blocks, 129);
    ok(compressedBytes <= 130_044 && compressedBytes > 0.98 * 130_044);
  }
  deepEqual(events.of("batch.submitted").map((each) => each.receipt.blobHashes.length), [1, 1, 1]);
  await batcher.shutdown();
  deepEqual(
    content((await posted(l1)).flatMap((each) => each.blocks)),
    content(plainBlocks(400, { size: 1000 })),
  );
});

test("BatcherPipeline.tick() does not take for full what was only thought to be", async () => {
  const brotli = new BrotliCompressor({ level: 1 });
  let compressions = 0;
  const compressor = withMembers<Compressor>(brotli, {
    estimatedRatio: () => 1, // 50 is nearer to the truth.
    compress(data) {
      compressions += 1;
      return brotli.compress(data);
    },
  });
  const zeros = (first: number, count: number): L2Block[] =>
    plainBlocks(count, { first }).map((block) => ({
      ...block,
      transactions: [new Uint8Array(999)],
    }));
  const { clock, source, batcher, events } = worldOf(zeros(0, 100), {
    compressor,
    config: { maxBatchBytes: 5000 },
  });
  equal(await batcher.tick(), undefined);
  const passes = compressions;
  for (let tick = 0; tick < 20; tick++) {
    source.push(...zeros(100 + tick, 1));
    equal(await batcher.tick(), undefined);
  }
  equal(compressions, passes);
  clock.advance(12_000);
  await batcher.tick();
  const [sealed] = events.of("batch.sealed");
  deepEqual([sealed?.reason, sealed?.blocks], ["interval", 120]);
});

test("BatcherPipeline.tick() cuts at blocks, raw size and time difference, and says so", async () => {
  const gap = plainBlocks(1)[0]!;
  const cases: [Partial<PipelineConfig>, L2Block[], string, number][] = [
    [{ maxBlocksPerBatch: 4 }, plainBlocks(5), "blocks", 4],
    [{ targetRawBytes: 100 }, plainBlocks(6, { size: 23 }), "size", 4],
    [{ maxPendingBytes: 100 }, plainBlocks(6, { size: 23 }), "size", 6],
    [{}, [gap, gap, { ...gap, timestamp: gap.timestamp + 65_536n }], "timestamp", 2],
    [{ maxBatchBytes: 200 }, plainBlocks(8, { size: 23 }), "full", 4],
  ];
  for (const [config, blocks, reason, count] of cases) {
    const { batcher, events } = worldOf(blocks, { config });
    await batcher.tick();
    const [sealed] = events.of("batch.sealed");
    deepEqual([sealed?.reason, sealed?.blocks], [reason, count], reason);
  }
});

test("BatcherPipeline splits a backlog into batches that each fit, in order", async () => {
  const blocks = plainBlocks(50, { size: 300 });
  const { l1, batcher } = worldOf(blocks, { config: { maxBatchBytes: 2000 } });
  await batcher.tick();
  const receipts = await batcher.shutdown();
  const batches = await posted(l1);
  equal(receipts.length + 1, batches.length);
  deepEqual(batches.map((each) => each.header.batchNumber), batches.map((_, at) => BigInt(at)));
  deepEqual(content(batches.flatMap((each) => each.blocks)), content(blocks));
  deepEqual(batches.map((each) => each.blocks.length).slice(0, -1), Array(8).fill(6));
});

test("BatcherPipeline posts a block above the limit alone, and keeps one above the sink's", async () => {
  const big = plainBlocks(1, { first: 1, size: 5000 })[0]!;
  const blocks = [plainBlocks(1)[0]!, big, ...plainBlocks(1, { first: 2 })];
  const config = { maxBatchBytes: 1000 };
  const wide = worldOf(blocks, { config });
  await wide.batcher.tick();
  await wide.batcher.shutdown();
  deepEqual((await posted(wide.l1)).map((each) => each.blocks.length), [1, 1, 1]);

  const narrow = withMembers(new MemoryL1().sink(), { capacity: () => Promise.resolve(4000) });
  const { batcher, events } = worldOf(blocks, { config, sink: narrow });
  await batcher.tick();
  await rejects(batcher.tick(), { code: "BlockTooLarge" });
  await rejects(batcher.shutdown(), { code: "BlockTooLarge" });
  equal(batcher.pendingBlocks, 2);
  deepEqual(events.of("batch.submitted").map((each) => each.blocks), [1]);
});

test("BatcherPipeline asks the source for its parent only before the first block", async () => {
  const clock = new ManualClock();
  const l1 = new MemoryL1({ clock });
  const source = withMembers(new MemoryBatchSource(plainBlocks(2), l1), {
    parentHash: () => Promise.resolve(new Uint8Array(32).fill(9)),
  });
  const parts = { source, compressor: new NoopCompressor(), sink: l1.sink(), clock };
  const batcher = new BatcherPipeline(parts, { maxBlocksPerBatch: 1 });
  await batcher.tick();
  await batcher.tick();
  const [first, second] = await posted(l1);
  deepEqual(first!.header.parentCheck, new Uint8Array(20).fill(9));
  deepEqual(second!.header.parentCheck, new Uint8Array(20));
});

test("BatcherPipeline takes the last block's hash as parent where the next does not say", async () => {
  const [one, two] = linkedBlocks(2, { first: 5 });
  const { parentHash: _, ...orphan } = two!;
  const { l1, batcher } = worldOf([one!, orphan], { config: { maxBlocksPerBatch: 1 } });
  await batcher.tick();
  await batcher.tick();
  deepEqual((await posted(l1))[1]!.header.parentCheck, l2Hash(5).slice(0, 20));
});

test("BatcherPipeline goes on from a position: number, last block and pending blocks", async () => {
  const [last, ...rest] = linkedBlocks(4, { first: 20 });
  const position = { nextBatchNumber: 12n, lastBlock: last!, pending: rest.slice(0, 2) };
  const { l1, batcher } = worldOf(rest.slice(2), { position });
  equal(batcher.nextBatchNumber, 12n);
  equal(batcher.pendingBlocks, 2);
  await batcher.tick();
  await batcher.shutdown();
  equal(batcher.nextBatchNumber, 13n);
  const [batch] = await posted(l1);
  equal(batch!.header.batchNumber, 12n);
  deepEqual(batch!.header.parentCheck, l2Hash(20).slice(0, 20));
  deepEqual(content(batch!.blocks), content(rest));
});

test("BatcherPipeline keeps more than 65535 waiting blocks and truncates no count", async () => {
  const block: L2Block = { timestamp: 1n, transactions: [] };
  const blocks = new Array<L2Block>(65_536 + 10).fill(block);
  const { l1, batcher } = worldOf(blocks, {
    config: { maxBlocksPerBatch: 65_535, maxBatchBytes: 6 * 128 * 1024 },
  });
  await batcher.tick();
  await batcher.shutdown();
  deepEqual((await posted(l1)).map((each) => each.header.blockCount), [65_535, 11]);
});

test("BatcherPipeline asks for no more blocks while too much waits", async () => {
  const { clock, source, batcher } = worldOf(plainBlocks(6, { size: 93 }), {
    config: { maxPendingBytes: 250, maxBlocksPerBatch: 4 },
    faults: { submit: [down, down, down] },
  });
  await rejects(batcher.tick(), down); // Four are sealed, two of 100 bytes wait.
  source.push(...plainBlocks(1, { first: 6, size: 93 }));
  await rejects(batcher.tick(), down);
  equal(batcher.pendingBlocks, 7);
  source.push(...plainBlocks(2, { first: 7, size: 93 }));
  await rejects(batcher.tick(), down);
  equal(batcher.pendingBlocks, 7);
  for (let index = 0; index < 10; index++) {
    clock.advance(2000);
    await batcher.tick();
  }
  equal(batcher.pendingBlocks, 0);
});

test("new BatcherPipeline() refuses a setting by key and value", () => {
  const refused: [Partial<PipelineConfig>, RegExp][] = [
    [{ maxBlocksPerBatch: 0 }, /maxBlocksPerBatch 0: need a whole number from 1 to 65535/],
    [{ maxBlocksPerBatch: 65_536 }, /maxBlocksPerBatch 65536/],
    [{ batchIntervalMs: -1 }, /batchIntervalMs -1/],
    [{ minBatchBytes: 0.5 }, /minBatchBytes 0.5/],
    [{ maxBatchBytes: 0 }, /maxBatchBytes 0/],
    [{ targetRawBytes: 2 ** 27 }, /targetRawBytes 134217728/],
    [{ maxPendingBytes: NaN }, /maxPendingBytes NaN/],
  ];
  for (const [config, message] of refused) {
    throws(() => worldOf([], { config }), { name: "ConfigError", code: "Invalid", message });
  }
});

test("BatcherPipeline.tick() goes on after a source that failed for a moment", async () => {
  const { clock, batcher, events } = worldOf(plainBlocks(2), {
    faults: { pendingBlocks: [unreachable, undefined, unreachable], l1Origin: [unreachable] },
  });
  await rejects(batcher.tick(), unreachable);
  equal(await batcher.tick(), undefined);
  clock.advance(12_000);
  await rejects(batcher.tick(), unreachable); // No blocks, and then no origin.
  equal(batcher.pendingBlocks, 2);
  equal((await batcher.tick())?.batchNumber, 0n);
  deepEqual(events.of("source.failed").map((each) => each.error), [unreachable, unreachable]);
});

test("BatcherPipeline.unpostedBytes counts what waits, is on its way, and is still to come", async () => {
  const blocks = plainBlocks(4, { size: 1000 });
  const { batcher, source } = worldOf(blocks, {
    config: { batchIntervalMs: 1000 },
    faults: { submit: [new SinkError("Connection", "down")] },
  });
  equal(batcher.unpostedBytes, 0);
  await batcher.tick();
  const waiting = batcher.unpostedBytes;
  ok(waiting >= 4000 && waiting < 4100, `${waiting}`);
  Object.assign(source, { blocksLeft: 8 });
  equal(batcher.unpostedBytes, 3 * waiting);
  await rejects(batcher.forceSubmit());
  Object.assign(source, { blocksLeft: 0 });
  ok(Math.abs(batcher.unpostedBytes - waiting) < 100, `${batcher.unpostedBytes}`);
  await batcher.forceSubmit();
  equal(batcher.unpostedBytes, 0);
});
