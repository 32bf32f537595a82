import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { L1Directory } from "../../src/local/l1_directory.ts";
import { makeBatch, plainBlocks, post, withDirectory } from "../helpers.ts";
import { sourceText } from "./files.ts";
import { failed, hasNoTrace, run, start, succeeded, textOf } from "./montana.ts";

/** Runs `action` with a directory for temporary files, which must be empty afterwards. */
async function leavesNothing(
  action: (options: { cwd: string; env: Record<string, string> }) => Promise<void>,
): Promise<void> {
  await withDirectory((cwd) =>
    withDirectory(async (temporary) => {
      await action({ cwd, env: { TMPDIR: temporary } });
      deepEqual((await readdir(temporary)).filter((name) => name.startsWith("montana")), []);
    })
  );
}

test("montana demo makes transactions, and says that they come back as they were", async () => {
  await leavesNothing(async (options) => {
    const outcome = await run("demo --for 1s --level 4", options);
    const text = succeeded(outcome);
    match(text, /^batches +blocks +transactions +raw +posted +ratio +blobs +fill\n/);
    match(text, /\nThe 5 derived blocks are identical to those that went in\.\n$/);
    match(outcome.stderr, /^batch 0: \d+ blocks?, \d+00 transactions/m);
  });
});

test("montana demo --json answers with one object and nothing else", async () => {
  await leavesNothing(async (options) => {
    const outcome = await run(
      "demo --for 1s --json --compressor zstd --batch-interval 300ms",
      options,
    );
    const { identical, blocks, transactions, batches, blobs } = JSON.parse(succeeded(outcome));
    deepEqual({ identical, blocks, transactions }, {
      identical: true,
      blocks: 5,
      transactions: 500,
    });
    ok(batches >= 1 && blobs >= batches, `${batches} batches, ${blobs} blobs`);
  });
});

test("montana demo --blocks takes a file, plain or gzip", async () => {
  await leavesNothing(async (options) => {
    const text = sourceText(40, { size: 5000 });
    await writeFile(join(options.cwd, "blocks.jsonl"), text);
    await writeFile(join(options.cwd, "blocks.jsonl.gz"), gzipSync(text));
    for (const name of ["blocks.jsonl", "blocks.jsonl.gz"]) {
      const outcome = await run(`demo --blocks ${name} --json --level 4`, options);
      const { identical, blocks, batches, blobs, compressedBytes } = JSON.parse(succeeded(outcome));
      deepEqual({ identical, blocks, batches, blobs }, {
        identical: true,
        blocks: 40,
        batches: 2,
        blobs: 2,
      });
      ok(compressedBytes > 40 * 5000, `${compressedBytes}`);
    }
  });
});

test("montana demo ends with the error of its blocks, and leaves nothing behind", async () => {
  await leavesNothing(async (options) => {
    const [first, , third] = sourceText(3).split("\n");
    await writeFile(join(options.cwd, "gap.jsonl"), `${first}\n${third}\n`);
    const outcome = await run("demo --blocks gap.jsonl", options);
    failed(outcome, 1, /Gap: Cannot take block 2 at gap\.jsonl:2 after block 0/);
    equal(outcome.stdout.length, 0);
    failed(await run("demo --blocks nothing", options), 1, /NotFound: .*nothing: there is no such/);
  });
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`montana demo at ${signal} posts what was made, ends well, leaves nothing behind`, async () => {
    await leavesNothing(async (options) => {
      await using demo = start("demo --for 1h --level 4 --json --batch-interval 200ms", options);
      await demo.untilSaid(/^batch 1: /m);
      demo.send(signal);
      const outcome = await demo.ended;
      const { identical, blocks } = JSON.parse(succeeded(outcome));
      equal(identical, true);
      ok(blocks > 1, `${blocks}`);
      match(outcome.stderr, new RegExp(`^${signal}: posting what was made$`, "m"));
    });
  });
}

test("montana demo ends with 4 where other blocks come back than went in", async () => {
  for (const flags of ["", "--json"]) {
    await leavesNothing(async (options) => {
      await using demo = start(`demo --for 1h --batch-interval 1h --level 4 ${flags}`, options);
      await demo.untilSaid("L1 in ");
      // A batch of somebody else, in place of the demo's own.
      const l1 = await L1Directory.open(/L1 in (.+);/.exec(demo.stderr)![1]!);
      const l1OriginCheck = (await l1.block(0n)).hash.slice(0, 20);
      await post(l1, await makeBatch(plainBlocks(2), { l1OriginCheck }));
      await demo.untilSaid("batch 0: 2 blocks");
      demo.send("SIGINT");
      const outcome = await demo.ended;
      equal(outcome.code, 4, outcome.stderr);
      hasNoTrace(outcome);
      if (flags === "") match(textOf(outcome), /\nThe derived blocks differ from block 0 on\.\n$/);
      else equal(JSON.parse(textOf(outcome)).identical, false);
    });
  }
});

test("montana demo stops at once at a second signal, and leaves nothing behind", async () => {
  await leavesNothing(async (options) => {
    // As much as takes seconds to compress, so that the drain is under way.
    await writeFile(join(options.cwd, "big.jsonl"), sourceText(20, { size: 400_000 }));
    await using demo = start("demo --blocks big.jsonl", options);
    await demo.untilSaid("L1 in ");
    demo.send("SIGINT");
    await demo.untilSaid("SIGINT: ");
    demo.send("SIGINT");
    const outcome = await demo.ended;
    equal(outcome.code, 130, outcome.stderr);
    equal(outcome.stdout.length, 0);
  });
});
