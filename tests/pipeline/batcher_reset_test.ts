/**
 * What becomes of blocks that were taken when L2 goes another way.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { SourceError } from "../../src/errors.ts";
import { ManualClock, MemoryBatchSource, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import { BatcherJournal } from "../../src/pipeline/batcher_journal.ts";
import { recoverFromJournal } from "../../src/pipeline/journaled_recovery.ts";
import type { L2Block } from "../../src/types.ts";
import { content, Events, linkedBlocks, noise } from "../helpers.ts";
import { posted, worldOf } from "./world.ts";

/** Blocks of another chain behind block `first - 1`. */
function otherBlocks(count: number, first: number): L2Block[] {
  return linkedBlocks(count, { first, size: 30 }).map((block) => ({
    ...block,
    hash: noise(32, 77_000 + Number(block.number)),
  }));
}

const WAIT = { batchIntervalMs: 1000, minBatchBytes: 1 };

test("BatcherPipeline replaces the blocks that L2 no longer has, where no batch holds them", async () => {
  const blocks = linkedBlocks(10);
  const other = otherBlocks(3, 6);
  const { l1, source, batcher, events } = worldOf(blocks, { config: WAIT });
  equal(await batcher.tick(), undefined);
  equal(batcher.pendingBlocks, 10);

  source.reorganise(5n, other);
  await batcher.tick();
  await batcher.tick();
  equal(batcher.pendingBlocks, 9);
  await batcher.shutdown();
  const expected = [...blocks.slice(0, 6), ...other];
  deepEqual(content((await posted(l1)).flatMap((each) => each.blocks)), content(expected));
  deepEqual(events.of("blocks.dropped"), [{ event: "blocks.dropped", number: 5n, blocks: 4 }]);
});

test("BatcherPipeline drops batches that are being compressed, and not those that are sealed", async () => {
  const blocks = linkedBlocks(9);
  const { l1, source, batcher } = worldOf(blocks, {
    config: { maxBlocksPerBatch: 3, maxBatchesAtOnce: 3 },
  });
  equal((await batcher.tick())?.batchNumber, 0n);
  const other = otherBlocks(4, 3);
  source.reorganise(2n, other);
  for (let tick = 0; tick < 5; tick++) await batcher.tick();
  await batcher.shutdown();
  const found = (await posted(l1)).flatMap((each) => each.blocks);
  deepEqual(content(found), content([...blocks.slice(0, 3), ...other]));
});

test("BatcherPipeline stops where L2 no longer has a block of a sealed batch, and says what to do", async () => {
  const { source, batcher } = worldOf(linkedBlocks(5), { config: { maxBlocksPerBatch: 3 } });
  equal((await batcher.tick())?.batchNumber, 0n);
  source.reorganise(1n, otherBlocks(9, 2));
  const stopped = {
    name: "PipelineError",
    code: "Reorganised",
    kind: "critical",
    message: /L2 no longer has block 2, which sealed batches up to 0 hold.*--data-dir/,
  };
  await rejects(batcher.tick(), stopped);
  await rejects(batcher.tick(), stopped);
});

test("BatcherPipeline passes on a reorganisation that its source cannot go back over", async () => {
  const error = new SourceError("Reorganised", "gone", { details: { block: 1n } });
  const { batcher, source } = worldOf(linkedBlocks(5), { config: WAIT });
  await batcher.tick();
  const unable = new BatcherPipeline({
    source: {
      pendingBlocks: () => Promise.reject(error),
      l1Origin: () => source.l1Origin(),
      l1OriginHash: (number) => source.l1OriginHash(number),
      parentHash: () => source.parentHash(),
    },
    compressor: new NoopCompressor(),
    sink: new MemoryL1().sink(),
    clock: new ManualClock(),
  });
  await rejects(unable.tick(), error);
});

/** A batcher on a disk; its source knows what was taken, as those of L2 nodes do. */
async function startOn(storage: MemoryStorage, l1: MemoryL1, blocks: readonly L2Block[]) {
  const clock = new ManualClock();
  const journal = await BatcherJournal.open({ storage, directory: "batcher" });
  const { taken, position } = journal.state;
  const source = new MemoryBatchSource([...taken, ...blocks], l1);
  if (taken.length > 0) await source.pendingBlocks();
  const events = new Events();
  const recovered = await recoverFromJournal({
    journal,
    start: { inbox: noise(20), batcher: noise(20, 1), l1Block: 0n, l1BlockHash: noise(32, 2) },
    source,
    l1: l1.source({ startBlock: position ? position.l1Block + 1n : 0n }),
    compressors: [new NoopCompressor()],
    clock,
  });
  const batcher = new BatcherPipeline(
    { source, compressor: new NoopCompressor(), sink: l1.sink(), clock, journal, log: events.log },
    { maxBlocksPerBatch: 4, ...WAIT },
    recovered,
  );
  return { journal, source, batcher, events };
}

test("BatcherJournal holds the blocks of L2's new way after a crash", async () => {
  const storage = new MemoryStorage();
  const l1 = new MemoryL1({ clock: new ManualClock() });
  const blocks = linkedBlocks(3);
  const first = await startOn(storage, l1, blocks);
  await first.batcher.tick();
  const other = otherBlocks(1, 2);
  first.source.reorganise(1n, other);
  await first.batcher.tick();
  await first.batcher.tick();
  equal(first.journal.blocks, 3);
  storage.crash(new SeededRandom(1));

  const second = await startOn(storage, l1, []);
  deepEqual(content(second.journal.state.taken), content([...blocks.slice(0, 2), ...other]));
  await second.batcher.shutdown();
  const found = (await posted(l1)).flatMap((each) => each.blocks);
  deepEqual(content(found), content([...blocks.slice(0, 2), ...other]));
});

test("BatcherPipeline asks whether L2 went another way before it seals what an earlier run took", async () => {
  const storage = new MemoryStorage();
  const l1 = new MemoryL1({ clock: new ManualClock() });
  const blocks = linkedBlocks(3);
  const first = await startOn(storage, l1, blocks);
  await first.batcher.tick();
  storage.crash(new SeededRandom(1));

  const { source, journal } = await startOn(storage, l1, []);
  const other = otherBlocks(3, 1);
  source.reorganise(0n, other);
  const pending = journal.state.taken;
  const batcher = new BatcherPipeline(
    {
      source,
      compressor: new NoopCompressor(),
      sink: l1.sink(),
      clock: new ManualClock(),
      journal,
    },
    // What was taken is reason enough to seal without asking for more.
    { maxBlocksPerBatch: pending.length },
    { nextBatchNumber: 0n, pending },
  );
  await batcher.tick();
  await batcher.tick();
  await batcher.shutdown();
  const found = (await posted(l1)).flatMap((each) => each.blocks);
  deepEqual(content(found), content([...blocks.slice(0, 1), ...other]));
});

test("BatcherPipeline seals nothing that an earlier run took while it cannot ask for L2", async () => {
  const pending = linkedBlocks(3);
  const down = new SourceError("Connection", "down");
  const { l1, source, batcher } = worldOf(pending, {
    config: { maxBlocksPerBatch: 3 },
    position: { nextBatchNumber: 0n, pending },
    faults: { pendingBlocks: [down, down] },
  });
  await source.pendingBlocks();
  await rejects(batcher.tick(), down);
  await rejects(batcher.shutdown(), down);
  equal((await posted(l1)).length, 0);
  await batcher.shutdown();
  deepEqual(content((await posted(l1)).flatMap((each) => each.blocks)), content(pending));
});
