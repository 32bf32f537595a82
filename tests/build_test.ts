/**
 * How executables are made for several machines. What is made is tested in `version_test.ts` and, with
 * the whole command line, by the suite `binary`.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { asTarget, buildAll } from "../scripts/build.ts";
import { withDirectory } from "./helpers.ts";

/** A Bun that has no runtime for macOS, and that writes how it was called instead of an executable. */
const FAKE_BUN = `#!/bin/sh
[ "$1" = -e ] && echo "[\\"$0\\",\\"9.9.9\\"]" && exit
for last; do :; done
case "$*" in *darwin*) echo "Failed to download 'bun-darwin-aarch64'" >&2; exit 1 ;; esac
echo "$*" > "$last"
`;

test("buildAll() makes what it can, sums that up, and tells why of the rest", async () => {
  await withDirectory(async (directory) => {
    const bun = join(directory, "bun");
    await writeFile(bun, FAKE_BUN);
    await chmod(bun, 0o755);
    const before = process.env["BUN"];
    process.env["BUN"] = bun;
    const said: string[] = [];
    const sums = join(directory, "SHA256SUMS");
    const pathOf = (target: string) => join(directory, `montana-${target}`);
    const builds = ["darwin-arm64", "linux-arm64", "linux-x64"]
      .map((name) => ({ target: asTarget(name), out: pathOf(name), with: "bun" as const }));
    try {
      equal(buildAll(builds, { sums, say: (text) => said.push(text) }), false);
      equal(buildAll(builds.slice(1), { say: () => {} }), true);
    } finally {
      if (before === undefined) delete process.env["BUN"];
      else process.env["BUN"] = before;
    }

    match(said[0]!, /^NOT MADE for darwin-arm64\n.*Failed to download 'bun-darwin-aarch64'/s);
    match(said[1]!, /montana-linux-arm64\n {2}bun 9\.9\.9, 0\.0 MB, sha256 [0-9a-f]{64}$/);
    ok(!existsSync(pathOf("darwin-arm64")));
    match(await readFile(pathOf("linux-arm64"), "utf8"), / --target=bun-linux-arm64 cli\.ts /);

    const hashOf = async (name: string) =>
      createHash("sha256").update(await readFile(pathOf(name))).digest("hex");
    deepEqual((await readFile(sums, "utf8")).split("\n"), [
      `${await hashOf("linux-arm64")}  montana-linux-arm64`,
      `${await hashOf("linux-x64")}  montana-linux-x64`,
      "",
    ]);
  });
});
