import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { CompressionError, SinkError, SourceError } from "../../src/errors.ts";
import { MemoryBlockSink, MemoryL1 } from "../../src/local/memory.ts";
import type { L1BatchSource, L2BlockSink } from "../../src/ports.ts";
import { content, draftOf, flaky, inTurn, makeBatch } from "../helpers.ts";
import { mineEmpty, plainBlocks, post, stepAll, withMembers } from "../helpers.ts";
import { deriverOf } from "./world.ts";

const unreachable = new SourceError("Connection", "unreachable");
const full = new SinkError("NoSpace", "full");

/** Batch `number`, which holds blocks `2 * number` and `2 * number + 1`. */
function batchAt(number: number) {
  return makeBatch(plainBlocks(2, { first: 2 * number }), { batchNumber: BigInt(number) });
}

test("DerivationPipeline.step() gives back the blocks of a batch, and where they come from", async () => {
  const l1 = new MemoryL1();
  await mineEmpty(l1, 2);
  await post(l1, await batchAt(0));
  const { deriver, sink, events } = deriverOf(l1);
  const result = await deriver.step();
  equal(result?.verdict, "accept");
  deepEqual(
    [result.blocks, result.rawBytes, result.batch.inclusion.blockNumber],
    [2, 67 + 2 * 27, 3n],
  );
  equal(await deriver.step(), undefined);
  const [first, second] = plainBlocks(2);
  const origin = { batchNumber: 0n, l1Origin: 0n, l1Block: 3n };
  const parentCheck = new Uint8Array(20);
  deepEqual(sink.blocks, [{ ...first, ...origin, parentCheck }, { ...second, ...origin }]);
  const [accepted] = events.of("batch.accepted");
  deepEqual([accepted?.blocks, accepted?.transactions, accepted?.rawBytes], [2, 2, 121]);
  deepEqual(deriver.position, { nextBatchNumber: 1n, lastTimestamp: 1002n });
});

test("DerivationPipeline reads every batch of an L1 block, not only the first", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(0), await batchAt(1), await batchAt(2));
  await post(l1, await batchAt(3));
  const { deriver, sink } = deriverOf(l1);
  deepEqual(await stepAll(deriver), ["accept 0", "accept 1", "accept 2", "accept 3"]);
  deepEqual(content(sink.blocks), content(plainBlocks(8)));
});

test("DerivationPipeline starts with batch 0, and with another only by position", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(1), await batchAt(2));
  deepEqual(await stepAll(deriverOf(l1).deriver), ["future 1", "future 2"]);
  const position = { nextBatchNumber: 2n, lastTimestamp: 1006n };
  deepEqual(await stepAll(deriverOf(l1, { position }).deriver), ["duplicate 1", "accept 2"]);
});

test("DerivationPipeline takes the first of a number and skips the others", async () => {
  const l1 = new MemoryL1();
  const other = await makeBatch(plainBlocks(5, { first: 50 }));
  await post(l1, await batchAt(0), await batchAt(0), other);
  await post(l1, await batchAt(1), await batchAt(0));
  const { deriver, sink, events } = deriverOf(l1);
  deepEqual(await stepAll(deriver), [
    "accept 0",
    "duplicate 0",
    "duplicate 0",
    "accept 1",
    "duplicate 0",
  ]);
  deepEqual(content(sink.blocks), content(plainBlocks(4)));
  deepEqual(events.of("batch.duplicate").map((each) => each.expected), [1n, 1n, 2n]);
});

test("DerivationPipeline keeps batches from the future until their turn", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(3), await batchAt(1), await batchAt(3));
  await post(l1, await batchAt(2));
  const { deriver, sink } = deriverOf(l1);
  deepEqual(await stepAll(deriver), ["future 3", "future 1", "future 3", "future 2"]);
  deepEqual(deriver.waitingFor, { expected: 0n, held: [3n, 1n, 3n, 2n] });
  equal(deriver.l1Position, 1n);
  await post(l1, await batchAt(0), await batchAt(4));
  deepEqual(await stepAll(deriver), [
    ...["accept 0", "accept 1", "accept 2", "accept 3", "duplicate 3", "accept 4"],
  ]);
  deepEqual(content(sink.blocks), content(plainBlocks(10)));
  deepEqual(deriver.waitingFor, { expected: 5n, held: [] });
  equal(deriver.l1Position, 3n);
});

test("DerivationPipeline waits for a missing batch to the end of the window, then names the gap", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(0), await batchAt(2), await batchAt(3)); // In L1 block 1.
  await mineEmpty(l1, 3600);
  const { deriver, sink } = deriverOf(l1);
  deepEqual(await stepAll(deriver), ["accept 0", "future 2", "future 3"]);
  await mineEmpty(l1, 1);
  const gap = {
    name: "PipelineError",
    code: "SequenceGap",
    kind: "critical",
    message: /batch 1: it is missing on L1, batch 2 is there, and the sequencing window of 3600/,
  };
  await rejects(deriver.step(), gap);
  await rejects(deriver.step(), gap);
  equal(sink.blocks.length, 2);
});

test("DerivationPipeline drops what could never be accepted, where its window is over, and goes on", async () => {
  const l1 = new MemoryL1();
  await post(l1, { batchNumber: 18_446_744_073_709_551_615n, data: Uint8Array.of(0, 255) });
  const other = await batchAt(3);
  await post(l1, { ...other, batchNumber: 9n });
  const { deriver } = deriverOf(l1);
  deepEqual(await stepAll(deriver), ["future 18446744073709551615", "future 9"]);
  await mineEmpty(l1, 3700);
  deepEqual(await stepAll(deriver), [
    "drop 18446744073709551615 undecodable",
    "drop 9 number_mismatch",
  ]);
  await post(l1, await batchAt(0));
  deepEqual(await stepAll(deriver), ["drop 0 origin_expired"]);
  deepEqual(deriver.waitingFor, { expected: 0n, held: [] });
});

test("DerivationPipeline names no gap by a head that moved after it had read", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(1));
  const source = l1.source();
  // The missing batch lands with many blocks, between the look at batches and the look at the head.
  let isAsked = false;
  const { deriver } = deriverOf(l1, {
    config: { maxAheadBytes: 0 },
    source: withMembers<L1BatchSource>(source, {
      async nextBatch() {
        const batch = await source.nextBatch();
        if (batch || isAsked) return batch;
        isAsked = true;
        await post(l1, await batchAt(0));
        await mineEmpty(l1, 3700);
        return undefined;
      },
    }),
  });
  deepEqual(await stepAll(deriver), ["future 1"]);
  deepEqual(await stepAll(deriver), ["accept 0", "accept 1"]);
});

test("DerivationPipeline keeps no more of the future than it may", async () => {
  const l1 = new MemoryL1();
  const { data } = await batchAt(2);
  await post(l1, await batchAt(2), await batchAt(3), await batchAt(4));
  const { deriver } = deriverOf(l1, { config: { maxWaitingBytes: 2 * data.length } });
  equal((await deriver.step())?.verdict, "future");
  equal((await deriver.step())?.verdict, "future");
  const gap = {
    code: "SequenceGap",
    message: /batch 0.*batch 4 is there.*more than 244 bytes wait/,
  };
  await rejects(deriver.step(), gap);
  await rejects(deriver.step(), gap);
  deepEqual(deriver.waitingFor.held, [2n, 3n]);
});

test("DerivationPipeline loses no batch when the sink fails in the middle of it", async () => {
  const l1 = new MemoryL1();
  await post(
    l1,
    await makeBatch(plainBlocks(5)),
    await makeBatch(plainBlocks(2, { first: 5 }), { batchNumber: 1n }),
  );
  const sink = new MemoryBlockSink();
  const flushing = withMembers<L2BlockSink>(sink, { flush: () => Promise.resolve() });
  const faults = inTurn({
    ingest: [undefined, undefined, full, full, undefined, full],
    flush: [full, full],
  });
  const { deriver, events } = deriverOf(l1, { sink: flaky(flushing, faults) });
  await rejects(deriver.step(), full);
  equal(sink.blocks.length, 2);
  await rejects(deriver.step(), full);
  await rejects(deriver.step(), full);
  equal(sink.blocks.length, 3);
  deepEqual(deriver.position, { nextBatchNumber: 0n });
  await rejects(deriver.step(), full); // All are taken, and not safe yet.
  await rejects(deriver.step(), full);
  equal(sink.blocks.length, 5);
  deepEqual(events.all, []);
  deepEqual(await stepAll(deriver), ["accept 0", "accept 1"]);
  deepEqual(content(sink.blocks), content(plainBlocks(7)));
});

test("DerivationPipeline loses no batch when L1 or the sink cannot be asked about it", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(0), await batchAt(1));
  const source = flaky(
    l1.source(),
    inTurn({
      nextBatch: [unreachable, undefined, unreachable],
      l1BlockHash: [unreachable, unreachable],
      l1Head: [unreachable],
    }),
  );
  const { deriver, sink } = deriverOf(l1, { source });
  for (let failure = 0; failure < 3; failure++) await rejects(deriver.step(), unreachable);
  equal((await deriver.step())?.verdict, "accept");
  await rejects(deriver.step(), unreachable);
  deepEqual(await stepAll(deriver), ["accept 1"]);
  deepEqual(content(sink.blocks), content(plainBlocks(4)));
});

test("DerivationPipeline drops nothing because its own L1 source lags", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(0));
  let asked = 0;
  const inner = l1.source();
  const source = withMembers(inner, {
    l1BlockHash: (number) => asked++ === 0 ? Promise.resolve(undefined) : inner.l1BlockHash(number),
  });
  const { deriver } = deriverOf(l1, { source });
  await rejects(deriver.step(), {
    name: "SourceError",
    code: "NoOrigin",
    kind: "temporary",
    message: /batch 0: its L1 origin 0 is not to be had, though L1 block 1/,
  });
  deepEqual(await stepAll(deriver), ["accept 0"]);
});

test("DerivationPipeline drops nothing because its own engine gave up", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(0));
  const failed = new CompressionError("Failed", "out of memory");
  const compressor = flaky(new NoopCompressor(), inTurn({ decompress: [failed] }));
  const { deriver } = deriverOf(l1, { compressors: [compressor] });
  await rejects(deriver.step(), failed);
  deepEqual(await stepAll(deriver), ["accept 0"]);
});

test("DerivationPipeline goes on from its position after any step, each block once", async () => {
  const l1 = new MemoryL1();
  for (const numbers of [[0], [2, 1], [1, 3], [5, 4, 6]]) {
    await post(l1, ...await Promise.all(numbers.map(batchAt)));
  }
  for (let steps = 0; steps < 12; steps++) {
    const { deriver, sink } = deriverOf(l1);
    for (let step = 0; step < steps; step++) await deriver.step();
    const { position, l1Position = 0n } = deriver;
    const source = l1.source({ startBlock: l1Position });
    await stepAll(deriverOf(l1, { sink, position, source }).deriver);
    deepEqual(content(sink.blocks), content(plainBlocks(14)), `after ${steps} steps`);
  }
});

test("DerivationPipeline.l1Position stays at a kept batch until its blocks are safe", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(1));
  await mineEmpty(l1, 3);
  await post(l1, await batchAt(0));
  const sink = new MemoryBlockSink();
  const faulty = flaky(sink, inTurn({ ingest: [undefined, undefined, full, undefined, full] }));
  const { deriver } = deriverOf(l1, { sink: faulty });
  deepEqual([(await deriver.step())?.verdict, (await deriver.step())?.verdict], [
    "future",
    "accept",
  ]);
  for (let failure = 0; failure < 2; failure++) {
    await rejects(deriver.step(), full);
    equal(deriver.l1Position, 1n);
  }
  deepEqual(await stepAll(deriver), ["accept 1"]);
  equal(deriver.l1Position, 5n);
});

test("DerivationPipeline decompresses each format, and counts what comes out", async () => {
  const l1 = new MemoryL1();
  const blocks = plainBlocks(1).map((each) => ({ ...each, transactions: [new Uint8Array(9000)] }));
  await post(l1, await makeBatch(blocks, {}, new BrotliCompressor({ level: 5 })), await batchAt(1));
  const { deriver, sink } = deriverOf(l1, {
    compressors: [new BrotliCompressor(), new NoopCompressor()],
  });
  const first = await deriver.step();
  equal(first?.verdict === "accept" && first.rawBytes, 67 + 4 + 3 + 9000);
  equal((await deriver.step())?.verdict, "accept");
  deepEqual(content(sink.blocks), content([...blocks, ...plainBlocks(2, { first: 2 })]));
});

test("DerivationPipeline reads batches of several blobs among calldata", async () => {
  const l1 = new MemoryL1();
  const wide = plainBlocks(2, { size: 150_000 });
  const batch = await makeBatch(wide);
  const next = await makeBatch(plainBlocks(1, { first: 2 }), { batchNumber: 1n });
  await l1.mine([draftOf(batch, { da: "blobs" }), draftOf(next)], 0n);
  const { deriver, sink } = deriverOf(l1);
  const blobs: number[] = [];
  for (let result; (result = await deriver.step());) {
    if (result.verdict !== "reset") blobs.push(result.batch.inclusion.blobs);
  }
  deepEqual(blobs, [3, 0]);
  deepEqual(content(sink.blocks), content([...wide, ...plainBlocks(1, { first: 2 })]));
});
