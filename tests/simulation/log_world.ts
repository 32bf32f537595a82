/**
 * The log by itself; see `tests/wal/simulation.ts`.
 *
 * @module
 */
import { simulate, type SimulationOptions } from "../wal/simulation.ts";
import type { Outcome, Run } from "./run.ts";

/**
 * Runs one seed.
 *
 * @throws {Error} where a promise is broken
 */
export async function runLogWorld(run: Run, options: SimulationOptions = {}): Promise<Outcome> {
  try {
    const { lines, acknowledged, crashes } = await simulate(run.seed, options);
    run.lines.push(...lines);
    run.counts["acknowledged"] = acknowledged;
    run.counts["power loss"] = crashes;
    return run;
  } catch (error) {
    const [, ...lines] = (error as Error).message.split("\n");
    run.lines.push(...lines);
    throw (error as Error).cause ?? error;
  }
}
