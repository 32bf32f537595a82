/**
 * The queue of a processor: its bounds, its memory, and what it finds again.
 */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { HandlerError, WalError } from "../../src/errors.ts";
import { CUT_RECORD, encodeCut, type OperationLog } from "../../src/wal/operation_log.ts";
import { withMembers } from "../helpers.ts";
import { bytes, idle, numbers, outcome, processorWorld, texts } from "./processor_world.ts";

const NEVER = 3_600_000;
const full = new WalError("NoSpace", "Cannot write: the disk is full");

test("a full queue lets add() wait until there is room, in order", async () => {
  const { processor, clock, handler, add, events } = await processorWorld({
    config: {
      intervalMs: NEVER,
      maxQueuedOperations: 4,
      maxBatchOperations: 4,
      batchSize: "fixed",
    },
    behaviours: [{ ms: 100 }],
  });
  const adds = numbers(10).map((each) => add(each));
  await idle();
  equal(processor.stats().waitingAdds, 6);
  equal(processor.stats().pendingOperations, 4);
  equal(await outcome(adds[3]!), "resolved");
  equal(await outcome(adds[4]!), "pending");
  await clock.advance(300);
  await Promise.all(adds);
  const flush = processor.flushNow();
  await clock.advance(100);
  await flush;
  deepEqual(handler.operations, numbers(10));
  equal(processor.stats().rejectedOperations, 0);
  ok(events.of("processor.full").length >= 1);
});

test("a full queue makes add() reject by policy, and counts it", async () => {
  const { processor, add, events } = await processorWorld({
    config: { intervalMs: NEVER, maxQueuedOperations: 2, whenFull: "reject" },
    behaviours: ["hang"],
  });
  await add("a", "b");
  for (const each of ["c", "d"]) await rejects(add(each), { code: "Full", isRetryable: true });
  equal(processor.stats().rejectedOperations, 2);
  equal(events.of("processor.full").length, 1, "told once, not for each");
});

test("a queue is bounded in bytes as well", async () => {
  const { processor, add } = await processorWorld({
    config: { intervalMs: NEVER, maxQueuedBytes: 10, whenFull: "reject" },
    behaviours: ["hang"],
  });
  await add("12345", "6789");
  await rejects(add("ab"), { code: "Full" });
  await add("c");
  equal(processor.stats().pendingBytes, 10);
  await rejects(add("12345678901"), { code: "TooLarge", isRetryable: false });
});

test("a queue that is full hands over before the interval", async () => {
  const { clock, handler, add, processor } = await processorWorld({
    config: { intervalMs: NEVER, maxQueuedOperations: 3 },
  });
  const added = add(...numbers(7));
  await clock.advance(0);
  await added;
  equal(handler.operations.length >= 4, true);
  ok(processor.stats().reasons.full >= 1);
});

test("operations beyond the bound of memory are read back from the log, in order", async () => {
  const { processor, add, handler } = await processorWorld({
    config: { intervalMs: NEVER, memoryOperations: 7, maxBatchOperations: 5, batchSize: "fixed" },
    behaviours: ["ok"],
  });
  await processor.pause();
  await add(...numbers(100));
  equal(processor.stats().memoryOperations, 7);
  equal(processor.stats().pendingOperations, 100);
  await processor.resume();
  await add(...numbers(50, 100));
  await processor.flushNow();
  deepEqual(handler.operations, numbers(150));
  ok(handler.calls.every((batch) => batch.operations.length <= 5));
});

test("memory is bounded in bytes as well", async () => {
  const { processor, add, handler } = await processorWorld({
    config: { intervalMs: NEVER, memoryBytes: 10 },
  });
  await processor.pause();
  await add(...Array.from({ length: 20 }, (_, index) => `${index}`.padStart(4, "0")));
  equal(processor.stats().memoryOperations, 3);
  await processor.resume();
  await processor.flushNow();
  deepEqual(handler.operations.map(Number), numbers(20).map(Number));
});

test("operations that come while others are read back are neither lost nor taken twice", async () => {
  const { processor, add, handler, clock } = await processorWorld({
    config: { intervalMs: 10, memoryOperations: 3, maxBatchOperations: 3, batchSize: "fixed" },
    behaviours: [{ ms: 1 }],
  });
  const adds: Promise<unknown>[] = [];
  for (let at = 0; at < 300; at += 3) {
    adds.push(add(...numbers(3, at)));
    if (at % 30 === 0) await clock.advance(at % 7);
  }
  await clock.advance(1000);
  await Promise.all(adds);
  deepEqual(handler.operations, numbers(300));
  equal(processor.stats().pendingOperations, 0);
});

test("a start finds what was not handled, with its counts, and no more of it in memory than allowed", async () => {
  const { processor, add, disk, wal } = await processorWorld({ config: { intervalMs: NEVER } });
  await processor.pause();
  await add(...numbers(40));
  await wal.close();
  const next = await processorWorld({ disk, config: { memoryOperations: 8, intervalMs: NEVER } });
  const { pendingOperations, pendingBytes, memoryOperations } = next.processor.stats();
  deepEqual([pendingOperations, pendingBytes, memoryOperations], [40, 70, 8]);
  deepEqual(next.events.of("operations.recovered"), [
    { event: "operations.recovered", operations: 40, bytes: 70 },
  ]);
  await next.add("new");
  await next.processor.flushNow();
  deepEqual(next.handler.operations, [...numbers(40), "new"]);
});

test("a start gives a batch that was under way again as it was cut, whatever the sizes are now", async () => {
  const busy = new HandlerError("Failed", "busy");
  const { clock, add, disk, wal, handler } = await processorWorld({
    config: { maxBatchOperations: 7, batchSize: "fixed" },
    behaviours: [busy],
  });
  await add(...numbers(20));
  await clock.advance(50);
  const [first] = handler.calls;
  equal(first!.operations.length, 7);
  await wal.close();
  disk.kill();

  for (const config of [{ maxBatchOperations: 3 }, { memoryOperations: 2 }, { maxBatchBytes: 1 }]) {
    const next = await processorWorld({ disk, config, behaviours: ["hang"] });
    await next.clock.advance(0);
    deepEqual(next.handler.calls, [first]);
    deepEqual(next.events.of("operations.recovered")[0]!.batch, { first: 0n, last: 6n });
    equal(next.processor.stats().reasons.recovered, 0);
    await next.wal.close();
    disk.kill();
  }
});

test("a start after a checkpoint leaves out the cut of what is done", async () => {
  const { clock, add, disk, wal } = await processorWorld();
  await add("a");
  await clock.advance(100);
  await add("b");
  await wal.close();
  const next = await processorWorld({ disk });
  deepEqual(next.events.of("operations.recovered")[0]!.batch, undefined);
  await next.clock.advance(100);
  deepEqual(next.handler.calls.map(texts), [["b"]]);
});

test("a start refuses a cut that does not fit the operations", async () => {
  for (const cut of [{ first: 1n, last: 1n }, { first: 0n, last: 7n }]) {
    const { add, disk, wal, processor } = await processorWorld({ config: { intervalMs: NEVER } });
    await add("a", "b");
    await wal.append(CUT_RECORD, encodeCut(cut));
    await wal.close();
    const start = processorWorld({ disk }).then(({ processor }) => processor.flushNow());
    await rejects(start, { code: "Damaged" });
    await processor.shutdown().catch(() => {});
  }
});

/** A log whose disk is full where `isFull` says so. */
function fullLog(isFull: () => boolean): (wal: OperationLog) => OperationLog {
  return (wal) =>
    withMembers(wal, {
      append: (type, payload) => isFull() ? Promise.reject(full) : wal.append(type, payload),
      checkpoint: (sequence) => isFull() ? Promise.reject(full) : wal.checkpoint(sequence),
    });
}

test("a full disk makes add() reject, loses nothing, and is no matter once there is room", async () => {
  let isFull = false;
  const { clock, add, handler, events, processor } = await processorWorld({
    wrap: fullLog(() => isFull),
  });
  await add("a", "b");
  isFull = true;
  await rejects(add("c"), full);
  await clock.advance(10_000);
  equal(handler.calls.length, 0, "a batch that is not cut is not handed over");
  ok(events.of("processor.waits").length > 2);
  equal(events.of("processor.waits")[0]!.what, "cut");
  equal(processor.stats().pendingOperations, 2);
  isFull = false;
  await clock.advance(10_000);
  await add("d");
  await processor.flushNow();
  deepEqual(handler.operations, ["a", "b", "d"]);
});

test("a disk that is full at the checkpoint does not make the handler see a batch again", async () => {
  let isFull = false;
  const { clock, add, handler, events, processor } = await processorWorld({
    wrap: fullLog(() => isFull),
    behaviours: [{ ms: 10 }],
  });
  await add("a");
  await clock.advance(105);
  isFull = true;
  await clock.advance(5000);
  equal(events.of("processor.waits")[0]!.what, "checkpoint");
  isFull = false;
  await clock.advance(10_000);
  equal(handler.calls.length, 1);
  equal(processor.stats().pendingOperations, 0);
});

test("a full disk fails those that wait for room too, so that none overtakes another", async () => {
  let isFull = false;
  const { add } = await processorWorld({
    config: { intervalMs: NEVER, maxQueuedOperations: 2 },
    wrap: fullLog(() => isFull),
    behaviours: ["hang"],
  });
  isFull = true;
  const adds = numbers(5).map((each) => add(each));
  await Promise.all(adds.map((each) => rejects(each, full)));
  isFull = false;
  await add("5", "6");
});

test("a log that fails for good stops the line, and everyone is told", async () => {
  const failed = new WalError("SyncFailed", "Cannot sync");
  let hasFailed = false;
  const { clock, add, processor, events } = await processorWorld({
    wrap: (wal) =>
      withMembers<OperationLog>(wal, {
        append: (type, payload) => hasFailed ? Promise.reject(failed) : wal.append(type, payload),
      }),
  });
  await add("a");
  hasFailed = true;
  const flush = processor.flushNow();
  await rejects(flush, failed);
  await clock.advance(1000);
  equal(events.of("processor.stopped")[0]!.error, failed);
  await rejects(add("b"), failed);
  await rejects(processor.shutdown(), failed);
});

test("what a log throws when it is read back stops the line, and nothing is lost", async () => {
  const failed = new WalError("Unreadable", "Cannot read");
  let isBad = false;
  const { add, processor, handler } = await processorWorld({
    config: { intervalMs: NEVER, memoryOperations: 2, maxBatchOperations: 2 },
    wrap: (wal) =>
      withMembers<OperationLog>(wal, {
        read: (from) => {
          if (isBad) throw failed;
          return wal.read(from);
        },
      }),
  });
  await processor.pause();
  await add(...numbers(6));
  await processor.resume();
  isBad = true;
  await rejects(processor.flushNow(), failed);
  isBad = false;
  await processor.resume();
  await processor.flushNow();
  deepEqual(handler.operations, numbers(6));
});

test("an operation that the log does not take is refused, and the others are not", async () => {
  const { add, processor, handler } = await processorWorld({
    config: { maxQueuedOperations: 2 },
    wrap: (wal) =>
      withMembers<OperationLog>(wal, {
        append: (type, payload) =>
          payload.length > 20
            ? Promise.reject(new WalError("RecordTooLarge", "too large"))
            : wal.append(type, payload),
      }),
  });
  const adds = ["a", "x".repeat(21), "b"].map((each) => processor.add(bytes(each)));
  await rejects(adds[1]!, { code: "RecordTooLarge" });
  await Promise.all([adds[0], adds[2]]);
  await add("c");
  await processor.flushNow();
  deepEqual(handler.operations, ["a", "b", "c"]);
  equal(processor.stats().pendingBytes, 0);
});
