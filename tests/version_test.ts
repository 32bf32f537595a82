import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { commitOfCheckout } from "../scripts/commit.ts";
import { findKzg } from "../src/l1/kzg.ts";
import { COMMIT, LIBRARIES, VERSION } from "../src/version.ts";
import { run, succeeded } from "./cli/montana.ts";
import { whyNot } from "./runtimes.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

/** For development alone: no part of what is shipped. */
const DEVELOPMENT = ["@foundry-rs/anvil-linux-amd64", "fast-check", "typescript", "viem"];

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
    kzg: await findKzg(),
    formats: { brotli: 0, zstd: 1, none: 2 },
  });
  equal(COMMIT, "unknown");
});
