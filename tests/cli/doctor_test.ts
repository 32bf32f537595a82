import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { L1Directory } from "../../src/local/l1_directory.ts";
import { withDirectory } from "../helpers.ts";
import { run, succeeded, textOf } from "./montana.ts";

interface Finding {
  readonly check: string;
  readonly status: string;
  readonly found: string;
  readonly fix?: string;
  readonly details?: Record<string, unknown>;
}

const findings = (text: string): Finding[] => JSON.parse(text);

test("montana doctor tests the KZG engine that is used", async () => {
  const [version, outcome] = await Promise.all([run("version --json"), run("doctor --json")]);
  const { kzg } = JSON.parse(succeeded(version));
  const [engine, self] = findings(succeeded(outcome));
  equal(engine?.check, "kzg engine");
  equal(engine.details?.engine, kzg);
  equal(engine.status, kzg === "portable" ? "warn" : "ok");
  equal(engine.fix === undefined, engine.status === "ok");
  equal(self?.check, "kzg self-test");
  equal(self.status, "ok");
  for (const name of ["firstMs", "commitmentMs", "cellProofsMs"]) {
    ok(Number(self.details?.[name]) >= 0, name);
  }
});

test("montana doctor --kzg portable says it in lines", async () => {
  const [engine, self] = succeeded(await run("doctor --kzg portable")).split("\n");
  equal(engine, "ok    kzg engine: portable (micro-eth-signer)");
  match(
    self!,
    /^ok {4}kzg self-test: .* commitment \d+ ms, cell proofs \d+ ms, first answer \d+ ms$/,
  );
});

test("montana doctor fails with 4, and says what to do", async () => {
  const outcome = await run("doctor --kzg c-kzg --json");
  // Where c-kzg is installed, it works.
  if (outcome.code === 0) {
    return void deepEqual(findings(new TextDecoder().decode(outcome.stdout))[1]?.status, "ok");
  }
  equal(outcome.code, 4);
  const [kzg] = findings(new TextDecoder().decode(outcome.stdout));
  equal(kzg?.status, "fail");
  match(kzg.found, /^Invalid: Cannot have a KZG engine: c-kzg: [^\n]+; take auto, or one of/);
  match(kzg.fix!, /--kzg/);
});

test("montana doctor refuses an engine that there is not", async () => {
  const { code, stderr } = await run("doctor --kzg stone");
  equal(code, 2);
  match(stderr, /Cannot use --kzg "stone": need one of auto, native, c-kzg, portable/);
});

test("montana doctor looks at an L1 in a directory, and at a directory that is to be made", async () => {
  await withDirectory(async (cwd) => {
    await L1Directory.openOrCreate(join(cwd, "l1"), 1000n);
    const text = succeeded(await run("doctor --l1 l1 --data-dir a/b", { cwd }));
    match(
      text,
      /^ok {4}l1 l1: a directory; its head is block 0\nok {4}data-dir: a\/b can be made; /m,
    );
    const missing = await run("doctor --l1 nothing", { cwd });
    equal(missing.code, 4);
    match(textOf(missing), /^fail {2}l1: NotFound: .*nothing.*\n {6}fix: see to --l1$/m);
  });
});
