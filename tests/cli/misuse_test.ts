import { match, ok, strictEqual as equal } from "node:assert/strict";
import { appendFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { withDirectory } from "../helpers.ts";
import { holdsBlocks, joinLines, linesOf, sameBlocks, sourceText } from "./files.ts";
import { failed, run, start, succeeded } from "./montana.ts";

const BATCHER = "batcher --l1 l1 --compressor none --log-level none";
const OTHER_INBOX = `0x${"11".repeat(20)}`;

test("montana batcher stops when another one posts to its inbox, and no block is lost", async () => {
  await withDirectory(async (cwd) => {
    const source = join(cwd, "blocks.jsonl");
    const lines = linesOf(sourceText(40));
    await writeFile(source, joinLines(lines.slice(0, 10)));
    const flags = `${BATCHER} --l2 blocks.jsonl --batch-interval 100ms`;
    await using first = start(`${flags} --max-blocks-per-batch 3`, { cwd });
    await using second = start(`${flags} --max-blocks-per-batch 4`, { cwd });
    for (let from = 10; from < 40; from += 3) {
      await appendFile(source, joinLines(lines.slice(from, from + 3)));
      await new Promise((resolve) => setTimeout(resolve, 120));
    }
    // At least one of them finds the other; which one, chance decides.
    const { code, stderr } = await Promise.race([first.ended, second.ended]);
    equal(code, 1);
    match(stderr, /error: TxFailed: Cannot post batch \d+: somebody else posted batch \d+/);
    first.send("SIGTERM");
    second.send("SIGTERM");
    await Promise.all([first.ended, second.ended]);

    succeeded(await run(`${BATCHER} --l2 blocks.jsonl --once`, { cwd }));
    succeeded(await run("deriver --l1 l1 --out out.jsonl --once", { cwd }));
    await sameBlocks(join(cwd, "out.jsonl"), source);
  });
});

test("montana --data-dir refuses another inbox, and another batcher", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(6));
    const batcher = `${BATCHER} --l2 blocks.jsonl --once --data-dir b`;
    const deriver = "deriver --l1 l1 --out out.jsonl --once --data-dir d";
    succeeded(await run(batcher, { cwd }));
    succeeded(await run(deriver, { cwd }));
    for (const command of [batcher, deriver]) {
      for (const flag of ["--inbox", "--batcher"]) {
        const outcome = await run(`${command} ${flag} ${OTHER_INBOX}`, { cwd });
        failed(outcome, 2, new RegExp(`Cannot use ${flag} ${OTHER_INBOX} with --data-dir`));
      }
    }
    await holdsBlocks(join(cwd, "l1"), 6);
  });
});

test("montana batcher ends with standard input, without --once too", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(9));
    for (const [l1, stdin] of [["l1", sourceText(9)], ["l2", gzipSync(sourceText(9))]] as const) {
      const outcome = await run(`batcher --l1 ${l1} --l2 - --compressor none`, { cwd, stdin });
      match(succeeded(outcome), /^posted 1 batch, 9 blocks/);
    }
  });
});

test("montana batcher posts what standard input gave before a line that is no block", async () => {
  await withDirectory(async (cwd) => {
    const stdin = sourceText(9) + "{bad\n";
    failed(await run(`${BATCHER} --l2 - --once`, { cwd, stdin }), 1, /InvalidBlock.*:10/);
    await holdsBlocks(join(cwd, "l1"), 9);
  });
});

test("montana batcher and deriver refuse a --data-dir that another process uses", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(3));
    const batcher = "batcher --l1 l1 --compressor none --l2 blocks.jsonl --data-dir data";
    const deriver = "deriver --l1 l1 --out out.jsonl --data-dir data";
    await using posting = start(`${batcher} --batch-interval 0s`, { cwd });
    await posting.untilSaid(/batch 0: 3 blocks/);
    await using deriving = start(deriver, { cwd });
    await deriving.untilSaid(/derived batch 0/);
    failed(await run(`${batcher} --once`, { cwd }), 1, /Locked: .*data\/batcher.*/);
    failed(await run(`${deriver} --once`, { cwd }), 1, /Locked: .*data\/deriver.*/);

    posting.send("SIGKILL");
    deriving.send("SIGKILL");
    await Promise.all([posting.ended, deriving.ended]);
    succeeded(await run(`${batcher} --once`, { cwd }));
    succeeded(await run(`${deriver} --once`, { cwd }));
  });
});

test("montana batcher takes blocks from a pipe once, and keeps them over a kill -9", async () => {
  await withDirectory(async (cwd) => {
    const batcher = "batcher --l1 l1 --compressor none --l2 - --data-dir data --log-level debug";
    const slow = `${batcher} --batch-interval 1h`;
    await using taking = start(slow, { cwd, stdin: "open" });
    taking.feed(sourceText(9));
    await taking.untilSaid(/took 9 blocks/);
    taking.send("SIGKILL");
    await taking.ended;
    const outcome = await run(`${batcher} --once`, { cwd, stdin: "" });
    match(succeeded(outcome), /^posted 1 batch, 9 blocks/);
    match(outcome.stderr, /going on with batch 0, after 0 blocks; 9 blocks more were taken before/);
    await holdsBlocks(join(cwd, "l1"), 9);
  });
});

test("montana batcher ends in the time it is given, and says what is left", async () => {
  await withDirectory(async (cwd) => {
    // Ten seconds of work at level 11, whatever the machine.
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(600, { size: 20_000 }));
    const batcher = "batcher --l1 l1 --l2 blocks.jsonl --workers 1";
    await using posting = start(`${batcher} --shutdown-timeout 100ms`, { cwd });
    await posting.untilSaid(/batch 0:/);
    posting.send("SIGTERM");
    const outcome = await posting.ended;
    equal(outcome.code, 3, outcome.stderr);
    match(outcome.stderr, /stopped with \d+ blocks not posted; start again/);
    succeeded(await run(`${batcher} --level 1 --once --log-level none`, { cwd }));
    await holdsBlocks(join(cwd, "l1"), 600);
  });
});

test("montana deriver says what it waits for", async () => {
  await withDirectory(async (cwd) => {
    await using deriver = start("deriver --l1 nowhere --out out.jsonl", { cwd });
    await deriver.untilSaid(/waiting for an L1 in nowhere/);
    deriver.send("SIGTERM");
    equal((await deriver.ended).code, 0);
  });
});

/** What is not found without an L1, or with one. */
const UNFOUND: [string, RegExp][] = [
  [`0x${"ab".repeat(32)}`, /Cannot look a transaction up without --l1: name the L1/],
  ["batch:7", /Cannot look batch:7 up without --l1/],
  ["l1/a.blob --l1 l1", /or batch:N; a file is looked into without --l1/],
];

test("montana inspect takes several files, and knows a part of a batch", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(12, { size: 20_000 }));
    succeeded(await run(`${BATCHER} --l2 blocks.jsonl --once --max-blobs 6`, { cwd }));
    const blobs = (await readdir(join(cwd, "l1/blobs"))).map((name) => join("l1/blobs", name));
    ok(blobs.length > 1);
    const part = await run(["inspect", ...blobs], { cwd });
    failed(part, 1, /well encoded, with \d+ bytes of data, but no whole batch/);

    succeeded(await run("batcher --l1 small --l2 blocks.jsonl --once --max-blobs 1", { cwd }));
    const whole = (await readdir(join(cwd, "small/blobs"))).map((name) => `small/blobs/${name}`);
    for (const [what, error] of UNFOUND) failed(await run(`inspect ${what}`, { cwd }), 2, error);
    const text = succeeded(await run(["inspect", ...whole], { cwd }));
    equal(text.match(/^== small/gm)?.length, whole.length);
  });
});

test("montana demo refuses a time in which no block is made", async () => {
  failed(await run("demo --for 0s"), 2, /Cannot use --for "0s"/);
});
