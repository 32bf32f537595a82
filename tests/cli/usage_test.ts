import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { VERSION } from "../../src/version.ts";
import { withDirectory } from "../helpers.ts";
import { halfOf } from "./half.ts";
import { failed, inPairs, run, succeeded } from "./montana.ts";
import { filesIn } from "./traps.ts";

const COMMANDS = [
  "demo",
  "batcher",
  "deriver",
  "processor",
  "superblock",
  "prover",
  "run",
  "config",
  "ctl",
  "proofs",
  "encode",
  "decode",
  "inspect",
  "explain",
  "verify",
  "estimate",
  "report",
  "wal",
  "archive",
  "doctor",
  "signer",
  "ops",
  "completions",
  "man",
  "version",
];

/** The names of the commands that a help text lists. */
function commandsIn(help: string): string[] {
  const [, list = ""] = help.split("\nCommands:\n");
  const names = list.split("\n\n")[0]!.matchAll(/^ {2}([a-z]+) /gm);
  return [...names].map(([, name]) => name!).filter((name) => name !== "help");
}

/** The names of the flags that a help text lists. */
function flagsIn(help: string): Set<string> {
  return new Set([...help.matchAll(/^ +(?:-\w, )?(--[\w-]+)/gm)].map((found) => found[1]!));
}

let known: Promise<ReadonlyMap<string, string>> | undefined;

/** The help of each command, those below others too. */
function helpTexts(): Promise<ReadonlyMap<string, string>> {
  return known ??= readHelp();
}

async function readHelp(): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  const add = async (names: readonly string[]) => {
    await inPairs(names, async (name) => {
      texts.set(name, succeeded(await run(`${name} --help`)));
    });
  };
  await add(COMMANDS);
  await add(
    [...texts].flatMap(([group, help]) => commandsIn(help).map((name) => `${group} ${name}`)),
  );
  return texts;
}

/** What a text calls of the program: the words behind its name, up to the end of the command. */
function callsIn(text: string): string[] {
  return [...text.replaceAll("\\\n", " ").matchAll(/(?<![\w./-])montana ([^`#\n]*)/g)]
    .flatMap(([, words]) => alternatives(words!.replace(/\s[|<>].*/, "")));
}

/** `encode\|decode --stage raw\|batch` twice: with each of the first words that are to choose from. */
function alternatives(words: string): string[] {
  const [, before = "", choice = "", behind = ""] =
    /^((?:[a-z]+ )?)([a-z]+(?:\\?\|[a-z]+)+)(.*)/.exec(words) ?? [];
  if (choice === "") return [words.trim()];
  return choice.split(/\\?\|/).map((each) => `${before}${each}${behind}`.trim());
}

/** Makes sure that there are the command and the flags of a call. */
function isThere(call: string, texts: ReadonlyMap<string, string>): void {
  const [first = "", second = ""] = call.split(/\s+/);
  if (first === "" || first.startsWith("-")) return;
  const help = texts.get(`${first} ${second}`) ?? texts.get(first);
  ok(help !== undefined, `montana ${call}: there is no such command`);
  const isGroup = commandsIn(help).length > 0;
  ok(!isGroup || second === "" || second.startsWith("-"), `montana ${call}: no such command`);
  const [, roles = ""] = /^run .*--role ([a-z,]+)/.exec(call) ?? [];
  const helps = [help, ...roles.split(",").map((role) => texts.get(role) ?? "")];
  const flags = new Set(helps.flatMap((each) => [...flagsIn(each)]));
  for (const [flag] of call.matchAll(/(?<=^|\s)--[a-z][\w-]*/g)) {
    ok(flags.has(flag), `montana ${call}: there is no ${flag}`);
  }
}

test("montana without a command prints the commands and the exit codes", async () => {
  const help = succeeded(await run(""));
  deepEqual(commandsIn(help).toSorted(), COMMANDS.toSorted());
  match(help, /Exit codes:\n +0 done or drained/);
  for (const args of ["--help", "-h", "help"]) equal(succeeded(await run(args)), help);
});

test("montana --help of every command tells its flags, and examples of flags that it has", async () => {
  const texts = await helpTexts();
  for (const [name, help] of texts) {
    match(help, new RegExp(`^Usage: montana ${name} `));
    if (commandsIn(help).length > 0) continue;
    const examples = help.split("\nExamples:\n")[1]!.trim().split("\n").map((each) => each.trim());
    ok(examples.some((example) => example.startsWith(`montana ${name}`)), help);
    for (const example of examples) {
      match(example, /^montana /);
      const calls = callsIn(example);
      ok(calls.length > 0, example);
      for (const call of calls) isThere(call, texts);
    }
  }
});

test("montana has each command and each flag that README.md names", async () => {
  const texts = await helpTexts();
  const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
  const calls = callsIn(readme);
  ok(calls.length > 50, `${calls.length}`);
  for (const call of calls) isThere(call, texts);
  // Where roles have a flag of one name, it has theirs before it.
  const together = succeeded(await run("run --role superblock,batcher,deriver --help"));
  const all = new Set([...texts.values(), together].flatMap((help) => [...flagsIn(help)]));
  for (const [flag] of readme.matchAll(/(?<=[`|\s(])--[a-z][\w-]*/g)) {
    ok(all.has(flag) || OF_OTHERS.includes(flag), `README.md: there is no ${flag}`);
  }
});

/** Flags of deno and curl. */
const OF_OTHERS = ["--allow-import", "--allow-read", "--allow-write", "--data-binary"];

test("montana help COMMAND is montana COMMAND --help", async () => {
  for (const command of ["batcher", "wal", "wal check"]) {
    equal(succeeded(await run(`help ${command}`)), succeeded(await run(`${command} --help`)));
  }
});

test("montana refuses what it does not know with exit 2 and what was probably meant", async () => {
  const cases: [string, RegExp, RegExp?][] = [
    ["batchr", /unknown command 'batchr'/, /Did you mean batcher\?/],
    ["help batchr", /unknown command 'batchr'/, /Did you mean batcher\?/],
    ["batchr --help", /unknown command 'batchr'/, /Did you mean batcher\?/],
    ["--verison", /unknown option '--verison'/, /Did you mean --version\?/],
    ["demo --fro 1s", /unknown option '--fro'/, /Did you mean --for\?/],
    ["batcher --l2 a --l1 b --onec", /unknown option '--onec'/, /Did you mean --once\?/],
    ["report --l1 a extra", /too many arguments for 'report'/],
    ["encode --stage bla", /--stage "bla": need one of raw, batch, blob; did you mean blob\?/],
    ["batcher --l2 a --l1 b --da calldta", /--da "calldta": .*did you mean calldata\?/],
    ["deriver --l1 a --out b --head sfae", /--head "sfae": need one of latest, safe, finalized/],
    ["demo --compressor zst", /--compressor "zst": .*did you mean zstd\?/],
    ["deriver --l1 a --out b --log-level inof", /--log-level "inof": .*did you mean info\?/],
    ["deriver --l1 a --out b --log-format jsno", /--log-format "jsno": .*did you mean json\?/],
  ];
  await inPairs(halfOf(cases), async ([args, error, hint]) => {
    const outcome = await run(args);
    failed(outcome, 2, error);
    if (hint) match(outcome.stderr, hint);
    equal(outcome.stdout.length, 0);
  });
});

test("montana refuses a value that cannot be with exit 2, before it makes anything", async () => {
  await withDirectory(async (cwd) => {
    const batcher = "batcher --l2 - --l1 l1";
    const cases: [string, RegExp][] = [
      ["demo --for 3x", /--for "3x": need a time such as 12s/],
      ["demo --for 10", /--for "10": need a time/],
      ["demo --level 12", /level 12: Brotli has 1 to 11/],
      [`${batcher} --level 12`, /level 12: Brotli has 1 to 11/],
      [`${batcher} --compressor zstd --level 0`, /level 0: zstd has 1 to 22/],
      [`${batcher} --window 18`, /window 18: the wasm engine has 22 only/],
      [`${batcher} --engine native --window 40`, /window 40: Brotli has 10 to 24/],
      [`${batcher} --engine fast`, /--engine "fast": need one of wasm, native/],
      [`${batcher} --least-level 5`, /--least-level "5": need one of 11, 10, 9, 6/],
      [`${batcher} --max-blobs 7`, /--max-blobs "7": need a whole number from 1 to 6/],
      [`${batcher} --max-blocks-per-batch 0`, /"0": need a whole number from 1 to 65535/],
      [`${batcher} --max-blocks-per-batch 65536`, /"65536": need a whole number/],
      [`${batcher} --min-batch-bytes 1KX`, /"1KX": need a size such as 128KiB/],
      [`${batcher} --batch-interval -1s`, /"-1s": need a time/],
      [`${batcher} --inbox 0x12`, /--inbox "0x12": need an address/],
      [`${batcher} --batcher nobody`, /--batcher "nobody": need an address/],
      ["batcher --l2 - --l1 http://localhost", /Cannot sign: name who does, by one of --key-file/],
      [`${batcher} --l1 l2`, /Cannot use 2 --l1: need one directory, or URLs of nodes/],
      [`${batcher} --l1 http://localhost`, /Cannot use --l1 l1 beside a URL: need URLs only/],
      [`${batcher} --chain-id 1`, /Cannot use --chain-id with an L1 in a directory/],
      [
        "batcher --l2 - --l1 localhost:8545",
        /a node is named http:\/\/localhost:8545, a file or dir/,
      ],
      [
        "batcher --l2 localhost:9545 --l1 l1",
        /--l2 localhost:9545: a node is named http:\/\/local/,
      ],
      ["deriver --l1 l1 --out http:/client", /--out http:: a node is named http:\/\/HOST/],
      ["report --l1 node.example:443/key", /--l1 node.example:443: a node is named http:/],
      [`${batcher} --key-file k`, /Cannot use --key-file with an L1 in a directory/],
      [`${batcher} --signer-url http://s`, /Cannot use --signer-url with an L1 in a directory/],
      [`${batcher} --max-fee 3gwei`, /Cannot use --max-fee with an L1 in a directory/],
      ["deriver --l1 l1 --out o --confirmations 3", /--confirmations with an L1 in a directory/],
      [`${batcher} --da blobs-then-calldata`, /with an L1 in a directory: it has no prices/],
      ["deriver --l1 http://localhost --out o", /an Ethereum L1 without --inbox: name its address/],
      ["deriver --l1 l1 --out o --head safe --confirmations 3", /together: give one/],
      ["deriver --l1 l1 --out o --l1-start-block x", /--l1-start-block "x": need a whole number/],
      ["encode --stage raw --level 0", /level 0: Brotli has 1 to 11/],
      ["processor --data-dir d --min-batch 20 --max-batch 15", /--min-batch 20: need at most 15/],
      ["processor --data-dir d --max-operation 0", /--max-operation 0: need a whole number from 1/],
      ["deriver --l1 l1 --out o --poll-interval soon", /"soon": need a time/],
      ["deriver --l1 l1 --out o --max-ahead-bytes 1GB", /--max-ahead-bytes "1GB": need a size/],
    ];
    await inPairs(halfOf(cases), async ([args, error]) => {
      failed(await run(args, { cwd }), 2, error);
    });
    for (const name of ["d", "l1", "o", "localhost:8545", "http:"]) {
      ok(!existsSync(join(cwd, name)), name);
    }
  });
});

test("montana refuses a flag or argument with nothing in it, before it makes anything", async () => {
  await withDirectory(async (cwd) => {
    const cases: string[][] = [
      ["batcher", "--l2", "-", "--l1", "l1", "--data-dir", ""],
      ["batcher", "--l2", "-", "--l1", ""],
      ["deriver", "--l1", "l1", "--out", "o", "--data-dir", ""],
      ["deriver", "--l1", "l1", "--out", ""],
      ["processor", "--data-dir", ""],
      ["report", "--l1", "http://127.0.0.1:1", "--l1", ""],
      ["signer", "address", "--key-env", ""],
      ["doctor", "--data-dir", ""],
    ];
    await inPairs(halfOf(cases), async (args) => {
      const flag = args.at(-2);
      failed(
        await run(args, { cwd }),
        2,
        new RegExp(`Usage: Cannot use ${flag} "": it names noth`),
      );
    });
    for (const args of [["inspect", ""], ["wal", "check", ""]]) {
      failed(await run(args, { cwd }), 2, /Usage: Cannot use "" as <\w+/);
    }
    deepEqual(filesIn(cwd), []);
  });
});

test("montana names a flag or argument that is missing", async () => {
  const cases: [string, RegExp][] = [
    ["batcher", /required option '--l2 <where>' not specified/],
    ["batcher --l2 a", /required option '--l1 <where>' not specified/],
    ["deriver --l1 a", /required option '--out <where>' not specified/],
    ["encode", /required option '--stage <stage>' not specified/],
    ["report", /required option '--l1 <where>' not specified/],
    ["decode --stage", /option '--stage <stage>' argument missing/],
    ["inspect", /missing required argument 'what'/],
  ];
  await inPairs(halfOf(cases), async ([args, error]) => failed(await run(args), 2, error));
});

test("montana version tells version, runtime and wire formats", async () => {
  const text = succeeded(await run("version"));
  match(
    text,
    /^montana \S+ \((deno|bun|node) [\d.]+, \w+-\w+\); batch version 0, blob encoding 0; KZG (native|c-kzg|portable)\n$/,
  );
  const { version, runtime, wire } = JSON.parse(succeeded(await run("version --json")));
  equal(version, VERSION);
  match(runtime, /^(deno|bun|node) [\d.]+$/);
  deepEqual(wire, { batch: 0, blob: 0 });
  for (const flag of ["--version", "-V"]) {
    equal(succeeded(await run(flag)), `montana ${version} (${runtime})\n`);
  }
});
