/**
 * Runs anvil, a development L1, for as long as this process lives. It comes from whoever uses this program:
 * `anvil` of Foundry on the PATH, or its npm package where this program is installed beside it. Neither is
 * looked for in the current directory.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { access, constants, mkdir, stat } from "node:fs/promises";
import { delimiter, dirname, isAbsolute, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { ConfigError, SourceError } from "../errors.ts";
import { systemReason } from "../local/disk.ts";
import { systemClock } from "../runtime.ts";

/** A start that takes longer hangs. */
const START_LIMIT_MS = 30_000;
/** What it says before it listens: the accounts, and a banner. */
const MAX_SAID_CHARACTERS = 100_000;

/**
 * Ends what it started when its standard input ends, which the kernel sees to however this process dies.
 * Out of reach of a Ctrl-C, as nothing could be drained into an L1 that ended first.
 */
const GUARD = `
exec 3<&0 </dev/null
"$@" 3<&- & child=$!
(read -r _ <&3; kill -KILL $child) >/dev/null 2>&1 &
exec 3<&-
wait $child
`;

/** An anvil that runs; disposing of it ends it. */
export interface RunningAnvil extends AsyncDisposable {
  /** JSON-RPC and the beacon endpoints, both. */
  readonly url: string;
  /** Where its program is. */
  readonly path: string;
  /** Rejects when it ends by itself. */
  readonly failed: Promise<never>;
}

/**
 * Starts anvil on a free port of 127.0.0.1, with a block each second.
 *
 * @param home directory for what it writes, which is made
 * @param path of its program; searched for otherwise
 * @throws {ConfigError} `Usage` where there is none
 * @throws {SourceError} `Connection` where it does not start
 */
export async function startAnvil(home: string, path?: string): Promise<RunningAnvil> {
  const program = path === undefined
    ? await findAnvil(process.env["PATH"] ?? "", packaged())
    : await mustRun(path);
  await mkdir(home, { recursive: true });
  const flags = ["--host", "127.0.0.1", "--port", "0", "--block-time", "1"];
  const child = spawn("/bin/sh", ["-c", GUARD, "sh", program, ...flags], {
    // It keeps states and caches under its home, and temporary files.
    env: { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: home, NO_COLOR: "1" },
    cwd: home,
    stdio: ["pipe", "pipe", "pipe"],
    detached: true,
  });
  const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
  let isWanted = true;
  const end = async () => {
    isWanted = false;
    endGroup(child);
    await ended;
  };
  try {
    const url = await listening(child, program);
    const failed = ended.then((code) => {
      // Whoever ends it does not wait for this.
      if (!isWanted) return new Promise<never>(() => {});
      throw cannotRun(program, `it ended by itself, with ${code}`);
    });
    failed.catch(() => {});
    return { url, path: program, failed, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** Ends anvil and its guard, which are a group of their own. */
function endGroup(child: ChildProcess): void {
  child.stdin!.end();
  try {
    process.kill(-child.pid!, "SIGKILL");
  } catch {
    // They have ended by themselves.
  }
}

/**
 * The first anvil that can be run.
 *
 * @param searchPath directories, as in `PATH`; what is not absolute counts as the current directory, and
 * is passed over
 * @param others where it may be besides
 * @throws {ConfigError} `Usage` where there is none
 */
export async function findAnvil(searchPath: string, others: readonly string[]): Promise<string> {
  const directories = searchPath.split(delimiter).filter((each) => isAbsolute(each));
  for (const path of [...directories.map((each) => join(each, "anvil")), ...others]) {
    if (await isProgram(path)) return path;
  }
  throw new ConfigError(
    "Usage",
    "Cannot start anvil: there is none on the PATH. Install Foundry (https://getfoundry.sh), or name the " +
      "program: --anvil PATH; `montana demo` alone needs none",
  );
}

/** Where its npm package can be: in a `node_modules` at or above this program, as packages are found. */
function packaged(): string[] {
  const arch = { x64: "amd64" }[process.arch as string] ?? process.arch;
  const name = `@foundry-rs/anvil-${process.platform}-${arch}/bin/anvil`;
  const here = import.meta.url;
  // The executable has a root of its own inside: for it, what lies beside the file.
  const isFile = here.startsWith("file:") && !here.includes("$bunfs");
  if (!isFile) return [join(dirname(process.execPath), "node_modules", name)];
  const paths: string[] = [];
  for (let at = dirname(fileURLToPath(here)); at !== dirname(at); at = dirname(at)) {
    paths.push(join(at, "node_modules", name));
  }
  return paths;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

async function mustRun(path: string): Promise<string> {
  const absolute = isAbsolute(path) ? path : join(process.cwd(), path);
  if (await isProgram(absolute)) return absolute;
  const why = await access(absolute, constants.X_OK).then(
    () => "it is no file",
    (error) => systemReason(error),
  );
  throw new ConfigError("Usage", `Cannot use --anvil ${path}: ${why}; name the program of Foundry`);
}

/** Its URL, once it says that it listens. */
async function listening(child: ChildProcess, program: string): Promise<string> {
  let said = "";
  const url = new Promise<string>((resolve, reject) => {
    const read = (chunk: Uint8Array) => {
      // Once it listens, what it says is only kept from filling the pipe.
      if (said.length < MAX_SAID_CHARACTERS) said += new TextDecoder().decode(chunk);
      const [, address] = /Listening on (\S+:\d+)/.exec(said) ?? [];
      if (address !== undefined) resolve(`http://${address}`);
    };
    child.stdout!.on("data", read);
    child.stderr!.on("data", read);
    // What is told to an anvil that has ended is lost.
    child.stdin!.on("error", () => {});
    child.once("error", (error) => reject(cannotRun(program, systemReason(error))));
    child.once("exit", (code) => {
      reject(cannotRun(program, `it ended with ${code}: ${said.trim().slice(-500)}`));
    });
  });
  const started = new AbortController();
  const late = systemClock.sleep(START_LIMIT_MS, started.signal).then(() => {
    if (started.signal.aborted) return "";
    throw cannotRun(program, `no word of it in ${START_LIMIT_MS / 1000} s`);
  });
  try {
    return await Promise.race([url, late]);
  } finally {
    url.catch(() => {});
    started.abort();
  }
}

function cannotRun(program: string, why: string): SourceError {
  return new SourceError("Connection", `Cannot run ${program} as L1: ${why}`);
}
