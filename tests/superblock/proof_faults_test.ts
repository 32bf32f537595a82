/**
 * Faults of provers and of the publisher in virtual time, beside those of `proof_pipeline_test.ts`.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { ProofPipelineConfig } from "../../src/superblock/proof_config.ts";
import { batchOf } from "./batches.ts";
import { HOUR_MS, MINUTE_MS, ProofWorld, unreachable } from "./proof_world.ts";

function faultTest(
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

const retriesOf = (world: ProofWorld) =>
  world.events.flatMap((each) => each.event === "job_retry" ? [[each.stage, each.retries]] : []);

faultTest(
  "a 5xx to each request costs a retry, one to a question after a proof none",
  async (world) => {
    const { prover, networkProver } = world;
    const calls: string[] = [];
    const once = <T extends object>(port: T, method: keyof T & string) => {
      const real = port[method] as (...values: unknown[]) => Promise<unknown>;
      let isDown = true;
      port[method] = (async (...values: unknown[]) => {
        if (isDown) {
          isDown = false;
          calls.push(method);
          throw unreachable();
        }
        return await real.apply(port, values);
      }) as never;
    };
    once(prover, "requestRange");
    once(prover, "requestAggregation");
    once(networkProver, "request");
    once(prover, "status");
    once(networkProver, "status");
    await world.pipeline.enqueue(batchOf(1n));
    await world.untilStage("1001-1", "completed");
    equal(calls.length, 5);
    // Counted anew in each stage.
    deepEqual(retriesOf(world), [["range_proof", 1], ["aggregation", 1], ["network_agg", 1]]);
  },
  { maxRetries: 1 },
);

test("what is written down of a job is no more where its proofs take longer", async () => {
  const writes = async (provingMs: number) => {
    const world = new ProofWorld();
    let saves = 0;
    const save = world.queue.save.bind(world.queue);
    world.queue.save = (claim, progress) => (saves += 1, save(claim, progress));
    world.prover.provingMs = world.networkProver.provingMs = provingMs;
    world.start();
    await world.pipeline.enqueue(batchOf(1n));
    await world.untilStage("1001-1", "completed");
    await world.stop();
    return saves;
  };
  equal(await writes(20 * MINUTE_MS), await writes(MINUTE_MS));
});

faultTest("a request that is never answered is given up in time, and made again", async (world) => {
  const { prover } = world;
  const real = prover.requestRange.bind(prover);
  const askedMs: number[] = [];
  prover.requestRange = (range) => {
    askedMs.push(world.clock.elapsedMs);
    return askedMs.length === 1 ? new Promise(() => {}) : real(range);
  };
  await world.pipeline.enqueue(batchOf(1n));
  await world.untilStage("1001-1", "completed");
  const waitedMs = askedMs[1]! - askedMs[0]!;
  ok(waitedMs >= 35 * MINUTE_MS && waitedMs <= 35 * MINUTE_MS + 10_000, `${waitedMs}`);
  deepEqual(retriesOf(world), [["range_proof", 1]]);
});

faultTest("an answer that comes when the try is over changes nothing", async (world) => {
  const { prover } = world;
  const late: (() => void)[] = [];
  const request = prover.requestRange.bind(prover);
  const status = prover.status.bind(prover);
  let requests = 0;
  prover.requestRange = async (range) => {
    const id = await request(range);
    // The first is answered when the second is under way.
    if (++requests === 1) await new Promise<void>((resolve) => late.push(resolve));
    return id;
  };
  let polls = 0;
  prover.status = async (id) => {
    const answer = await status(id);
    if (++polls === 1) await new Promise<void>((resolve) => late.push(resolve));
    return answer;
  };
  await world.pipeline.enqueue(batchOf(1n));
  await world.until(() => polls === 1);
  for (const answer of late) answer();
  await world.untilStage("1001-1", "completed");
  const { ranges } = (await world.queue.get("1001-1"))!;
  equal(ranges[0]!.requestId, "range 4-8 #2");
  deepEqual(prover.asked.map(({ what, attempt }) => [what, attempt]), [
    ["range 4-8", 1],
    ["range 4-8", 2],
    ["aggregation of range 4-8", 1],
  ]);
  deepEqual(world.publisher.numbers, [1n]);
});

faultTest("a try that is over asks nobody any more", async (world) => {
  const { prover } = world;
  const forgotten = new Set<string>();
  const polledLate: string[] = [];
  const status = prover.status.bind(prover);
  prover.fault = ({ range, attempt }) => {
    // In halves from the start; the first tries of them never come to an end.
    if (range && range.end - range.start > 2n) return { state: "unprovable", reason: "too long" };
    return range && attempt === 1 ? { state: "pending" } : undefined;
  };
  let answer: (() => void) | undefined;
  prover.status = async (id) => {
    if (forgotten.has(id)) polledLate.push(id);
    if (id === "range 4-6 #1" && !answer) await new Promise<void>((resolve) => answer = resolve);
    return await status(id);
  };
  await world.pipeline.enqueue(batchOf(1n));
  await world.until(() => world.names().includes("job_retry"));
  for (const id of ["range 4-6 #1", "range 6-8 #1"]) forgotten.add(id);
  answer!();
  await world.untilStage("1001-1", "completed");
  deepEqual(polledLate, []);
});

faultTest("answers that arrive twice count once", async (world) => {
  const { prover, networkProver, publisher } = world;
  // As of a request that something on the way repeats.
  for (const port of [prover, networkProver]) {
    const status = port.status.bind(port);
    port.status = async (id) => {
      await status(id);
      return await status(id);
    };
  }
  const range = prover.requestRange.bind(prover);
  prover.requestRange = async (work) => {
    await range(work);
    return await range(work);
  };
  const submit = publisher.submit.bind(publisher);
  let submits = 0;
  publisher.submit = async (submission) => {
    submits += 1;
    await submit(submission);
  };
  for (const number of [1n, 2n]) await world.pipeline.enqueue(batchOf(number));
  await world.untilStage("1001-2", "completed");
  const names = world.names();
  for (const [name, times] of [["job_created", 2], ["stage_completed", 8], ["job_completed", 2]]) {
    equal(names.filter((each) => each === name).length, times, `${name}`);
  }
  deepEqual(publisher.numbers, [1n, 2n]);
  equal(submits, 2);
  // What was asked for twice is polled by the id that was answered.
  equal((await world.queue.get("1001-1"))!.ranges[0]!.requestId, "range 4-8 #2");
});

faultTest(
  "an unprovable block is named, and proved when it is taken up again by hand",
  async (world) => {
    let isCured = false;
    world.prover.fault = ({ range }) =>
      !isCured && range && range.start < 12n && range.end >= 12n
        ? { state: "unprovable", reason: "execution status 3" }
        : undefined;
    await world.pipeline.enqueue(batchOf(1n, 8));
    await world.untilStage("1001-1", "failed");
    const { error } = (await world.queue.get("1001-1"))!;
    match(error!, /^Cannot prove job 1001-1 \(range_proof, block 12\): .*execution status 3$/);
    deepEqual(retriesOf(world), []);
    const asked = world.prover.asked.length;
    isCured = true;
    await world.pipeline.requeue("1001-1");
    await world.untilStage("1001-1", "completed");
    // Only that one is asked for, and the aggregation of all.
    deepEqual(world.prover.asked.slice(asked).map(({ what }) => what), [
      "range 11-12",
      "aggregation of range 8-10,range 10-11,range 11-12,range 12-16",
    ]);
    deepEqual(world.publisher.numbers, [1n]);
  },
);

faultTest(
  "a publisher that is away for an hour, whatever it is asked, has it once in the end",
  async (world) => {
    const { publisher } = world;
    const hasReceived = publisher.hasReceived.bind(publisher);
    let isAway = true;
    publisher.before = () => {
      if (isAway) throw unreachable();
    };
    publisher.hasReceived = (hash, chainId) =>
      isAway ? Promise.reject(unreachable()) : hasReceived(hash, chainId);
    for (const number of [1n, 2n, 3n]) await world.pipeline.enqueue(batchOf(number));
    await world.until(() => world.names().includes("job_retry"));
    const sinceMs = world.clock.elapsedMs;
    await world.until(() => world.clock.elapsedMs > sinceMs + HOUR_MS);
    deepEqual(publisher.accepted, []);
    equal((await world.queue.get("1001-1"))!.stage, "submission");
    isAway = false;
    await world.untilStage("1001-3", "completed");
    deepEqual(publisher.numbers, [1n, 2n, 3n]);
    ok(retriesOf(world).every(([stage, retries]) => stage === "submission" && retries === 0));
    equal(world.names().includes("job_failed"), false);
  },
  { maxRetries: 0 },
);

faultTest(
  "a publisher that takes a proof and is away for an hour then is not given it twice",
  async (world) => {
    const { publisher } = world;
    const hasReceived = publisher.hasReceived.bind(publisher);
    let awayUntilMs = 0;
    publisher.after = () => {
      awayUntilMs = world.clock.elapsedMs + HOUR_MS;
      throw unreachable();
    };
    publisher.before = () => {
      if (world.clock.elapsedMs < awayUntilMs) throw unreachable();
    };
    publisher.hasReceived = (hash, chainId) =>
      world.clock.elapsedMs < awayUntilMs
        ? Promise.reject(unreachable())
        : hasReceived(hash, chainId);
    for (const number of [1n, 2n]) await world.pipeline.enqueue(batchOf(number));
    await world.untilStage("1001-2", "completed");
    deepEqual(publisher.numbers, [1n, 2n]);
    ok(world.clock.elapsedMs > 2 * HOUR_MS);
  },
);

faultTest(
  "whether a publisher has a proof is asked until it answers, and the proof not given again",
  async (world) => {
    const { publisher } = world;
    publisher.after = () => {
      throw unreachable();
    };
    let questions = 0;
    const hasReceived = publisher.hasReceived.bind(publisher);
    publisher.hasReceived = (hash, chainId) =>
      ++questions < 3 ? Promise.reject(unreachable()) : hasReceived(hash, chainId);
    await world.pipeline.enqueue(batchOf(1n));
    await world.untilStage("1001-1", "completed");
    equal(questions, 3);
    deepEqual(publisher.numbers, [1n]);
  },
);

faultTest(
  "no more jobs than are allowed are with a prover, whatever becomes of them",
  async (world) => {
    const open = new Set<string>();
    let most = 0;
    const { prover } = world;
    prover.fault = ({ what, attempt }) =>
      attempt === 1 && what.startsWith("range") ? { state: "failed", reason: "busy" } : undefined;
    const original = world.queue.claim.bind(world.queue);
    world.queue.claim = async (worker, leaseMs) => {
      const claim = await original(worker, leaseMs);
      if (claim) open.add(claim.job.id);
      most = Math.max(most, open.size);
      return claim;
    };
    for (const end of ["complete", "fail", "release"] as const) {
      const real = world.queue[end].bind(world.queue) as (...values: unknown[]) => Promise<never>;
      world.queue[end] = async (claim: { job: { id: string } }, ...rest: unknown[]) => {
        const ended = await real(claim, ...rest);
        open.delete(claim.job.id);
        return ended;
      };
    }
    for (let number = 1n; number <= 7n; number++) await world.pipeline.enqueue(batchOf(number));
    await world.untilStage("1001-7", "completed");
    equal(most, 3);
    deepEqual(world.publisher.numbers, [1n, 2n, 3n, 4n, 5n, 6n, 7n]);
  },
  { maxConcurrentJobs: 3 },
);
