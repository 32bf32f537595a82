/**
 * All that happens to a rollup, in one run: an L2 under load, while it is reorganised, L2 and L1 are
 * stopped and started again, and the batcher is killed. The gate does the short form of it,
 * `deno task crash` the long one.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { chainOf } from "../l2/anvil_l2.ts";
import { isWhole, tellDone } from "./crash.ts";
import { failed } from "./montana.ts";
import { Rollup } from "./rollup.ts";

/** Blocks that a reorganisation takes away. */
const DEPTH = 3;
const [PER_SECOND, PHASE_BLOCKS] = isWhole ? [200, 40] : [20, 6];
const OPTIONS = {
  perSecond: PER_SECOND,
  perBlob: isWhole ? 2000 : 100,
  perBatch: 10,
};

const RUN =
  "crash: montana brings an L2 under load through L1 and back, whatever becomes of either";
test(RUN, { skip: skipWithoutAnvil(RUN) }, async () => {
  await withDirectory(async (cwd) => {
    await using rollup = await Rollup.begin(cwd, OPTIONS);
    const { load, l2 } = rollup;
    await rollup.goOn();
    await rollup.work(PHASE_BLOCKS);
    const gone = await reorganise(rollup);
    await rollup.work(PHASE_BLOCKS);
    await restartL2(rollup);
    await rollup.work(PHASE_BLOCKS);
    await restartL1(rollup);
    await rollup.work(PHASE_BLOCKS);
    // The batch is in no transaction yet, and there are blocks that are in no batch.
    await rollup.killAtNext("sealed batch");
    await rollup.work(PHASE_BLOCKS);
    await rollup.end();

    const chain = await cameBack(rollup);
    const head = Number(await l2.head());
    const { verdict, from, to, same, transactions } = JSON.parse(await rollup.verify());
    deepEqual([verdict, from, to, same], ["same", "1", `${head}`, head]);
    const raws = chain.flatMap(transactionsIn);
    deepEqual([raws.length, transactions], [load.sent - gone, load.sent - gone]);
    const types = raws.map((raw) => /^0x0[1-4]/.exec(raw)?.[0] ?? "0x00");
    deepEqual([...new Set(types)].sort(), ["0x00", "0x01", "0x02", "0x03", "0x04"]);
    const posted = await rollup.posted();
    await rollup.landedOnce(posted.length);
    const blobs = posted.reduce((all, each) => all + each.blobs, 0);
    tellDone(
      RUN,
      `${load.sent} transactions were sent, ${gone} reorganised away, ${raws.length} are in ${head} blocks, in ` +
        `${posted.length} batches and ${blobs} blobs; derived is up to ` +
        `${Math.max(...rollup.lags)} blocks behind (${rollup.lags})`,
    );
  });
});

const BELOW =
  "montana batcher stops where L2 goes another way below a sealed batch, and goes on once L2 is back";
test(BELOW, { skip: skipWithoutAnvil(BELOW) }, async () => {
  await withDirectory(async (cwd) => {
    const options = { perSecond: 20, perBlob: 100, perBatch: 5 };
    await using rollup = await Rollup.begin(cwd, options);
    const { batcher, l2 } = rollup;
    await rollup.goOn();
    await batcher.untilSaid("sealed batch 0");
    await rollup.holdStill();
    await l2.keep();
    await l2.rpc("anvil_reorg", [Number(await l2.head()) - 3, []]);
    failed(await batcher.ended, 5, /L2 no longer has blocks 4 to \d+, which sealed batches/);
    await l2.bringBack();
    const [, last, hash] = /chain with block (\d+) (0x\w+) and start again/.exec(batcher.stderr)!;
    const block = await l2.rpc("eth_getBlockByNumber", [`0x${Number(last).toString(16)}`, false]);
    equal(hash, block.hash);
    await rollup.startBatcherAgain();
    await rollup.goOn();
    await rollup.work(3);
    await rollup.end();
    await cameBack(rollup);
  });
});

/** Makes sure that what was derived is what L2 has; gives it. */
async function cameBack(rollup: Rollup): Promise<string[]> {
  const chain = await chainOf(rollup.l2, rollup.load.raws);
  const derived = await rollup.derived();
  equal(derived.length, chain.length, "number of blocks");
  const different = chain.findIndex((each, index) => each !== derived[index]);
  equal(different, -1, `block ${different + 1} differs`);
  return chain;
}

/**
 * Other blocks in place of some that were taken, none of which is in a batch yet.
 *
 * @returns how many transactions are gone
 */
async function reorganise(rollup: Rollup): Promise<number> {
  const { l2, load, batcher } = rollup;
  let [shared, gone] = [0, 0];
  for (;;) {
    await rollup.holdStill();
    const chain = await chainOf(l2, load.raws);
    shared = chain.length - DEPTH;
    gone = chain.slice(shared).flatMap(transactionsIn).length;
    if (rollup.unsealed >= DEPTH && gone > 0) break;
    await rollup.goOn();
    await rollup.work(DEPTH);
  }
  await l2.rpc("anvil_reorg", [DEPTH, []]);
  await batcher.untilSaid(
    `L2 was reorganised above block ${shared}: ${DEPTH} blocks taken before are replaced`,
  );
  await rollup.goOn();
  return gone;
}

/** Signed bytes. */
function transactionsIn(block: string): string[] {
  return block.split(",").slice(1);
}

/** The batcher waits for its node, and goes on. */
async function restartL2(rollup: Rollup): Promise<void> {
  const { l2, load, batcher } = rollup;
  await load.pause();
  const said = batcher.stderr.length;
  await l2.stop();
  const down = isDown(l2.url);
  await batcher.until("it misses L2", () => down.test(batcher.stderr.slice(said)));
  await l2.start();
  await rollup.goOn();
}

/** Blocks go on coming; batcher and deriver wait for their node, and catch up. */
async function restartL1(rollup: Rollup): Promise<void> {
  const { l1, batcher, deriver } = rollup;
  const down = isDown(l1.url);
  const said = new Map([batcher, deriver].map((each) => [each, each.stderr.length]));
  await l1.stop();
  for (const [each, before] of said) {
    await each.until("it misses L1", () => down.test(each.stderr.slice(before)));
  }
  await l1.start();
}

/** What is said of a node that was stopped. */
function isDown(url: string): RegExp {
  return new RegExp(`warning: .*${new URL(url).host}.*the connection (?:was refused|broke)`);
}
