/**
 * A batcher that takes an account over from another machine, or from one whose data are lost: what was posted
 * there may still go with a reorganisation, and nobody would post it again.
 *
 * @module
 */
import { strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { type EthereumPlace, landedOnce, run, start, succeeded, withEthereum } from "./ethereum.ts";
import { sameBlocks, sourceText } from "./files.ts";

const L2 = "l2.jsonl";
/** Blocks are final 8 blocks later. */
const SLOWLY = { noMining: true, slotsInAnEpoch: 4 };
const WAITS = /waiting for 2 transactions of 0x[\da-f]{40} that are not final/;

function flags(dataDir: string): string {
  return `--once ${dataDir} --da calldata --compressor none --max-blocks-per-batch 4`;
}

/** Another batcher posts two batches, which are in the last two blocks, and is gone. */
async function leaveTwoBatches(place: EthereumPlace): Promise<void> {
  const { anvil, cwd, post } = place;
  await writeFile(join(cwd, L2), sourceText(8));
  await anvil.mine(3);
  await using other = start(post(L2, flags("--data-dir other")), { cwd });
  const isSent = async () => Number((await anvil.rpc("txpool_status", [])).pending) === 2;
  await other.until("two are sent", isSent);
  await anvil.mine(2);
  other.send("SIGKILL");
  await other.ended;
  await writeFile(join(cwd, L2), sourceText(16));
}

async function allCameBack(place: EthereumPlace): Promise<void> {
  const { cwd, derive } = place;
  succeeded(await run(derive("out.jsonl", "--once"), { cwd }));
  await sameBlocks(join(cwd, "out.jsonl"), join(cwd, L2));
  await landedOnce(place, 4);
}

for (const dataDir of ["--data-dir data", ""]) {
  const how = dataDir === "" ? "without --data-dir" : "with an empty --data-dir";

  const gone =
    `montana batcher ${how} posts again what a reorganisation takes of another's batches`;
  test(gone, { skip: skipWithoutAnvil(gone) }, async () => {
    await withEthereum(async (place) => {
      const { anvil, cwd, post, batcher: address } = place;
      await leaveTwoBatches(place);
      await using batcher = start(post(L2, flags(dataDir)), { cwd });
      await batcher.untilSaid(WAITS);
      await anvil.rpc("anvil_reorg", [3, []]);
      equal(Number(await anvil.rpc("eth_getTransactionCount", [address, "latest"])), 0);
      await anvil.rpc("evm_setIntervalMining", [1]);
      succeeded(await batcher.ended);
      await allCameBack(place);
    }, SLOWLY);
  });

  const final = `montana batcher ${how} goes on behind another's batches once they are final`;
  test(final, { skip: skipWithoutAnvil(final) }, async () => {
    await withEthereum(async (place) => {
      const { anvil, cwd, post } = place;
      await leaveTwoBatches(place);
      await using batcher = start(post(L2, flags(dataDir)), { cwd });
      await batcher.untilSaid(WAITS);
      await anvil.rpc("evm_setIntervalMining", [1]);
      succeeded(await batcher.ended);
      await allCameBack(place);
    }, SLOWLY);
  });
}
