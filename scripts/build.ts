/**
 * Makes the one executable: `deno task build [--with bun|deno] [--out FILE]`.
 *
 * Bun comes first where both can be had, because what is shipped is then what was tested: every
 * machine has it from npm, the command-line tests run against its binary, and it leaves out what
 * `cli.ts` does not reach. `deno compile` downloads its base from a place that not every machine
 * reaches, so it is asked for by name, or used where there is no Bun; what it makes has to pass the
 * same tests: `deno task test --only binary --with deno`.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- what a script has to say goes to the terminal
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BunMissing, findBun } from "./bun.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What can make an executable. */
export type Builder = "bun" | "deno";

/** The value of `--with`. */
export function asBuilder(value: string | undefined): Builder | undefined {
  if (value === undefined || value === "bun" || value === "deno") return value;
  throw new Error(`Cannot use --with ${value}: expected bun or deno`);
}

/** What to make. */
export interface BuildOptions {
  /** The file to write. */
  readonly out?: string;
  /** Insists on one; otherwise Bun, then Deno. */
  readonly with?: Builder | undefined;
}

/** What was made, with what. */
export interface Build {
  readonly out: string;
  readonly builder: string;
  readonly bytes: number;
  readonly sha256: string;
}

/** Neither Bun nor the base of `deno compile` is to be had on this machine. */
export class NoBuilder extends Error {
  override readonly name = "NoBuilder";
}

/**
 * @throws {NoBuilder} when this machine has nothing to build with
 * @throws {Error} when the build itself fails
 */
export function build(options: BuildOptions = {}): Build {
  const out = resolve(options.out ?? `${root}/dist/montana`);
  // Made beside and moved, so that a failed build leaves no file that looks like a good one.
  const made = `${out}.new`;
  mkdirSync(dirname(out), { recursive: true });

  let builder: string;
  try {
    builder = options.with === "deno" ? withDeno(made) : withBun(made);
  } catch (error) {
    if (!(error instanceof BunMissing)) throw error;
    if (options.with === "bun") throw new NoBuilder(error.message);
    // Offline this takes a second to fail; where nothing answers, as long as its limit.
    builder = withDeno(made, error.message);
  }

  renameSync(made, out);
  const bytes = readFileSync(out);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { out, builder, bytes: bytes.length, sha256 };
}

/**
 * The two `--no-compile-autoload` flags matter: without them the executable runs what `.env` and the
 * `preload` of `bunfig.toml` in the current directory say.
 */
function withBun(out: string): string {
  const bun = findBun();
  const os = process.platform === "win32" ? "windows" : process.platform;
  run(bun.path, [
    "build",
    "--compile",
    // Names stay as they are: errors are called by them.
    "--minify-whitespace",
    "--minify-syntax",
    // What is imported by URL alone is never run in an executable, and Bun cannot find it.
    "--external=npm:*",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    `--target=bun-${os}-${process.arch}`,
    "cli.ts",
    "--outfile",
    out,
  ]);
  return `bun ${bun.version}`;
}

/** With `noBun`, a download that fails or takes too long means that nothing can build here. */
function withDeno(out: string, noBun?: string): string {
  const denoArgs = ["compile", "-A", "--no-check", "--node-modules-dir=none"];
  if (noBun !== undefined) {
    const probe = `${out}.probe`;
    const limit = { timeout: 30_000, stdio: "ignore" } as const;
    const empty = ["compile", "--no-config", "--no-check", "-o", probe, "data:text/javascript,"];
    const { status } = spawnSync(process.execPath, empty, limit);
    rmSync(probe, { force: true });
    if (status !== 0) {
      throw new NoBuilder(`${noBun}; and deno compile cannot download its base here`);
    }
  }
  run(process.execPath, [...denoArgs, "--exclude-unused-npm", "-o", out, "cli.ts"]);
  return `deno compile ${process.versions["deno"]}`;
}

function run(command: string, args: readonly string[]): void {
  const { error, status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 600_000,
  });
  if (error) throw error;
  if (status === 0) return;
  throw new Error(`Cannot build: ${command} ${args.join(" ")} ended with ${status}
${stdout}${stderr}`);
}

if (import.meta.main) {
  try {
    const { values } = parseArgs({
      options: { out: { type: "string" }, with: { type: "string" } },
    });
    const made = build({ with: asBuilder(values.with), ...(values.out && { out: values.out }) });
    console.log(`${made.out}
made with ${made.builder}, ${(made.bytes / 1e6).toFixed(1)} MB
sha256 ${made.sha256}`);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  }
}
