/**
 * A queue of proof jobs that holds whoever works on them to the limits.
 *
 * @module
 */
import type { JobClaim, JobQueue } from "../../src/proving.ts";
import { withMembers } from "../helpers.ts";
import type { Run } from "./run.ts";

/** What a pipeline was told. */
interface Limits {
  readonly maxConcurrentJobs: number;
  readonly jobTimeoutMs: number;
  readonly leaseMs: number;
}

/** A disk may be slow when the end of a try is noted. */
const NOTED_WITHIN_MS = 10_000;

interface Held {
  readonly token: number;
  stage: string;
  /** When its stage was begun. */
  sinceMs: number;
  leaseEndMs: number;
}

/** `queue`, of one life: each job is one worker's, no more of them at once, none for longer than is allowed. */
export function withinLimits(queue: JobQueue, run: Run, limits: Limits): JobQueue {
  const { maxConcurrentJobs, jobTimeoutMs } = limits;
  const held = new Map<string, Held>();
  const nowMs = () => run.clock.elapsedMs;
  const of = ({ job, token }: JobClaim) => {
    const claimed = held.get(job.id);
    return claimed?.token === token ? claimed : undefined;
  };
  const checkTime = (claim: JobClaim) => {
    const claimed = of(claim);
    if (!claimed) return;
    const tookMs = nowMs() - claimed.sinceMs;
    run.check(
      tookMs <= jobTimeoutMs + NOTED_WITHIN_MS,
      `${claim.job.id} is at its ${claimed.stage} for ${tookMs} ms, ${jobTimeoutMs} are allowed`,
    );
  };
  const letGo = (claim: JobClaim) => {
    if (of(claim)) held.delete(claim.job.id);
  };
  return withMembers(queue, {
    async claim(worker, leaseMs) {
      const claim = await queue.claim(worker, leaseMs);
      if (!claim) return undefined;
      const { job: { id, stage }, token } = claim;
      const before = held.get(id);
      run.check(!before || before.leaseEndMs <= nowMs(), `${id} is claimed twice`);
      held.set(id, { token, stage, sinceMs: nowMs(), leaseEndMs: nowMs() + leaseMs });
      const live = [...held.values()].filter(({ leaseEndMs }) => leaseEndMs > nowMs()).length;
      run.check(
        live <= maxConcurrentJobs,
        `${live} jobs at once, ${maxConcurrentJobs} are allowed`,
      );
      return claim;
    },
    async heartbeat(claim, leaseMs) {
      await queue.heartbeat(claim, leaseMs);
      checkTime(claim);
      const claimed = of(claim);
      if (claimed) claimed.leaseEndMs = nowMs() + leaseMs;
    },
    async save(claim, progress) {
      checkTime(claim);
      const job = await queue.save(claim, progress);
      const claimed = of(claim);
      if (claimed && claimed.stage !== job.stage) {
        claimed.stage = job.stage;
        claimed.sinceMs = nowMs();
      }
      return job;
    },
    async complete(claim) {
      checkTime(claim);
      const job = await queue.complete(claim);
      letGo(claim);
      return job;
    },
    async fail(claim, error, retryAtMs, isCounted) {
      checkTime(claim);
      const job = await queue.fail(claim, error, retryAtMs, isCounted);
      letGo(claim);
      return job;
    },
    async release(claim, untilMs) {
      await queue.release(claim, untilMs);
      letGo(claim);
    },
    async cancel(id) {
      const job = await queue.cancel(id);
      held.delete(id);
      return job;
    },
  });
}
