import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { test } from "node:test";
import { RpcError } from "../../src/errors.ts";
import { RpcChain } from "../../src/l1/chain.ts";
import { RpcEndpoints, type RpcEndpointsOptions } from "../../src/l1/endpoints.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { classify } from "../../src/l1/node_errors.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { systemClock, systemRandom } from "../../src/runtime.ts";
import { toHex } from "../../src/wire/hex.ts";
import { Events } from "../helpers.ts";
import { ANVIL_ACCOUNTS, skipWithoutAnvil, startAnvil } from "./anvil.ts";
import { startFaultProxy } from "./fault_proxy.ts";
import { InTurn, said, ScriptedNode } from "./scripted_node.ts";
import { sending } from "./sending.ts";

const down = new RpcError("Unreachable", "Cannot ask it: the connection was refused");
const CHAIN = { eth_chainId: "0x1" };

interface World {
  readonly rpc: RpcEndpoints;
  readonly clock: ManualClock;
  readonly events: Events;
}

function world(
  endpoints: readonly ScriptedNode[],
  options: Partial<RpcEndpointsOptions> = {},
): World {
  const clock = new ManualClock();
  const events = new Events();
  const random = new SeededRandom(1);
  const rpc = new RpcEndpoints({ endpoints, clock, random, log: events.log, ...options });
  return { rpc, clock, events };
}

function states({ rpc }: World): string {
  return rpc.status().map(({ state }) => state).join(", ");
}

/** What was told, as text. */
function told({ events }: World): string[] {
  return [...events.all].map((each) => {
    if (each.event === "endpoint.failed") return `${each.endpoint} failed, next ${each.next}`;
    return each.event === "endpoint.recovered" ? `${each.endpoint} recovered` : each.event;
  });
}

test("RpcEndpoints asks the first named, and the others only where it fails", async () => {
  const a = new ScriptedNode({ ...CHAIN, eth_x: "a" }, "a");
  const b = new ScriptedNode({ ...CHAIN, eth_x: "b" }, "b");
  const all = world([a, b]);
  equal(all.rpc.name, "a, b");
  for (let count = 0; count < 3; count++) equal(await all.rpc.request("eth_x", []), "a");
  deepEqual(a.methods, ["eth_chainId", "eth_x", "eth_x", "eth_x"]);
  deepEqual(b.methods, []);
  equal(states(all), "up, unused");

  a.answers["eth_x"] = down;
  equal(await all.rpc.request("eth_x", []), "b");
  equal(states(all), "down, up");
  deepEqual(told(all), ["a failed, next b"]);
});

test("each temporary error moves on, and a refusal too; what a node answers does not", async () => {
  for (const code of ["Unreachable", "Timeout", "Busy", "Invalid", "Refused"] as const) {
    const a = new ScriptedNode({ ...CHAIN, eth_x: new RpcError(code, "a") }, "a");
    const b = new ScriptedNode({ ...CHAIN, eth_x: "b" }, "b");
    equal(await world([a, b]).rpc.request("eth_x", []), "b", code);
  }
  const a = new ScriptedNode({ ...CHAIN, eth_x: said("execution reverted") }, "a");
  const b = new ScriptedNode({ ...CHAIN, eth_x: "b" }, "b");
  const all = world([a, b]);
  await rejects(all.rpc.request("eth_x", []), { code: "Answered", message: "execution reverted" });
  deepEqual(b.methods, []);
  equal(states(all), "up, unused");
  deepEqual(told(all), []);
});

test("where all fail, the error is one that may pass, if any is", async () => {
  const refused = new RpcError("Refused", "no right");
  const a = new ScriptedNode({ ...CHAIN, eth_x: down }, "a");
  const b = new ScriptedNode({ ...CHAIN, eth_x: refused }, "b");
  await rejects(world([a, b]).rpc.request("eth_x", []), down);
  await rejects(world([b, a]).rpc.request("eth_x", []), down);
  const c = new ScriptedNode({ ...CHAIN, eth_x: refused }, "c");
  await rejects(world([b, c]).rpc.request("eth_x", []), refused);
});

test("a node that keeps failing is asked now and then, its chain first, and told of once", async () => {
  const a = new ScriptedNode({ ...CHAIN, eth_x: down }, "a");
  const b = new ScriptedNode({ ...CHAIN, eth_x: "b" }, "b");
  const all = world([a, b]);
  for (let second = 0; second < 3600; second++) {
    equal(await all.rpc.request("eth_x", []), "b");
    all.clock.advance(1000);
  }
  const asked = a.methods.filter((method) => method === "eth_x").length;
  ok(asked > 5 && asked < 30, `${asked} times in an hour`);
  deepEqual(told(all), ["a failed, next b"]);

  a.answers["eth_x"] = "a";
  a.calls.length = 0;
  all.clock.advance(3_600_000);
  equal(await all.rpc.request("eth_x", []), "a");
  deepEqual(a.methods, ["eth_chainId", "eth_x"]);
  deepEqual(told(all).slice(1), ["a recovered"]);
  equal(states(all), "up, up");
});

test("pauses double, up to a minute", async () => {
  const all = world([new ScriptedNode({ ...CHAIN, eth_x: down })]);
  for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
    await rejects(all.rpc.request("eth_x", []), down);
    const { pausedMs } = all.rpc.status()[0]!;
    ok(pausedMs > 800 * seconds && pausedMs <= 1000 * seconds, `${pausedMs} of ${seconds} s`);
    await rejects(all.rpc.request("eth_x", []), down);
    equal(all.rpc.status()[0]!.pausedMs, pausedMs, "within a pause it does not grow");
    all.clock.advance(pausedMs);
  }
});

test("the first named is gone back to when its health is, not at its first answer", async () => {
  const a = new ScriptedNode({ ...CHAIN, eth_x: new InTurn(down, "a") }, "a");
  const b = new ScriptedNode({ ...CHAIN, eth_x: "b" }, "b");
  const all = world([a, b]);
  const answers: unknown[] = [];
  for (let second = 0; second < 600; second += 10) {
    answers.push(await all.rpc.request("eth_x", []));
    all.clock.advance(10_000);
  }
  const first = answers.indexOf("a");
  ok(first > 3 && first < 40, `after ${10 * first} s`);
  ok(answers.slice(first).every((each) => each === "a"), "it does not go to and fro");
});

test("a node that says when to come back is left alone until then", async () => {
  const busy = new RpcError("Busy", "429", { details: { retryAfterMs: 30_000 } });
  const a = new ScriptedNode({ ...CHAIN, eth_x: new InTurn(busy, "a") }, "a");
  const b = new ScriptedNode({ ...CHAIN, eth_x: new InTurn("b", down) }, "b");
  const all = world([a, b]);
  equal(await all.rpc.request("eth_x", []), "b");
  all.clock.advance(29_000);
  await rejects(all.rpc.request("eth_x", []), down);
  all.clock.advance(1000);
  equal(await all.rpc.request("eth_x", []), "a");
});

test("a node that is paused is asked where there is no other", async () => {
  const a = new ScriptedNode({ ...CHAIN, eth_x: new InTurn(down, "a") }, "a");
  const all = world([a]);
  await rejects(all.rpc.request("eth_x", []), down);
  equal(await all.rpc.request("eth_x", []), "a");
  deepEqual(told(all), ["a failed, next undefined", "a recovered"]);
});

test("a node of another chain is asked for nothing but its chain", async () => {
  const wrong = new ScriptedNode({ eth_chainId: "0x5", eth_x: "wrong" }, "wrong");
  const right = new ScriptedNode({ ...CHAIN, eth_x: "right" }, "right");
  const all = world([wrong, right], { chainId: 1n });
  for (let count = 0; count < 3; count++) equal(await all.rpc.request("eth_x", []), "right");
  all.clock.advance(10_000_000);
  right.answers["eth_x"] = down;
  await rejects(all.rpc.request("eth_x", []), down);
  deepEqual(wrong.methods, ["eth_chainId"]);
  equal(states(all), "wrong chain, down");
  equal(told(all)[0], "wrong failed, next right");
  const [failed] = all.events.of("endpoint.failed");
  match((failed!.error as RpcError).message, /^Cannot use wrong: its chain id is 5, need 1$/);
});

test("a node that became one of another chain while it was down is not asked any more", async () => {
  const a = new ScriptedNode({ eth_chainId: new InTurn("0x1", "0x5"), eth_x: down }, "a");
  const all = world([a]);
  await rejects(all.rpc.request("eth_x", []), down);
  all.clock.advance(60_000);
  await rejects(all.rpc.request("eth_x", []), /its chain id is 5, need 1/);
  await rejects(all.rpc.request("eth_x", []), { code: "Refused", isRetryable: false });
  deepEqual(a.methods, ["eth_chainId", "eth_x", "eth_chainId"]);
});

test("without a chain id told, the first node that answers has the right one", async () => {
  const a = new ScriptedNode({ eth_chainId: new InTurn(down, "0x5"), eth_x: "a" }, "a");
  const b = new ScriptedNode({ ...CHAIN, eth_x: "b" }, "b");
  const all = world([a, b]);
  equal(await all.rpc.request("eth_x", []), "b");
  all.clock.advance(600_000);
  equal(await all.rpc.request("eth_x", []), "b");
  equal(states(all), "wrong chain, up");
});

test("a node that does not tell its chain is not used", async () => {
  for (const chainId of [null, "1", "0x", 1, said("not synced")]) {
    const a = new ScriptedNode({ eth_chainId: chainId as string, eth_x: "a" }, "a");
    const b = new ScriptedNode({ ...CHAIN, eth_x: "b" }, "b");
    const all = world([a, b]);
    equal(await all.rpc.request("eth_x", []), "b", `${chainId}`);
    equal(states(all), "down, up");
    deepEqual(a.methods, ["eth_chainId"]);
  }
});

test("many requests at once ask for the chain once, and meet one outage", async () => {
  const a = new ScriptedNode({ ...CHAIN, eth_x: "a" }, "a");
  const all = world([a]);
  await Promise.all(Array.from({ length: 10 }, () => all.rpc.request("eth_x", [])));
  equal(a.methods.filter((method) => method === "eth_chainId").length, 1);
  a.answers["eth_x"] = down;
  await Promise.allSettled(Array.from({ length: 10 }, () => all.rpc.request("eth_x", [])));
  deepEqual(told(all), ["a failed, next undefined"]);
  ok(all.rpc.status()[0]!.health > 0.4);
});

test("sends and nonces go to one node, one after the other, and stay where they moved to", async () => {
  const order: string[] = [];
  const gates: (() => void)[] = [];
  const slow = (name: string) => (params: readonly unknown[]) =>
    new Promise((resolve) => {
      order.push(`${name} ${params[0]}`);
      gates.push(() => resolve(name));
    });
  const send = "eth_sendRawTransaction";
  const a = new ScriptedNode({ ...CHAIN, [send]: slow("a"), eth_x: "a" }, "a");
  const b = new ScriptedNode({
    ...CHAIN,
    [send]: slow("b"),
    eth_getTransactionCount: "b",
    eth_getTransactionByHash: "b",
    eth_x: "b",
  }, "b");
  const all = world([a, b]);
  const first = all.rpc.request(send, [1]);
  const second = all.rpc.request(send, [2]);
  while (gates.length === 0) await Promise.resolve();
  equal(await all.rpc.request("eth_x", []), "a", "reads do not wait");
  deepEqual(order, ["a 1"]);
  gates.shift()!();
  equal(await first, "a");
  while (gates.length === 0) await Promise.resolve();
  deepEqual(order, ["a 1", "a 2"]);
  gates.shift()!();
  await second;

  // A send that fails is sent to the next node before the one behind it is sent at all.
  a.answers[send] = down;
  const third = all.rpc.request(send, [3]);
  const fourth = all.rpc.request(send, [4]);
  while (gates.length === 0) await Promise.resolve();
  deepEqual(order.slice(2), ["b 3"]);
  gates.shift()!();
  await third;
  while (gates.length === 0) await Promise.resolve();
  gates.shift()!();
  await fourth;
  deepEqual(order.slice(2), ["b 3", "b 4"]);

  // It stays there, though reads go back.
  all.clock.advance(600_000);
  a.answers[send] = slow("a");
  equal(await all.rpc.request("eth_x", []), "a");
  equal(await all.rpc.request("eth_getTransactionCount", []), "b");
  equal(await all.rpc.request("eth_getTransactionByHash", []), "b");
});

test("a send that a node refused does not hold up the next", async () => {
  const a = new ScriptedNode({
    ...CHAIN,
    eth_sendRawTransaction: new InTurn(said("nonce too low"), "0x1"),
  }, "a");
  const { rpc } = world([a]);
  const first = rpc.request("eth_sendRawTransaction", []);
  const second = rpc.request("eth_sendRawTransaction", []);
  await rejects(first, /nonce too low/);
  equal(await second, "0x1");
});

test("RpcEndpoints needs a node", () => {
  throws(() => world([]), RangeError);
});

const skip = skipWithoutAnvil("fail-over between nodes");

test("sends go on over another way to the same chain, and never to another chain", {
  skip,
}, async () => {
  await using anvil = await startAnvil({ noMining: true });
  await using foreign = await startAnvil({ noMining: true, chainId: 5 });
  await using proxy = await startFaultProxy(anvil.url);
  const events = new Events();
  const rpc = new RpcEndpoints({
    endpoints: [proxy.url, foreign.url, anvil.url].map((url) =>
      new HttpJsonRpc({ url, clock: systemClock })
    ),
    chainId: 31337n,
    clock: systemClock,
    random: systemRandom,
    log: events.log,
  });
  const chain = new RpcChain(rpc);
  for (let nonce = 0n; nonce < 6n; nonce++) {
    // It arrives, and nobody hears of it: the next node knows it already, or takes it.
    if (nonce === 3n) proxy.always("*", { fault: "lose" });
    const { raw, signed } = await sending({ nonce });
    const answer = await chain.send(raw).then(toHex, classify);
    equal(answer, nonce === 3n ? "already known" : toHex(signed.hash));
    equal(await chain.knows(signed.hash), true);
    equal(await chain.nonce(ANVIL_ACCOUNTS[0]!.address, "pending"), nonce + 1n);
  }
  await anvil.mine();
  equal((await chain.block(1n))!.transactions.length, 6);
  deepEqual(rpc.status().map(({ state }) => state), ["down", "wrong chain", "up"]);
  deepEqual(await foreign.rpc("txpool_status"), { pending: "0x0", queued: "0x0" });
  deepEqual(
    events.of("endpoint.failed").map(({ endpoint }) => endpoint),
    [proxy.url, foreign.url].map((url) => new URL(url).host),
  );
});

test("a block that one node lacks below the head is asked of the others, and one above it is not", async () => {
  const blocks = (...numbers: number[]) => (params: readonly unknown[]) => {
    const tag = params[0] === "latest" ? numbers.at(-1)! : Number(params[0]);
    return numbers.includes(tag) ? { number: `0x${tag.toString(16)}` } : null;
  };
  const a = new ScriptedNode({ ...CHAIN, eth_getBlockByNumber: blocks(1, 2, 4) }, "a");
  const b = new ScriptedNode({ ...CHAIN, eth_getBlockByNumber: down }, "b");
  const c = new ScriptedNode({ ...CHAIN, eth_getBlockByNumber: blocks(1, 3) }, "c");
  const all = world([a, b, c]);
  const ask = (tag: string) => all.rpc.request("eth_getBlockByNumber", [tag, false]);
  deepEqual(await ask("latest"), { number: "0x4" });
  equal(await ask("0x5"), null);
  deepEqual(c.methods, []);
  deepEqual(await ask("0x3"), { number: "0x3" });
  equal(await ask("0x0"), null);
  equal(states(all), "up, down, up");
  deepEqual(told(all), ["b failed, next a"]);
  deepEqual(await ask("0x2"), { number: "0x2" });
});
