import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { describeError, RpcError, type SourceError } from "../../src/errors.ts";
import type { JsonRpc } from "../../src/ethereum.ts";
import { RpcBlockSource, type RpcBlockSourceOptions } from "../../src/l2/rpc_block_source.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import type { L2Block } from "../../src/types.ts";
import { Events } from "../helpers.ts";
import { ScriptedL2, type ScriptedL2Options, transfers } from "./scripted_l2.ts";

const signed = await transfers(2);
const l1 = { head: () => Promise.resolve(0n), block: () => Promise.reject(new Error("none")) };
const page = () => new RpcError("Invalid", "Cannot ask it: it answered no JSON-RPC");

function node(name: string, head = 40, options: ScriptedL2Options = {}): ScriptedL2 {
  return new ScriptedL2(head, { name, ...options });
}

/** Another chain under the same id: its genesis holds something. */
function foreign(name: string, head: number): ScriptedL2 {
  return node(name, head, { transactions: () => signed });
}

/** The same blocks up to 40, and others above. */
function forked(name: string, first: ScriptedL2, grow: number): ScriptedL2 {
  const fork = node(name, Number(first.head));
  fork.reorganise(0, 0);
  fork.grow(grow);
  return fork;
}

const isDown = (l2: ScriptedL2) => l2.answer = page;
const isUp = (l2: ScriptedL2) => l2.answer = (_, __, answer) => answer;

class World {
  readonly clock = new ManualClock();
  readonly events = new Events();
  readonly source: RpcBlockSource;
  readonly given: L2Block[] = [];

  constructor(endpoints: readonly JsonRpc[], options: Partial<RpcBlockSourceOptions> = {}) {
    this.source = new RpcBlockSource({
      endpoints,
      l1,
      clock: this.clock,
      random: new SeededRandom(1),
      log: this.events.log,
      pollIntervalMs: 0,
      follow: true,
      ...options,
    });
  }

  /** All that there is now. */
  async drain(): Promise<void> {
    for (let count = 1; count > 0;) {
      const blocks = await this.source.pendingBlocks();
      this.given.push(...blocks);
      count = blocks.length;
    }
  }

  async failure(): Promise<SourceError> {
    return await this.drain().then(() => {
      throw new Error("it gave blocks, or none");
    }, (error) => error);
  }

  /** What comes of it, a second apart. */
  async looks(seconds: number): Promise<string[]> {
    const all: string[] = [];
    for (let at = 0; at < seconds; at++) {
      this.clock.advance(1000);
      await this.drain().catch(({ code, kind }) => all.push(`${code} ${kind}`));
    }
    return all;
  }

  get failures(): string[] {
    return this.events.of("endpoint.failed").map(({ error }) => describeError(error));
  }
}

test("a fallback that stands on another branch makes no reorganisation while the first is away", async () => {
  const first = node("first");
  const stale = forked("stale", first, 4);
  first.grow(15);
  const world = new World([first, stale]);
  await world.drain();
  isDown(first);
  // For as long as a restart takes, and longer.
  const away = await world.looks(30);
  deepEqual([...new Set(away)], ["Connection temporary"]);
  match(world.failures.join("\n"), /L2 block 41 of stale: it has another block 41 than was taken/);
  match(world.failures.join("\n"), /first cannot be asked; it is believed once it has said so/);
  isUp(first);
  first.grow(3);
  await world.looks(70);
  deepEqual(world.given.map(({ hash }) => hash), blocksOf(first, 1, 58));
  equal(world.events.of("l2.reorganised").length, 0);
});

function blocksOf(l2: ScriptedL2, from: number, to: number): Uint8Array[] {
  return Array.from({ length: to - from + 1 }, (_, at) => l2.hash(BigInt(from + at)));
}

test("a node is not believed against one that still has the blocks, however long it says so", async () => {
  const first = node("first");
  const stale = forked("stale", first, 30);
  first.grow(15);
  const third = node("third");
  third.grow(15);
  const world = new World([first, stale, third]);
  await world.drain();
  isDown(first);
  for (let looks = 0; looks < 300; looks++) {
    const said = await world.looks(1);
    if (said.some((each) => each.startsWith("Reorganised"))) throw new Error("it was believed");
  }
  match(world.failures.join("\n"), /stale: it has another block 41 .*third still has that one/);
});

test("a reorganisation that lasts is believed of another node, where no node has the blocks", async () => {
  const first = node("first");
  const other = forked("other", first, 10);
  first.grow(15);
  const world = new World([first, other]);
  await world.drain();
  isDown(first);
  // It is not as high as what was given.
  ok(!(await world.looks(200)).some((each) => each.startsWith("Reorganised")));
  other.grow(20);
  const said = await world.looks(120);
  ok(said.includes("Reorganised reset"), said.join());
  const [event] = world.events.of("l2.reorganised");
  deepEqual([event!.ancestor, event!.depth, event!.endpoint], [40n, 15n, "other"]);
});

test("a reorganisation is believed at once of the first node, and of one that it agrees with", async () => {
  const first = node("first");
  const second = node("second");
  const world = new World([first, second]);
  await world.drain();
  first.reorganise(5, 6);
  const error = await world.failure();
  match(error.message, /^L2 was reorganised, says first: 5 blocks above block 35/);

  const again = new World([first, second]);
  second.reorganise(5, 6);
  await again.drain();
  for (const each of [first, second]) each.reorganise(4, 6);
  // It fails at heads only, so that the other is asked.
  first.answer = (_, [tag], answer) => tag === "latest" ? page() : answer;
  equal((await again.failure()).code, "Reorganised");
});

test("of the node that gave the blocks a reorganisation is believed where the first is away", async () => {
  const [first, second] = [node("first"), node("second")];
  isDown(first);
  const world = new World([first, second]);
  await world.drain();
  second.reorganise(5, 6);
  equal((await world.failure()).details["block"], 35n);
});

test("a node with another genesis is refused by name, though nothing was given above its head", async () => {
  const first = node("first", 959);
  const other = foreign("other", 5);
  const world = new World([first, other]);
  await world.drain();
  isDown(first);
  const said = await world.looks(200);
  deepEqual([...new Set(said)], ["Connection temporary"]);
  match(
    world.failures.join("\n"),
    /Cannot use other: it is another chain: its block 0 is 0x\w{64}, need 0x\w{64}/,
  );
  equal(other.asked.some((each) => each.includes("latest")), false);
  isUp(first);
  first.grow(1);
  await world.looks(61);
  equal(world.given.length, 960);
});

test("where each node is of another chain, that is said by name, and no block is taken back", async () => {
  const first = node("first");
  const { genesisHash } = { genesisHash: first.hash(0n) };
  const world = new World([foreign("a", 50), foreign("b", 50)], { genesisHash });
  const error = await world.failure();
  deepEqual([error.code, error.kind], ["Connection", "critical"]);
  match(error.message, /Cannot use \w.*: it is another chain|each is of another chain/);
  equal(error.details["reason"], "WrongChain");
});

test("a chain without a block that was taken is another one where no genesis tells", async () => {
  const first = node("first");
  const other = foreign("other", 60);
  for (const each of [first, other]) {
    each.answer = (_, [tag], answer) => tag === "0x0" ? null : answer;
  }
  const world = new World([first]);
  await world.drain();
  const taken = world.given.slice(-5);
  const error = await new World([other], { taken }).failure();
  equal(error.kind, "critical");
  match(error.message, /Cannot use other: it has none of the blocks that were taken/);
});

test("a node of another chain is looked at again, and used once it is of the chain", async () => {
  const first = node("first");
  const second = node("second", 40, { chainId: 5 });
  const world = new World([first, second]);
  await world.drain();
  isDown(first);
  await world.looks(3);
  second.chainId = 901;
  second.grow(2);
  await world.looks(70);
  equal(world.given.length, 42);
});

test("a single node that says another chain id is waited for, unless it does so at the start", async () => {
  const l2 = node("l2");
  const world = new World([l2]);
  await world.drain();
  isDown(l2);
  await world.failure();
  isUp(l2);
  l2.chainId = 5;
  l2.grow(1);
  deepEqual([...new Set(await world.looks(30))], ["Connection temporary"]);
  match((await world.failure()).message, /Cannot use l2: its chain id is 5, need 901/);
  l2.chainId = 901;
  await world.looks(61);
  equal(world.given.length, 41);
  equal((await new World([node("l2")], { chainId: 5n }).failure()).kind, "critical");
});

const HEADLESS: Readonly<Record<string, () => unknown>> = {
  "null": () => null,
  "invalid params": () =>
    new RpcError("Answered", "invalid params", { details: { rpcCode: -32602 } }),
  "not supported": () =>
    new RpcError("Answered", "the method eth_getBlockByNumber is not supported", {
      details: { rpcCode: -32601 },
    }),
  "anything": () => new RpcError("Answered", "execution aborted"),
};

for (const [name, answer] of Object.entries(HEADLESS)) {
  test(`a node that answers ${name} for a head is passed over by name, and the next is asked`, async () => {
    for (const head of ["unsafe", "safe", "finalized"] as const) {
      const tag = head === "unsafe" ? "latest" : head;
      const [bad, good] = [node("bad"), node("good")];
      good.safe = good.finalized = 40n;
      bad.answer = (method, [asked], told) =>
        method === "eth_getBlockByNumber" && asked === tag ? answer() : told;
      const both = new World([bad, good], { head, follow: false });
      await both.drain();
      equal(both.given.length, 40);
      match(both.failures[0]!, new RegExp(`Cannot follow bad: it has no ${tag} block`));

      const alone = new World([bad], { head, follow: false });
      const error = await alone.failure();
      deepEqual([error.code, error.isRetryable], ["Connection", true]);
      match(error.message, /Cannot follow bad: it has no/);
      equal(alone.source.isExhausted, false);
    }
  });
}

test("a node whose head stands still while others go on is left, by name, and gone back to", async () => {
  const [first, second] = [node("first"), node("second")];
  const world = new World([first, second]);
  await world.drain();
  second.grow(60);
  deepEqual(await world.looks(29), []);
  equal(world.given.length, 40);
  deepEqual(await world.looks(20), []);
  equal(world.given.length, 100);
  match(
    world.failures[0]!,
    /first: it lags: its head is block 40, that of second is 100, for \d+ s/,
  );
  // However often it is looked at again.
  for (let at = 0; at < 5; at++) {
    second.grow(60);
    deepEqual(await world.looks(60), []);
  }
  equal(world.given.length, 400);
  equal(world.failures.length, 1);
  first.grow(360);
  await world.looks(300);
  first.grow(1);
  await world.looks(10);
  equal(world.given.length, 401);
});

test("a node that is a few blocks behind, or for a moment, is not left", async () => {
  const [first, second] = [node("first"), node("second")];
  const world = new World([first, second]);
  await world.drain();
  for (let at = 0; at < 20; at++) {
    // For 15 seconds it is behind by 20, for 15 by 10.
    second.grow(10);
    await world.looks(15);
    second.grow(10);
    await world.looks(15);
    first.grow(20);
  }
  deepEqual(world.failures, []);
  equal(world.events.of("l2.stands").length, 0);
});

test("a node alone whose head stands still is told of once, and again after it moved", async () => {
  const l2 = node("l2");
  const world = new World([l2]);
  await world.drain();
  await world.looks(58);
  equal(world.events.of("l2.stands").length, 0);
  await world.looks(200);
  const [event] = world.events.of("l2.stands");
  deepEqual([event!.endpoint, event!.number, event!.forMs], ["l2", 40n, 60_000]);
  l2.grow(1);
  await world.looks(200);
  deepEqual(world.events.of("l2.stands").map(({ number }) => number), [40n, 41n]);
});
