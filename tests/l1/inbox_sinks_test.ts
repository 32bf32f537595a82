import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { PipelineError, SourceError } from "../../src/errors.ts";
import type { BlobSource, L1Header } from "../../src/ethereum.ts";
import { audited } from "../../src/l1/audit.ts";
import { AutoSink, BATCHES_BEFORE_CHANGE, dataCosts } from "../../src/l1/auto_sink.ts";
import { BlobSink } from "../../src/l1/blob_sink.ts";
import { CalldataSink } from "../../src/l1/calldata_sink.ts";
import type { Market } from "../../src/l1/gas.ts";
import { deadlineOf, preflight } from "../../src/l1/preflight.ts";
import type { TxRequest } from "../../src/l1/tx_manager.ts";
import { allCompressors } from "../../src/compress/formats.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import type { BatchSink } from "../../src/ports.ts";
import type { BatchHeader, CompressedBatch, SubmissionReceipt } from "../../src/types.ts";
import { CHECK_SIZE } from "../../src/wire/batch.ts";
import { BLOB_CAPACITY, fromBlobs, toBlobs } from "../../src/wire/blob.ts";
import {
  batchCalldata,
  blobCalldata,
  CALLDATA_CAPACITY,
  parseCalldata,
} from "../../src/wire/inbox.ts";
import { Events, makeBatch, noise, plainBlocks, withMembers } from "../helpers.ts";
import { GWEI, INBOX, TxWorld } from "./tx_world.ts";

/** A batch of real form whose blocks hold `size` bytes. */
async function batchOf(
  number: number,
  size = 100,
  origin: Partial<BatchHeader> = { l1Origin: 3n },
): Promise<CompressedBatch> {
  const blocks = plainBlocks(1, { size });
  return await makeBatch(blocks, { batchNumber: BigInt(number), ...origin });
}

/** Names the first block of an L1. */
function originOf({ ethereum }: TxWorld): Partial<BatchHeader> {
  return { l1Origin: 0n, l1OriginCheck: ethereum.blockAt(0n)!.header.hash.slice(0, CHECK_SIZE) };
}

/** Takes what sinks send, and answers at once. */
class FakeManager {
  readonly maxInFlight = 5;
  readonly sent: TxRequest[] = [];
  market_: Market = { baseFee: GWEI, tip: 0n, blobBaseFee: GWEI };

  send(request: TxRequest): Promise<SubmissionReceipt> {
    this.sent.push(request);
    const { batchNumber } = request;
    const hash = new Uint8Array(32);
    return Promise.resolve({
      batchNumber,
      txHash: hash,
      l1Block: 1n,
      l1BlockHash: hash,
      blobHashes: [],
    });
  }

  healthCheck(): Promise<void> {
    return Promise.resolve();
  }

  market(): Promise<Market> {
    return Promise.resolve(this.market_);
  }

  kindOf(): undefined {
    return undefined;
  }

  get kinds(): string {
    return this.sent.map(({ blobs }) => blobs.length > 0 ? "b" : "c").join("");
  }
}

test("BlobSink and CalldataSink send what readers expect, with the last block that may include it", async () => {
  const manager = new FakeManager();
  const [small, large] = [await batchOf(0), await batchOf(1, 2 * BLOB_CAPACITY)];
  const blobs = new BlobSink({ manager, inbox: INBOX });
  await blobs.submit(small);
  await blobs.submit(large);
  await new CalldataSink({ manager, inbox: INBOX }).submit(small);
  const [first, second, third] = manager.sent;
  deepEqual(fromBlobs(first!.blobs), small.data);
  deepEqual(second!.blobs.length, 3);
  deepEqual(parseCalldata(third!.input, 0), small);
  deepEqual(first!.to, INBOX);
  equal(first!.deadlineL1Block, 3603n);
  equal(blobs.blobBytes, BLOB_CAPACITY);
  equal(blobs.maxInFlight, 5);
  equal(await blobs.capacity(), 6 * BLOB_CAPACITY);
  equal(await new BlobSink({ manager, inbox: INBOX, maxBlobs: 2 }).capacity(), 2 * BLOB_CAPACITY);
});

test("BlobSink and CalldataSink refuse what is too large, and what no reader would derive", async () => {
  const manager = new FakeManager();
  const options = { manager, inbox: INBOX };
  const tooLarge = { batchNumber: 0n, data: noise(CALLDATA_CAPACITY + 1) };
  await rejects(new CalldataSink(options).submit(tooLarge), { code: "TooLarge" });
  const sink = new BlobSink({ ...options, maxBlobs: 1 });
  await rejects(sink.submit({ batchNumber: 0n, data: noise(BLOB_CAPACITY + 1) }), {
    code: "TooLarge",
  });
  await rejects(sink.submit({ batchNumber: 0n, data: noise(50) }), {
    code: "TxFailed",
    message: /readers would drop it/,
  });
  const wrongNumber = { ...await batchOf(4), batchNumber: 5n };
  await rejects(sink.submit(wrongNumber), { message: /its header says it is batch 4/ });
  equal(manager.sent.length, 0);
  for (const maxBlobs of [0, 7, 1.5]) {
    let error: unknown;
    try {
      new BlobSink({ ...options, maxBlobs });
    } catch (thrown) {
      error = thrown;
    }
    equal((error as { code?: string }).code, "Invalid");
  }
});

test("preflight() reads the very bytes back, and finds what differs", async () => {
  const compressors = allCompressors();
  const batch = await batchOf(2);
  const input = blobCalldata(2n);
  const header = await preflight(batch, { input, blobs: toBlobs(batch.data) }, compressors);
  equal(deadlineOf(header), 3603n);
  await preflight(batch, { input: batchCalldata(batch), blobs: [] }, compressors);
  const other = await batchOf(3);
  const wrong = [
    { input: blobCalldata(3n), blobs: toBlobs(batch.data) },
    { input, blobs: toBlobs(other.data) },
    { input, blobs: [] },
    { input: new Uint8Array(), blobs: toBlobs(batch.data) },
  ];
  for (const data of wrong) {
    await rejects(preflight(batch, data, compressors), { code: "TxFailed" });
  }
});

test("BlobSink hands batches on in the order of the calls, though some take longer to look at", async () => {
  const manager = new FakeManager();
  const sink = new BlobSink({ manager, inbox: INBOX });
  const batches = [await batchOf(0, 700_000), await batchOf(1), await batchOf(2, 300_000)];
  const bad = { batchNumber: 9n, data: noise(20) };
  const outcomes = await Promise.allSettled(
    [...batches, bad, await batchOf(3)].map((each) => sink.submit(each)),
  );
  deepEqual(manager.sent.map(({ batchNumber }) => batchNumber), [0n, 1n, 2n, 3n]);
  equal(outcomes.filter(({ status }) => status === "rejected").length, 1);
});

test("AutoSink goes where it is cheaper, stays there for 16 batches, and tells when it changes", async () => {
  const manager = new FakeManager();
  const events = new Events();
  const sink = new AutoSink({ manager, inbox: INBOX, log: events.log });
  const blobsDear = { baseFee: GWEI, tip: 0n, blobBaseFee: 10n * GWEI };
  const blobsCheap = { baseFee: GWEI, tip: 0n, blobBaseFee: 1n };
  const small = await batchOf(0);
  const { blobsWei, calldataWei } = dataCosts(small, blobsDear);
  ok(calldataWei < blobsWei);
  ok(dataCosts(small, blobsCheap).blobsWei < dataCosts(small, blobsCheap).calldataWei);

  manager.market_ = blobsCheap;
  await sink.submit(small);
  manager.market_ = blobsDear;
  await sink.submit(small);
  equal(await sink.capacity(), CALLDATA_CAPACITY);
  manager.market_ = blobsCheap;
  for (let number = 0; number < BATCHES_BEFORE_CHANGE + 3; number++) await sink.submit(small);
  equal(manager.kinds, "b" + "c".repeat(BATCHES_BEFORE_CHANGE) + "bbbb");
  deepEqual(
    events.of("da.switched").map(({ to }) => to),
    ["calldata", "blobs"],
  );
});

test("AutoSink puts what calldata cannot hold into blobs, and a batch under way where it went before", async () => {
  const manager = new FakeManager();
  manager.market_ = { baseFee: GWEI, tip: 0n, blobBaseFee: 100_000n * GWEI };
  const large = await batchOf(0, 2 * BLOB_CAPACITY);
  const sink = new AutoSink({ manager, inbox: INBOX });
  await sink.submit(large);
  await sink.submit(await batchOf(1));
  equal(manager.kinds, "bc");
  const known = new AutoSink({
    manager: withMembers(manager, { kindOf: () => "blobs" as never }),
    inbox: INBOX,
  });
  await known.submit(await batchOf(2));
  equal(manager.kinds, "bcb");
  const blind = new AutoSink({
    manager: withMembers(manager, { market: () => Promise.reject(new Error("down")) }),
    inbox: INBOX,
  });
  await blind.submit(await batchOf(3));
  equal(manager.kinds, "bcbb");
});

test("BlobSink and CalldataSink post nothing that names another L1, as soon as that is sure", async () => {
  const world = new TxWorld();
  const manager = new FakeManager();
  let looks = 0;
  let wrong = 0;
  const [genesis] = world.ethereum.blocks;
  const chain = {
    name: "node",
    header(): Promise<L1Header | undefined> {
      looks += 1;
      const { header } = genesis!;
      return Promise.resolve(wrong-- > 0 ? { ...header, hash: new Uint8Array(32) } : header);
    },
  };
  const posting = { manager, inbox: INBOX, chain };
  const batch = await batchOf(0, 100, originOf(world));
  for (const sink of [new BlobSink(posting), new CalldataSink(posting)]) {
    wrong = Infinity;
    await rejects(sink.submit(batch), {
      code: "TxFailed",
      message: /readers would drop it: it names L1 block 0 with a hash that begins with 0x/,
    });
    equal(manager.sent.length, 0);
  }
  wrong = 2;
  looks = 0;
  await new CalldataSink(posting).submit(batch);
  deepEqual([looks, manager.sent.length], [3, 1]);

  // Nor does one that cannot be looked at now let those behind it overtake.
  const blind = { name: "node", header: () => Promise.resolve(undefined) };
  await new CalldataSink({ ...posting, chain: blind }).submit(batch);
  equal(manager.sent.length, 2);
  const other = new PipelineError("WrongL1", "so it was planned");
  const mustBeSameL1 = () => Promise.reject(other);
  wrong = Infinity;
  await rejects(new CalldataSink({ ...posting, mustBeSameL1 }).submit(batch), other);
  world.close();
});

test("audited() finds what was posted in blobs and in calldata, and raises an alarm for anything else", async () => {
  const world = new TxWorld({ config: { confirmations: 2 } });
  try {
    const manager = await world.open();
    const events = new Events();
    const origin = originOf(world);
    const posting = { manager, inbox: INBOX };
    const parts = {
      chain: world.node,
      blobs: world.node.blobSource(),
      clock: world.clock,
      random: new SeededRandom(),
      log: events.log,
    };
    const submit = (sink: BatchSink, batch: CompressedBatch) => world.run(sink.submit(batch));
    await submit(audited(new BlobSink(posting), parts), await batchOf(0, 200_000, origin));
    await submit(audited(new CalldataSink(posting), parts), await batchOf(1, 100, origin));
    const lying: BlobSource = {
      name: "liar",
      blobs: async () => toBlobs((await batchOf(7)).data),
    };
    // As of an L1 that was replaced.
    await rejects(submit(audited(new CalldataSink(posting), parts), await batchOf(4)), {
      code: "Changed",
      message: /batch 4.*names L1 block 3 with a hash that begins with 0x.*another L1/,
    });
    await rejects(
      submit(audited(new BlobSink(posting), { ...parts, blobs: lying }), await batchOf(2)),
      { code: "Changed", message: /other bytes come back/ },
    );
    const silent: BlobSource = {
      name: "silent",
      blobs: () => Promise.reject(new SourceError("BlobMissing", "nobody has it")),
    };
    await submit(audited(new BlobSink(posting), { ...parts, blobs: silent }), await batchOf(3));
    deepEqual(
      events.of("batch.audited").map(({ isSame }) => isSame),
      [true, true, false, false, false],
    );
    await world.run(manager.close());
  } finally {
    world.close();
  }
});
