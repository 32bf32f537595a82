import { match, strictEqual as equal } from "node:assert/strict";
import { appendFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { withDirectory } from "../helpers.ts";
import { holdsBlocks, joinLines, linesOf, report, sameBlocks, sourceText } from "./files.ts";
import { failed, hasNoTrace, run, start, succeeded } from "./montana.ts";

const LINES = linesOf(sourceText(33));
/** Batches of ten; what is less waits for more, or for the end. */
const BATCHER =
  "batcher --l2 blocks.jsonl --l1 l1 --max-blocks-per-batch 10 --batch-interval 1h --compressor none";
const DERIVER = "deriver --l1 l1 --out derived.jsonl --poll-interval 10ms";

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  for (const flags of ["", "--data-dir data"]) {
    test(`montana batcher and deriver follow each other until ${signal} ${flags}`, async () => {
      await withDirectory(async (cwd) => {
        const source = join(cwd, "blocks.jsonl");
        await writeFile(source, joinLines(LINES.slice(0, 4)));
        // Before there is an L1 at all.
        await using deriver = start(`${DERIVER} ${flags}`, { cwd });
        await using batcher = start(`${BATCHER} --poll-interval 10ms ${flags} --json`, { cwd });
        await appendFile(source, joinLines(LINES.slice(4, 12)) + LINES[12]!.slice(0, 30));
        await deriver.untilSaid("derived batch 0: 10 blocks");
        await appendFile(source, LINES[12]!.slice(30) + "\n" + joinLines(LINES.slice(13)));
        await deriver.untilSaid("derived batch 2: 10 blocks");

        batcher.send(signal);
        const posted = await batcher.ended;
        equal(JSON.parse(succeeded(posted)).blocks_processed, 33);
        match(
          posted.stderr,
          new RegExp(`^${signal}: posting what was taken; once more stops`, "m"),
        );
        await deriver.untilSaid("derived batch 3: 3 blocks");
        deriver.send(signal);
        const derived = await deriver.ended;
        match(succeeded(derived), /^derived 4 batches, 33 blocks/);
        match(
          derived.stderr,
          new RegExp(`^${signal}: ending after this batch; once more stops at once$`, "m"),
        );

        await holdsBlocks(join(cwd, "l1"), 33);
        await sameBlocks(join(cwd, "derived.jsonl"), source);
      });
    });
  }
}

test("montana batcher and deriver stopped together lose nothing", async () => {
  await withDirectory(async (cwd) => {
    const source = join(cwd, "blocks.jsonl");
    await writeFile(source, joinLines(LINES.slice(0, 25)));
    {
      await using batcher = start(`${BATCHER} --poll-interval 10ms`, { cwd });
      await using deriver = start(DERIVER, { cwd });
      await deriver.untilSaid("derived batch 1");
      batcher.send("SIGTERM");
      deriver.send("SIGTERM");
      succeeded(await batcher.ended);
      succeeded(await deriver.ended);
    }
    await appendFile(source, joinLines(LINES.slice(25)));
    succeeded(await run(`${BATCHER} --once`, { cwd }));
    succeeded(await run(`${DERIVER} --once`, { cwd }));
    await holdsBlocks(join(cwd, "l1"), 33);
    await sameBlocks(join(cwd, "derived.jsonl"), source);
  });
});

test("montana batcher posts by the interval while standard input stays open", async () => {
  await withDirectory(async (cwd) => {
    const flags = "--batch-interval 100ms --min-batch-bytes 0";
    await using batcher = start(`batcher --l2 - --l1 l1 ${flags}`, { cwd, stdin: "open" });
    batcher.feed(joinLines(LINES.slice(0, 2)));
    await batcher.untilSaid("batch 0: 2 blocks");
    // A line in two pieces, and the end of the stream, which is not the end of the batcher.
    batcher.feed(LINES[2]!.slice(0, 20));
    batcher.feed(LINES[2]!.slice(20) + "\n");
    await batcher.untilSaid("batch 1: 1 block");
    batcher.send("SIGTERM");
    match(succeeded(await batcher.ended), /^posted 2 batches, 3 blocks/);
  });
});

test("montana batcher drains at SIGTERM though standard input stays open", async () => {
  await withDirectory(async (cwd) => {
    const args = "batcher --l2 - --l1 l1 --batch-interval 1h --log-level debug";
    await using batcher = start(args, { cwd, stdin: "open" });
    batcher.feed(joinLines(LINES.slice(0, 3)) + LINES[3]!.slice(0, 10));
    await batcher.untilSaid("took 3 blocks");
    batcher.send("SIGTERM");
    match(succeeded(await batcher.ended), /^posted 1 batch, 3 blocks/);
    await holdsBlocks(join(cwd, "l1"), 3);
  });
});

test("montana batcher takes gzip from standard input as it comes", async () => {
  await withDirectory(async (cwd) => {
    const flags = "--batch-interval 100ms --min-batch-bytes 0";
    await using batcher = start(`batcher --l2 - --l1 l1 ${flags}`, { cwd, stdin: "open" });
    batcher.feed(gzipSync(joinLines(LINES.slice(0, 2))));
    await batcher.untilSaid("batch 0: 2 blocks");
    batcher.feed(gzipSync(joinLines(LINES.slice(2, 5))), { end: true });
    await batcher.untilSaid("batch 1: 3 blocks");
    batcher.send("SIGTERM");
    match(succeeded(await batcher.ended), /^posted 2 batches, 5 blocks/);
  });
});

test("montana batcher and deriver that have nothing to do end at a signal", async () => {
  await withDirectory(async (cwd) => {
    await using deriver = start("deriver --l1 nowhere --out o --data-dir data", { cwd });
    await using batcher = start("batcher --l2 - --l1 l1", { cwd, stdin: "open" });
    await using reader = start("deriver --l1 l1 --out o2", { cwd });
    await batcher.until(
      "it made an L1",
      async () => (await run("report --l1 l1", { cwd })).code === 0,
    );
    for (const each of [batcher, reader, deriver]) {
      each.send("SIGINT");
      const outcome = await each.ended;
      // A signal that comes before anybody listens ends the process; that is no fault.
      if (outcome.code !== null) succeeded(outcome);
    }
    equal((await report("l1", { cwd })).totals["blocks"], 0);
  });
});

test("montana batcher that waits for L2 ends at a signal, and says what it waited for", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(3));
    succeeded(await run("batcher --l2 blocks.jsonl --l1 l1 --once", { cwd }));
    await using batcher = start("batcher --l2 http://127.0.0.1:1 --l1 l1", { cwd });
    await batcher.untilSaid("waiting for L2: ");
    batcher.send("SIGINT");
    const { code, stderr } = await batcher.ended;
    equal(code, 3, stderr);
    match(stderr, /^stopped before it could begin \(Connection: Cannot ask 127\.0\.0\.1:1 /m);
  });
});

test("montana batcher ends at a signal while its source lacks what L1 has", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), joinLines(LINES));
    succeeded(await run(`${BATCHER} --once`, { cwd }));
    await using batcher = start("batcher --l2 - --l1 l1 --log-level debug", { cwd, stdin: "open" });
    batcher.feed(joinLines(LINES.slice(0, 5)));
    await batcher.untilSaid(
      "waiting for the source: L1 holds a block of timestamp 1010, in batch 0",
    );
    batcher.send("SIGTERM");
    await batcher.untilSaid("SIGTERM: ");
    succeeded(await batcher.ended);
    await holdsBlocks(join(cwd, "l1"), 33);
  });
});

test("montana batcher ends by itself when standard input ends", async () => {
  await withDirectory(async (cwd) => {
    const args = "batcher --l2 - --l1 l1 --batch-interval 1h --log-level debug";
    await using batcher = start(args, { cwd, stdin: "open" });
    batcher.feed(joinLines(LINES.slice(0, 3)));
    await batcher.untilSaid("took 3 blocks");
    batcher.feed(joinLines(LINES.slice(3, 5)), { end: true });
    match(succeeded(await batcher.ended), /^posted 1 batch, 5 blocks/);
  });
});

test("montana batcher that is not alone stops, and no block is lost or doubled", async () => {
  await withDirectory(async (cwd) => {
    const source = join(cwd, "blocks.jsonl");
    await writeFile(source, joinLines(LINES.slice(0, 10)));
    // The bytes of their batches differ, or one would not be in the other's way.
    await using one = start(BATCHER, { cwd });
    await one.untilSaid("batch 0: 10 blocks");
    await using two = start(BATCHER.replace("none", "zstd"), { cwd });
    await two.untilSaid("going on with batch 1, after 10 blocks");
    await appendFile(source, joinLines(LINES.slice(10)));
    const first = await Promise.race([one.ended, two.ended]);
    failed(first, 1, /TxFailed: Cannot post batch \d: somebody else posted batch \d in L1 block/);
    one.send("SIGTERM");
    two.send("SIGTERM");
    const codes = (await Promise.all([one.ended, two.ended])).map(({ code }) => code).sort();
    // The other one has nobody in its way any more.
    equal(codes.join(), "0,1");
    succeeded(await run(`${BATCHER} --once`, { cwd }));
    await holdsBlocks(join(cwd, "l1"), 33);
    succeeded(await run(`${DERIVER} --once`, { cwd }));
    await sameBlocks(join(cwd, "derived.jsonl"), source);
  });
});

test("montana batcher stops at once at a second signal, and can be started again", async () => {
  await withDirectory(async (cwd) => {
    const source = join(cwd, "blocks.jsonl");
    // Half a minute of work at level 11.
    await writeFile(source, sourceText(60, { size: 120_000 }));
    {
      await using batcher = start("batcher --l2 blocks.jsonl --l1 l1", { cwd });
      await batcher.untilSaid("batch 0: ");
      batcher.send("SIGTERM");
      await batcher.untilSaid("SIGTERM: posting");
      batcher.send("SIGTERM");
      const outcome = await batcher.ended;
      equal(outcome.code, 130, outcome.stderr);
      equal(outcome.stdout.length, 0);
      hasNoTrace(outcome);
    }
    const again = "batcher --l2 blocks.jsonl --l1 l1 --once --compressor none --max-blobs 6";
    succeeded(await run(again, { cwd }));
    await holdsBlocks(join(cwd, "l1"), 60);
    succeeded(await run("deriver --l1 l1 --out derived.jsonl --once", { cwd }));
    await sameBlocks(join(cwd, "derived.jsonl"), source);
  });
});

test("montana batcher that cannot post what is left ends with 3, and goes on later", async () => {
  await withDirectory(async (cwd) => {
    const source = join(cwd, "blocks.jsonl");
    await writeFile(source, joinLines(LINES));
    {
      await using batcher = start(`${BATCHER} --data-dir data`, { cwd });
      await batcher.untilSaid("batch 2: ");
      await rename(join(cwd, "l1/blobs"), join(cwd, "blobs"));
      await writeFile(join(cwd, "l1/blobs"), "");
      batcher.send("SIGTERM");
      const outcome = await batcher.ended;
      failed(outcome, 3, /Unwritable: Cannot write L1 directory l1: a part of the path/);
      match(outcome.stderr, /^stopped with 3 blocks not posted; start again$/m);
    }
    await rm(join(cwd, "l1/blobs"));
    await rename(join(cwd, "blobs"), join(cwd, "l1/blobs"));
    succeeded(await run(`${BATCHER} --data-dir data --once`, { cwd }));
    await holdsBlocks(join(cwd, "l1"), 33);
  });
});

test("montana deriver ends quietly when the reader of its output has seen enough", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(40, { size: 50_000 }));
    const batcher = "batcher --l2 blocks.jsonl --l1 l1 --once --compressor none";
    succeeded(await run(batcher, { cwd }));
    for (const flags of ["--once", "", "--data-dir data"]) {
      await using deriver = start(`deriver --l1 l1 --out - ${flags}`, { cwd });
      deriver.closeStdout();
      const outcome = await deriver.ended;
      equal(outcome.code, 0, outcome.stderr);
      hasNoTrace(outcome);
    }
  });
});
