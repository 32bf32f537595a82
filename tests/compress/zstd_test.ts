import fc from "fast-check";
import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { requireZstd, ZstdCompressor } from "../../src/compress/zstd.ts";
import { CompressionError } from "../../src/errors.ts";
import { ZSTD_BLOCK_BYTES, zstdBomb } from "./bombs.ts";
import { flipped, join, noise, sha256, transactions } from "./data.ts";

const zstd = new ZstdCompressor({ level: 3 });

test("ZstdCompressor gives back what it was given", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 5000, size: "max" }), async (data) => {
      deepStrictEqual(await zstd.decompress(await zstd.compress(data)), data);
    }),
    { numRuns: 150 },
  );
});

test("ZstdCompressor gives back nothing, one byte and sizes around its blocks", async () => {
  for (const size of [0, 1, 255, 256, 65_791, 65_792, 131_071, 131_072, 131_073, 3_000_000]) {
    for (const data of [new Uint8Array(size), noise(size), transactions(size)]) {
      const restored = await zstd.decompress(await zstd.compress(data));
      strictEqual(sha256(restored), sha256(data), `${size} bytes`);
    }
  }
});

test("ZstdCompressor works at every level", async () => {
  const data = transactions(60_000);
  for (let level = 1; level <= 22; level++) {
    const compressed = await new ZstdCompressor({ level }).compress(data);
    ok(compressed.length < 40_000, `level ${level}: ${compressed.length} bytes`);
    deepStrictEqual(await zstd.decompress(compressed), data);
  }
});

test("ZstdCompressor() refuses a level that there is not", () => {
  for (const level of [0, 23, -5, 2.5, NaN]) {
    throws(() => new ZstdCompressor({ level }), {
      code: "Unsupported",
      message: `Cannot compress with level ${level}: zstd has 1 to 22`,
    });
  }
});

test("ZstdCompressor names a runtime without zstd", () => {
  throws(() => requireZstd({}), {
    code: "Unsupported",
    message:
      "Cannot use zstd: node:zlib of this runtime lacks it; Deno 2.9.6 and Bun 1.4.5 have it",
  });
});

test("ZstdCompressor.decompress() refuses a frame cut anywhere", async () => {
  const compressed = await zstd.compress(transactions(700));
  for (let length = 0; length < compressed.length; length++) {
    await rejects(zstd.decompress(compressed.subarray(0, length)), { code: "Corrupted" });
  }
  const large = await zstd.compress(transactions(400_000));
  for (const missing of [1, 3, 4, 5, 100, 100_000]) {
    await rejects(zstd.decompress(large.subarray(0, -missing)), { code: "Corrupted" });
  }
});

test("ZstdCompressor.decompress() refuses bytes after the end of the frame", async () => {
  const compressed = await zstd.compress(transactions(500));
  for (const tail of [Uint8Array.of(0), compressed, noise(70_000)]) {
    await rejects(zstd.decompress(join(compressed, tail)), {
      code: "Corrupted",
      message: `Cannot decompress ${compressed.length + tail.length} bytes as zstd: ` +
        `${tail.length} bytes follow the end of the frame`,
    });
  }
});

/** Unused bits may be turned over without harm: then the content must be the same. */
test("ZstdCompressor.decompress() never gives other bytes for a flipped bit", async () => {
  for (const data of [transactions(900), noise(40)]) {
    const compressed = await zstd.compress(data);
    for (let bit = 0; bit < compressed.length * 8; bit++) {
      try {
        deepStrictEqual(await zstd.decompress(flipped(compressed, bit)), data);
      } catch (error) {
        ok(error instanceof CompressionError, `bit ${bit}: ${error}`);
        ok(error.code === "Corrupted" || error.code === "TooLarge", error.message);
      }
    }
  }
});

test("ZstdCompressor.decompress() refuses a checksum that does not fit", async () => {
  for (const size of [0, 100, 131_072, 300_000]) {
    const compressed = await zstd.compress(transactions(size));
    for (let bit = 1; bit <= 32; bit++) {
      const wrong = flipped(compressed, compressed.length * 8 - bit);
      await rejects(zstd.decompress(wrong), { code: "Corrupted" }, `${size} bytes`);
    }
  }
});

test("ZstdCompressor.decompress() survives anything", async () => {
  const bounded = new ZstdCompressor({ maxDecompressedBytes: 100_000 });
  const compressed = await zstd.compress(transactions(3000));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(60), async (data, at) => {
      const patched = compressed.slice();
      patched.set(data, at);
      for (const stream of [data, patched, join(compressed.subarray(0, 4), data)]) {
        try {
          ok((await bounded.decompress(stream)).length <= 100_000);
        } catch (error) {
          ok(error instanceof CompressionError, String(error));
          ok(error.code === "Corrupted" || error.code === "TooLarge", error.message);
        }
      }
    }),
    { numRuns: 500 },
  );
});

test("ZstdCompressor keeps its bound both ways, to the byte", async () => {
  const bounded = new ZstdCompressor({ maxDecompressedBytes: 100_000 });
  const atBound = new Uint8Array(100_000);
  deepStrictEqual(await bounded.decompress(await bounded.compress(atBound)), atBound);

  const above = new Uint8Array(100_001);
  const details = { size: 100_001, max: 100_000 };
  await rejects(bounded.compress(above), { code: "TooLarge", details });
  await rejects(bounded.decompress(await zstd.compress(above)), { code: "TooLarge", details });
});

test("ZstdCompressor.decompress() stops a bomb of 10 GiB in bounded memory", async () => {
  const small = await zstd.decompress(zstdBomb(8));
  strictEqual(small.length, 8 * ZSTD_BLOCK_BYTES);

  const bomb = zstdBomb(10 * 2 ** 30 / ZSTD_BLOCK_BYTES);
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 3; i++) {
    await rejects(zstd.decompress(bomb), { code: "TooLarge" });
  }
  const grownMiB = (process.memoryUsage().rss - before) / 2 ** 20;
  ok(grownMiB < 320, `${grownMiB} MiB more than before`);
});

test("ZstdCompressor.decompress() refuses a window above 128 MiB", async () => {
  const frame = zstdBomb(1);
  frame[5] = (18 << 3) | 0; // 2 ^ (10 + 18)
  await rejects(zstd.decompress(frame), {
    code: "TooLarge",
    message: "Cannot decompress 10 bytes as zstd: " +
      "it wants a window of 268435456 bytes, at most 134217728 may be",
  });
});

test("ZstdCompressor.estimatedRatio() starts low and learns", async () => {
  const learner = new ZstdCompressor({ level: 3 });
  strictEqual(learner.estimatedRatio(), 1.6);
  const data = transactions(4_000_000);
  const actual = data.length / (await learner.compress(data)).length;
  ok(Math.abs(learner.estimatedRatio() - actual) < 0.05 * actual);
});
