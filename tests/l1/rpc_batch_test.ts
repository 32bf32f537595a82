import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { describeError, RpcError } from "../../src/errors.ts";
import type { JsonRpc, RpcCall, RpcOutcome } from "../../src/ethereum.ts";
import { PatientRpc } from "../../src/cli/patient_rpc.ts";
import { RpcEndpoints } from "../../src/l1/endpoints.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { requestAll, RpcBatches } from "../../src/l1/rpc_batch.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { systemClock } from "../../src/runtime.ts";
import { Events } from "../helpers.ts";
import { type Asked, withServer } from "./rpc_server.ts";
import { ScriptedNode } from "./scripted_node.ts";

/** Calls that are answered with their number. */
function calls(count: number): RpcCall[] {
  return Array.from({ length: count }, (_, at) => ({ method: "eth_x", params: [at] }));
}

function told(outcomes: readonly RpcOutcome[]): string[] {
  return outcomes.map((each) => "error" in each ? describeError(each.error) : `${each.result}`);
}

const numbers = (count: number) => Array.from({ length: count }, (_, at) => `${at}`);
const echo = ({ id, params }: Asked) => ({ jsonrpc: "2.0", id, result: params[0] });

interface Served {
  readonly node: HttpJsonRpc;
  /** How many requests each POST had; 0 is one alone. */
  readonly sizes: number[];
}

/** A node whose batches are answered so; undefined is HTTP 413. Single requests are answered well. */
async function withNode(
  answer: (asked: readonly Asked[]) => unknown,
  action: (served: Served) => Promise<void>,
  one: (asked: Asked) => unknown = echo,
): Promise<void> {
  const sizes: number[] = [];
  await withServer<Asked | Asked[]>((asked, response) => {
    sizes.push(Array.isArray(asked) ? asked.length : 0);
    const said = Array.isArray(asked) ? answer(asked) : one(asked);
    response.writeHead(said === undefined ? 413 : 200);
    response.end(typeof said === "string" ? said : JSON.stringify(said ?? ""));
  }, (url) => action({ node: new HttpJsonRpc({ url, clock: systemClock }), sizes }));
}

test("HttpJsonRpc asks for many at once, and takes the answers in any order", async () => {
  await withNode((asked) => asked.map(echo).toReversed(), async ({ node, sizes }) => {
    deepEqual(told(await node.requestAll(calls(250))), numbers(250));
    deepEqual(sizes, [100, 100, 50]);
    deepEqual(told(await node.requestAll([])), []);
    deepEqual(told(await node.requestAll(calls(1))), ["0"]);
    deepEqual(sizes, [100, 100, 50, 0]);
  });
});

test("what a node answers to one of many stands in its place", async () => {
  const error = { code: 3, message: "execution reverted" };
  const answer = (asked: readonly Asked[]) =>
    asked.map((each) => each.params[0] === 1 ? { id: each.id, error } : echo(each));
  await withNode(answer, async ({ node, sizes }) => {
    const want = ["0", "Answered: execution reverted", "2"];
    deepEqual(told(await node.requestAll(calls(3))), want);
    deepEqual(sizes, [3]);
  });
});

test("what is missing, double, garbled or limited in a batch is asked again alone", async () => {
  const busy = { code: 429, message: "too many requests" };
  const garbled: ((each: Asked) => unknown[])[] = [
    () => [],
    ({ id }) => [{ id }],
    ({ id }) => [{ id, error: "no" }],
    ({ id }) => [{ id: `${id}`, result: "wrong" }],
    () => [null, 7, [], { id: 10 ** 9, result: "wrong" }, { id: -1, result: "wrong" }],
    ({ id }) => [{ id, error: busy }],
    ({ id }) => [{ id, error: { code: -32003, message: "response too large" } }],
  ];
  for (const make of garbled) {
    const answer = (asked: readonly Asked[]) =>
      asked.flatMap((each) => each.params[0] === 1 ? make(each) : [echo(each), echo(each)]);
    await withNode(answer, async ({ node, sizes }) => {
      deepEqual(told(await node.requestAll(calls(4))), numbers(4));
      deepEqual(sizes, [4, 0], `${make}`);
    });
  }
});

test("a batch that is answered in part is asked again in part", async () => {
  // As geth does, whose answers are bounded: the rest is answered with errors.
  const tooLarge = { code: -32003, message: "response too large" };
  const answer = (asked: readonly Asked[]) =>
    asked.map((each, at) => at < 30 ? echo(each) : { id: each.id, error: tooLarge });
  await withNode(answer, async ({ node, sizes }) => {
    deepEqual(told(await node.requestAll(calls(100))), numbers(100));
    deepEqual(sizes, [100, 70, 40, 10]);
  });
});

test("a node that takes no batch, or none so large, is asked in smaller ones, and remembered", async () => {
  const single = { jsonrpc: "2.0", id: null, error: { code: -32600, message: "batch too large" } };
  const refusals: readonly (readonly [string, (asked: readonly Asked[]) => unknown])[] = [
    ["413", () => undefined],
    ["an error", () => single],
    // As geth does: in a list, under the id of the first.
    ["a list", ([first]) => [{ ...single, id: first!.id }]],
    ["HTML", () => "<html>no</html>"],
  ];
  for (const [name, refuse] of refusals) {
    const few = (asked: readonly Asked[]) => asked.length > 10 ? refuse(asked) : asked.map(echo);
    await withNode(few, async ({ node, sizes }) => {
      deepEqual(told(await node.requestAll(calls(60))), numbers(60), name);
      deepEqual(sizes, [60, 30, 15, 7, 7, 7, 7, 7, 7, 7, 7, 4].slice(0, sizes.length), name);
      sizes.length = 0;
      deepEqual(told(await node.requestAll(calls(14))), numbers(14), name);
      deepEqual(sizes, [7, 7], name);
    });
    await withNode(refuse, async ({ node, sizes }) => {
      deepEqual(told(await node.requestAll(calls(5))), numbers(5), name);
      deepEqual(sizes, [5, 2, 0, 0, 0, 0, 0], name);
    });
  }
});

test("a node that is down or busy is not asked for each of many", async () => {
  for (const code of ["Unreachable", "Timeout", "Busy"] as const) {
    let asked = 0;
    const error = new RpcError(code, "it is down");
    const many = () => {
      asked += 1;
      return Promise.reject(error);
    };
    const batches = new RpcBatches({ one: many, many });
    const outcomes = await batches.ask(calls(300));
    equal(outcomes.length, 300);
    equal(outcomes.every((each) => "error" in each && each.error === error), true);
    equal(asked, 1, code);
    equal(batches.size, code === "Unreachable" ? 100 : 50);
  }
});

test("where batches go well for long, larger ones are tried again", async () => {
  let most = 7;
  const sizes: number[] = [];
  const batches = new RpcBatches({
    one: ({ params }) => Promise.resolve(params[0]),
    many: (asked) => {
      sizes.push(asked.length);
      if (asked.length > most) return Promise.reject(new RpcError("Refused", "413"));
      return Promise.resolve(asked.map(({ params }) => ({ result: params[0] })));
    },
  });
  await batches.ask(calls(100));
  equal(batches.size, 6);
  most = 1000;
  for (let turn = 0; turn < 200; turn++) await batches.ask(calls(100));
  equal(batches.size, 100);
  equal(sizes.slice(4).every((size) => size <= 100), true);
});

test("a text of the node hides what its URL holds, in a batch as well", async () => {
  const url = "http://127.0.0.1:1/v3/verysecretkey";
  const node = new HttpJsonRpc({ url, clock: systemClock });
  const [first] = await node.requestAll(calls(2));
  const text = told([first!])[0]!;
  match(text, /^Unreachable: Cannot ask 127\.0\.0\.1:1 for 2 requests \(eth_x first\)/);
  equal(text.includes("secret"), false);
});

/** A node that fails at some of the calls. */
function failing(name: string, at: readonly number[], code: "Busy" | "Answered"): ScriptedNode {
  const error = new RpcError(code, `${name} fails`);
  return new ScriptedNode({
    eth_chainId: "0x1",
    eth_x: ([number]) => {
      if (at.includes(number as number)) throw error;
      return number;
    },
  }, name);
}

function endpoints(nodes: readonly JsonRpc[]): { rpc: RpcEndpoints; events: Events } {
  const events = new Events();
  const [clock, random] = [new ManualClock(), new SeededRandom(1)];
  return { rpc: new RpcEndpoints({ endpoints: nodes, clock, random, log: events.log }), events };
}

test("RpcEndpoints asks the next node for what one could not answer, and for no more", async () => {
  const a = failing("a", [1, 3], "Busy");
  const b = failing("b", [], "Busy");
  const { rpc, events } = endpoints([a, b]);
  deepEqual(told(await rpc.requestAll(calls(5))), numbers(5));
  deepEqual(b.calls.map(({ params }) => params[0]), [undefined, 1, 3]);
  equal(events.all.filter(({ event }) => event === "endpoint.failed").length, 1);
  deepEqual(rpc.status().map(({ state }) => state), ["down", "up"]);
});

test("RpcEndpoints leaves an error in its place where no node does better", async () => {
  const all = [failing("a", [1, 3], "Busy"), failing("b", [3], "Busy")];
  deepEqual(told(await endpoints(all).rpc.requestAll(calls(5))), [
    ...numbers(3),
    "Busy: b fails",
    "4",
  ]);
  const said = [failing("a", [1], "Answered"), failing("b", [], "Answered")];
  deepEqual(told(await endpoints(said).rpc.requestAll(calls(2))), ["0", "Answered: a fails"]);
  const down = new ScriptedNode({ eth_chainId: new RpcError("Unreachable", "down") });
  deepEqual(told(await endpoints([down]).rpc.requestAll(calls(2))), [
    "Unreachable: down",
    "Unreachable: down",
  ]);
});

test("RpcEndpoints.ask() passes over a node that tells what cannot be", async () => {
  const [a, b] = [failing("a", [], "Busy"), failing("b", [], "Busy")];
  const { rpc } = endpoints([a, b]);
  const name = await rpc.ask(async (node) => {
    await node.request("eth_x", [1]);
    if (node === a) throw new RpcError("Invalid", "1 cannot be");
    return node.name;
  });
  equal(name, "b");
});

test("PatientRpc asks again for what failed alone", async () => {
  let failures = 2;
  const asked: unknown[] = [];
  const node = new ScriptedNode({
    eth_x: ([number]) => {
      asked.push(number);
      if (number === 1 && failures-- > 0) throw new RpcError("Busy", "busy");
      return number;
    },
  });
  const patient = new PatientRpc(node, { once: false, signal: new AbortController().signal });
  deepEqual(told(await requestAll(patient, calls(3))), numbers(3));
  deepEqual(asked, [0, 1, 2, 1, 1]);
});
