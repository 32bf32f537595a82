import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { ProvingError } from "../../src/proving.ts";
import type { ProofPipelineConfig } from "../../src/superblock/proof_config.ts";
import type { BatchInfo, BatchState, ProvableBatches } from "../../src/superblock.ts";
import { LogJobQueue } from "../../src/wal/job_queue.ts";
import { toHex } from "../../src/wire/hex.ts";
import { batchOf } from "./batches.ts";
import { HOUR_MS, MINUTE_MS, ProofWorld, unreachable } from "./proof_world.ts";

function pipelineTest(
  name: string,
  check: (world: ProofWorld) => Promise<void>,
  config: Partial<ProofPipelineConfig> = {},
): void {
  test(name, async () => {
    const world = new ProofWorld(config);
    world.start();
    await check(world);
    await world.stop();
  });
}

pipelineTest("a batch goes through all stages, told by the seed's names", async (world) => {
  await world.pipeline.enqueue(batchOf(5n));
  await world.untilStage("1001-5", "completed");
  deepEqual(world.names(), [
    "job_created",
    ...Array(4).fill("stage_completed"),
    "job_completed",
  ]);
  const [submission] = world.publisher.accepted;
  equal(submission!.superblockNumber, 5n);
  equal(submission!.startBlock, 20n);
  equal(submission!.outputs.l2BlockNumber, 24n);
  equal(new TextDecoder().decode(submission!.proof), "aggregation of range 20-24");
  deepEqual(await world.pipeline.stats(), {
    active_jobs: 0,
    max_concurrent_jobs: 5,
    job_timeout: 30 * MINUTE_MS,
    max_retries: 3,
    jobs_by_stage: { completed: 1 },
  });
});

pipelineTest(
  "defect 3: a superblock's hash is that of its batch, and what is not accepted is kept",
  async (world) => {
    world.publisher.before = () => {
      throw unreachable();
    };
    await world.pipeline.enqueue(batchOf(1n));
    await world.until(() => world.clock.elapsedMs > HOUR_MS);
    const job = await world.queue.get("1001-1");
    deepEqual([job!.stage, job!.retries], ["submission", 0]);
    equal(world.names().includes("job_completed"), false);
    world.publisher.before = () => {};
    await world.untilStage("1001-1", "completed");
    deepEqual(world.publisher.numbers, [1n]);
    equal(world.publisher.accepted[0]!.superblockHash.some((byte) => byte !== 0), true);
    equal(world.names().filter((name) => name === "job_retry").length >= 12, true);
  },
);

pipelineTest("defect 4: five jobs at once, none of them twice", async (world) => {
  for (let number = 1n; number <= 12n; number++) await world.pipeline.enqueue(batchOf(number));
  await world.until(() => world.publisher.accepted.length === 12);
  equal(world.prover.mostUnderWay, 5);
  equal(world.prover.asked.length, 24);
  equal(new Set(world.prover.asked.map(({ what }) => what)).size, 24);
  deepEqual(world.publisher.numbers, Array.from({ length: 12 }, (_, at) => BigInt(at + 1)));
});

pipelineTest(
  "defect 5: a retry waits for its delay, and there are as many as said",
  async (world) => {
    world.networkProver.down = unreachable();
    await world.pipeline.enqueue(batchOf(1n));
    await world.untilStage("1001-1", "failed");
    const retries = world.events.filter((each) => each.event === "job_retry");
    deepEqual(retries.map(({ retries }) => retries), [1, 2, 3]);
    const [first, second, third] = retries.map(({ retryAtMs }) => retryAtMs);
    // Each worker looks every 10 s.
    equal(second! - first! >= 5 * MINUTE_MS && second! - first! <= 5 * MINUTE_MS + 20_000, true);
    equal(third! - second! >= 5 * MINUTE_MS, true);
    equal(world.names().at(-1), "job_failed");
  },
);

pipelineTest("defect 5: no retries are no retries", async (world) => {
  world.prover.down = unreachable();
  await world.pipeline.enqueue(batchOf(1n));
  await world.untilStage("1001-1", "failed");
  equal(world.names().includes("job_retry"), false);
}, { maxRetries: 0 });

pipelineTest(
  "defect 5: what takes longer than the time for a job is asked for again",
  async (world) => {
    world.prover.fault = ({ what, attempt }) =>
      what.startsWith("range") && attempt === 1 ? { state: "pending" } : undefined;
    await world.pipeline.enqueue(batchOf(1n));
    await world.untilStage("1001-1", "completed");
    const [first, second] = world.prover.asked;
    equal(second!.what, first!.what);
    // 30 min, 5 min until the retry, and up to 10 s until a worker looks.
    equal(second!.atMs >= 35 * MINUTE_MS && second!.atMs <= 35 * MINUTE_MS + 10_000, true);
  },
);

pipelineTest("a prover that never answers at all is given up in time", async (world) => {
  world.prover.status = () => new Promise(() => {});
  await world.pipeline.enqueue(batchOf(1n));
  await world.untilStage("1001-1", "failed");
  equal((await world.queue.get("1001-1"))!.error!.includes("more than 1800000 ms"), true);
}, { maxRetries: 1 });

pipelineTest("defect 6: a prover that has forgotten is asked again, at no cost", async (world) => {
  await world.pipeline.enqueue(batchOf(1n));
  await world.until(() => world.prover.asked.length === 1);
  world.prover.forget();
  await world.until(() => world.networkProver.asked.length === 1);
  world.networkProver.forget();
  await world.untilStage("1001-1", "completed");
  equal(world.names().filter((name) => name === "proof_forgotten").length, 2);
  equal(world.names().includes("job_retry"), false);
}, { maxRetries: 0 });

pipelineTest("defect 6: a prover that knows no id ever is given up", async (world) => {
  world.prover.fault = () => ({ state: "unknown" });
  await world.pipeline.enqueue(batchOf(1n));
  await world.untilStage("1001-1", "failed");
  equal(world.clock.elapsedMs >= 2 * 30 * MINUTE_MS, true);
}, { maxRetries: 1 });

pipelineTest("a prover that is away while it proves costs no retry", async (world) => {
  await world.pipeline.enqueue(batchOf(1n));
  await world.until(() => world.prover.asked.length === 1);
  world.prover.down = unreachable();
  const downAtMs = world.clock.elapsedMs;
  await world.until(() => world.clock.elapsedMs > downAtMs + 10 * MINUTE_MS);
  world.prover.down = undefined;
  await world.untilStage("1001-1", "completed");
  equal(world.prover.asked.length, 2);
}, { maxRetries: 0 });

pipelineTest("defect 7: an empty batch is proved as a superblock without blocks", async (world) => {
  for (const [number, blocks] of [[1n, 4], [2n, 0], [3n, 4]] as const) {
    await world.pipeline.enqueue(batchOf(number, blocks));
  }
  await world.untilStage("1001-3", "completed");
  equal((await world.queue.get("1001-2"))!.stage, "completed");
  deepEqual(world.networkProver.inputs.map(({ next }) => next.blocks.length), [4, 0, 4]);
  deepEqual(world.publisher.numbers, [1n, 3n]);
});

pipelineTest("an empty batch is not proved where it is to be skipped", async (world) => {
  for (const [number, blocks] of [[1n, 4], [2n, 0], [3n, 4]] as const) {
    await world.pipeline.enqueue(batchOf(number, blocks));
  }
  await world.untilStage("1001-3", "completed");
  deepEqual(world.networkProver.inputs.map(({ next }) => next.number), [1n, 3n]);
  deepEqual(world.networkProver.inputs.map(({ previous }) => previous.number), [0n, 2n]);
}, { emptyBatches: "skip" });

pipelineTest("defect 11: a failed job is taken up again by hand, where it was", async (world) => {
  world.networkProver.fault = () => ({ state: "unprovable", reason: "the roots differ" });
  await world.pipeline.enqueue(batchOf(1n));
  await world.pipeline.enqueue(batchOf(2n));
  await world.untilStage("1001-2", "failed");
  const job = await world.queue.get("1001-1");
  equal(
    job!.error,
    "Cannot prove job 1001-1 (network_agg): the prover cannot execute it: the roots differ",
  );
  equal(world.names().includes("job_retry"), false);
  world.networkProver.fault = () => undefined;
  await world.pipeline.requeue("1001-2");
  await world.pipeline.requeue("1001-1");
  await world.untilStage("1001-2", "completed");
  deepEqual(world.publisher.numbers, [1n, 2n]);
  equal(world.prover.asked.length, 4);
});

pipelineTest("a job that is taken up again by hand has all of its retries again", async (world) => {
  world.prover.fault = () => ({ state: "failed", reason: "out of memory" });
  await world.pipeline.enqueue(batchOf(1n, 1));
  await world.untilStage("1001-1", "failed");
  equal((await world.queue.get("1001-1"))!.retries, 3);
  await world.pipeline.requeue("1001-1");
  equal((await world.queue.get("1001-1"))!.retries, 0);
  await world.untilStage("1001-1", "failed");
  const retries = world.events.filter((each) => each.event === "job_retry");
  deepEqual(retries.map(({ retries }) => retries), [1, 2, 3, 1, 2, 3]);
});

pipelineTest(
  "a cancelled job is given up within a lease, and holds up those behind it",
  async (world) => {
    world.prover.provingMs = 20 * MINUTE_MS;
    await world.pipeline.enqueue(batchOf(1n));
    await world.pipeline.enqueue(batchOf(2n));
    await world.until(() => world.prover.asked.length === 2);
    await world.pipeline.cancel("1001-1");
    await world.until(() => world.clock.elapsedMs > 2 * HOUR_MS);
    equal(world.publisher.accepted.length, 0);
    equal((await world.queue.get("1001-1"))!.stage, "cancelled");
    await world.pipeline.requeue("1001-1");
    await world.untilStage("1001-2", "completed");
    deepEqual(world.publisher.numbers, [1n, 2n]);
    await rejects(world.pipeline.cancel("1001-1"), { code: "NotAllowed" });
  },
);

pipelineTest(
  "an unprovable range is split until only what is unprovable is left",
  async (world) => {
    world.prover.fault = ({ range }) =>
      range && range.start < 12n && range.end >= 12n
        ? { state: "unprovable", reason: "block 12 cannot be executed" }
        : undefined;
    await world.pipeline.enqueue(batchOf(1n, 8));
    await world.untilStage("1001-1", "failed");
    const splits = world.events.filter((each) => each.event === "range_split");
    deepEqual(splits.map(({ start, end }) => [start, end]), [[8n, 16n], [8n, 12n], [10n, 12n]]);
    const { ranges } = (await world.queue.get("1001-1"))!;
    deepEqual(ranges.map(({ start, end }) => [start, end]), [
      [8n, 10n],
      [10n, 11n],
      [11n, 12n],
      [12n, 16n],
    ]);
  },
);

pipelineTest(
  "a range that is given up three times is split, and proved in halves",
  async (world) => {
    world.prover.fault = ({ range }) =>
      range && range.end - range.start > 2n
        ? { state: "failed", reason: "out of memory" }
        : undefined;
    await world.pipeline.enqueue(batchOf(1n, 4));
    await world.untilStage("1001-1", "completed");
    const whats = world.prover.asked.map(({ what }) => what);
    deepEqual(whats, [
      ...Array(3).fill("range 4-8"),
      "range 4-6",
      "range 6-8",
      "aggregation of range 4-6,range 6-8",
    ]);
  },
);

pipelineTest(
  "a range that is too long for the prover is split as often as it takes, within its retries",
  async (world) => {
    world.prover.fault = ({ range }) =>
      range && range.end - range.start > 1n
        ? { state: "failed", reason: "out of memory" }
        : undefined;
    await world.pipeline.enqueue(batchOf(1n, 8));
    await world.untilStage("1001-1", "completed");
    const splits = world.events.filter((each) => each.event === "range_split");
    equal(splits.length, 7);
    const retries = world.events.filter((each) => each.event === "job_retry");
    deepEqual(new Set(retries.map(({ retries }) => retries)), new Set([1, 2]));
  },
);

pipelineTest("what the publisher took without an answer is not submitted twice", async (world) => {
  let calls = 0;
  world.publisher.after = () => {
    calls += 1;
    throw unreachable();
  };
  await world.pipeline.enqueue(batchOf(1n));
  await world.untilStage("1001-1", "completed");
  equal(calls, 1);
  deepEqual(world.publisher.numbers, [1n]);
});

pipelineTest("what the publisher refuses since it has it is accepted", async (world) => {
  world.publisher.after = () => {
    throw new ProvingError("Refused", "Cannot submit: it is there already");
  };
  await world.pipeline.enqueue(batchOf(1n));
  await world.untilStage("1001-1", "completed");
});

pipelineTest(
  "what the publisher refuses has failed, with the publisher's reason",
  async (world) => {
    world.publisher.before = () => {
      throw new ProvingError("Refused", "Cannot submit: missing_agg_vk");
    };
    await world.pipeline.enqueue(batchOf(1n));
    await world.untilStage("1001-1", "failed");
    equal((await world.queue.get("1001-1"))!.error, "Cannot submit: missing_agg_vk");
  },
);

pipelineTest("a batch whose predecessor was never handed in fails by its name", async (world) => {
  await world.pipeline.enqueue(batchOf(1n));
  await world.pipeline.enqueue(batchOf(4n));
  await world.untilStage("1001-4", "failed");
  const { error } = (await world.queue.get("1001-4"))!;
  equal(error!.includes("batch 3 was never handed in, the newest before is job 1001-1"), true);
});

pipelineTest("batch 0 follows nothing, and is submitted", async (world) => {
  await world.pipeline.enqueue(batchOf(0n));
  await world.untilStage("1001-0", "completed");
  equal(world.networkProver.asked.length, 0);
  deepEqual(world.publisher.numbers, [0n]);
});

test("defect 13: a run that is ended leaves its jobs to the next one", async () => {
  const world = new ProofWorld();
  world.start();
  await world.pipeline.enqueue(batchOf(1n));
  await world.until(() => world.prover.asked.length === 1);
  await world.stop();
  equal((await world.queue.get("1001-1"))!.ranges[0]!.requestId, "range 4-8 #1");
  world.start();
  await world.untilStage("1001-1", "completed");
  await world.stop();
  equal(world.prover.asked.length, 2);
});

test("batches come from whoever keeps them, and are told how it went, also after a crash", async () => {
  const world = new ProofWorld();
  const states = new Map<bigint, string>([[1n, "proving"], [2n, "proving"]]);
  const jobs = new Map<bigint, string>();
  const mark = (state: string) => (number: bigint) =>
    Promise.resolve(void states.set(number, state));
  const batches: ProvableBatches = {
    batchesReadyForProving: () =>
      [...states].filter(([number, state]) => state === "proving" && !jobs.has(number))
        .map(([number]) => batchOf(number)),
    batch: (number) => ({ state: states.get(number) }) as BatchInfo,
    updateBatchProofJob: (number, id) => Promise.resolve(void jobs.set(number, id)),
    markBatchCompleted: mark("completed"),
    markBatchFailed: mark("failed"),
    requeueBatch: mark("proving"),
  };
  // As if it had ended right after the queue noted that the job was done.
  await world.queue.enqueue(batchOf(1n));
  await world.queue.complete((await world.queue.claim("before", 1000))!);
  world.prover.fault = ({ what }) =>
    what.startsWith("agg") ? { state: "unprovable", reason: "no" } : undefined;
  const pipeline = world.pipelineOn(world.queue, { maxRetries: 0 }, batches);
  const end = new AbortController();
  const running = pipeline.run(end.signal);
  await world.until(() => states.get(2n) === "failed");
  deepEqual([...jobs.values()], ["1001-1", "1001-2"]);
  equal(states.get(1n), "completed");
  // Its superblock is what the next one follows; this one was completed without any.
  world.prover.fault = () => undefined;
  await pipeline.requeue("1001-2");
  equal(states.get(2n), "proving");
  await pipeline.cancel("1001-2");
  await world.until(() => states.get(2n) === "failed");
  end.abort();
  await running;
});

test("a batch that could not be told that it is proved again is told so later", async () => {
  const world = new ProofWorld();
  let state: BatchState = "failed";
  const told: string[] = [];
  const tell = (next: BatchState) => () => {
    told.push(next);
    state = next;
    return Promise.resolve();
  };
  const batches: ProvableBatches = {
    batchesReadyForProving: () => [],
    batch: () => ({ state }) as BatchInfo,
    updateBatchProofJob: () => Promise.resolve(),
    markBatchCompleted: tell("completed"),
    markBatchFailed: tell("failed"),
    requeueBatch: tell("proving"),
  };
  await world.queue.enqueue(batchOf(1n));
  const pipeline = world.pipelineOn(world.queue, {}, batches);
  const end = new AbortController();
  const running = pipeline.run(end.signal);
  await world.untilStage("1001-1", "completed");
  deepEqual(told, ["proving", "completed"]);
  end.abort();
  await running;
});

test("defect 8: a superblock's number is that of the common clock, whoever hands it in", async () => {
  const hashes: string[] = [];
  for (let sequencer = 0; sequencer < 2; sequencer++) {
    const world = new ProofWorld();
    world.start();
    await world.pipeline.enqueue(batchOf(40_871n));
    // Handed in again, as after a restart.
    await world.pipeline.enqueue(batchOf(40_871n));
    await world.untilStage("1001-40871", "completed");
    deepEqual(world.publisher.numbers, [40_871n]);
    hashes.push(toHex(world.publisher.accepted[0]!.superblockHash));
    await world.stop();
  }
  equal(hashes[0], hashes[1]);
});

test("defect 9: a power loss costs no job, no proof and no question that was asked", async () => {
  const storage = new MemoryStorage();
  const world = new ProofWorld();
  const life = async (isDone: () => boolean | Promise<boolean>) => {
    const { clock } = world;
    const queue = await LogJobQueue.open({ storage, directory: "jobs", clock });
    const end = new AbortController();
    const pipeline = world.pipelineOn(queue);
    await pipeline.enqueue(batchOf(1n));
    const running = pipeline.run(end.signal);
    await world.until(isDone);
    const [job] = await queue.list();
    // Before anything else is written.
    storage.crash(new SeededRandom(7));
    end.abort();
    await running.catch(() => {});
    return job!;
  };
  let polls = 0;
  const status = world.prover.status.bind(world.prover);
  world.prover.status = (id) => {
    polls += 1;
    return status(id);
  };
  const first = await life(() => polls === 1);
  equal(first.ranges[0]!.requestId, "range 4-8 #1");
  await life(() => world.networkProver.asked.length === 1);
  await life(() => world.publisher.accepted.length === 1);
  const last = await life(() => world.names().includes("job_completed"));
  equal(last.stage, "completed");
  deepEqual(world.prover.asked.map(({ attempt }) => attempt), [1, 1]);
  deepEqual(world.publisher.numbers, [1n]);
});
