import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { HandlerError, StorageError } from "../../src/errors.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { DeadLetters } from "../../src/wal/dead_letters.ts";
import { BatchProcessor } from "../../src/wal/processor.ts";
import {
  bytes,
  numbers,
  outcome,
  processorWorld,
  texts,
  unstartedWorld,
  VirtualClock,
} from "./processor_world.ts";

const NEVER = 3_600_000;
const busy = new HandlerError("Failed", "busy");
const refused = new HandlerError("Rejected", "no such thing");
const broken = new HandlerError("Broken", "no disk");

test("BatchProcessor hands over when the operations of a batch are there, without the interval", async () => {
  const config = { intervalMs: NEVER, maxBatchOperations: 3, batchSize: "fixed" } as const;
  const { handler, add, processor, clock } = await processorWorld({ config });
  await add("1", "2");
  await clock.advance(1000);
  equal(handler.calls.length, 0);
  await add("3", "4");
  await clock.advance(0);
  deepEqual(handler.calls.map(texts), [["1", "2", "3"]]);
  equal(processor.stats().reasons.operations, 1);
  equal(processor.stats().pendingOperations, 1);
});

test("BatchProcessor hands over when the bytes of a batch are there, and never more than those", async () => {
  const config = { intervalMs: NEVER, maxBatchBytes: 10 };
  const { handler, add, processor, clock } = await processorWorld({ config });
  await add("aaaa", "bbb");
  await clock.advance(0);
  equal(handler.calls.length, 0);
  await add("cccc");
  await clock.advance(0);
  deepEqual(handler.calls.map(texts), [["aaaa", "bbb"]]);
  equal(processor.stats().reasons.bytes, 1);
  // One that is larger than a batch is a batch by itself.
  await add("d".repeat(40), "e");
  await clock.advance(0);
  deepEqual(handler.calls.map(texts), [["aaaa", "bbb"], ["cccc"], ["d".repeat(40)]]);
});

test("BatchProcessor does not make up for ticks that it missed", async () => {
  const { clock, handler, add, processor } = await processorWorld({
    behaviours: [{ ms: 450 }, "ok"],
  });
  await add("a");
  await clock.advance(100);
  for (const each of ["b", "c", "d"]) {
    await clock.advance(100);
    await add(each);
  }
  await clock.advance(149);
  deepEqual(handler.startedMs, [100]);
  // What waited for longer than an interval goes at once, as one batch; then the ticks keep their phase.
  await clock.advance(1);
  deepEqual(handler.startedMs, [100, 550]);
  deepEqual(handler.calls.map(texts), [["a"], ["b", "c", "d"]]);
  await add("e");
  await clock.advance(49);
  equal(handler.calls.length, 2);
  await clock.advance(1);
  deepEqual(handler.startedMs, [100, 550, 600]);
  equal(processor.stats().reasons.interval, 3);
});

test("BatchProcessor does not wait for longer when the clock is set back or forth", async () => {
  const { clock, handler, add } = await processorWorld({ clock: new VirtualClock(1_000_000_000) });
  clock.set(5000);
  await add("a");
  await clock.advance(100);
  equal(handler.calls.length, 1);
  clock.set(2_000_000_000);
  await add("b");
  await clock.advance(100);
  equal(handler.calls.length, 2);
});

test("BatchProcessor with an interval of 0 waits for nothing but the batch before", async () => {
  const { clock, handler, add } = await processorWorld({
    config: { intervalMs: 0 },
    behaviours: [{ ms: 30 }],
  });
  await add("a");
  await clock.advance(0);
  await add("b", "c");
  await clock.advance(30);
  deepEqual(handler.startedMs, [0, 30]);
  deepEqual(handler.calls.map(texts), [["a"], ["b", "c"]]);
});

test("BatchProcessor waits for an interval that no timer can count", async () => {
  const { clock, handler, add } = await processorWorld({ config: { intervalMs: 2 ** 33 } });
  await add("a");
  await clock.advance(2 ** 33 - 1);
  equal(handler.calls.length, 0);
  await clock.advance(1);
  equal(handler.calls.length, 1);
});

test("BatchProcessor.add() resolves in order, with sequences that grow", async () => {
  const { processor } = await processorWorld();
  const order: bigint[] = [];
  const adds = numbers(100).map((each) =>
    processor.add(bytes(each)).then((sequence) => void order.push(sequence))
  );
  await Promise.all(adds);
  equal(order.length, 100);
  ok(order.every((sequence, index) => index === 0 || sequence > order[index - 1]!));
});

test("BatchProcessor.add() takes what it is given at the call", async () => {
  const { processor, handler } = await processorWorld();
  const data = bytes("first");
  const added = processor.add(data);
  data.fill(0);
  await added;
  data.fill(1);
  await processor.flushNow();
  deepEqual(handler.operations, ["first"]);
});

test("BatchProcessor takes any bytes, and none at all", async () => {
  const { processor, handler } = await processorWorld();
  const operations = [new Uint8Array(0), Uint8Array.of(0), Uint8Array.of(10, 13, 255)];
  for (const each of operations) await processor.add(each);
  await processor.flushNow();
  deepEqual(
    handler.handled.flatMap((batch) => batch.operations.map(({ data }) => data)),
    operations,
  );
});

test("BatchProcessor tries a batch again that its handler did not take, under the same identity", async () => {
  const { clock, handler, add, processor, events } = await processorWorld({
    behaviours: [busy, new TypeError("bug"), "ok"],
  });
  await add("a", "b");
  await clock.advance(100);
  await add("c");
  await clock.advance(1000);
  deepEqual(handler.calls.map(texts), [["a", "b"], ["a", "b"], ["a", "b"], ["c"]]);
  deepEqual(handler.startedMs.slice(0, 3), [100, 200, 400]);
  equal(handler.calls[0], handler.calls[2]);
  deepEqual(handler.operations, ["a", "b", "c"]);
  equal(processor.stats().failedAttempts, 2);
  deepEqual(events.of("handler.failed").map(({ attempt, retryMs }) => [attempt, retryMs]), [
    [1, 100],
    [2, 200],
  ]);
  equal(events.of("operations.handled")[0]!.attempts, 3);
});

test("BatchProcessor waits for as long as a handler asks", async () => {
  const slow = new HandlerError("Failed", "429", { details: { retryAfterMs: 7000 } });
  const { clock, handler, add } = await processorWorld({ behaviours: [slow, "ok"] });
  await add("a");
  await clock.advance(7099);
  equal(handler.calls.length, 1);
  await clock.advance(1);
  deepEqual(handler.operations, ["a"]);
});

test("BatchProcessor keeps a batch among the dead after the last try, and goes on", async () => {
  const { clock, handler, add, processor, disk, events, wal } = await processorWorld({
    behaviours: [busy, busy, busy, busy, "ok"],
  });
  await add("a\tb", "c");
  await clock.advance(100);
  await add("d");
  await clock.advance(2000);
  equal(handler.calls.length, 5);
  deepEqual(handler.operations, ["d"]);
  const [dead] = events.of("operations.dead");
  deepEqual([dead!.path, dead!.attempts, dead!.error], ["/data/dead/0-1.jsonl", 4, busy]);
  const lines = new TextDecoder().decode(await disk.read(dead!.path)).trim().split("\n");
  deepEqual(lines.map((line) => JSON.parse(line)), [
    { first: "0", last: "1", operations: 2, attempts: 4, error: "Failed: busy", at: 800 },
    { sequence: "0", text: "a\tb" },
    { sequence: "1", text: "c" },
  ]);
  const { deadBatches, deadOperations, handledOperations, pendingOperations } = processor.stats();
  deepEqual([deadBatches, deadOperations, handledOperations, pendingOperations], [1, 2, 1, 0]);
  equal(wal.checkpointed, processor.stats().checkpoint);
});

test("BatchProcessor does not try again what is refused for good", async () => {
  const { clock, handler, add, events } = await processorWorld({ behaviours: [refused, "ok"] });
  await add("a");
  await clock.advance(100);
  equal(handler.calls.length, 1);
  equal(events.of("operations.dead")[0]!.attempts, 1);
});

test("BatchProcessor has the dead on the disk before the checkpoint", async () => {
  const disk = new MemoryStorage();
  const { add, processor, wal } = await processorWorld({ disk, behaviours: [refused] });
  await add("a");
  await rejects(processor.flushNow(), refused);
  equal(wal.checkpointed > 0n, true);
  disk.crash(new SeededRandom(3));
  equal(await new DeadLetters(disk, "/data/dead", new VirtualClock()).count(), 1);
  const again = await processorWorld({ disk });
  equal(again.processor.stats().pendingOperations, 0);
});

test("BatchProcessor stops at a dead batch where it is told to, until it is resumed", async () => {
  const { clock, handler, add, processor, events } = await processorWorld({
    config: { whenDead: "stop" },
    behaviours: [refused, "ok"],
  });
  await add("a");
  await clock.advance(100);
  await add("b");
  await clock.advance(1000);
  equal(handler.calls.length, 1);
  deepEqual([processor.stats().state, processor.stats().stoppedBy], ["stopped", refused]);
  equal(events.of("processor.stopped").length, 1);
  await rejects(processor.flushNow(), refused);
  await processor.resume();
  await clock.advance(100);
  deepEqual(handler.operations, ["b"]);
  equal(processor.stats().state, "running");
});

test("BatchProcessor stops at a handler that cannot work, and keeps the batch", async () => {
  const { clock, handler, add, processor, disk } = await processorWorld({
    behaviours: [broken, "ok"],
  });
  await add("a");
  await clock.advance(1000);
  deepEqual([handler.calls.length, processor.stats().state], [1, "stopped"]);
  equal(processor.stats().pendingOperations, 1);
  deepEqual(await disk.list("/data/dead"), []);
  await processor.resume();
  await clock.advance(0);
  deepEqual(handler.operations, ["a"]);
  equal(processor.stats().reasons.resumed, 1);
});

test("BatchProcessor waits for room on a handler's disk for as long as it takes", async () => {
  const full = new StorageError("NoSpace", "full");
  const { clock, handler, add, events } = await processorWorld({ behaviours: [full] });
  await add("a");
  await clock.advance(200_000);
  ok(handler.calls.length > 10, `${handler.calls.length}`);
  equal(events.of("operations.dead").length, 0);
  handler.will("ok");
  await clock.advance(60_000);
  deepEqual(handler.operations, ["a"]);
});

test("BatchProcessor aborts a handler that takes too long, and never calls it twice at a time", async () => {
  const { clock, handler, add, events } = await processorWorld({
    config: { handlerTimeoutMs: 1000 },
    behaviours: ["hang", "ok"],
  });
  await add("a");
  await clock.advance(1100);
  equal((events.of("handler.failed")[0]!.error as HandlerError).code, "Timeout");
  await clock.advance(100);
  deepEqual(handler.operations, ["a"]);
  // One that does not listen is waited for.
  handler.will("deaf");
  await add("b");
  await clock.advance(100_000);
  equal(handler.calls.length, 3);
  equal(handler.mostAtATime, 1);
});

test("BatchProcessor.pause() resolves when the handler is idle, and hands nothing over until resume()", async () => {
  const { clock, handler, add, processor } = await processorWorld({
    behaviours: [{ ms: 500 }, "ok"],
  });
  await add("a");
  await clock.advance(100);
  const paused = processor.pause();
  equal(await outcome(paused), "pending");
  await clock.advance(500);
  equal(await outcome(paused), "resolved");
  await add("b");
  await clock.advance(10_000);
  deepEqual([handler.calls.length, processor.stats().state], [1, "paused"]);
  await rejects(processor.flushNow(), { code: "Paused" });
  await rejects(processor.drain(), { code: "Paused" });
  await processor.resume();
  await clock.advance(100);
  deepEqual(handler.operations, ["a", "b"]);
});

test("BatchProcessor.pause() holds a batch between two tries", async () => {
  const { clock, handler, add, processor } = await processorWorld({ behaviours: [busy, "ok"] });
  await add("a");
  await clock.advance(100);
  await processor.pause();
  await clock.advance(10_000);
  equal(handler.calls.length, 1);
  await processor.resume();
  await clock.advance(0);
  deepEqual(handler.operations, ["a"]);
});

test("BatchProcessor.pause() tells when the handler does not end in time, and is paused", async () => {
  const { clock, add, processor } = await processorWorld({ behaviours: ["deaf"] });
  await add("a");
  await clock.advance(100);
  const paused = processor.pause({ deadlineMs: 1000 });
  paused.catch(() => {});
  await clock.advance(1000);
  await rejects(paused, { code: "Deadline" });
  equal(processor.stats().state, "paused");
});

test("BatchProcessor.drain() takes no more, resolves when nothing is left, and can be resumed", async () => {
  const { clock, handler, add, processor } = await processorWorld({
    config: { intervalMs: NEVER },
  });
  await add("a", "b");
  await processor.drain();
  deepEqual(handler.operations, ["a", "b"]);
  equal(processor.stats().state, "draining");
  await rejects(add("c"), { code: "Draining", isRetryable: true });
  await processor.resume();
  await add("d");
  await processor.flushNow();
  deepEqual(handler.operations, ["a", "b", "d"]);
  equal(clock.now(), 0);
});

test("BatchProcessor.start() twice is an error, before and after the end", async () => {
  const { processor } = await unstartedWorld();
  const first = processor.start();
  await rejects(processor.start(), { code: "Started" });
  await first;
  await rejects(processor.start(), { code: "Started" });
  await processor.shutdown();
  await rejects(processor.start(), { code: "Started" });
});

test("BatchProcessor refuses all before start()", async () => {
  const { processor, add } = await unstartedWorld();
  await rejects(add("a"), { code: "NotStarted" });
  await rejects(processor.flushNow(), { code: "NotStarted" });
  await rejects(processor.drain(), { code: "NotStarted" });
  await rejects(processor.pause(), { code: "NotStarted" });
  await rejects(processor.resume(), { code: "NotStarted" });
  equal(processor.stats().state, "new");
  await processor.shutdown();
  await rejects(processor.start(), { code: "Started" });
});

test("BatchProcessor.start() refuses a log that is no processor's", async () => {
  const { processor, wal, add } = await unstartedWorld();
  await wal.append(77, bytes("whatever"));
  const starting = processor.start();
  const added = add("a");
  added.catch(() => {});
  await rejects(starting, { code: "Damaged" });
  await rejects(added, { code: "Damaged" });
});

test("BatchProcessor takes a function for a handler", async () => {
  const { wal, clock } = await unstartedWorld();
  const seen: string[] = [];
  const processor = new BatchProcessor({
    wal,
    handler: (batch) => Promise.resolve(void seen.push(...texts(batch))),
    deadLetters: new DeadLetters(new MemoryStorage(), "/dead", clock),
    clock,
    random: new SeededRandom(),
  });
  await processor.start();
  await processor.add(bytes("a"));
  await processor.shutdown();
  deepEqual(seen, ["a"]);
});

test("BatchProcessor refuses settings that cannot be", async () => {
  for (
    const config of [
      { intervalMs: -1 },
      { maxBatchOperations: 0 },
      { maxBatchBytes: 1.5 },
      { maxQueuedOperations: NaN },
      { memoryBytes: 0 },
      { minBatchOperations: 20, maxBatchOperations: 10 },
    ]
  ) {
    const [key] = Object.keys(config);
    await rejects(unstartedWorld({ config }), { code: "Invalid", message: new RegExp(key!) });
  }
});

test("BatchProcessor tells how it stands", async () => {
  const { clock, add, processor } = await processorWorld({ behaviours: [{ ms: 50 }] });
  await add("abc", "d");
  await clock.advance(110);
  const { current, ...stats } = processor.stats();
  deepEqual(current, { first: 0n, last: 1n, operations: 2 });
  equal(stats.pendingOperations, 2);
  equal(stats.pendingBytes, 4);
  equal(stats.checkpoint, 0n);
  await clock.advance(100);
  const after = processor.stats();
  deepEqual(
    [after.pendingOperations, after.pendingBytes, after.handledBatches, after.handledBytes],
    [0, 0, 1, 4],
  );
  equal(after.checkpoint, 2n);
  equal(after.current, undefined);
});
