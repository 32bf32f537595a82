/**
 * Whether catching up with a node of L2 takes time that grows with the blocks, and memory that does not:
 * the whole batcher, from a node that is a process beside it to a directory L1, at a cheap level.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { programs, type Run, runToEnd } from "./processes.ts";
import type { BenchOptions, Group, Row } from "./rows.ts";

/** The group. */
export const backfill: Group = {
  name: "l2",
  title: "backlogs of blocks with two transfers, from a node to a directory L1, Brotli 1",
  run,
};

const SIZES = [1000, 10_000, 100_000];
const SHORT_SIZES = [100, 200, 400];
const FLAT_MIB = 64;
const LEAST_PER_SECOND = 2000;

async function run({ isShort }: BenchOptions): Promise<Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "montana-bench-"));
  const sizes = isShort ? SHORT_SIZES : SIZES;
  const node = await startNode(sizes.at(-1)!);
  try {
    const rows: Row[] = [];
    for (const program of programs(directory)) {
      if ("missing" in program) {
        rows.push({ what: program.name, missing: program.missing });
        continue;
      }
      const runs: Run[] = [];
      for (const size of sizes) {
        const batcher = `batcher --l2 ${node.url}/${size} --l1 l1 --once --level 1`;
        const args = [...batcher.split(" "), "--log-level", "warn"];
        runs.push(await runToEnd(program.command, args, { cwd: directory }));
        rmSync(join(directory, "l1"), { recursive: true });
      }
      rows.push(...rowsOf(program.name, sizes, runs));
    }
    return rows;
  } finally {
    node.child.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  }
}

async function startNode(head: number): Promise<{ child: ChildProcess; url: string }> {
  const script = fileURLToPath(new URL("l2_server.ts", import.meta.url));
  const first = process.versions["bun"] ? [script] : ["run", "-A", "--no-check", script];
  const child = spawn(process.execPath, [...first, `${head}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const url = await new Promise<string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => reject(new Error(`the node ended with ${code}`)));
    child.stdout.setEncoding("utf8").once("data", (text: string) => resolve(text.trim()));
  });
  return { child, url };
}

/** One for each size; then speed, what a block takes in the last step, and memory. */
function rowsOf(what: string, sizes: readonly number[], runs: readonly Run[]): Row[] {
  const rows = runs.map((run, at): Row => ({
    what: `${what}, ${sizes[at]} blocks`,
    value: run.seconds,
    unit: "s",
    detail: {
      "processor s": run.cpuSeconds ?? "unknown",
      "peak MiB": run.peakBytes === undefined ? "unknown" : Math.round(run.peakBytes / 2 ** 20),
    },
  }));
  const [small, middle, large] = runs as [Run, Run, Run];
  const [few, some, many] = sizes as [number, number, number];
  // Of processors, where that is told: others may use the machine too.
  const secondsOf = ({ seconds, cpuSeconds }: Run) => cpuSeconds ?? seconds;
  const perBlock = (from: Run, to: Run, blocks: number) =>
    (secondsOf(to) - secondsOf(from)) / blocks;
  rows.push({
    what: `${what}: blocks a second, of ${many}`,
    value: many / large.seconds,
    unit: "/s",
    mark: { of: "value", least: LEAST_PER_SECOND },
    ...(large.cpuSeconds === undefined
      ? {}
      : { detail: { "for a second of processor": Math.round(many / large.cpuSeconds) } }),
  });
  rows.push({
    what: `${what}: processor time of a block, from ${some} to ${many}`,
    value: perBlock(middle, large, many - some) * 1e6,
    unit: "µs",
    against: { what: `from ${few} to ${some}`, value: perBlock(small, middle, some - few) * 1e6 },
    mark: { of: "ratio", most: 1.2 },
  });
  if (middle.peakBytes !== undefined && large.peakBytes !== undefined) {
    rows.push({
      what: `${what}: memory for ${many} blocks above that for ${some}`,
      value: (large.peakBytes - middle.peakBytes) / 2 ** 20,
      unit: "MiB",
      mark: { of: "value", most: FLAT_MIB },
    });
  }
  return rows;
}
