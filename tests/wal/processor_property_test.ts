/**
 * A processor over virtual time, with crashes: whatever happens, each acknowledged operation reaches the
 * handler, in order, under one identity only, and in the shards it is once.
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HandlerError, StorageError } from "../../src/errors.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import type { AppendFile } from "../../src/ports.ts";
import type { OperationBatch } from "../../src/types.ts";
import { DeadLetters } from "../../src/wal/dead_letters.ts";
import { Wal } from "../../src/wal/log.ts";
import { BatchProcessor } from "../../src/wal/processor.ts";
import type { ProcessorConfig } from "../../src/wal/processor_config.ts";
import { ShardHandler } from "../../src/wal/shards.ts";
import { withMembers } from "../helpers.ts";
import { bytes, idle, QUICK_RETRIES, VirtualClock } from "./processor_world.ts";

type Step =
  | { readonly do: "add"; readonly count: number }
  | { readonly do: "pass"; readonly ms: number }
  | {
    readonly do:
      | "flush"
      | "pause"
      | "resume"
      | "drain"
      | "kill"
      | "crash"
      | "shutdown"
      | "full"
      | "room";
  }
  | { readonly do: "fail"; readonly tries: number }
  | { readonly do: "slow"; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("add" as const),
      count: fc.integer({ min: 1, max: 30 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("pass" as const),
      ms: fc.integer({ min: 0, max: 400 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom(
        ...["flush", "pause", "resume", "drain", "kill", "crash", "shutdown"] as const,
        ...["full", "room"] as const,
      ),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("fail" as const),
      tries: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("slow" as const),
      ms: fc.integer({ min: 0, max: 300 }),
    }),
  },
);

const settings: fc.Arbitrary<Partial<ProcessorConfig>> = fc.record({
  intervalMs: fc.constantFrom(0, 10, 100),
  maxBatchOperations: fc.constantFrom(1, 3, 20),
  maxBatchBytes: fc.constantFrom(5, 50, 10_000),
  memoryOperations: fc.constantFrom(1, 7, 1000),
  maxQueuedOperations: fc.constantFrom(5, 1000),
  batchSize: fc.constantFrom("adaptive" as const, "fixed" as const),
});

/** A world that outlives its processors. */
class World {
  readonly acknowledged: bigint[] = [];
  readonly texts = new Map<bigint, string>();
  readonly seen: OperationBatch[] = [];
  readonly #disk = new MemoryStorage();
  readonly #clock = new VirtualClock();
  readonly #random: SeededRandom;
  readonly #config: Partial<ProcessorConfig>;
  #added = 0;
  #failures = 0;
  #slowMs = 0;
  #isFull = false;
  #life = 0;
  #wal!: Wal;
  #processor!: BatchProcessor;

  constructor(seed: number, config: Partial<ProcessorConfig>) {
    this.#random = new SeededRandom(seed);
    this.#config = config;
  }

  async start(): Promise<void> {
    const storage = this.#diskOf(++this.#life);
    this.#wal = await Wal.open({ storage, directory: "/d/wal" }, { segmentBytes: 2048 });
    const options = { storage, directory: "/d/shards", shards: 3, source: "it" };
    const shards = await ShardHandler.open(options);
    this.#processor = new BatchProcessor({
      wal: this.#wal,
      handler: async (batch, signal) => {
        this.seen.push(batch);
        if (this.#slowMs > 0) await this.#clock.sleep(this.#slowMs, signal);
        signal.throwIfAborted();
        if (this.#failures > 0) {
          this.#failures -= 1;
          throw new HandlerError("Failed", "busy");
        }
        await shards.handle(batch);
      },
      deadLetters: new DeadLetters(storage, "/d/dead", this.#clock),
      clock: this.#clock,
      random: this.#random,
    }, { retry: { ...QUICK_RETRIES, maxAttempts: 1000 }, ...this.#config });
    await this.#processor.start();
  }

  async take(each: Step): Promise<void> {
    const processor = this.#processor;
    const quietly = (promise: Promise<unknown>) => void promise.catch(() => {});
    switch (each.do) {
      case "add":
        return this.#add(each.count);
      case "pass":
        return await this.#clock.advance(each.ms);
      case "flush":
        return quietly(processor.flushNow());
      case "pause":
        return quietly(processor.pause());
      case "resume":
        return quietly(processor.resume());
      case "drain":
        return quietly(processor.drain());
      case "full":
      case "room":
        this.#isFull = each.do === "full";
        return;
      case "fail":
        this.#failures = each.tries;
        return;
      case "slow":
        this.#slowMs = each.ms;
        return;
      case "shutdown":
        quietly(processor.shutdown({ deadlineMs: 50 }));
        await this.#clock.advance(50);
        return await this.restart(() => this.#disk.kill());
      case "kill":
        return await this.restart(() => this.#disk.kill());
      case "crash":
        return await this.restart(() => this.#disk.crash(this.#random));
    }
  }

  async restart(end: () => void): Promise<void> {
    // A log whose end is torn cannot be opened without room.
    this.#isFull = false;
    this.#life += 1;
    end();
    await idle();
    await this.start();
  }

  async finish(): Promise<void> {
    this.#slowMs = 0;
    this.#failures = 0;
    await this.restart(() => this.#disk.kill());
    const [flushed] = await Promise.allSettled([
      this.#processor.flushNow(),
      this.#clock.advance(100_000),
    ]);
    if (flushed.status === "rejected") throw flushed.reason;
    equal(this.#processor.stats().pendingOperations, 0);
    deepEqual(await this.#disk.list("/d/dead"), []);
  }

  /** The disk as a process sees it: one that was killed does nothing more to it. */
  #diskOf(life: number): MemoryStorage {
    return new Proxy(this.#disk, {
      get: (disk, key) => {
        const method: unknown = Reflect.get(disk, key, disk);
        if (typeof method !== "function") return method;
        return (...values: unknown[]) => {
          if (life !== this.#life) return new Promise(() => {});
          const result = method.apply(disk, values);
          return key === "openAppend" ? result.then(this.#fileOf) : result;
        };
      },
    });
  }

  /** A file on a disk that may be full: half of what does not fit is written. */
  readonly #fileOf = (file: AppendFile): AppendFile =>
    withMembers(file, {
      write: async (data) => {
        if (!this.#isFull) return await file.write(data);
        await file.write(data.subarray(0, data.length >> 1));
        throw new StorageError("NoSpace", "no room");
      },
    });

  /** What stands in the shards. */
  async written(): Promise<string[]> {
    const lines: string[] = [];
    for (let shard = 0; shard < 3; shard++) {
      const text = new TextDecoder().decode(
        await this.#disk.read(`/d/shards/shard-000${shard}.log`),
      );
      lines.push(...text.split("\n").filter((line) => line !== ""));
    }
    return lines;
  }

  #add(count: number): void {
    for (let index = 0; index < count; index++) {
      const text = `k${this.#added % 5}\t${this.#added++}`;
      this.#processor.add(bytes(text)).then((sequence) => {
        this.acknowledged.push(sequence);
        this.texts.set(sequence, text);
      }, () => {});
    }
  }
}

test("BatchProcessor loses, doubles and reorders nothing, whatever happens", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40 }),
      settings,
      fc.integer(),
      async (steps, config, seed) => {
        const world = new World(seed, config);
        await world.start();
        for (const each of steps) await world.take(each);
        await world.finish();

        const written = await world.written();
        equal(new Set(written).size, written.length, "once");
        for (const sequence of world.acknowledged) {
          ok(
            written.includes(world.texts.get(sequence)!),
            `${sequence} was acknowledged, and is lost`,
          );
        }
        inOrderPerKey(written);
        oneIdentityEach(world.seen);
      },
    ),
    { numRuns: 500 },
  );
});

function inOrderPerKey(lines: readonly string[]): void {
  const last = new Map<string, number>();
  for (const line of lines) {
    const [key, value] = line.split("\t") as [string, string];
    ok(Number(value) > (last.get(key) ?? -1), `${line} after ${last.get(key)}`);
    last.set(key, Number(value));
  }
}

/** Batches that share an operation are one batch. */
function oneIdentityEach(batches: readonly OperationBatch[]): void {
  const batchOf = new Map<bigint, string>();
  for (const { first, last, operations } of batches) {
    const identity = `${first}-${last}: ${
      operations.map(({ data }) => new TextDecoder().decode(data))
    }`;
    for (const { sequence } of operations) {
      equal(batchOf.get(sequence) ?? identity, identity);
      batchOf.set(sequence, identity);
    }
  }
}
