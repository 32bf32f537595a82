/**
 * How executables are made for several machines. What is made is tested in `cli/executable_test.ts` and,
 * with the whole command line, by the suite `binary`.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync } from "node:fs";
import { chmod, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, test } from "node:test";
import { asTarget, type Build, build, buildAll, type Target } from "../scripts/build.ts";
import { findBun } from "../scripts/bun.ts";
import { withDirectory } from "./helpers.ts";
import { whyNot } from "./runtimes.ts";

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

/** How an executable of each target begins: ELF with its machine at 18, or Mach-O with its at 4. */
const HEADS: Readonly<Record<Target, readonly [at: number, bytes: string]>> = {
  "linux-x64": [18, "3e00"],
  "linux-arm64": [18, "b700"],
  "darwin-arm64": [4, "0c000001"],
};

for (const [name, [at, machine]] of Object.entries(HEADS)) {
  const title = `build() makes an executable for ${name}, with its size and checksum`;
  const directory = mkdtempSync(join(tmpdir(), "montana-build-"));
  let made: () => Build;
  const make = () => {
    findBun();
    try {
      const result = build({
        target: asTarget(name),
        out: join(directory, "montana"),
        with: "bun",
      });
      made = () => result;
    } catch (error) {
      // Bun's own executable for another machine is downloaded once. No other failure is a reason.
      if (/download/i.test(String(error))) throw error;
      made = () => {
        throw error;
      };
    }
  };
  after(() => rm(directory, { recursive: true }));
  test(title, { skip: whyNot(title, make) }, async () => {
    const { out, builder, bytes, sha256 } = made();
    const content = await readFile(out);
    equal(
      content.subarray(0, 4).toString("hex"),
      name.startsWith("linux") ? "7f454c46" : "cffaedfe",
    );
    equal(content.subarray(at, at + machine.length / 2).toString("hex"), machine);
    equal(bytes, content.length);
    equal(sha256, createHash("sha256").update(content).digest("hex"));
    match(builder, /^bun \d/);
    // The code of the threads, and the WASM that stands in it as text.
    for (const part of ["compressor_worker", "kzg_worker", "WASM_GZIP_BASE64"]) {
      ok(content.includes(part), part);
    }
  });
}
