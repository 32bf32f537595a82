/**
 * What a batcher kept under --data-dir, and an L1 that is not the one it left.
 *
 * @module
 */
import { strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { postedTransactions, run, start, succeeded, withEthereum } from "./ethereum.ts";
import { sameBlocks, sourceText } from "./files.ts";
import { failed } from "./montana.ts";

const FLAGS = "--once --data-dir data --da calldata --compressor none --max-blocks-per-batch 4";
const L2 = "l2.jsonl";

const OTHER = "montana batcher sends nothing to another L1 of the same chain id";
test(OTHER, { skip: skipWithoutAnvil(OTHER) }, async () => {
  await withEthereum(async (left) => {
    await writeFile(join(left.cwd, L2), sourceText(12));
    succeeded(await run(left.post(L2, FLAGS), { cwd: left.cwd }));
    await withEthereum(async (other) => {
      const outcome = await run(other.post(L2, FLAGS), { cwd: left.cwd });
      failed(outcome, 5, /WrongL1: Cannot go on with .*: data belongs to an L1 whose block/);
      equal(
        BigInt(await other.anvil.rpc("eth_getTransactionCount", [other.batcher, "pending"])),
        0n,
      );
    });
  });
});

const ANEW = "montana batcher sends nothing to an L1 that began anew with the same first block";
test(ANEW, { skip: skipWithoutAnvil(ANEW) }, async () => {
  const options = { blockTimeS: 1, args: ["--timestamp", "1763700000"] };
  await withEthereum(async (left) => {
    await writeFile(join(left.cwd, L2), sourceText(12));
    const flags = FLAGS.replace("--once ", "") + " --log-level debug";
    await using batcher = start(left.post(L2, flags), { cwd: left.cwd });
    await batcher.untilSaid(/batch 2: 4 blocks/);
    // Confirmed under the first block, and final since.
    await left.anvil.mine(100);
    await batcher.untilSaid(/batch 2 with nonce 2 is final/);
    batcher.send("SIGTERM");
    succeeded(await batcher.ended);
    await withEthereum(async (other) => {
      const first = ({ anvil }: typeof left) => anvil.rpc("eth_getBlockByNumber", ["0x0", false]);
      equal((await first(other)).hash, (await first(left)).hash);
      const outcome = await run(other.post(L2, FLAGS), { cwd: left.cwd });
      failed(outcome, 5, /WrongL1: Cannot go on with .*: data belongs to an L1 whose block/);
      equal(
        BigInt(await other.anvil.rpc("eth_getTransactionCount", [other.batcher, "pending"])),
        0n,
      );
    }, options);
  }, options);
});

const AGAIN = "montana batcher --once ends when what a reorganisation dropped is on L1 again";
test(AGAIN, { skip: skipWithoutAnvil(AGAIN) }, async () => {
  await withEthereum(async (place) => {
    const { cwd, anvil, post, derive } = place;
    await writeFile(join(cwd, L2), sourceText(12));
    succeeded(await run(post(L2, FLAGS), { cwd }));
    const [first] = await postedTransactions(place);
    await anvil.rpc("anvil_reorg", [Number(await anvil.head() - first!.block) + 1, []]);
    equal((await postedTransactions(place)).length, 0);

    succeeded(await run(post(L2, FLAGS), { cwd }));
    equal((await postedTransactions(place)).length, 3);
    succeeded(await run(derive("out.jsonl", "--once"), { cwd }));
    await sameBlocks(join(cwd, "out.jsonl"), join(cwd, L2));
  });
});
