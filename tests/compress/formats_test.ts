import { deepStrictEqual, rejects, strictEqual } from "node:assert/strict";
import { test } from "node:test";
import { allCompressors, FORMATS } from "../../src/compress/formats.ts";
import { transactions } from "./data.ts";

test("allCompressors() has one for each format byte, under its name", async () => {
  const compressors = allCompressors();
  deepStrictEqual(compressors.map(({ format }) => format), [0, 1, 2]);
  deepStrictEqual(compressors.map(({ name }) => name), [...FORMATS]);
  const data = transactions(2000);
  for (const compressor of compressors) {
    deepStrictEqual(await compressor.decompress(await compressor.compress(data)), data);
  }
});

test("allCompressors() share one bound", async () => {
  const data = new Uint8Array(11);
  const bounded = allCompressors({ maxDecompressedBytes: 10 });
  for (const [format, compressor] of allCompressors().entries()) {
    const compressed = await compressor.compress(data);
    await rejects(async () => await bounded[format]?.decompress(compressed), { code: "TooLarge" });
  }
  strictEqual(bounded.length, 3);
});
