/**
 * Reorganisations of L1 while batches are in blocks, in the pool, and not posted at all. Blocks are made by
 * the test, one after the other with the reorganisations: anvil is not made for both at once.
 *
 * @module
 */
import { match, ok } from "node:assert/strict";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { landedOnce, postedTransactions, start, succeeded, withEthereum } from "./ethereum.ts";
import { joinLines, linesOf, sameBlocks, sourceText } from "./files.ts";

const FLAGS = "--data-dir data --da calldata --compressor none --max-blocks-per-batch 2 " +
  "--block-time 200ms --batch-interval 100ms --poll-interval 20ms --confirmations 3";
const DEPTHS = [1, 3, 8];
const BLOCKS = 10 * DEPTHS.length;

const MIDFLIGHT = "montana posts all once though L1 is reorganised with batches on their way";
test(MIDFLIGHT, { skip: skipWithoutAnvil(MIDFLIGHT) }, async () => {
  await withEthereum(async (place) => {
    const { cwd, anvil, post, derive } = place;
    await writeFile(join(cwd, "l2.jsonl"), "");
    const lines = linesOf(sourceText(BLOCKS));
    const give = (count: number) =>
      appendFile(join(cwd, "l2.jsonl"), joinLines(lines.splice(0, count)));
    await anvil.mine(10);
    await using batcher = start(post("l2.jsonl", FLAGS), { cwd });
    await using deriver = start(derive("out.jsonl", "--data-dir back --confirmations 0"), { cwd });
    const pooled = async () => Number((await anvil.rpc("txpool_status", [])).pending);

    for (const depth of DEPTHS) {
      await give(4);
      await batcher.until("batches are in the pool", async () => await pooled() > 0);
      await anvil.mine();
      await give(4);
      await batcher.until("others are in the pool", async () => await pooled() > 0);
      const [waiting, head] = [await pooled(), await anvil.head()];
      const lost = (await postedTransactions(place)).filter(({ block }) =>
        block > head - BigInt(depth)
      );
      ok(waiting > 0 && lost.length > 0, `${waiting} wait, ${lost.length} are in blocks`);
      await give(2);
      await anvil.rpc("anvil_reorg", [depth, []]);
      await anvil.mine();
    }

    let isDone = false;
    const mining = (async () => {
      while (!isDone) {
        await anvil.mine();
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    })();
    try {
      const out = () => readFile(join(cwd, "out.jsonl"), "utf8").catch(() => "");
      await deriver.until("all is derived", async () => linesOf(await out()).length === BLOCKS);
      batcher.send("SIGTERM");
      succeeded(await batcher.ended);
      deriver.send("SIGTERM");
      succeeded(await deriver.ended);
    } finally {
      isDone = true;
      await mining;
    }
    match(batcher.stderr, /is gone, and batch \d+ with nonce \d+ with it: it is sent again/);
    await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
    await landedOnce(place, (await postedTransactions(place)).length);
  }, { noMining: true });
});
