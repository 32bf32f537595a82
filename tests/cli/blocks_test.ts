import { ok, strictEqual as equal } from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { hasShared, sharedPath } from "../shared.ts";
import { withDirectory } from "../helpers.ts";
import { holdsBlocks, linesOf, readText, type Report, sameBlocks, sourceText } from "./files.ts";
import { halfOf } from "./half.ts";
import { run, succeeded } from "./montana.ts";

const SMALL = "blocks/linea-mainnet-67050.jsonl.gz";
const MANY = "blocks/polynomial-mainnet-4368463.jsonl.gz";

/** Posts a file with `flags`, derives it, and makes sure that its blocks come back as they were. */
async function thereAndBack(source: string, flags: string): Promise<Report> {
  return await withDirectory(async (cwd) => {
    const batcher = ["batcher", "--l2", source, "--l1", "l1", "--once", ...flags.split(" ")];
    const posted = await run(batcher, { cwd });
    ok(/^posted \d+ batch/.test(succeeded(posted)), posted.stderr);
    succeeded(await run("deriver --l1 l1 --out derived.jsonl --once", { cwd }));
    await sameBlocks(join(cwd, "derived.jsonl"), source);
    return await holdsBlocks(join(cwd, "l1"), linesOf(await readText(source)).length);
  });
}

const folder = sharedPath("blocks");
const files = existsSync(folder)
  ? readdirSync(folder).filter((name) => /\.jsonl\.gz$/.test(name) && !/singles/.test(name)).sort()
  : [];
if (files.length === 0) hasShared("blocks", "real blocks through batcher and deriver");

for (const name of halfOf(files)) {
  test(`montana gives the blocks of ${name} back as they were`, async () => {
    const { totals } = await thereAndBack(join(folder, name), "--max-blobs 6 --level 4");
    ok(totals["ratio"]! > 1.5, `ratio ${totals["ratio"]}`);
  });
}

const skip = !hasShared(SMALL, "montana batcher in every mode");

test("montana batcher fills single blobs at level 11 by default", { skip }, async () => {
  const source = sharedPath("blocks/unichain-mainnet-36637400.jsonl.gz");
  const { batches } = await thereAndBack(source, "--max-blobs 1");
  equal(batches.every((row) => row.blobs === 1), true);
  const filled = batches.slice(0, -1);
  ok(filled.length >= 1, `${batches.length} batches`);
  for (const { fill } of filled) ok(fill! > 0.9 && fill! <= 1, `fill ${fill}`);
});

test("montana batcher --da calldata posts without blobs", { skip }, async () => {
  const { totals, batches } = await thereAndBack(sharedPath(SMALL), "--da calldata --level 9");
  equal(totals["blobs"], 0);
  equal(totals["fill"], null);
  ok(batches.every((row) => row.blobs === 0 && row.compressedBytes > 0));
});

test("montana batcher --da calldata cuts batches to what a transaction takes", async () => {
  await withDirectory(async (cwd) => {
    const source = join(cwd, "blocks.jsonl");
    await writeFile(source, sourceText(30, { size: 10_000 }));
    const { batches } = await thereAndBack(source, "--da calldata --compressor none --max-blobs 6");
    equal(batches.length, 3);
    ok(batches.every((row) => row.compressedBytes <= 120_000));
  });
});

test("montana batcher --max-blocks-per-batch 5 puts five blocks in each", { skip }, async () => {
  const { batches } = await thereAndBack(sharedPath(SMALL), "--max-blocks-per-batch 5 --level 4");
  equal(batches.map((row) => row.blocks).join(), "5,5");
});

test("montana batcher puts at most 1000 blocks in a batch by default", { skip }, async () => {
  const { batches } = await thereAndBack(sharedPath(MANY), "--level 4");
  ok(batches.every((row) => row.blocks <= 1000));
  ok(batches.length > 1);
});

for (const flags of ["--compressor zstd", "--compressor none", "--engine native --window 20"]) {
  test(`montana deriver reads what montana batcher ${flags} posted`, { skip }, async () => {
    await thereAndBack(sharedPath(SMALL), flags);
  });
}

test(
  "montana deriver needs no flag to read batches of several compressions",
  { skip },
  async () => {
    await withDirectory(async (cwd) => {
      const source = sharedPath(SMALL);
      const lines = linesOf(await readText(source));
      for (const [at, flags] of ["brotli --level 5", "zstd", "none"].entries()) {
        const part = lines.slice(0, 3 + 3 * at).map((line) => line + "\n").join("");
        await writeFile(join(cwd, "part.jsonl"), part);
        const args = `batcher --l2 part.jsonl --l1 l1 --once --compressor ${flags}`;
        succeeded(await run(args, { cwd }));
      }
      succeeded(await run("deriver --l1 l1 --out derived.jsonl --once", { cwd }));
      await sameBlocks(join(cwd, "derived.jsonl"), join(cwd, "part.jsonl"));
      await holdsBlocks(join(cwd, "l1"), 9);
    });
  },
);

test("montana deriver gives the same blocks however far it reads ahead", async () => {
  await withDirectory(async (cwd) => {
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(40));
    const flags = "--max-blocks-per-batch 3 --level 4 --once";
    succeeded(await run(`batcher --l2 blocks.jsonl --l1 l1 ${flags}`, { cwd }));
    for (const size of ["0", "1B", "65MiB", "1024MiB"]) {
      const derive = `deriver --l1 l1 --out ${size} --once --max-ahead-bytes ${size}`;
      succeeded(await run(derive, { cwd }));
      await sameBlocks(join(cwd, size), join(cwd, "blocks.jsonl"));
    }
  });
});

test("montana deriver reads no other inbox and no other batcher", async () => {
  await withDirectory(async (cwd) => {
    const [inbox, batcher] = ["0x" + "11".repeat(20), "0x" + "22".repeat(20)];
    await writeFile(join(cwd, "blocks.jsonl"), sourceText(6));
    const own = `--inbox ${inbox} --batcher ${batcher}`;
    succeeded(await run(`batcher --l2 blocks.jsonl --l1 l1 --once ${own}`, { cwd }));
    const derive = (flags: string, out: string) =>
      run(`deriver --l1 l1 --out ${out} --once --json ${flags}`, { cwd });

    const other = JSON.parse(succeeded(await derive(`--inbox ${inbox}`, "a")));
    equal(other.transactions_ignored, 1);
    equal(JSON.parse(succeeded(await derive("", "b"))).transactions_ignored, 0);
    equal(await readText(join(cwd, "a")) + await readText(join(cwd, "b")), "");
    succeeded(await derive(own, "c"));
    await sameBlocks(join(cwd, "c"), join(cwd, "blocks.jsonl"));
  });
});
