/**
 * Several roles in one process: their flags, their words, and how they end together.
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
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { toHex } from "../../src/wire/hex.ts";
import { linkedBlocks, noise, withDirectory } from "../helpers.ts";
import { batchesIn } from "./cut_windows.ts";
import { linesOf } from "./files.ts";
import { halfOf } from "./half.ts";
import { failed, inPairs, run, start, succeeded, textOf } from "./montana.ts";

test("montana run refuses roles and flags that do not go together, before it makes anything", async () => {
  await withDirectory(async (cwd) => {
    const both = "run --role batcher,superblock";
    const cases: [string, RegExp, number?][] = [
      ["run --role batchr", /--role "batchr": need one of .*; did you mean batcher\?/],
      ["run --role batcher,batcher", /--role batcher,batcher: it names batcher twice/],
      ["run --role batcher --role=deriver", /--role batcher and .*: give one, --role batcher,der/],
      ["run --role processor,batcher", /a processor needs standard input.* a process of its own/],
      [`${both} --out o`, /--out .*: it is a flag of deriver; did you mean --role .*,deriver\?/],
      [`${both} --shards 4`, /--shards .*: it is a flag of processor/],
      [`${both},deriver --listen 1`, /give --superblock-listen, or --deriver-listen/],
      [
        `${both} --superblock-listen 1`,
        /--superblock-listen .*: there is one such flag only; give --listen/,
      ],
      ["run --role batcher,deriver --poll-interval 1s", /give --batcher-poll-interval, or --der/],
      ["run --role batcher,deriver --l2 a --l1 b --data-dir d --out -", /--out - .* name a file/],
      [
        `${both} --l2 b --l1 l1 --data-dir d --preset tset`,
        /--preset "tset": need one of production, test/,
      ],
      [
        `${both} --l2 http://l2 --l2-chain-id 7 --l1 l1 --data-dir d --level 99`,
        /level 99: Brotli has 1 to 11/,
      ],
      [`${both} --l2 - --l1 l1 --data-dir d`, /batch_manager.chain_id is not set/, 78],
      // Not by the one that would begin first.
      [
        `${both} --set batch_manager.chain_id=7 --l2 - --l1 l1 --data-dir d --da auto`,
        /--da auto with an L1 in a directory/,
      ],
      [
        "run --role batcher,deriver --l2 - --l1 l1 --data-dir d --out o --gas-limit 7",
        /--gas-limit with --out o: it is for an execution client/,
      ],
    ];
    await inPairs(halfOf(cases), async ([args, error, code = 2]) => {
      const outcome = await run(args, { cwd });
      // A role that is to run says which it is.
      const stderr = outcome.stderr.replace(/^(?:batcher|superblock|deriver): /gm, "");
      failed({ ...outcome, stderr }, code, error);
    });
    const missing: [string, RegExp][] = [
      ["run", /required option '--role <roles>' not specified/],
      [`${both} --l2 b --l1 l1`, /required option '--data-dir <dir>' not specified/],
      [`${both} --l2 b --l1 l1 --data-dir d --onec`, /unknown option '--onec'.*\n.*--once\?/],
    ];
    await inPairs(halfOf(missing), async ([args, error]) => {
      const { code, stderr } = await run(args, { cwd });
      equal(code, 2);
      match(stderr, error);
    });
    for (const name of ["d", "l1", "o"]) ok(!existsSync(join(cwd, name)), name);
  });
});

test("montana run --help tells the flags of the roles that are named, each once", async () => {
  const help = succeeded(await run("run --role batcher,superblock,deriver --help"));
  const flags = [...help.matchAll(/^ +(--[\w-]+)/gm)].map(([, name]) => name!);
  deepEqual([...new Set(flags)], flags);
  for (const name of ["--l1", "--l2", "--data-dir", "--prover", "--out", "--superblock-listen"]) {
    ok(flags.includes(name), name);
  }
  match(help, /--l2 <where> +blocks as JSON lines/);
  ok(!flags.includes("--listen"));
});

test("montana run has one role run as if it were called by its name", async () => {
  await withDirectory(async (cwd) => {
    await writeBlocks(cwd, 5);
    const flags = "--l2 blocks.jsonl --l1 l1 --once --data-dir data";
    const outcome = await run(`run --role batcher ${flags}`, { cwd });
    match(succeeded(outcome), /^posted 1 batch, 5 blocks/);
    doesNotMatch(outcome.stderr, /^batcher:/m);
  });
});

test("montana run has batcher and deriver in one process, each line by the one that speaks", async () => {
  await withDirectory(async (cwd) => {
    await writeBlocks(cwd, 50);
    const flags = "--l2 blocks.jsonl --l1 l1 --out derived.jsonl --data-dir data --json " +
      "--batch-interval 200ms --min-batch-bytes 0";
    await using roles = start(`run --role deriver,batcher ${flags}`, { cwd });
    await roles.untilSaid(/^deriver: .* derived batch 0: 50 blocks/m);
    roles.send("SIGTERM");
    const outcome = await roles.ended;
    const answers = succeeded(outcome).trim().split("\n").map((line) => JSON.parse(line));
    deepEqual(answers.map(({ role }) => role), ["deriver", "batcher"]);
    match(outcome.stderr, /^deriver: SIGTERM: ending .*\nbatcher: SIGTERM: posting/m);
    for (const line of outcome.stderr.trim().split("\n")) match(line, /^(?:batcher|deriver): /);
    equal(linesOf(await readFile(join(cwd, "derived.jsonl"), "utf8")).length, 50);
  });
});

test("montana run ends all roles with the exit code of the first that failed, what was taken posted", async () => {
  await withDirectory(async (cwd) => {
    await writeBlocks(cwd, 5);
    await mkdir(join(cwd, "l1"));
    await mkdir(join(cwd, "derived.jsonl"));
    const flags = "--l2 blocks.jsonl --l1 l1 --out derived.jsonl --data-dir data --log-format json";
    const outcome = await run(`run --role batcher,deriver ${flags}`, { cwd });
    equal(outcome.code, 1, outcome.stderr);
    match(outcome.stderr, /^deriver: error: .*derived\.jsonl/m);
    match(outcome.stderr, /^batcher: deriver failed: posting what was taken/m);
    match(textOf(outcome), /^posted \d batch/);
    for (const line of outcome.stderr.split("\n").filter((line) => line.startsWith("{"))) {
      equal(JSON.parse(line).role, "batcher");
    }
  });
});

test("montana run --role batcher,superblock says what a line of a file lacks to be proved", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), `{"timestamp":${now()},"transactions":[]}\n`);
    const outcome = await run(`${JOINED} --l2 blocks.jsonl`, { cwd });
    equal(outcome.code, 1);
    const why =
      /^batcher: error: InvalidBlock: Cannot report block of timestamp \d+ .*number and hash.*each line/m;
    match(outcome.stderr, why);
    match(outcome.stderr, /^superblock: batcher failed: ending/m);
    match(textOf(outcome), /^$/);
  });
});

test("montana run --role batcher,superblock reports what a batcher alone had posted before", async () => {
  await withDirectory(async (cwd) => {
    await writeBlocks(cwd, 4);
    const posted = "batcher --l2 blocks.jsonl --l1 l1 --data-dir data --once";
    match(succeeded(await run(posted, { cwd })), /^posted 1 batch, 4 blocks/);
    await writeBlocks(cwd, 6);
    const outcome = await run(`${JOINED} --l2 blocks.jsonl --once`, { cwd });
    match(succeeded(outcome), /^posted 1 batch, 2 blocks/);
    match(outcome.stderr, /^superblock: batcher is done: ending/m);
    deepEqual(await reportedIn(cwd), [1, 2, 3, 4, 5, 6]);
  });
});

test("montana run --role batcher,superblock leaves out by name what standard input does not give again", async () => {
  await withDirectory(async (cwd) => {
    const all = linesOf(await writeBlocks(cwd, 6)).map((line) => `${line}\n`);
    const once = `${JOINED} --l2 -`;
    succeeded(await run(once, { cwd, stdin: all.slice(0, 2).join("") }));
    const alone = "batcher --l2 - --l1 l1 --data-dir data";
    succeeded(await run(alone, { cwd, stdin: all.slice(2, 4).join("") }));
    const outcome = await run(once, { cwd, stdin: all.slice(4).join("") });
    succeeded(outcome);
    match(outcome.stderr, /blocks 3 to 4 are left out of any superblock/);
    deepEqual(await reportedIn(cwd), [1, 2, 5, 6]);
  });
});

/** The clock of the batches: one is under way, and will be for an hour. */
const CLOCK = {
  genesisTime: BigInt(now() - 100 * 3840 - 60),
  slotSeconds: 12n,
  slotsPerEpoch: 32n,
  batchFactor: 10n,
};
const JOINED = "run --role batcher,superblock --l1 l1 --data-dir data " +
  `--set batch_manager.chain_id=1001 --set l1_listener.genesis_time=${CLOCK.genesisTime}`;

function now(): number {
  return Math.floor(Date.now() / 1000);
}

/** Numbers of the blocks that the batches hold. */
async function reportedIn(cwd: string): Promise<number[]> {
  const process = { name: "run", dataDirectory: join(cwd, "data") };
  const batches = await batchesIn({ chainId: 1001, isOwn: () => true, process }, CLOCK);
  return batches.flatMap(({ blocks }) => blocks.map(({ number }) => Number(number)));
}

/** Writes so many blocks, 1 s apart, that are numbered and have hashes. */
async function writeBlocks(cwd: string, count: number): Promise<string> {
  const lines = linkedBlocks(count, { first: 1 }).map(({ number, hash, parentHash }) => ({
    number: Number(number),
    timestamp: Number(CLOCK.genesisTime) + 100 * 3840 + Number(number),
    hash: toHex(hash!),
    parentHash: toHex(parentHash!),
    transactions: [toHex(noise(20, Number(number)))],
  }));
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  await writeFile(join(cwd, "blocks.jsonl"), text);
  return text;
}
