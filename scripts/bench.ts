/**
 * Measures against the tools that a user would take instead, in the same run:
 * `deno task bench [--only GROUP,…] [--json FILE] [--short]`.
 *
 * Prints a table; with `--json` writes all there is to know into a file, with `--json -` to standard
 * output, and no table. Nothing fails for being slow: a row says whether it reaches its mark.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- what a script has to say goes to the terminal
import { writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { runtimeName } from "../src/runtime.ts";
import { LIBRARIES, VERSION } from "../src/version.ts";
import { backfill } from "./bench/backfill.ts";
import { codec } from "./bench/codec.ts";
import { compression } from "./bench/compression.ts";
import { derivation } from "./bench/derivation.ts";
import { growth } from "./bench/growth.ts";
import { kzg } from "./bench/kzg.ts";
import { lag } from "./bench/lag.ts";
import { log } from "./bench/log.ts";
import { versionOf } from "./bench/native.ts";
import { packing } from "./bench/packing.ts";
import { postedBytes } from "./bench/posted_bytes.ts";
import { processor } from "./bench/processor.ts";
import { type Group, isReached, ratioOf, type Row, tableOf } from "./bench/rows.ts";
import { start } from "./bench/start.ts";
import { commitOfCheckout } from "./commit.ts";

const GROUPS: readonly Group[] = [
  ...[postedBytes, packing, compression, codec, derivation],
  ...[lag, growth, backfill, start, log, processor, kzg],
];

/** Where and with what it was measured. */
function machine() {
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform}-${process.arch} ${release()}`,
    load: loadavg()[0]!,
    runtime: runtimeName(),
    montana: `${VERSION} ${commitOfCheckout()}`,
    libraries: LIBRARIES,
    native: { brotli: versionOf("brotli") ?? null, zstd: versionOf("zstd") ?? null },
  };
}

function inWords(about: ReturnType<typeof machine>): string {
  const { date, cpu, cores, memoryGiB, system, load, runtime, montana, libraries, native } = about;
  const versions = (of: object) =>
    Object.entries(of).map(([name, version]) =>
      version === null ? `no ${name}` : `${name} ${version}`
    );
  return [
    `${date}, ${cores} cores of ${cpu}, ${memoryGiB} GiB, ${system}, load ${load.toFixed(2)}`,
    [`montana ${montana}`, runtime, ...versions(libraries), ...versions(native)].join(", "),
  ].join("\n") + "\n";
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: GROUPS.map(({ name }) => name).join() },
      json: { type: "string" },
      short: { type: "boolean", default: false },
    },
  });
  const groups = values.only.split(",").map((name) => {
    const group = GROUPS.find((each) => each.name === name);
    if (group) return group;
    const known = GROUPS.map((each) => each.name).join(", ");
    throw new Error(`Cannot run group "${name}": expected ${known}`);
  });
  const print = (text: string) => values.json === "-" || console.log(text);

  const about = machine();
  print(inWords(about));
  const found: { readonly group: string; readonly rows: readonly Row[] }[] = [];
  for (const group of groups) {
    const rows = await group.run({ isShort: values.short });
    found.push({ group: group.name, rows });
    print(`${group.name}: ${group.title}\n${tableOf(rows)}`);
  }
  if (values.short) print("--short: these figures say nothing");

  if (values.json === undefined) return;
  const rows = found.flatMap(({ group, rows }) =>
    rows.map((row) => ({ group, ...row, ratio: ratioOf(row), reached: isReached(row) }))
  );
  const text = JSON.stringify({ machine: about, isShort: values.short, rows }, null, 1) + "\n";
  if (values.json === "-") process.stdout.write(text);
  else writeFileSync(values.json, text);
}

if (import.meta.main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
