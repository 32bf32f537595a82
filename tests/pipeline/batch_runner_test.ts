import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { CompressionError, SinkError, SourceError } from "../../src/errors.ts";
import { ManualClock, MemoryBatchSource, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import {
  BATCH_SUBMISSION_DEFAULTS,
  type BatchSubmissionCallbacks,
  type BatchSubmissionConfig,
  BatchSubmissionRunner,
} from "../../src/pipeline/batch_runner.ts";
import type { BatcherPosition } from "../../src/pipeline/batcher.ts";
import type { BatchSink, BatchSource } from "../../src/ports.ts";
import type { L2Block } from "../../src/types.ts";
import { content, Events, type Fault, flaky, inTurn } from "../helpers.ts";
import { linkedBlocks, plainBlocks, withMembers } from "../helpers.ts";
import { posted } from "./world.ts";

const down = new SinkError("Connection", "down");
const unreachable = new SourceError("Connection", "unreachable");

interface RunnerOptions {
  readonly config?: Partial<BatchSubmissionConfig>;
  readonly callbacks?: BatchSubmissionCallbacks;
  readonly faults?: Readonly<Record<string, (Fault | undefined)[]>>;
  readonly position?: BatcherPosition;
  readonly source?: (source: BatchSource, clock: ManualClock) => BatchSource;
  readonly sink?: (sink: BatchSink, clock: ManualClock) => BatchSink;
}

function runnerOf(blocks: readonly L2Block[], options: RunnerOptions = {}) {
  const clock = new ManualClock();
  const l1 = new MemoryL1({ clock });
  const memory = new MemoryBatchSource(blocks, l1);
  const events = new Events();
  const fault = inTurn(options.faults ?? {});
  const runner = new BatchSubmissionRunner(
    {
      source: flaky(options.source?.(memory, clock) ?? memory as BatchSource, fault),
      compressor: flaky(new NoopCompressor(), fault),
      sink: flaky(options.sink?.(l1.sink(), clock) ?? l1.sink() as BatchSink, fault),
      clock,
      random: new SeededRandom(),
      log: events.log,
    },
    { retry: { ...BATCH_SUBMISSION_DEFAULTS.retry, jitter: 0 }, ...options.config },
    options.callbacks,
    options.position,
  );
  return { runner, clock, l1, memory, events };
}

/** Calls `act` before the source is asked for the nth time, counted from 1. */
function onPoll(
  act: (nth: number, clock: ManualClock) => void,
): NonNullable<RunnerOptions["source"]> {
  let nth = 0;
  return (source, clock) =>
    withMembers(source, {
      pendingBlocks() {
        act(++nth, clock);
        return source.pendingBlocks();
      },
    });
}

test("BATCH_SUBMISSION_DEFAULTS are the seed's", () => {
  const { maxBlocksPerBatch, targetBatchSize, pollIntervalMs } = BATCH_SUBMISSION_DEFAULTS;
  deepEqual([maxBlocksPerBatch, targetBatchSize, pollIntervalMs], [10, 131_072, 100]);
  const { batchIntervalMs, maxBatchBytes, minBatchBytes } = BATCH_SUBMISSION_DEFAULTS;
  deepEqual([batchIntervalMs, maxBatchBytes, minBatchBytes], [12_000, 131_072, 1024]);
});

test("BatchSubmissionRunner.run() posts all blocks of a source, and counts by the seed's names", async () => {
  const blocks = linkedBlocks(25, { first: 100, size: 30 });
  const latencies = [40, 60, 110];
  const { runner, l1 } = runnerOf(blocks, {
    sink: (sink, clock) =>
      withMembers(sink, {
        submit(batch) {
          clock.advance(latencies[Number(batch.batchNumber)]!);
          return sink.submit(batch);
        },
      }),
  });
  await runner.run({ once: true });
  deepEqual(content((await posted(l1)).flatMap((each) => each.blocks)), content(blocks));
  const raw = 3 * 67 + 25 * 37;
  deepEqual(runner.metrics(), {
    batches_submitted: 3,
    blocks_processed: 25,
    bytes_original: raw,
    bytes_compressed: raw + 3,
    latest_block: 124n,
    avg_latency_ms: 70,
    resets: 0,
    blocks_dropped: 0,
    source_errors: 0,
    encoding_errors: 0,
    compression_errors: 0,
    sink_errors: 0,
  });
  equal(runner.pendingBlocks, 0);
});

test("BatchSubmissionRunner cuts at the uncompressed target size", async () => {
  const { runner, events } = runnerOf(plainBlocks(9, { size: 93 }), {
    config: { targetBatchSize: 400 },
  });
  await runner.run({ once: true });
  deepEqual(events.of("batch.sealed").map((each) => [each.reason, each.blocks]), [
    ["size", 4],
    ["size", 4],
    ["shutdown", 1],
  ]);
});

test("BatchSubmissionRunner counts each class of error", async () => {
  const tooMany: L2Block = { timestamp: 1n, transactions: Array(65_536).fill(new Uint8Array()) };
  const encoding = runnerOf([tooMany], { config: { targetBatchSize: 10 } });
  await rejects(encoding.runner.run({ once: true }), { name: "CodecError", code: "TooLarge" });
  equal(encoding.runner.metrics().encoding_errors, 1);

  const failed = new CompressionError("Failed", "no memory");
  const compression = runnerOf(plainBlocks(10), { faults: { compress: [failed] } });
  await rejects(compression.runner.run({ once: true }), failed);
  equal(compression.runner.metrics().compression_errors, 1);

  const noOrigin = new SourceError("NoOrigin", "no origin");
  const { runner } = runnerOf(plainBlocks(10), {
    faults: { pendingBlocks: [unreachable], l1Origin: [noOrigin], submit: [down, down] },
  });
  await runner.run({ once: true });
  const { source_errors, sink_errors, batches_submitted } = runner.metrics();
  deepEqual([source_errors, sink_errors, batches_submitted], [2, 2, 1]);
});

test("BatchSubmissionRunner tells its callbacks of blocks, head, batches and failures", async () => {
  const told: unknown[] = [];
  const blocks = linkedBlocks(3, { first: 7 });
  const { runner } = runnerOf(blocks, {
    config: { maxBlocksPerBatch: 2 },
    faults: { submit: [down] },
    callbacks: {
      onBlockProcessed: (block) => told.push(block.number),
      onChainHeadUpdated: (number) => told.push(`head ${number}`),
      onBatchFailed: (number, error) => told.push(`failed ${number}`, error),
      onBatchSubmitted: (receipt, { nextBatchNumber, lastBlock }) =>
        told.push(`batch ${receipt.batchNumber}, ${nextBatchNumber}, ${lastBlock?.number}`),
    },
  });
  await runner.run({ once: true });
  deepEqual(told, [
    ...[7n, 8n, 9n, "head 9", "failed 0", down],
    ...["batch 0, 1, 8", "batch 1, 2, 9"],
  ]);
});

test("BatchSubmissionRunner goes on from the position that a callback was given", async () => {
  const positions: BatcherPosition[] = [];
  const blocks = linkedBlocks(7);
  const config = { maxBlocksPerBatch: 3 };
  const first = runnerOf(blocks, {
    config,
    callbacks: { onBatchSubmitted: (_, position) => positions.push(position) },
  });
  await first.runner.run({ once: true });
  const [position] = positions;
  const second = runnerOf(blocks.slice(3), { config, position: position! });
  await second.runner.run({ once: true });
  const numbers = (await posted(second.l1)).map((each) => each.header.batchNumber);
  deepEqual(numbers, [1n, 2n]);
});

test("BatchSubmissionRunner does not end at a source that fails for a moment", async () => {
  const { runner, l1, clock } = runnerOf(plainBlocks(2), {
    faults: { pendingBlocks: [unreachable, unreachable, undefined, unreachable] },
  });
  await runner.run({ once: true });
  equal((await posted(l1)).length, 1);
  equal(clock.now(), 1000 + 2000 + 1000);
});

test("BatchSubmissionRunner gives up after so many failures with `once`, and never without", async () => {
  const faults = { pendingBlocks: Array(20).fill(unreachable) };
  await rejects(runnerOf([], { faults }).runner.run({ once: true }), unreachable);

  const end = new AbortController();
  const { runner, events } = runnerOf([], {
    source: onPoll((nth) => {
      if (nth === 20) end.abort();
      throw unreachable;
    }),
  });
  await runner.run({ signal: end.signal });
  equal(events.of("tick.failed").length, 20);
});

test("BatchSubmissionRunner at the tip does not post each block alone", async () => {
  const end = new AbortController();
  let blocks = 0;
  const { runner, memory, events } = runnerOf([], {
    source: onPoll((_, clock) => {
      // A block every 2 s, a poll every 100 ms.
      if (clock.now() >= 2000 * blocks) memory.push(...plainBlocks(1, { first: blocks++ }));
      if (clock.now() >= 60_000) end.abort();
    }),
  });
  await runner.run({ signal: end.signal });
  deepEqual(events.of("batch.submitted").map((each) => each.blocks), [7, 7, 7, 7, 3]);
});

test("BatchSubmissionRunner.pause() takes and posts nothing until resume()", async () => {
  const end = new AbortController();
  const { runner, clock, memory, events } = runnerOf([], {
    source: onPoll((nth) => {
      ok(!runner.isPaused);
      if (nth === 2) runner.pause();
      if (nth === 4) end.abort();
    }),
  });
  memory.push(...plainBlocks(10));
  const sleep = clock.sleep.bind(clock);
  let idle = 0;
  clock.sleep = (ms, signal) => {
    if (runner.isPaused) memory.push(...plainBlocks(1, { first: 20 + idle }));
    if (runner.isPaused && ++idle === 10) {
      equal(runner.metrics().batches_submitted, 1);
      equal(events.of("blocks.taken").length, 1);
      runner.resume();
    }
    return sleep(ms, signal);
  };
  await runner.run({ signal: end.signal });
  equal(idle, 10);
  equal(runner.metrics().blocks_processed, 20);
});

test("BatchSubmissionRunner.run() leaves out blocks before its start", async () => {
  const blocks = linkedBlocks(6, { first: 10 });
  const { runner, l1 } = runnerOf(blocks);
  await runner.run({ once: true, startBlock: 13n });
  const [batch] = await posted(l1);
  deepEqual(content(batch!.blocks), content(blocks.slice(3)));
  deepEqual(batch!.header.parentCheck, blocks[2]!.hash!.slice(0, 20));
});

test("BatchSubmissionRunner.run() when aborted posts what was taken, trying again", async () => {
  const end = new AbortController();
  const { runner, l1, clock } = runnerOf(plainBlocks(3), {
    source: onPoll(() => end.abort()),
    faults: { submit: [down, down, down] },
  });
  await runner.run({ signal: end.signal });
  equal(clock.now(), 7000);
  equal((await posted(l1)).length, 1);
  await rejects(runner.run(), { code: "Closed" });
});

test("BatchSubmissionRunner.run() stops trying at its shutdown timeout, and holds the blocks", async () => {
  const end = new AbortController();
  const { runner, l1, clock } = runnerOf(plainBlocks(3), {
    source: onPoll(() => end.abort()),
    faults: { submit: Array(4).fill(down) },
  });
  await rejects(runner.run({ signal: end.signal, shutdownTimeoutMs: 10_000 }), down);
  equal(clock.now(), 7000); // The next wait, of 8 s, would end too late.
  equal(runner.pendingBlocks, 3);
  await runner.run({ signal: end.signal });
  equal((await posted(l1)).length, 1);
});

test("BatchSubmissionRunner.run() throws what no trying helps, and can be called again", async () => {
  const poor = new SinkError("InsufficientFunds", "poor");
  const { runner, l1 } = runnerOf(plainBlocks(25), { faults: { submit: [undefined, poor, poor] } });
  await rejects(runner.run({ once: true }), poor);
  equal(runner.pendingBlocks, 15);
  await rejects(runner.run({ once: true }), poor);
  await runner.run({ once: true }); // The account was filled up.
  deepEqual(
    content((await posted(l1)).flatMap((each) => each.blocks)),
    content(plainBlocks(25)),
  );
});

test("BatchSubmissionRunner.run() leaves no hole behind a source that broke off", async () => {
  const gap = new SourceError("Gap", "a block is missing");
  const { runner, l1 } = runnerOf(plainBlocks(10), { faults: { pendingBlocks: [undefined, gap] } });
  await rejects(runner.run({ once: true }), gap);
  await rejects(runner.run({ once: true }), gap);
  equal((await posted(l1)).length, 1);
  equal(runner.metrics().source_errors, 1);
});

test("BatchSubmissionRunner.flush() posts what waits now", async () => {
  const { runner } = runnerOf(plainBlocks(2), { faults: { submit: [down] } });
  equal(await runner.flush(), undefined);
  const end = new AbortController();
  const running = runnerOf(plainBlocks(2), {
    faults: { submit: [down] },
    source: onPoll((nth) => {
      if (nth === 2) flushed = running.runner.flush().catch((error) => error);
      if (nth === 3) end.abort();
    }),
  });
  let flushed: Promise<unknown> | undefined;
  await running.runner.run({ signal: end.signal });
  equal(await flushed, down);
  equal(running.runner.metrics().sink_errors, 1);
  deepEqual(running.events.of("batch.sealed").map((each) => each.reason), ["manual"]);
});

test("BatchSubmissionRunner.run() refuses to run twice at once", async () => {
  const { runner } = runnerOf(plainBlocks(2));
  const running = runner.run({ once: true });
  await rejects(runner.run({ once: true }), { code: "Closed" });
  await running;
  equal(runner.metrics().blocks_processed, 2);
});

test("BatchSubmissionRunner.run() submits what a source gave before it broke off", async () => {
  const broken = new SourceError("Gap", "a block is missing");
  const { runner, l1 } = runnerOf(plainBlocks(3), {
    faults: { pendingBlocks: [undefined, broken] },
  });
  await rejects(runner.run(), broken);
  deepEqual(content((await posted(l1)).flatMap((each) => each.blocks)), content(plainBlocks(3)));
});
