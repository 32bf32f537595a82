import {
  deepStrictEqual as deepEqual,
  doesNotMatch,
  match,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { describeError, type SourceError } from "../../src/errors.ts";
import type { JsonRpc } from "../../src/ethereum.ts";
import { blockHashing } from "../../src/l1/block_hashing.ts";
import { rawTransaction } from "../../src/l1/raw_transaction.ts";
import { RpcBlockSource, type RpcBlockSourceOptions } from "../../src/l2/rpc_block_source.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import type { L2Block } from "../../src/types.ts";
import { toHex } from "../../src/wire/hex.ts";
import { Events } from "../helpers.ts";
import { LIES, lying, node, resealed, signed, transactionsOf } from "./lies.ts";
import { type Json, ScriptedL2 } from "./scripted_l2.ts";

const hashing = await blockHashing();
const l1 = { head: () => Promise.resolve(0n), block: () => Promise.reject(new Error("none")) };

function sourceOf(
  endpoints: readonly JsonRpc[],
  options: Partial<RpcBlockSourceOptions> = {},
): { source: RpcBlockSource; events: Events } {
  const events = new Events();
  const source = new RpcBlockSource({
    endpoints,
    l1,
    clock: new ManualClock(),
    random: new SeededRandom(1),
    log: events.log,
    pollIntervalMs: 0,
    ...options,
  });
  return { source, events };
}

async function drain(source: RpcBlockSource): Promise<L2Block[]> {
  const all: L2Block[] = [];
  while (!source.isExhausted) all.push(...await source.pendingBlocks());
  return all;
}

async function failure(source: RpcBlockSource): Promise<SourceError> {
  return await drain(source).then(() => {
    throw new Error("it gave blocks");
  }, (error) => error);
}

for (const [name, [tell, message]] of Object.entries(LIES)) {
  test(`a node that tells ${name} is refused by name, and the next is asked`, async () => {
    const { source } = sourceOf([lying("liar", tell)]);
    const error = await failure(source);
    equal(error.code, "Connection");
    equal(error.isRetryable, true);
    match(error.message, message);
    match(error.message, /liar/);
    if (!["HTML", "a block without parent"].includes(name)) {
      match(error.message, /^Cannot use L2 block 5 of liar: /);
    }

    const honest = node("honest");
    const both = sourceOf([lying("liar", tell), honest]);
    const blocks = await drain(both.source);
    deepEqual(blocks.map(({ hash }) => hash), range(1n, 12n).map((each) => honest.hash(each)));
    for (const { transactions } of blocks) equal(transactions.length, 4);
    const failed = both.events.all.filter(({ event }) => event === "endpoint.failed");
    equal(failed.length, 1);
    // What the liar said truly before is not asked for again.
    equal(honest.asked.includes("eth_getBlockByNumber 0x4"), false);
  });
}

function range(first: bigint, last: bigint): bigint[] {
  return Array.from({ length: Number(last - first) + 1 }, (_, at) => first + BigInt(at));
}

test("a block without parent is refused wherever it stands in an answer", async () => {
  for (const at of [2n, 8n, 9n, 10n]) {
    const l2 = node("liar");
    l2.answer = (_, [tag, isWhole], answer) => {
      if (!isWhole || tag !== `0x${at.toString(16)}`) return answer;
      return resealed(answer as Json, { parentHash: toHex(new Uint8Array(32).fill(1)) });
    };
    match((await failure(sourceOf([l2]).source)).message, /L2 block \d+ .*liar/);
    const clock = new ManualClock();
    const { source, events } = sourceOf([l2, node("honest")], { follow: true, clock });
    const given: L2Block[] = [];
    for (let calls = 0; given.length < 12 && calls < 10; calls++) {
      given.push(...await source.pendingBlocks().catch(() => []));
      clock.advance(60_000);
    }
    const failed = events.all.flatMap((each) => each.event === "endpoint.failed" ? [each] : []);
    equal(failed.some(({ endpoint }) => endpoint === "honest"), false);
    deepEqual(given.map(({ number }) => number), range(1n, 12n));
  }
});

test("a node that lies about its head makes no reorganisation", async () => {
  const l2 = node("liar");
  const { source } = sourceOf([l2], { follow: true });
  for (let given = 0; given < 12;) given += (await source.pendingBlocks()).length;
  l2.answer = (_, [tag], answer) =>
    tag === "latest" ? { ...answer as Json, hash: toHex(new Uint8Array(32).fill(7)) } : answer;
  const error = await source.pendingBlocks().catch((error) => error);
  match(
    describeError(error),
    /^Connection: Cannot use L2 block latest of liar: its hash is 0x0707/,
  );
});

test("headers with fields that are not known are refused, or trusted where told so", async () => {
  const tell = (block: Json) => ({
    ...block,
    l1BatchNumber: "0x9",
    hash: toHex(new Uint8Array(32).fill(7)),
  });
  const error = await failure(sourceOf([lying("liar", tell)]).source);
  equal(error.code, "InvalidBlock");
  equal(error.isRetryable, false);
  match(error.message, /fields that nothing is known of here \(l1BatchNumber\).*--l2-trust-hashes/);

  const odd = node("odd");
  const hashOf = (number: bigint) => toHex(new Uint8Array(32).fill(100 + Number(number)));
  odd.answer = (_, __, answer) => {
    const block = answer as Json | null;
    if (typeof block !== "object" || !block) return answer;
    const number = BigInt(`${block["number"]}`);
    const parentHash = hashOf(number - 1n);
    return { ...block, hash: hashOf(number), parentHash, l1BatchNumber: "0x9" };
  };
  const { source } = sourceOf([odd], { trustsHashes: true });
  const blocks = await drain(source);
  deepEqual(blocks.map(({ hash }) => toHex(hash!)), range(1n, 12n).map(hashOf));
});

/** A chain with a transaction of a type that nothing is known of, in the middle of each block. */
function strange(give: Readonly<Record<string, (at: bigint, raw: Uint8Array) => unknown>>) {
  const raw = (number: bigint) => Uint8Array.of(0x6a, ...new Uint8Array(40).fill(Number(number)));
  const raws = (number: bigint) => [
    rawTransaction(signed[0]!, hashing)!,
    raw(number),
    rawTransaction(signed[1]!, hashing)!,
  ];
  const l2 = new ScriptedL2(6, {
    name: "strange",
    raws,
    transactions: (number) => [
      signed[0]!,
      { type: "0x6a", hash: toHex(hashing.keccak256(raw(number))) },
      signed[1]!,
    ],
  });
  const byHash = new Map(
    range(0n, 6n).map((number) => [toHex(hashing.keccak256(raw(number))), number]),
  );
  l2.answer = (method, [param], answer) => {
    const text = `${param}`;
    const number = text.length === 66
      ? byHash.get(text)
      : method === "debug_getRawBlock" && BigInt(text);
    const made = give[method];
    return made && typeof number === "bigint" ? made(number, raw(number)) : answer;
  };
  return { l2, raw };
}

test("a transaction of an unknown type is asked for as bytes, in whichever way there is", async () => {
  const item = (transaction: Uint8Array) => transaction;
  const whole = (_: bigint, raw: Uint8Array) => {
    const [first, second] = [signed[0]!, signed[1]!].map((each) => rawTransaction(each, hashing)!);
    return toHex(hashing.rlp([[Uint8Array.of(1)], [item(first!), item(raw), item(second!)], []]));
  };
  const alone = (_: bigint, raw: Uint8Array) => toHex(raw);
  for (
    const give of [
      { eth_getRawTransactionByHash: alone },
      { debug_getRawTransaction: alone },
      { eth_getRawTransactionByHash: () => null, debug_getRawTransaction: alone },
      { debug_getRawBlock: whole },
    ]
  ) {
    const { l2, raw } = strange(give);
    const blocks = await drain(sourceOf([l2]).source);
    deepEqual(blocks.map(({ transactions }) => transactions[1]), range(1n, 6n).map(raw));
  }
  // What a node does not have is not asked for each time.
  const { l2 } = strange({ debug_getRawBlock: whole });
  await drain(sourceOf([l2]).source);
  equal(l2.asked.filter((each) => each.startsWith("debug_getRawTransaction")).length, 1);
});

test("an unknown type without bytes, or with others, is refused by name", async () => {
  const error = await failure(sourceOf([strange({}).l2]).source);
  equal(error.code, "InvalidBlock");
  match(
    error.message,
    /block 1 of strange: transaction 1 \(0x.*\) is of type 0x6a.*debug_getRawBlock/,
  );
  const wrong = { eth_getRawTransactionByHash: () => "0x6a01" };
  const other = await failure(sourceOf([strange(wrong).l2]).source);
  match(other.message, /transaction 1: what eth_getRawTransactionByHash gives has another hash/);
  const noise = { debug_getRawBlock: () => "0xff01" };
  match((await failure(sourceOf([strange(noise).l2]).source)).message, /is no RLP|another hash/);
});

test("a transaction whose fields do not make its hash is asked for as bytes", async () => {
  const l2 = lying("odd", (block) => ({
    ...block,
    transactions: transactionsOf(block).with(2, { ...signed[2], yParity: undefined, v: "0x25" }),
  }));
  const tell = l2.answer;
  l2.answer = (method, params, answer) => {
    if (method !== "eth_getRawTransactionByHash") return tell(method, params, answer);
    return toHex(rawTransaction(signed[2]!, hashing)!);
  };
  const blocks = await drain(sourceOf([l2]).source);
  deepEqual(blocks[4]!.transactions, blocks[3]!.transactions);
});

test("what a URL holds besides its host stands in no error of a source", async () => {
  const { HttpJsonRpc } = await import("../../src/l1/json_rpc.ts");
  const { systemClock } = await import("../../src/runtime.ts");
  const url = "http://user:verysecret@127.0.0.1:1/v3/alsoverysecret";
  const error = await failure(sourceOf([new HttpJsonRpc({ url, clock: systemClock })]).source);
  doesNotMatch(JSON.stringify([error.message, error.details, `${error.cause}`]), /secret/);
});
