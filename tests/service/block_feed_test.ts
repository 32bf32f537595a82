import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SinkError } from "../../src/errors.ts";
import { formatBlockLine } from "../../src/local/block_line.ts";
import { MemoryBlockSink } from "../../src/local/memory.ts";
import { BlockFeed, type BlockId, type FeedItem } from "../../src/service/block_feed.ts";
import type { DerivedBlock } from "../../src/types.ts";
import { flaky, inTurn, withDirectory } from "../helpers.ts";
import { derived, feedInto, give } from "./served_blocks.ts";

const ALL = 2 ** 30;

async function linesOf(feed: BlockFeed, from = 1, count = 1000): Promise<string[]> {
  const lines: string[] = [];
  for (;;) {
    const blocks = await feed.read(from + lines.length, count - lines.length, ALL);
    if (blocks.length === 0) return lines;
    lines.push(...blocks.map(({ line }) => line));
  }
}

test("BlockFeed gives out what is safe with its sink, and nothing before", async () => {
  const sink = new MemoryBlockSink();
  const feed = new BlockFeed(sink, { firstNumber: 50 });
  const blocks = derived(3);
  for (const block of blocks) await feed.ingest(block);
  equal(sink.blocks.length, 3);
  deepEqual(await linesOf(feed, 50), []);
  equal(feed.heads.head.number, 49);
  await feed.flush();
  deepEqual(await linesOf(feed, 50), blocks.map(formatBlockLine));
  equal(feed.heads.head.number, 52);
});

test("BlockFeed says what is safe and final, of each block", async () => {
  const feed = new BlockFeed(new MemoryBlockSink());
  await give(feed, derived(4));
  await feed.noteL1Heads({ safe: 102n, finalized: 100n });
  deepEqual([1, 2, 3, 4].map((number) => feed.statusOf(number)), [
    "finalized",
    "safe",
    "safe",
    "latest",
  ]);
  deepEqual({ ...feed.heads, head: 4 }, { head: 4, safe: 3, finalized: 1 });
});

test("BlockFeed finds in the file what it does not remember, with the same ids", async () => {
  await withDirectory(async (cwd) => {
    const blocks = derived(300);
    const whole = new BlockFeed(new MemoryBlockSink());
    await give(whole, blocks);
    const { feed, close } = await feedInto(cwd, { maxBytes: 1000 });
    await give(feed, blocks);
    equal(feed.oldest, 1);
    deepEqual(await linesOf(feed), blocks.map(formatBlockLine));
    for (const [from, count] of [[1, 5], [60, 10], [128, 1], [250, 50], [297, 9]] as const) {
      const old = await feed.read(from, count, ALL);
      deepEqual(old, (await whole.read(from, count, ALL)).slice(0, old.length));
      ok(old.length > 0);
    }
    equal((await feed.read(10, 100, 300)).length, 3, "bounded in bytes");
    equal(feed.digest, whole.digest);
    await close();

    // A feed without a file has forgotten them.
    const small = new BlockFeed(new MemoryBlockSink(), { maxBytes: 1000 });
    await give(small, blocks);
    ok(small.oldest > 280);
    deepEqual(await small.read(1, 10, ALL), []);
  });
});

test("BlockFeed goes on behind the blocks of an earlier run, with the same ids", async () => {
  await withDirectory(async (cwd) => {
    const blocks = derived(200);
    const whole = new BlockFeed(new MemoryBlockSink());
    await give(whole, blocks);
    const first = await feedInto(cwd);
    await give(first.feed, blocks.slice(0, 150));
    const { digest } = first.feed;
    await first.close();
    const memory = new BlockFeed(new MemoryBlockSink(), { blocks: 150, digest, l1Block: 249n });
    await give(memory, blocks.slice(150));
    deepEqual(memory.heads.head, whole.heads.head);
    await memory.noteL1Heads({ safe: 249n, finalized: 248n });
    equal(memory.heads.safe, 150);
  });
});

test("BlockFeed takes blocks back, and knows what took their places", async () => {
  await withDirectory(async (cwd) => {
    const { feed, close } = await feedInto(cwd, { maxBytes: 500 });
    const blocks = derived(20);
    await give(feed, blocks);
    const ids = (await feed.read(1, 20, ALL)).concat(await feed.read(17, 20, ALL)).map(({ id }) =>
      id
    );
    const lost = feed.heads.head.id;
    await feed.retract(5);
    deepEqual(await linesOf(feed), blocks.slice(0, 15).map(formatBlockLine));
    const others = derived(8, { first: 15, seed: 1 });
    await give(feed, others);
    deepEqual(await linesOf(feed), [...blocks.slice(0, 15), ...others].map(formatBlockLine));
    deepEqual(await feed.find(lost), { number: 15, id: ids[14] });
    // What took its place was taken back as well, and more.
    await feed.retract(13);
    deepEqual(await feed.find(lost), { number: 10, id: ids[9] });
    deepEqual(await feed.find(ids[3]!), { number: 4, id: ids[3] });
    equal(await feed.find("11-0123456789abcdef"), undefined);
    equal(await feed.find("99-0123456789abcdef"), undefined);
    await close();
  });
});

test("BlockFeed knows blocks that were taken back when it remembered them no longer", async () => {
  await withDirectory(async (cwd) => {
    const { feed, close } = await feedInto(cwd, { maxBytes: 500 });
    await give(feed, derived(300));
    const [old] = await feed.read(20, 1, ALL);
    const [kept] = await feed.read(5, 1, ALL);
    await feed.retract(295);
    deepEqual(await feed.find(old!.id), { number: 5, id: kept!.id });
    const items = feed.follow(old!, new AbortController().signal);
    deepEqual((await items.next()).value, {
      kind: "retracted",
      kept: { number: 5, id: kept!.id },
      blocks: 15,
    });
    await items.return();
    await close();
  });
});

test("BlockFeed.follow() refuses who has a block that nobody knows, and never leaves him waiting", async () => {
  const feed = new BlockFeed(new MemoryBlockSink(), { maxBytes: 1 });
  await give(feed, derived(20));
  const { signal } = new AbortController();
  for (const number of [20, 21]) {
    const unknown = { number, id: `${number}-0123456789abcdef` };
    await rejects(feed.follow(unknown, signal).next(), /block 2[01] of a chain that nobody knows/);
  }
  // Who began at the oldest that is there has none before it.
  const following = feed.follow(await feed.before(feed.oldest), signal);
  const { value } = await following.next();
  equal(value?.kind === "block" && value.block.number, feed.oldest);
  await following.return();
});

test("BlockFeed has lost nothing where its sink failed to take back", async () => {
  const memory = new MemoryBlockSink();
  const down = new SinkError("Connection", "down");
  const sink = flaky(memory, inTurn({ retract: [down, undefined], ingest: [down] }));
  const feed = new BlockFeed(sink);
  const blocks = derived(4);
  await feed.ingest(blocks[0]!).catch(() => {});
  await give(feed, blocks);
  await feed.retract(2).catch(() => {});
  await feed.retract(2);
  await give(feed, blocks.slice(2));
  deepEqual(await linesOf(feed), blocks.map(formatBlockLine));
  deepEqual(memory.blocks, blocks);
});

/** Applies what a follower is told. */
function apply(lines: string[], item: FeedItem): void {
  if (item.kind === "block") {
    equal(item.block.number, lines.length + 1, "in order, without a gap");
    lines.push(item.block.line);
  }
  if (item.kind === "retracted") {
    equal(lines.length - item.kept.number, item.blocks);
    lines.length = item.kept.number;
  }
}

test("BlockFeed.follow() leads each follower to the chain that is there, however slow it is", async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("give" as const), count: fc.integer({ min: 1, max: 80 }) }),
    fc.record({ kind: fc.constant("back" as const), count: fc.integer({ min: 1, max: 20 }) }),
    fc.record({ kind: fc.constant("read" as const), count: fc.integer({ min: 1, max: 100 }) }),
    fc.record({ kind: fc.constant("come again" as const), count: fc.constant(0) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      await withDirectory(async (cwd) => {
        const { feed, close } = await feedInto(cwd, { maxBytes: 2000 });
        let chain: DerivedBlock[] = [];
        let seed = 0;
        let end = new AbortController();
        const lines: string[] = [];
        let last: BlockId = feed.heads.head;
        let items = feed.follow(last, end.signal);
        const read = async (count: number) => {
          for (let each = 0; each < count && lines.length < chain.length; each++) {
            const item = (await items.next()).value as FeedItem;
            apply(lines, item);
            if (item.kind === "block") last = item.block;
            if (item.kind === "retracted") last = item.kept;
          }
        };
        for (const { kind, count } of steps) {
          if (kind === "give") {
            const more = derived(count, { first: chain.length, seed: seed++ });
            await give(feed, more);
            chain = [...chain, ...more];
          } else if (kind === "back") {
            const blocks = Math.min(count, chain.length);
            if (blocks > 0) await feed.retract(blocks);
            chain = chain.slice(0, chain.length - blocks);
          } else if (kind === "read") {
            await read(count);
          } else {
            end.abort();
            end = new AbortController();
            const found = (await feed.find(last.id))!;
            lines.length = found.number;
            items = feed.follow(last = found, end.signal);
          }
        }
        // One more, so that there is an end to come to.
        const more = derived(1, { first: chain.length, seed: seed++ });
        await give(feed, more);
        chain = [...chain, ...more];
        while (lines.at(-1) !== formatBlockLine(chain.at(-1)!)) {
          apply(lines, (await items.next()).value as FeedItem);
        }
        deepEqual(lines, chain.map(formatBlockLine));
        end.abort();
        await close();
      });
    }),
    { numRuns: 25 },
  );
});

test("a stream leaves nothing behind for each wait, and nothing at all when it ends", async () => {
  const feed = new BlockFeed(new MemoryBlockSink());
  const gone = new AbortController();
  const { signal } = gone;
  const listeners: string[] = [];
  const { addEventListener: add, removeEventListener: remove } = signal;
  signal.addEventListener = (type: string, listener: EventListener) => {
    listeners.push("added");
    add.call(signal, type, listener);
  };
  signal.removeEventListener = (type: string, listener: EventListener) => {
    listeners.push("removed");
    remove.call(signal, type, listener);
  };
  const following = feed.follow({ number: 0, id: "0-" }, signal);
  // Two streams at once: a change wakes both.
  const other = feed.follow({ number: 0, id: "0-" }, new AbortController().signal);
  const all = Promise.withResolvers<void>();
  let blocks = 0;
  const count = (async () => {
    for await (const { kind } of following) if (kind === "block" && ++blocks === 50) all.resolve();
  })();
  for (const block of derived(50)) {
    await give(feed, [block]);
    for (;;) if ((await other.next()).value?.kind === "block") break;
  }
  equal(feed.followers, 2);
  deepEqual(listeners, ["added"]);
  await all.promise;
  await other.return();
  gone.abort();
  await count;
  equal(feed.followers, 0);
  deepEqual(listeners, ["added", "removed"]);
});
