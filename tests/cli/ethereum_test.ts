/**
 * Real blocks to a real L1 and back.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { hasShared, sharedPath } from "../shared.ts";
import {
  landedOnce,
  postedTransactions,
  run,
  start,
  succeeded,
  thereAndBack,
  withEthereum,
} from "./ethereum.ts";
import { joinLines, linesOf, readText, sameBlocks, sourceText } from "./files.ts";

const BASE = "blocks/base-mainnet-19995441.jsonl.gz";
const SMALL = "blocks/linea-mainnet-67050.jsonl.gz";

const skipped = (name: string, ...files: string[]) => ({
  skip: skipWithoutAnvil(name) || files.some((file) => !hasShared(file, name)),
});

const BLOBS = "montana gives the blocks of Base back that went to Ethereum in blobs";
test(BLOBS, skipped(BLOBS, BASE), async () => {
  await withEthereum(async (place) => {
    // However slow the machine is, no block waits for longer than the interval.
    await thereAndBack(place, sharedPath(BASE), "--level 9 --batch-interval 1h");
    const posted = await postedTransactions(place);
    ok(posted.length >= 1);
    ok(posted.every(({ type, blobs }) => type === 3 && blobs > 0));
    deepEqual(posted.map(({ nonce }) => nonce), posted.map((_, index) => BigInt(index)));
    equal(posted.reduce((sum, { blobs }) => sum + blobs, 0), 5);
  });
});

for (const [flags, type] of [["--sidecar legacy", 3], ["--da calldata", 2]] as const) {
  const name = `montana gives blocks back that went to Ethereum with ${flags}`;
  test(name, skipped(name, SMALL), async () => {
    await withEthereum(async (place) => {
      await thereAndBack(place, sharedPath(SMALL), `--level 6 --max-blocks-per-batch 4 ${flags}`);
      const posted = await postedTransactions(place);
      equal(posted.length, 3);
      ok(posted.every((each) => each.type === type));
    });
  });
}

const REORG = "montana posts again what reorganisations drop, and its deriver steps back";
test(REORG, skipped(REORG), async () => {
  await withEthereum(async (place) => {
    const { cwd, anvil, post, derive } = place;
    const lines = linesOf(sourceText(24));
    await writeFile(join(cwd, "l2.jsonl"), "");
    const flags =
      "--data-dir data --max-blocks-per-batch 2 --batch-interval 500ms --compressor none";
    await using batcher = start(post("l2.jsonl", flags), { cwd });
    await using deriver = start(derive("out.jsonl", "--data-dir back --confirmations 1"), { cwd });

    const derived = () => readFile(join(cwd, "out.jsonl"), "utf8").catch(() => "");
    let given = 0;
    const give = async (count: number) => {
      await appendFile(join(cwd, "l2.jsonl"), joinLines(lines.slice(given, given += count)));
      await deriver.until(`${given} blocks`, async () => linesOf(await derived()).length === given);
    };
    // There are blocks enough to reorganise, however fast all this is.
    await anvil.mine(25);
    for (const depth of [1, 5, 20]) {
      await give(6);
      // So that even the shortest one reaches what was derived.
      const top = (await postedTransactions(place)).at(-1)!.block;
      // Nor may a block come between the look at the head and the reorganisation.
      await anvil.rpc("evm_setIntervalMining", [0]);
      const below = Math.max(depth, Number(await anvil.head() - top) + 1);
      await anvil.rpc("anvil_reorg", [below, []]);
      await anvil.rpc("evm_setIntervalMining", [1]);
      await deriver.until(`stepped back over ${below}`, () => /took back/.test(deriver.stderr));
    }
    await give(6);
    batcher.send("SIGTERM");
    succeeded(await batcher.ended);
    await deriver.until("all is derived", async () => linesOf(await derived()).length === 24);
    deriver.send("SIGTERM");
    succeeded(await deriver.ended);
    await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
    match(batcher.stderr, /is gone, and batch \d+ with nonce \d+ with it: it is sent again/);
    equal(deriver.stderr.match(/took back [1-9]/g)?.length, 3);

    // From the start, an L1 without the branches that were left gives the same.
    succeeded(await run(derive("anew.jsonl", "--once"), { cwd }));
    const blocksOf = async (name: string) =>
      linesOf(await readText(join(cwd, name))).map((line) => JSON.parse(line).transactions);
    deepEqual(await blocksOf("anew.jsonl"), await blocksOf("out.jsonl"));
    await landedOnce(place, 12);
  });
});
