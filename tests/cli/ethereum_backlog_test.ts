/**
 * Batches on a real L1 that come faster than blocks, or after a crash that nothing is remembered of.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { hasShared, sharedPath } from "../shared.ts";
import { tellDone } from "./crash.ts";
import {
  landedOnce,
  postedTransactions,
  run,
  sentWithCare,
  start,
  succeeded,
  withEthereum,
  withProxy,
} from "./ethereum.ts";
import { joinLines, linesOf, readText, sameBlocks, sourceText } from "./files.ts";

const BASE = ["19995441", "19995509", "19995583"]
  .map((number) => `blocks/base-mainnet-${number}.jsonl.gz`);

const BACKLOG =
  "crash: montana batcher posts a backlog of all of Base's blocks as fast as L1 takes it";
const noBlocks = BASE.some((file) => !hasShared(file, BACKLOG));
test(BACKLOG, { skip: skipWithoutAnvil(BACKLOG) || noBlocks }, async () => {
  await withEthereum(async (place) => {
    const { cwd, post, derive } = place;
    const blocks = await backlog();
    await writeFile(join(cwd, "l2.jsonl"), joinLines(blocks));
    const outcome = await run(post("l2.jsonl", "--once --data-dir data --level 6"), { cwd });
    succeeded(outcome);
    const posted = await postedTransactions(place);
    await landedOnce(place, posted.length);
    const blobs = posted.reduce((sum, each) => sum + each.blobs, 0);
    const took = Number(posted.at(-1)!.block - posted[0]!.block) + 1;
    const most = Math.floor(blobs / 6) + 10;
    tellDone(
      BACKLOG,
      `${blocks.length} blocks in ${posted.length} batches and ${blobs} blobs, in ` +
        `${took} L1 blocks of 1 s; at most ${most} wanted`,
    );
    // They go out together: a fifth of that is usual.
    ok(took <= most, `${took} L1 blocks for ${blobs} blobs, at most ${most}`);
    succeeded(await run(derive("out.jsonl", "--once"), { cwd }));
    await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
  });
});

/** Between the files blocks are missing, so none says after which other it comes. */
async function backlog(): Promise<string[]> {
  const texts = await Promise.all(BASE.map((file) => readText(sharedPath(file))));
  const lines = linesOf(texts.join(""));
  return lines.map((line) => {
    const { timestamp, transactions } = JSON.parse(line);
    return JSON.stringify({ timestamp, transactions });
  });
}

const FORGOTTEN =
  "montana batcher without --data-dir waits for what an earlier run left in the pool";
test(FORGOTTEN, { skip: skipWithoutAnvil(FORGOTTEN) }, async () => {
  await withProxy(async (place, proxy) => {
    const { anvil, cwd, post, derive } = place;
    await writeFile(join(cwd, "l2.jsonl"), sourceText(3));
    const args = post(
      "l2.jsonl",
      "--once --da calldata --max-blocks-per-batch 1 --compressor none --block-time 250ms",
    );
    await using first = start(args, { cwd });
    await first.until("all are sent", () => proxy.sent.length >= 3);
    first.send("SIGKILL");
    await first.ended;
    await using second = start(args, { cwd });
    await second.untilSaid(/waiting for 3 transactions of 0x.* are in no block yet/);
    await anvil.rpc("evm_setIntervalMining", [1]);
    succeeded(await second.ended);
    succeeded(await run(derive("out.jsonl", "--once"), { cwd }));
    await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
    await landedOnce(place, 3);
    sentWithCare(proxy, 1000);
  }, { noMining: true, slotsInAnEpoch: 1 });
});
