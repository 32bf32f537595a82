import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { DEFAULT_BATCHER, DEFAULT_INBOX } from "../../src/local/inbox.ts";
import type { L1TransactionDraft } from "../../src/local/l1_block.ts";
import { MemoryBlockSink, MemoryL1 } from "../../src/local/memory.ts";
import type { DropReason } from "../../src/ports.ts";
import type { BatchHeader, CompressedBatch } from "../../src/types.ts";
import { encodeBlob } from "../../src/wire/blob.ts";
import { blobCalldata } from "../../src/wire/inbox.ts";
import { content, draftOf, l2Hash, linkedBlocks, makeBatch, mineEmpty } from "../helpers.ts";
import { noise, plainBlocks, stepAll, withMembers } from "../helpers.ts";
import { deriverOf } from "./world.ts";

const brotli = new BrotliCompressor({ level: 4 });

/** A sink that knows the hash of its last block; of the block before the first too. */
function knowingSink() {
  const sink = new MemoryBlockSink();
  const parentHash = () => Promise.resolve(l2Hash(sink.blocks.length - 1));
  return {
    sink,
    knowing: withMembers<MemoryBlockSink & { parentHash?(): Promise<Uint8Array> }>(sink, {
      parentHash,
    }),
  };
}

/**
 * Posts batch 0, a bad batch 1, a good one; expects the drop, and that the good one is accepted as if
 * the bad one had never been.
 */
async function dropsOne(bad: L1TransactionDraft, reason: DropReason, message: RegExp) {
  const l1 = new MemoryL1();
  const blocks = linkedBlocks(4);
  const parentOf = (number: number) => ({ parentCheck: l2Hash(number - 1).slice(0, 20) });
  const first = await makeBatch(blocks.slice(0, 2), parentOf(0));
  const good = await makeBatch(blocks.slice(2), { batchNumber: 1n, ...parentOf(2) });
  await l1.mine([draftOf(first), bad, draftOf(good)], 0n);
  const { sink, knowing } = knowingSink();
  const { deriver, events } = deriverOf(l1, {
    sink: knowing,
    compressors: [new BrotliCompressor({ maxDecompressedBytes: 10_000 }), new NoopCompressor()],
  });
  deepEqual(await stepAll(deriver), ["accept 0", `drop 1 ${reason}`, "accept 1"]);
  deepEqual(content(sink.blocks), content(blocks));
  const [dropped] = events.of("batch.dropped");
  ok(message.test((dropped!.error as Error).message), (dropped!.error as Error).message);
}

/** Batch 1 with a header field that is wrong. */
async function wrong(header: Partial<BatchHeader>, first = 2): Promise<L1TransactionDraft> {
  const right = { batchNumber: 1n, parentCheck: l2Hash(1).slice(0, 20) };
  return draftOf(await makeBatch(plainBlocks(2, { first }), { ...right, ...header }));
}

/** Batch 1 of these bytes. */
function raw(...parts: readonly (Uint8Array | number[])[]): L1TransactionDraft {
  return draftOf({ batchNumber: 1n, data: Uint8Array.from(parts.flatMap((part) => [...part])) });
}

async function sealed(): Promise<Uint8Array> {
  return (await makeBatch(plainBlocks(2, { first: 2 }), { batchNumber: 1n })).data;
}

test("DerivationPipeline drops undecodable: a format that nobody knows", async () => {
  await dropsOne(raw([7, 1, 2]), "undecodable", /format 0x07: known are 0x00 brotli, 0x02 none/);
});

test("DerivationPipeline drops undecodable: a batch that is cut, or goes on behind its end", async () => {
  await dropsOne(
    raw((await sealed()).slice(0, -1)),
    "undecodable",
    /transaction: need 20 bytes, 19/,
  );
  await dropsOne(raw((await sealed()).slice(0, 9)), "undecodable", /batch_number: need 8 bytes, 7/);
  await dropsOne(raw(await sealed(), [0]), "undecodable", /1 bytes left/);
});

test("DerivationPipeline drops undecodable: a Brotli stream that is damaged, cut, or not alone", async () => {
  const stream = await brotli.compress((await sealed()).slice(1));
  await dropsOne(raw([0], noise(50)), "undecodable", /as Brotli/);
  await dropsOne(raw([0], stream.slice(0, -1)), "undecodable", /its end is missing/);
  await dropsOne(raw([0], stream, [0]), "undecodable", /1 bytes follow the end/);
});

test("DerivationPipeline drops undecodable: a bomb, before memory goes", async () => {
  const bomb = await brotli.compress(new Uint8Array(30_000_000));
  ok(bomb.length < 100);
  await dropsOne(raw([0], bomb), "undecodable", /at most 10000 may/);
});

test("DerivationPipeline drops undecodable: blobs that hold no bytes a batch could be", async () => {
  const { from, to } = { from: DEFAULT_BATCHER, to: DEFAULT_INBOX };
  const zeroPadded = encodeBlob(await sealed());
  zeroPadded[0] = 0xff; // What the seed's plain copy makes of most data: no field element.
  const input = blobCalldata(1n);
  await dropsOne({ from, to, input, blobs: [zeroPadded] }, "undecodable", /field element 0/);
  const short = encodeBlob(Uint8Array.of(1));
  await dropsOne({ from, to, input, blobs: [short, short] }, "undecodable", /blob 0 of 2/);
  const empty = encodeBlob(new Uint8Array());
  await dropsOne(
    { from, to, input, blobs: [empty] },
    "undecodable",
    /format: need 1 bytes, 0 left/,
  );
});

test("DerivationPipeline drops version: a header of another version", async () => {
  const bytes = await sealed();
  bytes[1] = 1;
  await dropsOne(raw(bytes), "version", /batch version 1 at offset 0: need 0/);
});

test("DerivationPipeline drops number_mismatch: a header with another number than the calldata", async () => {
  const other: CompressedBatch = await makeBatch(plainBlocks(2), { batchNumber: 7n });
  await dropsOne(draftOf({ ...other, batchNumber: 1n }), "number_mismatch", /header says batch 7/);
});

test("DerivationPipeline drops origin_ahead: an L1 origin above the including block", async () => {
  await dropsOne(await wrong({ l1Origin: 2n }), "origin_ahead", /L1 origin 2 is above L1 block 1/);
  await dropsOne(await wrong({ l1Origin: 2n ** 64n - 1n }), "origin_ahead", /above L1 block 1/);
});

test("DerivationPipeline drops origin_check: a hash that is not the canonical one", async () => {
  await dropsOne(
    await wrong({ l1OriginCheck: noise(20) }),
    "origin_check",
    /that block's hash is 0x/,
  );
});

test("DerivationPipeline drops parent_check: another parent than the last block", async () => {
  await dropsOne(
    await wrong({ parentCheck: l2Hash(0).slice(0, 20) }),
    "parent_check",
    /last block/,
  );
});

test("DerivationPipeline drops timestamp: a first block older than the last one", async () => {
  await dropsOne(await wrong({}, 0), "timestamp", /is of 1000, the last block of 1002/);
});

test("DerivationPipeline drops origin_expired: an L1 origin 3601 blocks down, not 3600", async () => {
  const l1 = new MemoryL1();
  await mineEmpty(l1, 3600);
  const batch = await makeBatch(plainBlocks(1)); // Of L1 origin 0.
  const later = new MemoryL1();
  await mineEmpty(later, 3599);
  await later.mine([draftOf(batch)], 0n);
  deepEqual(await stepAll(deriverOf(later).deriver), ["accept 0"]);
  await l1.mine([draftOf(batch)], 0n);
  const { deriver, events } = deriverOf(l1);
  deepEqual(await stepAll(deriver), ["drop 0 origin_expired"]);
  ok(/0 is more than 3600 below L1 block 3601/.test(String(events.of("batch.dropped")[0]!.error)));
});

test("DerivationPipeline accepts equal timestamps, and blocks of no known parent", async () => {
  const l1 = new MemoryL1();
  const block = plainBlocks(1)[0]!;
  await l1.mine([draftOf(await makeBatch([block, block]))], 0n);
  await l1.mine(
    [draftOf(await makeBatch([block], { batchNumber: 1n, parentCheck: noise(20) }))],
    0n,
  );
  deepEqual(await stepAll(deriverOf(l1).deriver), ["accept 0", "accept 1"]);
});

test("DerivationPipeline judges a kept batch when its turn comes, not before", async () => {
  const l1 = new MemoryL1();
  const early = await makeBatch(plainBlocks(2, { first: 0 }), { batchNumber: 1n });
  const right = await makeBatch(plainBlocks(2, { first: 5 }), { batchNumber: 1n });
  await l1.mine([draftOf(early), draftOf(right)], 0n);
  await l1.mine([draftOf(await makeBatch(plainBlocks(5)))], 0n);
  const { deriver, sink } = deriverOf(l1);
  deepEqual(await stepAll(deriver), [
    ...["future 1", "future 1", "accept 0", "drop 1 timestamp", "accept 1"],
  ]);
  deepEqual(content(sink.blocks), content(plainBlocks(7)));
});

test("DerivationPipeline throws on what is wrong with itself, and drops nothing for it", async () => {
  const l1 = new MemoryL1();
  await l1.mine([draftOf(await makeBatch(plainBlocks(1)))], 0n);
  const codec = {
    encode: () => new Uint8Array(),
    decode: () => {
      throw new TypeError("bug");
    },
  };
  const { deriver, events } = deriverOf(l1, { codec });
  await rejects(deriver.step(), TypeError);
  equal(events.all.length, 0);
});
