/**
 * Makes the executable: `deno task build [--target NAME …|--all] [--with bun|deno] [--out FILE]`.
 *
 * Without a target it is `dist/montana`, for this machine; with one it is `dist/montana-<target>`.
 * `--all` makes every target, and `dist/SHA256SUMS` of those that could be made. A runtime for another
 * machine is downloaded; where that fails, the others are made nevertheless and the exit code is 1.
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
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { BunMissing, findBun } from "./bun.ts";
import { commitOfCheckout } from "./commit.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** What can make an executable. */
export type Builder = "bun" | "deno";

/** The value of `--with`. */
export function asBuilder(value: string | undefined): Builder | undefined {
  if (value === undefined || value === "bun" || value === "deno") return value;
  throw new Error(`Cannot use --with ${value}: expected bun or deno`);
}

/** What can be made anywhere, each with its name for `deno compile`. */
const TARGETS = {
  "linux-x64": "x86_64-unknown-linux-gnu",
  "linux-arm64": "aarch64-unknown-linux-gnu",
  "darwin-arm64": "aarch64-apple-darwin",
} as const;

/** A machine other than this one, or this one by its name. */
export type Target = keyof typeof TARGETS;

/** The value of `--target`. */
export function asTarget(value: string): Target {
  if (Object.hasOwn(TARGETS, value)) return value as Target;
  throw new Error(`Cannot use --target ${value}: expected ${Object.keys(TARGETS).join(", ")}`);
}

/** What to make. */
export interface BuildOptions {
  /** The file to write; `dist/montana`, or with a target `dist/montana-<target>`, otherwise. */
  readonly out?: string | undefined;
  /** The machine to make it for; this one otherwise. */
  readonly target?: Target | undefined;
  /** Insists on one; otherwise Bun, then Deno. */
  readonly with?: Builder | undefined;
}

/** Modules that run in threads: found by name, not by import, so each is named to the builder. */
const WORKERS = ["src/local/compressor_worker.ts", "src/l1/kzg_worker.ts"];

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
  const { target } = options;
  const out = resolve(options.out ?? join(root, "dist", target ? `montana-${target}` : "montana"));
  // Made beside and moved, so that a failed build leaves no file that looks like a good one.
  const made = `${out}.new`;
  mkdirSync(dirname(out), { recursive: true });

  let builder: string;
  try {
    builder = options.with === "deno" ? withDeno(made, target) : withBun(made, target);
  } catch (error) {
    if (!(error instanceof BunMissing)) throw error;
    if (options.with === "bun") throw new NoBuilder(error.message);
    // Offline this takes a second to fail; where nothing answers, as long as its limit.
    builder = withDeno(made, target, error.message);
  }

  renameSync(made, out);
  const bytes = readFileSync(out);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { out, builder, bytes: bytes.length, sha256 };
}

/**
 * Without the `--no-compile-autoload` flags the executable would run what `.env`, the `preload` of
 * `bunfig.toml` and the like in the current directory say. What is off by default is said too.
 */
function withBun(out: string, target: Target | undefined): string {
  const bun = findBun();
  const os = process.platform === "win32" ? "windows" : process.platform;
  run(bun.path, [
    "build",
    "--compile",
    // Names stay as they are: errors are called by them.
    "--minify-whitespace",
    "--minify-syntax",
    // Compiled beforehand, and what the entries share only once: a start takes half the time.
    "--bytecode",
    "--format=esm",
    "--splitting",
    "--no-compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    "--no-compile-autoload-tsconfig",
    "--no-compile-autoload-package-json",
    `--define=MONTANA_COMMIT=${JSON.stringify(commitOfCheckout())}`,
    `--target=bun-${target ?? `${os}-${process.arch}`}`,
    "cli.ts",
    ...WORKERS,
    "--outfile",
    out,
  ]);
  return `bun ${bun.version}`;
}

/** With `noBun`, a download that fails or takes too long means that nothing can build here. */
function withDeno(out: string, target: Target | undefined, noBun?: string): string {
  const commit = `globalThis.MONTANA_COMMIT=${JSON.stringify(commitOfCheckout())}`;
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
  run(process.execPath, [
    ...["compile", "-A", "--no-check", "--node-modules-dir=none", "--exclude-unused-npm"],
    `--preload=data:text/javascript,${encodeURIComponent(commit)}`,
    ...(target === undefined ? [] : [`--target=${TARGETS[target]}`]),
    ...WORKERS.flatMap((path) => ["--include", path]),
    ...["-o", out, "cli.ts"],
  ]);
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

/**
 * Makes one after the other; of what cannot be made, says why, and goes on.
 *
 * @param sums file for the checksums of those that were made
 * @returns whether all were
 */
export function buildAll(
  builds: readonly BuildOptions[],
  { sums, say = console.log }: { sums?: string | undefined; say?: (text: string) => void } = {},
): boolean {
  const lines: string[] = [];
  for (const options of builds) {
    try {
      const { out, builder, bytes, sha256 } = build(options);
      lines.push(`${sha256}  ${basename(out)}\n`);
      say(`${out}\n  ${builder}, ${(bytes / 1e6).toFixed(1)} MB, sha256 ${sha256}`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : error;
      say(`NOT MADE for ${options.target ?? "this machine"}\n  ${reason}`);
    }
  }
  if (sums !== undefined) writeFileSync(sums, lines.join(""));
  return lines.length === builds.length;
}

function main(): void {
  const { values } = parseArgs({
    options: {
      all: { type: "boolean", default: false },
      out: { type: "string" },
      target: { type: "string", multiple: true, default: [] },
      with: { type: "string" },
    },
  });
  const targets = (values.all ? Object.keys(TARGETS) : values.target).map(asTarget);
  if (values.out !== undefined && targets.length > 1) {
    throw new Error(`Cannot use --out ${values.out}: there are ${targets.length} targets`);
  }
  const builder = asBuilder(values.with);
  const builds = (targets.length === 0 ? [undefined] : targets)
    .map((target) => ({ target, with: builder, out: values.out }));
  const sums = values.all ? join(root, "dist/SHA256SUMS") : undefined;
  if (!buildAll(builds, { sums })) process.exitCode = 1;
}

if (import.meta.main) {
  try {
    main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
