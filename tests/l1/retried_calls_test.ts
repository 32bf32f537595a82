import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { RpcError } from "../../src/errors.ts";
import { RpcChain } from "../../src/l1/chain.ts";
import { RpcEndpoints } from "../../src/l1/endpoints.ts";
import { RetriedCalls } from "../../src/l1/retried_calls.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import type { Clock } from "../../src/ports.ts";
import { InTurn, said, type ScriptedAnswer, ScriptedNode } from "./scripted_node.ts";

const busy = new RpcError("Busy", "it answered 503");
const random = new SeededRandom(1);

/** Time passes as soon as somebody waits. */
function skippingClock(): Clock {
  let nowMs = 0;
  return {
    now: () => nowMs,
    sleep: (ms) => {
      nowMs += ms;
      return Promise.resolve();
    },
  };
}

function reads(answers: Record<string, ScriptedAnswer | InTurn>) {
  const node = new ScriptedNode(answers);
  return { node, rpc: new RetriedCalls(node, { clock: skippingClock(), random }) };
}

test("each call is made again a few times, and no more", async () => {
  const { node, rpc } = reads({
    eth_x: new InTurn(busy, busy, busy, "x"),
    eth_y: busy,
  });
  equal(await rpc.request("eth_x", []), "x");
  await rejects(rpc.request("eth_y", []), busy);
  deepEqual(node.methods.map((method) => method.at(-1)).join(""), "xxxxyyyy");
});

test("an answer that is no, one that took long and one that says when are not asked for again", async () => {
  const errors = [
    said("execution reverted"),
    new RpcError("Refused", "it answered 403"),
    new RpcError("Timeout", "no answer within 10000 ms"),
    new RpcError("Busy", "it answered 429", { details: { retryAfterMs: 9000 } }),
  ];
  for (const error of errors) {
    const { node, rpc } = reads({ eth_x: error });
    await rejects(rpc.request("eth_x", []), error);
    equal(node.calls.length, 1, error.message);
  }
});

test("a chain is read behind a node that fails every other call, whatever is asked", async () => {
  let calls = 0;
  const flaky = (answer: unknown) => () => {
    if (calls++ % 2 === 0) throw busy;
    return answer;
  };
  const node = new ScriptedNode({
    eth_chainId: flaky("0x1"),
    eth_getBalance: flaky("0x7"),
    eth_getTransactionCount: flaky("0x2"),
    eth_getTransactionReceipt: flaky(null),
  });
  const clock = skippingClock();
  const nodes = new RpcEndpoints({ endpoints: [node], clock, random });
  const chain = new RpcChain(new RetriedCalls(nodes, { clock, random }));
  for (let look = 0; look < 100; look++) {
    equal(await chain.balance(new Uint8Array(20)), 7n);
    equal(await chain.nonce(new Uint8Array(20), "latest"), 2n);
    equal(await chain.receipt(new Uint8Array(32)), undefined);
    await clock.sleep(look * 37);
  }
});
