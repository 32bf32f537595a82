import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { SourceError } from "../../src/errors.ts";
import {
  DEFAULT_BATCHER,
  DEFAULT_INBOX,
  InboxSink,
  InboxSource,
  type InboxSourceOptions,
  type LocalL1,
} from "../../src/local/inbox.ts";
import { L1Directory } from "../../src/local/l1_directory.ts";
import { ManualClock, MemoryL1 } from "../../src/local/memory.ts";
import type { L1BatchSource } from "../../src/ports.ts";
import type { L1Batch } from "../../src/types.ts";
import { BLOB_CAPACITY, encodeBlob } from "../../src/wire/blob.ts";
import { toHex } from "../../src/wire/hex.ts";
import { batchCalldata, blobCalldata, CALLDATA_CAPACITY } from "../../src/wire/inbox.ts";
import { draftOf, Events, flaky, inTurn, makeBatch, mineEmpty, noise } from "../helpers.ts";
import { plainBlocks, withDirectory, withMembers } from "../helpers.ts";

const stranger = new Uint8Array(20).fill(9);
const batch = { batchNumber: 0n, data: Uint8Array.of(2, 1) };

async function readAll(source: L1BatchSource): Promise<L1Batch[]> {
  const batches: L1Batch[] = [];
  for (let each = await source.nextBatch(); each; each = await source.nextBatch()) {
    batches.push(each);
  }
  return batches;
}

/** Numbers of the batches that a source gives. */
async function numbersOf(l1: LocalL1, options?: InboxSourceOptions): Promise<bigint[]> {
  return (await readAll(new InboxSource(l1, options))).map((each) => each.batchNumber);
}

/** The same on both kinds of embedded L1. */
async function onBoth(action: (l1: LocalL1) => Promise<void>): Promise<void> {
  await action(new MemoryL1());
  await withDirectory(async (path) => action(await L1Directory.openOrCreate(`${path}/l1`, 0n)));
}

test("InboxSource gives back what InboxSink posted, in blobs and in calldata, of every size", async () => {
  await onBoth(async (l1) => {
    const clock = new ManualClock(7_000_500);
    const sinks = {
      blobs: new InboxSink(l1, { clock }),
      calldata: new InboxSink(l1, { clock, da: "calldata" }),
    };
    const sizes = [
      ...[1, BLOB_CAPACITY, BLOB_CAPACITY + 1, 6 * BLOB_CAPACITY].map((size) => ["blobs", size]),
      ...[1, CALLDATA_CAPACITY].map((size) => ["calldata", size]),
    ] as ["blobs" | "calldata", number][];
    const source = new InboxSource(l1);
    equal(await source.nextBatch(), undefined);
    for (const [index, [da, size]] of sizes.entries()) {
      const posted = { batchNumber: BigInt(index), data: noise(size, index) };
      const receipt = await sinks[da].submit(posted);
      const read = await source.nextBatch();
      const blobs = da === "blobs" ? Math.ceil(size / BLOB_CAPACITY) : 0;
      equal(receipt.blobHashes.length, blobs);
      deepEqual(read, {
        ...posted,
        inclusion: {
          blockNumber: receipt.l1Block,
          blockHash: receipt.l1BlockHash,
          timestamp: 7000n,
          txHash: receipt.txHash,
          blobs,
        },
      });
      deepEqual((await l1.block(receipt.l1Block)).hash, receipt.l1BlockHash);
      deepEqual(await source.l1BlockHash(receipt.l1Block), receipt.l1BlockHash);
      equal(await source.nextBatch(), undefined);
    }
    equal(await source.l1BlockHash(await l1.head("latest") + 1n), undefined);
  });
});

test("InboxSink refuses what one transaction cannot take", async () => {
  const l1 = new MemoryL1();
  for (
    const [sink, most] of [
      [l1.sink(), 6 * BLOB_CAPACITY],
      [l1.sink({ maxBlobs: 2 }), 2 * BLOB_CAPACITY],
      [l1.sink({ da: "calldata" }), CALLDATA_CAPACITY],
    ] as const
  ) {
    equal(await sink.capacity(), most);
    await sink.healthCheck();
    await rejects(sink.submit({ batchNumber: 3n, data: new Uint8Array(most + 1) }), {
      name: "SinkError",
      code: "TooLarge",
      kind: "critical",
      message: `Cannot submit batch 3: ${most + 1} bytes, a transaction here takes ${most}`,
    });
  }
  equal(await l1.head("latest"), 0n);
});

test("InboxSource reads every transaction of every block, in order", async () => {
  const l1 = new MemoryL1();
  const draft = (number: bigint) => draftOf({ batchNumber: number, data: Uint8Array.of(2) });
  await l1.mine([draft(5n), draft(1n)], 0n);
  await mineEmpty(l1, 2);
  await l1.mine([draft(2n), draft(9n), draft(2n)], 0n);
  deepEqual(await numbersOf(l1), [5n, 1n, 2n, 9n, 2n]);
  deepEqual(await numbersOf(l1, { startBlock: 4n }), [2n, 9n, 2n]);
  deepEqual(await numbersOf(l1, { startBlock: 5n }), []);
});

test("InboxSource ignores whoever is no batcher, and whatever is no batch, and tells so", async () => {
  const l1 = new MemoryL1();
  const events = new Events();
  const good = draftOf(batch);
  const blob = encodeBlob(Uint8Array.of(2, 1));
  await l1.mine([
    { ...good, to: stranger }, // To somebody else: not our business.
    { ...good, from: stranger },
    { ...good, input: new Uint8Array() },
    { ...good, input: blobCalldata(0n) }, // Neither data nor blobs.
    { ...good, input: noise(7) },
    { ...good, input: batchCalldata(batch), blobs: [blob] }, // Both.
    { ...good, input: noise(7), blobs: [blob] },
    good,
  ], 0n);
  deepEqual(await numbersOf(l1, { log: events.log }), [0n]);
  const { transactions } = await l1.block(1n);
  deepEqual(
    events.of("transaction.ignored").map(({ l1Block, txHash, reason }) => [
      l1Block,
      transactions.findIndex(({ hash }) => toHex(hash) === toHex(txHash)),
      reason,
    ]),
    [[1n, 1, "sender"], ...[2, 3, 4, 5, 6].map((index) => [1n, index, "calldata"])],
  );
});

test("InboxSource reads the inbox and the batchers that it is told to", async () => {
  const l1 = new MemoryL1();
  const inbox = new Uint8Array(20).fill(1);
  await l1.sink({ inbox, from: stranger }).submit({ ...batch, batchNumber: 1n });
  await l1.sink({ inbox }).submit({ ...batch, batchNumber: 2n });
  await l1.sink({ from: stranger }).submit({ ...batch, batchNumber: 3n });
  deepEqual(await numbersOf(l1), []);
  deepEqual(await numbersOf(l1, { inbox }), [2n]);
  deepEqual(await numbersOf(l1, { inbox, batchers: [stranger] }), [1n]);
  deepEqual(await numbersOf(l1, { inbox, batchers: [stranger, DEFAULT_BATCHER] }), [1n, 2n]);
  deepEqual(await numbersOf(l1, { inbox: DEFAULT_INBOX, batchers: [stranger] }), [3n]);
});

test("InboxSource reads to the safe head, or to the one asked for", async () => {
  const l1 = new MemoryL1({ safeConfirmations: 2 });
  await l1.sink().submit(batch);
  const source = l1.source();
  equal(await source.nextBatch(), undefined);
  equal(await source.l1Head(), 0n);
  equal((await l1.source({ head: "latest" }).nextBatch())?.batchNumber, 0n);
  await mineEmpty(l1, 1);
  equal(await source.nextBatch(), undefined);
  await mineEmpty(l1, 1);
  equal((await source.nextBatch())?.batchNumber, 0n);
  equal(await source.l1Head(), 1n);
});

test("InboxSource hands on blobs that hold no batch, with what is wrong with them", async () => {
  const l1 = new MemoryL1();
  const good = draftOf(batch, { da: "blobs" });
  await l1.mine([{ ...good, blobs: [new Uint8Array(131_072).fill(0xff)] }, good], 0n);
  const [broken, whole] = await readAll(l1.source());
  equal(broken?.data.length, 0);
  equal(broken?.broken?.name, "CodecError");
  equal(broken?.inclusion.blobs, 1);
  equal(whole?.broken, undefined);
  deepEqual(whole?.data, batch.data);
});

test("InboxSource tries the same transaction again after a failure", async () => {
  const l1 = new MemoryL1();
  const gone = new SourceError("Damaged", "gone");
  const two = [
    await makeBatch(plainBlocks(1)),
    await makeBatch(plainBlocks(1), { batchNumber: 1n }),
  ];
  await l1.mine(two.map((each) => draftOf(each, { da: "blobs" })), 0n);
  const faults = inTurn({ blob: [undefined, gone, gone], block: [gone], head: [gone] });
  const source = new InboxSource(flaky<LocalL1>(l1, faults));
  const got: (bigint | string | undefined)[] = [];
  for (let call = 0; call < 7; call++) {
    got.push(await source.nextBatch().then((each) => each?.batchNumber, (error) => error.message));
  }
  deepEqual(got, ["gone", "gone", 0n, "gone", "gone", 1n, undefined]);
});

test("InboxSource refuses blocks that are not linked", async () => {
  const [l1, other] = [new MemoryL1(), new MemoryL1()];
  await mineEmpty(l1, 1);
  await other.mine([], 5n);
  await other.mine([], 6n);
  await mineEmpty(l1, 1);
  const mixed = withMembers<LocalL1>(l1, {
    block: (number) => (number === 2n ? other : l1).block(number),
  });
  await rejects(new InboxSource(mixed).nextBatch(), {
    name: "SourceError",
    code: "Damaged",
    message: /L1 block 2: its parent is 0x.*, but block 1 is 0x/,
  });
});

test("InboxSink refuses to post where another one posts under its name", async () => {
  await onBoth(async (l1) => {
    const clock = new ManualClock();
    const [mine, rival] = [
      new InboxSink(l1, { clock, seenBlock: 0n }),
      new InboxSink(l1, { clock }),
    ];
    const first = await makeBatch(plainBlocks(2));
    await mine.submit(first);
    await mine.submit(first); // Its own, once more: harmless.
    await rival.submit(await makeBatch(plainBlocks(3, { first: 2 }), { batchNumber: 1n }));
    const second = await makeBatch(plainBlocks(2, { first: 2 }), { batchNumber: 1n });
    await rejects(mine.submit(second), {
      code: "TxFailed",
      message: /Cannot post batch 1: somebody else posted batch 1 in L1 block 3/,
    });
    equal(await l1.head("latest"), 3n);
  });
});

test("InboxSink posts on where others leave junk, or its own batch again", async () => {
  await onBoth(async (l1) => {
    const sink = new InboxSink(l1, { clock: new ManualClock(), seenBlock: 0n });
    const own = await makeBatch(plainBlocks(2));
    await l1.mine([draftOf(batch), draftOf({ ...own, batchNumber: 7n }), draftOf(own)], 0n);
    equal((await sink.submit(own)).l1Block, 2n);
  });
});
