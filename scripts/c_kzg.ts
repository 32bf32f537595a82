/**
 * Brings c-kzg beside montana, for the tests that hold the KZG engines against each other:
 * `deno task c-kzg`. It is compiled when it is installed, which npm does and Deno does not: npm installs it
 * in a temporary directory, and what came of it is laid into `node_modules`, where a user has it too.
 *
 * It takes npm, a C++ compiler, make, Python and the headers of Node. Those that Node was installed with are
 * taken; where there are none, node-gyp downloads them.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- what a script has to say goes to the terminal
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

/** The very one that npm is asked for. */
export const C_KZG_VERSION = "4.1.0";

/** 8 s of a processor, and bounded, for a network that neither answers nor refuses. */
const INSTALL_LIMIT_MS = 240_000;

const modules = fileURLToPath(new URL("../node_modules", import.meta.url));
const place = join(modules, "c-kzg");

/** @returns what it did. @throws {Error} why it could not */
function bring(): string {
  if (!existsSync(modules)) throw new Error("there is no node_modules: run deno install first");
  if (isThere()) return `c-kzg ${C_KZG_VERSION} is in node_modules`;
  const directory = mkdtempSync(join(tmpdir(), "montana-c-kzg-"));
  try {
    install(directory);
    // First beside its place, as directories are moved within a file system only.
    const arriving = `${place}.new`;
    for (const each of [place, arriving]) rmSync(each, { recursive: true, force: true });
    cpSync(join(directory, "node_modules/c-kzg"), arriving, { recursive: true });
    renameSync(arriving, place);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return `c-kzg ${C_KZG_VERSION} was compiled and laid into node_modules`;
}

function isThere(): boolean {
  const file = join(place, "package.json");
  if (!existsSync(file) || !existsSync(join(place, "build/Release/kzg.node"))) return false;
  return JSON.parse(readFileSync(file, "utf8")).version === C_KZG_VERSION;
}

function install(directory: string): void {
  const about = {
    private: true,
    dependencies: { "c-kzg": C_KZG_VERSION },
    // Newer ones of npm run no scripts of packages but those that are named.
    allowScripts: { "c-kzg": true },
  };
  writeFileSync(join(directory, "package.json"), JSON.stringify(about));
  const headers = nodeHeaders();
  const flags = ["--no-audit", "--no-fund", "--no-package-lock", "--install-strategy=nested"];
  const { error, status, stdout, stderr } = spawnSync("npm", ["install", ...flags], {
    cwd: directory,
    encoding: "utf8",
    env: { ...process.env, ...(headers === undefined ? {} : { npm_config_nodedir: headers }) },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: INSTALL_LIMIT_MS,
  });
  if (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT") throw new Error("there is no npm here");
    throw new Error(code === "ETIMEDOUT" ? `npm took over ${INSTALL_LIMIT_MS} ms` : error.message);
  }
  if (status === 0) return;
  const said = `${stdout}\n${stderr}`.split("\n").map((line) => line.trim());
  const complaint = said.find((line) => /\bERR!|\berror\b/i.test(line));
  throw new Error(`npm ended with ${status}${complaint === undefined ? "" : `: ${complaint}`}`);
}

/** Where the Node that npm runs under has its headers; `undefined` where it has none. */
function nodeHeaders(): string | undefined {
  const { status, stdout } = spawnSync("node", ["-p", "process.execPath"], { encoding: "utf8" });
  if (status !== 0) return undefined;
  const prefix = dirname(dirname(stdout.trim()));
  return existsSync(join(prefix, "include/node/node_api.h")) ? prefix : undefined;
}

if (import.meta.main) {
  try {
    console.log(bring());
  } catch (error) {
    const why = error instanceof Error ? error.message : error;
    console.log(`Cannot bring c-kzg, and its tests are skipped: ${why}`);
    process.exitCode = 1;
  }
}
