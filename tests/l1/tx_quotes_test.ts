import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { AutoSink, dataCosts } from "../../src/l1/auto_sink.ts";
import { BlobSink } from "../../src/l1/blob_sink.ts";
import { CalldataSink } from "../../src/l1/calldata_sink.ts";
import { type Market, weiOf } from "../../src/l1/gas.ts";
import { TxQuotes } from "../../src/l1/tx_quotes.ts";
import { makeBatch, plainBlocks } from "../helpers.ts";

const GWEI = 10n ** 9n;
const MARKET: Market = { baseFee: 5n * GWEI, tip: GWEI / 10n, blobBaseFee: 3n * GWEI };
const inbox = new Uint8Array(20).fill(0x42);

test("TxQuotes answers sinks with what they reckon that a batch costs", async () => {
  const manager = new TxQuotes(MARKET);
  const batch = await makeBatch(plainBlocks(2, { size: 90_000 }), { batchNumber: 7n });
  const { blobsWei, calldataWei } = dataCosts(batch, MARKET);

  const inBlobs = await new BlobSink({ manager, inbox }).submit(batch);
  equal(inBlobs.batchNumber, 7n);
  equal(inBlobs.blobHashes.length, 2);
  equal(weiOf(inBlobs.cost!), blobsWei);
  deepEqual(inBlobs.cost, {
    gasUsed: 21_000n + 40n + 7n * 10n,
    gasPrice: 5_100_000_000n,
    blobGasUsed: 262_144n,
    blobGasPrice: 3n * GWEI,
  });

  const small = await makeBatch(plainBlocks(2), { batchNumber: 7n });
  const inCalldata = await new CalldataSink({ manager, inbox }).submit(small);
  equal(inCalldata.blobHashes.length, 0);
  equal(weiOf(inCalldata.cost!), dataCosts(small, MARKET).calldataWei);
  equal(inCalldata.cost!.blobGasPrice, 0n);
  equal(calldataWei > blobsWei, true);
});

test("TxQuotes lets an AutoSink choose by its fees", async () => {
  const batch = await makeBatch(plainBlocks(2), { batchNumber: 0n });
  const blobsAt = async (market: Market) => {
    const sink = new AutoSink({ manager: new TxQuotes(market), inbox });
    return (await sink.submit(batch)).blobHashes.length;
  };
  equal(await blobsAt(MARKET), 0);
  equal(await blobsAt({ ...MARKET, blobBaseFee: 1n }), 1);
});
