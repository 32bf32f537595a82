/**
 * The executable alone: where there is nothing beside it, where everything beside it is a trap, and what
 * its environment can make it do. It is the one that `MONTANA_CLI` names.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { findBun } from "../../scripts/bun.ts";
import { commitOfCheckout } from "../../scripts/commit.ts";
import { LIBRARIES, VERSION } from "../../src/version.ts";
import { skipWithout, withDirectory } from "../helpers.ts";
import { deno, whyNot } from "../runtimes.ts";
import { contentOf, sourceText } from "./files.ts";
import { type Outcome, run, type RunOptions, start, succeeded } from "./montana.ts";
import { filesIn, layTraps, openTraps, sprung } from "./traps.ts";

/** The executable. */
function executable(): string {
  return process.env["MONTANA_CLI"]!;
}

/** Building one takes longer than the rest of these tests: the suite of the executable brings its own. */
function skip(name: string): string | false {
  if (process.env["MONTANA_CLI"]) return false;
  process.stdout.write(`skipped: ${name}: the suite \`binary\` runs it\n`);
  return "the suite `binary` runs it";
}

/** A directory with traps in it, and a look at them in the end. */
async function withTraps(
  action: (cwd: string, env: Record<string, string>) => Promise<void>,
): Promise<void> {
  await withDirectory(async (outer) => {
    const traps = openTraps(join(outer, "traps"));
    const cwd = join(outer, "cwd");
    await mkdir(cwd);
    layTraps(cwd, traps);
    await action(cwd, { HOME: traps.directory, XDG_CONFIG_HOME: traps.directory });
    equal(sprung(traps), "");
  });
}

async function withNothing(
  action: (cwd: string, env: Record<string, string>) => Promise<void>,
): Promise<void> {
  await withDirectory(async (cwd) => {
    for (let above = cwd; above !== dirname(above); above = dirname(above)) {
      for (const name of ["node_modules", "package.json", "deno.json"]) {
        ok(!existsSync(join(above, name)), `there is ${join(above, name)}: set TMPDIR elsewhere`);
      }
    }
    await action(cwd, {});
  });
}

const PLACES = { "an empty directory": withNothing, "a directory of traps": withTraps } as const;

for (const [place, within] of Object.entries(PLACES)) {
  const name = `montana as an executable does its work in ${place}`;
  test(name, { skip: skip(name) }, async () => {
    await within(async (cwd, env) => {
      const options: RunOptions = { alone: executable(), cwd, env };
      const montana = async (args: string, stdin: string | Uint8Array = "") =>
        succeeded(await run(args, { ...options, stdin }));
      const source = sourceText(30, { size: 9000 });

      await montana("batcher --l2 - --l1 l1 --level 11 --workers 2 --max-blobs 1", source);
      await montana("batcher --l2 - --l1 z --compressor zstd --workers 1", source);
      await montana("batcher --l2 - --l1 n --engine native --max-blobs 6 --level 5", source);
      for (const l1 of ["l1", "z", "n"]) {
        const derived = await montana(`deriver --l1 ${l1} --out - --once`);
        deepEqual(contentOf(derived), contentOf(source));
        match(await montana(`report --l1 ${l1}`), /^batch /);
      }
      await montana("deriver --l1 l1 --out derived.jsonl --once --data-dir data");
      equal(contentOf(await readFile(join(cwd, "derived.jsonl"), "utf8")).length, 30);

      const blob = readdirSync(join(cwd, "l1/blobs"))[0]!;
      match(await montana(`inspect l1/blobs/${blob}`), /brotli/i);

      const outcome = await run("demo --for 1s --level 4", options);
      match(succeeded(outcome), /identical to those that went in/);
      match(outcome.stderr, /L1 in /);
      ok(!outcome.stderr.includes("dotenv"), outcome.stderr);
      deepEqual(filesIn(cwd), ["data", "derived.jsonl", "l1", "n", "z"]);
    });
  });
}

const VERSION_NAME =
  "montana version --json of an executable names commit, builder, libraries, wire";
test(VERSION_NAME, { skip: skip(VERSION_NAME) }, async () => {
  await withNothing(async (cwd) => {
    const outcome = await run("version --json", { alone: executable(), cwd });
    const answer = JSON.parse(succeeded(outcome));
    match(answer.runtime, /^(bun|deno) \d+\.\d+\.\d+$/);
    // The addon is in it.
    if (answer.runtime.startsWith("bun") && answer.platform === "linux-x64") {
      equal(answer.kzg, "native");
    }
    deepEqual(answer, {
      version: VERSION,
      commit: commitOfCheckout(),
      runtime: answer.runtime,
      platform: `${process.platform}-${process.arch}`,
      libraries: LIBRARIES,
      wire: { batch: 0, blob: 0 },
      kzg: answer.kzg,
      formats: { brotli: 0, zstd: 1, none: 2 },
    });
  });
});

const KZG_NAME = "an executable has its KZG engines in it, and takes none that it finds";
test(KZG_NAME, { skip: skip(KZG_NAME) }, async () => {
  await withTraps(async (cwd, env) => {
    const doctor = (flags: string, more: Record<string, string> = {}) =>
      run(`doctor --json ${flags}`, { alone: executable(), cwd, env: { ...env, ...more } });
    const engineOf = (outcome: Outcome) => JSON.parse(succeeded(outcome))[0].details.engine;
    const { kzg, runtime } = JSON.parse(
      succeeded(await run("version --json", { alone: executable(), cwd, env })),
    );
    equal(engineOf(await doctor("")), kzg);
    equal(engineOf(await doctor("--kzg portable")), "portable");
    // There is one in `node_modules`, and it is a trap.
    equal((await doctor("--kzg c-kzg")).code, 4);
    // Bun writes the addon into the directory for temporary files before it is loaded.
    if (!runtime.startsWith("bun")) return;
    const nowhere = join(cwd, "nowhere");
    equal(engineOf(await doctor("", { TMPDIR: nowhere, BUN_TMPDIR: nowhere })), "portable");
  });
});

test("traps spring for a program that loads what it finds", {
  skip: whyNot("traps spring", findBun, deno),
}, async () => {
  await withDirectory(async (outer) => {
    const env = { ...process.env, NO_COLOR: "1" };
    const springs = async (what: string, file: string, args: readonly string[]) => {
      const traps = openTraps(join(outer, what, "traps"));
      const cwd = join(outer, what, "cwd");
      await mkdir(cwd);
      layTraps(cwd, traps);
      await rm(join(cwd, what === "package" ? "bunfig.toml" : "nothing"), { force: true });
      const { stdout } = spawnSync(file, args, { cwd, env, encoding: "utf8" });
      return sprung(traps) + stdout;
    };
    const load =
      `await import("commander").catch(() => {}); console.log(process.env.MONTANA_TRACE)`;
    match(await springs("bunfig", findBun().path, ["-e", load]), /cwd says was loaded/);
    match(
      await springs("package", findBun().path, ["-e", load]),
      /(the package commander|cwd says) was loaded\n1\n/,
    );
    match(await springs("deno", deno(), ["eval", load]), /cwd says was loaded/);
  });
});

/** What `env` makes the executable do: it loads the trap, or something else than `version`, or nothing. */
async function ledBy(env: Record<string, string>): Promise<string> {
  return await withDirectory(async (outer) => {
    const traps = openTraps(join(outer, "traps"));
    const cwd = join(outer, "cwd");
    await mkdir(cwd);
    const given = Object.entries(env).map(([key, value]) =>
      [
        key,
        value.replace("TRAP", join(traps.directory, "trap.cjs"))
          .replace("DIR", join(traps.directory)),
      ] as const
    );
    const { stdout } = await run("version", {
      alone: executable(),
      cwd,
      env: Object.fromEntries(given),
    });
    if (sprung(traps) !== "") return "loads the trap";
    return new TextDecoder().decode(stdout).startsWith("montana ") ? "nothing" : "something else";
  });
}

const ENVIRONMENT_NAME = "montana as an executable is led by BUN_… in its environment alone";
test(ENVIRONMENT_NAME, { skip: skip(ENVIRONMENT_NAME) }, async () => {
  const made = JSON.parse(succeeded(await run("version --json", { alone: executable() })));
  const isBun = made.runtime.startsWith("bun");
  const cases: [Record<string, string>, string][] = [
    [{ NODE_OPTIONS: "--require TRAP" }, "nothing"],
    [{ NODE_OPTIONS: "--import TRAP" }, "nothing"],
    [{ NODE_PATH: "DIR/node_modules" }, "nothing"],
    [{ HOME: "DIR" }, "nothing"],
    [{ XDG_CONFIG_HOME: "DIR" }, "nothing"],
    [{ DENO_DIR: "DIR", DENO_CONFIG: "DIR/deno.json", DENO_V8_FLAGS: "--bogus" }, "nothing"],
    // README.md says so, and has them taken out of the environment of a service.
    [{ BUN_OPTIONS: "--preload=TRAP" }, isBun ? "loads the trap" : "nothing"],
    [{ BUN_BE_BUN: "1" }, isBun ? "something else" : "nothing"],
    [{ BUN_JSC_bogus: "1" }, isBun ? "something else" : "nothing"],
  ];
  for (const [env, expected] of cases) {
    equal(`${Object.keys(env)}: ${await ledBy(env)}`, `${Object.keys(env)}: ${expected}`);
  }
});

/** Threads that Bun, and Deno, call workers. */
function workersOf(pid: number): number {
  const names = readdirSync(`/proc/${pid}/task`).map((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8")
  );
  return names.filter((name) => /^worker/i.test(name)).length;
}

const WORKERS_NAME = "montana batcher of an executable compresses in as many threads as --workers";
test(WORKERS_NAME, {
  skip: skipWithout("/proc/self/task", WORKERS_NAME) || skip(WORKERS_NAME),
}, async () => {
  for (const workers of [1, 2]) {
    await withNothing(async (cwd) => {
      await writeFile(join(cwd, "blocks.jsonl"), sourceText(50, { size: 60_000 }));
      const args = `batcher --l2 blocks.jsonl --l1 l1 --once --workers ${workers} --level 11`;
      await using montana = start(args, { alone: executable(), cwd });
      let isRunning = true;
      const ended = montana.ended.finally(() => isRunning = false);
      const seen = new Map<number, number>();
      while (isRunning) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        try {
          const count = workersOf(montana.pid);
          seen.set(count, (seen.get(count) ?? 0) + 1);
        } catch {
          // A thread ended while it was looked at, or all did.
        }
      }
      succeeded(await ended);
      // Nearly all of the time: one that was silent for long is replaced, and ends a little later.
      const [usual] = [...seen].reduce((a, b) => b[1] > a[1] ? b : a, [0, 0]);
      // One more plans.
      equal(usual, workers + 1, `threads, and how often they were seen: ${[...seen].join("; ")}`);
    });
  }
});
