/**
 * The acceptance criteria of the seed `batch-processing-timer.md`, each by its name.
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { withMembers } from "../helpers.ts";
import { numbers, processorWorld, texts } from "./processor_world.ts";

test("seed: Timer triggers batch processing at configured intervals", async () => {
  for (const intervalMs of [50, 100, 1000]) {
    const { clock, handler, add, processor } = await processorWorld({ config: { intervalMs } });
    for (let tick = 1; tick <= 5; tick++) {
      await add(`${tick}a`, `${tick}b`);
      await clock.advance(intervalMs - 1);
      equal(handler.calls.length, tick - 1, "before the interval");
      await clock.advance(1);
      deepEqual(handler.calls.slice(tick - 1).map(texts), [[`${tick}a`, `${tick}b`]]);
    }
    deepEqual(handler.startedMs, [1, 2, 3, 4, 5].map((tick) => tick * intervalMs));
    equal(processor.stats().reasons.interval, 5);
  }
});

test("seed: Timer triggers batch processing at configured intervals, and by default at 100 ms", async () => {
  const { clock, handler, add } = await processorWorld();
  await add("a");
  await clock.advance(99);
  equal(handler.calls.length, 0);
  await clock.advance(1);
  equal(handler.calls.length, 1);
});

test("seed: Manual flush works for immediate consistency needs", async () => {
  const { clock, handler, add, processor, wal } = await processorWorld({
    config: { intervalMs: 3_600_000 },
  });
  const [, , last] = await add("a", "b", "c");
  equal(handler.calls.length, 0);
  await processor.flushNow();
  deepEqual(handler.operations, ["a", "b", "c"]);
  equal(wal.checkpointed, last! + 1n, "durable when it resolves");
  equal(clock.now(), 0, "without any waiting");
});

test("seed: Graceful shutdown processes all pending batches", async () => {
  const { handler, add, processor, wal } = await processorWorld({
    config: { intervalMs: 3_600_000, maxBatchOperations: 100, batchSize: "fixed" },
  });
  const operations = numbers(750);
  await add(...operations);
  await processor.shutdown();
  deepEqual(handler.operations, operations);
  equal(processor.stats().pendingOperations, 0);
  equal(processor.stats().checkpoint, wal.checkpointed);
});

test("seed: Batch size adapts to improve throughput", async () => {
  const world = await processorWorld({
    config: { maxBatchOperations: 1600, latencyGoalMs: 10_000 },
    behaviours: [{ ms: 10 }],
  });
  const { clock, add, processor } = world;
  equal(processor.stats().batchOperations, 100);
  for (let round = 0; round < 60; round++) {
    await add(...numbers(1600));
    await clock.advance(200);
  }
  const { batchOperations, sizeDecisions } = processor.stats();
  // A batch takes 10 ms whatever its size: the largest is the fastest.
  equal(batchOperations, 1600);
  deepEqual(
    sizeDecisions.filter(({ reason }) => reason === "probe").map(({ from, to }) => [from, to]),
    [[100, 200], [200, 400], [400, 800], [800, 1600]],
  );
  const rates = sizeDecisions.map(({ operationsPerSecond }) => operationsPerSecond!);
  ok(rates.at(-1)! > 10 * rates[0]!, `${rates}`);
});

test("seed: Tests verify timer behavior and flush operations together", async () => {
  const { clock, handler, add, processor } = await processorWorld();
  await clock.advance(30);
  await add("a");
  await processor.flushNow();
  equal(clock.now(), 30);
  await add("b");
  await clock.advance(69);
  equal(handler.calls.length, 1);
  await clock.advance(1);
  deepEqual(handler.calls.map(texts), [["a"], ["b"]], "a flush does not move the ticks");
  deepEqual(handler.startedMs, [30, 100]);
});

test("seed: Performance is optimized for typical workloads: one sync for all that wait", async () => {
  // Times are measured by `deno task bench`; here, what they come from.
  let syncs = 0;
  const disk = new MemoryStorage();
  const storage = withMembers<typeof disk>(disk, {
    openAppend: async (path) => {
      const file = await disk.openAppend(path);
      const sync = () => {
        syncs += 1;
        return file.sync();
      };
      return withMembers(file, { sync });
    },
  });
  const { add, processor } = await processorWorld({ disk, storage });
  const before = syncs;
  await add(...numbers(900));
  await processor.flushNow();
  equal(processor.stats().handledOperations, 900);
  const batches = processor.stats().handledBatches;
  // One or two for the operations; a cut and a checkpoint for each batch.
  ok(syncs - before <= 2 + 3 * batches, `${syncs - before} syncs, ${batches} batches`);
});
