import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { writeFile } from "node:fs/promises";
import type { CommandGroup, CommandSpec } from "../../src/cli/command.ts";
import { allCommands } from "../../src/cli/commands.ts";
import { manualPage } from "../../src/cli/manual.ts";
import { macro, paragraph } from "../../src/cli/mdoc.ts";
import { skipWithout, withDirectory } from "../helpers.ts";
import { run, succeeded } from "./montana.ts";

const MANDOC = "/usr/bin/mandoc";

/** What mandoc says, and what it shows. */
function mandoc(mode: "lint" | "ascii", page: string): string {
  const { stdout, stderr } = spawnSync(MANDOC, [`-T${mode}`], { input: page, encoding: "utf8" });
  // What is bold or underlined is overtyped.
  return (stdout + stderr).replace(new RegExp(".\b", "g"), "");
}

function commandsOf(
  spec: CommandSpec | CommandGroup,
  before = "montana ",
): [string, CommandSpec][] {
  if (!("commands" in spec)) return [[`${before}${spec.name}`, spec]];
  return spec.commands.flatMap((each) => commandsOf(each, `${before}${spec.name} `));
}

const linted = "montana man prints a page that mandoc finds no fault with";
test(linted, { skip: skipWithout(MANDOC, linted) }, async () => {
  const told = mandoc("lint", succeeded(await run("man")));
  // NetBSD wants its own name there, for pages of its own.
  const faults = told.split("\n").filter((line) => !/explicitly specified: Os .*NetBSD/.test(line));
  deepEqual(faults.filter((line) => line !== ""), []);
  // That it would say so is seen here.
  match(mandoc("lint", ".Dd\n.Foo\n"), /unknown macro[^]*missing date/);
});

const whole = "montana man has each command with each flag, default and example";
test(whole, { skip: skipWithout(MANDOC, whole) }, async () => {
  const shown = mandoc("ascii", succeeded(await run("man")));
  const words = shown.replace(/\s+/g, " ");
  for (const [name, spec] of (await allCommands()).flatMap((each) => commandsOf(each))) {
    const [, rest] = shown.split(new RegExp(`^ {3}${name}$`, "m"));
    ok(rest !== undefined, `${name} is not there`);
    const own = rest.split(/^ {0,3}\S/m)[0]!.replace(/\s+/g, " ");
    for (const { flags, value } of spec.flags) {
      ok(own.includes(flags.replace(/[<>]/g, "")), `${name}: ${flags} is not in ${own}`);
      if (value !== undefined) ok(own.includes(`default: ${value}`), `${name}: ${flags}: ${value}`);
    }
    for (const example of spec.examples) {
      ok(own.includes(`montana ${example.replace(/\s+/g, " ")}`), `${name}: ${example}: ${own}`);
    }
  }
  match(words, /EXIT STATUS 0 done or drained 1 failed/);
  match(words, /ENVIRONMENT .*MONTANA_CONFIG The file of a .*MONTANA_ROLE_FLAG A flag of a role/);
});

test("the manual page is in ASCII, has the day in UTC and the version", async () => {
  const page = manualPage(await allCommands(), { version: "7.8.9", nowMs: 1767225600_000 - 1 });
  match(page, /^\.Dd December 31, 2025\n\.Dt MONTANA 1\n\.Os montana 7\.8\.9\n/);
  match(page, /^[\x20-\x7e\n]+$/);
  equal(page.split("\n").find((line) => line.length > 80 && !/^\.|montana/.test(line)), undefined);
});

test("mdoc: what roff would take for its own is escaped", () => {
  equal(paragraph(".a 'b' \\c --d é. E"), "\\&.a 'b' \\ec \\-\\-d \\[u00E9].\nE\n");
  equal(paragraph("'a'"), "\\&'a'\n");
  equal(macro("It", "Ar", 'a "b" c'), '.It Ar "a ""b"" c"\n');
});

const asFile = "montana man is a page that man shows";
test(asFile, { skip: skipWithout("/usr/bin/man", asFile) }, async () => {
  await withDirectory(async (cwd) => {
    const path = join(cwd, "montana.1");
    await writeFile(path, succeeded(await run("man")));
    const options = {
      encoding: "utf8",
      env: { PATH: "/usr/bin:/bin", LC_ALL: "C.UTF-8" },
    } as const;
    const { stdout, stderr } = spawnSync(
      "/usr/bin/man",
      ["--warnings", "-P", "cat", "-l", path],
      options,
    );
    equal(stderr, "");
    match(stdout, /MONTANA\(1\)[^]*SYNOPSIS[^]*montana batcher[^]*EXIT STATUS/);
  });
});
