/**
 * A configuration from a file and the environment, as the program takes it, checks it and shows it.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  doesNotMatch,
  match,
  ok,
  strictEqual as equal,
} from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { whyNoTrace } from "../power/trace.ts";
import { halfOf } from "./half.ts";
import { failed, inPairs, run, succeeded, textOf } from "./montana.ts";
import { SEED_YAML } from "./seed_configuration.ts";

const ALL_ROLES = `batcher:
  l2: ./blocks.jsonl
  l1: [http://127.0.0.1:8545, "http://user:secret@l1.example/v3/SECRET"]
  inbox: 0xff00000000000000000000000000000000008453
  key_file: batcher.key
  data_dir: ./batcher
  max_blobs: 3
  poll_interval_ms: 250
deriver:
  l1: ./l1
  out: derived.jsonl
processor:
  data_dir: ./operations
  exec: cat > all.txt
  interval: 50ms
superblock:
  data_dir: ./superblock
prover:
  listen: 3000
${SEED_YAML}`;

/** Runs what follows on a file. */
async function withFile<T>(text: string, action: (cwd: string) => Promise<T>): Promise<T> {
  return await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "montana.yaml"), text);
    return await action(cwd);
  });
}

test("montana config check says that all roles of a file can start", async () => {
  await withFile(ALL_ROLES, async (cwd) => {
    const all = "prover, superblock, batcher, deriver, processor can start";
    equal(succeeded(await run("config check montana.yaml", { cwd })), `montana.yaml: ${all}\n`);
    const env = { MONTANA_CONFIG: "montana.yaml" };
    const { roles, problems } = JSON.parse(
      succeeded(await run("config check --role deriver --json", { cwd, env })),
    );
    deepEqual([roles, problems], [["deriver"], []]);
    const together = await run("config check --role deriver,batcher", { cwd, env });
    failed(together, 78, /Cannot use montana\.yaml: 1 problem$/);
    match(textOf(together), /Cannot start deriver: deriver\.data_dir is not set; nor is MONTANA_/);
  });
});

test("montana config check tells each wrong key and value by file, line and column", async () => {
  const cases: readonly (readonly [right: string, wrong: string, problem: string])[] = [
    [
      "  max_blobs: 3",
      "  max_blob: 3",
      "7:3: Cannot use batcher.max_blob: there is no such key; did you mean max_blobs?",
    ],
    [
      "  max_blobs: 3",
      "  max_blobs: 7",
      '7:14: Cannot use batcher.max_blobs "7": need a whole number from 1 to 6',
    ],
    [
      "poll_interval_ms: 250",
      "poll_interval_ms: 1s",
      '8:21: Cannot use batcher.poll_interval "1s ms": need a time such as 12s, 100ms, 2m or 1h',
    ],
    [
      "poll_interval_ms: 250",
      "poll_interval: 250",
      '8:18: Cannot use batcher.poll_interval "250": need a time such as 12s, 100ms, 2m or 1h',
    ],
    [
      "  max_blobs: 3",
      "  max_blobs: 3\n  max_blobs: 4",
      "8:3: Map keys must be unique",
    ],
    [
      "poll_interval_ms: 250",
      "poll_interval_ms: 250\n  poll_interval: 1s",
      "9:3: Cannot use batcher.poll_interval: poll_interval_ms above says the same",
    ],
    [
      "  max_blobs: 3",
      "  max_blobs: [3, 4]",
      '7:3: Cannot use batcher.max_blobs ["3","4"]: need one value, not a list',
    ],
    [
      "  max_blobs: 3",
      "  max_blobs: {most: 3}",
      "7:3: Cannot use batcher.max_blobs: need a value, not keys below it",
    ],
    ["  max_blobs: 3", "  max_blobs:", "7:13: Cannot use batcher.max_blobs: it names nothing"],
    [
      "  max_blobs: 3",
      "  verify_l1: yes",
      '7:14: Cannot use batcher.verify_l1 "yes": need true or false',
    ],
    [
      "0xff00000000000000000000000000000000008453",
      "0xff",
      '4:10: Cannot use batcher.inbox "0xff": need an address: 0x and 40 hexadecimal digits',
    ],
    [
      "key_file: batcher.key",
      "keystore: batcher.json",
      "5:13: Cannot use batcher.keystore without --password-file: name the file of its password",
    ],
    [
      "deriver:",
      "derivr:",
      "9:1: Cannot use derivr: there is no such block; did you mean deriver?",
    ],
    [
      "  out: derived.jsonl",
      "  out: derived.jsonl\n  head: sfae",
      '12:9: Cannot use deriver.head "sfae": need one of latest, safe, finalized',
    ],
    [
      "  exec: cat > all.txt",
      "  exec: cat > all.txt\n  stdout: true",
      "14:9: Cannot use processor.exec and --stdout together: name one",
    ],
    [
      "  interval: 50ms",
      "  interval: 0.5",
      '15:13: Cannot use processor.interval "0.5": need a time such as 12s, 100ms, 2m or 1h',
    ],
    [
      "  listen: 3000",
      "  listen: 70000",
      '19:11: Cannot use prover.listen "70000": need PORT or HOST:PORT, a port from 0 to 65535',
    ],
    [
      "  data_dir: ./superblock",
      "  preset: tset",
      '17:11: Cannot use superblock.preset "tset": need one of production, test',
    ],
    [
      "batch_factor: 10",
      "batch_factor: 0",
      "25:5: Cannot use l1_listener.batch_factor 0: need a whole number from 1 to 1000000",
    ],
    ["max_retries: 3", "max_retrys: 3", "36:5: Cannot use pipeline.max_retrys 3: there is no such"],
  ];
  await inPairs(halfOf(cases), async ([right, wrong, problem]) => {
    ok(ALL_ROLES.includes(right), right);
    await withFile(ALL_ROLES.replace(right, wrong), async (cwd) => {
      const outcome = await run("config check montana.yaml", { cwd });
      failed(outcome, 78, /Invalid: Cannot (?:use|read) montana\.yaml: /);
      const said = textOf(outcome) || outcome.stderr;
      ok(said.includes(`montana.yaml:${problem}`), `${wrong}: ${said}`);
      doesNotMatch(said, /SECRET/);
    });
  });
});

test("montana config check tells all that is wrong at once", async () => {
  const text = ALL_ROLES.replace("max_blobs: 3", "max_blobs: 7\n  level: 12\n  workers: 0")
    .replace("  out: derived.jsonl", "  oot: x").replace("job_timeout: 30m", "job_timeout: 30")
    .replace("max_retries: 3", "max_retries: -1");
  await withFile(text, async (cwd) => {
    const outcome = await run("config check montana.yaml --json", { cwd });
    failed(outcome, 78, /Cannot use montana\.yaml: 6 problems/);
    const { problems } = JSON.parse(textOf(outcome));
    deepEqual(problems.map(({ at }: { readonly at: string }) => at), [
      "montana.yaml:13:3",
      "montana.yaml:37:5",
      "montana.yaml:38:5",
      "montana.yaml:9:12",
      "montana.yaml:7:14",
      "montana.yaml",
    ]);
    match(problems.at(-1).text, /Cannot start deriver: deriver.out is not set; nor is MONTANA_DER/);
  });
});

test("montana config check --role tells what each may be told alone, and not in one process", async () => {
  const file = (out: string, port: number) =>
    `batcher:
  l2: http://127.0.0.1:9545
  l1: ./l1
  data_dir: data
  metrics_listen: 7300
deriver:
  l1: ./l1
  out: "${out}"
  data_dir: data
  metrics_listen: ${port}
`;
  const cases: readonly (readonly [text: string, roles: string, problem: RegExp])[] = [
    [file("-", 7300), "batcher,deriver", /Cannot use --out - with --role batcher,deriver/],
    [file("o", 7301), "batcher,deriver", /metrics of one process at 7300 and 7301: give one/],
    // What is wrong with the others is told all the same.
    [file("o", 7300), "batcher,superblock", /it has no block "batch:" with keys in it$/],
  ];
  await inPairs(halfOf(cases), async ([text, roles, problem]) => {
    await withFile(text, async (cwd) => {
      succeeded(await run("config check montana.yaml", { cwd }));
      const together = await run(`config check montana.yaml --role ${roles} --json`, { cwd });
      failed(together, 78, /Cannot use montana\.yaml: \d problems?$/);
      const { problems } = JSON.parse(textOf(together));
      match(problems.at(-1).text, problem);
    });
  });
});

test("Each role takes its file and the environment, and a flag counts for more", async () => {
  const block = (role: string) => `${role}:\n  log_level: loud\n`;
  const cases: readonly (readonly [role: string, flags: string])[] = [
    ["batcher", "--l2 b --l1 l1"],
    ["deriver", "--l1 l1 --out o"],
    ["processor", "--data-dir d"],
    ["superblock", "--set batch_manager.chain_id=7 --data-dir d"],
    ["run", "--role batcher,deriver --l2 b --l1 l1 --out o --data-dir d"],
  ];
  await inPairs(halfOf(cases), async ([command, flags]) => {
    const role = command === "run" ? "deriver" : command;
    await withFile(block(role), async (cwd) => {
      await writeFile(join(cwd, "b"), "");
      const call = `${command} --config montana.yaml ${flags}`;
      const said = `Cannot use ${role}.log_level`;
      // Of several roles, the one that is to run says which it is.
      const ended = async (...args: Parameters<typeof run>) => {
        const outcome = await run(...args);
        return { ...outcome, stderr: outcome.stderr.replace(/^(?:batcher|deriver): /gm, "") };
      };
      failed(await ended(call, { cwd }), 78, new RegExp(`montana.yaml:2:14: ${said} "loud"`));
      const variable = `MONTANA_${role.toUpperCase()}_LOG_LEVEL`;
      const env = { [variable]: "silent" };
      failed(await ended(call, { cwd, env }), 78, new RegExp(`${variable}: ${said} "silent"`));
      const withFlag = await ended(`${call} --log-level quiet`, { cwd, env });
      failed(withFlag, 2, /Cannot use --log-level "quiet"/);
      for (const name of ["d", "l1", "o"]) ok(!existsSync(join(cwd, name)), name);
    });
  });
});

test("montana batcher and deriver run by a file alone, as one process and as two", async () => {
  const blocks = Array.from(
    { length: 3 },
    (_, index) => `{"timestamp":${index + 1},"transactions":["0x0${index}"]}\n`,
  );
  const file = `batcher:
  l2: blocks.jsonl
  l1: &l1 ./l1
  once: true
  data_dir: batcher
deriver:
  l1: *l1
  out: derived.jsonl
  once: true
`;
  await withFile(file, async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), blocks.join(""));
    const env = { MONTANA_CONFIG: "montana.yaml" };
    match(succeeded(await run("batcher", { cwd, env })), /^posted 1 batch, 3 blocks/);
    match(succeeded(await run("run --role deriver", { cwd, env })), /^derived 1 batch, 3 blocks/);
    ok(existsSync(join(cwd, "batcher")));
    equal((await readFile(join(cwd, "derived.jsonl"), "utf8")).trim().split("\n").length, 3);
    failed(
      await run("run --role batcher,deriver", { cwd, env }),
      2,
      /required option '--data-dir <dir>' not specified, nor deriver.data_dir in a file/,
    );
  });
});

test("A variable that is none of a role's is a warning, since others than us name variables so", async () => {
  await withFile(ALL_ROLES, async (cwd) => {
    const env = { MONTANA_BATCHER_MAX_BLBOS: "4", MONTANA_BATCHER_SERVICE_HOST: "10.0.0.1" };
    const { code, stderr } = await run("config check montana.yaml --role batcher", { cwd, env });
    equal(code, 0);
    match(stderr, /warning: MONTANA_BATCHER_MAX_BLBOS is no .*mean MONTANA_BATCHER_MAX_BLOBS\?$/m);
    match(stderr, /warning: MONTANA_BATCHER_SERVICE_HOST is no setting of batcher$/m);
  });
});

test("montana config show tells each value and who says so, and no secret", async () => {
  await withFile(ALL_ROLES, async (cwd) => {
    const env = {
      MONTANA_BATCHER_MAX_BLOBS: "4",
      MONTANA_BATCHER_BEACON: `https://beacon.example/${"ab".repeat(32)}`,
      BATCH_PIPELINE_MAX_RETRIES: "1",
    };
    const text = succeeded(await run("config show montana.yaml --origin", { cwd, env }));
    for (
      const line of [
        /^batcher\.max_blobs +4 +MONTANA_BATCHER_MAX_BLOBS$/m,
        /^batcher\.poll_interval +250ms +montana\.yaml:8:21$/m,
        /^batcher\.batch_interval +12s +default$/m,
        /^batcher\.l1 +http:\/\/127\.0\.0\.1:8545 http:\/\/l1\.example\/<redacted> +montana/m,
        /^batcher\.beacon +https:\/\/beacon\.example\/<redacted> +MONTANA_BATCHER_BEACON$/m,
        /^batch\.pipeline\.max_retries +1 +BATCH_PIPELINE_MAX_RETRIES$/m,
        /^batch\.l1_listener\.l1_rpc +https:\/\/mainnet\.infura\.io\/<redacted> +montana\.yaml:24:5$/m,
        /^batch\.l1_listener\.slots_per_epoch +32 +default$/m,
      ]
    ) match(text, line);
    doesNotMatch(text, /SECRET|secret@|YOUR_KEY|abab/);
    const values = JSON.parse(
      succeeded(await run("config show montana.yaml --json --role deriver", { cwd, env })),
    );
    deepEqual(values.find(({ key }: { readonly key: string }) => key === "deriver.out"), {
      key: "deriver.out",
      value: "derived.jsonl",
      origin: { kind: "file", at: "montana.yaml:11:8" },
    });
  });
});

test("montana config says what it cannot read", async () => {
  await withFile("7\n", async (cwd) => {
    failed(
      await run("config check", { cwd }),
      2,
      /Cannot tell a configuration: name a file, or set/,
    );
    failed(await run("config check no.yaml", { cwd }), 78, /Cannot read no\.yaml: .*no such file/i);
    failed(await run("config check montana.yaml", { cwd }), 78, /montana\.yaml:1:1: need blocks/);
  });
});

const offline = "montana config check opens no socket, and no file but its own, as strace sees it";
test(offline, { skip: whyNoTrace(offline) }, async () => {
  await withFile(ALL_ROLES, async (cwd) => {
    /** Deno asks for newer versions of itself otherwise. */
    const env = { DENO_NO_UPDATE_CHECK: "1" };
    const traceOf = async (args: string, code: number) => {
      const report = join(cwd, "trace.txt");
      const calls = "?socket,?connect,?bind,?listen,%file";
      const under = ["strace", "-f", "-e", `trace=${calls}`, "-o", report];
      const outcome = await run(args, { cwd, under, env });
      equal(outcome.code, code, outcome.stderr);
      return await readFile(report, "utf8");
    };
    const socketsIn = (trace: string) =>
      trace.split("\n").filter((line) => /\b(?:socket|connect|bind|listen)\(/.test(line));
    const checked = await traceOf("config check montana.yaml", 0);
    deepEqual(socketsIn(checked), []);
    const named = /"(?:[^"]*\/montana-test-[^"/]*\/|\.\/)?([\w.-]+)"/;
    const own = ["batcher.key", "blocks.jsonl", "derived.jsonl", "l1", "operations", "batcher"];
    const looks = checked.split("\n").flatMap((line) => named.exec(line)?.[1] ?? []);
    ok(looks.includes("montana.yaml"));
    deepEqual(looks.filter((name) => own.includes(name)), []);
    // What looks is seen.
    ok(socketsIn(await traceOf("doctor --l2 http://127.0.0.1:65000", 4)).length > 0);
  });
});
