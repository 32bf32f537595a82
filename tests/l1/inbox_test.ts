import {
  deepStrictEqual as deepEqual,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RpcError, SourceError } from "../../src/errors.ts";
import { L1Inbox, type L1InboxOptions } from "../../src/l1/inbox.ts";
import type { L1Batch } from "../../src/types.ts";
import { BLOB_CAPACITY, encodeBlob } from "../../src/wire/blob.ts";
import { blobCalldata } from "../../src/wire/inbox.ts";
import { Events, flaky, inTurn, noise, withMembers } from "../helpers.ts";
import { batch, BATCHER, FakeChain, INBOX, openInbox, posted, readAll } from "./fake_chain.ts";

const STRANGER = new Uint8Array(20).fill(9);

test("L1Inbox gives back what was posted, in blobs and in calldata, with where it was", async () => {
  const chain = new FakeChain();
  const inbox = openInbox(chain);
  equal(await inbox.nextBatch(), undefined);
  const batches = [
    ...[1, BLOB_CAPACITY, BLOB_CAPACITY + 1, 6 * BLOB_CAPACITY].map((size) => [size, "blobs"]),
    ...[1, 120_000].map((size) => [size, "calldata"]),
  ] as [number, "blobs" | "calldata"][];
  for (const [number, [size, da]] of batches.entries()) {
    const header = chain.mine({ to: STRANGER, input: noise(9) }, posted(batch(number, size), da));
    const read = await inbox.nextBatch();
    deepEqual(
      read,
      {
        ...batch(number, size),
        inclusion: {
          blockNumber: header.number,
          blockHash: header.hash,
          timestamp: header.timestamp,
          txHash: chain.blocks.at(-1)!.transactions[1]!.hash,
          blobs: da === "blobs" ? Math.ceil(size / BLOB_CAPACITY) : 0,
        },
      } satisfies L1Batch,
    );
    equal(await inbox.nextBatch(), undefined);
  }
});

test("L1Inbox reads every transaction of every block in order, from its start", async () => {
  const chain = new FakeChain();
  chain.mine(posted(batch(5)), posted(batch(1), "calldata"));
  chain.mineEmpty(20);
  chain.mine(posted(batch(2)), posted(batch(9)), posted(batch(2)));
  deepEqual(await readAll(openInbox(chain)), ["5@1", "1@1", "2@22", "9@22", "2@22"]);
  deepEqual(await readAll(openInbox(chain, { startBlock: 2n })), ["2@22", "9@22", "2@22"]);
  deepEqual(await readAll(openInbox(chain, { startBlock: 23n })), []);
});

test("L1Inbox ignores whoever is no batcher, and whatever is no batch, and tells so in order", async () => {
  const chain = new FakeChain();
  const good = posted(batch(0));
  chain.mine(
    { ...good, to: STRANGER }, // To somebody else: not our business.
    { ...good, to: undefined },
    { ...good, from: STRANGER },
    { ...good, from: undefined }, // Not even its signature is one.
    { input: new Uint8Array() },
    { input: blobCalldata(0n) },
    { input: noise(9), blobs: [encodeBlob(noise(2))] },
    good,
  );
  const events = new Events();
  chain.stored.delete("no blob of an ignored transaction is asked for");
  deepEqual(await readAll(openInbox(chain, {}, events)), ["0@1"]);
  const told = events.of("transaction.ignored");
  deepEqual(told.map((each) => each.reason), [
    "sender",
    "sender",
    "calldata",
    "calldata",
    "calldata",
  ]);
  deepEqual(
    told.map((each) => each.txHash),
    [2, 3, 4, 5, 6].map((index) => chain.blocks[1]!.transactions[index]!.hash),
  );
  deepEqual(chain.asked.filter((each) => each.startsWith("blobs")), ["blobs 1"]);
});

test("L1Inbox takes each batcher in its L1 blocks only", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 6; number++) {
    chain.mine(posted(batch(number)), { ...posted(batch(10 + number)), from: STRANGER });
  }
  const batchers = [{ address: BATCHER, toBlock: 3n }, {
    address: STRANGER,
    fromBlock: 3n,
    toBlock: 5n,
  }];
  deepEqual(await readAll(openInbox(chain, { batchers })), [
    ...["0@1", "1@2", "2@3"],
    ...["12@3", "13@4", "14@5"],
  ]);
});

test("L1Inbox hands on a batch whose blobs hold none, as broken", async () => {
  const chain = new FakeChain();
  const wrong = new Uint8Array(131_072);
  wrong[1] = 7;
  chain.mine({ input: blobCalldata(3n), blobs: [wrong] });
  const read = await openInbox(chain).nextBatch();
  equal(read?.batchNumber, 3n);
  equal((read?.broken as { code?: string }).code, "InvalidBlobVersion");
  equal(read?.data.length, 0);
});

test("L1Inbox reads up to its head: 12 blocks below the latest by default, safe, or finalised", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)));
  const last = async (head?: L1InboxOptions["head"]) => {
    const inbox = new L1Inbox({ chain, blobs: chain }, {
      inbox: INBOX,
      batchers: [{ address: BATCHER }],
      ...(head ? { head } : {}),
    });
    return [await inbox.l1Head(), (await readAll(inbox)).at(-1)];
  };
  deepEqual(await last(), [18n, "17@18"]);
  deepEqual(await last({ confirmations: 3 }), [27n, "26@27"]);
  deepEqual(await last({ confirmations: 99 }), [0n, undefined]);
  deepEqual(await last("finalized"), [0n, undefined]);
  chain.safeDepth = 4;
  deepEqual(await last("safe"), [26n, "25@26"]);
  deepEqual(await last("finalized"), [22n, "21@22"]);
});

test("L1Inbox asks again where a node contradicts itself, and loses nothing", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 10; number++) chain.mine(posted(batch(number)));
  const right = chain.blocks[5]!;
  const wrong = { ...right, header: { ...right.header, parentHash: noise(32, 1) } };
  const other = { ...right, header: { ...right.header, number: 6n } };
  for (const answer of [wrong, other, undefined]) {
    const lying = withMembers(chain, {
      block: (number: bigint) => number === 5n ? Promise.resolve(answer) : chain.block(number),
    });
    const inbox = openInbox(lying as FakeChain);
    const read: bigint[] = [];
    const failure = await (async () => {
      for (let each = await inbox.nextBatch(); each; each = await inbox.nextBatch()) {
        read.push(each.batchNumber);
      }
    })().catch((error) => error);
    deepEqual([failure.name, failure.code, failure.kind], [
      "SourceError",
      "Connection",
      "temporary",
    ]);
    deepEqual(read, [0n, 1n, 2n, 3n]);
  }
});

test("L1Inbox goes on where an error of the chain or of blobs broke it off", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 12; number++) {
    const first = posted(batch(2 * number), number % 2 === 0 ? "blobs" : "calldata");
    chain.mine(first, { input: noise(3) }, posted(batch(2 * number + 1)));
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(undefined, undefined, "rpc", "answered", "missing"), {
        minLength: 20,
        maxLength: 60,
      }),
      fc.integer({ min: 0, max: 5 }),
      fc.integer({ min: 0, max: 10 * 131_072 }),
      async (faults, prefetchBlocks, prefetchBytes) => {
        const errors = {
          rpc: new RpcError("Unreachable", "gone"),
          answered: new RpcError("Answered", "header not found"),
          missing: new SourceError("BlobMissing", "not there"),
        };
        const left = [...faults];
        const next = (method: string) => {
          const fault = left.shift();
          return fault && errors[method === "blobs" ? "missing" : fault];
        };
        const source = flaky(chain, next) as FakeChain;
        const inbox = openInbox(source, { prefetchBlocks, prefetchBytes });
        const read: bigint[] = [];
        for (;;) {
          try {
            const each = await inbox.nextBatch();
            if (!each) break;
            read.push(each.batchNumber);
            deepEqual(each.data, batch(Number(each.batchNumber)).data);
          } catch (error) {
            equal((error as SourceError).kind, "temporary");
          }
        }
        deepEqual(read, Array.from({ length: 24 }, (_, index) => BigInt(index)));
        await inbox.stop();
      },
    ),
    { numRuns: 40 },
  );
});

test("l1BlockHash() answers for any block, and asks once", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)));
  const inbox = openInbox(chain, { startBlock: 20n });
  await readAll(inbox);
  for (const number of [0n, 7n, 19n, 20n, 30n, 7n, 0n]) {
    deepEqual(await inbox.l1BlockHash(number), chain.blocks[Number(number)]!.header.hash);
  }
  equal(chain.asked.filter((each) => each === "header 7").length, 1);
  equal(chain.asked.filter((each) => each === "header 20").length, 0);
  equal(await inbox.l1BlockHash(31n), undefined);
  chain.mine();
  deepEqual(await inbox.l1BlockHash(31n), chain.blocks[31]!.header.hash);
});

test("L1Inbox reads ahead within its bounds, and several blocks at the same time", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 40; number++) chain.mine(posted(batch(number)));
  let running = 0;
  let most = 0;
  const slow = withMembers(chain, {
    block: async (number: bigint) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running -= 1;
      return await chain.block(number);
    },
  }) as FakeChain;
  const bound = 4 * 132_096;
  const inbox = openInbox(slow, { prefetchBlocks: 6, prefetchBytes: bound });
  for (let number = 0; number < 40; number++) {
    equal((await inbox.nextBatch())?.batchNumber, BigInt(number));
    equal(inbox.prefetchedBytes <= bound, true);
  }
  equal(most > 2 && most <= 7, true, `${most} at once`);
  await inbox.stop();
  equal(running, 0);

  const alone = openInbox(chain, { prefetchBlocks: 0 });
  equal((await readAll(alone)).length, 40);
  equal(alone.prefetchedBytes, 0);
});

test("L1Inbox passes on what refuses it for good", async () => {
  const chain = new FakeChain();
  const faults = inTurn({ header: [new RpcError("Refused", "401")] });
  await rejects(openInbox(flaky(chain, faults) as FakeChain).nextBatch(), {
    code: "Refused",
    kind: "critical",
  });
});

test("L1Inbox refuses what it could never read anything by", () => {
  const wrong: readonly (readonly [Partial<L1InboxOptions>, RegExp])[] = [
    [{ batchers: [] }, /no batcher is named/],
    [{ inbox: new Uint8Array(19) }, /is no address of 20 bytes/],
    [{ batchers: [{ address: BATCHER }, { address: new Uint8Array(32) }] }, /is no address/],
    [{ batchers: [{ address: BATCHER, fromBlock: 5n, toBlock: 4n }] }, /from L1 block 5 to 4/],
  ];
  for (const [options, message] of wrong) {
    throws(() => openInbox(new FakeChain(), options), { code: "Invalid", message });
  }
});
