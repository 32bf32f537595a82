/**
 * Proof jobs, in a log of their own: what a job has come to is in it before anybody relies on it.
 *
 * | type | record   |                                                           |
 * | ---: | -------- | --------------------------------------------------------- |
 * |    1 | job      | a job, as it is now                                       |
 * |    2 | snapshot | all that is kept; the records before it are not needed    |
 *
 * Leases are not in it. One process at a time has the log open, so who held one before is gone.
 *
 * @module
 */
import { JobTable, type JobTableState } from "../job_table.ts";
import type { Clock } from "../ports.ts";
import type { ProofJob } from "../proving.ts";
import { openLog } from "./journal_log.ts";
import type { WalConfig, WalParts } from "./log.ts";
import { SnapshotLog } from "./snapshot_log.ts";

const RECORD = { job: 1, snapshot: 2 } as const;

/** A job of many blocks is large. */
const SNAPSHOT_AFTER_BYTES = 16 * 1024 * 1024;

/** What a queue in a log is made of. */
export interface JobQueueParts extends WalParts {
  readonly clock: Clock;
}

/**
 * A `JobQueue` on a log.
 *
 * @example
 * ```ts
 * import { LogJobQueue, ManualClock, MemoryStorage } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const parts = { storage: new MemoryStorage(), directory: "jobs", clock: new ManualClock() };
 * const window = {
 *   batchNumber: 3n,
 *   firstEpoch: 30n,
 *   lastEpoch: 39n,
 *   firstSlot: 960n,
 *   lastSlot: 1279n,
 *   startsAt: 11520n,
 *   endsAt: 15360n,
 * };
 * const queue = await LogJobQueue.open(parts);
 * await queue.enqueue({ chainId: 1001n, window, blocks: [] });
 * await queue.close();
 *
 * const again = await LogJobQueue.open(parts);
 * const claim = await again.claim("worker", 60_000);
 * if (claim?.job.id !== "1001-3") throw new Error("it forgot the job");
 * await again.close();
 * ```
 */
export class LogJobQueue extends JobTable {
  readonly #log: SnapshotLog;

  private constructor(log: SnapshotLog, clock: Clock, state: JobTableState) {
    super({
      clock,
      keep: async (job, present) => {
        // Of what counts already: the job that is kept now is not in the table yet.
        if (log.isSnapshotDue) await log.save(present());
        await log.append(RECORD.job, job);
      },
    }, state);
    this.#log = log;
  }

  /**
   * Opens a queue, and begins one where there is none.
   *
   * @throws {WalError} what opening a log throws; `Corrupted` where it holds what is no job
   */
  static async open(
    parts: JobQueueParts,
    config: Partial<WalConfig> = {},
  ): Promise<LogJobQueue> {
    const rules = {
      name: `the proof jobs in ${parts.directory}`,
      snapshotType: RECORD.snapshot,
      snapshotAfterBytes: SNAPSHOT_AFTER_BYTES,
    };
    return await openLog(parts, config, async (wal) => {
      const log = new SnapshotLog(wal, rules);
      return new LogJobQueue(log, parts.clock, await replayed(log));
    });
  }

  async close(): Promise<void> {
    await this.#log.close();
  }
}

async function replayed(log: SnapshotLog): Promise<JobTableState> {
  const jobs = new Map<string, ProofJob>();
  let forgotten: JobTableState["forgotten"] = {};
  await log.replay((type, value) => {
    switch (type) {
      case RECORD.job: {
        const job = wholeJob(value);
        jobs.set(job.id, job);
        return;
      }
      case RECORD.snapshot: {
        const snapshot = wholeState(value);
        jobs.clear();
        for (const job of snapshot.jobs) jobs.set(job.id, job);
        forgotten = snapshot.forgotten;
        return;
      }
      default:
        throw new TypeError(`type ${type} is unknown`);
    }
  });
  return { jobs: [...jobs.values()], forgotten };
}

function wholeState({ jobs, forgotten = {} }: Partial<JobTableState>): JobTableState {
  if (!Array.isArray(jobs)) throw new TypeError("its jobs are no list");
  for (const number of Object.values(forgotten)) {
    if (typeof number !== "bigint") throw new TypeError("what is forgotten is no number");
  }
  return { jobs: jobs.map(wholeJob), forgotten };
}

function wholeJob(job: Partial<ProofJob>): ProofJob {
  const isWhole = typeof job?.id === "string" && typeof job.stage === "string" &&
    typeof job.batch?.chainId === "bigint" && Array.isArray(job.batch.blocks) &&
    typeof job.batch.window?.batchNumber === "bigint" && Array.isArray(job.ranges) &&
    typeof job.retries === "number" && typeof job.notBeforeMs === "number";
  if (!isWhole) throw new TypeError("a job lacks a part");
  // Earlier versions did not write down when the stage began: at the latest, then.
  return { ...job as ProofJob, stageSinceMs: job.stageSinceMs ?? job.updatedAtMs! };
}
