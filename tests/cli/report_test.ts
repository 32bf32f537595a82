import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { L1Directory } from "../../src/local/l1_directory.ts";
import { fromBlobs } from "../../src/wire/blob.ts";
import { draftOf, makeBatch, plainBlocks, withDirectory } from "../helpers.ts";
import { holdsBlocks, report, sourceText } from "./files.ts";
import { run, succeeded } from "./montana.ts";

interface L1BlockFile {
  readonly transactions: readonly { readonly input: string; readonly blobHashes: string[] }[];
}

/** What an L1 directory holds, read without the program: posted bytes and blobs. */
async function contentOfL1(l1: string): Promise<{ bytes: number; blobs: number }> {
  const total = { bytes: 0, blobs: 0 };
  for (const name of await readdir(join(l1, "blocks"))) {
    const text = await readFile(join(l1, "blocks", name), "utf8");
    const { transactions }: L1BlockFile = JSON.parse(text);
    for (const { input, blobHashes } of transactions) {
      const files = blobHashes.map((hash) => join(l1, "blobs", `${hash.slice(2)}.blob`));
      const blobs = await Promise.all(files.map((file) => readFile(file)));
      total.blobs += blobs.length;
      total.bytes += blobs.length > 0 ? fromBlobs(blobs).length : (input.length - 2) / 2 - 8;
    }
  }
  return total;
}

test("montana report --json adds up what the L1 directory holds", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(33, { size: 9000 }));
    const l1 = join(cwd, "l1");
    const flags = "--l2 blocks.jsonl --l1 l1 --once --max-blobs 2 --compressor none";
    succeeded(await run(`batcher ${flags} --max-blocks-per-batch 20`, { cwd }));

    const { batches, totals } = await holdsBlocks(l1, 33);
    const { bytes, blobs } = await contentOfL1(l1);
    const fill = bytes / (blobs * 130_044);
    const rawBytes = bytes - batches.length;
    deepEqual(totals, {
      batches: 2,
      blocks: 33,
      transactions: 33,
      rawBytes,
      compressedBytes: bytes,
      blobs,
      fill,
      ratio: rawBytes / bytes,
      duplicates: 0,
      futures: 0,
      dropped: 0,
      ignored: 0,
    });
    for (const key of ["blocks", "transactions", "rawBytes", "compressedBytes", "blobs"] as const) {
      equal(batches.reduce((sum, row) => sum + row[key], 0), totals[key], key);
    }
    deepEqual(batches.map((row) => row.blobs), [2, 1]);
    for (const { fill, ratio, rawBytes, compressedBytes, blobs } of batches) {
      equal(fill, compressedBytes / (blobs * 130_044));
      equal(ratio, rawBytes / compressedBytes);
    }
  });
});

test("montana report tells what derivation leaves out, and why", async () => {
  await withDirectory(async (cwd) => {
    const path = join(cwd, "l1");
    const l1 = await L1Directory.openOrCreate(path, 1000n);
    const l1OriginCheck = (await l1.block(0n)).hash.slice(0, 20);
    const batch = (batchNumber: bigint, first = 0) =>
      makeBatch(plainBlocks(2, { first }), { batchNumber, l1OriginCheck });
    const stranger = new Uint8Array(20).fill(1);
    await l1.mine([draftOf(await batch(0n))], 1000n);
    await l1.mine([draftOf(await batch(0n)), draftOf(await batch(9n, 5))], 1000n);
    await l1.mine([draftOf({ batchNumber: 1n, data: Uint8Array.of(9, 9) })], 1000n);
    await l1.mine([draftOf(await batch(1n, 2), { from: stranger })], 1000n);
    await l1.mine([draftOf(await batch(1n, 2), { da: "blobs" })], 1000n);

    const { batches, totals } = await report(path);
    deepEqual(batches.map(({ batchNumber, verdict }) => `${batchNumber} ${verdict}`), [
      "0 accepted",
      "0 duplicate",
      "9 future",
      "1 dropped",
      "1 accepted",
    ]);
    equal(batches[3]!.reason, "undecodable");
    const { duplicates, futures, dropped, ignored, blocks, blobs } = totals;
    deepEqual({ duplicates, futures, dropped, ignored, blocks, blobs }, {
      duplicates: 1,
      futures: 1,
      dropped: 1,
      ignored: 1,
      blocks: 4,
      blobs: 1,
    });
    equal(totals["batches"], 2);

    const text = succeeded(await run(`report --l1 ${path}`));
    match(text, /^batch +L1 block +blocks +txs +raw +posted +ratio +blobs +fill\n/);
    match(text, /^ +1 +3 .* dropped: undecodable$/m);
    match(text, /^ +9 +2 .* future$/m);
    match(text, /^total +4 +4 .* 1 ignored\n$/m);
  });
});

test("montana report counts a batch once that waited for the one before", async () => {
  await withDirectory(async (cwd) => {
    const l1 = await L1Directory.openOrCreate(join(cwd, "l1"), 1000n);
    const l1OriginCheck = (await l1.block(0n)).hash.slice(0, 20);
    for (const [batchNumber, first] of [[1n, 2], [0n, 0]] as const) {
      const batch = await makeBatch(plainBlocks(2, { first }), { batchNumber, l1OriginCheck });
      await l1.mine([draftOf(batch)], 1000n);
    }
    const { batches, totals } = await report("l1", { cwd });
    deepEqual(batches.map(({ batchNumber, verdict }) => `${batchNumber} ${verdict}`), [
      "1 accepted",
      "0 accepted",
    ]);
    equal(totals["futures"], 0);
    const { bytes } = await contentOfL1(join(cwd, "l1"));
    equal(totals["compressedBytes"], bytes);
    equal(totals["costWei"], undefined);
  });
});

test("montana report of an L1 without batches is a table of nothing", async () => {
  await withDirectory(async (cwd) => {
    await L1Directory.openOrCreate(join(cwd, "l1"), 1000n);
    const { batches, totals } = await report("l1", { cwd });
    deepEqual(batches, []);
    deepEqual([...new Set(Object.values(totals))], [0, null]);
    match(succeeded(await run("report --l1 l1", { cwd })), /^total +0 +0 +0 B +0 B +- +0 +-\n$/m);
  });
});

test("montana answers in JSON on standard output, with the log on standard error", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(12));
    const flags = "--once --json --log-level debug --log-format json";
    const commands = [
      `batcher --l2 blocks.jsonl --l1 l1 --max-blocks-per-batch 5 ${flags}`,
      `deriver --l1 l1 --out o ${flags}`,
    ];
    const answers = [];
    for (const command of commands) {
      const outcome = await run(command, { cwd });
      answers.push(JSON.parse(succeeded(outcome)));
      const events = outcome.stderr.trimEnd().split("\n").map((line) => JSON.parse(line));
      equal(events.filter((each) => /batch.(submitted|accepted)/.test(each.event)).length, 3);
      for (const event of events) match(event.ts, /^\d{4}-\d\d-\d\dT/);
    }
    const [posted, derived] = answers;
    deepEqual([posted.batches_submitted, posted.blocks_processed, posted.latest_block], [
      3,
      12,
      "11",
    ]);
    deepEqual([derived.batches_derived, derived.blocks_derived, derived.latest_batch], [
      3,
      12,
      "2",
    ]);
    equal(derived.bytes_decompressed, posted.bytes_original);

    // Where blocks take standard output, the answer goes beside them.
    const outcome = await run("deriver --l1 l1 --out - --once --json --log-level none", { cwd });
    equal(succeeded(outcome), await readFile(join(cwd, "o"), "utf8"));
    equal(JSON.parse(outcome.stderr).blocks_derived, 12);
  });
});
