import { ok, strictEqual as equal } from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import type { CommandGroup, CommandSpec, Flag } from "../../src/cli/command.ts";
import { allCommands } from "../../src/cli/commands.ts";
import { skipWithout, withDirectory } from "../helpers.ts";
import { failed, inPairs, run, succeeded } from "./montana.ts";

/** What a person types before the tab, and what the shell then has to show, or must not. */
interface Case {
  readonly typed: string;
  readonly shown: readonly string[];
  readonly hidden?: readonly string[];
}

const CASES: readonly Case[] = [
  { typed: "montana d", shown: ["demo", "deriver", "decode", "doctor"], hidden: ["batcher"] },
  { typed: "montana bat", shown: ["batcher"] },
  { typed: "montana wal ", shown: ["ls", "dump", "check", "repair"], hidden: ["batcher"] },
  { typed: "montana help wal ", shown: ["ls", "dump", "check", "repair"], hidden: ["batcher"] },
  { typed: "montana help d", shown: ["demo", "deriver"], hidden: ["--help"] },
  { typed: "montana nonsense ", shown: [], hidden: ["batcher", "--l1", "ls"] },
  { typed: "montana wal nonsense ", shown: [], hidden: ["dump", "repair"] },
  { typed: "montana --", shown: ["--help", "--version"], hidden: ["--l1"] },
  { typed: "montana batcher --max-b", shown: ["--max-blobs", "--max-blocks-per-batch"] },
  { typed: "montana batcher --l2 batcher --da", shown: ["--da", "--data-dir"], hidden: ["--kzg"] },
  { typed: "montana batcher --da ", shown: ["calldata", "blobs-then-calldata"], hidden: ["--l1"] },
  { typed: "montana batcher --da=c", shown: ["calldata"] },
  { typed: "montana deriver --log-level ", shown: ["debug", "warn"], hidden: ["--log-format"] },
  { typed: "montana inspect --verify-l1 ./b", shown: ["blocks.jsonl", "blobs"] },
  { typed: "montana batcher --l2 ./b", shown: ["blocks.jsonl", "blobs"] },
  { typed: "montana batcher --data-dir ./b", shown: ["blobs"], hidden: ["blocks.jsonl"] },
  { typed: "montana batcher --workers ", shown: [], hidden: ["--l1", "blocks.jsonl"] },
  { typed: "montana wal repair ./b", shown: ["blobs"], hidden: ["blocks.jsonl"] },
  { typed: "montana wal repair --dr", shown: ["--dry-run"] },
  { typed: "montana run --role ", shown: ["batcher", "processor"], hidden: ["--l1"] },
  { typed: "montana run --role batcher --least", shown: ["--least-level"] },
  { typed: "montana completions ", shown: ["bash", "zsh", "fish"], hidden: ["blocks.jsonl"] },
];

/** How a shell is asked. */
interface Shell {
  readonly path: string;
  readonly command: readonly string[];
  /** It reads all of its standard input before it does anything. */
  readonly isAskedAtOnce?: boolean;
  /** Loads the script, and says READY> from then on. */
  readonly begin: (script: string) => string;
  /** Has the shell show what it offers, and then the text of {@link mark}. */
  readonly ask: (typed: string, at: number) => string;
}

/** A mark as it is shown, which is not as it is typed. */
const mark = (at: number) => `MARK-${at + 1000}`;

/** A tab behind it, and the line taken back. */
const pressTab = (typed: string, at: number) => `${typed}\t\x15echo MARK-$((${at} + 1000))\n`;

const SHELLS: Readonly<Record<string, Shell>> = {
  bash: {
    path: "/usr/bin/bash",
    command: ["script", "-qec", "bash --norc --noprofile -i", "/dev/null"],
    begin: (script) =>
      "for each in 'show-all-if-ambiguous on' 'completion-query-items 0' 'page-completions off'; " +
      `do bind "set $each"; done; source ${script}; PS1=READY'> '\n`,
    ask: pressTab,
  },
  zsh: {
    path: "/usr/bin/zsh",
    command: ["script", "-qec", "zsh -f -i", "/dev/null"],
    begin: (script) =>
      "bindkey -e; LISTMAX=1000; unsetopt prompt_sp list_ambiguous; autoload -Uz compinit; compinit -u -D; " +
      `source ${script}; PS1=READY'> '\n`,
    ask: pressTab,
  },
  fish: {
    path: "/usr/bin/fish",
    // It reads from a pipe, and Bun gives its children sockets.
    command: ["sh", "-c", "cat | fish --no-config"],
    isAskedAtOnce: true,
    begin: (script) => `source ${script}; echo 'READY> '\n`,
    ask: (typed, at) => `complete -C '${typed}'; echo ${mark(at)}; echo 'READY> '\n`,
  },
};

/** What a shell shows for each line. */
async function shows(
  { command, begin, ask, isAskedAtOnce }: Shell,
  script: string,
  { cwd, typed }: { readonly cwd: string; readonly typed: readonly string[] },
): Promise<string[]> {
  const [file, ...args] = command;
  const env = { PATH: process.env["PATH"], HOME: cwd, TERM: "xterm", LC_ALL: "C.UTF-8" };
  const child = spawn(file!, args, { cwd, env: { ...env, COLUMNS: "200" }, stdio: "pipe" });
  const limit = setTimeout(() => child.kill("SIGKILL"), 120_000);
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  try {
    let screen = "";
    let hear = () => {};
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        screen += text;
        hear();
      });
    }
    const until = async (told: RegExp) => {
      let isOver = false;
      void ended.then(() => isOver = true).then(() => hear());
      for (;;) {
        const said = stripVTControlCharacters(screen);
        const [found] = told.exec(said) ?? [];
        if (found !== undefined) {
          screen = said.slice(said.indexOf(found) + found.length);
          return found;
        }
        ok(!isOver, `the shell ended before it said ${told}: ${said}`);
        await new Promise<void>((resolve) => hear = resolve);
      }
    };
    const lines = [begin(script), ...typed.map(ask)];
    if (isAskedAtOnce) child.stdin.end(lines.splice(0).join(""));
    const shown: string[] = [];
    for (const at of [-1, ...typed.keys()]) {
      // A shell takes its terminal over before it says that it is ready.
      if (lines.length > 0) child.stdin.write(lines.shift()!);
      const said = await until(at < 0 ? /READY> / : new RegExp(`[^]*?${mark(at)}[^]*?READY> `));
      if (at >= 0) shown.push(said);
    }
    return shown;
  } finally {
    clearTimeout(limit);
    child.kill("SIGKILL");
    await ended;
  }
}

for (const [name, shell] of Object.entries(SHELLS)) {
  const title =
    `montana completions ${name}: a real ${name} completes commands, flags, values, paths`;
  test(title, { skip: skipWithout(shell.path, title) }, async () => {
    await withDirectory(async (cwd) => {
      const script = join(cwd, "script");
      await writeFile(script, succeeded(await run(["completions", name])));
      await writeFile(join(cwd, "blocks.jsonl"), "");
      await mkdir(join(cwd, "blobs"));
      const shown = await shows(shell, script, { cwd, typed: CASES.map(({ typed }) => typed) });
      CASES.forEach((each, at) => {
        const words = shown[at]!.split(/[\s/]+/);
        const told = `${each.typed}⇥ shows ${JSON.stringify(shown[at])}`;
        for (const word of each.shown) {
          ok(words.some((one) => isWord(one, word)), `${word}: ${told}`);
        }
        for (const word of each.hidden ?? []) {
          ok(!words.includes(word) || each.typed.includes(word), `${word}: ${told}`);
        }
      });
    });
  });
}

/** `--da=calldata` shows `calldata`, and `--level=` shows `--level`. */
function isWord(shown: string, word: string): boolean {
  return [word, `${word}=`].includes(shown) || shown.endsWith(`=${word}`);
}

/** What a command needs beside a flag for it to be looked at. */
const BESIDE: Readonly<Record<string, string>> = {
  batcher: "--l2 http://127.0.0.1:1 --l1 http://127.0.0.1:1 --key-env KEY " +
    "--inbox 0xff00000000000000000000000000000000008453 --throttle http://127.0.0.1:1",
  deriver: "--l1 http://127.0.0.1:1 --out http://127.0.0.1:1 --jwt-secret none " +
    "--inbox 0xff00000000000000000000000000000000008453 " +
    "--batcher 0x5050f69a9786f081509234f1a7f4684b5e5b76c9",
  processor: "--data-dir none",
  encode: "--stage raw",
  estimate: "--l2 none",
  "ops dump": "systemd",
  superblock:
    "--set batch_manager.chain_id=1 --l2 http://127.0.0.1:1 --prover http://127.0.0.1:1 " +
    "--superblock-prover http://127.0.0.1:1 --publisher http://127.0.0.1:1 " +
    "--rollup-config-hash 0x1 --multi-block-vkey 0x1 --prover-address 0x1 --aggregation-vkey none",
};
/** The first key that anvil has. */
const KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

test("montana completions offers what a flag takes, and all that it takes", async () => {
  // Several commands have one flag in common: the first of them is asked.
  const asked = new Map<Flag, string>();
  for (const spec of await allCommands()) {
    for (const [path, flag] of flagsWithChoices(spec)) {
      if (!asked.has(flag)) asked.set(flag, path);
    }
  }
  ok(asked.size > 15);
  await inPairs(asked, async ([{ flags, choices = [], value }, path]) => {
    const [name] = flags.split(" ");
    ok(value === undefined || choices.includes(value), `${path} ${name}: ${value}`);
    const outcome = await run(`${path} ${BESIDE[path] ?? ""} ${name} nonsense`, { env: { KEY } });
    equal(outcome.code, 2, outcome.stderr);
    const [, told] = /: need one of ([^;\n]+)/.exec(outcome.stderr) ?? [];
    equal(told, choices.join(", "), `${path} ${name}: ${outcome.stderr}`);
  });
});

function flagsWithChoices(spec: CommandSpec | CommandGroup, before = ""): [string, Flag][] {
  const path = `${before}${spec.name}`;
  if ("commands" in spec) {
    return spec.commands.flatMap((each) => flagsWithChoices(each, `${path} `));
  }
  return spec.flags.filter(({ choices }) => choices).map((flag) => [path, flag]);
}

test("montana completions refuses a shell that it does not know", async () => {
  failed(await run("completions tcsh"), 2, /"tcsh": need one of bash, zsh, fish/);
  failed(await run("completions"), 2, /missing required argument 'shell'/);
});
