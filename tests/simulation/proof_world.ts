/**
 * A proof pipeline on a machine that fails, among provers and a publisher that fail, and somebody who takes
 * failed jobs up again, until all batches are accepted.
 *
 * @module
 */
import { isRetryable, MontanaError } from "../../src/errors.ts";
import type { Clock, LogEvent } from "../../src/ports.ts";
import type { JobClaim, JobQueue, ProofSubmission } from "../../src/proving.ts";
import type { BatchInfo, BatchState, ProvableBatches } from "../../src/superblock.ts";
import { ProofPipeline } from "../../src/superblock/proof_pipeline.ts";
import { LogJobQueue } from "../../src/wal/job_queue.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { noise, withMembers } from "../helpers.ts";
import { batchOf } from "../superblock/batches.ts";
import {
  FakeNetworkProver,
  FakeProver,
  FakePublisher,
  OUTPUTS,
  unreachable,
} from "../superblock/proof_world.ts";
import { type Life, Machine } from "./life.ts";
import { withinLimits } from "./proof_limits.ts";
import { nameOf, type Outcome, type Run } from "./run.ts";

/** What is planted in a run. */
export interface ProofDefects {
  readonly queue?: (queue: JobQueue) => JobQueue;
  /** What the pipeline sleeps by. */
  readonly clock?: (clock: Clock, jobTimeoutMs: number) => Clock;
}

const LIMIT_MS = 3_600_000;

/**
 * Runs one seed.
 *
 * @throws {Error} where a promise is broken
 */
export async function runProofWorld(run: Run, defects: ProofDefects = {}): Promise<Outcome> {
  await new ProofPipelineWorld(run, defects).play();
  return run;
}

/** The one that runs. */
interface Current {
  readonly pipeline: ProofPipeline;
  readonly queue: JobQueue;
  readonly life: Life;
}

class ProofPipelineWorld {
  readonly #run: Run;
  readonly #defects: ProofDefects;
  readonly #machine: Machine;
  readonly #prover: FakeProver;
  readonly #networkProver: FakeNetworkProver;
  readonly #publisher = new FakePublisher();
  readonly #config;
  readonly #calmMs: number;
  readonly #batches: number;
  readonly #blocks: number;
  /** A block that nobody can execute until all is calm. */
  readonly #poison: bigint;
  readonly #states = new Map<bigint, BatchState>();
  readonly #jobs = new Map<bigint, string>();
  #current: Current | undefined;
  /** Batches of which a submission came from a program that had ended, or twice of itself. */
  readonly #late = new Set<bigint>();
  #isDone = false;

  constructor(run: Run, defects: ProofDefects) {
    this.#run = run;
    this.#defects = defects;
    this.#machine = new Machine(run, { name: "pipeline" });
    this.#prover = new FakeProver(run.clock);
    this.#networkProver = new FakeNetworkProver(run.clock);
    this.#calmMs = run.around(5_000, 120_000);
    this.#batches = run.between(2, 8);
    this.#blocks = run.between(1, 6);
    this.#poison = BigInt(run.below(2 * this.#batches * this.#blocks));
    const jobTimeoutMs = run.around(5_000, 60_000);
    this.#config = {
      maxConcurrentJobs: run.between(1, 5),
      jobTimeoutMs,
      maxRetries: run.pick([0, 1, 3]),
      retryDelayMs: run.around(10, 5_000),
      pollIntervalMs: run.around(10, 1_000),
      leaseMs: run.around(1_000, 10_000),
    };
    for (const prover of [this.#prover, this.#networkProver]) {
      prover.provingMs = run.around(10, jobTimeoutMs / 4);
      prover.fault = ({ range }) => {
        const isPoisoned = range && range.start < this.#poison && range.end >= this.#poison;
        if (isPoisoned && !run.isCalm) return { state: "unprovable", reason: "poisoned" };
        return run.mishap(0.03) ? { state: "failed", reason: "by chance" } : undefined;
      };
    }
    this.#publisher.before = (submission) => this.#checkSubmission(submission);
  }

  async play(): Promise<void> {
    const run = this.#run;
    const ends: unknown[] = [];
    const start = (task: Promise<void>) => void task.catch((error) => ends.push(error));
    start(this.#keepProving());
    start(this.#keepHandingIn());
    start(this.#lookAfterJobs());
    start(
      run.clock.sleep(this.#calmMs).then(() => {
        run.say("calm from now on");
        run.isCalm = true;
      }),
    );
    await run.clock.run(
      () => ends.length > 0 || !!run.violation || this.#isDone,
      this.#calmMs + LIMIT_MS,
    );
    if (run.violation ?? ends[0]) throw run.violation ?? ends[0];
    run.check(this.#isAllAccepted, "not each batch was accepted");
  }

  get #isAllAccepted(): boolean {
    return new Set(this.#publisher.numbers).size === this.#batches;
  }

  async #keepProving(): Promise<void> {
    const run = this.#run;
    while (!this.#isDone) {
      await this.#machine.live((life) =>
        this.#prove(life).finally(() => this.#current = undefined)
      );
      this.#current = undefined;
      this.#isDone = this.#isAllAccepted && this.#machine.endedWell && run.isCalm;
      await run.clock.sleep(run.around(1, 3000));
    }
  }

  async #prove(life: Life): Promise<void> {
    const { storage, clock } = life;
    const run = this.#run;
    const sleeper = this.#defects.clock?.(clock, this.#config.jobTimeoutMs) ?? clock;
    const opened = await LogJobQueue.open({
      storage,
      directory: "/data/jobs",
      clock,
      log: run.log("pipeline"),
    }, { segmentBytes: 20_000 });
    const queue = this.#defects.queue?.(opened) ?? opened;
    const pipeline = new ProofPipeline({
      queue: withinLimits(queue, run, this.#config),
      batches: life.gate(this.#manager()),
      prover: life.gate(this.#unreliable(this.#prover, life, queue)),
      networkProver: life.gate(this.#unreliable(this.#networkProver, life, queue)),
      publisher: life.gate(this.#unreliable(this.#publisher, life)),
      outputs: OUTPUTS,
      rollup: {
        rollupConfigHash: noise(32, 1),
        multiBlockVKey: noise(32, 2),
        proverAddress: noise(20, 3),
        aggregationVKey: {},
      },
      clock: sleeper,
      log: (event) => {
        run.log("pipeline")(event);
        if (event.event === "job_completed") this.#checkCompleted(event.batchNumber);
        this.#checkRetries(event, opened);
      },
    }, this.#config);
    this.#current = { pipeline, queue, life };
    let isIdle = false;
    void (async () => {
      while (!life.isOver) {
        await run.clock.sleep(500);
        const jobs = await opened.list();
        const isTold = [...this.#states.values()].every((state) => state === "completed");
        isIdle = this.#isAllAccepted && isTold && jobs.every(({ stage }) => stage === "completed");
      }
    })();
    await pipeline.run(life.stopSignal(() => isIdle));
    await opened.close();
  }

  /** Calls take their time, fail before or after they have their effect, and provers forget. */
  #unreliable<Port extends object>(port: Port, life: Life, queue?: JobQueue): Port {
    const run = this.#run;
    return new Proxy(port, {
      get: (target, key) => {
        const member = Reflect.get(target, key, target);
        if (typeof member !== "function" || key === "seal") return member;
        return async (...values: unknown[]) => {
          if (queue && key === "status") await this.#checkNoted(queue, values[0] as string);
          await run.clock.sleep(run.around(1, 300));
          if (run.mishap(0.08)) return this.#away(`${String(key)} fails`);
          if (run.mishap(0.01)) return await this.#never(String(key));
          if (target instanceof FakeProver && run.mishap(0.01)) {
            run.note("prover", "forgets");
            target.forget();
          }
          if (key === "submit" && life.isOver) {
            run.note("publisher", "is reached late");
            this.#late.add((values[0] as ProofSubmission).superblockNumber);
          }
          const answer = await member.apply(target, values);
          if (run.mishap(0.05)) return this.#away(`${String(key)} is not answered`);
          // As a proxy between them does that repeats a request: the last answer is heard.
          if (run.mishap(0.03)) {
            return await this.#again(String(key), () => member.apply(target, values), values);
          }
          // When nobody waits for it any more, or another asks for the same.
          if (run.mishap(0.01)) await run.clock.sleep(run.around(1, 2 * this.#config.jobTimeoutMs));
          return answer;
        };
      },
    });
  }

  #never(call: string): Promise<never> {
    this.#run.note("port", "hangs", `: ${call}`);
    return new Promise(() => {});
  }

  async #again(call: string, repeat: () => Promise<unknown>, values: unknown[]): Promise<unknown> {
    this.#run.note("port", "is asked twice", `: ${call}`);
    if (call === "submit") this.#late.add((values[0] as ProofSubmission).superblockNumber);
    return await repeat();
  }

  #away(what: string): never {
    this.#run.note("port", what);
    throw unreachable();
  }

  async #checkNoted(queue: JobQueue, requestId: string): Promise<void> {
    const jobs = await queue.list();
    const noted = jobs.flatMap(({ ranges, aggregation, network }) =>
      [...ranges, aggregation, network].map((each) => each?.requestId)
    );
    const isLate = jobs.some(({ stage }) => stage === "failed" || stage === "cancelled");
    // Of a job that was taken away meanwhile, one poll may still be on its way.
    this.#run.check(isLate || noted.includes(requestId), `${requestId} is polled, and not noted`);
  }

  /** The same again is harmless, and comes only where a call of a dead program lands late. */
  #checkSubmission(submission: ProofSubmission): void {
    const run = this.#run;
    const { superblockNumber, superblockHash } = submission;
    run.note("publisher", "takes", `: ${superblockNumber}`);
    const before = this.#publisher.accepted.find((each) =>
      each.superblockNumber === superblockNumber
    );
    const next = BigInt(new Set(this.#publisher.numbers).size + 1);
    const isAgain = before !== undefined && this.#late.has(superblockNumber) &&
      equalBytes(before.superblockHash, superblockHash);
    const text = `batch ${superblockNumber} is submitted where batch ${next} is the next`;
    run.check(isAgain || superblockNumber === next, text);
  }

  /** As many as are allowed, and a job that may be tried again fails after the last of them only. */
  #checkRetries(event: LogEvent, queue: JobQueue): void {
    const run = this.#run;
    const { maxRetries } = this.#config;
    if (event.event === "job_retry" && event.stage !== "submission") {
      // What is proved is submitted for as long as that takes.
      run.check(event.retries <= maxRetries, `${event.jobId} is at retry ${event.retries}`);
    }
    if (event.event !== "job_failed" || !isRetryable(event.error)) return;
    // By the queue: a retry that was noted by a program that died was not told.
    void queue.get(event.jobId).then((job) => {
      const text =
        `${event.jobId} failed at ${job?.stage} after ${job?.retries} retries of ${maxRetries}`;
      run.check(job?.stage === "failed" && job.retries === maxRetries, text);
    }).catch(() => {});
  }

  #checkCompleted(batchNumber: bigint): void {
    const has = this.#publisher.numbers.includes(batchNumber);
    this.#run.check(has, `batch ${batchNumber} is completed, and was not accepted`);
  }

  /** A batch manager whose notes outlive all; now and then it cannot write. */
  #manager(): ProvableBatches {
    const run = this.#run;
    const note = (batchNumber: bigint, state: BatchState): Promise<void> => {
      if (run.mishap(0.05)) return Promise.reject(unreachable());
      this.#states.set(batchNumber, state);
      return Promise.resolve();
    };
    return {
      batchesReadyForProving: () =>
        [...this.#states.keys()].filter((number) => !this.#jobs.has(number))
          .map((number) => batchOf(number, this.#blocks)),
      batch: (number) => ({ state: this.#states.get(number) }) as BatchInfo,
      updateBatchProofJob: async (number, id) => {
        await note(number, "proving");
        this.#jobs.set(number, id);
      },
      markBatchCompleted: (number) => note(number, "completed"),
      markBatchFailed: (number) => note(number, "failed"),
      requeueBatch: (number) => note(number, "proving"),
    };
  }

  async #keepHandingIn(): Promise<void> {
    const run = this.#run;
    for (let number = 1n; number <= this.#batches; number++) {
      await run.clock.sleep(run.around(10, this.#calmMs / this.#batches));
      this.#states.set(number, "proving");
    }
  }

  async #lookAfterJobs(): Promise<void> {
    const run = this.#run;
    while (!this.#isDone) {
      await run.clock.sleep(run.around(500, 20_000));
      await this.#byHand(async ({ pipeline, queue }) => {
        for (const { id, stage } of await queue.list()) {
          if (stage === "failed" || stage === "cancelled") await pipeline.requeue(id);
          else if (stage !== "completed" && run.mishap(0.03)) await pipeline.cancel(id);
        }
      });
    }
  }

  async #byHand(
    action: (current: Current) => Promise<unknown>,
  ): Promise<void> {
    const current = this.#current;
    if (!current) return;
    const done = current.life.lasting(action(current)).catch((error) => {
      this.#run.check(error instanceof MontanaError, `by hand: ${nameOf(error)}`);
    });
    await Promise.race([done, current.life.over]);
  }
}

/** A queue that has forgotten, after a start, that a submission was begun. */
export function withoutSubmissions(queue: JobQueue): JobQueue {
  return withMembers(queue, {
    save: (claim, { isSubmitting: _, ...progress }) => queue.save(claim, progress),
  });
}

/** A queue that gives one job to several workers, where there is no other. */
export function withSharedClaims(queue: JobQueue): JobQueue {
  let last: JobClaim | undefined;
  return withMembers(queue, {
    claim: async (worker, leaseMs) => last = await queue.claim(worker, leaseMs) ?? last,
  });
}

/** A queue in which a job never fails, but is tried again. */
export function withEndlessRetries(queue: JobQueue): JobQueue {
  return withMembers(queue, {
    fail: (claim, error, retryAtMs, isCounted) =>
      queue.fail(claim, error, retryAtMs ?? 0, isCounted),
  });
}

/** A clock by which no try is ever over. */
export function withoutTimeouts(clock: Clock, jobTimeoutMs: number): Clock {
  return {
    now: () => clock.now(),
    sleep: (ms, signal) => clock.sleep(ms === jobTimeoutMs ? Infinity : ms, signal),
  };
}
