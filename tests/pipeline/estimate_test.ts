import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { NoopCompressor } from "../../src/compress/noop.ts";
import type { PipelineConfig } from "../../src/config.ts";
import { SourceError } from "../../src/errors.ts";
import { ManualClock, MemoryBatchSource, MemoryL1 } from "../../src/local/memory.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import { estimateBatches, type EstimatedBatch } from "../../src/pipeline/estimate.ts";
import type { BatchSource, LogEvent } from "../../src/ports.ts";
import type { L2Block } from "../../src/types.ts";
import { BLOB_SIZE } from "../../src/wire/blob.ts";
import { Events, noise, plainBlocks, withMembers } from "../helpers.ts";

const HOUR_MS = 3_600_000;
const compressor = new NoopCompressor();

/** What can be told of a batch before and after it is posted. */
type Told = Pick<
  EstimatedBatch,
  "batchNumber" | "reason" | "blocks" | "transactions" | "rawBytes" | "compressedBytes" | "blobs"
>;

function told({ batchNumber, reason, blocks, transactions, ...sizes }: Told): Told {
  const { rawBytes, compressedBytes, blobs } = sizes;
  return { batchNumber, reason, blocks, transactions, rawBytes, compressedBytes, blobs };
}

/** What was posted, by the events of whoever posted it. */
function postedIn(events: Events): Told[] {
  const sealed = events.of("batch.sealed");
  return events.of("batch.submitted").map((event, index) =>
    told({
      ...event,
      batchNumber: event.receipt.batchNumber,
      blobs: event.receipt.blobHashes.length,
      transactions: sealed[index]!.transactions,
    })
  );
}

async function ticks(batcher: BatcherPipeline, events: Events): Promise<void> {
  for (;;) {
    const before = events.of("blocks.taken").length;
    if (!await batcher.tick() && events.of("blocks.taken").length === before) return;
  }
}

/** A batcher that looks each second, while blocks come at their timestamps. */
async function live(blocks: readonly L2Block[], config: Partial<PipelineConfig>): Promise<Told[]> {
  const clock = new ManualClock(Number(blocks[0]!.timestamp) * 1000);
  const l1 = new MemoryL1();
  const source = new MemoryBatchSource([], l1);
  const events = new Events();
  const parts = { source, compressor, sink: l1.sink(), clock, log: events.log };
  const batcher = new BatcherPipeline(parts, config);
  for (let left = [...blocks]; left.length > 0; clock.advance(1000)) {
    const isThere = ({ timestamp }: L2Block) => Number(timestamp) * 1000 <= clock.now();
    source.push(...left.filter(isThere));
    left = left.filter((block) => !isThere(block));
    await ticks(batcher, events);
  }
  await batcher.shutdown();
  return postedIn(events);
}

/** A batcher that finds all of them. */
async function atOnce(
  blocks: readonly L2Block[],
  config: Partial<PipelineConfig>,
  parts: { readonly compressor: BrotliCompressor; readonly estimator: BrotliCompressor },
): Promise<Told[]> {
  const l1 = new MemoryL1();
  const events = new Events();
  const batcher = new BatcherPipeline({
    ...parts,
    source: new MemoryBatchSource(blocks, l1),
    sink: l1.sink(),
    clock: new ManualClock(),
    log: events.log,
  }, config);
  await ticks(batcher, events);
  await batcher.shutdown();
  return postedIn(events);
}

function partsFor(blocks: readonly L2Block[]) {
  const l1 = new MemoryL1();
  return { source: new MemoryBatchSource(blocks, l1), compressor, sink: l1.sink() };
}

const chains = fc.array(
  fc.record({ gapS: fc.nat({ max: 20 }), size: fc.nat({ max: 60_000 }) }),
  { minLength: 1, maxLength: 40 },
).map((each) => {
  let timestamp = 1000n;
  return each.map(({ gapS, size }, index): L2Block => {
    timestamp += BigInt(gapS);
    return { timestamp, transactions: [noise(size, index)] };
  });
});

test("estimateBatches() tells the batches that a batcher posts at the head of the chain", async () => {
  const settings = fc.record({
    batchIntervalMs: fc.nat({ max: 40 }).map((s) => 1000 * s),
    maxWaitMs: fc.integer({ min: 1, max: 60 }).map((s) => 1000 * s),
    minBatchBytes: fc.nat({ max: 100_000 }),
    maxBlocksPerBatch: fc.integer({ min: 1, max: 12 }),
    maxBatchBytes: fc.integer({ min: 1, max: 3 }).map((blobs) => blobs * BLOB_SIZE),
    maxBatchesAtOnce: fc.integer({ min: 1, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(chains, settings, async (blocks, config) => {
      const estimated = await estimateBatches(partsFor(blocks), config);
      deepEqual(estimated.map(told), await live(blocks, config));
    }),
    { numRuns: 150 },
  );
});

test("estimateBatches() of a backlog tells the batches of a batcher that finds all at once", async () => {
  const brotli = {
    compressor: new BrotliCompressor({ level: 5 }),
    estimator: new BrotliCompressor({ level: 1 }),
  };
  const config = { batchIntervalMs: HOUR_MS, maxBatchBytes: BLOB_SIZE, maxBatchesAtOnce: 3 };
  const blocks = plainBlocks(60, { size: 9000 });
  const estimated = await estimateBatches({ ...partsFor(blocks), ...brotli }, config, {
    isBacklog: true,
  });
  const batches = estimated.map(told);
  deepEqual(batches, await atOnce(blocks, config, brotli));
  deepEqual(batches.map(({ reason }) => reason).slice(0, -1), ["full", "full", "full", "full"]);
  equal(batches.reduce((sum, each) => sum + each.blocks, 0), 60);
  equal(estimated[0]!.waitedMs, undefined);
});

test("estimateBatches() tells how long the first block of a batch waited", async () => {
  const blocks = plainBlocks(10);
  const waits = async (config: Partial<PipelineConfig>) =>
    (await estimateBatches(partsFor(blocks), config)).map((each) => [each.blocks, each.waitedMs]);
  deepEqual(await waits({ batchIntervalMs: 6000, minBatchBytes: 10_000 }), [
    [4, 6000],
    [4, 6000],
    [2, 2000],
  ]);
  deepEqual(await waits({ batchIntervalMs: HOUR_MS }), [[10, 18_000]]);
  deepEqual(await waits({ batchIntervalMs: 0 }), blocks.map(() => [1, 0]));
});

test("estimateBatches() goes on with a source that has nothing for a moment, and ends with it", async () => {
  const blocks = plainBlocks(4);
  const given = [[], blocks.slice(0, 1), [], [], blocks.slice(1)];
  const { source, ...parts } = partsFor([]);
  const halting: BatchSource = {
    get isExhausted() {
      return given.length === 0;
    },
    pendingBlocks: () => Promise.resolve(given.shift() ?? []),
    l1Origin: () => source.l1Origin(),
    l1OriginHash: (number) => source.l1OriginHash(number),
    parentHash: () => source.parentHash(),
  };
  const estimated = await estimateBatches({ ...parts, source: halting });
  deepEqual(estimated.map((each) => each.blocks), [4]);
  deepEqual(await estimateBatches(partsFor([])), []);
});

test("estimateBatches() throws what the source throws, and tells its log what a batcher would", async () => {
  const { source, ...parts } = partsFor([]);
  const broken = withMembers<BatchSource>(source, {
    pendingBlocks: () => Promise.reject(new SourceError("Gap", "two blocks are missing")),
  });
  await rejects(estimateBatches({ ...parts, source: broken }), { code: "Gap" });
  await rejects(estimateBatches(partsFor(plainBlocks(1)), { batchIntervalMs: -1 }), {
    code: "Invalid",
  });
  const names: string[] = [];
  const log = (event: LogEvent) => void names.push(event.event);
  await estimateBatches({ ...partsFor(plainBlocks(2)), log }, {}, { isBacklog: true });
  deepEqual(names, ["blocks.taken", "batch.sealed", "batch.submitted"]);
});
