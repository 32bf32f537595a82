import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { execFile } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { type CompressorOptions, createCompressor } from "../../src/compress/formats.ts";
import { CompressionError, ConfigError } from "../../src/errors.ts";
import { CompressorPool } from "../../src/local/compressor_pool.ts";
import { noise, transactions } from "../compress/data.ts";

/** Runs `action` with a pool that is closed afterwards. */
async function withPool<T>(
  compressor: CompressorOptions,
  action: (pool: CompressorPool) => Promise<T>,
  workers = 2,
): Promise<T> {
  const pool = new CompressorPool(compressor, { workers });
  return await action(pool).finally(() => pool.close());
}

/** What an error says, less its stack. */
async function errorOf(action: Promise<unknown>) {
  const error = await action.then(() => undefined, (error: unknown) => error);
  ok(error instanceof CompressionError, String(error));
  const { name, code, kind, details, message, isRetryable, constructor } = error;
  return { name, code, kind, details, message, isRetryable, constructor };
}

const COMPRESSORS: readonly CompressorOptions[] = [
  { format: "brotli", level: 5 },
  { format: "brotli", level: 6, engine: "native", windowSize: 20 },
  { format: "zstd", level: 3 },
  { format: "none" },
];

for (const options of COMPRESSORS) {
  const name = Object.values(options).join(" ");

  test(`CompressorPool with ${name} makes the same bytes and takes them back`, async () => {
    const inProcess = createCompressor(options);
    await withPool(options, async (pool) => {
      equal(pool.name, inProcess.name);
      equal(pool.format, inProcess.format);
      for (const data of [new Uint8Array(), noise(1), transactions(50_000), noise(300_000)]) {
        const compressed = await pool.compress(data);
        deepEqual(compressed, await inProcess.compress(data));
        deepEqual(await pool.decompress(compressed), data);
      }
    });
  });

  test(`CompressorPool with ${name} learns its ratio as the compressor does`, async () => {
    const inProcess = createCompressor(options);
    await withPool(options, async (pool) => {
      equal(pool.estimatedRatio(), inProcess.estimatedRatio());
      await pool.compress(transactions(200_000));
      await inProcess.compress(transactions(200_000));
      equal(pool.estimatedRatio(), inProcess.estimatedRatio());
    });
  });

  test(`CompressorPool with ${name} throws what the compressor throws`, async () => {
    const bounded = { ...options, maxDecompressedBytes: 1000 };
    const inProcess = createCompressor(bounded);
    const large = await createCompressor(options).compress(new Uint8Array(1001));
    await withPool(bounded, async (pool) => {
      const tooLarge = await errorOf(pool.decompress(large));
      deepEqual(tooLarge, await errorOf(inProcess.decompress(large)));
      equal(tooLarge.code, "TooLarge");
      deepEqual(
        await errorOf(pool.compress(new Uint8Array(1001))),
        await errorOf(inProcess.compress(new Uint8Array(1001))),
      );
      if (options.format === "none") return;
      const garbled = noise(500);
      const corrupted = await errorOf(pool.decompress(garbled));
      deepEqual(corrupted, await errorOf(inProcess.decompress(garbled)));
      equal(corrupted.code, "Corrupted");
    });
  });
}

test("CompressorPool makes the same bytes at level 11 as the default compressor", async () => {
  const data = transactions(100_000);
  const expected = await new BrotliCompressor().compress(data);
  await withPool({ format: "brotli" }, async (pool) => {
    deepEqual(await pool.compress(data), expected);
  });
});

test("CompressorPool gives each call its own result, whichever is done first", async () => {
  await withPool({ format: "brotli", level: 9 }, async (pool) => {
    const batches = Array.from({ length: 12 }, (_, i) => transactions(i % 3 ? 500 * i : 100_000));
    const done: number[] = [];
    const compressed = await Promise.all(batches.map(async (batch, index) => {
      const result = await pool.compress(batch);
      done.push(index);
      return result;
    }));
    for (const [index, batch] of batches.entries()) {
      deepEqual(await pool.decompress(compressed[index]!), batch);
    }
    equal(new Set(done).size, 12);
  });
});

test("CompressorPool leaves what it is given to the caller", async () => {
  await withPool({ format: "brotli", level: 5 }, async (pool) => {
    const whole = transactions(2000);
    const view = whole.subarray(500, 1500);
    const expected = view.slice();
    const compressed = await pool.compress(view);
    const shared = new Uint8Array(new SharedArrayBuffer(1000));
    shared.set(view);
    deepEqual(await pool.compress(shared), compressed);
    deepEqual(await pool.compress(Buffer.from(view)), compressed);

    const before = compressed.slice();
    deepEqual(await pool.decompress(compressed), expected);
    deepEqual(compressed, before);
    deepEqual(whole, transactions(2000));
  });
});

test("CompressorPool keeps this thread free while it compresses at level 11", async () => {
  await withPool({ format: "brotli", level: 11 }, async (pool) => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const compressing = pool.compress(transactions(600_000));
    let isDone = false;
    void compressing.finally(() => isDone = true);
    while (!isDone && ticks < 20) await new Promise((resolve) => setTimeout(resolve, 1));
    equal(isDone, false, `${ticks} timers fired until it was done`);
    await compressing;
    clearInterval(timer);
  });
});

test("CompressorPool.atLevel() shares the workers, and has an estimate of its own", async () => {
  const data = transactions(50_000);
  await withPool({ format: "brotli", level: 11 }, async (pool) => {
    const faster = pool.atLevel(6);
    equal(faster, pool.atLevel(6));
    equal(faster.name, "brotli");
    equal(faster.format, 0);
    const before = pool.estimatedRatio();
    const compressed = await faster.compress(data);
    deepEqual(compressed, await new BrotliCompressor({ level: 6 }).compress(data));
    deepEqual(await faster.decompress(compressed), data);
    equal(pool.estimatedRatio(), before);
    ok(faster.estimatedRatio() !== new BrotliCompressor({ level: 6 }).estimatedRatio());

    await pool.close();
    await rejects(faster.compress(data), { code: "Failed" });
  }, 1);
});

test("CompressorPool.atLevel() refuses a level that there is not", async () => {
  await withPool({ format: "brotli" }, async (pool) => {
    throws(() => pool.atLevel(12), {
      code: "Unsupported",
      message: "Cannot compress with level 12: Brotli has 1 to 11",
    });
    await Promise.resolve();
  });
  await withPool({ format: "none" }, async (pool) => {
    throws(() => pool.atLevel(1), {
      name: "CompressionError",
      code: "Unsupported",
      message: "Cannot compress with level 1: without compression there is none",
    });
    await Promise.resolve();
  });
});

test("CompressorPool() refuses a compressor that there is not", () => {
  throws(() => new CompressorPool({ format: "brotli", level: 12 }), {
    name: "CompressionError",
    code: "Unsupported",
    message: "Cannot compress with level 12: Brotli has 1 to 11",
  });
  throws(() => new CompressorPool({ format: "brotli", windowSize: 24 }), { code: "Unsupported" });
  throws(() => new CompressorPool({ format: "zstd", level: 0 }), { code: "Unsupported" });
  throws(() => new CompressorPool({ format: "none", maxDecompressedBytes: 0 }), {
    code: "Unsupported",
  });
  throws(() => new CompressorPool({ format: "gzip" as "none" }), {
    code: "Unsupported",
    message: 'Cannot compress as "gzip": there are brotli, zstd, none',
  });
});

test("CompressorPool() refuses numbers that cannot be", () => {
  for (const workers of [0, -1, 1.5, NaN, Infinity]) {
    throws(() => new CompressorPool({ format: "none" }, { workers }), (error) => {
      ok(error instanceof ConfigError);
      equal(error.code, "Invalid");
      equal(error.message, `Cannot use workers ${workers}: expected a whole number from 1`);
      return true;
    });
  }
  for (
    const name of ["maxBytesInFlight", "taskTimeoutMs", "idleTimeoutMs", "maxRetries"] as const
  ) {
    throws(() => new CompressorPool({ format: "none" }, { [name]: -1 }), { code: "Invalid" }, name);
    throws(
      () => new CompressorPool({ format: "none" }, { [name]: NaN }),
      { code: "Invalid" },
      name,
    );
  }
  for (const name of ["maxBytesInFlight", "taskTimeoutMs", "idleTimeoutMs"] as const) {
    throws(() => new CompressorPool({ format: "none" }, { [name]: 0 }), { code: "Invalid" }, name);
  }
});

test("CompressorPool left open lets the process end, and not before its work is done", async () => {
  const script = fileURLToPath(new URL("./open_pool.ts", import.meta.url));
  const run = "Deno" in globalThis ? ["run", "-A", script] : [script];
  const { stdout } = await promisify(execFile)(process.execPath, run, {
    env: { ...process.env, NO_COLOR: "1" },
    timeout: 60_000,
  });
  equal(stdout, "2 done\nended\n");
});
