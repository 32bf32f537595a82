/**
 * That benchmarks run, tell what they found and what they could not find, and judge it rightly. No test
 * asserts a figure.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { inDigits, isReached, median, ratioOf, type Row, tableOf } from "../scripts/bench/rows.ts";
import { LIBRARIES, VERSION } from "../src/version.ts";
import { withDirectory } from "./helpers.ts";

const script = fileURLToPath(new URL("../scripts/bench.ts", import.meta.url));

function bench(args: readonly string[], env: Record<string, string> = {}) {
  const first = process.versions["bun"] ? [script] : ["run", "-A", "--no-check", script];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...first, ...args], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", ...env },
  });
  return { status, stdout, stderr };
}

test("bench --only codec --short prints the machine and a table, and writes JSON", async () => {
  await withDirectory(async (directory) => {
    const file = join(directory, "bench.json");
    const { status, stdout, stderr } = bench(["--only", "codec", "--short", "--json", file]);
    equal(status, 0, stderr);
    match(stdout, /^\d{4}-\d\d-\d\dT[\d:.]+Z, \d+ cores of .+, load [\d.]+\nmontana 0\./);
    match(stdout, /^codec: .+\n +value +ratio +mark\n(.*\n)*decodeBatch\(\) +[\d.]+ MB\/s/m);

    const { machine, isShort, rows } = JSON.parse(await readFile(file, "utf8"));
    match(machine.montana, new RegExp(`^${VERSION.replaceAll(".", "\\.")} `));
    match(machine.runtime, /^(deno|bun) \d/);
    deepEqual(machine.libraries, LIBRARIES);
    ok(machine.cores >= 1 && isShort);
    deepEqual(rows.map((row: Row & { group: string }) => `${row.group} ${row.what}`), [
      "codec encodeBatch()",
      "codec decodeBatch()",
      "codec toBlobs()",
      "codec fromBlobs()",
    ]);
    for (const row of rows) ok(row.value > 0 && row.unit === "MB/s", JSON.stringify(row));
    deepEqual(rows[0].mark, { of: "value", least: 1000 });
  });
});

test("bench --json - prints JSON alone, and says which tool it did not find", async () => {
  await withDirectory((empty) => {
    const args = ["--only", "derivation", "--short", "--json", "-"];
    const { status, stdout, stderr } = bench(args, { PATH: empty });
    equal(status, 0, stderr);
    const { machine, rows } = JSON.parse(stdout);
    deepEqual(machine.native, { brotli: null, zstd: null });
    ok(rows.length > 0);
    for (const row of rows) {
      equal(row.missing, "no brotli in PATH");
      deepEqual([row.ratio, row.against, row.reached], [undefined, undefined, undefined]);
      ok(row.value > 0);
    }
    return Promise.resolve();
  });
});

test("bench --only kzg measures each engine that is there, and says which is not", () => {
  const { status, stdout, stderr } = bench(["--only", "kzg", "--short", "--json", "-"]);
  equal(status, 0, stderr);
  const { rows } = JSON.parse(stdout) as { rows: Row[] };
  for (const engine of ["native", "c-kzg", "portable"]) {
    const found = rows.filter(({ what }) => what.startsWith(engine));
    if (found.length === 1) match(found[0]!.missing!, /Cannot have a KZG engine/);
    else {
      const whats = ["made ready", "commitment", "blob proof", "128 cell proofs"];
      deepEqual(found.map(({ what }) => what), whats.map((what) => `${engine}: ${what}`));
    }
  }
});

test("bench refuses a group that there is not", () => {
  const { status, stdout, stderr } = bench(["--only", "codec,speed"]);
  equal(status, 1);
  equal(stdout, "");
  match(stderr, /^Cannot run group "speed": expected posted_bytes, packing, .+, kzg\n$/);
});

const against = { what: "brotli", value: 2 };

test("isReached() holds a row to its mark, by value or ratio, and judges nothing that is not there", () => {
  const cases: [Row, boolean | undefined][] = [
    [{ what: "", value: 1, against, mark: { of: "ratio", least: 0.5 } }, true],
    [{ what: "", value: 0.99, against, mark: { of: "ratio", least: 0.5 } }, false],
    [{ what: "", value: 1, against, mark: { of: "ratio", most: 0.5 } }, true],
    [{ what: "", value: 1.01, against, mark: { of: "ratio", most: 0.5 } }, false],
    [{ what: "", value: 50, mark: { of: "value", most: 50 } }, true],
    [{ what: "", value: 50.1, against, mark: { of: "value", most: 50 } }, false],
    [{ what: "", value: 1, mark: { of: "ratio", least: 0.5 } }, undefined],
    [{ what: "", missing: "no", mark: { of: "value", least: 0 } }, undefined],
    [{ what: "", value: 1, against }, undefined],
  ];
  for (const [row, expected] of cases) equal(isReached(row), expected, JSON.stringify(row));
  equal(ratioOf({ what: "", value: 1, against }), 0.5);
});

test("tableOf() shows what was reached, what was missed and what is missing", () => {
  const rows: Row[] = [
    { what: "a", value: 1, unit: "MB/s", against, mark: { of: "ratio", least: 0.6 } },
    { what: "longer", value: 40, unit: "ms", mark: { of: "value", most: 50 }, detail: { p99: 3 } },
    { what: "c", missing: "no brotli in PATH", mark: { of: "value", most: 1 } },
  ];
  equal(
    tableOf(rows),
    "         value    ratio  mark\n" +
      "a       1 MB/s  0.500 ×  ≥ 0.6 × MISSED  2: brotli\n" +
      "longer   40 ms           ≤ 50 reached    p99 3\n" +
      "c            –           ≤ 1 not seen    no brotli in PATH\n",
  );
});

test("inDigits() and median() round as people read", () => {
  deepEqual([0.0123, 0.5, 1.234, 12.5, 123.4, 1234.5, 7, 100.2].map(inDigits), [
    ...["0.012", "0.5", "1.23", "12.5", "123", "1235", "7", "100"],
  ]);
  deepEqual([median([3, 1, 2]), median([4, 1, 2, 3]), median([5])], [2, 2.5, 5]);
});
