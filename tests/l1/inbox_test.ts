import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RpcError, SourceError } from "../../src/errors.ts";
import { L1Inbox, type L1InboxOptions } from "../../src/l1/inbox.ts";
import type { L1Batch } from "../../src/types.ts";
import { BLOB_CAPACITY, encodeBlob } from "../../src/wire/blob.ts";
import { blobCalldata } from "../../src/wire/inbox.ts";
import { Events, flaky, inTurn, noise, withMembers } from "../helpers.ts";
import { BATCHER, FakeChain, INBOX, posted } from "./fake_chain.ts";

const STRANGER = new Uint8Array(20).fill(9);

function batch(number: number, size = 10) {
  return { batchNumber: BigInt(number), data: noise(size, number) };
}

function open(chain: FakeChain, options: Partial<L1InboxOptions> = {}, events = new Events()) {
  return new L1Inbox({ chain, blobs: chain, log: events.log }, {
    inbox: INBOX,
    batchers: [{ address: BATCHER }],
    head: "latest",
    ...options,
  });
}

/** Reads until caught up: batches by number, and reorganisations by the block to go back to. */
async function readAll(inbox: L1Inbox): Promise<string[]> {
  const read: string[] = [];
  for (;;) {
    try {
      const each = await inbox.nextBatch();
      if (!each) return read;
      read.push(`${each.batchNumber}@${each.inclusion.blockNumber}`);
    } catch (error) {
      if (!(error instanceof SourceError && error.code === "Reorganised")) throw error;
      equal(error.kind, "reset");
      read.push(`back to ${error.details.block}`);
    }
  }
}

test("L1Inbox gives back what was posted, in blobs and in calldata, with where it was", async () => {
  const chain = new FakeChain();
  const inbox = open(chain);
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
  deepEqual(await readAll(open(chain)), ["5@1", "1@1", "2@22", "9@22", "2@22"]);
  deepEqual(await readAll(open(chain, { startBlock: 2n })), ["2@22", "9@22", "2@22"]);
  deepEqual(await readAll(open(chain, { startBlock: 23n })), []);
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
  deepEqual(await readAll(open(chain, {}, events)), ["0@1"]);
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
  deepEqual(await readAll(open(chain, { batchers })), [
    ...["0@1", "1@2", "2@3"],
    ...["12@3", "13@4", "14@5"],
  ]);
});

test("L1Inbox hands on a batch whose blobs hold none, as broken", async () => {
  const chain = new FakeChain();
  const wrong = new Uint8Array(131_072);
  wrong[1] = 7;
  chain.mine({ input: blobCalldata(3n), blobs: [wrong] });
  const read = await open(chain).nextBatch();
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

test("L1Inbox goes back to the common ancestor of a reorganisation, once", async () => {
  for (const depth of [1, 2, 5, 20, 40]) {
    const chain = new FakeChain();
    for (let number = 0; number < 50; number++) chain.mine(posted(batch(number)));
    const events = new Events();
    const inbox = open(chain, {}, events);
    equal((await readAll(inbox)).length, 50);
    chain.drop(depth);
    for (let number = 0; number < depth; number++) chain.mine(posted(batch(100 + number)));
    const ancestor = 50 - depth;
    deepEqual(await readAll(inbox), [
      `back to ${ancestor}`,
      ...Array.from({ length: depth }, (_, index) => `${100 + index}@${ancestor + 1 + index}`),
    ]);
    const [told, ...others] = events.of("l1.reorganised");
    deepEqual(told, {
      event: "l1.reorganised",
      ancestor: BigInt(ancestor),
      depth: BigInt(depth),
    });
    equal(others.length, 0);
    // It holds what it reads, also where the chain stands still.
    deepEqual(await inbox.l1BlockHash(50n), chain.blocks[50]!.header.hash);
  }
});

test("L1Inbox takes a head that goes back for a node that lags", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 10; number++) chain.mine(posted(batch(number)));
  const events = new Events();
  const inbox = open(chain, {}, events);
  equal((await readAll(inbox)).length, 10);
  const whole = chain.blocks;
  chain.blocks = whole.slice(0, 6);
  deepEqual(await readAll(inbox), []);
  equal(await inbox.l1Head(), 5n);
  chain.blocks = whole;
  chain.mine(posted(batch(10)));
  deepEqual(await readAll(inbox), ["10@11"]);
  equal(events.of("l1.reorganised").length, 0);
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
    const inbox = open(lying as FakeChain);
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
        const inbox = open(source, { prefetchBlocks, prefetchBytes });
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

test("L1Inbox reads the chain that is there in the end, however often it was another", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("mine" as const), count: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ kind: fc.constant("reorg" as const), count: fc.integer({ min: 1, max: 12 }) }),
    fc.record({ kind: fc.constant("read" as const), count: fc.integer({ min: 1, max: 8 }) }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 0, max: 4 }),
      async (steps, prefetchBlocks) => {
        const chain = new FakeChain();
        let number = 0;
        const mine = (count: number) => {
          for (let index = 0; index < count; index++) {
            chain.mine(posted(batch(number++), "calldata"));
          }
        };
        const inbox = open(chain, { prefetchBlocks });
        let taken: L1Batch[] = [];
        const read = async (count: number): Promise<boolean> => {
          try {
            for (let index = 0; index < count; index++) {
              const each = await inbox.nextBatch();
              if (!each) return false;
              taken.push(each);
            }
          } catch (error) {
            if ((error as SourceError).code === "Connection") return true;
            equal((error as SourceError).code, "Reorganised");
            const ancestor = (error as SourceError).details.block as bigint;
            taken = taken.filter((each) => each.inclusion.blockNumber <= ancestor);
            // What is kept is on the chain, and nothing that could have been kept is gone.
            for (const { inclusion } of taken) {
              deepEqual(
                chain.blocks[Number(inclusion.blockNumber)]!.header.hash,
                inclusion.blockHash,
              );
            }
          }
          return true;
        };
        for (const { kind, count } of steps) {
          if (kind === "read") await read(count);
          else if (kind === "mine") mine(count);
          else {
            const depth = Math.min(count, chain.height);
            chain.drop(depth);
            mine(depth);
          }
        }
        while (await read(1000));
        deepEqual(
          taken.map(({ inclusion }) => inclusion.blockHash),
          chain.blocks.slice(1).map(({ header }) => header.hash),
        );
        await inbox.stop();
      },
    ),
    { numRuns: 150 },
  );
});

test("L1Inbox reads an orphaned block's successor, though the orphan's blobs are nowhere", async () => {
  const chain = new FakeChain();
  chain.mine(posted(batch(0)));
  chain.mine(posted(batch(1)), posted(batch(2)));
  const inbox = open(chain, { prefetchBlocks: 0 });
  equal((await inbox.nextBatch())?.batchNumber, 0n);
  chain.stored.clear();
  await rejects(inbox.nextBatch(), { code: "BlobMissing", kind: "temporary" });
  await rejects(inbox.nextBatch(), { code: "BlobMissing", kind: "temporary" });
  chain.drop(1);
  chain.mine(posted(batch(7)));
  deepEqual(await readAll(inbox), ["back to 1", "7@2"]);
});

test("L1Inbox knows after a restart what was read before it", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 100; number++) chain.mine(posted(batch(number)));
  const before = open(chain);
  await readAll(before);
  const known = before.knownUpTo(90n);
  deepEqual(known.map(({ number }) => Number(number)), [0, 26, 58, 74, 82, 86, 88, 89, 90]);
  deepEqual(open(chain, { startBlock: 91n, known }).knownUpTo(90n), known);
  chain.mine(posted(batch(100)));
  equal((await readAll(open(chain, { startBlock: 91n, known })))[0], "90@91");

  chain.drop(14);
  chain.mineEmpty(14);
  for (const startBlock of [91n, 101n]) {
    deepEqual(await readAll(open(chain, { startBlock, known })), ["back to 86", "86@87"]);
  }

  const other = new FakeChain(5000);
  other.mineEmpty(120);
  await rejects(open(other, { startBlock: 91n, known }).nextBatch(), {
    name: "SourceError",
    code: "Changed",
    kind: "critical",
  });
});

test("L1Inbox reads again from where it is told, and sees a reorganisation below", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)), posted(batch(90)));
  for (const rememberedBlocks of [8192, 10]) {
    const inbox = open(chain, { startBlock: 5n, rememberedBlocks });
    const all = await readAll(inbox);
    inbox.rewind(20n);
    equal((await inbox.nextBatch())?.inclusion.blockNumber, 20n);
    inbox.rewind(20n);
    deepEqual(await readAll(inbox), all.slice(-22));
    inbox.rewind(0n);
    deepEqual(await readAll(inbox), all);
    inbox.rewind(99n);
    deepEqual(await readAll(inbox), []);
    chain.drop(5);
    for (let number = 0; number < 5; number++) chain.mine(posted(batch(number)), posted(batch(90)));
    inbox.rewind(29n);
    await rejects(inbox.nextBatch(), { code: "Reorganised", details: { block: 25n, depth: 5n } });
    equal((await inbox.nextBatch())?.inclusion.blockNumber, 26n);
  }
});

test("L1Inbox goes back below where it went on after a restart, never below its start", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 100; number++) chain.mine(posted(batch(number)));
  const before = open(chain);
  await readAll(before);
  const known = before.knownUpTo(95n);
  const inbox = open(chain, { startBlock: 30n, resumeBlock: 90n, known });
  equal((await inbox.nextBatch())?.inclusion.blockNumber, 90n);
  for (const [number, first] of [[40n, 40n], [2n, 30n]] as const) {
    inbox.rewind(number);
    equal((await inbox.nextBatch())?.inclusion.blockNumber, first);
  }
});

test("L1Inbox sees that a block is gone which it goes on with after a restart", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 100; number++) chain.mine(posted(batch(number)));
  const before = open(chain);
  await readAll(before);
  const known = before.knownUpTo(95n);
  const inbox = open(chain, { resumeBlock: 93n, known, prefetchBlocks: 0 });
  // It is there when the restart looks, and then no more.
  equal((await inbox.nextBatch())?.inclusion.blockNumber, 93n);
  chain.drop(7);
  chain.mineEmpty(20);
  await rejects(inbox.nextBatch(), { code: "Reorganised", details: { block: 93n, depth: 2n } });
});

test("L1Inbox takes a node that changes its mind while blocks are read again for what it is", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)));
  const inbox = open(chain, { prefetchBlocks: 0 });
  await readAll(inbox);
  const { blocks } = chain;
  const known = inbox.knownUpTo(30n);
  const again = open(chain, { resumeBlock: 17n, known, prefetchBlocks: 0 });
  equal((await again.nextBatch())?.inclusion.blockNumber, 17n);
  // Block 18 alone is another one, which is not remembered, before one that is.
  chain.blocks = blocks.slice(0, 18);
  chain.mine(posted(batch(500)));
  chain.blocks.push(...blocks.slice(19));
  equal((await again.nextBatch())?.batchNumber, 500n);
  chain.blocks = blocks;
  await rejects(again.nextBatch(), { code: "Reorganised" });
  again.rewind(17n);
  deepEqual((await readAll(again)).slice(0, 3), ["16@17", "17@18", "18@19"]);
});

test("L1Inbox begins anew where all it ever read is gone, and ends where it may have read more", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)));
  const fresh = open(chain, { startBlock: 20n });
  equal((await readAll(fresh)).length, 11);
  const short = open(chain, { rememberedBlocks: 5 });
  equal((await readAll(short)).length, 30);
  chain.drop(15);
  chain.mineEmpty(15);
  chain.mine(posted(batch(1)));
  deepEqual(await readAll(fresh), ["back to 19", "1@31"]);
  await rejects(short.nextBatch(), { code: "Changed", kind: "critical" });
});

test("l1BlockHash() answers for any block, and asks once", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)));
  const inbox = open(chain, { startBlock: 20n });
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
  const inbox = open(slow, { prefetchBlocks: 6, prefetchBytes: bound });
  for (let number = 0; number < 40; number++) {
    equal((await inbox.nextBatch())?.batchNumber, BigInt(number));
    equal(inbox.prefetchedBytes <= bound, true);
  }
  equal(most > 2 && most <= 7, true, `${most} at once`);
  await inbox.stop();
  equal(running, 0);

  const alone = open(chain, { prefetchBlocks: 0 });
  equal((await readAll(alone)).length, 40);
  equal(alone.prefetchedBytes, 0);
});

test("L1Inbox passes on what refuses it for good", async () => {
  const chain = new FakeChain();
  const faults = inTurn({ header: [new RpcError("Refused", "401")] });
  await rejects(open(flaky(chain, faults) as FakeChain).nextBatch(), {
    code: "Refused",
    kind: "critical",
  });
});
