import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "../scripts/build.ts";
import { findBun } from "../scripts/bun.ts";
import { commitOfCheckout } from "../scripts/commit.ts";
import { COMMIT, LIBRARIES, VERSION } from "../src/version.ts";
import { run, succeeded } from "./cli/montana.ts";
import { withDirectory } from "./helpers.ts";
import { execute, whyNot } from "./runtimes.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** For development alone: no part of what is shipped. */
const DEVELOPMENT = ["fast-check", "typescript"];

test("LIBRARIES are those of deno.json, with their versions", () => {
  const { imports } = JSON.parse(readFileSync(join(root, "deno.json"), "utf8"));
  const pinned = Object.keys(imports)
    .filter((name) => !name.startsWith("http") && !DEVELOPMENT.includes(name))
    .map((name) => [name, imports[name].slice(`npm:${name}@`.length)]);
  deepEqual(LIBRARIES, Object.fromEntries(pinned));
});

function head(): string {
  const { status, stdout } = spawnSync("git", ["rev-parse", "HEAD"], { cwd: root });
  if (status !== 0) throw new Error("this is no checkout of git");
  return stdout.toString().trim();
}

test("commitOfCheckout() is what git says", { skip: whyNot("commitOfCheckout()", head) }, () => {
  match(commitOfCheckout(), new RegExp(`^${head()}(-dirty)?$`));
});

test("montana version --json names versions, runtime, platform, libraries and wire formats", async () => {
  const answer = JSON.parse(succeeded(await run("version --json")));
  match(answer.runtime, /^(deno|bun|node) \d+\.\d+\.\d+/);
  deepEqual(answer, {
    version: VERSION,
    commit: "unknown",
    runtime: answer.runtime,
    platform: `${process.platform}-${process.arch}`,
    libraries: LIBRARIES,
    wire: { batch: 0, blob: 0 },
    formats: { brotli: 0, zstd: 1, none: 2 },
  });
  equal(COMMIT, "unknown");
});

test("montana version --json of an executable names the commit it was built from", {
  skip: whyNot("the commit of an executable", findBun),
}, async () => {
  await withDirectory(async (cwd) => {
    const { out, builder } = build({ out: join(cwd, "montana"), with: "bun" });
    const answer = JSON.parse(await execute(out, ["version", "--json"], { cwd, env: {} }));
    equal(answer.commit, commitOfCheckout());
    equal(answer.runtime, builder);
  });
});
