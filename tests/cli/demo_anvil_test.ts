import { match, rejects, strictEqual as equal } from "node:assert/strict";
import { chmod, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { findAnvil as findProgram } from "../../src/cli/anvil.ts";
import { withDirectory } from "../helpers.ts";
import { findAnvil, skipWithoutAnvil } from "../l1/anvil.ts";
import { failed, run, type Running, start, succeeded } from "./montana.ts";

/** Runs `action` with a demo on anvil, and makes sure that its anvil ends with it. */
async function withDemo(
  flags: string,
  action: (demo: Running, temporary: string) => Promise<void>,
): Promise<void> {
  await withDirectory(async (temporary) => {
    const path = findAnvil()!;
    const named = path === "anvil" ? [] : [path];
    const args = ["demo", "--anvil", ...named, ...flags.split(" ")];
    await using demo = start(args, { env: { TMPDIR: temporary } });
    await demo.untilSaid(/^L1 is \S+ at http:\S+; L2 from 100 signed transactions/m);
    const [, url] = / at (http:\S+);/.exec(demo.stderr)!;
    equal((await fetch(url!)).status > 0, true);
    await action(demo, temporary);
    const isThere = () => fetch(url!).then(async (each) => (await each.text(), true), () => false);
    for (let looks = 0; looks < 100 && await isThere(); looks++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    equal(await isThere(), false, "anvil runs on");
  });
}

const DRAINS =
  "montana demo --anvil posts to a real L1, and at SIGINT ends well, its anvil with it";
test(DRAINS, { skip: skipWithoutAnvil(DRAINS) }, async () => {
  await withDemo("--for 1h --level 4", async (demo, temporary) => {
    demo.send("SIGINT");
    const outcome = await demo.ended;
    const text = succeeded(outcome);
    match(text, /\nThe \d+ derived blocks? (is|are) identical to th(e one|ose) that went in\.\n/);
    match(
      text,
      /\nL1 was paid [\d.]+ (gwei|ether): .* each transaction, .* for each byte posted\.\n$/,
    );
    match(outcome.stderr, /^batch 0: \d+ blocks?, \d+00 transactions, .* 1 blob/m);
    const left = (await readdir(temporary)).filter((name) => name.startsWith("montana"));
    equal(left.length, 0, left.join());
  });
});

const KILLED = "montana demo --anvil leaves no anvil behind, however it ends";
test(KILLED, { skip: skipWithoutAnvil(KILLED) }, async () => {
  await withDemo("--for 1h", async (demo) => {
    demo.send("SIGKILL");
    equal((await demo.ended).code, null);
  });
});

test("montana demo --anvil says what to do where there is no anvil", async () => {
  failed(
    await run("demo --anvil ./nothing"),
    2,
    /Cannot use --anvil \.\/nothing: there is no such/,
  );
  await withDirectory(async (directory) => {
    await mkdir(join(directory, "anvil"));
    await mkdir(join(directory, "bin"));
    const program = join(directory, "bin", "anvil");
    await writeFile(program, "#!/bin/sh\n");
    const search = (path: string, others: string[] = []) => findProgram(path, others);
    const none = /Cannot start anvil: there is none on the PATH\. Install Foundry .* --anvil PATH/;
    // A directory of that name, and a file that nobody may run.
    await rejects(search(`${directory}:${directory}/bin`), none);
    await chmod(program, 0o755);
    equal(await search(`${directory}:${directory}/bin`), program);
    equal(await search("", [join(directory, "nothing"), program]), program);
    await rejects(search("bin:."), none);
    failed(
      await run(["demo", "--anvil", program]),
      75,
      /Cannot run .*bin\/anvil as L1: it ended with 0/,
    );
  });
});
