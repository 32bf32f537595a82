import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { KEPT_COMPLETED_JOBS } from "../../src/job_table.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { MemoryJobQueue } from "../../src/local/memory_job_queue.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { JobClaim, JobQueue, ProofStage } from "../../src/proving.ts";
import { LogJobQueue } from "../../src/wal/job_queue.ts";
import { Wal } from "../../src/wal/log.ts";
import { batchOf } from "../superblock/batches.ts";

const LEASE_MS = 60_000;

interface World {
  readonly clock: ManualClock;
  readonly queue: JobQueue;
  readonly close: () => Promise<void>;
}

async function inLog(): Promise<World> {
  const clock = new ManualClock();
  const parts = { storage: new MemoryStorage(), directory: "jobs", clock };
  const queue = await LogJobQueue.open(parts);
  return { clock, queue, close: () => queue.close() };
}

function inMemory(): Promise<World> {
  const clock = new ManualClock();
  return Promise.resolve({
    clock,
    queue: new MemoryJobQueue(clock),
    close: () => Promise.resolve(),
  });
}

/** Each of both queues keeps the same rules. */
function both(name: string, check: (world: World) => Promise<void>): void {
  for (const [kind, open] of Object.entries({ LogJobQueue: inLog, MemoryJobQueue: inMemory })) {
    test(`${kind} ${name}`, async () => {
      const world = await open();
      await check(world);
      await world.close();
    });
  }
}

async function claimed(queue: JobQueue, worker = "worker"): Promise<JobClaim> {
  const claim = await queue.claim(worker, LEASE_MS);
  if (!claim) throw new Error("nothing to claim");
  return claim;
}

both("never gives one job to two workers, and gives the lowest batch first", async ({ queue }) => {
  for (const number of [3n, 1n, 2n]) await queue.enqueue(batchOf(number));
  const claims = await Promise.all(
    Array.from({ length: 5 }, (_, at) => queue.claim(`${at}`, LEASE_MS)),
  );
  deepEqual(claims.map((claim) => claim?.job.id), [
    "1001-1",
    "1001-2",
    "1001-3",
    undefined,
    undefined,
  ]);
});

both("takes a batch once, also when it has ended", async ({ queue }) => {
  const [one, other] = await Promise.all([queue.enqueue(batchOf(1n)), queue.enqueue(batchOf(1n))]);
  equal(one, other);
  await queue.complete(await claimed(queue));
  equal((await queue.enqueue(batchOf(1n))).stage, "completed");
  equal(await queue.claim("worker", LEASE_MS), undefined);
});

both("gives a job to another when its lease ran out, and refuses the first", async (world) => {
  const { queue, clock } = world;
  await queue.enqueue(batchOf(1n));
  const first = await claimed(queue, "first");
  clock.advance(LEASE_MS - 1);
  await queue.heartbeat(first, LEASE_MS);
  clock.advance(LEASE_MS - 1);
  equal(await queue.claim("second", LEASE_MS), undefined);
  clock.advance(1);
  const second = await claimed(queue, "second");
  const lost = { code: "LeaseLost", message: /job 1001-1 as first/ };
  await rejects(queue.heartbeat(first, LEASE_MS), lost);
  await rejects(queue.save(first, first.job), lost);
  await rejects(queue.complete(first), lost);
  await rejects(queue.fail(first, "no"), lost);
  await rejects(queue.release(first, 0), lost);
  equal((await queue.complete(second)).stage, "completed");
});

both("waits before a retry, counts it, and forgets the count with the stage", async (world) => {
  const { queue, clock } = world;
  await queue.enqueue(batchOf(1n));
  await queue.fail(await claimed(queue), "the first", clock.now() + 300_000);
  clock.advance(299_999);
  equal(await queue.claim("worker", LEASE_MS), undefined);
  clock.advance(1);
  const claim = await claimed(queue);
  deepEqual([claim.job.retries, claim.job.error], [1, "the first"]);
  const saved = await queue.save(claim, { ...claim.job, stage: "aggregation" });
  deepEqual([saved.stage, saved.retries, saved.error], ["aggregation", 0, undefined]);
  const uncounted = await queue.fail(claim, "gone", clock.now(), false);
  equal(uncounted.retries, 0);
});

both("gives a released job to nobody before its time", async ({ queue, clock }) => {
  await queue.enqueue(batchOf(1n));
  await queue.release(await claimed(queue), 1000);
  equal(await queue.claim("worker", LEASE_MS), undefined);
  clock.advance(1000);
  equal((await claimed(queue)).job.retries, 0);
});

both("takes up a failed or cancelled job where it ended, and no other", async (world) => {
  const { queue } = world;
  await queue.enqueue(batchOf(1n));
  await rejects(queue.requeue("1001-1"), { code: "NotAllowed", message: /range_proof/ });
  await rejects(queue.requeue("7-7"), { code: "NotFound", message: /7-7/ });
  const claim = await claimed(queue);
  const saved = await queue.save(claim, { ...claim.job, stage: "network_agg" });
  const failed = await queue.fail({ ...claim, job: saved }, "no more tries");
  deepEqual([failed.stage, failed.endedStage, failed.error], [
    "failed",
    "network_agg",
    "no more tries",
  ]);
  await rejects(queue.cancel("1001-1"), { code: "NotAllowed" });
  const again = await queue.requeue("1001-1");
  deepEqual([again.stage, again.retries, again.error], ["network_agg", 0, undefined]);
  const working = await claimed(queue);
  equal((await queue.cancel("1001-1")).stage, "cancelled");
  await rejects(queue.complete(working), { code: "LeaseLost" });
  equal((await queue.requeue("1001-1")).stage, "network_agg");
});

both("keeps the newest completed jobs, and takes none of the older again", async ({ queue }) => {
  const total = KEPT_COMPLETED_JOBS + 10;
  for (let number = 0; number < total; number++) {
    await queue.enqueue(batchOf(BigInt(number), 1));
    await queue.complete(await claimed(queue));
  }
  const jobs = await queue.list();
  equal(jobs.length, KEPT_COMPLETED_JOBS);
  equal(jobs[0]!.id, "1001-10");
  equal((await queue.enqueue(batchOf(3n))).stage, "completed");
  equal(await queue.claim("worker", LEASE_MS), undefined);
});

test("LogJobQueue finds each job as it was after a crash, and no lease", async () => {
  const storage = new MemoryStorage();
  const clock = new ManualClock();
  const stages: ProofStage[] = [];
  for (let round = 0; round < 40; round++) {
    const queue = await LogJobQueue.open({ storage, directory: "jobs", clock });
    deepEqual((await queue.list()).map(({ stage }) => stage), stages);
    await queue.enqueue(batchOf(BigInt(round), 2));
    stages.push("range_proof");
    const claim = await claimed(queue);
    const at = Number(claim.job.batch.window.batchNumber);
    if (claim.job.stage === "range_proof") {
      const aggregation = { requestId: `asked in ${round}` };
      await queue.save(claim, { ...claim.job, stage: "aggregation", aggregation });
      stages[at] = "aggregation";
    } else {
      equal(typeof claim.job.aggregation?.requestId, "string");
      await (round % 3 === 0 ? queue.fail(claim, "no") : queue.complete(claim));
      stages[at] = round % 3 === 0 ? "failed" : "completed";
    }
    storage.crash(new SeededRandom(round));
  }
});

test("LogJobQueue gives its room back, and knows what is forgotten over a restart", async () => {
  const storage = new MemoryStorage();
  const clock = new ManualClock();
  const parts = { storage, directory: "jobs", clock };
  const queue = await LogJobQueue.open(parts);
  const proof = new Uint8Array(200_000);
  for (let number = 0n; number < 150n; number++) {
    await queue.enqueue(batchOf(number, 1));
    const claim = await claimed(queue);
    await queue.save(claim, { ...claim.job, stage: "submission", network: { proof } });
    const done = { ...claim.job, stage: "submission" as const, network: {} };
    await queue.save(claim, done);
    await queue.complete(claim);
  }
  const jobs = await queue.list();
  await queue.close();
  const again = await LogJobQueue.open(parts);
  deepEqual(await again.list(), jobs);
  equal((await again.enqueue(batchOf(0n))).stage, "completed");
  await again.close();
  const wal = await Wal.open({ storage, directory: "jobs" });
  equal(wal.checkpointed > 100n, true);
  await wal.close();
});

test("LogJobQueue refuses what it did not write", async () => {
  const storage = new MemoryStorage();
  const wal = await Wal.open({ storage, directory: "jobs" });
  await wal.append(1, new TextEncoder().encode('{"id":7}'));
  await wal.close();
  const parts = { storage, directory: "jobs", clock: new ManualClock() };
  await rejects(LogJobQueue.open(parts), { code: "Corrupted", message: /record 0 of the proof/ });
});
