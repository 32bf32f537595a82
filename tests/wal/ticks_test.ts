import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Ticks } from "../../src/wal/ticks.ts";

test("Ticks keep their phase, whatever was missed", () => {
  const ticks = new Ticks(100, 1000);
  equal(ticks.dueInMs(1000), 100);
  equal(ticks.dueInMs(1070), 30);
  equal(ticks.dueInMs(1350), 0);
  ticks.pass(1350);
  equal(ticks.dueInMs(1350), 50);
  ticks.pass(1360);
  equal(ticks.dueInMs(1400), 0);
  ticks.pass(1400);
  equal(ticks.dueInMs(1400), 100);
});

test("Ticks are never further than an interval, and passing is never due again", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1000 }),
      fc.array(fc.integer({ min: -5000, max: 5000 }), { maxLength: 30 }),
      (intervalMs, jumps) => {
        let nowMs = 100_000;
        const ticks = new Ticks(intervalMs, nowMs);
        for (const jump of jumps) {
          nowMs += jump;
          const dueInMs = ticks.dueInMs(nowMs);
          ok(dueInMs >= 0 && dueInMs <= intervalMs);
          ticks.pass(nowMs);
          equal(ticks.dueInMs(nowMs) === 0, intervalMs === 0);
        }
      },
    ),
  );
});

test("Ticks of an interval of 0 are always due", () => {
  const ticks = new Ticks(0, 5);
  ticks.pass(70);
  deepEqual([ticks.dueInMs(5), ticks.dueInMs(70), ticks.dueInMs(71)], [0, 0, 0]);
});
