/**
 * The deriver and the batcher behind a node that lies about what L1 holds: nothing is passed over in
 * silence, and nothing paid for twice.
 *
 * @module
 */
import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import type { FaultProxy } from "../l1/fault_proxy.ts";
import {
  type EthereumPlace,
  landedOnce,
  postedTransactions,
  run,
  succeeded,
  withProxy,
} from "./ethereum.ts";
import { sameBlocks, sourceText } from "./files.ts";
import { failed } from "./montana.ts";

type Transaction = Record<string, unknown>;

/** Rewrites the transactions of all blocks. */
function lie(proxy: FaultProxy, change: (transactions: Transaction[]) => void): void {
  proxy.rewrite("eth_getBlockByNumber", (block, [, isWhole]) => {
    if (isWhole && block) change(block.transactions);
    return block;
  });
}

/** Posts three batches of a block each, in calldata. */
async function posted({ cwd, post }: EthereumPlace): Promise<string[]> {
  await writeFile(join(cwd, "l2.jsonl"), sourceText(3));
  const args = post(
    "l2.jsonl",
    "--once --data-dir data --da calldata --max-blocks-per-batch 1 --block-time 250ms",
  );
  succeeded(await run(args, { cwd }));
  return args;
}

const CHANGED = "montana passes over no batch that its node tells otherwise than it was signed";
test(CHANGED, { skip: skipWithoutAnvil(CHANGED) }, async () => {
  await withProxy(async (place, proxy) => {
    const { cwd, anvil, derive } = place;
    const post = await posted(place);
    // So that nothing is waited for that may still go.
    await anvil.mine(70);
    const changes: ((each: Transaction) => void)[] = [
      (each) => each["input"] = `${each["input"]}00`,
      (each) => delete each["chainId"],
    ];
    for (const change of changes) {
      lie(proxy, (transactions) => transactions.forEach(change));
      const why =
        /transaction 0x\w{64} of L1 block \d+ as 127\.0\.0\.1:\d+ tells it: (hash|chainId): /;
      failed(await run(derive("alone.jsonl", "--once"), { cwd }), 75, why);
      // Who has forgotten what it posted asks L1, and pays for nothing again.
      const anew = post.map((word) => word === "data" ? "anew" : word);
      failed(await run(anew, { cwd }), 75, why);
      deepEqual((await postedTransactions(place)).length, 3);
      const both = derive("both.jsonl", `--once --l1 ${anvil.url}`);
      succeeded(await run(both, { cwd }));
      await sameBlocks(join(cwd, "both.jsonl"), join(cwd, "l2.jsonl"));
    }
    proxy.rewrite("eth_getBlockByNumber", undefined);
    await landedOnce(place, 3);
  });
});

const LEFT_OUT = "montana deriver --verify-l1 misses no batch that its node leaves out";
test(LEFT_OUT, { skip: skipWithoutAnvil(LEFT_OUT) }, async () => {
  await withProxy(async (place, proxy) => {
    const { cwd, anvil, derive } = place;
    await posted(place);
    lie(proxy, (transactions) => transactions.length = 0);
    const why =
      /Cannot use what 127\.0\.0\.1:\d+ answered to eth_getBlockByNumber: its transactions root/;
    failed(await run(derive("alone.jsonl", "--once --verify-l1"), { cwd }), 75, why);
    const both = derive("both.jsonl", `--once --verify-l1 --l1 ${anvil.url}`);
    succeeded(await run(both, { cwd }));
    await sameBlocks(join(cwd, "both.jsonl"), join(cwd, "l2.jsonl"));
  });
});
