/**
 * The batcher before nodes of L2 that lie: what they tell is refused by name, and nothing of it is posted.
 *
 * @module
 */
import { match } from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { RpcError } from "../../src/errors.ts";
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

test("montana batcher uses no node with another genesis under the same chain id", async () => {
  await withDirectory(async (cwd) => {
    await using first = await ServedL2.begin(node("first"));
    await using other = await ServedL2.begin(new ScriptedL2(14));
    await using batcher = start(`batcher --l2 ${first.url} --l2 ${other.url} ${BATCHER}`, { cwd });
    await batcher.untilSaid("batch 0: 12 blocks");
    await first.end();
    await batcher.untilSaid(`Cannot use ${other.host}: it is another chain: its block 0 is 0x`);
    await batcher.untilSaid(/warning: Connection: .*the connection was refused; trying again/);
    batcher.send("SIGTERM");
    succeeded(await batcher.ended);
    await holdsBlocks(join(cwd, "l1"), 12);
  });
});

test("montana batcher is not unsettled by a fallback on another branch", async () => {
  await withDirectory(async (cwd) => {
    const l2 = node("first");
    const branch = node("branch");
    branch.reorganise(4, 9);
    await using first = await ServedL2.begin(l2);
    await using other = await ServedL2.begin(branch);
    await using batcher = start(`batcher --l2 ${first.url} --l2 ${other.url} ${BATCHER}`, { cwd });
    await batcher.untilSaid("batch 0: 12 blocks");
    l2.answer = () => new RpcError("Invalid", "a page");
    await batcher.untilSaid(`L2 block 9 of ${other.host}: it has another block 9 than was taken`);
    l2.answer = (_, __, answer) => answer;
    l2.grow(12);
    await batcher.untilSaid("batch 1: 12 blocks");
    batcher.send("SIGTERM");
    succeeded(await batcher.ended);
    await holdsBlocks(join(cwd, "l1"), 24);
  });
});

test("montana batcher --once asks the next node where one has no head, and fails where none has", async () => {
  await withDirectory(async (cwd) => {
    const headless = node("headless");
    headless.answer = (_, [tag], answer) => tag === "latest" ? null : answer;
    await using bad = await ServedL2.begin(headless);
    await using good = await ServedL2.begin(node("good"));
    const why = new RegExp(`Cannot follow ${bad.host}: it has no latest block, and answers null`);
    failed(await run(`batcher --l2 ${bad.url} ${BATCHER} --once`, { cwd }), 75, why);
    const both = await run(`batcher --l2 ${bad.url} --l2 ${good.url} ${BATCHER} --once`, { cwd });
    succeeded(both);
    match(both.stderr, new RegExp(`${bad.host} failed: .*asking ${good.host}`));
    await holdsBlocks(join(cwd, "l1"), 12);
  });
});

test("montana batcher refuses to go on with another, shorter chain of the same id", async () => {
  await withDirectory(async (cwd) => {
    const journaled = `${BATCHER} --once`;
    {
      await using first = await ServedL2.begin(node("first"));
      succeeded(await run(`batcher --l2 ${first.url} ${journaled}`, { cwd }));
      const told = await run(`batcher --l2 ${first.url} --l2-chain-id 5 ${journaled}`, { cwd });
      failed(told, 2, /--l2-chain-id 5 with --data-dir data: it belongs to chain 901/);
    }
    await using other = await ServedL2.begin(new ScriptedL2(3));
    const why = `Cannot use ${other.host}: it is another chain: its block 0 is 0x\\w+, need 0x\\w+`;
    for (const once of ["", "--once"]) {
      const outcome = await run(`batcher --l2 ${other.url} ${BATCHER} ${once}`, { cwd });
      failed(outcome, 5, new RegExp(why));
    }
    await holdsBlocks(join(cwd, "l1"), 12);
  });
});
