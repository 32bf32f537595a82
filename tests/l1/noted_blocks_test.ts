import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { TxAttempt, TxReceipt } from "../../src/ethereum.ts";
import { BlobArchive } from "../../src/l1/blob_archive.ts";
import { notingBlocks } from "../../src/l1/noted_blocks.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { blobHash } from "../../src/local/l1_block.ts";
import { Events } from "../helpers.ts";
import { blobsOf, fakeKzg } from "./fake_beacon.ts";
import { batch, FakeChain, openInbox, posted, readAll } from "./fake_chain.ts";

const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

function newArchive(): BlobArchive {
  return new BlobArchive({ storage: new MemoryStorage(), directory: "/a", kzg: fakeKzg });
}

test("notingBlocks() notes all blobs of the block that includes a blob transaction", async () => {
  const chain = new FakeChain();
  const archive = newArchive();
  const events = new Events();
  const log = notingBlocks(archive, chain, events.log);
  const others = blobsOf(2, 5);
  const header = chain.mine({ input: new Uint8Array(), blobs: others }, posted(batch(1)));
  const [, own] = chain.blocks[1]!.transactions;
  const attempt = { blobHashes: own!.blobHashes } as unknown as TxAttempt;
  const receipt = { blockNumber: header.number, blockHash: header.hash } as unknown as TxReceipt;

  log({ event: "tx.included", attempt: { ...attempt, blobHashes: [] }, receipt });
  log({ event: "tx.included", attempt, receipt: { ...receipt, blockHash: new Uint8Array(32) } });
  await settled();
  equal(await archive.blockAt(header.timestamp), undefined);
  log({ event: "tx.final", attempt, receipt });
  await settled();
  const { number, hash, timestamp } = header;
  const blobs = [...others.map((each) => blobHash(each)), ...own!.blobHashes];
  deepEqual(await archive.blockAt(timestamp), { number, hash, timestamp, blobs });
  equal(events.of("endpoint.failed").length, 0);
  equal(events.all.length, 3);

  const broken = { noteBlock: () => Promise.reject(new Error("full")) };
  notingBlocks(broken, chain, events.log)({ event: "tx.final", attempt, receipt });
  await settled();
  equal(events.of("endpoint.failed").length, 1);
});

test("L1Inbox notes the blobs of the blocks that it reads batches from", async () => {
  const chain = new FakeChain();
  const archive = newArchive();
  const others = blobsOf(1, 5);
  chain.mine({ input: new Uint8Array(), blobs: others });
  const header = chain.mine({ input: new Uint8Array(), blobs: others }, posted(batch(1)));
  chain.mine(posted(batch(2), "calldata"));
  deepEqual(await readAll(openInbox(chain, {}, new Events(), archive)), ["1@2", "2@3"]);
  const blocks = await archive.blocks();
  deepEqual(blocks.map(({ number, blobs }) => [number, blobs.length]), [[header.number, 2]]);

  const events = new Events();
  const broken = { noteBlock: () => Promise.reject(new Error("full")) };
  deepEqual(await readAll(openInbox(chain, {}, events, broken)), ["1@2", "2@3"]);
  equal(events.of("endpoint.failed").length, 1);
});
