import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { SinkError } from "../src/errors.ts";
import { ManualClock, MemoryL1, SeededRandom } from "../src/local/memory.ts";
import type { BatchSink } from "../src/ports.ts";
import { backoffMs, retry, RETRY_DEFAULTS, retrying, withFallback } from "../src/retry.ts";
import { Events, flaky, inTurn } from "./helpers.ts";

const steady = { ...RETRY_DEFAULTS, jitter: 0 };
const batch = { batchNumber: 3n, data: Uint8Array.of(2) };
const down = new SinkError("Connection", "down");
const timeout = new SinkError("Timeout", "late");
const refused = new SinkError("TxFailed", "reverted");
const poor = new SinkError("InsufficientFunds", "poor");

function context() {
  return { clock: new ManualClock(), random: new SeededRandom(1) };
}

/** A sink over an L1 of its own, failing in turn, that counts how often it was asked. */
function sinkWith(...submits: (Error | { after: Error } | undefined)[]) {
  const l1 = new MemoryL1();
  const calls: string[] = [];
  const faults = inTurn({ submit: submits });
  const sink = flaky(l1.sink(), (method) => {
    calls.push(method);
    return faults(method);
  });
  return { sink, calls, blocks: () => l1.head("latest") };
}

test("backoffMs() doubles from the base up to the longest wait", () => {
  const random = new SeededRandom();
  const waits = [1, 2, 3, 4, 5, 6, 7, 8, 5000].map((attempt) => backoffMs(attempt, steady, random));
  deepEqual(waits, [1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000]);
  equal(backoffMs(5000, { ...steady, baseDelayMs: 0 }, random), 0);
});

test("backoffMs() leaves no more than its share to chance", () => {
  const random = new SeededRandom(7);
  const waits = Array.from({ length: 500 }, () => backoffMs(3, RETRY_DEFAULTS, random));
  ok(waits.every((wait) => wait >= 3200 && wait <= 4000));
  ok(new Set(waits).size > 100);
});

test("retry() tries temporary errors again, and no other", async () => {
  for (const [error, tries] of [[down, 6], [refused, 1], [new TypeError("bug"), 1]] as const) {
    const { clock, random } = context();
    let calls = 0;
    const told: number[] = [];
    await rejects(
      retry(
        () => {
          calls += 1;
          return Promise.reject(error);
        },
        steady,
        { clock, random },
        (attempt, delayMs, seen) => {
          equal(seen, error);
          told.push(attempt, delayMs);
        },
      ),
      error,
    );
    equal(calls, tries);
    equal(clock.now(), tries === 1 ? 0 : 31_000);
    deepEqual(told, tries === 1 ? [] : [1, 1000, 2, 2000, 3, 4000, 4, 8000, 5, 16000]);
  }
});

test("retry() with 0 attempts tries once", async () => {
  const { sink, calls } = sinkWith(down);
  await rejects(retry(() => sink.submit(batch), { ...steady, maxAttempts: 0 }, context()), down);
  deepEqual(calls, ["submit"]);
});

test("retry() does not try again once aborted, before or during a wait", async () => {
  const before = AbortSignal.abort();
  const first = sinkWith(down);
  await rejects(
    retry(() => first.sink.submit(batch), steady, { ...context(), signal: before }),
    down,
  );
  deepEqual(first.calls, ["submit"]);

  const during = new AbortController();
  const second = sinkWith(down, down);
  const { clock, random } = context();
  await rejects(
    retry(
      () => second.sink.submit(batch),
      steady,
      { clock, random, signal: during.signal },
      () => during.abort(),
    ),
    down,
  );
  deepEqual(second.calls, ["submit"]);
  equal(clock.now(), 0);
});

test("retrying() submits until it lands, and tells each retry", async () => {
  const { sink, blocks } = sinkWith(down, timeout);
  const events = new Events();
  const { clock, random } = context();
  const receipt = await retrying(sink, steady, { clock, random, log: events.log }).submit(batch);
  equal(receipt.batchNumber, 3n);
  equal(await blocks(), 1n);
  equal(clock.now(), 3000);
  deepEqual(events.all, [
    { event: "submission.retried", batchNumber: 3n, attempt: 1, delayMs: 1000, error: down },
    { event: "submission.retried", batchNumber: 3n, attempt: 2, delayMs: 2000, error: timeout },
  ]);
});

test("retrying() and withFallback() pass on capacity, health and blobs", async () => {
  const blobs = new MemoryL1().sink();
  const calldata = new MemoryL1().sink({ da: "calldata" });
  for (
    const [sink, capacity, blobBytes] of [
      [retrying(blobs, steady, context()), 780_264, 130_044],
      [retrying(calldata, steady, context()), 120_000, undefined],
      [withFallback(blobs, calldata), 780_264, 130_044],
      [withFallback(calldata, blobs), 120_000, undefined],
    ] as const
  ) {
    equal(await sink.capacity(), capacity);
    equal(sink.blobBytes, blobBytes);
    equal("blobBytes" in sink, blobBytes !== undefined);
    await sink.healthCheck();
  }
  const ill = flaky(new MemoryL1().sink(), inTurn({ healthCheck: [down, down, down] }));
  await rejects(retrying(ill, steady, context()).healthCheck(), down);
  await rejects(withFallback(ill, blobs).healthCheck(), down);
  await rejects(withFallback(blobs, ill).healthCheck(), down);
});

test("withFallback() leaves the secondary alone while the primary works", async () => {
  const [primary, secondary] = [sinkWith(), sinkWith()];
  await withFallback(primary.sink, secondary.sink).submit(batch);
  deepEqual([primary.calls, secondary.calls], [["submit"], []]);
});

test("withFallback() turns to the secondary on whatever the primary throws", async () => {
  for (const error of [down, refused, poor, new TypeError("bug")]) {
    const [primary, secondary] = [sinkWith(error), sinkWith()];
    const events = new Events();
    await withFallback(primary.sink, secondary.sink, events.log).submit(batch);
    equal(await secondary.blocks(), 1n);
    deepEqual(events.all, [{ event: "sink.fell_back", batchNumber: 3n, error }]);
  }
});

test("withFallback() does not post twice what timed out and may still land", async () => {
  const [primary, secondary] = [sinkWith({ after: timeout }), sinkWith()];
  const events = new Events();
  await rejects(withFallback(primary.sink, secondary.sink, events.log).submit(batch), timeout);
  deepEqual([await primary.blocks(), await secondary.blocks()], [1n, 0n]);
  deepEqual(events.all, []);
});

test("withFallback() leaves alone what the secondary could do no better", async () => {
  for (const code of ["WindowExpired", "NonceTaken", "Changed"] as const) {
    const error = new SinkError(code, "as planned");
    const [primary, secondary] = [sinkWith(error), sinkWith()];
    await rejects(withFallback(primary.sink, secondary.sink).submit(batch), error);
    deepEqual(secondary.calls, []);
  }
});

test("withFallback() throws the error that allows another try when both fail", async () => {
  for (
    const [first, second, thrown] of [
      [down, poor, down],
      [poor, down, down],
      [down, timeout, down],
      [refused, poor, poor],
    ] as const
  ) {
    const both = withFallback(sinkWith(first).sink, sinkWith(second).sink);
    await rejects(both.submit(batch), thrown);
  }
});

test("retrying(withFallback()) gets a batch through when both are down for a while", async () => {
  const [primary, secondary] = [sinkWith(down, poor, down), sinkWith(down, down)];
  const both: BatchSink = withFallback(primary.sink, secondary.sink);
  await retrying(both, steady, context()).submit(batch);
  deepEqual([await primary.blocks(), await secondary.blocks()], [0n, 1n]);
  equal(primary.calls.length, 3);
});
