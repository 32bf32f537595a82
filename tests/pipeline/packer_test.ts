import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PIPELINE_DEFAULTS } from "../../src/config.ts";
import { MemoryL1 } from "../../src/local/memory.ts";
import { fitWithin, longestRun, rawSize, sizeLimits } from "../../src/pipeline/packer.ts";
import type { L2Block } from "../../src/types.ts";
import { encodedBlockSize } from "../../src/wire/batch.ts";
import { plainBlocks, withMembers } from "../helpers.ts";

const KIB = 1024;
const blobs = new MemoryL1().sink();
const calldata = new MemoryL1().sink({ da: "calldata" });

function waitingFor(blocks: readonly L2Block[]) {
  return blocks.map((block) => ({ block, size: encodedBlockSize(block), takenAtMs: 0 }));
}

function configWith(change: Partial<typeof PIPELINE_DEFAULTS>) {
  return { ...PIPELINE_DEFAULTS, ...change };
}

test("PIPELINE_DEFAULTS are the seed's", () => {
  const { batchIntervalMs, maxBatchBytes, minBatchBytes, maxBlocksPerBatch } = PIPELINE_DEFAULTS;
  deepEqual(
    [batchIntervalMs, maxBatchBytes, minBatchBytes, maxBlocksPerBatch],
    [12_000, 131_072, 1024, 1000],
  );
});

test("sizeLimits() reads 128 KiB as one full blob where the sink takes blobs", async () => {
  const targets: Record<number, number> = {
    [128 * KIB]: 130_044,
    [256 * KIB]: 2 * 130_044,
    [6 * 128 * KIB]: 6 * 130_044,
    [7 * 128 * KIB]: 6 * 130_044,
    [200 * KIB]: 130_044,
    [100 * KIB]: 100 * KIB,
    131_071: 130_044,
  };
  for (const [maxBatchBytes, target] of Object.entries(targets)) {
    const limits = await sizeLimits(blobs, configWith({ maxBatchBytes: Number(maxBatchBytes) }));
    deepEqual(limits, { target, most: 780_264 }, maxBatchBytes);
  }
});

test("sizeLimits() takes bytes as they are without blobs, but no more than the sink does", async () => {
  const limits = (maxBatchBytes: number) => sizeLimits(calldata, configWith({ maxBatchBytes }));
  deepEqual(await limits(50_000), { target: 50_000, most: 120_000 });
  deepEqual(await limits(128 * KIB), { target: 120_000, most: 120_000 });

  const narrow = withMembers(blobs, { capacity: () => Promise.resolve(1000) });
  deepEqual(await sizeLimits(narrow, PIPELINE_DEFAULTS), { target: 1000, most: 1000 });
});

test("longestRun() ends where count, time or raw size do", () => {
  const waiting = waitingFor(plainBlocks(10, { size: 93 })); // 100 bytes each.
  const run = (change: Partial<typeof PIPELINE_DEFAULTS>) =>
    longestRun(waiting, configWith(change));
  equal(run({}), 10);
  equal(run({ maxBlocksPerBatch: 10 }), 10);
  equal(run({ maxBlocksPerBatch: 3 }), 3);
  equal(run({ targetRawBytes: 300 }), 3);
  equal(run({ targetRawBytes: 301 }), 4);
  equal(run({ targetRawBytes: 1 }), 1);
  equal(longestRun([], PIPELINE_DEFAULTS), 0);
});

test("longestRun() never cuts a time difference to 16 bits, and ends before it", () => {
  const at = (...seconds: number[]) =>
    waitingFor(seconds.map((each) => ({ timestamp: BigInt(each), transactions: [] })));
  equal(longestRun(at(5, 5 + 65_535, 5 + 65_535), PIPELINE_DEFAULTS), 3);
  equal(longestRun(at(5, 6, 6 + 65_536, 6 + 65_537), PIPELINE_DEFAULTS), 2);
  equal(longestRun(at(5, 5 + 200_000), PIPELINE_DEFAULTS), 1);
});

test("longestRun() keeps a batch within what readers decompress", () => {
  const block = { timestamp: 1n, transactions: [] };
  const waiting = Array.from({ length: 5 }, () => ({ block, size: 20 * KIB * KIB, takenAtMs: 0 }));
  equal(longestRun(waiting, PIPELINE_DEFAULTS), 3);
  equal(longestRun([{ block, size: 90 * KIB * KIB, takenAtMs: 0 }], PIPELINE_DEFAULTS), 1);
});

test("fitWithin() gives the most blocks that fit, or nearly", async () => {
  const anyCase = fc.record({
    sizes: fc.array(fc.integer({ min: 4, max: 400 }), { minLength: 1, maxLength: 60 }),
    // Compressed bytes for each raw byte, by block: blocks may differ much.
    shares: fc.array(fc.double({ min: 0.05, max: 1, noNaN: true }), { minLength: 1, maxLength: 7 }),
    target: fc.integer({ min: 20, max: 4000 }),
  });
  await fc.assert(fc.asyncProperty(anyCase, async ({ sizes, shares, target }) => {
    const block = { timestamp: 1n, transactions: [] };
    const waiting = sizes.map((size) => ({ block, size, takenAtMs: 0 }));
    const sizeOf = (count: number) =>
      Math.ceil(
        sizes.slice(0, count).reduce(
          (sum, size, index) => sum + size * shares[index % shares.length]!,
          10,
        ),
      );
    let passes = 0;
    const { count, sealed } = await fitWithin(
      waiting,
      waiting.length,
      { target, most: 10_000 },
      (count) => {
        passes += 1;
        return Promise.resolve({ data: new Uint8Array(sizeOf(count)) });
      },
    );
    equal(sealed.data.length, sizeOf(count));
    if (sizeOf(1) > target) return equal(count, 1);
    ok(sizeOf(count) <= target);
    ok(
      count === waiting.length || sizeOf(count + 1) > target || sizeOf(count) >= 0.98 * target,
      `${count} blocks of ${sizeOf(count)} bytes for ${target}`,
    );
    ok(passes <= 10, `${passes} passes`);
  }));
});

test("fitWithin() posts a block that alone is above the target, but not above what the sink takes", async () => {
  const waiting = waitingFor(plainBlocks(3, { size: 500 }));
  const sealFirst = (count: number) =>
    Promise.resolve({ data: new Uint8Array(rawSize(waiting, count)) });
  const alone = await fitWithin(waiting, 3, { target: 100, most: 507 }, sealFirst);
  equal(alone.count, 1);
  await rejects(fitWithin(waiting, 3, { target: 100, most: 506 }, sealFirst), {
    name: "PipelineError",
    code: "BlockTooLarge",
    kind: "critical",
    message: /block of timestamp 1000: alone it compresses to 507 bytes, the sink takes 506/,
  });
});
