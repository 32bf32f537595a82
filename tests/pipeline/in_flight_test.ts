/**
 * A sink that takes several batches at the same time: they begin in order, are waited for in order, and
 * a crash while they are on their way changes none of them.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { SinkError } from "../../src/errors.ts";
import { ManualClock, MemoryBatchSource, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import { BatcherJournal } from "../../src/pipeline/batcher_journal.ts";
import { recoverFromJournal } from "../../src/pipeline/journaled_recovery.ts";
import type { BatchSink } from "../../src/ports.ts";
import type { CompressedBatch, L2Block, SubmissionReceipt } from "../../src/types.ts";
import { content, noise, plainBlocks } from "../helpers.ts";
import { posted } from "./world.ts";

/** Takes three at a time, and posts a batch when it is told to. */
class SlowSink implements BatchSink {
  readonly maxInFlight = 3;
  readonly begun: CompressedBatch[] = [];
  readonly #l1: BatchSink;
  readonly #waiting = new Map<bigint, PromiseWithResolvers<SubmissionReceipt>>();
  readonly #batches = new Map<bigint, CompressedBatch>();

  constructor(l1: MemoryL1) {
    this.#l1 = l1.sink();
  }

  submit(batch: CompressedBatch): Promise<SubmissionReceipt> {
    this.begun.push(batch);
    this.#batches.set(batch.batchNumber, batch);
    const waiting = Promise.withResolvers<SubmissionReceipt>();
    this.#waiting.set(batch.batchNumber, waiting);
    return waiting.promise;
  }

  get inFlight(): bigint[] {
    return [...this.#waiting.keys()];
  }

  async land(number: bigint): Promise<SubmissionReceipt> {
    const receipt = await this.#l1.submit(this.#batches.get(number)!);
    this.#waiting.get(number)!.resolve(receipt);
    this.#waiting.delete(number);
    return receipt;
  }

  fail(number: bigint, error: Error): void {
    this.#waiting.get(number)!.reject(error);
    this.#waiting.delete(number);
  }

  capacity(): Promise<number> {
    return this.#l1.capacity();
  }

  healthCheck(): Promise<void> {
    return Promise.resolve();
  }
}

interface World {
  readonly storage: MemoryStorage;
  readonly l1: MemoryL1;
  readonly clock: ManualClock;
}

function newWorld(): World {
  const clock = new ManualClock();
  return { storage: new MemoryStorage(), l1: new MemoryL1({ clock }), clock };
}

async function startIn({ storage, l1, clock }: World, blocks: readonly L2Block[]) {
  const journal = await BatcherJournal.open({ storage, directory: "data/batcher" });
  const source = new MemoryBatchSource(blocks, l1);
  const known = journal.state.position;
  const position = await recoverFromJournal({
    journal,
    start: { inbox: noise(20), batcher: noise(20, 1), l1Block: 0n, l1BlockHash: noise(32, 2) },
    source,
    l1: l1.source({ startBlock: known ? known.l1Block + 1n : 0n }),
    compressors: [new NoopCompressor()],
    clock,
  });
  const sink = new SlowSink(l1);
  const batcher = new BatcherPipeline(
    { source, compressor: new NoopCompressor(), sink, clock, journal },
    { maxBlocksPerBatch: 2 },
    position,
  );
  return { batcher, journal, position, sink, source };
}

/** Lets what is under way in memory come to its end. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 1));
}

const numbers = (batches: readonly CompressedBatch[]) => batches.map((each) => each.batchNumber);

test("BatcherPipeline submits as many at a time as its sink takes, in order", async () => {
  const { batcher, sink, journal } = await startIn(newWorld(), plainBlocks(10));
  const waiting = batcher.tick();
  await settle();
  deepEqual(numbers(sink.begun), [0n, 1n, 2n]);
  equal(batcher.pendingBlocks, 10);

  await sink.land(0n);
  equal((await waiting)?.batchNumber, 0n);
  equal(journal.state.position?.nextBatchNumber, 1n);
  equal(batcher.pendingBlocks, 8);

  // The second lands later than the third, and is told first.
  const next = batcher.tick();
  await settle();
  deepEqual(numbers(sink.begun), [0n, 1n, 2n, 3n]);
  sink.fail(2n, new SinkError("Connection", "down"));
  await sink.land(1n);
  equal((await next)?.batchNumber, 1n);
  await rejects(batcher.tick(), { code: "Connection" });

  const again = batcher.tick();
  await settle();
  deepEqual(numbers(sink.begun), [0n, 1n, 2n, 3n, 2n, 4n]);
  equal(sink.begun[4]!.data, sink.begun[2]!.data);
  await sink.land(2n);
  equal((await again)?.batchNumber, 2n);
});

test("BatcherPipeline goes on taking blocks while batches are on their way", async () => {
  const { batcher, sink, source } = await startIn(newWorld(), plainBlocks(2));
  equal(await batcher.tick(), undefined);
  deepEqual(sink.inFlight, [0n]);
  source.push(...plainBlocks(1, { first: 2 }));
  equal(await batcher.tick(), undefined);
  equal(batcher.pendingBlocks, 3);
  await sink.land(0n);
  await settle();
  equal((await batcher.tick())?.batchNumber, 0n);

  const flushed = batcher.forceSubmit();
  await settle();
  await sink.land(1n);
  equal((await flushed)?.batchNumber, 1n);
  deepEqual(await batcher.shutdown(), []);
});

test("BatcherPipeline submits again what failed, though no block follows", async () => {
  const { batcher, sink } = await startIn(newWorld(), plainBlocks(4));
  await batcher.tick();
  await settle();
  deepEqual(numbers(sink.begun), [0n, 1n]);
  sink.fail(0n, new SinkError("Connection", "down"));
  await settle();
  await rejects(batcher.tick(), { code: "Connection" });
  await batcher.tick();
  deepEqual(numbers(sink.begun), [0n, 1n, 0n]);
});

test("BatcherJournal has batches posted that a run before sealed, though no block follows", async () => {
  const world = newWorld();
  const first = await startIn(world, plainBlocks(4));
  await first.batcher.tick();
  deepEqual(numbers(first.sink.begun), [0n, 1n]);
  await first.journal.close();
  const { batcher, sink } = await startIn(world, []);
  await batcher.tick();
  deepEqual(numbers(sink.begun), [0n, 1n]);
});

test("BatcherPipeline.shutdown() waits for all that is on its way", async () => {
  const world = newWorld();
  const { batcher, sink } = await startIn(world, plainBlocks(5));
  equal(await batcher.tick(), undefined);
  const waiting = batcher.shutdown();
  await settle();
  deepEqual(sink.inFlight, [0n, 1n, 2n]);
  for (const number of [0n, 1n, 2n]) await sink.land(number);
  deepEqual((await waiting).map((each) => each.batchNumber), [0n, 1n, 2n]);
});

test("BatcherJournal has batches on their way posted again as they were, whatever landed", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 8 }),
      fc.nat({ max: 1000 }),
      async (landings, seed) => {
        const world = newWorld();
        const blocks = plainBlocks(20);
        const sealed = new Map<bigint, string>();
        let given = blocks;
        for (const landing of landings) {
          const { batcher, sink } = await startIn(world, given);
          given = []; // It gives its blocks once.
          const ticking = batcher.tick().catch(() => {});
          await settle();
          for (const { batchNumber, data } of sink.begun) {
            const text = data.join();
            equal(sealed.get(batchNumber) ?? text, text);
            sealed.set(batchNumber, text);
          }
          for (const number of sink.inFlight.slice(0, landing)) await sink.land(number);
          if (seed % 2 === 0) await settle();
          world.storage.crash(new SeededRandom(seed));
          void ticking;
        }
        const last = await startIn(world, given);
        const ended = last.batcher.shutdown();
        for (let isOver = false; !isOver;) {
          await settle();
          for (const number of last.sink.inFlight) await last.sink.land(number);
          isOver = await Promise.race([ended.then(() => true), settle().then(() => false)]);
        }
        const batches = await posted(world.l1);
        deepEqual(content(batches.flatMap((each) => each.blocks)), content(blocks));
        ok(batches.every(({ header }, index) => header.batchNumber === BigInt(index)));
      },
    ),
    { numRuns: 60 },
  );
});

test("BatcherPipeline: no batch is submitted behind one that failed, until that is submitted again", async () => {
  const { batcher, sink, source } = await startIn(newWorld(), plainBlocks(4));
  await batcher.tick();
  deepEqual(numbers(sink.begun), [0n, 1n]);
  sink.fail(1n, new SinkError("Timeout", "so it was planned"));
  await settle();
  source.push(...plainBlocks(2, { first: 4 }));
  const next = batcher.tick();
  await settle();
  deepEqual(numbers(sink.begun), [0n, 1n]);
  await sink.land(0n);
  equal((await next)?.batchNumber, 0n);
  await rejects(batcher.tick(), { code: "Timeout" });
  await batcher.tick();
  deepEqual(numbers(sink.begun), [0n, 1n, 1n, 2n]);
});
