import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { CompressionError } from "../../src/errors.ts";
import { CompressorPool } from "../../src/local/compressor_pool.ts";
import type { WorkerLoss, WorkerPoolOptions } from "../../src/local/worker_pool.ts";
import { transactions } from "../compress/data.ts";
import { withDirectory } from "../helpers.ts";
import { type Fault, faultsAt, faulty } from "./faulty_worker.ts";

const workerUrl = new URL("./faulty_worker.ts", import.meta.url);

/** A pool over workers that go wrong when told to, and what it tells of those lost. */
interface Setting {
  readonly pool: CompressorPool;
  readonly losses: WorkerLoss[];
  /** Data that are given back as they are, once the worker went wrong over them `times` times. */
  fault(kind: Fault["kind"], times?: number): Uint8Array;
  /** A new name in a directory. */
  path(): string;
}

/** Its workers do nothing but give bytes back, so that what is seen is the pool. */
async function withFaults(
  options: WorkerPoolOptions,
  action: (setting: Setting) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    const losses: WorkerLoss[] = [];
    const onWorkerLost = (loss: WorkerLoss) => void losses.push(loss);
    const pool = new CompressorPool({ format: "none" }, {
      workerUrl,
      onWorkerLost,
      ...options,
    });
    let files = 0;
    const path = () => join(directory, `${files++}`);
    const fault = (kind: Fault["kind"], times = 1) => faulty({ kind, times, path: path() });
    await action({ pool, losses, fault, path }).finally(() => pool.close());
  });
}

/** Resolves when `isTrue` is. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 2));
}

test("WorkerPool replaces a worker that dies, and has its task done again", async () => {
  await withFaults({ workers: 1 }, async ({ pool, losses, fault }) => {
    for (const kind of ["exit", "throw"] as const) {
      const data = fault(kind);
      const before = data.slice();
      deepEqual(await pool.compress(data), before);
      deepEqual(data, before);
      const [loss] = losses.splice(0);
      equal(loss?.task, "retried");
      equal(loss.reason, kind === "exit" ? "it ended with code 7" : "it threw: planted");
    }
    deepEqual(losses, []);
  });
});

test("WorkerPool replaces a worker that gives no answer", async () => {
  await withFaults({ workers: 1, taskTimeoutMs: 2000 }, async ({ pool, losses, fault }) => {
    const data = fault("hang");
    deepEqual(await pool.compress(data), data);
    // On a machine that is very busy, the next may take too long to start.
    deepEqual(losses[0], { reason: "it gave no answer for 2000 ms", task: "retried" });
  });
});

test("WorkerPool replaces a worker that dies without a task", async () => {
  await withFaults({ workers: 1 }, async ({ pool, losses, fault }) => {
    const data = fault("late");
    deepEqual(await pool.compress(data), data);
    await until(() => losses.length > 0);
    deepEqual(losses, [{ reason: "it ended with code 7", task: "none" }]);
    deepEqual(await pool.compress(Uint8Array.of(1)), Uint8Array.of(1));
  });
});

test("WorkerPool gives a task up after maxRetries, and goes on with the others", async () => {
  await withFaults({ workers: 1 }, async ({ pool, losses, fault }) => {
    const poison = pool.compress(fault("exit", 9));
    const others = [1, 2, 3].map((byte) => pool.compress(Uint8Array.of(byte)));
    const refusal = rejects(poison, (error) => {
      ok(error instanceof CompressionError);
      equal(error.code, "Failed");
      equal(error.isRetryable, false);
      ok(error.cause instanceof Error);
      equal(
        error.message.replace(/\d+ bytes/, "N bytes"),
        "Cannot compress N bytes: its worker was lost 3 times, now as it ended with code 7",
      );
      return true;
    });
    await refusal;
    deepEqual(await Promise.all(others), [1, 2, 3].map((byte) => Uint8Array.of(byte)));
    deepEqual(losses.map(({ task }) => task), ["retried", "retried", "failed"]);
  });
});

test("WorkerPool gives a task up at once without maxRetries", async () => {
  await withFaults({ maxRetries: 0 }, async ({ pool, losses, fault }) => {
    await rejects(pool.compress(fault("exit")), { code: "Failed" });
    deepEqual(losses, [{ reason: "it ended with code 7", task: "failed" }]);
  });
});

test("WorkerPool does a task whose worker died before those that came later", async () => {
  await withFaults({ workers: 1 }, async ({ pool, fault }) => {
    const done: string[] = [];
    await Promise.all([
      pool.compress(fault("exit", 2)).then(() => done.push("first")),
      pool.compress(new Uint8Array(1)).then(() => done.push("second")),
    ]);
    deepEqual(done, ["first", "second"]);
    await pool.close();
  });
});

test("WorkerPool leaves the tasks of other workers alone when one dies", async () => {
  await withFaults({ workers: 2 }, async ({ pool, losses, path, fault }) => {
    const held = path();
    const holding = pool.compress(faulty({ kind: "hold", times: 1, path: held }));
    await until(() => faultsAt(held) === 1);
    const data = fault("exit", 2);
    deepEqual(await pool.compress(data), data);
    equal(losses.length, 2);
    await writeFile(`${held}.go`, "");
    await holding;
    // Met once: it was not begun again.
    equal(faultsAt(held), 1);
  });
});

test("WorkerPool says why there is no worker to be had", async () => {
  const broken = new URL('data:text/javascript,throw new Error("planted")');
  await withFaults({ workerUrl: broken }, async ({ pool, losses }) => {
    await rejects(pool.compress(new Uint8Array(5)), (error) => {
      ok(error instanceof CompressionError);
      equal(error.code, "Failed");
      equal(
        error.message,
        "Cannot compress 5 bytes: its worker was lost 3 times, now as it threw: planted",
      );
      return true;
    });
    equal(losses.length, 3);
  });
  const impossible = new URL("gopher://example.com/worker.ts");
  await withFaults({ workerUrl: impossible }, async ({ pool }) => {
    await rejects(pool.compress(new Uint8Array(5)), (error) => {
      ok(error instanceof CompressionError);
      equal(error.code, "Failed");
      ok(/no worker can be started|was lost 3 times/.test(error.message), error.message);
      return true;
    });
  });
});

test("WorkerPool passes on what is no error of the compressor as one", async () => {
  await withFaults({}, async ({ pool, losses, fault }) => {
    await rejects(pool.compress(fault("break")), (error) => {
      ok(error instanceof CompressionError);
      equal(error.code, "Failed");
      equal(error.kind, "critical");
      ok(error.cause instanceof Error);
      ok(error.message.endsWith(`bytes: ${error.cause.message}`), error.message);
      return true;
    });
    deepEqual(losses, []);
    deepEqual(await pool.compress(Uint8Array.of(1)), Uint8Array.of(1));
  });
});

/** Whether a task of `second` bytes is done while one of at least 100 is held in another worker. */
async function overtakes(maxBytesInFlight: number, second: number): Promise<boolean> {
  let isOvertaken = false;
  await withFaults({ workers: 2, maxBytesInFlight }, async ({ pool, path }) => {
    const held = path();
    const holding = pool.compress(faulty({ kind: "hold", times: 1, path: held }));
    await until(() => faultsAt(held) === 1);
    let isHeld = true;
    const free = pool.compress(new Uint8Array(second)).then(() => isOvertaken = isHeld);
    // Time to overtake, where nothing stands against it: it is not waited for where something does.
    const patience = new Promise((resolve) => setTimeout(resolve, 300));
    await (maxBytesInFlight < 10_000 ? Promise.race([free, patience]) : free);
    isHeld = false;
    await writeFile(`${held}.go`, "");
    await Promise.all([holding, free]);
  });
  return isOvertaken;
}

test("WorkerPool has a task wait as long as others hold maxBytesInFlight", async () => {
  equal(await overtakes(20_000, 10_000), true);
  equal(await overtakes(5000, 4990), false);
  // Larger than the bound itself: alone, but not never.
  equal(await overtakes(5000, 9000), false);
});

test("WorkerPool counts what decompresses as the most that it can become", async () => {
  await withDirectory(async (directory) => {
    const pool = new CompressorPool(
      { format: "none", maxDecompressedBytes: 1000 },
      { workers: 2, maxBytesInFlight: 1999, workerUrl },
    );
    const path = join(directory, "held");
    const done: string[] = [];
    const holding = pool.decompress(faulty({ kind: "hold", times: 1, path }));
    await until(() => faultsAt(path) === 1);
    const waiting = pool.decompress(new Uint8Array(1)).then(() => done.push("second"));
    void holding.then(() => done.push("first"));
    await new Promise((resolve) => setTimeout(resolve, 300));
    await writeFile(`${path}.go`, "");
    await Promise.all([holding, waiting]);
    deepEqual(done, ["first", "second"]);
  });
});

test("WorkerPool starts tasks in the order of the calls", async () => {
  await withFaults({ workers: 1 }, async ({ pool }) => {
    const done: number[] = [];
    const calls = Array.from({ length: 20 }, async (_, index) => {
      await pool.compress(new Uint8Array(1000 * (20 - index)));
      done.push(index);
    });
    await Promise.all(calls);
    deepEqual(done, Array.from({ length: 20 }, (_, index) => index));
  });
});

test("WorkerPool ends a worker that had nothing to do, and starts another", async () => {
  await withFaults({ workers: 1, idleTimeoutMs: 1 }, async ({ pool, losses }) => {
    for (let round = 0; round < 3; round++) {
      deepEqual(await pool.compress(Uint8Array.of(round)), Uint8Array.of(round));
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    deepEqual(losses, []);
  });
});

test("WorkerPool.close() refuses what is not done, and all that comes later", async () => {
  await withFaults({ workers: 1 }, async ({ pool, losses, path }) => {
    const held = path();
    const running = pool.compress(faulty({ kind: "hold", times: 1, path: held }));
    const waiting = pool.decompress(new Uint8Array(7));
    const refusals = [
      rejects(running, {
        code: "Failed",
        message: /^Cannot compress \d+ bytes: the pool is closed$/,
      }),
      rejects(waiting, {
        code: "Failed",
        message: "Cannot decompress 7 bytes: the pool is closed",
      }),
    ];
    await until(() => faultsAt(held) === 1);
    await Promise.all([pool.close(), pool.close(), ...refusals]);
    await rejects(pool.compress(new Uint8Array(3)), {
      code: "Failed",
      message: "Cannot compress 3 bytes: the pool is closed",
    });
    await pool.close();
    // Ended on purpose is not lost.
    deepEqual(losses, []);
  });
});

test("WorkerPool.close() ends a worker in the midst of level 11", async () => {
  const pool = new CompressorPool({ format: "brotli", level: 11 }, { workers: 1 });
  // Warm, so that it is the encoder that is interrupted.
  await pool.compress(new Uint8Array(10));
  const compressing = pool.compress(transactions(1_000_000));
  const refusal = rejects(compressing, { code: "Failed" });
  await new Promise((resolve) => setTimeout(resolve, 100));
  await Promise.all([pool.close(), refusal]);
});

test("WorkerPool that was never used closes", async () => {
  const pool = new CompressorPool({ format: "none" });
  equal(pool.estimatedRatio(), new NoopCompressor().estimatedRatio());
  await pool.close();
});
