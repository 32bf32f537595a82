/**
 * Finds the Bun that tests and builds run with: the one that `BUN` names, one in PATH that is new
 * enough, or the npm package, which holds the whole executable and downloads nothing else.
 *
 * @module
 */
import { spawnSync } from "node:child_process";

/** The oldest Bun in PATH that will do, and the very one that npm is asked for. */
export const BUN_VERSION = "1.4.5";

/** A Bun that ran. */
export interface Bun {
  /** The executable itself: wrappers, and npx with its start-up, are paid for once. */
  readonly path: string;
  readonly version: string;
}

/** There is no Bun and none could be got; the message says what was tried. */
export class BunMissing extends Error {
  override readonly name = "BunMissing";
}

/** Long enough for 107 MB, and bounded, for a network that neither answers nor refuses. */
const NPX_LIMIT_MS = 300_000;
const RUN_LIMIT_MS = 20_000;

/**
 * @throws {BunMissing} when none is to be had
 * @throws {Error} when `BUN` is set to what is not one: a wish, so never passed over
 */
export function findBun(): Bun {
  const bun = search();
  // Whoever asks next, here or in a process that this one starts, need not search again.
  process.env["BUN"] = bun.path;
  return bun;
}

function search(): Bun {
  const wished = process.env["BUN"];
  if (wished) {
    const bun = ask(wished, [], RUN_LIMIT_MS);
    if (typeof bun === "string") throw new Error(`Cannot use BUN="${wished}": ${bun}`);
    return bun;
  }

  const tried: string[] = [];
  const inPath = ask("bun", [], RUN_LIMIT_MS);
  if (typeof inPath === "string") tried.push(`bun in PATH: ${inPath}`);
  else if (isAtLeast(inPath.version, BUN_VERSION)) return inPath;
  else tried.push(`bun in PATH: ${inPath.version} is older than ${BUN_VERSION}`);

  const fromNpm = ask("npx", ["-y", `bun@${BUN_VERSION}`], NPX_LIMIT_MS);
  if (typeof fromNpm !== "string") return fromNpm;
  tried.push(`npx -y bun@${BUN_VERSION}: ${fromNpm}`);
  throw new BunMissing(`Cannot find Bun (${tried.join("; ")}). Set BUN to its path`);
}

/** Bun tells of itself where it is; whatever else goes by its name does not answer. */
function ask(command: string, args: readonly string[], timeout: number): Bun | string {
  const question = "console.log(JSON.stringify([process.execPath, Bun.version]))";
  const { error, status, stdout, stderr } = spawnSync(command, [...args, "-e", question], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    timeout,
  });
  if (error) {
    const code = (error as { code?: string }).code;
    return code === "ENOENT" ? "not found" : code === "ETIMEDOUT" ? "no answer" : error.message;
  }
  const answer = /^\["(.+)","(\d+\.\d+\.\d+.*)"\]$/m.exec(stdout);
  if (status === 0 && answer) return { path: answer[1]!, version: answer[2]! };
  const complaint = stderr.split("\n").find((line) => /error/i.test(line))?.trim();
  return complaint ?? `it ended with ${status} and is no Bun`;
}

/** Compares `major.minor.patch`. */
function isAtLeast(version: string, least: string): boolean {
  return version.localeCompare(least, "en", { numeric: true }) >= 0;
}
