/**
 * What a deriver reads ahead must not be seen in what comes out of it.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { MAX_RAW_BATCH_BYTES } from "../../src/config.ts";
import { CompressionError, SinkError, SourceError } from "../../src/errors.ts";
import { ManualClock, MemoryBlockSink, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { DerivationRunner } from "../../src/pipeline/derivation_runner.ts";
import { DerivationPipeline } from "../../src/pipeline/deriver.ts";
import type { L1BatchSource, L2BlockSink } from "../../src/ports.ts";
import type { CompressedBatch } from "../../src/types.ts";
import { content, flaky, inTurn, makeBatch, noise, plainBlocks, post } from "../helpers.ts";
import { stepAll, withMembers } from "../helpers.ts";
import { deriverOf } from "./world.ts";

const unreachable = new SourceError("Connection", "unreachable");
const full = new SinkError("NoSpace", "full");

/** Batch `number`, which holds blocks `2 * number` and `2 * number + 1`. */
function batchAt(number: number, header = {}) {
  return makeBatch(plainBlocks(2, { first: 2 * number }), {
    batchNumber: BigInt(number),
    ...header,
  });
}

const anyPlan = fc.record({
  seed: fc.nat(),
  maxAheadBytes: fc.constantFrom(1, MAX_RAW_BATCH_BYTES + 3000, 2 * MAX_RAW_BATCH_BYTES, 2 ** 30),
  /** A number relative to the one that is due, and what becomes of it. */
  batches: fc.array(
    fc.record({
      step: fc.constantFrom(0, 0, 0, 0, 1, 2, -1, -3),
      kind: fc.constantFrom("good", "good", "good", "garbage", "misnumbered", "wrong origin"),
      sharesBlock: fc.boolean(),
    }),
    { maxLength: 30 },
  ),
  sourceFaults: fc.array(fc.constantFrom(0, 0, 0, 1, 2), { maxLength: 31 }),
  sinkFaults: fc.array(fc.boolean(), { maxLength: 40 }),
  hashFaults: fc.array(fc.boolean(), { maxLength: 20 }),
  /** How slow the sink and the source are, call by call. */
  slowness: fc.array(fc.nat(3), { minLength: 1, maxLength: 10 }),
});
type Plan = typeof anyPlan extends fc.Arbitrary<infer T> ? T : never;

/** An L1 with the batches of a plan; batches that are due go up one by one. */
async function l1Of({ batches }: Plan): Promise<MemoryL1> {
  const l1 = new MemoryL1();
  let due = 0;
  const together: CompressedBatch[] = [];
  for (const { step, kind, sharesBlock } of batches) {
    const number = Math.max(0, due + step);
    if (kind === "garbage") together.push({ batchNumber: BigInt(number), data: noise(30) });
    else if (kind === "misnumbered") {
      together.push({ ...await batchAt(number + 1), batchNumber: BigInt(number) });
    } else {
      const header = kind === "good" ? {} : { l1OriginCheck: noise(20) };
      together.push(await batchAt(number, header));
      if (kind === "good" && step === 0) due += 1;
    }
    if (!sharesBlock) await post(l1, ...together.splice(0));
  }
  await post(l1, ...together);
  return l1;
}

/** Fails so often before each answer, as a line that breaks down does. */
function failing(source: L1BatchSource, faults: readonly number[], slow: () => Promise<void>) {
  const left = [...faults];
  return withMembers(source, {
    nextBatch: async () => {
      await slow();
      if (left.length > 0 && left[0]! > 0) {
        left[0]! -= 1;
        throw unreachable;
      }
      const batch = await source.nextBatch();
      // Behind the last batch there is one place, however often it is asked for.
      if (batch) left.shift();
      return batch;
    },
  });
}

/** All that a deriver tells, gives and says of itself, in its order. */
async function storyOf(plan: Plan, maxAheadBytes: number): Promise<string[]> {
  const story: string[] = [];
  const l1 = await l1Of(plan);
  let calls = 0;
  const slow = async () => {
    const { slowness } = plan;
    for (let turns = slowness[calls++ % slowness.length]!; turns > 0; turns--) {
      await new Promise((resolve) => setTimeout(resolve));
    }
  };
  const sink: L2BlockSink = {
    ingest: async (block) => {
      await slow();
      story.push(`block ${block.timestamp} of ${block.batchNumber} in ${block.l1Block}`);
    },
    flush: async () => {
      await slow();
      story.push("flush");
    },
  };
  const faults = (given: readonly boolean[], error: Error) =>
    given.map((fails) => fails ? error : undefined);
  const deriver = new DerivationPipeline({
    source: flaky(
      failing(l1.source(), plan.sourceFaults, slow),
      inTurn({ l1BlockHash: faults(plan.hashFaults, unreachable) }),
    ),
    compressors: [new NoopCompressor()],
    sink: flaky(
      sink,
      inTurn({ ingest: faults(plan.sinkFaults, full), flush: faults(plan.sinkFaults, full) }),
    ),
    log: (event) => {
      if ("batch" in event && event.batch && "batchNumber" in event.batch) {
        story.push(`${event.event} ${event.batch.batchNumber}`);
      }
      if (event.event === "batch.dropped") story.push(`${event.error}`);
    },
  }, { maxAheadBytes });
  for (let isOver = false; !isOver;) {
    const result = await deriver.step().catch((error: Error) => error);
    isOver = result === undefined;
    if (result instanceof Error) story.push(`${result}`);
    const { position, l1Position, waitingFor } = deriver;
    story.push([position.nextBatchNumber, position.lastTimestamp, l1Position].join());
    story.push(`waits with ${waitingFor.held.join()}`);
  }
  return story;
}

test("DerivationPipeline tells the same story however far it reads ahead", async () => {
  await fc.assert(
    fc.asyncProperty(anyPlan, async (plan) => {
      deepEqual(await storyOf(plan, plan.maxAheadBytes), await storyOf(plan, 0));
    }),
    { numRuns: 80 },
  );
});

test("DerivationPipeline reads and opens the next batches while the sink is busy", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(0), await batchAt(1), await batchAt(2));
  const sink = new MemoryBlockSink();
  let openedAll!: () => void;
  const areOpen = new Promise<void>((resolve) => openedAll = resolve);
  let opened = 0;
  const none = new NoopCompressor();
  const compressor = withMembers(none, {
    decompress: (data) => {
      if (++opened === 3) openedAll();
      return none.decompress(data);
    },
  });
  // It takes no block before the last batch was opened: without reading ahead it would wait forever.
  const busy = withMembers<L2BlockSink>(sink, {
    ingest: async (block) => {
      await areOpen;
      await sink.ingest(block);
    },
  });
  const config = { maxAheadBytes: 4 * MAX_RAW_BATCH_BYTES };
  const { deriver } = deriverOf(l1, { sink: busy, compressors: [compressor], config });
  equal((await deriver.step())?.verdict, "accept");
  await deriver.stopReadingAhead();
  ok(deriver.aheadBytes > 2 * (67 + 2 * 27), `${deriver.aheadBytes}`);
  deepEqual(deriver.position, { nextBatchNumber: 1n, lastTimestamp: 1002n });
  deepEqual(content(sink.blocks), content(plainBlocks(2)));
  deepEqual(await stepAll(deriver), ["accept 1", "accept 2"]);
  deepEqual([deriver.aheadBytes, opened], [0, 3]);
});

test("DerivationPipeline opens no duplicate and nothing from the future ahead", async () => {
  const l1 = new MemoryL1();
  const numbers = [0, 0, 0, 3, 1, 1, 2, 4, 0];
  await post(l1, ...await Promise.all(numbers.map((number) => batchAt(number))));
  let opened = 0;
  const none = new NoopCompressor();
  const compressor = withMembers(none, {
    decompress: (data) => {
      opened += 1;
      return none.decompress(data);
    },
  });
  const { deriver, sink } = deriverOf(l1, { compressors: [compressor] });
  await stepAll(deriver);
  deepEqual(content(sink.blocks), content(plainBlocks(10)));
  equal(opened, 5);
});

test("DerivationPipeline judges by L1 as it is at a batch's turn", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(0), await batchAt(1, { l1OriginCheck: noise(20) }));
  const inner = l1.source();
  let hash = await inner.l1BlockHash(0n);
  const source = withMembers(inner, { l1BlockHash: () => Promise.resolve(hash) });
  const { deriver } = deriverOf(l1, { source });
  equal((await deriver.step())?.verdict, "accept");
  await deriver.stopReadingAhead();
  hash = Uint8Array.of(...noise(20), ...new Uint8Array(12));
  deepEqual(await stepAll(deriver), ["accept 1"]);
});

test("DerivationPipeline tells of an engine that failed ahead when the batch's turn comes", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(0), await batchAt(1), await batchAt(2));
  const failed = new CompressionError("Failed", "out of memory");
  const compressor = flaky(new NoopCompressor(), inTurn({ decompress: [undefined, failed] }));
  const { deriver, sink } = deriverOf(l1, { compressors: [compressor] });
  equal((await deriver.step())?.verdict, "accept");
  await deriver.stopReadingAhead();
  await rejects(deriver.step(), failed);
  deepEqual(await stepAll(deriver), ["accept 1", "accept 2"]);
  deepEqual(content(sink.blocks), content(plainBlocks(6)));
});

test("DerivationPipeline refuses bounds that are none", () => {
  for (const value of [-1, 0.5, NaN]) {
    for (const key of ["maxAheadBytes", "maxWaitingBytes"]) {
      throws(() => deriverOf(new MemoryL1(), { config: { [key]: value } }), {
        name: "ConfigError",
        code: "Invalid",
        message: new RegExp(`${key} ${value}`),
      });
    }
  }
});

/** A runner over batches 0 to 5, one in each L1 block, that is aborted while batch 1 is handed over. */
async function abortedRun(nextBatch?: (source: L1BatchSource) => L1BatchSource["nextBatch"]) {
  const l1 = new MemoryL1();
  for (let number = 0; number < 6; number++) await post(l1, await batchAt(number));
  const end = new AbortController();
  const sink = new MemoryBlockSink();
  const inner = l1.source();
  let callsAtEnd: number | undefined;
  let calls = 0;
  const source = withMembers(inner, {
    nextBatch: () => {
      calls += 1;
      return (nextBatch?.(inner) ?? (() => inner.nextBatch()))();
    },
  });
  const runner = new DerivationRunner({
    source,
    compressors: [new NoopCompressor()],
    sink: withMembers<L2BlockSink>(sink, {
      ingest: async (block) => {
        await sink.ingest(block);
        if (block.batchNumber !== 1n || end.signal.aborted) return;
        end.abort();
        callsAtEnd = calls;
      },
    }),
    clock: new ManualClock(),
    random: new SeededRandom(),
  }, { maxAheadBytes: MAX_RAW_BATCH_BYTES + 5000 });
  await runner.run({ signal: end.signal });
  await new Promise((resolve) => setTimeout(resolve));
  equal(calls, callsAtEnd);
  return { runner, sink, l1 };
}

test("DerivationRunner.run() stops with its position where the blocks are, not where it read", async () => {
  const { runner, sink, l1 } = await abortedRun();
  const { position, l1Position, aheadBytes } = runner.pipeline;
  deepEqual([position, l1Position], [{ nextBatchNumber: 2n, lastTimestamp: 1006n }, 2n]);
  ok(aheadBytes > 0);
  deepEqual(content(sink.blocks), content(plainBlocks(4)));

  const other = deriverOf(l1, { position, source: l1.source({ startBlock: l1Position! }) });
  deepEqual((await stepAll(other.deriver)).slice(1), [
    "accept 2",
    "accept 3",
    "accept 4",
    "accept 5",
  ]);
  await runner.run({ once: true });
  deepEqual(content(sink.blocks), content(plainBlocks(12)));
});

test("DerivationRunner.run() does not wait for what is being read ahead when it is stopped", async () => {
  let calls = 0;
  const { runner, sink } = await abortedRun((source) => () =>
    calls++ < 2 ? source.nextBatch() : new Promise(() => {})
  );
  equal(runner.pipeline.position.nextBatchNumber, 2n);
  deepEqual(content(sink.blocks), content(plainBlocks(4)));
});

test("DerivationRunner.run() leaves nothing read ahead when the sink cannot go on", async () => {
  const l1 = new MemoryL1();
  for (let number = 0; number < 3; number++) await post(l1, await batchAt(number));
  const changed = new SinkError("Changed", "another file");
  const source = flaky(l1.source(), inTurn({ nextBatch: [undefined, undefined, unreachable] }));
  const runner = new DerivationRunner({
    source,
    compressors: [new NoopCompressor()],
    sink: flaky<L2BlockSink>(new MemoryBlockSink(), inTurn({ ingest: [undefined, changed] })),
    clock: new ManualClock(),
    random: new SeededRandom(),
  });
  // What failed ahead of it is not what ended the run, and is nobody's unhandled rejection.
  await rejects(runner.run({ once: true }), changed);
  equal(runner.metrics().source_errors, 0);
  await runner.run({ once: true });
  deepEqual([runner.metrics().batches_derived, runner.metrics().source_errors], [3, 1]);
});
