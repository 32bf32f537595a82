import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { SourceError } from "../../src/errors.ts";
import type { L1Batch } from "../../src/types.ts";
import { Events } from "../helpers.ts";
import { batch, FakeChain, openInbox, posted, readAll } from "./fake_chain.ts";

test("L1Inbox goes back to the common ancestor of a reorganisation, once", async () => {
  for (const depth of [1, 2, 5, 20, 40]) {
    const chain = new FakeChain();
    for (let number = 0; number < 50; number++) chain.mine(posted(batch(number)));
    const events = new Events();
    const inbox = openInbox(chain, {}, events);
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
  const inbox = openInbox(chain, {}, events);
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
        const inbox = openInbox(chain, { prefetchBlocks });
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
  const inbox = openInbox(chain, { prefetchBlocks: 0 });
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
  const before = openInbox(chain);
  await readAll(before);
  const known = before.knownUpTo(90n);
  deepEqual(known.map(({ number }) => Number(number)), [0, 26, 58, 74, 82, 86, 88, 89, 90]);
  deepEqual(openInbox(chain, { startBlock: 91n, known }).knownUpTo(90n), known);
  chain.mine(posted(batch(100)));
  equal((await readAll(openInbox(chain, { startBlock: 91n, known })))[0], "90@91");

  chain.drop(14);
  chain.mineEmpty(14);
  for (const startBlock of [91n, 101n]) {
    deepEqual(await readAll(openInbox(chain, { startBlock, known })), ["back to 86", "86@87"]);
  }

  const other = new FakeChain(5000);
  other.mineEmpty(120);
  await rejects(openInbox(other, { startBlock: 91n, known }).nextBatch(), {
    name: "SourceError",
    code: "Changed",
    kind: "critical",
  });
});

test("L1Inbox knows what was read, until whoever reads has stepped back over a reorganisation", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)));
  const inbox = openInbox(chain);
  await readAll(inbox);
  const known = inbox.knownUpTo(28n);
  const { hash } = chain.blocks[28]!.header;
  chain.drop(10);
  chain.mineEmpty(20);
  await rejects(inbox.nextBatch(), { code: "Reorganised", details: { block: 20n, depth: 10n } });
  // It was read ahead, and a state is saved before its turn comes: the next run must see it as well.
  deepEqual(inbox.knownUpTo(28n), known);
  deepEqual(await inbox.l1BlockHash(28n), hash);
  const again = openInbox(chain, { resumeBlock: 29n, known: inbox.knownUpTo(28n) });
  await rejects(again.nextBatch(), { code: "Reorganised", details: { block: 20n, depth: 8n } });
  inbox.rewind(21n);
  equal(inbox.knownUpTo(28n).at(-1)?.number, 20n);
  deepEqual(await inbox.l1BlockHash(28n), chain.blocks[28]!.header.hash);
});

test("L1Inbox reads again from where it is told, and sees a reorganisation below", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)), posted(batch(90)));
  for (const rememberedBlocks of [8192, 10]) {
    const inbox = openInbox(chain, { startBlock: 5n, rememberedBlocks });
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
  const before = openInbox(chain);
  await readAll(before);
  const known = before.knownUpTo(95n);
  const inbox = openInbox(chain, { startBlock: 30n, resumeBlock: 90n, known });
  equal((await inbox.nextBatch())?.inclusion.blockNumber, 90n);
  for (const [number, first] of [[40n, 40n], [2n, 30n]] as const) {
    inbox.rewind(number);
    equal((await inbox.nextBatch())?.inclusion.blockNumber, first);
  }
});

test("L1Inbox sees that a block is gone which it goes on with after a restart", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 100; number++) chain.mine(posted(batch(number)));
  const before = openInbox(chain);
  await readAll(before);
  const known = before.knownUpTo(95n);
  const inbox = openInbox(chain, { resumeBlock: 93n, known, prefetchBlocks: 0 });
  // It is there when the restart looks, and then no more.
  equal((await inbox.nextBatch())?.inclusion.blockNumber, 93n);
  chain.drop(7);
  chain.mineEmpty(20);
  await rejects(inbox.nextBatch(), { code: "Reorganised", details: { block: 93n, depth: 2n } });
});

test("L1Inbox takes a node that changes its mind while blocks are read again for what it is", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)));
  const inbox = openInbox(chain, { prefetchBlocks: 0 });
  await readAll(inbox);
  const { blocks } = chain;
  const known = inbox.knownUpTo(30n);
  const again = openInbox(chain, { resumeBlock: 17n, known, prefetchBlocks: 0 });
  equal((await again.nextBatch())?.inclusion.blockNumber, 17n);
  // Block 18 alone is another one, which is not remembered, before one that is.
  chain.blocks = blocks.slice(0, 18);
  chain.mine(posted(batch(500)));
  chain.blocks.push(...blocks.slice(19));
  equal((await again.nextBatch())?.batchNumber, 500n);
  chain.blocks = blocks;
  await rejects(again.nextBatch(), { code: "Reorganised" });
  again.rewind(17n);
  deepEqual((await readAll(again)).slice(0, 4), ["14@15", "15@16", "16@17", "17@18"]);
});

test("L1Inbox takes no block for shared that it read again only since a restart", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)));
  const before = openInbox(chain);
  await readAll(before);
  const known = before.knownUpTo(30n);
  deepEqual(known.map(({ number }) => Number(number)), [0, 14, 22, 26, 28, 29, 30]);
  // Gone are all above block 15, whatever is found when those above 22 are compared.
  chain.drop(15);
  for (let number = 15; number < 40; number++) chain.mine(posted(batch(number)));
  const { blocks } = chain;
  const again = openInbox(chain, {
    resumeBlock: 20n,
    known: known.slice(0, -3),
    prefetchBlocks: 0,
  });
  const old = known.find(({ number }) => number === 26n)!;
  chain.blocks = blocks.map((block) =>
    block.header.number === 26n ? { ...block, header: { ...block.header, hash: old.hash } } : block
  );
  deepEqual(await again.nextBatch().then((each) => each?.inclusion.blockNumber), 20n);
  chain.blocks = blocks;
  deepEqual(
    await again.nextBatch().then((each) => each?.inclusion.blockNumber),
    21n,
  );
  await rejects(again.nextBatch(), { code: "Reorganised", details: { block: 14n, depth: 12n } });
});

test("L1Inbox begins anew where all it ever read is gone, and ends where it may have read more", async () => {
  const chain = new FakeChain();
  for (let number = 0; number < 30; number++) chain.mine(posted(batch(number)));
  const fresh = openInbox(chain, { startBlock: 20n });
  equal((await readAll(fresh)).length, 11);
  const short = openInbox(chain, { rememberedBlocks: 5 });
  equal((await readAll(short)).length, 30);
  chain.drop(15);
  chain.mineEmpty(15);
  chain.mine(posted(batch(1)));
  deepEqual(await readAll(fresh), ["back to 19", "1@31"]);
  await rejects(short.nextBatch(), { code: "Changed", kind: "critical" });
});
