/**
 * Whether time grows with the backlog and memory does not: the whole program, from a file to a directory L1
 * and back to a file, at a cheap level.
 *
 * @module
 */
import { createWriteStream, mkdtempSync, rmSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { lineOf, madeBlocks } from "./blocks.ts";
import { programs, type Run, runToEnd } from "./processes.ts";
import type { BenchOptions, Group, Row } from "./rows.ts";

/** The group. */
export const growth: Group = {
  name: "growth",
  title: "backlogs of made blocks, from a file to a directory L1 and back, Brotli 1",
  run,
};

/** The last is not in the marks: it shows whether memory goes on growing. */
const SIZES = [1000, 10_000, 100_000, 300_000];
const SHORT_SIZES = [100, 200, 400, 500];
const FLAT_MIB = 64;

async function run({ isShort }: BenchOptions): Promise<Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "montana-bench-"));
  try {
    const sizes = isShort ? SHORT_SIZES : SIZES;
    for (const size of sizes) await writeBlocks(join(directory, `${size}.jsonl`), size);
    const rows: Row[] = [];
    for (const program of programs(directory)) {
      if ("missing" in program) {
        rows.push({ what: program.name, missing: program.missing });
        continue;
      }
      const { name, command } = program;
      const batching: Run[] = [];
      const deriving: Run[] = [];
      for (const size of sizes) {
        const batcher = `batcher --l2 ${size}.jsonl --l1 l1 --once --level 1 --log-level warn`;
        const deriver = "deriver --l1 l1 --out derived.jsonl --once --log-level warn";
        batching.push(await runToEnd(command, batcher.split(" "), { cwd: directory }));
        deriving.push(await runToEnd(command, deriver.split(" "), { cwd: directory }));
        rmSync(join(directory, "l1"), { recursive: true });
        rmSync(join(directory, "derived.jsonl"));
      }
      rows.push(
        ...rowsOf(`batcher, ${name}`, sizes, batching),
        ...rowsOf(`deriver, ${name}`, sizes, deriving),
      );
    }
    return rows;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

async function writeBlocks(path: string, count: number): Promise<void> {
  const file = createWriteStream(path);
  for (const block of madeBlocks(count)) {
    if (!file.write(lineOf(block))) await once(file, "drain");
  }
  await new Promise<void>((resolve) => file.end(resolve));
}

/** One for each size; then what a block takes in the last step, to one of the step before, and memory. */
function rowsOf(what: string, sizes: readonly number[], runs: readonly Run[]): Row[] {
  const rows = runs.map(({ seconds, peakBytes }, at): Row => ({
    what: `${what}, ${sizes[at]} blocks`,
    value: seconds,
    unit: "s",
    detail: {
      "blocks/s": Math.round(sizes[at]! / seconds),
      "peak MiB": peakBytes === undefined ? "unknown" : Math.round(peakBytes / 2 ** 20),
    },
  }));
  const [small, middle, large, huge] = runs as [Run, Run, Run, Run];
  const [few, some, many, most] = sizes as [number, number, number, number];
  const before = (middle.seconds - small.seconds) / (some - few);
  const after = (large.seconds - middle.seconds) / (many - some);
  rows.push({
    what: `${what}: time of a block, from ${some} to ${many}`,
    value: after * 1e6,
    unit: "µs",
    against: { what: `from ${few} to ${some}`, value: before * 1e6 },
    mark: { of: "ratio", most: 1.2 },
  });
  const memory = (from: Run, to: Run, name: string): Row[] =>
    from.peakBytes === undefined || to.peakBytes === undefined ? [] : [{
      what: `${what}: memory for ${name}`,
      value: (to.peakBytes - from.peakBytes) / 2 ** 20,
      unit: "MiB",
      mark: { of: "value", most: FLAT_MIB },
    }];
  rows.push(
    ...memory(small, large, `${many} blocks above that for ${few}`),
    ...memory(large, huge, `${most} blocks above that for ${many}`),
  );
  return rows;
}
