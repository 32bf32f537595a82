import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { describeError, RpcError, type SourceError } from "../../src/errors.ts";
import type { JsonRpc } from "../../src/ethereum.ts";
import { RpcBlockSource, type RpcBlockSourceOptions } from "../../src/l2/rpc_block_source.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import type { L2Block } from "../../src/types.ts";
import { toHex } from "../../src/wire/hex.ts";
import { Events } from "../helpers.ts";
import {
  depositOf,
  l1AttributesDeposit,
  ScriptedL2,
  type ScriptedL2Options,
  transfers,
} from "./scripted_l2.ts";

const signed = await transfers(5);
/** Some blocks are empty. */
const some = (number: bigint) => signed.slice(0, Number(number % 5n));

interface World {
  readonly source: RpcBlockSource;
  readonly clock: ManualClock;
  readonly events: Events;
}

/** L1 whose final head is block 50. */
const l1 = {
  head: () => Promise.resolve(50n),
  block: (number: bigint) => Promise.resolve({ hash: new Uint8Array(32).fill(Number(number)) }),
};

function world(
  endpoints: readonly JsonRpc[],
  options: Partial<RpcBlockSourceOptions> = {},
): World {
  const clock = new ManualClock();
  const events = new Events();
  const source = new RpcBlockSource({
    endpoints,
    l1,
    clock,
    random: new SeededRandom(1),
    log: events.log,
    pollIntervalMs: 0,
    follow: true,
    ...options,
  });
  return { source, clock, events };
}

function node(head: number, options: ScriptedL2Options = {}): ScriptedL2 {
  return new ScriptedL2(head, { transactions: some, ...options });
}

/** All that the source has now. */
async function drain(source: RpcBlockSource): Promise<L2Block[]> {
  const all: L2Block[] = [];
  for (;;) {
    const blocks = await source.pendingBlocks();
    if (blocks.length === 0) return all;
    all.push(...blocks);
  }
}

const numbersOf = (blocks: readonly L2Block[]) => blocks.map(({ number }) => Number(number));
const range = (first: number, last: number) =>
  Array.from({ length: last - first + 1 }, (_, at) => first + at);

async function failure(source: RpcBlockSource): Promise<SourceError> {
  return await source.pendingBlocks().then(() => {
    throw new Error("it gave blocks");
  }, (error) => error);
}

test("RpcBlockSource gives each block behind the genesis, as it was signed", async () => {
  const l2 = node(250);
  const { source } = world([l2]);
  const blocks = await drain(source);
  deepEqual(numbersOf(blocks), range(1, 250));
  for (const { number, hash, parentHash, timestamp, transactions } of blocks) {
    deepEqual(hash, l2.hash(number!));
    deepEqual(parentHash, l2.hash(number! - 1n));
    equal(timestamp, 1_700_000_000n + 2n * number!);
    equal(transactions.length, Number(number! % 5n));
  }
  deepEqual(await source.parentHash(), l2.hash(0n));
  deepEqual(await source.pendingBlocks(), []);
  equal(source.isExhausted, false);
  l2.grow(2);
  deepEqual(numbersOf(await drain(source)), [251, 252]);
});

test("RpcBlockSource follows the safe and the final head, and says where there is none", async () => {
  for (const head of ["safe", "finalized"] as const) {
    const l2 = node(20);
    l2[head] = undefined;
    const { source } = world([l2], { head, startBlock: 3n });
    const none = new RegExp(`^Connection: Cannot follow scripted: it has no ${head} block yet`);
    match(describeError(await failure(source)), none);
    // As older nodes say it.
    l2.answer = (_, [tag], answer) =>
      tag === head ? new RpcError("Answered", "unknown block") : answer;
    match(describeError(await failure(source)), /answers "unknown block"$/);
    l2.answer = (_, __, answer) => answer;
    l2[head] = 7n;
    deepEqual(numbersOf(await drain(source)), range(3, 7));
    l2[head] = 9n;
    deepEqual(numbersOf(await drain(source)), [8, 9]);
  }
});

test("RpcBlockSource looks at the head no more often than told", async () => {
  const l2 = node(3);
  const { source, clock } = world([l2], { pollIntervalMs: 500 });
  await drain(source);
  l2.asked.length = 0;
  l2.grow(1);
  for (let looks = 0; looks < 4; looks++) deepEqual(await source.pendingBlocks(), []);
  deepEqual(l2.asked, []);
  clock.advance(500);
  deepEqual(numbersOf(await source.pendingBlocks()), [4]);
});

test("RpcBlockSource that does not follow ends with the head as it was at the start", async () => {
  const l2 = node(30);
  const { source } = world([l2], { follow: false });
  equal(source.isExhausted, false);
  const first = await source.pendingBlocks();
  l2.grow(10);
  deepEqual(numbersOf([...first, ...await drain(source)]), range(1, 30));
  equal(source.isExhausted, true);
  const early = world([node(5)], { follow: false, startBlock: 9n }).source;
  deepEqual(await early.pendingBlocks(), []);
  equal(early.isExhausted, true);
});

test("RpcBlockSource goes on behind what was taken", async () => {
  const l2 = node(30);
  const blocks = await drain(world([l2]).source);
  const { source } = world([l2], { taken: blocks.slice(9, 12) });
  deepEqual(numbersOf(await drain(source)), range(13, 30));
  const unnumbered = [{ timestamp: 1n, transactions: [] }];
  throws(() => world([l2], { taken: unnumbered }), {
    code: "InvalidBlock",
    message: /without numbers and hashes.*another --data-dir/,
  });
});

test("a node that is behind what was taken is waited for, and said so", async () => {
  const l2 = node(30);
  const taken = (await drain(world([l2]).source)).slice(20, 25);
  const behind = node(10);
  const { source } = world([behind], { taken });
  const error = await failure(source);
  match(
    describeError(error),
    /^Empty: .*scripted: the head there is block 10, and blocks up to 25/,
  );
  equal(error.isRetryable, true);
  behind.grow(13);
  deepEqual(await source.pendingBlocks(), []);
  behind.grow(5);
  deepEqual(numbersOf(await drain(source)), range(26, 28));
});

test("RpcBlockSource leaves deposits out, and counts them", async () => {
  const deposit = depositOf({
    sourceHash: toHex(new Uint8Array(32)),
    from: toHex(new Uint8Array(20)),
    to: null,
    mint: "0x5",
    input: "0x6001",
  });
  const l2 = node(6, {
    transactions: (number) => [
      l1AttributesDeposit(40n + number, new Uint8Array(32).fill(9)),
      ...number % 2n === 0n ? [deposit] : [],
      ...signed.slice(0, 2),
    ],
  });
  const { source, events } = world([l2]);
  const blocks = await drain(source);
  deepEqual(blocks.map(({ transactions }) => transactions.length), [2, 2, 2, 2, 2, 2]);
  equal(source.depositsLeftOut, 9);
  const told = events.all.flatMap((each) => each.event === "deposits.left_out" ? [each] : []);
  equal(told.reduce((sum, { deposits }) => sum + deposits, 0), 9);
  equal(told[0]!.firstBlock, 1n);
  equal(told.at(-1)!.lastBlock, 6n);
});

test("the origin is what the newest block names, and never above what is final on L1", async () => {
  const l2 = node(20, {
    transactions: (number) => [l1AttributesDeposit(40n + number, new Uint8Array(32))],
  });
  const { source } = world([l2], { startBlock: 2n });
  equal(await source.l1Origin(), 50n);
  await source.pendingBlocks();
  // Blocks 2 to 9, as the first look is at few.
  equal(await source.l1Origin(), 49n);
  const rest = await drain(source);
  equal(await source.l1Origin(), 50n);
  deepEqual(await source.l1OriginHash(7n), new Uint8Array(32).fill(7));
  const again = world([l2], { taken: rest.slice(0, 1) }).source;
  equal(rest[0]!.number, 10n);
  equal(await again.l1Origin(), 50n);
  const other = world([l2], { taken: [{ ...rest[0]!, number: 8n, hash: l2.hash(8n) }] }).source;
  equal(await other.l1Origin(), 48n);
  equal(await world([node(3)]).source.l1Origin(), 50n);
});

test("a reorganisation names the last shared block, and rewinding gives the other way", async () => {
  for (const depth of [1, 2, 5, 11, 12]) {
    const l2 = node(12);
    const { source, events } = world([l2]);
    const before = await drain(source);
    l2.reorganise(depth, depth);
    // As high as before, so that the hash of the head alone tells.
    const error = await failure(source);
    equal(error.code, "Reorganised");
    equal(error.kind, "reset");
    equal(error.details["block"], BigInt(12 - depth));
    match(error.message, new RegExp(`${depth} blocks above block ${12 - depth} that were taken`));
    // Whoever does not rewind is told again.
    equal((await failure(source)).code, "Reorganised");
    source.rewind(BigInt(12 - depth));
    const after = await drain(source);
    deepEqual(numbersOf(after), range(13 - depth, 12));
    for (const { number, hash } of after) deepEqual(hash, l2.hash(number!));
    deepEqual(before[11 - depth]?.hash ?? l2.hash(0n), after[0]!.parentHash);
    ok(events.all.some((each) => each.event === "l2.reorganised" && each.depth === BigInt(depth)));
  }
});

test("a reorganisation while nobody looked is found by what was taken", async () => {
  const l2 = node(40);
  const all = await drain(world([l2]).source);
  l2.reorganise(10, 15);
  const found = world([l2], { taken: all.slice(25, 35) }).source;
  equal((await failure(found)).details["block"], 30n);
  found.rewind(30n);
  deepEqual(numbersOf(await drain(found)), range(31, 45));
  // Below all that is known.
  const none = world([l2], { taken: all.slice(33, 38) }).source;
  equal((await failure(none)).details["block"], 33n);
});

test("whatever becomes of the chain, what was given and not taken back is the chain", async () => {
  const step = fc.record({
    grow: fc.nat(30),
    depth: fc.oneof(fc.constant(0), fc.nat(25)),
    calls: fc.nat(4),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const l2 = node(10);
      const { source, clock } = world([l2]);
      let given: L2Block[] = [];
      const call = async () => {
        try {
          const more = await source.pendingBlocks();
          given.push(...more);
          return more.length === 0;
        } catch (error) {
          clock.advance(60_000);
          const { code, details } = error as SourceError;
          if (code !== "Reorganised") {
            // Blocks that went while they were asked for.
            equal(code, "Connection");
            return false;
          }
          const shared = details["block"] as bigint;
          given = given.filter(({ number }) => number! <= shared);
          source.rewind(shared);
          return false;
        }
      };
      for (const { grow, depth, calls } of steps) {
        l2.reorganise(Math.min(depth, Number(l2.head) - 1), grow);
        for (let count = 0; count < calls; count++) await call();
      }
      // Nothing twice: the first may be a block that was there when the head was told.
      for (let [idle, count] = [0, 0]; idle < 2; count++) {
        idle = await call() ? idle + 1 : 0;
        ok(count < 100, "it does not come to the head");
      }
      // A shorter chain that is a part of what was given is a node that is behind.
      const chain = given.filter(({ number }) => number! <= l2.head);
      deepEqual(numbersOf(chain), range(1, Number(l2.head)));
      for (const { number, hash } of chain) deepEqual(hash, l2.hash(number!));
      await source.close();
    }),
    { numRuns: 60 },
  );
});

test("a node that is down is asked again, and what it has then is given", async () => {
  const l2 = node(5);
  l2.answer = () => new RpcError("Unreachable", "Cannot ask it: the connection was refused");
  const { source } = world([l2]);
  const error = await failure(source);
  equal(describeError(error), "Connection: Cannot ask it: the connection was refused");
  equal(error.isRetryable, true);
  l2.answer = (_, __, answer) => answer;
  deepEqual(numbersOf(await drain(source)), range(1, 5));
});

test("a node that tells of a block before it has it is looked at again, and told of in the end", async () => {
  const l2 = node(20);
  let looks = 3;
  l2.answer = (_, [tag, isWhole], answer) =>
    isWhole && tag === "0x13" && looks > 0 ? (looks -= 1, null) : answer;
  const { source, events } = world([l2]);
  const given: L2Block[] = [];
  while (given.length < 20) given.push(...await source.pendingBlocks());
  deepEqual(numbersOf(given), range(1, 20));
  deepEqual(events.all, []);

  l2.grow(1);
  looks = Infinity;
  l2.answer = (_, [tag, isWhole], answer) => isWhole && tag === "0x15" ? null : answer;
  let calls = 0;
  const error = await (async () => {
    for (;; calls++) await source.pendingBlocks();
  })().catch((error) => error);
  equal(calls, 19);
  match(describeError(error), /^Connection: Cannot take L2 block 21 from scripted: there is none/);
  l2.answer = (_, __, answer) => answer;
  deepEqual(numbersOf(await source.pendingBlocks()), [21]);
});

test("RpcBlockSource refuses another chain by name, and asks the node that is of the chain", async () => {
  const l2 = node(5);
  const other = node(5, { name: "other", chainId: 902 });
  const { source, events } = world([other, l2], { chainId: 901n });
  deepEqual(numbersOf(await drain(source)), range(1, 5));
  deepEqual(other.asked, ["eth_chainId undefined"]);
  const failed = events.all.flatMap((each) => each.event === "endpoint.failed" ? [each] : []);
  match(describeError(failed[0]!.error), /Cannot use other: its chain id is 902, need 901/);
  await rejects(world([other], { chainId: 901n }).source.pendingBlocks(), {
    code: "Connection",
    kind: "critical",
    message: /chain/,
  });
});
