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
  readonly #given: number[] = [];

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
      this.#given.push(Number(number));
      return blockOf(number, this.#bytes(number));
    });
  };

  /** Each block as often as it was given. */
  blocks(): number[] {
    return this.#given.toSorted((a, b) => a - b);
  }
}

async function takeAll(
  ahead: BlocksAhead,
  last: bigint,
  first = 1n,
  look: (taken: readonly bigint[]) => void = () => {},
): Promise<void> {
  for (let next = first; next <= last;) {
    const taken = (await ahead.take(next, last, 2 ** 20)).map(({ number }) => number);
    look(taken);
    next = taken.at(-1)! + 1n;
  }
}

test("blocks come in order, and are given once, whatever they weigh, fails or comes short", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(300_000),
      fc.nat(5),
      fc.nat(400),
      fc.array(fc.boolean()),
      async (most, shorter, last, fails) => {
        const reads = new Reads((number) => Number(number * 7919n % BigInt(most + 1)), shorter);
        const left = [...fails];
        const read = (first: bigint, count: number) =>
          left.shift() ? Promise.reject(new Error("it is down")) : reads.read(first, count);
        const ahead = new BlocksAhead({ read, maxBytes: 2 ** 20 });
        const taken: bigint[] = [];
        while (taken.length < last) {
          const next = (taken.at(-1) ?? 0n) + 1n;
          await takeAll(ahead, BigInt(last), next, (blocks) => taken.push(...blocks)).catch(
            ({ message }) => equal(message, "it is down"),
          );
        }
        const all = Array.from({ length: last }, (_, at) => at + 1);
        deepEqual(taken.map(Number), all);
        deepEqual(reads.blocks(), all);
        await ahead.stop();
      },
    ),
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
  await takeAll(bounded, 60n, 1n, () => most = Math.max(most, bounded.heldBytes));
  ok(most > 0 && most <= maxBytes, `${most} bytes`);
  equal(Math.max(...large.asked.slice(1).map(({ count }) => count)), 1);
  await ahead.stop();
  await bounded.stop();
});

test("what failed is asked for again, and what was read behind it is not", async () => {
  const reads = new Reads(() => 100);
  // Ahead nobody hears of it.
  let failures = 2;
  const ahead = new BlocksAhead({
    read: (first, count) =>
      first === 9n && failures-- > 0
        ? Promise.reject(new Error("it is down"))
        : reads.read(first, count),
    maxBytes: 2 ** 20,
  });
  deepEqual((await ahead.take(1n, 500n, 1)).map(({ number }) => number).at(-1), 8n);
  await rejects(ahead.take(9n, 500n, 1), /it is down/);
  await takeAll(ahead, 500n, 9n);
  deepEqual(reads.blocks(), Array.from({ length: 500 }, (_, at) => at + 1));
  ahead.clear();
  equal((await ahead.take(3n, 500n, 1))[0]!.number, 3n);
  await ahead.stop();
});

test("of a run that came short, the rest is asked for, and what was read behind it is not", async () => {
  const reads = new Reads(() => 100, 3);
  const ahead = new BlocksAhead({ read: reads.read, maxBytes: 2 ** 20 });
  await takeAll(ahead, 500n);
  deepEqual(reads.blocks(), Array.from({ length: 500 }, (_, at) => at + 1));
  await ahead.stop();
});

test("what fails ahead is asked for again in its turn and not before, and nobody hears of it", async () => {
  const reads = new Reads(() => 100);
  const failed: bigint[] = [];
  let turn = 1n;
  const ahead = new BlocksAhead({
    read: (first, count) => {
      if (first < 1000n || turn === first) return reads.read(first, count);
      failed.push(first);
      return Promise.reject(new Error("it is down"));
    },
    maxBytes: 2 ** 20,
  });
  while (turn <= 2000n) turn += BigInt((await ahead.take(turn, 2000n, 1)).length);
  deepEqual(reads.blocks(), Array.from({ length: 2000 }, (_, at) => at + 1));
  ok(failed.length > 1);
  deepEqual(failed, [...new Set(failed)]);
  await ahead.stop();
});

test("what failed is asked for no further than the last block, which may be lower by then", async () => {
  const reads = new Reads(() => 100);
  let failures = 1;
  const ahead = new BlocksAhead({
    read: (first, count) =>
      first === 9n && failures-- > 0
        ? Promise.reject(new Error("it is down"))
        : reads.read(first, count),
    maxBytes: 2 ** 20,
  });
  await ahead.take(1n, 500n, 1);
  const asked = reads.asked.length;
  ok(asked > 1);
  equal((await ahead.take(9n, 20n, 1)).length, 12);
  deepEqual(reads.asked.slice(asked), [{ first: 9n, count: 12 }]);
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
