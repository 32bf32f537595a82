/**
 * What went from one anvil to another in blobs, held against the first.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { oneOfEachType, send, signedTransfer } from "../l2/anvil_l2.ts";
import { INBOX, run, succeeded, withEthereum } from "./ethereum.ts";
import { textOf } from "./montana.ts";

const CHAIN = 901;

const NAME = "montana verify holds blocks of all types in blobs on Ethereum against their node";
test(NAME, { skip: skipWithoutAnvil(NAME) }, async () => {
  await using l2 = await startAnvil({ noMining: true, chainId: CHAIN });
  await l2.mine(3);
  await send(l2, await oneOfEachType(CHAIN, 0));
  await l2.mine(4);
  await send(l2, [await signedTransfer(CHAIN, 7)]);
  await l2.mine(2);
  const head = await l2.head();

  await withEthereum(async ({ cwd, url, batcher, post }) => {
    const flags = "--data-dir data --once --compressor none --max-blocks-per-batch 4";
    succeeded(await run(post(l2.url, flags), { cwd }));
    const verify = `verify --l2 ${l2.url} --l1 ${url} --beacon ${url} --inbox ${INBOX} ` +
      `--batcher ${batcher} --confirmations 0 --from 1 --to ${head} --log-level warn`;
    match(
      succeeded(await run(verify, { cwd })),
      new RegExp(`^blocks 1 to ${head}: ${head} blocks`),
    );

    // L2 goes another way above what was posted: block 8 held a transfer.
    await l2.rpc("anvil_reorg", [3, []]);
    const outcome = await run(`${verify} --json`, { cwd });
    equal(outcome.code, 4, outcome.stderr);
    const { verdict, firstDifference: { kind, block, transaction, l2: has } } = JSON.parse(
      textOf(outcome),
    );
    deepEqual([verdict, kind, block, transaction, has], ["different", "transaction", "8", 0, null]);
  });
});
