import { doesNotMatch, match, ok, rejects, strictEqual as equal, throws } from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { inspect } from "node:util";
import { test } from "node:test";
import { describeError, type RpcError } from "../../src/errors.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { systemClock } from "../../src/runtime.ts";
import { classify } from "../../src/l1/node_errors.ts";
import { type Answer, type Asked, withServer } from "./rpc_server.ts";

const answering = (make: (asked: Asked) => unknown): Answer => (asked, response) =>
  void response.end(JSON.stringify(make(asked)));

async function failure(action: Promise<unknown>): Promise<RpcError> {
  const error = await action.then(() => undefined, (error) => error);
  ok(error, "it succeeded");
  return error;
}

test("HttpJsonRpc asks with ids of its own, and takes null for an answer", async () => {
  const seen: Asked[] = [];
  await withServer((asked, response, { method, headers }) => {
    seen.push(asked);
    equal(method, "POST");
    equal(headers["content-type"], "application/json");
    const result = asked.method === "eth_none" ? null : asked.params;
    response.end(JSON.stringify({ jsonrpc: "2.0", id: asked.id, result }));
  }, async (url, host) => {
    const node = new HttpJsonRpc({ url, clock: systemClock });
    equal(node.name, host);
    equal(await node.request("eth_none", []), null);
    equal(JSON.stringify(await node.request("eth_some", ["0x1", true])), `["0x1",true]`);
    ok(seen[0]!.id !== seen[1]!.id);
  });
});

test("HttpJsonRpc sends headers that are made anew for each request", async () => {
  const seen: unknown[] = [];
  await withServer((asked, response, { headers }) => {
    seen.push(headers["authorization"]);
    response.end(JSON.stringify({ jsonrpc: "2.0", id: asked.id, result: null }));
  }, async (url) => {
    let made = 0;
    const headers = () => Promise.resolve({ authorization: `Bearer ${++made}` });
    const node = new HttpJsonRpc({ url, clock: systemClock, headers });
    await node.request("eth_none", []);
    await node.request("eth_none", []);
    equal(seen.join(), "Bearer 1,Bearer 2");
    const refused = new Error("no secret");
    const other = new HttpJsonRpc({
      url,
      clock: systemClock,
      headers: () => Promise.reject(refused),
    });
    equal(await other.request("eth_none", []).catch((error) => error), refused);
  });
});

test("HttpJsonRpc gives an error of the node as it stands, with its code", async () => {
  const error = { code: -32000, message: "replacement transaction\n underpriced" };
  await withServer(answering(({ id }) => ({ id, error })), async (url, host) => {
    const node = new HttpJsonRpc({ url, clock: systemClock });
    const failed = await failure(node.request("eth_sendRawTransaction", ["0x"]));
    equal(describeError(failed), "Answered: replacement transaction underpriced");
    equal(failed.details["rpcCode"], -32000);
    equal(failed.details["endpoint"], host);
    equal(failed.isRetryable, false);
    equal(classify(failed), "replacement underpriced");
  });
});

test("HttpJsonRpc tells busy from refused, by status and by text", async () => {
  let status = 0;
  let body = "";
  await withServer((asked, response) => {
    response.writeHead(status, { "retry-after": "7" }).end(body.replace("ID", `${asked.id}`));
  }, async (url) => {
    const node = new HttpJsonRpc({ url, clock: systemClock });
    const code = async () => (await failure(node.request("eth_x", []))).code;
    for (status of [408, 425, 429, 500, 502, 503, 504]) equal(await code(), "Busy", `${status}`);
    equal((await failure(node.request("eth_x", []))).details["retryAfterMs"], 7000);
    for (status of [301, 307, 400, 401, 403, 404, 405, 413]) {
      equal(await code(), "Refused", `${status}`);
    }
    const said = (code: number, message: string) =>
      `{"jsonrpc":"2.0","id":ID,"error":${JSON.stringify({ code, message })}}`;
    body = said(-32602, "invalid params");
    for ([status, body] of [[200, body], [400, body]] as const) equal(await code(), "Answered");
    for (status of [401, 403]) equal(await code(), "Refused");
    status = 200;
    for (
      body of [
        said(429, "Your app has exceeded its compute units"),
        said(-32005, "daily request count exceeded, request rate limited"),
        said(-32000, "Too Many Requests"),
      ]
    ) equal(await code(), "Busy", body);
    body = said(-32005, "Transaction gas limit exceeds block gas limit");
    equal(await code(), "Answered");
  });
});

test("HttpJsonRpc goes nowhere else than told: a transaction stays where it was sent", async () => {
  const paths: (string | undefined)[] = [];
  await withServer(({ id }, response, { url }) => {
    paths.push(url);
    if (url !== "/") return void response.end(JSON.stringify({ id, result: "0x1" }));
    response.writeHead(307, { location: "/elsewhere" }).end();
  }, async (url) => {
    const node = new HttpJsonRpc({ url, clock: systemClock });
    equal((await failure(node.request("eth_sendRawTransaction", ["0x"]))).code, "Refused");
  });
  equal(paths.join(), "/");
});

test("HttpJsonRpc refuses what is no answer to its request", async () => {
  let body = "";
  await withServer((asked, response) => {
    response.end(body.replace("ID", `${asked.id}`));
  }, async (url) => {
    const node = new HttpJsonRpc({ url, clock: systemClock });
    for (
      body of [
        "",
        "<html>",
        "null",
        "[]",
        `[{"id":ID,"result":1}]`,
        `{"id":ID}`,
        `{"result":1}`,
        `{"id":null,"result":1}`,
        `{"id":7777,"result":1}`,
        `{"id":"ID","result":1}`,
        `{"id":7777,"error":{"code":1,"message":"x"}}`,
        `{"id":ID,"error":"x"}`,
        `{"id":ID,"error":{"message":"x"}}`,
      ]
    ) {
      const error = await failure(node.request("eth_x", []));
      equal(error.code, "Invalid", body);
      ok(error.isRetryable);
    }
    // Of a node that could not read the request.
    body = `{"id":null,"error":{"code":-32600,"message":"Invalid request"}}`;
    equal((await failure(node.request("eth_x", []))).code, "Answered");
    body = `{"id":ID,"result":"0x1","error":null}`;
    equal(await node.request("eth_x", []), "0x1");
  });
});

test("HttpJsonRpc reads no more than its bound", async () => {
  let written = 0;
  await withServer((asked, response) => {
    const part = " ".repeat(64 * 1024);
    const write = () => {
      if (response.destroyed || written > 64 * 2 ** 20) return void response.end();
      written += part.length;
      response.write(part, () => setImmediate(write));
    };
    response.write(`{"id":${asked.id},"result":1,`);
    write();
  }, async (url) => {
    const node = new HttpJsonRpc({ url, clock: systemClock, maxAnswerBytes: 100_000 });
    const error = await failure(node.request("eth_x", []));
    equal(error.code, "Invalid");
    match(error.message, /more than 100000 bytes/);
  });
  ok(written < 32 * 2 ** 20, `the server could write ${written} bytes`);
});

test("HttpJsonRpc waits no longer than told, neither for an answer nor for its end", async () => {
  await withServer((asked, response) => {
    if (asked.method === "eth_half") response.write(`{"id":`);
  }, async (url) => {
    const node = new HttpJsonRpc({ url, clock: systemClock, timeoutMs: 50 });
    for (const method of ["eth_none", "eth_half"]) {
      const error = await failure(node.request(method, []));
      equal(error.code, "Timeout");
      match(error.message, /for eth_(none|half): no answer within 50 ms$/);
    }
  });
});

test("HttpJsonRpc says in words of its own that a connection failed", async () => {
  let url = "";
  await withServer((_, response) => void response.destroy(), async (there) => {
    url = there;
    const broken = await failure(new HttpJsonRpc({ url, clock: systemClock }).request("eth_x", []));
    equal(broken.code, "Unreachable");
    match(broken.message, /: the connection (broke|failed)$/);
  });
  const refused = await failure(new HttpJsonRpc({ url, clock: systemClock }).request("eth_x", []));
  equal(refused.code, "Unreachable");
  match(refused.message, /for eth_x: the connection was refused$/);
});

const SECRETS = ["0123456789abcdef", "hunter2", "an operator", "q-u-e-r-y-key"];

test("HttpJsonRpc shows nothing of a URL but the host", async () => {
  let headers: IncomingMessage["headers"] = {};
  let path: string | undefined;
  const modes: readonly Answer[] = [
    (_, response) => void response.destroy(),
    (_, response) => void response.writeHead(404).end(),
    (_, response) => void response.writeHead(503).end(),
    () => {},
    (_, response) => void response.end("no JSON"),
    ({ id }, response) => {
      const message = `no project ${SECRETS.join(" ")} at ${path}`;
      response.end(JSON.stringify({ id, error: { code: -32000, message } }));
    },
  ];
  let mode: Answer = modes[0]!;
  await withServer((asked, response, request) => {
    headers = request.headers;
    path = request.url;
    mode(asked, response, request);
  }, async (_, host) => {
    const url = `http://an%20operator:hunter2@${host}/v3/${SECRETS[0]}?key=${SECRETS[3]}`;
    const node = new HttpJsonRpc({ url, clock: systemClock, timeoutMs: 50 });
    equal(node.name, host);
    for (mode of modes) {
      const error = await failure(node.request("eth_x", []));
      for (const secret of [...SECRETS, "%20", "/v3"]) {
        ok(!inspect(error, { depth: 10, showHidden: true }).includes(secret), `${error}`);
        ok(!String(error.stack).includes(secret));
      }
    }
    equal(path, `/v3/${SECRETS[0]}?key=${SECRETS[3]}`);
    equal(headers.authorization, `Basic ${btoa("an operator:hunter2")}`);
  });
  // Where nobody listens, the runtimes show the whole URL.
  const url = `http://an%20operator:hunter2@127.0.0.1:1/v3/${SECRETS[0]}?key=${SECRETS[3]}`;
  const error = await failure(new HttpJsonRpc({ url, clock: systemClock }).request("eth_x", []));
  for (const secret of SECRETS) doesNotMatch(inspect(error, { depth: 10 }), new RegExp(secret));
});

test("HttpJsonRpc refuses a URL that is none, without showing it", () => {
  for (const url of ["", "secret-key", "ws://host/secret-key", "file:///secret-key", "http:///"]) {
    throws(() => new HttpJsonRpc({ url, clock: systemClock }), (error) => {
      doesNotMatch(inspect(error), /secret-key/);
      match(describeError(error), /^Invalid: Cannot use the URL of a node/);
      return true;
    }, url);
  }
});

test("HttpJsonRpc resolves no name that is none", async () => {
  const node = new HttpJsonRpc({ url: "http://nobody.invalid/", clock: systemClock });
  await rejects(node.request("eth_x", []), { code: "Unreachable" });
});
