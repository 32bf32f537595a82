import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { compressorFor, open, seal } from "../../src/wire/envelope.ts";

const none = new NoopCompressor();

test("seal() puts the format in front, and open() takes it for the compressor", async () => {
  const raw = Uint8Array.of(5, 6, 7);
  const sealed = await seal(raw, none);
  deepEqual(sealed, Uint8Array.of(2, 5, 6, 7));
  deepEqual(await open(sealed, [none]), raw);
  deepEqual(await open(await seal(new Uint8Array(), none), [none]), new Uint8Array());
  const other = { ...none, format: 0, name: "other" };
  equal(compressorFor(sealed, [other as NoopCompressor, none]), none);
});

test("open() refuses every other format by name, and nothing at all", async () => {
  for (let format = 0; format < 256; format++) {
    if (format === 2) continue;
    const shown = format.toString(16).padStart(2, "0");
    await rejects(open(Uint8Array.of(format, 1), [none]), {
      name: "CodecError",
      code: "UnknownFormat",
      message: `Cannot open a batch of format 0x${shown}: known are 0x02 none`,
    });
  }
  await rejects(open(new Uint8Array(), [none]), { code: "Truncated", message: /need 1 bytes, 0/ });
});

test("open() decompresses no more than its compressor may", async () => {
  const small = new NoopCompressor({ maxDecompressedBytes: 2 });
  await rejects(open(Uint8Array.of(2, 1, 2, 3), [small]), { code: "TooLarge" });
  await rejects(seal(new Uint8Array(3), small), { name: "CompressionError", code: "TooLarge" });
});
