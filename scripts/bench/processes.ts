/**
 * Programs as processes of their own: how they are had, how long they take, and how much memory.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "../build.ts";
import { findBun } from "../bun.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A way to run a program, or why there is none. */
export type Program =
  | { readonly name: string; readonly command: readonly string[] }
  | { readonly name: string; readonly missing: string };

/** The program from source under Deno, and as an executable, which is built into `directory`. */
export function programs(directory: string): readonly Program[] {
  const source = fileURLToPath(new URL("../../cli.ts", import.meta.url));
  return [
    { name: "source under Deno", command: [...denoRun(), source] },
    asProgram("executable", () => [build({ out: join(directory, "montana") }).out]),
  ];
}

/** A module of ours under Deno, under Bun, and compiled by it. */
export function probes(path: string, directory: string): readonly Program[] {
  const source = join(root, path);
  return [
    { name: "Deno", command: [...denoRun(), source] },
    asProgram("Bun", () => [findBun().path, source]),
    asProgram("executable", () => {
      const out = join(directory, "probe");
      const modules = [path, "src/local/compressor_worker.ts"];
      const args = ["build", "--compile", ...modules, "--outfile", out];
      const { status, stderr } = spawnSync(findBun().path, args, { cwd: root, encoding: "utf8" });
      if (status !== 0) throw new Error(`Cannot build ${path}: ${stderr}`);
      return [out];
    }),
  ];
}

function denoRun(): string[] {
  return [process.versions["deno"] ? process.execPath : "deno", "run", "-A", "--no-check"];
}

function asProgram(name: string, command: () => string[]): Program {
  try {
    return { name, command: command() };
  } catch (error) {
    return { name, missing: error instanceof Error ? error.message : String(error) };
  }
}

/** How a process went. */
export interface Run {
  readonly seconds: number;
  /** The most memory it had at once; `undefined` where the system does not tell. */
  readonly peakBytes: number | undefined;
  /** Of its processors, all threads, user and system; as far as they were seen. */
  readonly cpuSeconds: number | undefined;
  readonly stdout: string;
}

/**
 * Runs a program to its end.
 *
 * @throws {Error} with its standard error, where it does not end well
 */
export async function runToEnd(
  command: readonly string[],
  args: readonly string[],
  { cwd = root, env }: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<Run> {
  const startMs = performance.now();
  const child = spawn(command[0]!, [...command.slice(1), ...args], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text);
  child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text);
  let [peakBytes, cpuSeconds]: (number | undefined)[] = [];
  const look = setInterval(() => {
    peakBytes = memoryOf(child, "VmHWM") ?? peakBytes;
    cpuSeconds = cpuSecondsOf(child) ?? cpuSeconds;
  }, 10);
  const code = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  }).finally(() => clearInterval(look));
  const seconds = (performance.now() - startMs) / 1000;
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${stderr}`);
  return { seconds, peakBytes, cpuSeconds, stdout };
}

/** Resident memory of a process in bytes, the most it had or what it has; of Linux alone. */
export function memoryOf({ pid }: ChildProcess, key: "VmHWM" | "VmRSS"): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kibibytes = new RegExp(`^${key}:\\s+(\\d+) kB$`, "m").exec(status)?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}

/** What its threads have used of processors so far; of Linux alone, whose clock ticks a hundred times a second. */
function cpuSecondsOf({ pid }: ChildProcess): number | undefined {
  try {
    // Behind the name, which may hold anything, in brackets.
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return undefined;
  }
}
