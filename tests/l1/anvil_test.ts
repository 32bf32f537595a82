/**
 * That anvil starts and ends, and does what is told of it: others build on that, so a new version that
 * does otherwise is seen here first.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { toHex } from "../../src/wire/hex.ts";
import { type Anvil, ANVIL_ACCOUNTS, skipWithoutAnvil, startAnvil } from "./anvil.ts";
import { GWEI, loadTrustedSetup, type Sending, sending, ZERO_BLOB_HASH } from "./sending.ts";

const skip = skipWithoutAnvil("anvil");
const [first, second] = ANVIL_ACCOUNTS as [(typeof ANVIL_ACCOUNTS)[0], (typeof ANVIL_ACCOUNTS)[0]];

test("anvil listens on a port of its own, and leaves nothing behind", { skip }, async () => {
  let url: string, home: string;
  {
    await using one = await startAnvil({ chainId: 5 });
    await using other = await startAnvil({ noMining: true });
    ({ url, home } = one);
    ok(existsSync(home));
    ok(one.url !== other.url);
    equal(await one.rpc("eth_chainId"), "0x5");
    await other.mine(3);
    equal(await other.head(), 3n);
    await rejects(one.rpc("eth_nothing"), { name: "AnvilError", rpcCode: -32601 });
  }
  await rejects(fetch(url));
  ok(!existsSync(home));
});

test("a start that fails says what anvil said", { skip }, async () => {
  await rejects(startAnvil({ args: ["--no-such-flag"] }), /it ended with .*--no-such-flag/s);
});

/** Sends, and gives the hash. */
async function send(anvil: Anvil, options: Sending): Promise<string> {
  return await anvil.rpc("eth_sendRawTransaction", [toHex((await sending(options)).raw)]);
}

/** Status and body of a beacon endpoint. */
async function beacon(anvil: Anvil, path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`${anvil.url}/eth/v1/${path}`);
  return { status: response.status, body: await response.text() };
}

test("anvil: blobs by number of the block, and what goes wrong with them", { skip }, async () => {
  await using anvil = await startAnvil({ noMining: true });
  const hashes = [
    await send(anvil, { blobs: 6 }),
    await send(anvil, { from: second, blobs: 2, form: "legacy" }),
  ];
  await anvil.mine();
  const { transactions, timestamp } = await anvil.rpc("eth_getBlockByNumber", ["0x1", false]);
  deepEqual(transactions.toSorted(), hashes.toSorted());
  const block = await anvil.rpc("eth_getBlockByNumber", ["0x0", false]);

  const genesis = await beacon(anvil, "beacon/genesis");
  equal(JSON.parse(genesis.body).data.genesis_time, `${BigInt(block.timestamp)}`);
  ok(BigInt(timestamp) >= BigInt(block.timestamp));
  equal((await beacon(anvil, "config/spec")).status, 404);
  equal((await beacon(anvil, "beacon/blob_sidecars/1")).status, 410);

  const count = async (query: string) => {
    const { status, body } = await beacon(anvil, `beacon/blobs/${query}`);
    equal(status, 200);
    return JSON.parse(body).data.length;
  };
  const zero = toHex(ZERO_BLOB_HASH);
  const unknown = "0x01" + "00".repeat(31);
  equal(await count("0"), 0);
  equal(await count("1"), 8);
  equal(await count(`1?versioned_hashes=${zero}`), 8, "each time that it is there");
  equal(await count(`1?versioned_hashes=${unknown}`), 0);
  equal(await count(`1?versioned_hashes=${zero}&versioned_hashes=${unknown}`), 0, "the last");
  equal(await count(`1?versioned_hashes=${zero},${unknown}`), 8);
  equal((await beacon(anvil, "beacon/blobs/2")).status, 404);
  equal((await beacon(anvil, "beacon/blobs/1?versioned_hashes=0x12")).status, 400);
});

test("anvil: as many blobs as go into a transaction, a request and a block", { skip }, async () => {
  await using anvil = await startAnvil({ noMining: true, args: ["--no-request-size-limit"] });
  await using strict = await startAnvil({ noMining: true });
  await rejects(send(anvil, { blobs: 7 }), /too many blobs in one transaction, have: 7, max: 6/);
  await rejects(send(strict, { blobs: 8 }), { rpcCode: -32600 });
  await send(anvil, { blobs: 6 });
  await send(anvil, { nonce: 1n, blobs: 6 });
  await send(anvil, { from: second, blobs: 3 });
  await anvil.mine();
  const { blobGasUsed } = await anvil.rpc("eth_getBlockByNumber", ["0x1", false]);
  equal(BigInt(blobGasUsed), 9n * 131_072n);
  deepEqual(await anvil.rpc("txpool_status"), { pending: "0x1", queued: "0x0" });
});

test("anvil: what its pool takes, and forgets", { skip }, async () => {
  await using anvil = await startAnvil({ noMining: true });
  await loadTrustedSetup(anvil);
  deepEqual(await anvil.rpc("txpool_status"), { pending: "0x0", queued: "0x0" });
  const knows = async (hash: string) =>
    await anvil.rpc("eth_getTransactionByHash", [hash]) !== null;
  const old = await send(anvil, {});
  await rejects(send(anvil, {}), /already imported/);
  await rejects(send(anvil, { input: Uint8Array.of(1) }), /replacement transaction underpriced/);
  const better = await send(anvil, { fee: 11n * GWEI });
  equal(await knows(old), false);
  // The other type replaces it as well.
  const blob = await send(anvil, { blobs: 1, fee: 12n * GWEI });
  equal(await knows(better), false);
  await send(anvil, { nonce: 1n });
  await send(anvil, { nonce: 5n });
  deepEqual(await anvil.rpc("txpool_status"), { pending: "0x2", queued: "0x1" });

  // A block that is dearer than a transaction pays for takes it from the pool.
  await anvil.rpc("anvil_setNextBlockBaseFeePerGas", [`0x${(100n * GWEI).toString(16)}`]);
  await anvil.mine();
  equal(await knows(blob), false);
  await rejects(send(anvil, { blobs: 1, fee: 12n * GWEI }), /less than block base fee/);

  const dropped = await send(anvil, { fee: 900n * GWEI });
  equal(await anvil.rpc("anvil_dropTransaction", [dropped]), dropped);
  equal(await knows(dropped), false);
  equal(await send(anvil, { fee: 900n * GWEI }), dropped);
  await anvil.mine();
  await rejects(send(anvil, { fee: 900n * GWEI }), /nonce too low/);
});

test("anvil: heads, and a chain that goes another way", { skip }, async () => {
  await using anvil = await startAnvil({ noMining: true, slotsInAnEpoch: 2 });
  const hash = await send(anvil, {});
  await anvil.mine(6);
  const heads = await Promise.all(["latest", "safe", "finalized", "pending"].map(async (tag) => {
    return Number((await anvil.rpc("eth_getBlockByNumber", [tag, false])).number);
  }));
  deepEqual(heads, [6, 4, 2, 7]);
  const blocks = () =>
    Promise.all(
      [0, 1, 2, 3, 4, 5, 6].map(async (number) =>
        await anvil.rpc("eth_getBlockByNumber", [`0x${number}`, false])
      ),
    );
  const before = await blocks();
  await anvil.rpc("anvil_reorg", [6, []]);
  const after = await blocks();
  equal(await anvil.head(), 6n);
  for (let number = 1; number <= 6; number++) {
    ok(before[number].hash !== after[number].hash);
    equal(after[number].parentHash, after[number - 1].hash);
    deepEqual(after[number].transactions, []);
    equal(after[number].timestamp, after[1].timestamp);
  }
  equal(await anvil.rpc("eth_getTransactionByHash", [hash]), null, "it is not in the pool again");
  equal(await anvil.rpc("eth_getTransactionCount", [toHex(first.address), "latest"]), "0x0");
  await rejects(anvil.rpc("anvil_reorg", [50, []]), /must not exceed current chain height/);
});

test("anvil: eth_config tells of the fork that is on", { skip }, async () => {
  const configs: [string | undefined, number, boolean][] = [
    [undefined, 9, true],
    ["osaka", 9, true],
    ["prague", 9, false],
    ["cancun", 6, false],
  ];
  for (const [hardfork, max, hasCells] of configs) {
    await using anvil = await startAnvil(hardfork === undefined ? {} : { hardfork });
    const { current } = await anvil.rpc("eth_config");
    equal(current.blobSchedule.max, max);
    equal("P256VERIFY" in current.precompiles, hasCells);
    match(await anvil.rpc("web3_clientVersion"), /^anvil\//);
  }
});
