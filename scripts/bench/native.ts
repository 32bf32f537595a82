/**
 * The tools that a user would take instead, from PATH: on the same bytes, in the same run.
 *
 * @module
 */
import { spawnSync } from "node:child_process";

/** What is measured against. */
export type Tool = "brotli" | "zstd";

const versions = new Map<Tool, string | undefined>();

/** Its version; `undefined` where it is not in PATH. */
export function versionOf(tool: Tool): string | undefined {
  if (!versions.has(tool)) {
    const { status, stdout, stderr } = spawnSync(tool, ["--version"], { encoding: "utf8" });
    const text = /\d+\.\d+\.\d+/.exec(`${stdout}${stderr}`)?.[0];
    versions.set(tool, status === 0 ? text : undefined);
  }
  return versions.get(tool);
}

/** Why there is nothing to compare with. */
export function missing(tool: Tool): string {
  return `no ${tool} in PATH`;
}

/**
 * Seconds that it takes, with its start of some milliseconds; what it writes to standard output is
 * thrown away.
 *
 * @throws {Error} where it fails, or is not in PATH
 */
export function secondsOf(tool: Tool, args: readonly string[]): number {
  const start = performance.now();
  const { error, status, stderr } = spawnSync(tool, args, {
    encoding: "utf8",
    stdio: ["ignore", "ignore", "pipe"],
  });
  const seconds = (performance.now() - start) / 1000;
  if (error) throw error;
  if (status !== 0) throw new Error(`${tool} ${args.join(" ")} ended with ${status}: ${stderr}`);
  return seconds;
}
