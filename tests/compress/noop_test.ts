import fc from "fast-check";
import { deepStrictEqual, rejects, strictEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";

test("NoopCompressor gives back what it was given", async () => {
  const none = new NoopCompressor();
  await fc.assert(fc.asyncProperty(fc.uint8Array(), async (data) => {
    deepStrictEqual(await none.decompress(await none.compress(data)), data);
  }));
  strictEqual(none.estimatedRatio(), 1);
});

test("NoopCompressor keeps its bound both ways, to the byte", async () => {
  const bounded = new NoopCompressor({ maxDecompressedBytes: 3 });
  deepStrictEqual(await bounded.decompress(Uint8Array.of(1, 2, 3)), Uint8Array.of(1, 2, 3));
  const details = { size: 4, max: 3 };
  await rejects(bounded.compress(new Uint8Array(4)), { code: "TooLarge", details });
  await rejects(bounded.decompress(new Uint8Array(4)), { code: "TooLarge", details });
  throws(() => new NoopCompressor({ maxDecompressedBytes: 0 }), {
    code: "Unsupported",
    message: "Cannot bound batches by 0 bytes: maxDecompressedBytes is a whole number from 1",
  });
});
