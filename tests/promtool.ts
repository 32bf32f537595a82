/**
 * Prometheus' own look at what is made for it: `promtool`, off the PATH or where `PROMTOOL` says.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import process from "node:process";

const promtool = process.env["PROMTOOL"] ?? "promtool";

/** For `{ skip }` of a test that needs it; prints why it is skipped without it. */
export function skipWithoutPromtool(test: string): string | false {
  if (spawnSync(promtool, ["--version"]).status === 0) return false;
  const why = "there is no promtool here";
  process.stdout.write(`skipped: ${test}: ${why}\n`);
  return why;
}

/** What it says, on both of its ways out. */
export function promtoolSays(
  args: readonly string[],
  options: { readonly cwd?: string; readonly input?: string } = {},
): { readonly status: number | null; readonly said: string } {
  const { status, stderr, stdout } = spawnSync(promtool, args, { ...options, encoding: "utf8" });
  return { status, said: `${stdout}${stderr}` };
}
