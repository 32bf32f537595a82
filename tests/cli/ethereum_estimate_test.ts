/**
 * What `montana estimate` tells before, held against what `montana report` says afterwards that was paid on
 * a real L1, and against a real node of L2.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { type EthereumPlace, INBOX, run, succeeded, withEthereum } from "./ethereum.ts";
import { sourceText } from "./files.ts";
import { failed } from "./montana.ts";

type Row = Readonly<Record<string, string | number | null>>;

/** Estimates `l2.jsonl` at the fees and under the origin of the L1, posts it, and reports. */
async function estimatedAndPosted(
  { cwd, url, batcher, post }: EthereumPlace,
  packing: string,
): Promise<{ readonly estimated: readonly Row[]; readonly posted: readonly Row[] }> {
  const estimate = `estimate --l2 l2.jsonl --backlog --l1 ${url} ${packing} --json`;
  const { estimates: [{ batches: estimated }] } = JSON.parse(
    succeeded(await run(estimate, { cwd })),
  );
  const flags = `--once --data-dir data --batch-interval 1h ${packing}`;
  succeeded(await run(post("l2.jsonl", flags), { cwd }));
  const l1 = ["--l1", url, "--beacon", url, "--inbox", INBOX, "--batcher", batcher];
  const { batches: posted } = JSON.parse(
    succeeded(await run(["report", ...l1, "--json"], { cwd })),
  );
  return { estimated, posted };
}

/** Makes sure that what was told came true; fees move from block to block, so they are those of the report. */
async function cameTrue(place: EthereumPlace, packing: string): Promise<readonly Row[]> {
  const { estimated, posted } = await estimatedAndPosted(place, packing);
  const keys = ["batchNumber", "blocks", "transactions", "rawBytes", "compressedBytes", "blobs"];
  const of = (row: Row) =>
    [...keys, "fill", "ratio", "gasUsed", "blobGasUsed"].map((key) => row[key]);
  deepEqual(estimated.map(of), posted.map(of));
  for (const [index, row] of posted.entries()) {
    const fees = `--base-fee ${row["gasPriceWei"]}wei --blob-base-fee ${row["blobGasPriceWei"]}wei`;
    const again =
      `estimate --l2 l2.jsonl --backlog ${packing} ${fees} --l1 ${place.url} --tip 0wei`;
    const { estimates } = JSON.parse(
      succeeded(await run(`${again} --json`, { cwd: place.cwd })),
    );
    const told: Row = estimates[0].batches[index];
    equal(told["costWei"], row["costWei"], `batch ${index}`);
    equal(told["weiPerTransaction"], row["weiPerTransaction"]);
    equal(told["weiPerByte"], row["weiPerByte"]);
  }
  return posted;
}

const BLOBS = "montana estimate tells what batches in blobs cost that are posted afterwards";
test(BLOBS, { skip: skipWithoutAnvil(BLOBS) }, async () => {
  await withEthereum(async (place) => {
    await writeFile(join(place.cwd, "l2.jsonl"), sourceText(38, { size: 9000 }));
    const posted = await cameTrue(place, "--level 2 --max-blobs 2 --max-blocks-per-batch 25");
    deepEqual(posted.map((row) => row["blobs"]), [2, 1]);
  });
});

const CALLDATA = "montana estimate tells what batches in calldata cost that are posted afterwards";
test(CALLDATA, { skip: skipWithoutAnvil(CALLDATA) }, async () => {
  await withEthereum(async (place) => {
    await writeFile(join(place.cwd, "l2.jsonl"), sourceText(30, { size: 500 }));
    const posted = await cameTrue(place, "--level 9 --da calldata --max-blocks-per-batch 10");
    deepEqual(posted.map((row) => row["blobs"]), [0, 0, 0]);
  });
});

const PRESENT =
  "montana estimate --l1 reckons with the present fees, and with those given in their place";
test(PRESENT, { skip: skipWithoutAnvil(PRESENT) }, async () => {
  await withEthereum(async ({ cwd, anvil, url }) => {
    await writeFile(join(cwd, "l2.jsonl"), sourceText(3));
    await anvil.rpc("anvil_setNextBlockBaseFeePerGas", ["0x12a05f200"]);
    await anvil.mine();
    const prices = async (flags: string) =>
      JSON.parse(
        succeeded(await run(`estimate --l2 l2.jsonl --json --l1 ${url} ${flags}`, { cwd })),
      )
        .prices;
    const tip = BigInt(await anvil.rpc("eth_maxPriorityFeePerGas"));
    const blobBaseFee = BigInt(await anvil.rpc("eth_blobBaseFee"));
    const now = {
      baseFeeWei: "5000000000",
      tipWei: `${tip}`,
      blobBaseFeeWei: `${blobBaseFee}`,
    };
    deepEqual(await prices("--da auto"), now);
    deepEqual(await prices("--blob-base-fee 7gwei"), { ...now, blobBaseFeeWei: "7000000000" });
    failed(
      await run(`estimate --l2 l2.jsonl --l1 ${url} --chain-id 1`, { cwd }),
      78,
      /its chain id is 31337, need 1$/,
    );
  }, { noMining: true });
});

const NODE = "montana estimate takes a range of blocks from a node of L2";
test(NODE, { skip: skipWithoutAnvil(NODE) }, async () => {
  await using l2 = await startAnvil({ noMining: true });
  await l2.mine(12);
  const estimate = `estimate --l2 ${l2.url} --backlog --compressor none`;
  const ranges: [string, number, string][] = [
    ["", 12, "12"],
    ["--from 3 --to 9", 7, "9"],
    ["--from 11", 2, "12"],
  ];
  for (const [flags, blocks, last] of ranges) {
    const { estimates: [{ batches, totals }] } = JSON.parse(
      succeeded(await run(`${estimate} ${flags} --json`)),
    );
    deepEqual([totals.blocks, batches.at(-1).lastBlock], [blocks, last], flags);
  }
  failed(
    await run(`${estimate} --from 50`),
    2,
    /Cannot estimate: the L2 has no block from --from 50 on/,
  );
});
