import fc from "fast-check";
import { deepStrictEqual, ok, rejects, strictEqual, throws } from "node:assert/strict";
import { execFile } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { withInstance } from "../../src/compress/brotli_stream.ts";
import { DecompressStream } from "../../src/compress/brotli_wasm/glue.js";
import { CompressionError } from "../../src/errors.ts";
import { BROTLI_BLOCK_BYTES, brotliBomb } from "./bombs.ts";
import { flipped, join, noise, sha256, transactions } from "./data.ts";

/** Fast where the level does not matter. */
const brotli = new BrotliCompressor({ level: 5 });

test("BrotliCompressor gives back what it was given", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 5000, size: "max" }), async (data) => {
      deepStrictEqual(await brotli.decompress(await brotli.compress(data)), data);
    }),
    { numRuns: 150 },
  );
});

test("BrotliCompressor gives back nothing, one byte and sizes around its chunks", async () => {
  for (const size of [0, 1, 65_535, 65_536, 65_537, 262_144, 1_000_000]) {
    for (const data of [new Uint8Array(size), noise(size)]) {
      deepStrictEqual(await brotli.decompress(await brotli.compress(data)), data);
    }
  }
});

test("BrotliCompressor gives back more than one run of its encoder's input", async () => {
  const fast = new BrotliCompressor({ level: 1 });
  const data = join(noise(1 << 20), new Uint8Array(1));
  const large = new Uint8Array(17 * data.length);
  for (let offset = 0; offset < large.length; offset += data.length) large.set(data, offset);
  const restored = await fast.decompress(await fast.compress(large));
  strictEqual(restored.length, large.length);
  strictEqual(sha256(restored), sha256(large));
});

test("BrotliCompressor works at every level, the higher the smaller", async () => {
  const data = transactions(60_000);
  const sizes: number[] = [];
  for (let level = 1; level <= 11; level++) {
    const compressor = new BrotliCompressor({ level });
    const compressed = await compressor.compress(data);
    deepStrictEqual(await brotli.decompress(compressed), data);
    sizes.push(compressed.length);
  }
  const [fastest, , , , , , , , , , smallest] = sizes;
  ok(smallest === Math.min(...sizes) && fastest === Math.max(...sizes), `sizes ${sizes}`);
});

/**
 * Retries, standbys and audits rely on these: a change of the encoder is a change of the format.
 */
test("BrotliCompressor.compress() makes the same bytes on every runtime", async () => {
  const golden = {
    1: "9407521d19012bdb72a99a3e868889736173dc82a7ddf642e00a56eaae9bb04e",
    6: "55dda7b9bebb7f4473b1f928014e7957246aec4e8b93c8859fc26652c27d11d0",
    9: "b5556fa744f62e9a137150773f6e8ef406bc8af864aa16968f721af917944a50",
    11: "a431ce72ab1c97108ba6bfae036e677bde51f99f61a4b2ba569144eab16e005d",
  };
  const data = transactions(200_000);
  strictEqual(sha256(data), "3eab5d7e3522906de22b6e485ae21fe91e731cb2439e104cee0f7b8bf76fcbb2");
  const made: Record<string, string> = {};
  for (const level of Object.keys(golden).map(Number)) {
    made[level] = sha256(await new BrotliCompressor({ level }).compress(data));
  }
  deepStrictEqual(made, golden);
});

test("BrotliCompressor.compress() makes the same bytes whatever goes on besides", async () => {
  const data = transactions(30_000);
  const alone = await brotli.compress(data);
  const crowd = await Promise.all(Array.from({ length: 8 }, async (_, i) => {
    await brotli.decompress(await brotli.compress(noise(1000 * i))).catch(() => {});
    return brotli.compress(data);
  }));
  for (const compressed of crowd) deepStrictEqual(compressed, alone);
});

test("BrotliCompressor.maxCompression() is level 11", async () => {
  const data = transactions(20_000);
  const max = BrotliCompressor.maxCompression();
  deepStrictEqual(
    await max.compress(data),
    await new BrotliCompressor({ level: 11 }).compress(data),
  );
  deepStrictEqual(await max.compress(data), await new BrotliCompressor().compress(data));
});

test("BrotliCompressor() refuses a level, window, engine or bound that there is not", () => {
  for (const level of [0, 12, -1, 1.5, NaN, Infinity]) {
    throws(() => new BrotliCompressor({ level }), {
      code: "Unsupported",
      message: `Cannot compress with level ${level}: Brotli has 1 to 11`,
    });
  }
  throws(() => new BrotliCompressor({ windowSize: 9, engine: "native" }), {
    code: "Unsupported",
    message: "Cannot compress with window 9: Brotli has 10 to 24",
  });
  throws(() => new BrotliCompressor({ windowSize: 24 }), {
    code: "Unsupported",
    message: "Cannot compress with window 24: the wasm engine has 22 only, the native one 10 to 24",
  });
  throws(() => new BrotliCompressor({ engine: "c" as "wasm" }), {
    code: "Unsupported",
    message: 'Cannot compress with engine "c": there are wasm and native',
  });
  for (const maxDecompressedBytes of [0, -1, 0.5, NaN, Infinity]) {
    throws(() => new BrotliCompressor({ maxDecompressedBytes }), { code: "Unsupported" });
  }
  new BrotliCompressor({ windowSize: 22 });
});

test("BrotliCompressor with the native engine makes streams of any window", async () => {
  const once = noise(100_000);
  const data = join(once, once);
  for (let windowSize = 10; windowSize <= 24; windowSize++) {
    const native = new BrotliCompressor({ level: 5, windowSize, engine: "native" });
    const compressed = await native.compress(data);
    strictEqual(sha256(await native.decompress(compressed)), sha256(data));
    // The repetition is 100 000 bytes back, which a window of 17 bits is the first to reach.
    strictEqual(compressed.length < 150_000, windowSize >= 17, `window ${windowSize}`);
  }
});

// Deno's encoder printed "leaking memory block" to stdout once (denoland/deno#30259).
test("BrotliCompressor with the native engine prints nothing", async () => {
  const script = fileURLToPath(new URL("./native_brotli.ts", import.meta.url));
  const run = "Deno" in globalThis ? ["run", "-A", script] : [script];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, run, {
    env: { ...process.env, NO_COLOR: "1" },
  });
  strictEqual(stdout, "");
  strictEqual(stderr.replaceAll(/^(Check|Download) .*\n/gm, ""), "");
});

test("BrotliCompressor.decompress() refuses a stream cut anywhere", async () => {
  const compressed = await brotli.compress(transactions(700));
  for (let length = 0; length < compressed.length; length++) {
    await rejects(brotli.decompress(compressed.subarray(0, length)), {
      code: "Corrupted",
      message: `Cannot decompress ${length} bytes as Brotli: its end is missing`,
    });
  }
});

test("BrotliCompressor.decompress() refuses a large stream cut at its end", async () => {
  const compressed = await brotli.compress(noise(300_000));
  await rejects(brotli.decompress(compressed.subarray(0, -1)), { code: "Corrupted" });
});

test("BrotliCompressor.decompress() refuses bytes after the end of the stream", async () => {
  for (const data of [new Uint8Array(), transactions(500), noise(200_000)]) {
    const compressed = await brotli.compress(data);
    for (const tail of [Uint8Array.of(0), compressed, noise(70_000)]) {
      await rejects(brotli.decompress(join(compressed, tail)), {
        code: "Corrupted",
        message: `Cannot decompress ${compressed.length + tail.length} bytes as Brotli: ` +
          `${tail.length} bytes follow the end of the stream`,
      });
    }
  }
});

/** Brotli has no checksum: a turned bit may become other bytes, but no other error and no flood. */
test("BrotliCompressor.decompress() survives every flipped bit of a stream", async () => {
  const bounded = new BrotliCompressor({ maxDecompressedBytes: 100_000 });
  for (const level of [1, 11]) {
    const compressed = await new BrotliCompressor({ level }).compress(transactions(900));
    for (let bit = 0; bit < compressed.length * 8; bit++) {
      await takes(bounded, flipped(compressed, bit), 100_000);
    }
  }
});

test("BrotliCompressor.decompress() survives anything", async () => {
  const bounded = new BrotliCompressor({ maxDecompressedBytes: 100_000 });
  const compressed = await brotli.compress(transactions(3000));
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(60), async (data, at) => {
      await takes(bounded, data, 100_000);
      const patched = compressed.slice();
      patched.set(data, at);
      await takes(bounded, patched, 100_000);
    }),
    { numRuns: 500 },
  );
});

async function takes(compressor: BrotliCompressor, data: Uint8Array, max: number) {
  try {
    ok((await compressor.decompress(data)).length <= max);
  } catch (error) {
    ok(error instanceof CompressionError, String(error));
    ok(error.code === "Corrupted" || error.code === "TooLarge", error.message);
  }
}

test("BrotliCompressor.decompress() refuses windows that RFC 7932 does not have", async () => {
  // The decoder itself takes them, and `brotli --large_window=30` makes them.
  for (const first of [0x11, 0x91]) {
    await rejects(brotli.decompress(Uint8Array.of(first, 0x5e, 0x3b, 0x00)), {
      code: "Corrupted",
      message: "Cannot decompress 4 bytes as Brotli: its window is larger than RFC 7932 allows",
    });
  }
});

test("BrotliCompressor keeps its bound both ways, to the byte", async () => {
  const bounded = new BrotliCompressor({ level: 1, maxDecompressedBytes: 100_000 });
  const atBound = new Uint8Array(100_000);
  deepStrictEqual(await bounded.decompress(await bounded.compress(atBound)), atBound);

  const above = new Uint8Array(100_001);
  const details = { size: 100_001, max: 100_000 };
  await rejects(bounded.compress(above), {
    code: "TooLarge",
    message: "Cannot compress 100001 bytes: a batch has at most 100000",
    details,
  });
  const compressed = await brotli.compress(above);
  await rejects(bounded.decompress(compressed), {
    code: "TooLarge",
    message: `Cannot decompress ${compressed.length} bytes: ` +
      "they become 100001 or more, at most 100000 may",
    details,
  });
});

test("BrotliCompressor.decompress() stops a bomb of 10 GiB in bounded memory", async () => {
  const two = await brotli.decompress(brotliBomb(2));
  strictEqual(two.length, 2 * BROTLI_BLOCK_BYTES);
  ok(two.every((byte) => byte === 0));

  const bomb = brotliBomb(640);
  ok(bomb.length < 10_000);
  const before = process.memoryUsage().rss;
  for (let i = 0; i < 3; i++) {
    await rejects(brotli.decompress(bomb), {
      code: "TooLarge",
      details: { size: 2 ** 26 + 1, max: 2 ** 26 },
    });
  }
  const grownMiB = (process.memoryUsage().rss - before) / 2 ** 20;
  ok(grownMiB < 320, `${grownMiB} MiB more than before`);
});

test("BrotliCompressor goes on after WASM trapped", async () => {
  const data = transactions(5000);
  const before = await brotli.compress(data);
  for (let i = 0; i < 3; i++) {
    await rejects(
      // The glue takes any pointer: this one is outside of memory.
      withInstance(() => DecompressStream.prototype.total_out.call({ ptr: 0xffff_fff0 })),
      (error) => {
        ok(error instanceof CompressionError);
        strictEqual(error.code, "Failed");
        ok(error.cause instanceof WebAssembly.RuntimeError);
        return true;
      },
    );
    deepStrictEqual(await brotli.compress(data), before);
    deepStrictEqual(await brotli.decompress(before), data);
  }
});

test("BrotliCompressor frees what it used: a thousand refusals cost no memory", async () => {
  const compressed = await brotli.compress(noise(20_000));
  const cut = compressed.subarray(0, -1);
  const round = async () => {
    for (let i = 0; i < 1000; i++) await brotli.decompress(cut).catch(() => {});
  };
  await round();
  const before = process.memoryUsage().rss;
  await round();
  await round();
  const grownMiB = (process.memoryUsage().rss - before) / 2 ** 20;
  ok(grownMiB < 64, `${grownMiB} MiB more than before`);
});

test("BrotliCompressor.estimatedRatio() starts low and learns", async () => {
  strictEqual(new BrotliCompressor().estimatedRatio(), 1.7);
  strictEqual(new BrotliCompressor({ level: 9 }).estimatedRatio(), 1.6);
  strictEqual(new BrotliCompressor({ level: 1 }).estimatedRatio(), 1.4);

  const learner = new BrotliCompressor({ level: 5 });
  const data = transactions(4_000_000);
  const compressed = await learner.compress(data);
  const actual = data.length / compressed.length;
  ok(Math.abs(learner.estimatedRatio() - actual) < 0.05 * actual);
});
