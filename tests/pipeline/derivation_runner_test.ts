import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { SinkError, SourceError } from "../../src/errors.ts";
import { ManualClock, MemoryBlockSink, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { type DerivationConfig, DerivationRunner } from "../../src/pipeline/derivation_runner.ts";
import type { DeriverPosition } from "../../src/pipeline/deriver.ts";
import type { L1BatchSource, L2BlockSink } from "../../src/ports.ts";
import { content, draftOf, Events, type Fault, flaky, inTurn } from "../helpers.ts";
import { makeBatch, noise, plainBlocks, post, withMembers } from "../helpers.ts";

const unreachable = new SourceError("Connection", "unreachable");
const full = new SinkError("NoSpace", "full");

interface RunnerOptions {
  readonly faults?: Readonly<Record<string, (Fault | undefined)[]>>;
  readonly config?: Partial<DerivationConfig>;
  readonly position?: DeriverPosition;
  readonly l1?: MemoryL1;
}

function runnerOf({ faults = {}, config, position, l1 = new MemoryL1() }: RunnerOptions = {}) {
  const clock = new ManualClock(1_000_000);
  const sink = new MemoryBlockSink();
  const events = new Events();
  const fault = inTurn(faults);
  const runner: DerivationRunner = new DerivationRunner(
    {
      source: flaky<L1BatchSource>(l1.source({ log: (event) => runner.recordEvent(event) }), fault),
      compressors: [new NoopCompressor(), new BrotliCompressor()],
      sink: flaky<L2BlockSink>(sink, fault),
      clock,
      random: new SeededRandom(),
      log: events.log,
    },
    config,
    position,
  );
  return { runner, clock, l1, sink, events };
}

/** Batch `number`, which holds blocks `2 * number` and `2 * number + 1`. */
function batchAt(number: number) {
  return makeBatch(plainBlocks(2, { first: 2 * number }), { batchNumber: BigInt(number) });
}

test("DerivationRunner.tick() gives the counters after a batch, and undefined without one", async () => {
  const { runner, l1, sink } = runnerOf();
  equal(await runner.tick(), undefined);
  await post(l1, await batchAt(0));
  equal((await runner.tick())?.blocks_derived, 2);
  equal(await runner.tick(), undefined);
  equal(runner.metrics().empty_polls, 2);
  deepEqual(content(sink.blocks), content(plainBlocks(2)));
});

test("DerivationRunner measures from submission to derivation", async () => {
  const { runner, l1, clock } = runnerOf();
  await l1.mine([draftOf(await batchAt(0)), draftOf(await batchAt(1))], 1000n);
  runner.recordSubmission(0n, 999_750);
  clock.advance(5000);
  await runner.tick();
  equal(runner.metrics().avg_latency_ms, 5250);
  await runner.tick(); // Nobody said when; the L1 block is of second 1000.
  equal(runner.metrics().avg_latency_ms, (5250 + 5000) / 2);
});

test("DerivationRunner counts no latency below 0 when clocks disagree", async () => {
  const { runner, l1 } = runnerOf();
  await l1.mine([draftOf(await batchAt(0))], 5000n);
  await runner.tick();
  equal(runner.metrics().avg_latency_ms, 0);
});

test("DerivationRunner remembers so many submissions, and forgets the oldest", async () => {
  const { runner, l1 } = runnerOf({ position: { nextBatchNumber: 2n } });
  for (let number = 0n; number < 10_003n; number++) runner.recordSubmission(number, 0);
  await l1.mine([draftOf(await batchAt(2)), draftOf(await batchAt(3))], 999n);
  await runner.tick();
  equal(runner.metrics().avg_latency_ms, 1000);
  await runner.tick();
  equal(runner.metrics().avg_latency_ms, (1000 + 1_000_000) / 2);
});

test("DerivationRunner counts every verdict and ignored transaction", async () => {
  const { runner, l1 } = runnerOf();
  const corrupted = { batchNumber: 1n, data: Uint8Array.of(0, 1, 2, 3) };
  const wrong = await makeBatch(plainBlocks(1), { batchNumber: 1n, l1OriginCheck: noise(20) });
  const stranger = draftOf(await batchAt(1), { from: new Uint8Array(20).fill(9) });
  await post(l1, await batchAt(2), await batchAt(0), await batchAt(0), corrupted, wrong);
  await l1.mine([stranger, { ...stranger, from: draftOf(wrong).from, input: noise(3) }], 0n);
  await post(l1, await batchAt(1));
  await runner.run({ once: true });
  const { avg_latency_ms: _, ...counted } = runner.metrics();
  deepEqual(counted, {
    batches_derived: 3,
    blocks_derived: 6,
    bytes_decompressed: 3 * (67 + 2 * 27),
    latest_batch: 2n,
    source_errors: 0,
    sink_errors: 0,
    decompression_failed: 1,
    empty_polls: 1,
    batches_duplicate: 1,
    batches_future: 1,
    batches_dropped: { undecodable: 1, origin_check: 1 },
    transactions_ignored: 2,
    resets: 0,
    blocks_retracted: 0,
  });
});

test("DerivationRunner.run() does not end at the first failure, and loses nothing", async () => {
  const { runner, l1, sink, clock, events } = runnerOf({
    faults: {
      nextBatch: [unreachable, unreachable, undefined],
      ingest: [undefined, full, { after: full }],
      l1BlockHash: [unreachable],
    },
    config: { retry: { maxAttempts: 3, baseDelayMs: 1000, maxDelayMs: 60_000, jitter: 0 } },
  });
  await post(l1, await batchAt(0), await batchAt(1));
  await rejects(runner.run({ once: true }), full); // The fourth failure in a row is one too many.
  await runner.run({ once: true });
  equal(runner.metrics().batches_derived, 2);
  // What fails after it was taken is handed over once more: a sink has to know its last block.
  deepEqual(
    content(sink.blocks.filter((block, at) => block.timestamp !== sink.blocks[at - 1]?.timestamp)),
    content(plainBlocks(4)),
  );
  const { source_errors, sink_errors } = runner.metrics();
  deepEqual([source_errors, sink_errors], [3, 2]);
  equal(events.of("tick.failed").length + 1, 5);
  equal(clock.now(), 1_000_000 + 1000 + 2000 + 4000 + 1000);
});

test("DerivationRunner.run() polls until aborted, and tells of progress after each batch", async () => {
  const { runner, l1, clock } = runnerOf();
  const end = new AbortController();
  const sleep = clock.sleep.bind(clock);
  const sleeps: number[] = [];
  clock.sleep = async (ms, signal) => {
    sleeps.push(ms);
    if (sleeps.length <= 3) await post(l1, await batchAt(sleeps.length - 1));
    else end.abort();
    return await sleep(ms, signal);
  };
  const progress: bigint[] = [];
  await runner.run({
    signal: end.signal,
    onProgress: () => void progress.push(runner.pipeline.position.nextBatchNumber),
  });
  deepEqual(sleeps, [100, 100, 100, 100]);
  deepEqual(progress, [1n, 2n, 3n]);
});

test("DerivationRunner.run() throws what no trying helps", async () => {
  const damaged = new SourceError("Damaged", "a blob is damaged");
  const { runner, l1, sink } = runnerOf({ faults: { nextBatch: [undefined, damaged, damaged] } });
  await post(l1, await batchAt(0), await batchAt(1));
  await rejects(runner.run(), damaged);
  await rejects(runner.run({ once: true }), damaged);
  await runner.run({ once: true }); // The blob was mended.
  deepEqual(content(sink.blocks), content(plainBlocks(4)));
});

test("DerivationRunner.run() stops at a gap that cannot close any more", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(1));
  const { runner } = runnerOf({ l1, config: { maxWaitingBytes: 10 } });
  await rejects(runner.run(), { name: "PipelineError", code: "SequenceGap" });
});

test("DerivationRunner.run() tells of progress only when the blocks are safe", async () => {
  const l1 = new MemoryL1();
  await post(l1, await batchAt(0));
  const order: string[] = [];
  const sink = withMembers<L2BlockSink>(new MemoryBlockSink(), {
    flush: () => Promise.resolve(void order.push("flush")),
  });
  const runner = new DerivationRunner({
    source: l1.source(),
    compressors: [new NoopCompressor()],
    sink,
    clock: new ManualClock(),
    random: new SeededRandom(),
    log: ({ event }) => order.push(event),
  });
  await runner.run({ once: true, onProgress: () => void order.push("progress") });
  deepEqual(order, ["flush", "batch.accepted", "progress"]);
});
