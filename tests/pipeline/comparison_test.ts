import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SourceError } from "../../src/errors.ts";
import { ManualClock, MemoryBatchSource, MemoryL1 } from "../../src/local/memory.ts";
import {
  BlockComparison,
  type ComparedRange,
  type ComparisonResult,
} from "../../src/pipeline/comparison.ts";
import type { DerivedBlock, L2Block } from "../../src/types.ts";
import { linkedBlocks } from "../helpers.ts";

/** Blocks 1 to 12, of the timestamps 1000, 1002 … */
const CHAIN = linkedBlocks(12, { first: 1 });

/** What L1 gives of blocks, four to a batch. */
function derivedOf(blocks: readonly L2Block[]): DerivedBlock[] {
  return blocks.map(({ timestamp, transactions, parentHash }, at) => ({
    timestamp,
    transactions,
    batchNumber: BigInt(Math.floor(at / 4)),
    l1Origin: 0n,
    l1Block: 5n,
    ...(at % 4 === 0 ? { parentCheck: parentHash!.slice(0, 20) } : {}),
  }));
}

interface Compared {
  readonly result: ComparisonResult;
  /** How often it said that it was done. */
  readonly done: number;
}

async function compare(
  derived: readonly DerivedBlock[],
  l2: readonly L2Block[],
  range: Partial<ComparedRange> = {},
): Promise<Compared> {
  let done = 0;
  const source = new MemoryBatchSource(l2, new MemoryL1());
  const comparison = new BlockComparison({
    open: () => Promise.resolve({ source, from: l2[0]?.number ?? 1n, ...range }),
    clock: new ManualClock(),
    onDone: () => done++,
  });
  for (const block of derived) await comparison.ingest(block);
  return { result: comparison.result, done };
}

/** The first difference without the blocks themselves. */
function firstOf({ result: { firstDifference } }: Compared): unknown[] {
  if (!firstDifference) return [];
  const { kind, number } = firstDifference;
  return firstDifference.kind === "transaction"
    ? [kind, number, firstDifference.index]
    : [kind, number];
}

test("BlockComparison finds a chain equal to itself, wherever it begins and ends", async () => {
  await fc.assert(fc.asyncProperty(
    fc.integer({ min: 0, max: 11 }),
    fc.integer({ min: 0, max: 11 }),
    async (a, b) => {
      const [first, last] = [Math.min(a, b), Math.max(a, b)];
      const compared = await compare(derivedOf(CHAIN), CHAIN.slice(first), {
        to: BigInt(last + 1),
      });
      const { same, different, before, isDone, ...rest } = compared.result;
      deepEqual([same, different, before, isDone], [last - first + 1, 0, first, true]);
      deepEqual([rest.from, rest.last], [BigInt(first + 1), BigInt(last + 1)]);
      deepEqual([compared.done, rest.beyondL2], [1, 0]);
    },
  ));
});

test("BlockComparison names the block and the transaction that is another one", async () => {
  const derived = derivedOf(CHAIN);
  const [one, other] = [Uint8Array.of(1), Uint8Array.of(2)];
  const l2 = CHAIN.map((block, at) => at === 6 ? { ...block, transactions: [one, other] } : block);
  derived[6] = { ...derived[6]!, transactions: [one, Uint8Array.of(3)] };
  derived[9] = { ...derived[9]!, transactions: [] };
  const compared = await compare(derived, l2);
  deepEqual(firstOf(compared), ["transaction", 7n, 1]);
  deepEqual([compared.result.same, compared.result.different], [10, 2]);

  const longer = await compare(derivedOf(CHAIN), l2.slice(6), { to: 7n });
  deepEqual(firstOf(longer), ["transaction", 7n, 0]);
  const shorter = await compare([{ ...derived[6]!, transactions: [one] }], [l2[6]!], { to: 7n });
  deepEqual(firstOf(shorter), ["transaction", 7n, 1]);
  const { firstDifference } = shorter.result;
  equal(firstDifference?.kind === "transaction" && firstDifference.derived, undefined);
});

test("BlockComparison names a block that L1 does not give, and goes on behind it", async () => {
  const compared = await compare(derivedOf(CHAIN.filter((_, at) => at !== 4 && at !== 5)), CHAIN);
  deepEqual(firstOf(compared), ["not on L1", 5n]);
  deepEqual([compared.result.same, compared.result.different], [10, 2]);
});

test("BlockComparison names a block that L2 does not have, and goes on behind it", async () => {
  const derived = derivedOf(CHAIN);
  derived.splice(5, 0, { ...derived[4]!, timestamp: derived[4]!.timestamp + 1n });
  const compared = await compare(derived, CHAIN);
  deepEqual(firstOf(compared), ["not on L2", 6n]);
  deepEqual([compared.result.same, compared.result.different], [12, 1]);
});

test("BlockComparison holds the hash before a batch against its parent_check", async () => {
  const other = linkedBlocks(12, { first: 101 });
  const strange = CHAIN.map((block, at) => ({
    ...block,
    hash: other[at]!.hash!,
    parentHash: other[at]!.parentHash!,
  }));
  const compared = await compare(derivedOf(CHAIN), strange);
  deepEqual(firstOf(compared), ["parent", 1n]);
  // Those that begin a batch.
  deepEqual([compared.result.same, compared.result.different], [9, 3]);
});

test("BlockComparison takes zeros for a parent that the batcher did not know", async () => {
  const derived = derivedOf(CHAIN).map((block) => ({ ...block, parentCheck: new Uint8Array(20) }));
  equal((await compare(derived, CHAIN)).result.same, 12);
});

test("BlockComparison tells where L2 ends before L1, and where L1 ends before L2", async () => {
  const l2 = await compare(derivedOf(CHAIN), CHAIN.slice(0, 9));
  deepEqual([l2.result.same, l2.result.last, l2.result.beyondL2, l2.done], [9, 9n, 3, 0]);
  const l2ForTo = await compare(derivedOf(CHAIN), CHAIN.slice(0, 9), { to: 11n });
  deepEqual([l2ForTo.result.isDone, l2ForTo.done], [false, 1]);
  const l1 = await compare(derivedOf(CHAIN.slice(0, 9)), CHAIN, { to: 12n });
  deepEqual([l1.result.same, l1.result.last, l1.result.isDone, l1.done], [9, 9n, false, 0]);
});

test("BlockComparison counts from the block that it was told, though others are of its time", async () => {
  const chain = CHAIN.map((block, at) => at < 5 ? { ...block, timestamp: 1000n } : block);
  const compared = await compare(derivedOf(chain), chain, { from: 3n });
  deepEqual([compared.result.same, compared.result.from, compared.result.last], [10, 3n, 12n]);
});

test("BlockComparison waits for a source that has nothing now", async () => {
  const clock = new ManualClock();
  const given = [[], CHAIN.slice(0, 2), [], CHAIN.slice(2)];
  const source = {
    pendingBlocks: () => Promise.resolve(given.shift() ?? []),
    get isExhausted() {
      return given.length === 0;
    },
  };
  const range = { source, from: 1n, to: 12n };
  const comparison = new BlockComparison({ open: () => Promise.resolve(range), clock });
  const running = (async () => {
    for (const block of derivedOf(CHAIN)) await comparison.ingest(block);
  })();
  for (let turn = 0; turn < 50; turn++) await clock.advance(500);
  await running;
  equal(comparison.result.same, 12);
});

test("BlockComparison goes on where L2 could not be asked, and is void where L2 or L1 changed", async () => {
  const faults = [new SourceError("Connection", "down"), new SourceError("Reorganised", "gone")];
  const read = [...CHAIN];
  const source = {
    pendingBlocks() {
      const [block] = read.splice(0, 1);
      if (block!.number === 3n && faults.length === 2) {
        read.unshift(block!);
        return Promise.reject(faults.shift());
      }
      if (block!.number === 6n) return Promise.reject(faults.shift());
      return Promise.resolve([block!]);
    },
    isExhausted: false,
  };
  const range = { source, from: 1n };
  const open = () => Promise.resolve(range);
  const comparison = new BlockComparison({ open, clock: new ManualClock() });
  const derived = derivedOf(CHAIN);
  for (const block of derived.slice(0, 2)) await comparison.ingest(block);
  await rejects(comparison.ingest(derived[2]!), { code: "Connection", message: "down" });
  for (const block of derived.slice(2, 5)) await comparison.ingest(block);
  // To a deriver, another kind would be a reorganisation of L1.
  await rejects(comparison.ingest(derived[5]!), {
    kind: "temporary",
    message: /^Cannot compare: L2 was reorganised while it was compared \(gone\); start again$/,
  });
  await rejects(comparison.retract(), { kind: "temporary", message: /L1 was reorganised while/ });
  equal(comparison.result.same, 5);
});
