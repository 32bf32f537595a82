import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BlocksAhead } from "../../src/l2/blocks_ahead.ts";
import type { NodeBlock } from "../../src/l2/node_block.ts";

function blockOf(number: bigint, bytes: number): NodeBlock {
  const hash = new Uint8Array(32);
  const block = { number, hash, parentHash: hash, timestamp: number, transactions: [] };
  return { number, hash, block, deposits: 0, l1Attributes: undefined, bytes };
}

/** What was asked for, and what came of it when it is told to. */
class Reads {
  readonly asked: { readonly first: bigint; readonly count: number }[] = [];
  readonly #bytes: (number: bigint) => number;
  readonly #shorter: number;

  constructor(bytes: (number: bigint) => number, shorter = 0) {
    this.#bytes = bytes;
    this.#shorter = shorter;
  }

  readonly read = async (first: bigint, count: number): Promise<readonly NodeBlock[]> => {
    this.asked.push({ first, count });
    await new Promise((resolve) => setTimeout(resolve, 0));
    const given = Math.max(1, count - this.#shorter);
    return Array.from({ length: given }, (_, at) => {
      const number = first + BigInt(at);
      return blockOf(number, this.#bytes(number));
    });
  };
}

async function takeAll(ahead: BlocksAhead, last: bigint, look = () => {}): Promise<bigint[]> {
  const taken: bigint[] = [];
  for (let next = 1n; next <= last;) {
    const blocks = await ahead.take(next, last, 2 ** 20);
    look();
    taken.push(...blocks.map(({ number }) => number));
    next = taken.at(-1)! + 1n;
  }
  return taken;
}

test("blocks come in order, each once, whatever they weigh and however few are given", async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(300_000), fc.nat(5), fc.nat(400), async (most, shorter, last) => {
      const reads = new Reads((number) => Number(number * 7919n % BigInt(most + 1)), shorter);
      const ahead = new BlocksAhead({ read: reads.read, maxBytes: 2 ** 20 });
      const taken = await takeAll(ahead, BigInt(last));
      deepEqual(taken, Array.from({ length: last }, (_, at) => BigInt(at + 1)));
      await ahead.stop();
    }),
    { numRuns: 30 },
  );
});

test("small blocks are asked for many at a time, large ones few, and no more than is allowed", async () => {
  const small = new Reads(() => 200);
  const ahead = new BlocksAhead({ read: small.read, maxBytes: 32 * 2 ** 20 });
  await takeAll(ahead, 1000n);
  equal(small.asked[0]!.count, 8);
  equal(Math.max(...small.asked.map(({ count }) => count)), 100);

  const large = new Reads(() => 400_000);
  const maxBytes = 4 * 2 ** 20;
  const bounded = new BlocksAhead({ read: large.read, maxBytes });
  let most = 0;
  await takeAll(bounded, 60n, () => most = Math.max(most, bounded.heldBytes));
  ok(most > 0 && most <= maxBytes, `${most} bytes`);
  equal(Math.max(...large.asked.slice(1).map(({ count }) => count)), 1);
  await ahead.stop();
  await bounded.stop();
});

test("what failed is asked for again, and what was read behind it is forgotten", async () => {
  const reads = new Reads(() => 100);
  let failures = 1;
  const ahead = new BlocksAhead({
    read: (first, count) =>
      first > 8n && failures-- > 0
        ? Promise.reject(new Error("it is down"))
        : reads.read(first, count),
    maxBytes: 2 ** 20,
  });
  deepEqual((await ahead.take(1n, 500n, 1)).map(({ number }) => number).at(-1), 8n);
  await rejects(ahead.take(9n, 500n, 1), /it is down/);
  equal(ahead.heldBytes, 0);
  equal((await ahead.take(9n, 500n, 1))[0]!.number, 9n);
  ahead.clear();
  equal((await ahead.take(3n, 500n, 1))[0]!.number, 3n);
  await ahead.stop();
});

test("nothing is asked for behind the last block, nor after it was stopped", async () => {
  const reads = new Reads(() => 100);
  const ahead = new BlocksAhead({ read: reads.read, maxBytes: 2 ** 20 });
  await takeAll(ahead, 120n);
  const asked = reads.asked.length;
  ok(reads.asked.every(({ first, count }) => first + BigInt(count) <= 121n));
  await ahead.stop();
  deepEqual(await ahead.take(121n, 200n, 1), []);
  equal(reads.asked.length, asked);
});
