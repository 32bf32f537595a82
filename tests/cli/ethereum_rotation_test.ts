/**
 * The deriver where the key of the batcher was changed: each address counts in its own L1 blocks.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { CHECK_SIZE } from "../../src/wire/batch.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { batchCalldata } from "../../src/wire/inbox.ts";
import { makeBatch, plainBlocks } from "../helpers.ts";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { INBOX, run, succeeded, withEthereum } from "./ethereum.ts";
import { failed, textOf } from "./montana.ts";

const ROTATED = "montana deriver takes batches of each --batcher from its L1 block on alone";
test(ROTATED, { skip: skipWithoutAnvil(ROTATED) }, async () => {
  await withEthereum(async ({ cwd, anvil, url, derive }) => {
    const [a, b] = anvil.accounts.map(({ address }) => toHex(address));
    const genesis = await anvil.rpc("eth_getBlockByNumber", ["0x0", false]);
    const l1OriginCheck = fromHex(genesis.hash, "hash", 32).slice(0, CHECK_SIZE);
    const post = async (from: string, batchNumber: bigint, blocks: number) => {
      const batch = await makeBatch(plainBlocks(blocks, { first: 10 * Number(batchNumber) }), {
        l1OriginCheck,
        batchNumber,
      });
      const data = toHex(batchCalldata(batch));
      await anvil.rpc("eth_sendTransaction", [{ from, to: INBOX, data, gas: "0x989680" }]);
      await anvil.mine();
    };
    await post(a!, 0n, 1); // In L1 block 1.
    await post(b!, 1n, 2); // Too early.
    await post(a!, 1n, 3);
    await post(b!, 2n, 4); // From block 4 on it is its turn.
    await post(a!, 3n, 5); // Too late.
    await post(b!, 3n, 6);
    const later = `--once --data-dir data --batcher ${b}@4`;
    const outcome = await run(derive("out.jsonl", later), { cwd });
    succeeded(outcome);
    equal(outcome.stderr.match(/ignored a transaction .* its sender is no batcher/g)?.length, 2);
    const lines = (await readFile(join(cwd, "out.jsonl"), "utf8")).trimEnd().split("\n");
    equal(lines.length, 1 + 3 + 4 + 6);

    // Who looks at the same L1 with the same flags sees the same.
    const flags = `--l1 ${url} --inbox ${INBOX} --batcher ${a} --batcher ${b}@4`;
    const { totals } = JSON.parse(succeeded(await run(`report ${flags} --json`, { cwd })));
    const { batches, blocks, ignored } = totals;
    deepEqual({ batches, blocks, ignored }, { batches: 4, blocks: 14, ignored: 2 });
    for (const [number, from, l1Block] of [[1, a, "3"], [2, b, "4"], [3, b, "6"]] as const) {
      const inspected = await run(`inspect batch:${number} ${flags} --json`, { cwd });
      const { transaction, verdict } = JSON.parse(succeeded(inspected));
      deepEqual([transaction.from, transaction.l1Block, verdict], [from, l1Block, "accepted"]);
    }
    const late = (await anvil.rpc("eth_getBlockByNumber", ["0x5", false])).transactions[0];
    match(
      succeeded(await run(`inspect ${late} ${flags}`, { cwd })),
      /it is not of .* in L1 block 5/,
    );
    const doctor = await run(`doctor ${flags} --key-file batcher.key`, { cwd });
    match(textOf(doctor), new RegExp(`it is that of ${a}, not of --batcher ${b}`));
    failed(await run(`verify ${flags} --l2 http://127.0.0.1:1`, { cwd }), 75, /Cannot ask 127/);

    await post(a!, 4n, 7);
    await post(b!, 4n, 8);
    match(succeeded(await run(derive("out.jsonl", later), { cwd })), /1 batch/);
  }, { noMining: true });
});

test("montana deriver refuses several --batcher that do not say from which L1 block on", async () => {
  const address = INBOX;
  const l1 = `deriver --out out --l1 http://127.0.0.1:1 --inbox ${INBOX} --batcher ${address}`;
  const cases: [string, RegExp][] = [
    [`${l1} --batcher ${address}`, /another --batcher "0x.*": need ADDRESS@BLOCK/],
    [`${l1} --batcher ${address}@`, /Cannot use --batcher "": need a whole number/],
    [`${l1} --batcher ${address}@1@2`, /need ADDRESS@BLOCK/],
    [`${l1} --batcher 0x12@7`, /need an address|an address: 0x/],
    [`${l1} --batcher ${address}@7 --batcher ${address}@7`, /its L1 block must be above 7/],
    [`deriver --out out --l1 . --batcher ${address} --batcher ${address}@7`, /in a directory/],
  ];
  for (const [args, why] of cases) failed(await run(args), 2, why);
});
