/**
 * What blocks would cost, told before anything is posted: by files, side by side, in every form.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { Estimate } from "../../src/cli/estimate_table.ts";
import { plainBlocks, withDirectory } from "../helpers.ts";
import { joinLines, lineOf, report, sourceText } from "./files.ts";
import { failed, inPairs, run, succeeded } from "./montana.ts";
import { filesIn } from "./traps.ts";

const BLOCKS = "estimate --l2 blocks.jsonl --compressor none";
const FEES = "--base-fee 2gwei --tip 1gwei --blob-base-fee 5gwei";

/** What `estimate --json` answers: of what is `bigint` inside, decimal text. */
interface Answer {
  readonly prices: Readonly<Record<string, string>> | null;
  // deno-lint-ignore no-explicit-any
  readonly estimates: readonly { [Key in keyof Estimate]: any }[];
}

/** Runs `action` in a directory with so many blocks, two seconds apart. */
async function withBlocks(
  count: number,
  action: (estimate: (flags: string) => Promise<Answer>, cwd: string) => Promise<void>,
): Promise<void> {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(count, { size: 9000 }));
    const estimate = async (flags: string) =>
      JSON.parse(succeeded(await run(`${BLOCKS} --json ${flags}`, { cwd })));
    await action(estimate, cwd);
  });
}

test("montana estimate of a backlog tells the batches that montana batcher --once posts", async () => {
  await withBlocks(33, async (estimate, cwd) => {
    const packing = "--max-blobs 2 --max-blocks-per-batch 20";
    const { prices, estimates: [only] } = await estimate(`--backlog ${packing}`);
    const flags = "--l2 blocks.jsonl --l1 l1 --once --compressor none --batch-interval 1h";
    succeeded(await run(`batcher ${flags} ${packing}`, { cwd }));
    const posted = await report(join(cwd, "l1"));

    equal(prices, null);
    const shared = ["batchNumber", "blocks", "transactions", "rawBytes", "compressedBytes"];
    const sizes = [...shared, "blobs", "fill", "ratio"];
    const of = (row: object) => sizes.map((key) => (row as Record<string, unknown>)[key]);
    deepEqual(only!.batches.map(of), posted.batches.map(of));
    deepEqual(of(only!.totals).slice(1), of(posted.totals).slice(1));
    deepEqual([only!.totals.batches, only!.totals.longestWaitMs], [2, null]);
    equal(only!.batches[0].costWei, undefined);
    equal(only!.totals.gasUsed, `${2 * 21_080 + 30}`);
    equal(only!.totals.blobGasUsed, `${3 * 131_072}`);
  });
});

test("montana estimate --json has the cost of each batch and of all at the fees that are given", async () => {
  await withBlocks(12, async (estimate, cwd) => {
    const { prices, estimates: [only] } = await estimate(`${FEES} --batch-interval 10s`);
    deepEqual(prices, {
      baseFeeWei: "2000000000",
      tipWei: "1000000000",
      blobBaseFeeWei: "5000000000",
    });
    const { batches, totals, ...settings } = only!;
    deepEqual(settings, { batchIntervalMs: 10_000, level: null, da: "blobs", maxBlobs: 6 });
    equal(batches.length, 3);
    for (const { gasUsed, gasPriceWei, blobGasUsed, blobGasPriceWei, costWei } of batches) {
      equal(gasPriceWei, "3000000000");
      equal(blobGasPriceWei, "5000000000");
      equal(BigInt(blobGasUsed), 131_072n);
      equal(
        BigInt(costWei),
        BigInt(gasUsed) * 3n * 10n ** 9n + BigInt(blobGasUsed) * 5n * 10n ** 9n,
      );
    }
    const sum = batches.reduce(
      (wei: bigint, each: { costWei: string }) => wei + BigInt(each.costWei),
      0n,
    );
    equal(totals.costWei, `${sum}`);
    equal(totals.blobCostWei, `${3n * 131_072n * 5n * 10n ** 9n}`);
    equal(totals.weiPerTransaction.split(".")[0], `${sum / 12n}`);
    deepEqual(batches.map((each: { reason: string }) => each.reason), [
      "interval",
      "interval",
      "shutdown",
    ]);
    equal(totals.longestWaitMs, 10_000);
    deepEqual(await filesIn(cwd), ["blocks.jsonl"], "it writes nothing");
  });
});

test("montana estimate holds intervals, levels and ways of data against each other", async () => {
  await withDirectory(async (cwd) => {
    const blocks = plainBlocks(30).map((block, at) => ({
      ...block,
      transactions: [new Uint8Array(3000).map((_, byte) => (byte * byte * (at + 1)) >> 5)],
    }));
    await writeFile(join(cwd, "blocks.jsonl"), joinLines(blocks.map(lineOf)));
    const flags = "--batch-interval 10s --batch-interval 60s --level 1 --level 9 " +
      `--da blobs --da calldata --da auto ${FEES}`;
    const estimate = `estimate --l2 blocks.jsonl ${flags}`;
    const { estimates }: Answer = JSON.parse(succeeded(await run(`${estimate} --json`, { cwd })));
    equal(estimates.length, 12);
    const of = (batchIntervalMs: number, level: number, da: string) =>
      estimates.find((each) =>
        each.batchIntervalMs === batchIntervalMs && each.level === level && each.da === da
      )!.totals;
    for (const { totals } of estimates) deepEqual([totals.blocks, totals.transactions], [30, 30]);
    for (const level of [1, 9]) {
      for (const da of ["blobs", "calldata", "auto"]) {
        const [often, seldom] = [of(10_000, level, da), of(60_000, level, da)];
        ok(often.batches > seldom.batches);
        ok(often.longestWaitMs < seldom.longestWaitMs);
        ok(BigInt(often.costWei) > BigInt(seldom.costWei));
      }
    }
    ok(of(60_000, 9, "blobs").compressedBytes < of(60_000, 1, "blobs").compressedBytes);
    equal(of(60_000, 9, "calldata").blobs, 0);
    for (const [way, other] of [["blobs", "calldata"], ["calldata", "blobs"]] as const) {
      const [cost, others] = [of(10_000, 9, way), of(10_000, 9, other)].map(({ costWei }) =>
        BigInt(costWei)
      );
      if (cost! < others!) equal(of(10_000, 9, "auto").costWei, `${cost}`);
    }

    const text = succeeded(await run(estimate, { cwd }));
    match(
      text,
      /^interval +level +da +max blobs +batches .* gas +cost +per tx +per byte +waited\n/,
    );
    equal(text.split("\n").length, 1 + 12 + 1 + 1);
    match(text, /^ +60 s +9 +calldata +6 +1 +30 +30 /m);
    match(text, /\nat a base fee of 2 gwei, a tip of 1 gwei and a blob base fee of 5 gwei\n$/);
  });
});

test("montana estimate --csv has a line a batch with its settings", async () => {
  await withBlocks(8, async (estimate, cwd) => {
    const flags = `--batch-interval 10s --batch-interval 1h ${FEES}`;
    const text = succeeded(await run(`${BLOCKS} --csv ${flags}`, { cwd }));
    const [names, ...lines] = text.trimEnd().split("\n").map((line) => line.split(","));
    equal(names!.slice(0, 5).join(), "batchIntervalMs,level,da,maxBlobs,batchNumber");
    const { estimates } = await estimate(flags);
    const rows = estimates.flatMap(({ batches, totals: _, ...settings }) =>
      batches.map((batch: object) => ({ ...settings, ...batch }))
    );
    deepEqual(lines, rows.map((row) => names!.map((name) => `${row[name] ?? ""}`)));
    deepEqual(rows.map(({ batchIntervalMs }) => batchIntervalMs), [10_000, 10_000, 3_600_000]);
  });
});

test("montana estimate takes the blocks from --from to --to", async () => {
  await withBlocks(20, async (estimate, cwd) => {
    const { estimates: [only] } = await estimate("--from 5 --to 14 --max-blocks-per-batch 4");
    const rows = only!.batches.map((each: Record<string, unknown>) =>
      [each["blocks"], each["lastBlock"]].join()
    );
    deepEqual(rows, ["4,8", "4,12", "2,14"]);
    const beyond = await run(`${BLOCKS} --from 15 --to 40`, { cwd });
    match(succeeded(beyond), /^total +5 /m);
    match(beyond.stderr, /^warning: L2 ends with block 19, before --to 40$/m);
    failed(
      await run(`${BLOCKS} --from 20`, { cwd }),
      2,
      /Cannot estimate: the L2 has no block from --from 20 on/,
    );

    await writeFile(join(cwd, "blocks.jsonl"), sourceText(3, { first: 7 }));
    const early = await run(`${BLOCKS} --from 6`, { cwd });
    failed(early, 2, /Cannot begin at --from 6: the L2 begins with block 7/);
    await writeFile(join(cwd, "blocks.jsonl"), joinLines(plainBlocks(3).map(lineOf)));
    failed(await run(`${BLOCKS} --to 6`, { cwd }), 2, /the block of timestamp 1000 has no number/);
  });
});

test("montana estimate reads standard input once for all ways, and a block that is alone too large", async () => {
  await withDirectory(async (cwd) => {
    const stdin = sourceText(6, { size: 100 });
    const flags = "--level 1 --level 2 --level 3 --batch-interval 4s";
    const outcome = await run(`estimate --l2 - ${flags} --json`, { cwd, stdin });
    const { estimates }: Answer = JSON.parse(succeeded(outcome));
    deepEqual(estimates.map(({ level, totals }) => [level, totals.blocks]), [[1, 6], [2, 6], [
      3,
      6,
    ]]);

    await writeFile(join(cwd, "blocks.jsonl"), sourceText(2, { size: 900_000 }));
    failed(await run(`${BLOCKS} --level 1 --level 2`, { cwd }), 1, /Cannot post block 0: alone it/);
  });
});

test("montana estimate refuses what it cannot reckon with, and says what to give", async () => {
  await withBlocks(1, async (_, cwd) => {
    const cases: [string, RegExp][] = [
      ["--base-fee 1gwei", /Cannot tell costs without --blob-base-fee: give it, or the --l1/],
      ["--blob-base-fee 1gwei", /Cannot tell costs without --base-fee/],
      ["--tip 1gwei --da calldata", /Cannot tell costs without --base-fee/],
      ["--base-fee 5", /Cannot use --base-fee "5": need an amount such as 30gwei/],
      ["--da auto", /Cannot use --da auto without fees/],
      [
        "--da blob",
        /Cannot use --da "blob": need one of blobs, calldata, auto; did you mean blobs/,
      ],
      ["--l1 ./l1", /Cannot estimate by --l1 \.\/l1: a directory has no prices/],
      ["--csv --json", /Cannot use --csv with --json/],
      ["--backlog --batch-interval 5s", /Cannot use --batch-interval with --backlog/],
      ["--from 5 --to 4", /Cannot use --from 5 with --to 4/],
      ["--max-blobs 7", /Cannot use --max-blobs "7": need a whole number from 1 to 6/],
      ["--batch-interval 12", /Cannot use --batch-interval "12": need a time/],
    ];
    await inPairs(cases, async ([flags, error]) => {
      failed(await run(`${BLOCKS} ${flags}`, { cwd }), 2, error);
    });
    const calldata = await run(`${BLOCKS} --base-fee 1gwei --da calldata`, { cwd });
    match(succeeded(calldata), /^total +1 +1 .* \d+ gwei +\d/m);
    failed(await run("estimate --l2 none.jsonl", { cwd }), 1, /Cannot read blocks from none.jsonl/);
    const engine = await run("estimate --l2 engine:8551", { cwd });
    failed(engine, 2, /Cannot estimate by --l2 engine:8551: its blocks are to come/);
  });
});
