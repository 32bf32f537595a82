/**
 * Proof jobs that are gone with the process: for tests, and for those who do not mind.
 *
 * @module
 */
import { JobTable } from "../job_table.ts";
import type { Clock } from "../ports.ts";

/**
 * Keeps proof jobs in memory. Whoever needs to outlive a crash takes `LogJobQueue`.
 *
 * @example
 * ```ts
 * import { ManualClock, MemoryJobQueue } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const queue = new MemoryJobQueue(new ManualClock());
 * if (await queue.claim("worker", 1000)) throw new Error("there is nothing to do");
 * ```
 */
export class MemoryJobQueue extends JobTable {
  constructor(clock: Clock) {
    super({ clock, keep: () => Promise.resolve() });
  }
}
