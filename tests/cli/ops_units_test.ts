import {
  deepStrictEqual as deepEqual,
  doesNotMatch,
  match,
  ok,
  strictEqual as equal,
} from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, chown, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { UNIT_ROLES } from "../../src/cli/ops/roles.ts";
import { RUNTIME_VARIABLES, systemdUnit } from "../../src/cli/ops/systemd.ts";
import { skipWithout, withDirectory } from "../helpers.ts";
import { sourceText } from "./files.ts";
import {
  failed,
  inPairs,
  type Outcome,
  run,
  type RunOptions,
  start,
  succeeded,
} from "./montana.ts";

const ANALYZE = "/usr/bin/systemd-analyze";

function analyze(env: Record<string, string>, ...args: string[]) {
  const options = { encoding: "utf8", env: { PATH: process.env["PATH"]!, ...env } } as const;
  const { status, stdout, stderr } = spawnSync(ANALYZE, args, options);
  return { status, told: stdout + stderr };
}

const verified = "montana ops dump systemd prints units that systemd-analyze finds no fault with";
test(verified, { skip: skipWithout(ANALYZE, verified) }, async () => {
  await withDirectory(async (cwd) => {
    const binary = join(cwd, "a $b %n c;d");
    await writeFile(binary, "#!/bin/sh\n", { mode: 0o755 });
    await mkdir(join(cwd, "man/man1"), { recursive: true });
    await writeFile(join(cwd, "man/man1/montana.1"), succeeded(await run("man")));
    await inPairs(Object.keys(UNIT_ROLES), async (role) => {
      const dump = ["ops", "dump", "systemd", "--role", role, "--binary", binary];
      const path = join(cwd, `montana-${role}.service`);
      await writeFile(path, succeeded(await run(dump)));
      const verify = analyze({ MANPATH: join(cwd, "man") }, "verify", path);
      equal(verify.told, "");
      equal(verify.status, 0);
      const security = analyze(
        {},
        "security",
        "--offline=true",
        "--no-pager",
        "--threshold=15",
        path,
      );
      equal(security.status, 0, security.told);
      match(security.told, /Overall exposure level for montana-\w+\.service: [01]\.\d OK/);
    });
    // That it would find some is seen here.
    const wrong = join(cwd, "montana-wrong.service");
    await writeFile(wrong, "[Service]\nExecStart=relative\nFoo=1\n");
    ok(analyze({}, "verify", wrong).status !== 0);
  });
});

test("a unit of systemd has the flags of its role, a key where it signs, and no foreign code", async () => {
  for (const role of Object.keys(UNIT_ROLES)) {
    const unit = systemdUnit(role, "/usr/local/bin/montana");
    const [, command = ""] = /^ExecStart=(.*)$/m.exec(unit) ?? [];
    match(command, new RegExp(`^/usr/local/bin/montana ${role} --data-dir %S/montana-${role} `));
    match(command, / \$MONTANA_FLAGS$/);
    equal(/--key-file %d\/key/.test(command), role === "batcher");
    equal(/^LoadCredential=key:/m.test(unit), role === "batcher" || role === "run");
    match(unit, /^Type=notify$[^]*^WatchdogSec=/m);
    match(unit, /^RestartPreventExitStatus=2 5 78 130$/m);
    doesNotMatch(unit, /^MemoryDenyWriteExecute/m);
    for (const name of ["BUN_OPTIONS", "BUN_BE_BUN", "BUN_INSPECT", "NODE_OPTIONS", "LD_PRELOAD"]) {
      ok(RUNTIME_VARIABLES.includes(name), name);
    }
    match(unit, new RegExp(`^UnsetEnvironment=${RUNTIME_VARIABLES.join(" ")}$`, "m"));
    // The example is one that the role takes: its flags are known, and nothing that it needs is missing.
    const [, flags = ""] = /^# {3}MONTANA_FLAGS=(.*)$/m.exec(unit) ?? [];
    const given = `${role} --data-dir d ${flags} --no-such-flag`.split(" ").map((word) =>
      word.startsWith("env:") ? "http://127.0.0.1:1" : word
    );
    const { code, stderr } = await run(given);
    equal(code, 2, stderr);
    match(stderr, /unknown option '--no-such-flag'/);
    const { stderr: needed } = await run([...given.slice(0, -1), "--log-level", "nonsense"]);
    match(needed, /Cannot use --log-level "nonsense"|Cannot sign: name who does|montana\.yaml/);
  }
});

test("montana ops dump refuses what it has not, and flags of others", async () => {
  await inPairs<[string, RegExp]>([
    ["ops dump sistemd", /<kind> "sistemd": need one of .*systemd, container/],
    ["ops dump systemd --role bather", /--role "bather": need one of .*did you mean batcher\?/],
    ["ops dump systemd --binary montana", /--binary montana: need a whole path/],
    [`ops dump systemd --binary /"montana"`, /need a whole path, without quotes/],
    [
      "ops dump container --role batcher",
      /--role with container: it is a flag of ops dump systemd/,
    ],
    ["ops dump systemd --target 1", /--target with systemd: it is a flag of ops dump prometheus/],
  ], async ([args, why]) => failed(await run(args), 2, why));
});

test("montana ops dump container prints instructions that a builder knows", async () => {
  const text = succeeded(await run("ops dump container"));
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  for (const line of lines) {
    match(line, /^(FROM|LABEL|COPY|WORKDIR|VOLUME|USER|STOPSIGNAL|ENTRYPOINT|CMD) \S/);
  }
  equal(lines[0], "FROM gcr.io/distroless/cc-debian12:nonroot");
  match(text, /^USER 65532:65532$/m);
});

/** What the base image has of the C library (ldd tells what is missing there). */
const BASE_LIBRARIES =
  /^(linux-vdso|ld-linux|libc|libm|libdl|libpthread|librt|libgcc_s|libstdc\+\+|libgomp|libssl|libcrypto)[.-]/;

const contained = "the executable runs in a root with nothing but the base image's libraries";
const executable = process.env["MONTANA_CLI"];
const mayMount = executable !== undefined && spawnSync("unshare", ["-m", "true"]).status === 0;
const why = mayMount ? false : "it takes the executable, and to be let mount";
if (why) process.stdout.write(`skipped: ${contained}: ${why}\n`);
test(contained, { skip: why }, async () => {
  await withDirectory(async (cwd) => {
    const root = join(cwd, "root");
    const { stdout } = spawnSync("ldd", [executable!], { encoding: "utf8" });
    const libraries = [...stdout.matchAll(/(?:=> )?(\/\S+)/g)].map(([, path]) => path!);
    ok(libraries.length > 1, stdout);
    for (const path of [...libraries, executable!]) {
      const to = join(root, path === executable ? "/usr/local/bin/montana" : path);
      if (path !== executable) match(path.split("/").at(-1)!, BASE_LIBRARIES);
      await mkdir(dirname(to), { recursive: true });
      await copyFile(path, to);
      await chmod(to, 0o555);
    }
    for (const name of ["tmp", "home/nonroot", "proc", "dev"]) {
      await mkdir(join(root, name), { recursive: true });
      await chown(join(root, name), 65532, 65532);
    }
    await chmod(cwd, 0o755);
    // Any container has these two.
    const enter = 'for each in proc dev; do mount --bind /$each "$0/$each" || exit 99; done; ' +
      'exec chroot --userspec=65532:65532 "$0" /usr/local/bin/montana "$@"';
    const inRoot = (...args: string[]) =>
      spawnSync("unshare", ["-m", "sh", "-c", enter, root, ...args], {
        encoding: "utf8",
        env: { PATH: process.env["PATH"]!, HOME: "/home/nonroot" },
        timeout: 120_000,
      });
    const version = inRoot("version");
    match(version.stdout, /^montana \d/, version.stderr);
    const demo = inRoot("demo", "--for", "1s", "--json");
    equal(demo.status, 0, demo.stderr);
    equal(JSON.parse(demo.stdout).identical, true);
  });
});

const allowed = "the executable makes no system call that the unit does not allow";
const STRACE = "/usr/bin/strace";
const whyNotTraced = executable
  ? skipWithout(ANALYZE, allowed) || skipWithout(STRACE, allowed)
  : "it takes the executable";
if (!executable) process.stdout.write(`skipped: ${allowed}: ${whyNotTraced}\n`);
test(allowed, { skip: whyNotTraced }, async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(20));
    const unit = systemdUnit("batcher", executable!);
    const may = new Set<string>();
    for (const [, minus, set] of unit.matchAll(/^SystemCallFilter=(~?)(@\S+)$/gm)) {
      for (const call of callsIn(set!)) minus ? may.delete(call) : may.add(call);
    }
    // These are always allowed.
    for (const call of callsIn("@default")) may.add(call);
    ok(may.has("read") && !may.has("mount") && !may.has("fchown"));
    // SQLite gives its files to the owner of the directory, as root only, which the service is not.
    if (process.getuid?.() === 0) may.add("fchown");
    const families = /^RestrictAddressFamilies=(.*)$/m.exec(unit)![1]!.split(" ");
    for (
      const args of [
        "batcher --l2 blocks.jsonl --l1 l1 --once --data-dir data --metrics-listen 0",
        "deriver --l1 l1 --out out --once --data-dir data",
        "processor --data-dir ops --to shards --listen 0",
      ]
    ) {
      const trace = join(cwd, "trace");
      // The program stays the child itself, and is told to end.
      const under = [STRACE, "-D", "-f", "-qq", "-o", trace];
      const outcome = await startAndEnd(args, { cwd, under });
      equal(outcome.code, 0, outcome.stderr);
      const text = await readFile(trace, "utf8");
      const calls = new Set([...text.matchAll(/^\d+ +([a-z]\w*)\(/gm)].map(([, call]) => call!));
      ok(calls.size > 30, `${calls.size} calls`);
      deepEqual([...calls].filter((call) => !may.has(call)), []);
      for (const [, family] of text.matchAll(/ socket\((AF_\w+)/g)) {
        ok(families.includes(family!), `${args}: ${family}`);
      }
    }
  });
});

/** Runs until it ends by itself, or listens and is told to. */
async function startAndEnd(args: string, options: RunOptions): Promise<Outcome> {
  await using running = start(args, options);
  if (args.startsWith("processor")) {
    await running.untilSaid(/listening on/);
    running.send("SIGTERM");
  }
  return await running.ended;
}

/** The calls of a set of systemd, and of those in it. */
function callsIn(set: string): string[] {
  const { told } = analyze({}, "syscall-filter", set);
  const names = told.split("\n").slice(1).map((line) => line.trim());
  return names.filter((name) => /^[@a-z]/.test(name))
    .flatMap((name) => name.startsWith("@") ? callsIn(name) : [name]);
}
