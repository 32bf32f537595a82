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
import { isRetryable, WalError } from "../errors.ts";
import { JobTable, type JobTableState } from "../job_table.ts";
import type { Clock } from "../ports.ts";
import type { ProofJob } from "../proving.ts";
import { fromJsonPayload, toJsonPayload } from "./json_payload.ts";
import { Wal, type WalConfig, type WalParts } from "./log.ts";

const RECORD = { job: 1, snapshot: 2 } as const;

/** A snapshot is due after so many bytes of other records, and after so many times its own size. */
const SNAPSHOT_AFTER_BYTES = 16 * 1024 * 1024;
const SNAPSHOT_AFTER_TIMES = 4;

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
  readonly #log: JobLog;

  private constructor(log: JobLog, clock: Clock, state: JobTableState) {
    super({ clock, keep: (job, present) => log.keep(job, present) }, state);
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
    const wal = await Wal.open(parts, config);
    try {
      const replayed = new JobTable({ clock: parts.clock, keep: () => Promise.resolve() });
      const log = new JobLog(wal, parts.directory);
      return new LogJobQueue(log, parts.clock, await log.replay(replayed.state));
    } catch (error) {
      await wal.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#log.close();
  }
}

/** The records behind a queue. */
class JobLog {
  readonly #wal: Wal;
  readonly #directory: string;
  #bytesSinceSnapshot = 0;
  #snapshotBytes = 0;

  constructor(wal: Wal, directory: string) {
    this.#wal = wal;
    this.#directory = directory;
  }

  async replay(state: JobTableState): Promise<JobTableState> {
    let jobs = new Map<string, ProofJob>();
    let { forgotten } = state;
    for await (const { sequence, type, payload } of this.#wal.read()) {
      const value = this.#parse(sequence, type, payload);
      this.#bytesSinceSnapshot += payload.length;
      if (type === RECORD.job) {
        const job = value as ProofJob;
        jobs.set(job.id, job);
        continue;
      }
      const snapshot = value as JobTableState;
      jobs = new Map(snapshot.jobs.map((job) => [job.id, job]));
      forgotten = snapshot.forgotten;
      this.#snapshotBytes = payload.length;
      this.#bytesSinceSnapshot = 0;
    }
    return { jobs: [...jobs.values()], forgotten };
  }

  async keep(job: ProofJob, state: () => JobTableState): Promise<void> {
    const dueBytes = Math.max(SNAPSHOT_AFTER_BYTES, SNAPSHOT_AFTER_TIMES * this.#snapshotBytes);
    // Of what counts already: the job that is kept now is not in the table yet.
    if (this.#bytesSinceSnapshot >= dueBytes) await this.#makeRoom(state());
    const payload = toJsonPayload(job);
    await this.#wal.append(RECORD.job, payload);
    this.#bytesSinceSnapshot += payload.length;
  }

  async close(): Promise<void> {
    await this.#wal.close();
  }

  /** One record instead of all those before it. */
  async #makeRoom(state: JobTableState): Promise<void> {
    try {
      const payload = toJsonPayload(state);
      const sequence = await this.#wal.append(RECORD.snapshot, payload);
      this.#snapshotBytes = payload.length;
      this.#bytesSinceSnapshot = 0;
      await this.#wal.checkpoint(sequence);
    } catch (error) {
      // It only gives room back: the next one does it as well.
      if (!isRetryable(error)) throw error;
    }
  }

  #parse(sequence: bigint, type: number, payload: Uint8Array): ProofJob | JobTableState {
    try {
      const value = fromJsonPayload(payload) as Partial<ProofJob & JobTableState>;
      if (type === RECORD.job) return wholeJob(value);
      if (type !== RECORD.snapshot) throw new TypeError(`type ${type} is unknown`);
      if (!Array.isArray(value.jobs)) throw new TypeError("its jobs are no list");
      value.jobs.forEach(wholeJob);
      for (const number of Object.values(value.forgotten ?? {})) {
        if (typeof number !== "bigint") throw new TypeError("what is forgotten is no number");
      }
      return { jobs: value.jobs, forgotten: value.forgotten ?? {} };
    } catch (cause) {
      throw new WalError(
        "Corrupted",
        `Cannot read record ${sequence} of the proof jobs in ${this.#directory}: it is not as this ` +
          `program writes it`,
        { cause, details: { sequence } },
      );
    }
  }
}

function wholeJob(job: Partial<ProofJob>): ProofJob {
  const isWhole = typeof job?.id === "string" && typeof job.stage === "string" &&
    typeof job.batch?.chainId === "bigint" && Array.isArray(job.batch.blocks) &&
    typeof job.batch.window?.batchNumber === "bigint" && Array.isArray(job.ranges) &&
    typeof job.retries === "number" && typeof job.notBeforeMs === "number" &&
    typeof job.stageSinceMs === "number";
  if (!isWhole) throw new TypeError("a job lacks a part");
  return job as ProofJob;
}
