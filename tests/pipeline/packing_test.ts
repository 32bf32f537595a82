/**
 * How full batches are and what they cost, and that nothing is lost where several are sealed at once.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NoopCompressor } from "../../src/compress/noop.ts";
import type { PipelineConfig } from "../../src/config.ts";
import { CompressionError, isRetryable, SinkError } from "../../src/errors.ts";
import { ManualClock, MemoryBatchSource, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import type { BatchSource, Compressor } from "../../src/ports.ts";
import type { L2Block } from "../../src/types.ts";
import { content, Events, linkedBlocks, noise, withMembers } from "../helpers.ts";
import { posted } from "./world.ts";

/** What is known of a made-up compressor: the size it gives, and how often it was asked. */
class Sized implements Compressor {
  readonly name = "sized";
  readonly format = 0;
  rawBytes = 0;
  calls = 0;
  readonly #share: (raw: Uint8Array) => number;
  readonly #kept: Uint8Array[] = [];

  constructor(share: (raw: Uint8Array) => number) {
    this.#share = share;
  }

  compress(data: Uint8Array): Promise<Uint8Array> {
    this.calls += 1;
    this.rawBytes += data.length;
    const sealed = new Uint8Array(Math.max(8, Math.round(data.length * this.#share(data))));
    new DataView(sealed.buffer).setUint32(0, this.#kept.push(data) - 1);
    return Promise.resolve(sealed);
  }

  decompress(data: Uint8Array): Promise<Uint8Array> {
    return Promise.resolve(this.#kept[new DataView(data.slice().buffer).getUint32(0)]!);
  }

  estimatedRatio(): number {
    return 1.7;
  }
}

/** From 0 to 1, by the length alone. */
function chance({ length }: Uint8Array): number {
  return new SeededRandom(length).next();
}

/** Blocks of half to one and a half times `size` bytes, cheap to make. */
function bigBlocks(count: number, size = 100_000): L2Block[] {
  const random = new SeededRandom(7);
  return Array.from({ length: count }, (_, index) => ({
    timestamp: BigInt(1000 + 2 * index),
    transactions: [new Uint8Array(Math.floor(size * (0.5 + random.next())))],
  }));
}

function batcherOf(
  blocks: readonly L2Block[],
  parts: { compressor: Compressor; estimator?: Compressor; source?: BatchSource },
  config: Partial<PipelineConfig> = {},
  l1 = new MemoryL1(),
) {
  const clock = new ManualClock();
  const events = new Events();
  const source = new MemoryBatchSource(blocks, l1);
  const batcher = new BatcherPipeline(
    { source, sink: l1.sink(), clock, log: events.log, ...parts },
    { maxBatchBytes: 6 * 128 * 1024, ...config },
  );
  return { clock, l1, events, source, batcher };
}

test("BatcherPipeline fills its blobs with one compression a batch", async () => {
  const blocks = bigBlocks(1000, 20_000);
  for (const maxBatchesAtOnce of [1, 3]) {
    for (const factor of [0.96, 0.985]) {
      const cheap = (raw: Uint8Array) => 0.22 + 0.001 * chance(raw.subarray(1));
      const compressor = new Sized((raw) => cheap(raw) * (factor + 0.002 * chance(raw)));
      const estimator = new Sized(cheap);
      const { batcher, events } = batcherOf(blocks, { compressor, estimator }, {
        maxBatchesAtOnce,
      });
      while (await batcher.tick());
      await batcher.shutdown();
      const sealed = events.of("batch.sealed");
      const rawBytes = sealed.reduce((sum, each) => sum + each.rawBytes, 0);
      equal(sealed.reduce((sum, each) => sum + each.blocks, 0), blocks.length);
      ok(compressor.rawBytes <= 1.3 * rawBytes, `${compressor.rawBytes / rawBytes} passes`);
      equal(sealed.reduce((sum, each) => sum + each.passes, 0), compressor.calls);
      ok(estimator.calls <= 14 * sealed.length, `${estimator.calls / sealed.length} measures`);
      for (const { compressedBytes, batchNumber } of sealed.slice(0, -1)) {
        const fill = compressedBytes / (Math.ceil(compressedBytes / 130_044) * 130_044);
        // The factor of the first is a guess.
        ok(fill >= (batchNumber === 0n ? 0.97 : 0.99), `${fill} of ${factor}`);
        ok(compressedBytes <= 6 * 130_044);
      }
    }
  }
});

test("BatcherPipeline plans again what came out too large, and posts nothing above the limit", async () => {
  const blocks = bigBlocks(120);
  // Three fifths larger than the cheap one says, and after a while a half.
  let calls = 0;
  const compressor = new Sized(() => calls++ < 5 ? 0.26 : 0.3);
  const { batcher, events, l1 } = batcherOf(blocks, {
    compressor,
    estimator: new Sized(() => 0.2),
  });
  while (await batcher.tick());
  await batcher.shutdown();
  const sealed = events.of("batch.sealed");
  ok(sealed.every((each) => each.compressedBytes <= 6 * 130_044));
  equal(sealed.reduce((sum, each) => sum + each.blocks, 0), blocks.length);
  equal(sealed[0]!.passes, 2);
  equal(sealed.filter((each) => each.passes > 1).length, 2);
  equal(await l1.head("latest"), BigInt(sealed.length));
});

test("BatcherPipeline comes to an end though estimates are worth nothing", async () => {
  let turn = 0;
  const compressor = new Sized(() => [0.9, 0.05, 0.6, 0.01, 0.3][turn++ % 5]!);
  const { batcher, events } = batcherOf(bigBlocks(100), {
    compressor,
    estimator: new Sized(() => 0.1),
  });
  while (await batcher.tick());
  await batcher.shutdown();
  const sealed = events.of("batch.sealed");
  equal(sealed.reduce((sum, each) => sum + each.blocks, 0), 100);
  ok(sealed.every((each) => each.compressedBytes <= 6 * 130_044 && each.passes <= 12));
});

test("BatcherPipeline neither compresses nor measures while nothing new waits", async () => {
  const compressor = new Sized(() => 0.2);
  const estimator = new Sized(() => 0.2);
  const blocks = bigBlocks(40); // 4 MB: six blobs by the first guess, one really.
  const { batcher, source } = batcherOf(blocks.slice(0, 20), { compressor, estimator });
  for (let tick = 0; tick < 50; tick++) equal(await batcher.tick(), undefined);
  deepEqual([compressor.calls, estimator.calls], [0, 2]);
  for (const block of blocks.slice(20, 35)) {
    source.push(block);
    await batcher.tick();
  }
  deepEqual([compressor.calls, estimator.calls], [0, 2]);
});

test("BatcherPipeline seals several at once, loses nothing and keeps order and numbers", async () => {
  const anyPlan = fc.record({
    seed: fc.nat(),
    count: fc.integer({ min: 1, max: 60 }),
    maxBatchesAtOnce: fc.integer({ min: 1, max: 5 }),
    maxBlocksPerBatch: fc.integer({ min: 1, max: 9 }),
    maxBatchBytes: fc.integer({ min: 200, max: 3000 }),
    faultRate: fc.constantFrom(0, 0.2),
    hasEstimator: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(anyPlan, async (plan) => {
      const { seed, count, maxBatchesAtOnce, maxBlocksPerBatch, maxBatchBytes } = plan;
      const random = new SeededRandom(seed);
      const fails = () => random.next() < plan.faultRate;
      const inner = new NoopCompressor();
      let inside = 0;
      const compressor = withMembers<Compressor>(inner, {
        async compress(data) {
          ok(++inside <= maxBatchesAtOnce);
          for (let turns = Math.floor(random.next() * 30); turns > 0; turns--) await undefined;
          inside -= 1;
          if (fails()) throw new CompressionError("Failed", "chance");
          return await inner.compress(data);
        },
      });
      // Now and then far off in either direction.
      const estimator = new Sized(() => [1, 1, 0.7, 1.6][Math.floor(random.next() * 4)]!);
      const clock = new ManualClock();
      const l1 = new MemoryL1({ clock });
      const sink = l1.sink();
      const blocks = linkedBlocks(count, { size: 50 });
      let next = 0;
      const batcher = new BatcherPipeline({
        source: withMembers(new MemoryBatchSource([], l1), {
          pendingBlocks() {
            const from = next;
            next += Math.floor(random.next() * 20);
            return Promise.resolve(blocks.slice(from, next));
          },
        }),
        compressor,
        ...(plan.hasEstimator ? { estimator } : {}),
        sink: withMembers(sink, {
          submit: (batch) =>
            fails() ? Promise.reject(new SinkError("Connection", "chance")) : sink.submit(batch),
        }),
        clock,
      }, { maxBatchesAtOnce, maxBlocksPerBatch, maxBatchBytes });
      const unlessFatal = (error: unknown) => {
        if (!isRetryable(error) && !(error instanceof CompressionError)) throw error;
      };
      for (let round = 0; round < 40; round++) {
        await batcher.tick().catch(unlessFatal);
        if (random.next() < 0.1) await batcher.forceSubmit().catch(unlessFatal);
        if (random.next() < 0.3) clock.advance(12_000);
        ok(await l1.head("latest") <= batcher.nextBatchNumber);
      }
      const taken = blocks.slice(0, next);
      for (let isDone = false; !isDone;) {
        isDone = await batcher.shutdown().then(() => true, unlessFatal) ?? false;
      }
      equal(batcher.pendingBlocks, 0);
      const batches = await posted(l1);
      deepEqual(batches.map((each) => each.header.batchNumber), batches.map((_, at) => BigInt(at)));
      deepEqual(content(batches.flatMap((each) => each.blocks)), content(taken));
      let before = 0;
      for (const { header, blocks: inside } of batches) {
        deepEqual(header.parentCheck, taken[before]!.parentHash!.slice(0, 20));
        before += inside.length;
      }
    }),
    { numRuns: 50 },
  );
});

test("BatcherPipeline keeps batches behind one whose compression failed, without a rejection on the way", async () => {
  let calls = 0;
  const inner = new NoopCompressor();
  const compressor = withMembers<Compressor>(inner, {
    compress: (data) =>
      ++calls === 2
        ? Promise.reject(new CompressionError("Failed", "out of memory"))
        : inner.compress(data),
  });
  const blocks = linkedBlocks(8);
  const { batcher, l1, events } = batcherOf(blocks, { compressor, estimator: inner }, {
    maxBatchesAtOnce: 4,
    maxBlocksPerBatch: 2,
  });
  equal((await batcher.tick())?.batchNumber, 0n);
  await new Promise((resolve) => setTimeout(resolve, 5)); // Where a rejection would be noticed.
  const failed = await batcher.tick().catch((error) => error);
  equal(failed.code, "Failed");
  equal(batcher.pendingBlocks, 6);
  equal((await batcher.shutdown()).length, 3);
  deepEqual(content((await posted(l1)).flatMap((each) => each.blocks)), content(blocks));
  equal(events.of("batch.sealed").reduce((sum, each) => sum + each.passes, 0), calls);
});

test("BatcherPipeline works off 100000 blocks of a source that is asked, and holds few of them", async () => {
  const work = async (count: number) => {
    let next = 0;
    let most = 0;
    const compressor = new Sized(() => 0.25);
    const transactions = [noise(40)];
    const l1 = new MemoryL1();
    const source = withMembers<BatchSource>(new MemoryBatchSource([], l1), {
      pendingBlocks() {
        const from = next;
        next = Math.min(count, next + 500);
        return Promise.resolve(
          Array.from({ length: next - from }, (_, index) => ({
            timestamp: BigInt(from + index),
            transactions,
          })),
        );
      },
    });
    const parts = { source, compressor, estimator: new Sized(() => 0.256) };
    const config = { maxBatchBytes: 128 * 1024, maxBlocksPerBatch: 65_535, maxBatchesAtOnce: 2 };
    const { batcher } = batcherOf([], parts, config, l1);
    while (next < count) {
      await batcher.tick();
      most = Math.max(most, batcher.pendingBlocks);
    }
    await batcher.shutdown();
    return { most, calls: compressor.calls, rawBytes: compressor.rawBytes };
  };
  const whole = await work(100_000);
  const fifth = await work(20_000);
  ok(whole.most <= 3.5 * 130_044 / 0.25 / 47, `${whole.most} blocks held`);
  ok(whole.calls <= 5 * fifth.calls + 2, `${whole.calls} and ${fifth.calls} compressions`);
  ok(whole.rawBytes <= 1.3 * (100_000 * 47), `${whole.rawBytes} bytes compressed`);
});
