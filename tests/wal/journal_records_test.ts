import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { LandedTx, TxAttempt } from "../../src/ethereum.ts";
import { ManualClock } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { LogBatchJournal } from "../../src/wal/batch_journal.ts";
import { LogJobQueue } from "../../src/wal/job_queue.ts";
import { Wal } from "../../src/wal/log.ts";
import { StateJournal } from "../../src/wal/state_journal.ts";
import { LogTxJournal } from "../../src/wal/tx_journal.ts";

// Journals of versions that are out hold records like these: they never change.

type JsonRecord = readonly [type: number, text: string];

const directory = "data";

async function logOf(records: readonly JsonRecord[]): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  const wal = await Wal.open({ storage, directory });
  for (const [type, text] of records) await wal.append(type, new TextEncoder().encode(text));
  await wal.close();
  return storage;
}

async function recordsIn(storage: MemoryStorage): Promise<JsonRecord[]> {
  const wal = await Wal.open({ storage, directory });
  const records: JsonRecord[] = [];
  for await (const { type, payload } of wal.read(0n)) {
    records.push([type, new TextDecoder().decode(payload)]);
  }
  await wal.close();
  return records;
}

const hex = (bytes: number, value: string) => `{"$hex":"0x${value.repeat(bytes)}"}`;

test("the records of LogBatchJournal are as they were", async () => {
  const owner = {
    chainId: 1001n,
    l1Clock: { genesisTime: 0n, slotSeconds: 12n, slotsPerEpoch: 32n, batchFactor: 10n },
  };
  const changes = [
    { change: "epoch", epoch: 7n, atMs: 1 },
    { change: "ended", batchNumber: 0n, by: "timeout", atMs: 3 },
    { change: "state", batchNumber: 0n, state: "failed", errorMessage: "no", atMs: 4 },
    { change: "job", batchNumber: 0n, proofJobId: "a", atMs: 5 },
  ] as const;
  const snapshot = { lastEpoch: undefined, finalized: 3, batches: [] };
  const texts: JsonRecord[] = [
    [
      1,
      '{"chainId":{"$u64":"1001"},"l1Clock":{"genesisTime":{"$u64":"0"},"slotSeconds":{"$u64":"12"},' +
      '"slotsPerEpoch":{"$u64":"32"},"batchFactor":{"$u64":"10"}}}',
    ],
    [2, '{"change":"epoch","epoch":{"$u64":"7"},"atMs":1}'],
    [2, '{"change":"ended","batchNumber":{"$u64":"0"},"by":"timeout","atMs":3}'],
    [
      2,
      '{"change":"state","batchNumber":{"$u64":"0"},"state":"failed","errorMessage":"no","atMs":4}',
    ],
    [2, '{"change":"job","batchNumber":{"$u64":"0"},"proofJobId":"a","atMs":5}'],
    [
      3,
      '{"chainId":{"$u64":"1001"},"l1Clock":{"genesisTime":{"$u64":"0"},"slotSeconds":{"$u64":"12"},' +
      '"slotsPerEpoch":{"$u64":"32"},"batchFactor":{"$u64":"10"}},"finalized":3,"batches":[]}',
    ],
  ];
  const storage = new MemoryStorage();
  const journal = await LogBatchJournal.open({ storage, directory }, owner);
  for (const change of changes) await journal.note(change);
  await journal.save(snapshot);
  await journal.close();
  deepEqual(await recordsIn(storage), texts);

  for (
    const [count, found] of [[5, { snapshot: undefined, changes }], [6, {
      snapshot,
      changes: [],
    }]] as const
  ) {
    const again = await LogBatchJournal.open(
      { storage: await logOf(texts.slice(0, count)), directory },
      owner,
    );
    deepEqual(again.found, found);
    await again.close();
  }
});

test("the records of LogTxJournal are as they were", async () => {
  const owner = { address: new Uint8Array(20).fill(7), chainId: 1n };
  const attempt: TxAttempt = {
    batchNumber: undefined,
    nonce: 5n,
    signed: { raw: Uint8Array.of(2, 0xc0), hash: new Uint8Array(32).fill(1) },
    fees: { maxFeePerGas: 3n, maxPriorityFeePerGas: 1n, maxFeePerBlobGas: 0n },
    blobHashes: [new Uint8Array(32).fill(2)],
    signedAtMs: 9,
  };
  const landed: LandedTx = {
    nonce: 4n,
    batchNumber: 6n,
    isSuccess: true,
    txHash: new Uint8Array(32).fill(3),
    l1Block: 8n,
    l1BlockHash: new Uint8Array(32).fill(4),
    blobHashes: [],
    cost: { gasUsed: 1n, gasPrice: 2n, blobGasUsed: 3n, blobGasPrice: 4n },
    landedAtMs: 10,
  };
  const ownerText = `"address":${hex(20, "07")},"chainId":{"$u64":"1"}`;
  const attemptText =
    `{"nonce":{"$u64":"5"},"signed":{"raw":${hex(1, "02c0")},"hash":${hex(32, "01")}},` +
    '"fees":{"maxFeePerGas":{"$u64":"3"},"maxPriorityFeePerGas":{"$u64":"1"},"maxFeePerBlobGas":' +
    `{"$u64":"0"}},"blobHashes":[${hex(32, "02")}],"signedAtMs":9}`;
  const landedText = `{"nonce":{"$u64":"4"},"batchNumber":{"$u64":"6"},"isSuccess":true,"txHash":` +
    `${hex(32, "03")},"l1Block":{"$u64":"8"},"l1BlockHash":${
      hex(32, "04")
    },"blobHashes":[],"cost":` +
    '{"gasUsed":{"$u64":"1"},"gasPrice":{"$u64":"2"},"blobGasUsed":{"$u64":"3"},"blobGasPrice":' +
    '{"$u64":"4"}},"landedAtMs":10}';
  const texts: JsonRecord[] = [
    [1, `{${ownerText}}`],
    [2, attemptText],
    [3, `{"nonce":{"$u64":"5"},"landed":[${landedText}]}`],
  ];
  const storage = new MemoryStorage();
  const journal = await LogTxJournal.open({ storage, directory }, owner);
  await journal.signed(attempt);
  await journal.forget(5n, [landed]);
  await journal.close();
  deepEqual(await recordsIn(storage), texts);

  const snapshot: JsonRecord = [
    4,
    `{${ownerText},"attempts":[${attemptText}],"landed":[${landedText}]}`,
  ];
  for (const each of [texts, [...texts, snapshot], [snapshot]]) {
    const again = await LogTxJournal.open({ storage: await logOf(each), directory }, owner);
    deepEqual([again.attempts, again.landed], [[attempt], [landed]]);
    await again.close();
  }
});

test("the records of LogJobQueue are as they were", async () => {
  const window = {
    batchNumber: 3n,
    firstEpoch: 30n,
    lastEpoch: 39n,
    firstSlot: 960n,
    lastSlot: 1279n,
    startsAt: 11520n,
    endsAt: 15360n,
  };
  const jobText =
    '{"id":"1001-3","batch":{"chainId":{"$u64":"1001"},"window":{"batchNumber":{"$u64":"3"},' +
    '"firstEpoch":{"$u64":"30"},"lastEpoch":{"$u64":"39"},"firstSlot":{"$u64":"960"},"lastSlot":' +
    '{"$u64":"1279"},"startsAt":{"$u64":"11520"},"endsAt":{"$u64":"15360"}},"blocks":[]},"stage":' +
    '"range_proof","ranges":[],"retries":0,"notBeforeMs":5,"createdAtMs":5,' +
    '"stageSinceMs":5,"updatedAtMs":5}';
  const clock = new ManualClock(5);
  const storage = new MemoryStorage();
  const queue = await LogJobQueue.open({ storage, directory, clock });
  const job = await queue.enqueue({ chainId: 1001n, window, blocks: [] });
  await queue.close();
  deepEqual(await recordsIn(storage), [[1, jobText]]);

  const snapshot: JsonRecord = [2, `{"jobs":[${jobText}],"forgotten":{"1001":{"$u64":"2"}}}`];
  const again = await LogJobQueue.open({ storage: await logOf([snapshot]), directory, clock });
  deepEqual(again.state, { jobs: [job], forgotten: { "1001": 2n } });
  await again.close();

  const older = jobText.replace('"stageSinceMs":5,', "");
  for (const record of [[1, older], [2, `{"jobs":[${older}]}`]] as const) {
    const opened = await LogJobQueue.open({ storage: await logOf([record]), directory, clock });
    deepEqual(opened.state, { jobs: [job], forgotten: {} });
    await opened.close();
  }
});

test("the records of StateJournal are as they were", async () => {
  const storage = new MemoryStorage();
  const options = { keep: 1, isWhole: () => true };
  const journal = await StateJournal.open({ storage, directory }, options);
  const state = { next: 7n, hash: Uint8Array.of(1, 255), list: ["a", 2] };
  await journal.save(state);
  await journal.close();
  const text = '{"next":{"$u64":"7"},"hash":{"$hex":"0x01ff"},"list":["a",2]}';
  deepEqual(await recordsIn(storage), [[1, text]]);
  const again = await StateJournal.open({ storage: await logOf([[1, text]]), directory }, options);
  deepEqual(again.states, [state]);
  await again.close();
});
