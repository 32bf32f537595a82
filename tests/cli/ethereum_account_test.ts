/**
 * The batcher and its account: without money, with strangers who use it as well, and with fees that rise
 * above what may be paid.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import type { FaultProxy } from "../l1/fault_proxy.ts";
import {
  asksAgain,
  type EthereumPlace,
  landedOnce,
  postedTransactions,
  run,
  sentWithCare,
  start,
  succeeded,
  withProxy,
} from "./ethereum.ts";
import { sameBlocks, sourceText } from "./files.ts";
import type { Running } from "./montana.ts";

const GWEI = 10n ** 9n;
const BUMP_MS = 1000;
const FLAGS = "--data-dir data --max-blocks-per-batch 1 --compressor none --batch-interval 100ms " +
  `--block-time 250ms --bump-interval ${BUMP_MS}ms --once`;
const CALLDATA = `${FLAGS} --da calldata`;

/** A batcher of so many blocks, each of them a batch. */
async function poster(place: EthereumPlace, blocks: number, flags: string): Promise<Running> {
  await writeFile(join(place.cwd, "l2.jsonl"), sourceText(blocks));
  return start(place.post("l2.jsonl", flags), { cwd: place.cwd });
}

async function comesBack({ cwd, derive }: EthereumPlace): Promise<void> {
  succeeded(await run(derive("out.jsonl", "--once"), { cwd }));
  await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
}

const POOR = "montana batcher with an account that has nothing says so, and goes on when it has";
test(POOR, { skip: skipWithoutAnvil(POOR) }, async () => {
  await withProxy(async (place) => {
    const { anvil, batcher, cwd, post } = place;
    await anvil.rpc("anvil_setBalance", [batcher, "0x0"]);
    await using once = await poster(place, 2, `${CALLDATA} --shutdown-timeout 1s`);
    const outcome = await once.ended;
    match(outcome.stderr, new RegExp(`^error: .*account ${batcher} has 0 ETH.*Fund it`, "m"));
    ok(outcome.code !== 0 && outcome.code !== null, outcome.stderr);
    await anvil.rpc("anvil_setBalance", [batcher, `0x${(10n ** 18n).toString(16)}`]);
    succeeded(await run(post("l2.jsonl", CALLDATA), { cwd }));
    await comesBack(place);
    await landedOnce(place, 2);
  });
});

/** A transfer that the batcher did not make, out of its account. */
async function stranger({ anvil, batcher: from }: EthereumPlace, nonce: number): Promise<string> {
  const fees = { maxFeePerGas: "0x4a817c800", maxPriorityFeePerGas: "0x77359400" };
  const rest = { nonce: `0x${nonce.toString(16)}`, to: from, gas: "0x5208", value: "0x1", ...fees };
  return await anvil.rpc("eth_sendTransaction", [{ from, ...rest }]);
}

/** Each batch once, whatever nonces others took. */
async function eachBatchOnce(place: EthereumPlace, batches: number): Promise<void> {
  const posted = await postedTransactions(place);
  const numbers = posted.map(({ batch }) => Number(batch)).sort((a, b) => a - b);
  deepEqual(numbers, Array.from({ length: batches }, (_, index) => index));
}

const GAP = "montana batcher fills a gap of nonces that somebody else left, and posts all once";
test(GAP, { skip: skipWithoutAnvil(GAP) }, async () => {
  await withProxy(async (place) => {
    for (const nonce of [1, 3]) await stranger(place, nonce);
    await using batcher = await poster(place, 4, CALLDATA);
    succeeded(await batcher.ended);
    await comesBack(place);
    await eachBatchOnce(place, 4);
  });
});

const SHARED = "montana batcher posts all once though somebody else uses its account, and says so";
test(SHARED, { skip: skipWithoutAnvil(SHARED) }, async () => {
  await withProxy(async (place, proxy) => {
    // As it is about to send one, the nonce goes to somebody else.
    let isTaken = false;
    proxy.byPlan((method) => {
      if (isTaken || method !== "eth_sendRawTransaction") return undefined;
      isTaken = true;
      void stranger(place, 0).then(() => place.anvil.mine());
      return { fault: "delay", ms: 300 };
    });
    await using batcher = await poster(place, 3, CALLDATA);
    const outcome = await batcher.ended;
    succeeded(outcome);
    match(outcome.stderr, /somebody else sent a transaction with nonce 0/);
    await comesBack(place);
    await eachBatchOnce(place, 3);
  });
});

const BASE_FEE =
  "montana batcher waits while the base fee is above --max-fee, says so once, and lands";
test(BASE_FEE, { skip: skipWithoutAnvil(BASE_FEE) }, async () => {
  await withProxy(async (place, proxy) => {
    const { anvil } = place;
    await baseFee(anvil, 50n * GWEI);
    await using batcher = await poster(place, 2, `${CALLDATA} --max-fee 20gwei`);
    await batcher.untilSaid(/at most 20000000000 may be offered/);
    await asksAgain(batcher, proxy, 12);
    equal(proxy.sent.length, 0, "nothing is sent that cannot land");
    equal(batcher.stderr.match(/may be offered/g)?.length, 1, batcher.stderr);
    await baseFee(anvil, GWEI);
    await anvil.rpc("evm_setIntervalMining", [1]);
    succeeded(await batcher.ended);
    await comesBack(place);
    await landedOnce(place, 2);
    keptCeilings(proxy, 20n * GWEI, 0n);
    // Or the base fee would fall with each block.
  }, { noMining: true });
});

const RISING = "montana batcher pays a base fee that rises 50 times under it, and falls";
test(RISING, { skip: skipWithoutAnvil(RISING) }, async () => {
  await withProxy(async (place, proxy) => {
    const { anvil } = place;
    await baseFee(anvil, GWEI);
    await using batcher = await poster(place, 2, `${CALLDATA} --max-fee 300gwei`);
    await batcher.until("it sends", () => proxy.sent.length > 0);
    await baseFee(anvil, 50n * GWEI);
    await batcher.until(
      "it offers more",
      () => proxy.sent.some(({ tx }) => tx.fees.maxFeePerGas >= 50n * GWEI),
    );
    await anvil.rpc("evm_setIntervalMining", [1]);
    succeeded(await batcher.ended);
    await comesBack(place);
    await landedOnce(place, 2);
    ok(sentWithCare(proxy, BUMP_MS) >= 1, "it was replaced");
    keptCeilings(proxy, 300n * GWEI, 0n);
  }, { noMining: true });
});

const BLOB_FEE = "montana batcher keeps to --max-blob-fee while blob gas rises 50 times, and lands";
test(BLOB_FEE, { skip: skipWithoutAnvil(BLOB_FEE) }, async () => {
  await withProxy(async (place, proxy) => {
    await proxy.playBlobBaseFee(2n * GWEI);
    await using batcher = await poster(place, 2, `${FLAGS} --da blobs --max-blob-fee 30gwei`);
    await batcher.until("it sends", () => proxy.sent.length > 0);
    await proxy.playBlobBaseFee(100n * GWEI);
    // What is in a block by then is; the others wait.
    await batcher.untilSaid(/gas of blobs costs 100\d* wei, at most 30000000000/);
    await asksAgain(batcher, proxy, 12);
    const told = batcher.stderr.match(/gas of blobs costs/g)?.length ?? 0;
    ok(told <= 2, batcher.stderr);
    await proxy.playBlobBaseFee(5n * GWEI);
    succeeded(await batcher.ended);
    await proxy.playBlobBaseFee(undefined);
    await comesBack(place);
    await landedOnce(place, 2);
    keptCeilings(proxy, 1000n * GWEI, 30n * GWEI);
    sentWithCare(proxy, BUMP_MS);
  });
});

for (
  const [flag, limit] of [["--max-spend-per-hour", "0.0001"], ["--max-spend-per-batch", "0.00001"]]
) {
  const name =
    `montana batcher spends no more than ${flag}, says what it waits for, and ends when told`;
  test(name, { skip: skipWithoutAnvil(name) }, async () => {
    await withProxy(async (place, proxy) => {
      const { anvil, batcher: address, cwd, post } = place;
      const balance = async () => BigInt(await anvil.rpc("eth_getBalance", [address, "latest"]));
      const before = await balance();
      const limits = `${flag} ${limit}ether --shutdown-timeout 500ms`;
      await using batcher = await poster(place, 6, `${CALLDATA} ${limits}`);
      await batcher.untilSaid(new RegExp(`at most ${limit} ETH may be spent \\(${flag}\\)`));
      await asksAgain(batcher, proxy, 12);
      const told = batcher.stderr.match(/may be spent/g)?.length ?? 0;
      ok(told <= 6, `once a batch at most: ${batcher.stderr}`);
      ok(before - await balance() <= BigInt(Number(limit) * 1e18), "spent too much");
      batcher.send("SIGINT");
      const { code, stderr } = await batcher.ended;
      equal(code, 3, stderr);
      succeeded(await run(post("l2.jsonl", CALLDATA), { cwd }));
      await comesBack(place);
      await landedOnce(place, 6);
    });
  });
}

async function baseFee(anvil: EthereumPlace["anvil"], wei: bigint): Promise<void> {
  await anvil.rpc("anvil_setNextBlockBaseFeePerGas", [`0x${wei.toString(16)}`]);
  await anvil.mine();
}

function keptCeilings({ sent }: FaultProxy, maxFee: bigint, maxBlobFee: bigint): void {
  ok(sent.length > 0, "nothing was sent");
  for (const { tx: { fees } } of sent) {
    ok(fees.maxFeePerGas <= maxFee, `${fees.maxFeePerGas} wei for gas`);
    ok(fees.maxFeePerBlobGas <= maxBlobFee, `${fees.maxFeePerBlobGas} wei for gas of blobs`);
  }
}
