/**
 * The ten defects that were found in the code the seed came from (swissarmyhammer/shardex): none of them
 * is here. Each test says what went wrong there.
 */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { HandlerError } from "../../src/errors.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { DeadLetters } from "../../src/wal/dead_letters.ts";
import { Wal } from "../../src/wal/log.ts";
import { BatchProcessor } from "../../src/wal/processor.ts";
import { PROCESSOR_DEFAULTS } from "../../src/wal/processor_config.ts";
import { withMembers } from "../helpers.ts";
import {
  bytes,
  idle,
  numbers,
  processorWorld,
  QUICK_RETRIES,
  TestHandler,
  texts,
  unstartedWorld,
  VirtualClock,
} from "./processor_world.ts";

const NEVER = 3_600_000;

/** A processor over a log with segments of this size. */
async function smallSegments(segmentBytes: number) {
  const clock = new VirtualClock();
  const storage = new MemoryStorage();
  const handler = new TestHandler(clock);
  const wal = await Wal.open({ storage, directory: "/data/wal" }, { segmentBytes });
  const processor = new BatchProcessor({
    wal,
    handler,
    deadLetters: new DeadLetters(storage, "/data/dead", clock),
    clock,
    random: new SeededRandom(),
  }, { retry: QUICK_RETRIES });
  await processor.start();
  return { storage, handler, wal, processor };
}

test("shardex 1: the log wedged after a segment was nearly full, and dropped all that came", async () => {
  const { handler, processor, storage } = await smallSegments(4096);
  // Sizes that never fill a segment exactly, over more than a thousand segments' worth of bytes.
  const operations = Array.from({ length: 4000 }, (_, index) => `${index}:`.padEnd(1021, "x"));
  for (let at = 0; at < operations.length; at += 100) {
    await Promise.all(operations.slice(at, at + 100).map((each) => processor.add(bytes(each))));
    await processor.flushNow();
  }
  deepEqual(handler.operations.length, operations.length);
  deepEqual(handler.operations, operations);
  const segments = (await storage.list("/data/wal")).filter((name) => name.endsWith(".wal"));
  ok(segments.length <= 2, `${segments.length} segments are left`);
});

test("shardex 2: a failed flush lost the batch, and left its size behind", async () => {
  const { clock, handler, add, processor } = await processorWorld({
    config: { intervalMs: NEVER },
    behaviours: [new HandlerError("Failed", "down"), "ok"],
  });
  await add("a", "b");
  const flush = processor.flushNow();
  await clock.advance(50);
  deepEqual([processor.stats().pendingOperations, processor.stats().pendingBytes], [2, 2]);
  await clock.advance(50);
  await flush;
  deepEqual(handler.operations, ["a", "b"]);
  deepEqual([processor.stats().pendingOperations, processor.stats().pendingBytes], [0, 0]);
});

test("shardex 3: flush_now() always returned Ok", async () => {
  const error = new HandlerError("Rejected", "no");
  const { add, processor } = await processorWorld({ behaviours: [error] });
  await add("a");
  await rejects(processor.flushNow(), error);
});

test("shardex 4: an operation was acknowledged before it was on the disk", async () => {
  const disk = new MemoryStorage();
  let release = () => {};
  const storage = withMembers<MemoryStorage>(disk, {
    openAppend: async (path) => {
      const file = await disk.openAppend(path);
      if (!path.endsWith(".wal")) return file;
      return withMembers(file, {
        sync: async () => {
          await new Promise<void>((resolve) => release = resolve);
          await file.sync();
        },
      });
    },
  });
  const opening = unstartedWorld({ disk, storage });
  for (let step = 0; step < 20; step++) {
    await idle();
    release();
  }
  const { processor, wal } = await opening;
  await processor.start();
  let isAcknowledged = false;
  const added = processor.add(bytes("a")).then(() => isAcknowledged = true);
  await idle();
  equal(isAcknowledged, false, "written, and not synced");
  release();
  await added;
  // Whatever the power takes away now, the operation is there.
  disk.crash(new SeededRandom(1));
  await wal.close().catch(() => {});
  const next = await processorWorld({ disk });
  equal(next.processor.stats().pendingOperations, 1);
});

test("shardex 5: a tick that came first at shutdown ended the task, and dropped what was queued", async () => {
  for (let early = 0; early <= 3; early++) {
    const { clock, handler, add, processor } = await processorWorld();
    await add(...numbers(5));
    await clock.advance(97 + early);
    const late = add("late");
    const shutdown = processor.shutdown();
    await clock.advance(10);
    await Promise.all([late, shutdown]);
    deepEqual(handler.operations, [...numbers(5), "late"]);
  }
});

test("shardex 6: the first tick after start could end the task at once", async () => {
  const { clock, handler, add, processor } = await unstartedWorld();
  const starting = processor.start();
  // Added while it starts.
  const added = add("a");
  await Promise.all([starting, added]);
  await add("b");
  await clock.advance(100);
  await add("c");
  await clock.advance(100);
  deepEqual(handler.calls.map(texts), [["a", "b"], ["c"]]);
});

test("shardex 7: a torn end of the log was fatal", async () => {
  const { disk, add, events } = await processorWorld({ config: { intervalMs: NEVER } });
  await add("a", "b");
  disk.kill();
  const [segment] = (await disk.list("/data/wal")).filter((name) => name.endsWith(".wal"));
  const file = await disk.openAppend(`/data/wal/${segment}`);
  await file.write(Uint8Array.of(40, 0, 0, 0, 1, 2, 3));
  const next = await processorWorld({ disk });
  await next.processor.flushNow();
  deepEqual(next.handler.operations, ["a", "b"]);
  equal(events.of("log.tail_cut").length, 0);
});

test("shardex 8: the log was never trimmed, and applied again at each start", async () => {
  const { disk, add, processor, wal } = await processorWorld();
  await add("a", "b");
  await processor.shutdown();
  await wal.close();
  for (let start = 0; start < 3; start++) {
    const next = await processorWorld({ disk });
    await next.clock.advance(1000);
    equal(next.handler.calls.length, 0);
    await next.processor.shutdown();
    await next.wal.close();
  }
});

test("shardex 9: each call made a processor of its own, so that nothing was ever batched", async () => {
  const { clock, handler, processor } = await processorWorld();
  for (const each of numbers(20)) await processor.add(bytes(each));
  await clock.advance(100);
  deepEqual(handler.calls.map(texts), [numbers(20)]);
});

test("shardex 9: an operation that the log did not take was applied nevertheless", async () => {
  const { clock, handler, add } = await processorWorld({
    wrap: (wal) => withMembers(wal, { append: () => Promise.reject(new TypeError("no log")) }),
  });
  await rejects(add("a"), TypeError);
  await clock.advance(1000);
  equal(handler.calls.length, 0);
});

test("shardex 10: the size of operations was an estimate", async () => {
  const { add, processor, clock, handler } = await processorWorld({
    config: { intervalMs: NEVER, maxBatchBytes: 100 },
  });
  await add("x".repeat(60), "y".repeat(39));
  equal(processor.stats().pendingBytes, 99);
  await clock.advance(0);
  equal(handler.calls.length, 0);
  await add("z");
  await clock.advance(0);
  equal(handler.calls[0]!.bytes, 100);
});

test("shardex 10: an operation that the limits allowed could never be written", async () => {
  // Larger than a batch, and than a segment.
  const { handler, processor } = await smallSegments(1024);
  const large = "x".repeat(3 * PROCESSOR_DEFAULTS.maxBatchBytes);
  await processor.add(bytes("a"));
  await processor.add(bytes(large));
  await processor.add(bytes("b"));
  await processor.flushNow();
  deepEqual(handler.calls.map((batch) => batch.bytes), [1, large.length, 1]);
});

test("shardex 10: the interval was configured in two places", () => {
  const intervals = Object.keys(PROCESSOR_DEFAULTS).filter((key) => /interval/i.test(key));
  deepEqual(intervals, ["intervalMs"]);
});
