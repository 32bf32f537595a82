import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseBoundedJson } from "../../src/service/bounded_json.ts";
import { listen } from "../../src/service/http_server.ts";
import { BodyRoom } from "../../src/service/request_body.ts";

const HERE = { host: "127.0.0.1", port: 0 };
const MIB = 2 ** 20;

test("JSON is what it was, unless it is nested too deeply or has too many values", () => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 8 }), (value) => {
    const text = JSON.stringify(value);
    deepEqual(parseBoundedJson(new TextEncoder().encode(text)), JSON.parse(text));
  }));
  const parse = (text: string) => parseBoundedJson(new TextEncoder().encode(text));
  const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  parse(nested(32));
  throws(() => parse(nested(33)), { name: "RangeError", message: /deeper than 32/ });
  throws(() => parse('{"":'.repeat(33) + "1" + "}".repeat(33)), { name: "RangeError" });
  throws(() => parse("[".repeat(5 * MIB)), { name: "RangeError" });
  throws(() => parse(`[${"[],".repeat(MIB)}[]]`), { name: "RangeError", message: /values/ });
  deepEqual(
    parse(`"${"[".repeat(40)}\\"${"[".repeat(40)}\\\\"`),
    `${"[".repeat(40)}"${"[".repeat(40)}\\`,
  );
  throws(() => parse('"[[['), { name: "SyntaxError" });
});

test("who sends more than the bound is answered, not cut off, and the next is served", async () => {
  const server = await listen(HERE, async (request) => {
    const body = await request.body(1000);
    return body ? { status: 200, body: { size: body.length } } : { status: 413, body: {} };
  });
  try {
    for (let turn = 0; turn < 3; turn++) {
      const large = await fetch(server.name, { method: "POST", body: new Uint8Array(20 * MIB) });
      deepEqual([large.status, await large.json()], [413, {}]);
      const parts = new ReadableStream({
        start(controller) {
          for (let part = 0; part < 20; part++) controller.enqueue(new Uint8Array(MIB));
          controller.close();
        },
      });
      const init = { method: "POST", body: parts, duplex: "half" };
      const streamed = await fetch(server.name, init as RequestInit);
      deepEqual([streamed.status, await streamed.json()], [413, {}]);
      const small = await fetch(server.name, { method: "POST", body: new Uint8Array(1000) });
      deepEqual(await small.json(), { size: 1000 });
    }
  } finally {
    await server.close();
  }
});

test("bodies under way share their room: who finds none is answered 503, and comes again", async () => {
  const gate = Promise.withResolvers<void>();
  const full = Promise.withResolvers<void>();
  let inside = 0;
  const server = await listen(
    HERE,
    async (request) => {
      const body = await request.body(MIB);
      if (!body) return { status: 413, body: {} };
      if (++inside === 2) full.resolve();
      await gate.promise;
      return { status: 200, body: {} };
    },
    1000,
    new BodyRoom(2 * MIB),
  );
  const post = async () => {
    const response = await fetch(server.name, { method: "POST", body: new Uint8Array(MIB) });
    await response.body?.cancel();
    return response;
  };
  try {
    const taken = [post(), post()];
    await full.promise;
    const refused = await post();
    deepEqual([refused.status, refused.headers.get("retry-after")], [503, "1"]);
    gate.resolve();
    for (const each of taken) equal((await each).status, 200);
    equal((await post()).status, 200);
  } finally {
    await server.close();
  }
});
