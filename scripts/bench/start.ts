/**
 * How soon the program is there, and what it takes while it waits.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lineOf, madeBlocks } from "./blocks.ts";
import { memoryOf, programs, runToEnd } from "./processes.ts";
import { type BenchOptions, type Group, median, type Row } from "./rows.ts";

/** The group. */
export const start: Group = {
  name: "start",
  title: "from the start of the process; medians",
  run,
};

async function run({ isShort }: BenchOptions): Promise<Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "montana-bench-"));
  try {
    writeFileSync(join(directory, "blocks.jsonl"), lineOf([...madeBlocks(1)][0]!));
    const rows: Row[] = [];
    for (const program of programs(directory)) {
      if ("missing" in program) {
        rows.push({ what: program.name, missing: program.missing });
        continue;
      }
      const { name, command } = program;
      // Once for the caches of the runtime and the system.
      await runToEnd(command, ["version"]);
      const versionMs: number[] = [];
      for (let round = 0; round < (isShort ? 1 : 15); round++) {
        versionMs.push((await runToEnd(command, ["version"])).seconds * 1000);
      }
      const first: { readonly ms: number; readonly idleBytes: number | undefined }[] = [];
      for (let round = 0; round < (isShort ? 1 : 5); round++) {
        first.push(await untilFirstPoll(command, directory, isShort ? 100 : 2000));
      }
      const idle = first.map(({ idleBytes }) => idleBytes).filter((each) => each !== undefined);
      rows.push({
        what: `montana version, ${name}`,
        value: median(versionMs),
        unit: "ms",
        mark: { of: "value", most: 100 },
        detail: { least: Math.min(...versionMs), most: Math.max(...versionMs) },
      }, {
        what: `batcher to its first poll, ${name}`,
        value: median(first.map(({ ms }) => ms)),
        unit: "ms",
        mark: { of: "value", most: 1000 },
      }, {
        what: `resident memory of a batcher that waits, ${name}`,
        ...(idle.length > 0
          ? { value: median(idle) / 2 ** 20, unit: "MiB" }
          : { missing: "there is no /proc here" }),
        mark: { of: "value", most: 150 },
      });
    }
    return rows;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Until it tells of the block that it took, and what it has in memory when it has waited a while. */
async function untilFirstPoll(command: readonly string[], directory: string, waitMs: number) {
  const args = "batcher --l2 blocks.jsonl --l1 l1 --batch-interval 1h --log-level debug".split(" ");
  const startMs = performance.now();
  const child = spawn(command[0]!, [...command.slice(1), ...args], {
    cwd: directory,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  try {
    const ms = await new Promise<number>((resolve, reject) => {
      let said = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        said += text;
        if (said.includes("took 1 block")) resolve(performance.now() - startMs);
      });
      child.once("close", () => reject(new Error(`${command.join(" ")} ended early: ${said}`)));
    });
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    return { ms, idleBytes: memoryOf(child, "VmRSS") };
  } finally {
    child.kill("SIGKILL");
    await ended;
    rmSync(join(directory, "l1"), { recursive: true, force: true });
  }
}
