/**
 * The batcher before nodes of L2 that lie: what they tell is refused by name, and nothing of it is posted.
 *
 * @module
 */
import { match } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { LIES, lying, node } from "../l2/lies.ts";
import { ScriptedL2 } from "../l2/scripted_l2.ts";
import { ServedL2 } from "../l2/served_l2.ts";
import { holdsBlocks } from "./files.ts";
import { halfOf } from "./half.ts";
import { failed, inPairs, run, start, succeeded } from "./montana.ts";

const BATCHER =
  "--l1 l1 --compressor none --max-blocks-per-batch 12 --batch-interval 1h --data-dir data";

/** Of what the source is tested with, and what is said of it here. */
const NAMES = ["another hash", "a transaction left out", "a block without parent", "null", "HTML"];
/** It stands for all blocks that were asked for. */
const PAGE = /Cannot ask 127\.0\.0\.1:\d+ for eth_getBlockByNumber: it answered no JSON-RPC/;

test("montana batcher refuses by name what lying nodes of L2 tell, and takes an honest one", async () => {
  await inPairs(halfOf(NAMES), async (name) => {
    const [tell, message] = LIES[name]!;
    await withDirectory(async (cwd) => {
      await using liar = await ServedL2.begin(lying("liar", tell));
      const alone = await run(`batcher --l2 ${liar.url} ${BATCHER} --once`, { cwd });
      failed(alone, 75, name === "HTML" ? PAGE : message);
      match(alone.stderr, new RegExp(`^error: .*${liar.host}`, "m"));
      // What it told before was true.
      await holdsBlocks(join(cwd, "l1"), 4);
      await using honest = await ServedL2.begin(node("honest"));
      const both = `batcher --l2 ${liar.url} --l2 ${honest.url} ${BATCHER} --once`;
      const outcome = await run(both, { cwd });
      succeeded(outcome);
      match(outcome.stderr, new RegExp(`${liar.host} failed: .*; asking ${honest.host}`));
      await holdsBlocks(join(cwd, "l1"), 12);
    });
  });
});

test("montana batcher uses no node of another chain when the first one dies", async () => {
  await withDirectory(async (cwd) => {
    await using first = await ServedL2.begin(node("first"));
    await using other = await ServedL2.begin(new ScriptedL2(14, { chainId: 5 }));
    await using batcher = start(`batcher --l2 ${first.url} --l2 ${other.url} ${BATCHER}`, { cwd });
    await batcher.untilSaid("batch 0: 12 blocks");
    await first.end();
    await batcher.untilSaid(`Cannot use ${other.host}: its chain id is 5, need 901`);
    await batcher.untilSaid(/warning: Connection: .*the connection was refused; trying again/);
    batcher.send("SIGTERM");
    succeeded(await batcher.ended);
    await holdsBlocks(join(cwd, "l1"), 12);
  });
});

test("montana batcher stops where the next node has other blocks under the same chain id", async () => {
  await withDirectory(async (cwd) => {
    await using first = await ServedL2.begin(node("first"));
    await using other = await ServedL2.begin(new ScriptedL2(14));
    await using batcher = start(`batcher --l2 ${first.url} --l2 ${other.url} ${BATCHER}`, { cwd });
    await batcher.untilSaid("batch 0: 12 blocks");
    await first.end();
    failed(
      await batcher.ended,
      1,
      /L2 no longer has blocks 1 to 12, which sealed batches up to 0 hold/,
    );
    await holdsBlocks(join(cwd, "l1"), 12);
  });
});
