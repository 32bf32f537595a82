/**
 * What tests need of the machine beside the runtime that runs them, and how they say that it is not
 * there.
 *
 * @module
 */
import { execFile, spawnSync } from "node:child_process";
import process from "node:process";
import { promisify } from "node:util";

/** What is developed with, and what npm is asked for where there is none. */
const DENO_VERSION = "2.9.6";
/** The oldest line of Node that the npm package is for. */
const NODE_VERSION = "22.23.3";

/** Long enough for a download of 100 MB; what takes longer hangs. */
const LIMIT_MS = 240_000;

/** The executable of Deno. */
export const deno = once(() =>
  process.versions["deno"] ? process.execPath : findRuntime("deno", /^2\./, {
    package: `deno@${DENO_VERSION}`,
    question: ["eval", "console.log(JSON.stringify([Deno.execPath(), Deno.version.deno]))"],
  })
);

/** The executable of Node 22: what its oldest line can, later ones can. */
export const node22 = once(() =>
  findRuntime("node", /^22\.(1[5-9]|[2-9]\d)\./, {
    package: `node@${NODE_VERSION}`,
    question: ["-p", "JSON.stringify([process.execPath, process.versions.node])"],
  })
);

/** Makes sure that npm packages can be had. */
export const npmRegistry = once(() => {
  const args = ["view", "commander", "version", "--fetch-retries=0"];
  if (spawnSync("npm", args, { timeout: 20_000 }).status !== 0) {
    throw new Error("npm reaches no registry");
  }
});

/** Prints and gives the reason why `test` cannot run here; `false` where it can. */
export function whyNot(test: string, ...needs: readonly (() => unknown)[]): string | false {
  try {
    for (const need of needs) need();
    return false;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.stdout.write(`skipped: ${test}: ${reason}\n`);
    return reason;
  }
}

/** How a process is run. */
export interface ExecuteOptions {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Runs a process to its end, and gives its standard output.
 *
 * @throws {Error} with its standard error, where it does not end well
 */
export async function execute(
  command: string,
  args: readonly string[],
  { cwd, env }: ExecuteOptions,
): Promise<string> {
  const limits = { timeout: LIMIT_MS, killSignal: "SIGKILL", maxBuffer: 1 << 26 } as const;
  const { stdout } = await promisify(execFile)(command, [...args], { cwd, env, ...limits });
  return stdout;
}

interface Ask {
  readonly package: string;
  /** Has it print where it is, and its version. */
  readonly question: readonly string[];
}

/** The one in PATH where its version will do, otherwise the one from npm. */
function findRuntime(name: string, version: RegExp, { package: fromNpm, question }: Ask): string {
  for (const [command, ...first] of [[name], ["npx", "-y", fromNpm]] as const) {
    const options = { encoding: "utf8", timeout: LIMIT_MS } as const;
    const { stdout } = spawnSync(command, [...first, ...question], options);
    const answer = /^\["(.+)","(\d.*)"\]$/m.exec(stdout ?? "");
    if (answer && version.test(answer[2]!)) return answer[1]!;
  }
  throw new Error(`there is no ${fromNpm}, in PATH or from npm`);
}

/** Asks once, and remembers the answer, an error too. */
function once<T>(ask: () => T): () => T {
  let answer: (() => T) | undefined;
  return () => {
    if (answer) return answer();
    try {
      const value = ask();
      answer = () => value;
    } catch (error) {
      answer = () => {
        throw error;
      };
    }
    return answer();
  };
}
