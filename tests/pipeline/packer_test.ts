import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PIPELINE_DEFAULTS } from "../../src/config.ts";
import { MemoryL1 } from "../../src/local/memory.ts";
import { longestRun, planCut, sizeLimits } from "../../src/pipeline/packer.ts";
import { rawSize } from "../../src/pipeline/waiting_blocks.ts";
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
    deepEqual(limits, { target, most: 780_264, unit: Math.min(130_044, target) }, maxBatchBytes);
  }
});

test("sizeLimits() takes bytes as they are without blobs, but no more than the sink does", async () => {
  const limits = (maxBatchBytes: number) => sizeLimits(calldata, configWith({ maxBatchBytes }));
  deepEqual(await limits(50_000), { target: 50_000, most: 120_000, unit: 50_000 });
  deepEqual(await limits(128 * KIB), { target: 120_000, most: 120_000, unit: 120_000 });

  const narrow = withMembers(blobs, { capacity: () => Promise.resolve(1000) });
  deepEqual(await sizeLimits(narrow, PIPELINE_DEFAULTS), { target: 1000, most: 1000, unit: 1000 });
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

test("planCut() ends where whole units are full, or where no more blocks fit", async () => {
  const anyCase = fc.record({
    sizes: fc.array(fc.integer({ min: 4, max: 400 }), { minLength: 1, maxLength: 60 }),
    // Compressed bytes for each raw byte, by block: blocks may differ much.
    shares: fc.array(fc.double({ min: 0.05, max: 1, noNaN: true }), { minLength: 1, maxLength: 7 }),
    unit: fc.integer({ min: 20, max: 2000 }),
    units: fc.integer({ min: 1, max: 6 }),
    margin: fc.constantFrom(0, 0.002, 0.02),
    share: fc.double({ min: 0.01, max: 2, noNaN: true }),
  });
  await fc.assert(
    fc.asyncProperty(anyCase, async ({ sizes, shares, unit, units, margin, share }) => {
      const block = { timestamp: 1n, transactions: [] };
      const waiting = sizes.map((size) => ({ block, size, takenAtMs: 0 }));
      const sizeOf = (count: number) =>
        sizes.slice(0, count).reduce(
          (sum, size, at) => sum + size * shares[at % shares.length]!,
          10,
        );
      let measures = 0;
      const target = units * unit;
      const limits = { target, most: 10_000, unit };
      const { count, size } = await planCut(
        waiting,
        waiting.length,
        limits,
        { share, margin },
        (count) => {
          measures += 1;
          return Promise.resolve(sizeOf(count));
        },
      );
      ok(measures <= 30, `${measures} measures`);
      equal(size, sizeOf(count));
      if (sizeOf(1) > unit) return ok(count >= 1);
      ok(size <= target * (1 - margin) || count === 1);
      const isFull = size >= 0.993 * unit * Math.ceil(size / unit);
      const isLast = count === waiting.length ||
        sizeOf(count + 1) > unit * Math.ceil(size / unit) * (1 - margin);
      ok(isFull || isLast, `${count} blocks of ${size} bytes for ${units} of ${unit}`);
    }),
  );
});

test("planCut() ends behind the first block where that alone fits, though not with the margin", async () => {
  const block = { timestamp: 1n, transactions: [] };
  const waiting = [383, 382, 296].map((size) => ({ block, size, takenAtMs: 0 }));
  const limits = { target: 388, most: 10_000, unit: 388 };
  const measure = (count: number) => Promise.resolve(rawSize(waiting, count));
  const cut = await planCut(waiting, 3, limits, { share: 1, margin: 0.02 }, measure);
  deepEqual(cut, { count: 1, size: 383 });
});

test("planCut() leaves out no block that fits, though a smaller number of units is measured less", async () => {
  const block = { timestamp: 1n, transactions: [] };
  const sizes = [236, 323, 147, 227, 10, 18, 80, 173, 249, 362, 392];
  const waiting = sizes.map((size) => ({ block, size, takenAtMs: 0 }));
  const limits = { target: 750, most: 10_000, unit: 250 };
  const compressed = [41, 246, 25, 174, 2, 14, 14, 132, 43, 276, 67];
  const measure = (count: number) =>
    Promise.resolve(compressed.slice(0, count).reduce((sum, each) => sum + each, 10));
  const cut = await planCut(waiting, 11, limits, { share: 0.34, margin: 0.002 }, measure);
  // Of 499: without the fifth block 496.
  deepEqual(cut, { count: 5, size: 498 });
});

test("planCut() measures little more than a batch can hold, however much waits", async () => {
  for (const [share, most] of [[0.2, 2000], [0.25, 1700], [0.5, 2000]] as const) {
    const waiting = waitingFor(plainBlocks(10_000, { size: 93 })); // 1 MB.
    let measured = 0;
    const limits = { target: 25_000, most: 25_000, unit: 25_000 };
    const { count } = await planCut(waiting, 10_000, limits, { share, margin: 0 }, (count) => {
      measured += count;
      return Promise.resolve(rawSize(waiting, count) / 4);
    });
    ok(count >= 993 && count <= 1000);
    ok(measured <= 3 * most, `${measured} blocks measured by a share of ${share}`);
  }
});

test("planCut() gives several full blobs rather than one, and one rather than several half full", async () => {
  const planned = async (size: number, count: number) => {
    const waiting = waitingFor(plainBlocks(count, { size: size - 7 }));
    const limits = { target: 6000, most: 6000, unit: 1000 };
    const measure = (count: number) => Promise.resolve(rawSize(waiting, count));
    return (await planCut(waiting, count, limits, { share: 1, margin: 0 }, measure)).count;
  };
  equal(await planned(100, 100), 60); // Six are full.
  equal(await planned(100, 59), 59); // Everything fits.
  equal(await planned(430, 100), 9); // 3870 of 4000; 5590 of 6000 and 4730 of 5000 are less full.
  equal(await planned(995, 100), 6);
  equal(await planned(1660, 100), 3); // 4980 of 5000, and only 4980 of 6000.
});
