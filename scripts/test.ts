/**
 * All the tests, four suites at a time: `deno task test [--only deno,bun] [--filter TEXT]`.
 *
 * | suite    |                                                                       |
 * | -------- | --------------------------------------------------------------------- |
 * | `deno`   | `tests/` under Deno, but `tests/cli`                                  |
 * | `cli`    | `tests/cli` under Deno, the program run from source                   |
 * | `chains` | the rest of it: what runs beside anvil, or another node               |
 * | `doc`    | the examples in README.md, mod.ts and src                             |
 * | `bun`    | `tests/` under Bun; of `tests/cli` a part, since the executable is    |
 * |          | Bun too, and none of what runs elsewhere: all with `MONTANA_TESTS=all` |
 * | `binary` | `tests/cli` against the compiled executable, named by `MONTANA_CLI`, |
 * |          | started where `MONTANA_TRAPS` has laid traps: `tests/cli/traps.ts`    |
 * | `binary-chains` | the rest of it, as of `cli`                                    |
 *
 * A suite's output is shown when it fails; of a good one, only its `skipped: reason` and `done: figures`
 * lines. The last line is `N passed, N failed`, with `, N skipped` behind it if any were. What ran no test has failed.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- what a script has to say goes to the terminal
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, stripVTControlCharacters } from "node:util";
import { asBuilder, build, type Builder, NoBuilder } from "./build.ts";
import { type Bun, BunMissing, findBun } from "./bun.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const deno = process.execPath;

/** A suite that takes longer hangs. `deno task crash` does in an hour what the gate does a part of. */
const SUITE_LIMIT_MS = (process.env["MONTANA_CRASH"] === "all" ? 120 : 30) * 60_000;
/** Bun gives each test 5 s unless told; Deno gives it for ever. */
const BUN_TEST_LIMIT_MS = SUITE_LIMIT_MS / 2;

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** With the reason, where it is not in the suite's own output. */
interface Result extends Counts {
  readonly fault?: string;
}

const NOTHING: Counts = { passed: 0, failed: 0, skipped: 0 };

/** How a suite is run: a command that leaves a JUnit report in `report`. */
interface Plan {
  readonly title: string;
  readonly command: readonly string[];
  readonly env?: Record<string, string>;
}

interface Options {
  readonly filter: string | undefined;
  readonly with: Builder | undefined;
  readonly directory: string;
  /** The program is run from source and as an executable: see `tests/cli/half.ts`. */
  readonly isHalved: boolean;
}

/** A suite that this machine cannot run. */
class Skip extends Error {}

/** Longest first, so that the last to end does not begin last. */
const suites: Readonly<Record<string, (report: string, options: Options) => Plan>> = {
  chains: (report, options) => fromSource(report, options, "chains"),
  "binary-chains": (report, options) => asExecutable(report, options, "chains"),
  deno: (report, { filter }) => ({
    title: `other tests under Deno ${process.versions["deno"]}`,
    command: [...denoTest(report, filter), "--ignore=tests/cli", "tests"],
  }),
  bun: (report, { filter }) => {
    const bun = needBun();
    return {
      title: `tests under Bun ${bun.version}`,
      command: [
        ...[bun.path, "test", ...testsUnderBun(), `--timeout=${BUN_TEST_LIMIT_MS}`],
        ...["--reporter=junit", `--reporter-outfile=${report}`],
        ...(filter === undefined ? [] : ["--test-name-pattern", literal(filter)]),
      ],
    };
  },
  cli: (report, options) => fromSource(report, options, "alone"),
  binary: (report, options) => asExecutable(report, options, "alone"),
  doc: (report, { filter }) => ({
    title: "examples in the documentation",
    command: [
      ...denoTest(report, filter),
      "--doc",
      ...["README.md", "mod.ts", "src"].filter((path) => existsSync(join(root, path))),
    ],
  }),
};

/** `tests/cli` in two parts of about one length: most of what they do is to wait. */
type Part = "alone" | "chains";

/** Tests that have an L1 or an L2 in a process beside the program. */
const WITH_CHAINS =
  /^(?:ethereum|l2|engine|demo_anvil|doctor_l1|progress|throttle|rollup|superblock)_?/;

/**
 * Long tests of what does not differ by the runtime: in the gate one of the two programs is shown each. All
 * are shown to both with `MONTANA_TESTS=all`, and where one suite is run alone.
 */
const SHOWN_TO: Readonly<Record<"source" | "executable", readonly string[]>> = {
  source: ["ethereum_account", "ethereum_engine", "ethereum_estimate", "ethereum_lies"]
    .concat("ethereum_rotation"),
  executable: ["ethereum_fees", "ethereum_outsiders", "ethereum_takeover", "ethereum_window"]
    .concat("l2_lies"),
};

/** The test files of a part; `other` is the program that some are left to. */
function filesOf(part: Part, other: keyof typeof SHOWN_TO | undefined): string[] {
  const left = part === "chains" && other ? SHOWN_TO[other] : [];
  if (left.length > 0) console.log(`  left to the ${other}: ${left.join(", ")}`);
  return readdirSync(join(root, "tests/cli"))
    .filter((name) => name.endsWith("_test.ts"))
    .filter((name) => WITH_CHAINS.test(name) === (part === "chains"))
    .filter((name) => !left.includes(name.replace(/_test\.ts$/, "")))
    .map((name) => `tests/cli/${name}`);
}

// Types are checked with the suite `deno`.
function fromSource(report: string, { filter, isHalved }: Options, part: Part): Plan {
  return {
    title: `tests/cli under Deno ${process.versions["deno"]} (${part})`,
    command: [
      ...[...denoTest(report, filter), "--no-check"],
      ...filesOf(part, isHalved ? "executable" : undefined),
    ],
    ...(isHalved ? { env: { MONTANA_HALF: "0" } } : {}),
  };
}

function asExecutable(report: string, options: Options, part: Part): Plan {
  const { filter, with: builder, directory, isHalved } = options;
  const made = needBinary(builder, directory);
  return {
    title: `tests/cli against the executable (${made.builder}; ${part})`,
    command: [
      ...[...denoTest(report, filter), "--no-check"],
      ...filesOf(part, isHalved ? "source" : undefined),
    ],
    env: {
      MONTANA_CLI: made.out,
      MONTANA_TRAPS: join(directory, `traps-${part}`),
      ...(isHalved ? { MONTANA_HALF: "1" } : {}),
    },
  };
}

/** The files of `tests/cli` that are run from source under Bun, and not from the executable alone. */
const CLI_UNDER_BUN = ["ethereum", "processor", "resume", "usage", "wal"];

/** What they test runs in processes of its own, the same whoever starts them. */
const SAME_UNDER_BUN = ["bench_test.ts", "build_test.ts", "pack_test.ts", "url_module_test.ts"];

function testsUnderBun(): string[] {
  if (process.env["MONTANA_TESTS"] === "all") return ["./tests"];
  const others = readdirSync(join(root, "tests"), { withFileTypes: true })
    .filter(({ name }) => name !== "cli" && !SAME_UNDER_BUN.includes(name))
    .filter((each) => each.isDirectory() || each.name.endsWith("_test.ts"))
    .map(({ name }) => `./tests/${name}`);
  return [...others, ...CLI_UNDER_BUN.map((name) => `./tests/cli/${name}_test.ts`)];
}

function denoTest(report: string, filter: string | undefined): string[] {
  const command = [deno, "test", "-A", `--junit-path=${report}`];
  return filter === undefined ? command : [...command, `--filter=${filter}`];
}

/** Deno takes a filter as it stands, Bun as a regular expression. */
function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

function needBun(): Bun {
  try {
    return findBun();
  } catch (error) {
    throw error instanceof BunMissing ? new Skip(error.message) : error;
  }
}

let binary: ReturnType<typeof build> | undefined;

/** Outside the repository, where no `node_modules` is above it. */
function needBinary(builder: Builder | undefined, directory: string): ReturnType<typeof build> {
  try {
    return binary ??= build({ with: builder, out: join(directory, "bin/montana") });
  } catch (error) {
    throw error instanceof NoBuilder ? new Skip(error.message) : error;
  }
}

/** Deno fetches packages as it needs them; Bun finds only what is laid out. 10 ms if all is there. */
function install(): void {
  const { status, stderr } = spawnSync(deno, ["install"], { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot install the packages: ${stderr}`);
}

/** The tests wait more than they work: for disks, for processes to be killed, for L1 blocks. */
const SUITES_AT_ONCE = 4;

const running = new Set<ChildProcess>();

/** Ends a suite with all that its tests left running: it leads a process group of its own. */
function stop(suite: ChildProcess): void {
  running.delete(suite);
  if (suite.pid === undefined) return;
  try {
    process.kill(-suite.pid, "SIGKILL");
  } catch {
    // Nothing of it is left.
  }
}

/** Resolves with the exit code, or with a word on why there is none. */
function execute({ command, env }: Plan, log: string): Promise<number | string> {
  const [file, ...args] = command;
  // Into a file, since a process that a test left behind would keep a pipe open.
  const output = openSync(log, "w");
  const { MONTANA_CLI: _, MONTANA_TRAPS: __, MONTANA_HALF: ___, ...inherited } = process.env;
  return new Promise((resolve) => {
    const suite = spawn(file!, args, {
      cwd: root,
      detached: true,
      env: { ...inherited, ...env },
      stdio: ["ignore", output, output],
    });
    running.add(suite);
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      stop(suite);
    }, SUITE_LIMIT_MS);
    const end = (outcome: number | string) => {
      clearTimeout(limit);
      stop(suite);
      closeSync(output);
      resolve(late ? `it took more than ${SUITE_LIMIT_MS / 60_000} min` : outcome);
    };
    suite.once("error", (error) => end(error.message));
    suite.once("exit", (code, signal) => end(code ?? `it was ended by ${signal}`));
  });
}

/** Counts the cases of a JUnit report, or says what is wrong with it. */
export function countReport(xml: string): Counts | string {
  const counts = { ...NOTHING };
  for (
    const [, body = ""] of xml.matchAll(
      /<testcase\b(?:"[^"]*"|[^">])*?(?:\/>|>([^]*?)<\/testcase>)/g,
    )
  ) {
    if (/<(failure|error)\b/.test(body)) counts.failed++;
    else if (/<skipped\b/.test(body)) counts.skipped++;
    else counts.passed++;
  }
  const said = /<testsuites\b[^>]*\btests="(\d+)"/.exec(xml)?.[1];
  const found = counts.passed + counts.failed + counts.skipped;
  return Number(said) === found ? counts : `its report tells of ${said} tests and lists ${found}`;
}

/** What came of a suite: never green without a report, a good exit and at least one test. */
export function judge(exit: number | string, xml: string | undefined, isFiltered: boolean): Result {
  const report = xml === undefined ? "it left no report" : countReport(xml);
  if (typeof report === "string") {
    return { ...NOTHING, failed: 1, fault: typeof exit === "string" ? exit : report };
  }
  // Runners list what a filter leaves out among the skipped.
  const counts = isFiltered ? { ...report, skipped: 0 } : report;
  if (typeof exit === "string") return { ...counts, failed: counts.failed + 1, fault: exit };
  if (counts.passed + counts.failed === 0) {
    return isFiltered ? counts : { ...counts, failed: 1, fault: "it ran no test" };
  }
  // A file that does not load is in no report of Bun's.
  if (exit === 0 || counts.failed > 0) return counts;
  return { ...counts, failed: 1, fault: `it ended with ${exit}` };
}

/** The reasons that tests gave for not running, and what they tell of their work, each once. */
function remarks(output: string): string[] {
  const lines = stripVTControlCharacters(output).split("\n").map((line) => line.trim());
  return [...new Set(lines.filter((line) => /^(skipped|done): /.test(line)))];
}

async function runSuite(name: string, options: Options): Promise<Counts> {
  const started = performance.now();
  const report = join(options.directory, `${name}.xml`);
  const log = join(options.directory, `${name}.log`);
  try {
    const plan = suites[name]!(report, options);
    console.log(`${name}: ${plan.title}`);
    const exit = await execute(plan, log);
    const xml = existsSync(report) ? readFileSync(report, "utf8") : undefined;
    const { fault, ...counts } = judge(exit, xml, options.filter !== undefined);
    const output = readFileSync(log, "utf8");

    if (counts.failed > 0) {
      console.log(process.stdout.isTTY ? output : stripVTControlCharacters(output));
      if (fault) console.log(`${name}: failed, as ${fault}`);
    } else {
      const told = remarks(output);
      for (const remark of told) console.log(`  ${name}: ${remark}`);
      const isExplained = told.some((remark) => remark.startsWith("skipped: "));
      if (counts.skipped > 0 && !isExplained) console.log(`  ${name}: skipped: no reason was told`);
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${name}: ${inWords(counts)} in ${seconds} s`);
    return counts;
  } catch (error) {
    if (error instanceof Skip) {
      console.log(`${name}: THE WHOLE SUITE IS SKIPPED\n  skipped: ${error.message}`);
      return { ...NOTHING, skipped: 1 };
    }
    console.log(`${name}: failed, as ${error instanceof Error ? error.message : error}`);
    return { ...NOTHING, failed: 1 };
  }
}

function inWords({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      only: { type: "string", default: Object.keys(suites).join() },
      filter: { type: "string" },
      with: { type: "string" },
    },
  });
  const names = values.only.split(",");
  const unknown = names.find((name) => !Object.hasOwn(suites, name));
  if (unknown !== undefined) {
    throw new Error(`Cannot run suite "${unknown}": expected ${Object.keys(suites).join(", ")}`);
  }
  const { filter } = values;
  const builder = asBuilder(values.with);

  install();
  const directory = mkdtempSync(join(tmpdir(), "montana-test-"));
  const isHalved = process.env["MONTANA_TESTS"] !== "all" &&
    ["cli", "binary"].every((name) => names.includes(name));
  const options = { filter, with: builder, directory, isHalved };
  const total = { ...NOTHING };
  const stopAll = () => {
    for (const suite of running) stop(suite);
    rmSync(directory, { recursive: true, force: true });
    process.exit(130);
  };
  process.once("SIGINT", stopAll).once("SIGTERM", stopAll);
  const left = Object.keys(suites).filter((name) => names.includes(name));
  const runLeft = async () => {
    for (let name; (name = left.shift()) !== undefined;) {
      const counts = await runSuite(name, options);
      total.passed += counts.passed;
      total.failed += counts.failed;
      total.skipped += counts.skipped;
    }
  };
  try {
    await Promise.all(Array.from({ length: SUITES_AT_ONCE }, runLeft));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  if (total.passed + total.failed + total.skipped === 0) {
    console.log("No test ran at all, which counts as a failure");
    total.failed = 1;
  }
  console.log(inWords(total));
  return total.failed > 0 ? 1 : 0;
}

if (import.meta.main) {
  try {
    process.exitCode = await main();
  } catch (error) {
    console.log(error instanceof Error ? error.message : error);
    console.log("0 passed, 1 failed");
    process.exitCode = 1;
  }
}
