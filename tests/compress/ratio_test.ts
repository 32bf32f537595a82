import fc from "fast-check";
import { ok, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { RatioEstimate } from "../../src/compress/ratio.ts";

test("RatioEstimate starts where it is told", () => {
  strictEqual(new RatioEstimate(1.7).ratio, 1.7);
});

test("RatioEstimate.learn() comes to what it sees", () => {
  const estimate = new RatioEstimate(1.7);
  for (let batch = 0; batch < 20; batch++) estimate.learn(2_000_000, 500_000);
  ok(Math.abs(estimate.ratio - 4) < 0.01, String(estimate.ratio));
});

test("RatioEstimate.learn() is nearly set by one batch of several blobs", () => {
  const estimate = new RatioEstimate(1.7);
  estimate.learn(3_000_000, 750_000);
  ok(estimate.ratio > 3.6, String(estimate.ratio));
});

test("RatioEstimate.learn() is hardly moved by one tiny batch", () => {
  const estimate = new RatioEstimate(4);
  estimate.learn(100, 200);
  estimate.learn(100, 1);
  ok(Math.abs(estimate.ratio - 4) < 0.02, String(estimate.ratio));
});

test("RatioEstimate.learn() ignores a batch of nothing but its bytes", () => {
  const estimate = new RatioEstimate(2);
  estimate.learn(0, 1);
  ok(Math.abs(estimate.ratio - 2) < 0.001);
});

test("RatioEstimate.learn() follows a change", () => {
  const estimate = new RatioEstimate(2);
  for (let batch = 0; batch < 20; batch++) estimate.learn(1_000_000, 250_000);
  for (let batch = 0; batch < 20; batch++) estimate.learn(1_000_000, 500_000);
  ok(Math.abs(estimate.ratio - 2) < 0.1, String(estimate.ratio));
});

test("RatioEstimate stays between the least and the most that it saw", () => {
  fc.assert(fc.property(
    fc.array(
      fc.record({
        raw: fc.integer({ min: 1, max: 2 ** 26 }),
        ratio: fc.double({ min: 0.5, max: 50, noNaN: true }),
      }),
    ),
    (batches) => {
      const estimate = new RatioEstimate(2);
      for (const { raw, ratio } of batches) estimate.learn(raw, raw / ratio);
      const seen = [2, ...batches.map(({ ratio }) => ratio)];
      ok(estimate.ratio >= Math.min(...seen) - 1e-9);
      ok(estimate.ratio <= Math.max(...seen) + 1e-9);
    },
  ));
});
