import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { PIPELINE_DEFAULTS, type PipelineConfig } from "../../src/config.ts";
import { boundReached, timeReached } from "../../src/pipeline/due.ts";
import { WaitingBlocks } from "../../src/pipeline/waiting_blocks.ts";
import { plainBlocks } from "../helpers.ts";

function waitingFor(count: number): WaitingBlocks {
  const waiting = new WaitingBlocks();
  for (const block of plainBlocks(count, { size: 93 })) waiting.push(block, 1000);
  return waiting; // 100 bytes each.
}

test("boundReached() names the bound, and none below all of them", () => {
  const reached = (change: Partial<PipelineConfig>, estimatedBytes = 100) =>
    boundReached(waitingFor(10), { estimatedBytes, target: 500 }, {
      ...PIPELINE_DEFAULTS,
      ...change,
    });
  equal(reached({}), undefined);
  equal(reached({ maxBlocksPerBatch: 11 }), undefined);
  equal(reached({ maxBlocksPerBatch: 10 }), "blocks");
  equal(reached({ targetRawBytes: 1001 }), undefined);
  equal(reached({ targetRawBytes: 1000 }), "size");
  equal(reached({ maxPendingBytes: 1000 }), "size");
  equal(reached({}, 499), undefined);
  equal(reached({}, 500), "full");

  const apart = waitingFor(1);
  apart.push({ timestamp: 1_000_000n, transactions: [] }, 1000);
  equal(
    boundReached(apart, { estimatedBytes: 1, target: undefined }, PIPELINE_DEFAULTS),
    "timestamp",
  );
});

test("timeReached() keeps the interval, and half of the sequencing window where that is shorter", () => {
  const reached = (
    nowMs: number,
    change: Partial<PipelineConfig> = {},
    { lastSubmissionMs = nowMs, isBusy = false, estimatedBytes = 2000 } = {},
  ) =>
    timeReached(
      waitingFor(3),
      { estimatedBytes, target: undefined },
      { nowMs, lastSubmissionMs, isBusy },
      { ...PIPELINE_DEFAULTS, ...change },
    );
  equal(reached(12_999), undefined);
  equal(reached(13_000), "interval");
  const day = { batchIntervalMs: 24 * 3_600_000 };
  equal(reached(1000 + 6 * 3_600_000 - 1, day), undefined);
  equal(reached(1000 + 6 * 3_600_000, day), "window");
  equal(reached(2000, { ...day, maxWaitMs: 1000 }), "window");

  // Worth posting, and an interval after the last one.
  equal(reached(12_500, {}, { lastSubmissionMs: 500 }), "interval");
  equal(reached(12_500, {}, { lastSubmissionMs: 501 }), undefined);
  equal(reached(12_500, {}, { lastSubmissionMs: 0, isBusy: true }), undefined);
  equal(reached(12_500, {}, { lastSubmissionMs: 0, estimatedBytes: 1023 }), undefined);
  equal(
    timeReached(
      new WaitingBlocks(),
      { estimatedBytes: 0, target: 1 },
      { nowMs: 1e12, lastSubmissionMs: 0, isBusy: false },
      PIPELINE_DEFAULTS,
    ),
    undefined,
  );
});
