/**
 * The batch processor on this disk: an adaptive size against fixed ones under three loads, latency, and
 * memory over a backlog.
 *
 * | load    | operations                                    | a batch costs                        |
 * | ------- | --------------------------------------------- | ------------------------------------ |
 * | steady  | 64 writers, each waits until its one is synced | an append to a file, and its sync   |
 * | bursts  | 5000 at once, the next when these are handled | the same                             |
 * | slow    | 64 writers, as many as the queue takes        | 20 ms, and 0.1 ms for each of them   |
 *
 * What is counted begins after a while: an adaptive size has found itself by then.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import type { BatchHandler } from "../../src/ports.ts";
import { systemClock, systemRandom } from "../../src/runtime.ts";
import { DeadLetters } from "../../src/wal/dead_letters.ts";
import { Wal } from "../../src/wal/log.ts";
import { BatchProcessor } from "../../src/wal/processor.ts";
import type { ProcessorConfig } from "../../src/wal/processor_config.ts";
import { type BenchOptions, type Group, median, type Row } from "./rows.ts";

const FIXED = [10, 100, 1000, 10_000];
const WRITERS = 64;
const OPERATION = new Uint8Array(100).fill(0x61);
const BURST = 5000;

/** The group. */
export const processor: Group = {
  name: "processor",
  title: "the batch processor: adaptive and fixed sizes, latency, memory over a backlog",
  run,
};

async function run({ isShort }: BenchOptions): Promise<Row[]> {
  return [
    ...await sizes(isShort),
    ...await latencies(isShort),
    ...await backlogs(isShort ? 100_000 : 10_000_000),
  ];
}

/** A processor on a disk of its own, with what is beside it. */
interface Bench {
  readonly processor: BatchProcessor;
  /** Batches that ended, and when. */
  readonly handled: { readonly atMs: number; readonly operations: number }[];
}

async function withProcessor<T>(
  makeHandler: (storage: DiskStorage, directory: string) => Promise<BatchHandler>,
  config: Partial<ProcessorConfig>,
  action: (bench: Bench) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "montana-bench-"));
  const storage = new DiskStorage();
  const wal = await Wal.open({ storage, directory: join(directory, "wal") });
  try {
    const handler = await makeHandler(storage, directory);
    const handled: { atMs: number; operations: number }[] = [];
    const processor = new BatchProcessor({
      wal,
      handler,
      deadLetters: new DeadLetters(storage, join(directory, "dead"), systemClock),
      clock: systemClock,
      random: systemRandom,
      log: (event) => {
        if (event.event !== "operations.handled") return;
        handled.push({ atMs: performance.now(), operations: event.batch.operations.length });
      },
    }, config);
    await processor.start();
    const result = await action({ processor, handled });
    // What is left is of no use: only the end of what is under way.
    await processor.shutdown({ deadlineMs: 500 }).catch(() => {});
    return result;
  } finally {
    await wal.close();
    rmSync(directory, { recursive: true });
  }
}

/** Appends each batch to a file, and syncs it. */
async function fileHandler(storage: DiskStorage, directory: string): Promise<BatchHandler> {
  const file = await storage.openAppend(join(directory, "out"));
  return {
    handle: async ({ operations, bytes }) => {
      const data = new Uint8Array(bytes);
      let at = 0;
      for (const { data: each } of operations) {
        data.set(each, at);
        at += each.length;
      }
      await file.write(data);
      await file.sync();
    },
  };
}

/** As slow as a server far away. */
function slowHandler(): Promise<BatchHandler> {
  return Promise.resolve({
    handle: ({ operations }) => systemClock.sleep(20 + 0.1 * operations.length),
  });
}

interface Load {
  readonly name: string;
  readonly makeHandler: (storage: DiskStorage, directory: string) => Promise<BatchHandler>;
  /** Adds until aborted. */
  readonly add: (processor: BatchProcessor, signal: AbortSignal) => Promise<void>;
}

const LOADS: readonly Load[] = [
  { name: "steady small", makeHandler: fileHandler, add: addByWriters },
  { name: "bursts", makeHandler: fileHandler, add: addInBursts },
  { name: "slow handler", makeHandler: slowHandler, add: addByWriters },
];

async function addByWriters(processor: BatchProcessor, signal: AbortSignal): Promise<void> {
  const writer = async () => {
    while (!signal.aborted) await processor.add(OPERATION);
  };
  await Promise.all(Array.from({ length: WRITERS }, writer));
}

async function addInBursts(processor: BatchProcessor, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await Promise.all(Array.from({ length: BURST }, () => processor.add(OPERATION)));
    await processor.flushNow();
  }
}

/** Operations handled in a second, once it has run for a while. */
async function rateOf(load: Load, size: number | "adaptive", isShort: boolean) {
  const config: Partial<ProcessorConfig> = {
    ...(size === "adaptive"
      ? { maxBatchOperations: FIXED.at(-1)! }
      : { maxBatchOperations: size, batchSize: "fixed" }),
    maxQueuedOperations: 20_000,
    maxBatchBytes: 64 * 1024 * 1024,
  };
  return await withProcessor(load.makeHandler, config, async ({ processor, handled }) => {
    const end = new AbortController();
    const adding = load.add(processor, end.signal).catch(() => {});
    await systemClock.sleep(isShort ? 100 : 5000);
    handled.length = 0;
    await systemClock.sleep(isShort ? 200 : 3000);
    end.abort();
    // From the end of a batch to the end of another: a part of one would be a whole one, or none.
    const [first, ...others] = handled;
    const seconds = ((others.at(-1)?.atMs ?? Infinity) - (first?.atMs ?? 0)) / 1000;
    const rate = others.reduce((sum, { operations }) => sum + operations, 0) / seconds;
    const { batchOperations } = processor.stats();
    // Whoever waits for room is let go by the shutdown.
    await Promise.race([adding, systemClock.sleep(50)]);
    return { rate, batchOperations };
  });
}

async function sizes(isShort: boolean): Promise<Row[]> {
  const rows: Row[] = [];
  for (const load of LOADS) {
    const all: { size: number | "adaptive"; rates: number[]; found: number }[] = [];
    for (const size of [...FIXED, "adaptive" as const]) {
      all.push({ size, rates: [], found: 0 });
    }
    // In turn, so that what disturbs the machine disturbs them all.
    for (let round = 0; round < (isShort ? 1 : 3); round++) {
      for (const each of all) {
        const { rate, batchOperations } = await rateOf(load, each.size, isShort);
        each.rates.push(rate);
        each.found = batchOperations;
      }
    }
    const medians = all.map(({ size, rates, found }) => ({ size, found, rate: median(rates) }));
    const adaptive = medians.pop()!;
    const best = medians.reduce((a, b) => b.rate > a.rate ? b : a);
    for (const { size, rate } of medians) {
      rows.push({ what: `${load.name}: fixed at ${size}`, value: rate, unit: "operations/s" });
    }
    rows.push({
      what: `${load.name}: adaptive, which found ${adaptive.found}`,
      value: adaptive.rate,
      unit: "operations/s",
      against: { what: `the best of these, ${best.size}`, value: best.rate },
      mark: { of: "ratio", least: 0.9 },
    });
  }
  return rows;
}

/** From `add()` until handled, at a load far below what it can. */
async function latencies(isShort: boolean): Promise<Row[]> {
  const rows: Row[] = [];
  for (const intervalMs of [0, 10, 100]) {
    const addedMs = new Map<bigint, number>();
    const waits: number[] = [];
    await withProcessor(
      async (storage, directory) => {
        const file = await fileHandler(storage, directory);
        return {
          handle: async (batch, signal) => {
            await file.handle(batch, signal);
            const nowMs = performance.now();
            for (const { sequence } of batch.operations) {
              const startedMs = addedMs.get(sequence);
              addedMs.delete(sequence);
              if (startedMs !== undefined) waits.push(nowMs - startedMs);
            }
          },
        };
      },
      { intervalMs },
      async ({ processor }) => {
        for (let step = 0; step < (isShort ? 20 : 500); step++) {
          const startedMs = performance.now();
          for (let count = 0; count < 10; count++) {
            processor.add(OPERATION).then((sequence) => addedMs.set(sequence, startedMs));
          }
          await systemClock.sleep(5);
        }
        await processor.flushNow();
      },
    );
    waits.sort((a, b) => a - b);
    const name = `2000 a second, interval ${intervalMs} ms: until handled,`;
    rows.push(
      { what: `${name} half below`, value: waits[Math.floor(waits.length / 2)]!, unit: "ms" },
      {
        what: `${name} 99 of 100 below`,
        value: waits[Math.floor(waits.length * 0.99)]!,
        unit: "ms",
      },
    );
  }
  return rows;
}

function residentMiB(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().rss / 2 ** 20;
}

/** What stands in memory of a backlog, and of ten times as many. */
async function backlogs(count: number): Promise<Row[]> {
  const few = await backlog(count / 10);
  const many = await backlog(count);
  const row = (what: string, key: "waitingMiB" | "handlingMiB"): Row => ({
    what: `backlog of ${count} operations of 16 bytes: resident ${what}`,
    value: many[key],
    unit: "MiB",
    against: { what: "a tenth of them", value: few[key] },
    mark: { of: "ratio", most: 1.5 },
  });
  return [
    row("while they wait", "waitingMiB"),
    row("at most while they are handled", "handlingMiB"),
    { what: "the same: added", value: count / many.addingS, unit: "operations/s" },
    { what: "the same: handled", value: count / many.handlingS, unit: "operations/s" },
  ];
}

async function backlog(count: number) {
  const config = { maxQueuedOperations: 2 * count, maxBatchOperations: 10_000 };
  const noHandler = () => Promise.resolve({ handle: () => Promise.resolve() });
  const operation = new Uint8Array(16);
  return await withProcessor(noHandler, config, async ({ processor }) => {
    await processor.pause();
    const group = 10_000;
    const addingMs = performance.now();
    for (let added = 0; added < count; added += group) {
      await Promise.all(Array.from({ length: group }, () => processor.add(operation)));
    }
    const waitingMiB = residentMiB();
    const handlingMs = performance.now();
    let handlingMiB = waitingMiB;
    const look = setInterval(() => handlingMiB = Math.max(handlingMiB, residentMiB()), 200);
    await processor.resume();
    await processor.flushNow();
    clearInterval(look);
    const endMs = performance.now();
    return {
      waitingMiB,
      handlingMiB,
      addingS: (handlingMs - addingMs) / 1000,
      handlingS: (endMs - handlingMs) / 1000,
    };
  });
}
