/**
 * How long the main thread is kept from its timers while batches of six blobs are made: planned, compressed
 * in workers, checked, posted to an L1 in memory.
 *
 * Two workers and the main thread are one more than two cores, and others may use the machine too: what the
 * thread waited for a processor is taken off, and told beside it.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { shared } from "./blocks.ts";
import type { Lag, Probe } from "./lag_probe.ts";
import { probes, runToEnd } from "./processes.ts";
import type { BenchOptions, Group, Row } from "./rows.ts";

/** The group. */
export const lag: Group = {
  name: "lag",
  title: "most that a 5 ms timer of the main thread is late, less its wait for a processor",
  run,
};

async function run({ isShort }: BenchOptions): Promise<Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "montana-bench-"));
  try {
    const rows: Row[] = [];
    for (const program of probes("scripts/bench/lag_probe.ts", directory)) {
      if ("missing" in program) {
        rows.push({ what: program.name, missing: program.missing });
        continue;
      }
      const { stdout } = await runToEnd(program.command, isShort ? ["--short"] : [], {
        env: { MONTANA_SHARED: fileURLToPath(shared) },
      });
      const probe: Probe = JSON.parse(stdout);
      const row = (what: string, lag: Lag, isMarked: boolean): Row => ({
        what: `${program.name}: ${what}`,
        value: lag.mostByUs ?? lag.most,
        unit: "ms",
        ...(isMarked ? { mark: { of: "value", most: 50 } } : {}),
        detail: {
          "with the wait": lag.mostByUs === null ? "not told apart here" : lag.most,
          "99 of 100 below": lag.p99,
          ticks: lag.ticks,
        },
      });
      rows.push(
        row("nothing to do", probe.idle, false),
        row("two workers start", probe.starting, true),
        row(`${probe.batches} batches of up to ${probe.blobs} blobs`, probe.working, true),
      );
    }
    return rows;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
