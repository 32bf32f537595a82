import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../src/local/memory.ts";
import { BatchSize } from "../../src/wal/batch_size.ts";

const BOUNDS = { minBatchOperations: 10, maxBatchOperations: 12_800, latencyGoalMs: 1000 };

/** Feeds full batches that take as long as `cost` says. */
function feed(size: BatchSize, batches: number, cost: (operations: number) => number): void {
  for (let count = 0; count < batches; count++) {
    const { operations } = size;
    size.handled({ operations, elapsedMs: cost(operations), isFull: true });
  }
}

/** The best throughput of all sizes that keep the goal. */
function bestRate(cost: (operations: number) => number): number {
  let best = 0;
  for (let operations = 10; operations <= 12_800; operations++) {
    if (cost(operations) <= BOUNDS.latencyGoalMs) {
      best = Math.max(best, operations / cost(operations));
    }
  }
  return best;
}

test("BatchSize comes within a tenth of the best size, whatever batches cost", () => {
  const costs = [
    (n: number) => 20 + 0.01 * n,
    (n: number) => 2 + 0.05 * n,
    (n: number) => 0.5 + 0.001 * n,
    (n: number) => 0.1 * n,
    (n: number) => 100 + 0.2 * n,
  ];
  for (const cost of costs) {
    const size = new BatchSize(100, BOUNDS);
    feed(size, 2000, cost);
    const rate = size.operations / cost(size.operations);
    ok(rate >= 0.9 * bestRate(cost), `${size.operations}: ${rate} of ${bestRate(cost)}`);
  }
});

test("BatchSize does so where times are noisy, nearly always", () => {
  let good = 0;
  for (let seed = 0; seed < 50; seed++) {
    const random = new SeededRandom(seed);
    const cost = (n: number) => 5 + 0.02 * n;
    const size = new BatchSize(100, BOUNDS);
    feed(size, 3000, (n) => cost(n) * (0.8 + 0.4 * random.next()));
    if (size.operations / cost(size.operations) >= 0.85 * bestRate(cost)) good += 1;
  }
  ok(good >= 45, `${good} of 50`);
});

test("BatchSize stays small where a larger one is no faster", () => {
  const size = new BatchSize(100, BOUNDS);
  feed(size, 500, (n) => n);
  ok(size.operations <= 200, `${size.operations}`);
  ok(size.decisions.some(({ reason }) => reason === "no faster"));
});

test("BatchSize says nothing after batches that were not full", () => {
  const size = new BatchSize(100, BOUNDS);
  for (let count = 0; count < 1000; count++) {
    size.handled({ operations: 50, elapsedMs: 5000, isFull: false });
  }
  deepEqual([size.operations, size.decisions.length], [100, 0]);
});

test("BatchSize shrinks at a slow batch and at a failure, at once", () => {
  const size = new BatchSize(1000, BOUNDS);
  size.handled({ operations: 1000, elapsedMs: 1001, isFull: true });
  equal(size.operations, 700);
  size.failed();
  equal(size.operations, 489);
  deepEqual(size.decisions.map(({ reason }) => reason), ["too slow", "failed"]);
});

test("BatchSize goes back where a smaller batch is as slow", () => {
  const size = new BatchSize(1000, BOUNDS);
  feed(size, 200, () => 3000);
  ok(size.operations >= 1000, `${size.operations}`);
  equal(size.decisions.some(({ reason }) => reason === "no quicker"), true);
});

test("BatchSize follows a load that changes", () => {
  const size = new BatchSize(100, BOUNDS);
  feed(size, 500, (n) => 0.2 * n);
  const before = size.operations;
  feed(size, 2000, (n) => 50 + 0.01 * n);
  ok(size.operations > 4 * before, `${before}, then ${size.operations}`);
});

test("BatchSize keeps its bounds, and remembers no more than it says", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ elapsedMs: fc.integer({ min: 0, max: 3000 }), failed: fc.boolean() })),
      fc.integer({ min: 1, max: 50 }),
      (batches, least) => {
        const bounds = { ...BOUNDS, minBatchOperations: least, maxBatchOperations: least + 500 };
        const told: number[] = [];
        const size = new BatchSize(100, bounds, ({ to }) => told.push(to));
        for (const { elapsedMs, failed } of batches) {
          const { operations } = size;
          if (failed) size.failed();
          else size.handled({ operations, elapsedMs, isFull: true });
          ok(size.operations >= least && size.operations <= least + 500);
          ok(Number.isInteger(size.operations));
          ok(size.decisions.length <= 32);
        }
        equal(told.at(-1) ?? size.operations, size.operations);
      },
    ),
  );
});

test("BatchSize with one bound is fixed", () => {
  const size = new BatchSize(100, { ...BOUNDS, minBatchOperations: 500, maxBatchOperations: 500 });
  feed(size, 500, (n) => 5 + n);
  size.failed();
  deepEqual([size.operations, size.decisions.length], [500, 0]);
});
