import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { ManualClock, MemoryBatchSource, MemoryL1 } from "../../src/local/memory.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import { LevelChoice } from "../../src/pipeline/level.ts";
import type { Compressor } from "../../src/ports.ts";
import type { L2Block } from "../../src/types.ts";
import { content, Events, plainBlocks } from "../helpers.ts";
import { posted } from "./world.ts";

/** One batch each `seconds`, with `chainSeconds` of blocks in it. */
function noteEach(
  levels: LevelChoice<number>,
  count: number,
  { chainSeconds = 90, seconds = 10, waited = 1, isBacklog = true, from = 0 } = {},
) {
  const changes = [];
  for (let index = 1; index <= count; index++) {
    const nowMs = 1000 * (from + index * seconds);
    const waitedMs = 1000 * waited * seconds;
    const change = levels.note({ chainSeconds, nowMs, waitedMs, isBacklog });
    if (change) changes.push({ ...change, at: index, level: levels.step });
  }
  return changes;
}

test("LevelChoice keeps the best level through any backlog that is worked off faster than it grew", () => {
  const levels = new LevelChoice([11, 10, 9, 6], 2);
  deepEqual(noteEach(levels, 1000, { chainSeconds: 90, seconds: 89 }), []);
  equal(levels.step, 11);
});

test("LevelChoice falls step by step while less of the chain is sealed than passes, and stays at the last", () => {
  const levels = new LevelChoice([11, 10, 9, 6], 2);
  const changes = noteEach(levels, 30, { chainSeconds: 60, seconds: 61 });
  deepEqual(changes.map(({ at, level, reason }) => [at, level, reason]), [
    [5, 10, "behind"],
    [9, 9, "behind"],
    [13, 6, "behind"],
  ]);
  deepEqual([changes[0]!.chainSeconds, changes[0]!.seconds], [240, 244]);
});

test("LevelChoice rises again once nothing waits, and takes one batch in time for chance", () => {
  const levels = new LevelChoice([11, 9, 6], 1);
  noteEach(levels, 3, { chainSeconds: 1 });
  equal(levels.step, 9);
  deepEqual(noteEach(levels, 2, { chainSeconds: 1, isBacklog: false, from: 30 }), []);
  equal(noteEach(levels, 1, { chainSeconds: 1, from: 50 })[0]?.level, 6);
  deepEqual(noteEach(levels, 2, { chainSeconds: 1, isBacklog: false, from: 60 }), []);
  const risen = noteEach(levels, 1, { isBacklog: false, from: 80 });
  deepEqual(risen.map(({ level, reason }) => [level, reason]), [[9, "caught up"]]);
  equal(noteEach(levels, 10, { isBacklog: false }).length, 1);
  equal(levels.step, 11);
});

test("LevelChoice blames no compression for a slow sink", () => {
  const levels = new LevelChoice([11, 10], 1);
  deepEqual(noteEach(levels, 50, { chainSeconds: 1, waited: 0.4 }), []);
});

test("LevelChoice judges nothing by timestamps that stand still", () => {
  const levels = new LevelChoice([11, 10], 1);
  deepEqual(noteEach(levels, 50, { chainSeconds: 0 }), []);
});

test("BatcherPipeline lowers the level only while its workers lag behind the chain, and says so", async () => {
  // Blocks 2 s apart, ten a batch: 20 s of the chain.
  const play = async (
    secondsABatch: Readonly<Record<number, number>>,
    batches: number,
    maxBatchesAtOnce: number,
  ) => {
    const clock = new ManualClock();
    const events = new Events();
    const inner = new NoopCompressor();
    const atLevel = (level: number): Compressor => ({
      name: "made up",
      format: inner.format,
      level,
      async compress(data) {
        await new Promise((resolve) => setTimeout(resolve));
        clock.advance(1000 * secondsABatch[level]!);
        return await inner.compress(data);
      },
      decompress: (data) => inner.decompress(data),
      estimatedRatio: () => 1,
    });
    const l1 = new MemoryL1({ clock });
    const source = new MemoryBatchSource([], l1);
    const blocks = plainBlocks(10 * batches);
    let next = 0;
    // The chain goes on with the clock, from a backlog of some batches.
    const arrived = () => Math.min(blocks.length, 40 + Math.floor(clock.now() / 2000));
    const batcher = new BatcherPipeline(
      {
        source: {
          pendingBlocks(): Promise<readonly L2Block[]> {
            const from = next;
            next = Math.min(arrived(), next + 15);
            return Promise.resolve(blocks.slice(from, next));
          },
          l1Origin: () => source.l1Origin(),
          l1OriginHash: (number) => source.l1OriginHash(number),
          parentHash: () => source.parentHash(),
        },
        compressor: atLevel(11),
        faster: [atLevel(10), atLevel(9)],
        sink: l1.sink(),
        clock,
        log: events.log,
      },
      { maxBlocksPerBatch: 10, batchIntervalMs: 1_000_000, maxBatchesAtOnce },
    );
    while (next < blocks.length) if (!await batcher.tick()) clock.advance(1000);
    await batcher.shutdown();
    deepEqual(content((await posted(l1)).flatMap((each) => each.blocks)), content(blocks));
    return { events, levels: events.of("batch.sealed").map(({ level }) => level) };
  };

  for (const atOnce of [1, 3]) {
    const keepsUp = await play({ 11: 15 }, 40, atOnce);
    ok(keepsUp.levels.every((level) => level === 11));
    deepEqual(keepsUp.events.of("compression.level"), []);

    const lags = await play({ 11: 30, 10: 25, 9: 1 }, 100, atOnce);
    const changes = lags.events.of("compression.level");
    deepEqual(changes.slice(0, 2).map(({ level, reason }) => [level, reason]), [
      [10, "behind"],
      [9, "behind"],
    ]);
    ok(changes.some(({ level, reason }) => level === 10 && reason === "caught up"));
    equal(lags.levels[0], 11);
  }
});
