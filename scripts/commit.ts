/**
 * The commit that a build is of. Only the builds ask: what runs from source says "unknown".
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The commit's hash, with `-dirty` behind it where the checkout differs; "unknown" without git. */
export function commitOfCheckout(): string {
  // The prefix is empty at the top of a checkout: a copy inside another repository has none of its own.
  const [prefix, hash] = git("rev-parse", "--show-prefix", "HEAD");
  if (prefix !== "" || !hash) return "unknown";
  return git("status", "--porcelain")[0] === "" ? hash : `${hash}-dirty`;
}

/** The lines that git prints; none where there is no git, or it refuses. */
function git(...args: readonly string[]): string[] {
  const { status, stdout } = spawnSync("git", args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return status === 0 ? stdout.split("\n") : [];
}
