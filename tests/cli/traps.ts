/**
 * Traps for a program that loads what it finds where it is started: settings of Bun, Deno and Node, and
 * every package of ours, poisoned. What runs into one writes that down, and throws.
 *
 * The suite `binary` names a directory in `MONTANA_TRAPS`: then `montana.ts` lays traps wherever it starts
 * the program, and looks after each run whether one has sprung.
 *
 * @module
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

/** What a program must not look at, in a directory where it is started. */
export interface Traps {
  /** Traps lie here first; the others share its `node_modules`. A home directory, too. */
  readonly directory: string;
  /** Every package that there is a poisoned one of. */
  readonly packages: readonly string[];
}

/** Makes a program tell its stack traces, which the tests of errors look for; and write there. */
const DOTENV = (directory: string) =>
  `MONTANA_TRACE=1\nTMPDIR=${directory}/dotenv\nBUN_OPTIONS=--preload=./trap.cjs\n` +
  "NODE_OPTIONS=--require=./trap.cjs\n";

const BUNFIG = (directory: string) => {
  const preload = `preload = ["${directory}/trap.cjs"]\n`;
  return `${preload}[run]\n${preload}[test]\n${preload}`;
};

/** Lays the first traps; `directory` is made. */
export function openTraps(directory: string): Traps {
  const packages = packageNames();
  if (!existsSync(directory)) {
    mkdirSync(join(directory, "dotenv"), { recursive: true });
    for (const name of packages) {
      const folder = join(directory, "node_modules", name);
      mkdirSync(folder, { recursive: true });
      const exports = { ".": "./trap.cjs", "./*": "./trap.cjs" };
      const about = { name, version: "0.0.0", main: "trap.cjs", exports };
      writeFileSync(join(folder, "package.json"), JSON.stringify(about));
      writeFileSync(join(folder, "trap.cjs"), trap(directory, `the package ${name}`));
    }
    writeFileSync(join(directory, ".bunfig.toml"), BUNFIG(directory));
    layFiles(directory, { directory, packages });
  }
  return { directory, packages };
}

/** Lays traps in `cwd`, where there are none yet. */
export function layTraps(cwd: string, traps: Traps): void {
  if (!existsSync(cwd) || existsSync(join(cwd, "trap.cjs"))) return;
  symlinkSync(join(traps.directory, "node_modules"), join(cwd, "node_modules"));
  layFiles(cwd, traps);
}

function layFiles(cwd: string, { directory, packages }: Traps): void {
  const imports = Object.fromEntries(packages.map((name) => [name, "./trap.cjs"]));
  const files: Record<string, string> = {
    ".env": DOTENV(directory),
    "bunfig.toml": BUNFIG(cwd),
    "deno.json": JSON.stringify({ imports, nodeModulesDir: "manual" }),
    "package.json": JSON.stringify({ name: "montana", type: "module", main: "./trap.cjs" }),
    "tsconfig.json": JSON.stringify({ compilerOptions: { paths: { "*": ["./trap.cjs"] } } }),
    "trap.cjs": trap(directory, `what ${cwd} says`),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
}

const NAMES = [".env", "bunfig.toml", "deno.json", "node_modules", "package.json", "trap.cjs"]
  .concat("tsconfig.json");

/** What stands in a directory beside traps, in order. */
export function filesIn(directory: string): string[] {
  return readdirSync(directory).filter((name) => !NAMES.includes(name)).sort();
}

/** What has run into a trap; nothing where all went well. */
export function sprung({ directory }: Pick<Traps, "directory">): string {
  const marker = join(directory, "sprung");
  return existsSync(marker) ? readFileSync(marker, "utf8") : "";
}

function trap(directory: string, what: string): string {
  const text = JSON.stringify(`${what} was loaded\n`);
  return `require("node:fs").appendFileSync(${JSON.stringify(join(directory, "sprung"))}, ${text});
throw new Error("a trap: " + ${text});
`;
}

/** All that is ever loaded: what the lock file names, and what is looked for without being locked. */
function packageNames(): string[] {
  const lock = JSON.parse(readFileSync(new URL("../../deno.lock", import.meta.url), "utf8"));
  return [...Object.keys(lock.npm).map((key) => /^(@?[^@]+)@/.exec(key)![1]!), "c-kzg"];
}
