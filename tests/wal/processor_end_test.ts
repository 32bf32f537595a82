/**
 * Flush and shutdown, while the handler hangs, fails or is slow.
 */
import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { HandlerError } from "../../src/errors.ts";
import {
  idle,
  numbers,
  outcome,
  processorWorld,
  texts,
  unstartedWorld,
} from "./processor_world.ts";

const NEVER = 3_600_000;
const busy = new HandlerError("Failed", "busy");
const refused = new HandlerError("Rejected", "no such thing");

test("flushNow() with nothing to do resolves at once", async () => {
  const { processor, handler } = await processorWorld();
  await processor.flushNow();
  equal(handler.calls.length, 0);
});

test("flushNow() covers what is added before it and not yet synced, and what waits for room", async () => {
  const { processor, handler, add } = await processorWorld({
    config: { intervalMs: NEVER, maxQueuedOperations: 3, maxBatchOperations: 2 },
  });
  const added = add(...numbers(10));
  await processor.flushNow();
  deepEqual(handler.operations, numbers(10));
  await added;
});

test("flushNow() waits for a batch that is under way", async () => {
  const { processor, handler, add, clock } = await processorWorld({ behaviours: [{ ms: 300 }] });
  await add("a");
  await clock.advance(100);
  const flush = processor.flushNow();
  equal(await outcome(flush), "pending");
  await clock.advance(299);
  equal(await outcome(flush), "pending");
  await clock.advance(1);
  equal(await outcome(flush), "resolved");
  equal(handler.handled.length, 1);
});

test("flushNow() does not wait for what is added after it", async () => {
  const { processor, add, clock, handler } = await processorWorld({
    config: { maxBatchOperations: 1 },
    behaviours: [{ ms: 100 }],
  });
  await add("a");
  const flush = processor.flushNow();
  await idle();
  await add("b", "c");
  await clock.advance(100);
  equal(await outcome(flush), "resolved");
  deepEqual(handler.operations, ["a"]);
});

test("flushNow() while the handler hangs ends at its deadline, and the batch is not lost", async () => {
  const { processor, add, clock, handler } = await processorWorld({
    config: { handlerTimeoutMs: 0 },
    behaviours: ["hang"],
  });
  await add("a", "b");
  const flush = processor.flushNow({ deadlineMs: 5000 });
  flush.catch(() => {});
  await clock.advance(4999);
  equal(await outcome(flush), "pending");
  await clock.advance(1);
  await rejects(flush, { code: "Deadline", details: { operations: 2 } });
  equal(processor.stats().pendingOperations, 2);
  equal(handler.calls.length, 1);
});

test("flushNow() while the handler is slow resolves when it is done", async () => {
  const { processor, add, clock, handler } = await processorWorld({ behaviours: [{ ms: 40_000 }] });
  await add("a");
  const flush = processor.flushNow({ deadlineMs: 50_000 });
  await clock.advance(40_000);
  equal(await outcome(flush), "resolved");
  deepEqual(handler.operations, ["a"]);
});

test("flushNow() while the handler fails resolves when a try succeeds", async () => {
  const { processor, add, clock } = await processorWorld({ behaviours: [busy, busy, "ok"] });
  await add("a");
  const flush = processor.flushNow();
  await clock.advance(300);
  equal(await outcome(flush), "resolved");
});

test("flushNow() rejects with the handler's error when the batch is dead", async () => {
  const error = new TypeError("the handler's own");
  const { processor, add, clock } = await processorWorld({ behaviours: [error] });
  await add("a");
  const flush = processor.flushNow();
  flush.catch(() => {});
  await clock.advance(10_000);
  equal(await outcome(flush), error);
});

test("flushNow() rejects once all is handled, where only one batch among it is dead", async () => {
  const { processor, add, handler } = await processorWorld({
    config: { intervalMs: NEVER, maxBatchOperations: 2, batchSize: "fixed" },
    behaviours: ["ok", refused, "ok"],
  });
  const added = add(...numbers(5));
  await rejects(processor.flushNow(), refused);
  await added;
  deepEqual(handler.handled.map(texts), [["0", "1"], ["4"]]);
});

test("flushNow() at its deadline names what the handler threw last", async () => {
  const { processor, add, clock } = await processorWorld({ behaviours: [busy] });
  await add("a");
  const flush = processor.flushNow({ deadlineMs: 150 });
  flush.catch(() => {});
  await clock.advance(150);
  await rejects(flush, { code: "Deadline", cause: busy });
});

test("shutdown() while the handler hangs ends at its deadline, and the next start handles it", async () => {
  for (const how of ["hang", "deaf"] as const) {
    const { processor, add, clock, handler, wal, disk } = await processorWorld({
      behaviours: [how],
    });
    await add("a", "b");
    const shutdown = processor.shutdown({ deadlineMs: 5000 });
    shutdown.catch(() => {});
    await clock.advance(5000);
    await rejects(shutdown, { code: "Deadline" });
    equal(processor.stats().state, "closed");
    equal(processor.stats().pendingOperations, 2);
    await clock.advance(1_000_000);
    equal(handler.calls.length, 1, "no try after the end");
    equal(wal.checkpointed, 0n);
    await wal.close();

    const next = await processorWorld({ disk });
    await next.processor.flushNow();
    deepEqual(next.handler.calls, handler.calls, "the same batch, under the same identity");
  }
});

test("shutdown() while the handler is slow waits for it", async () => {
  const { processor, add, clock, handler } = await processorWorld({ behaviours: [{ ms: 3000 }] });
  await add("a");
  const shutdown = processor.shutdown({ deadlineMs: 5000 });
  await clock.advance(3000);
  equal(await outcome(shutdown), "resolved");
  deepEqual(handler.operations, ["a"]);
});

test("shutdown() while the handler fails tries again within its deadline", async () => {
  const { processor, add, clock, handler } = await processorWorld({ behaviours: [busy, "ok"] });
  await add("a");
  const shutdown = processor.shutdown({ deadlineMs: 5000 });
  await clock.advance(100);
  equal(await outcome(shutdown), "resolved");
  deepEqual(handler.operations, ["a"]);
});

test("shutdown() rejects with the handler's error where a batch is dead, and closes", async () => {
  const { processor, add, handler } = await processorWorld({
    config: { intervalMs: NEVER, maxBatchOperations: 1 },
    behaviours: [refused, "ok"],
  });
  await add("a", "b");
  await rejects(processor.shutdown(), refused);
  deepEqual(handler.operations, ["b"]);
  equal(processor.stats().state, "closed");
});

test("shutdown() of a line that stands still leaves the rest in the log, and says why", async () => {
  const broken = new HandlerError("Broken", "no disk");
  const { processor, add, clock, disk, wal } = await processorWorld({ behaviours: [broken] });
  await add("a");
  await clock.advance(100);
  await add("b");
  await rejects(processor.shutdown(), broken);
  await wal.close();
  const next = await processorWorld({ disk });
  await next.processor.shutdown();
  deepEqual(next.handler.operations, ["a", "b"]);
});

test("shutdown() while paused leaves the rest in the log, and says so", async () => {
  const { processor, add, disk, wal } = await processorWorld();
  await processor.pause();
  await add("a");
  await rejects(processor.shutdown(), { code: "Paused", details: { operations: 1 } });
  await wal.close();
  const next = await processorWorld({ disk });
  equal(next.processor.stats().pendingOperations, 1);
});

test("shutdown() while paused with nothing left resolves", async () => {
  const { processor } = await processorWorld();
  await processor.pause();
  await processor.shutdown();
});

test("add() after shutdown() is an error, never a silent loss", async () => {
  const { processor, add } = await processorWorld();
  await processor.shutdown();
  await rejects(add("a"), { code: "Closed", isRetryable: false });
  await rejects(processor.flushNow(), { code: "Closed" });
  await rejects(processor.drain(), { code: "Closed" });
  await rejects(processor.resume(), { code: "Closed" });
});

test("add() during shutdown() is an error, what was added before it is handled", async () => {
  const { processor, add, handler, clock } = await processorWorld({ behaviours: [{ ms: 100 }] });
  const before = add("a", "b");
  const shutdown = processor.shutdown();
  const during = add("c");
  await rejects(during, { code: "Closed" });
  await before;
  await clock.advance(50);
  await rejects(add("d"), { code: "Closed" });
  await clock.advance(50);
  equal(await outcome(shutdown), "resolved");
  deepEqual(handler.operations, ["a", "b"]);
});

test("shutdown() lets in what waited for room before it, and handles it", async () => {
  const { processor, add, handler } = await processorWorld({
    config: { intervalMs: NEVER, maxQueuedOperations: 2 },
  });
  const added = add(...numbers(9));
  await processor.shutdown();
  await added;
  deepEqual(handler.operations, numbers(9));
});

test("shutdown() at its deadline refuses what still waits for room", async () => {
  const { processor, add, clock } = await processorWorld({
    config: { maxQueuedOperations: 2 },
    behaviours: ["hang"],
  });
  const first = add("a", "b");
  const waiting = add("c");
  waiting.catch(() => {});
  await first;
  const shutdown = processor.shutdown({ deadlineMs: 100 });
  shutdown.catch(() => {});
  await clock.advance(100);
  await rejects(shutdown, { code: "Deadline" });
  await rejects(waiting, { code: "Closed" });
});

test("shutdown() again gives the same answer", async () => {
  const { processor, add } = await processorWorld({ behaviours: [refused] });
  await add("a");
  const first = processor.shutdown();
  await rejects(first, refused);
  equal(processor.shutdown(), first);
});

test("shutdown() during start() handles what start() finds", async () => {
  const { add, wal, disk } = await processorWorld({ config: { intervalMs: NEVER } });
  await add("a");
  await wal.close();
  disk.kill();
  const { processor, handler } = await unstartedWorld({ disk });
  const starting = processor.start();
  await processor.shutdown();
  await starting;
  deepEqual(handler.operations, ["a"]);
});
