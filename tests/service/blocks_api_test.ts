import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { formatBlockLine } from "../../src/local/block_line.ts";
import { MemoryBlockSink } from "../../src/local/memory.ts";
import { BlockFeed } from "../../src/service/block_feed.ts";
import type { Listening } from "../../src/service/http_server.ts";
import { withDirectory, withMembers } from "../helpers.ts";
import { derived, feedInto, give, served, StreamClient } from "./served_blocks.ts";

// deno-lint-ignore no-explicit-any -- the tests know what is in it
type Body = any;

async function get(
  { name }: Listening,
  path: string,
  init: RequestInit = {},
): Promise<{ status: number; body: Body }> {
  const response = await fetch(name + path, init);
  return { status: response.status, body: await response.json() };
}

async function call(server: Listening, body: unknown): Promise<Body> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return (await get(server, "/", { method: "POST", body: text })).body;
}

const BLOCKS = derived(250);

async function feedOf(blocks = BLOCKS, maxBytes?: number): Promise<BlockFeed> {
  const options = maxBytes === undefined ? {} : { maxBytes };
  const feed = new BlockFeed(new MemoryBlockSink(), options);
  await give(feed, blocks);
  return feed;
}

test("BlocksApi gives lists of blocks, each as in a file, with number, id and status", async () => {
  const feed = await feedOf();
  await feed.noteL1Heads({ safe: 101n, finalized: 100n });
  await served(feed, async (server) => {
    const { body } = await get(server, "/v1/blocks?from=2&limit=2");
    const [second] = await feed.read(2, 1, 1);
    deepEqual(body.blocks[0], {
      number: 2,
      id: second!.id,
      status: "safe",
      ...JSON.parse(formatBlockLine(BLOCKS[1]!)),
    });
    deepEqual(body.blocks.map(({ number, status }: Body) => [number, status]), [
      [2, "safe"],
      [3, "latest"],
    ]);
    equal(body.next, 4);
    deepEqual((await get(server, "/v1/blocks/3")).body, body.blocks[1]);
    equal((await get(server, "/v1/blocks")).body.blocks.length, 100);
    deepEqual((await get(server, "/v1/blocks?from=251")).body, { blocks: [], next: 251 });
    deepEqual((await get(server, "/v1/head")).body, {
      head: feed.heads.head,
      safe: 2,
      finalized: 1,
    });
    // From `next` to `next` all of them come, however large the limit.
    let from = 1;
    const numbers: number[] = [];
    for (;;) {
      const page = (await get(server, `/v1/blocks?from=${from}&limit=99`)).body;
      if (page.blocks.length === 0) break;
      numbers.push(...page.blocks.map(({ number }: Body) => number));
      from = page.next;
    }
    deepEqual(numbers, BLOCKS.map((_, index) => index + 1));
  });
});

test("BlocksApi bounds an answer in blocks and in bytes, whatever the limit", async () => {
  await served(await feedOf(derived(1500)), async (server) => {
    const { body } = await get(server, "/v1/blocks?from=1&limit=999999999999");
    equal(body.blocks.length, 1000);
    equal(body.next, 1001);
  });
  // A block has 2 MiB as text: five are above the bound of 8 MiB, and none is cut.
  await served(await feedOf(derived(7, { size: 2 ** 20 })), async (server) => {
    const { body } = await get(server, "/v1/blocks?from=1&limit=1000");
    equal(body.blocks.length, 4);
    const both = await call(
      server,
      [1, 2].map((id) => ({
        jsonrpc: "2.0",
        id,
        method: "montana_getBlocks",
        params: [1, 1000],
      })),
    );
    deepEqual(both.map(({ result }: Body) => result.blocks.length), [2, 2]);
  });
});

test("BlocksApi refuses by name what it cannot answer", async () => {
  await served(await feedOf(BLOCKS, 2000), async (server) => {
    const paths = [
      ["/", "GET", 405, "WrongMethod"],
      ["/v1/blocks", "POST", 405, "WrongMethod"],
      ["/v1/blocks/stream", "DELETE", 405, "WrongMethod"],
      ["/v1/block", "GET", 404, "NotFound"],
      ["/v1/blocks/1/2", "GET", 404, "NotFound"],
      ["//", "GET", 405, "WrongMethod"],
      ["/v1/blocks/251", "GET", 404, "NotFound"],
      ["/v1/blocks/1", "GET", 410, "NotKept"],
      ["/v1/blocks?from=1", "GET", 410, "NotKept"],
      ["/v1/blocks/stream?from=1", "GET", 410, "NotKept"],
      ["/v1/blocks/stream?from=252", "GET", 404, "NotFound"],
      ["/v1/blocks?from=240&limit=0", "GET", 400, "Invalid"],
      ["/v1/blocks?from=240&limit=-1", "GET", 400, "Invalid"],
      ["/v1/blocks?from=1e3", "GET", 400, "Invalid"],
      ["/v1/blocks?from=", "GET", 400, "Invalid"],
      ["/v1/blocks/0x10", "GET", 400, "Invalid"],
      [`/v1/blocks/${"9".repeat(400)}`, "GET", 400, "Invalid"],
    ] as const;
    for (const [path, method, status, code] of paths) {
      const answer = await get(server, path, { method });
      equal(answer.status, status, path);
      equal(answer.body.error.code, code, path);
      match(answer.body.error.message, /^Cannot .{10,250}$/);
    }
    const page = await get(server, "/v1/head", {
      headers: { origin: "https://elsewhere.example" },
    });
    equal(page.status, 403);
  });
});

test("BlocksApi answers JSON-RPC with the same", async () => {
  await served(await feedOf(), async (server) => {
    const request = { jsonrpc: "2.0", id: 7, method: "montana_getBlocks", params: [248, 2] };
    const list = (await get(server, "/v1/blocks?from=248&limit=2")).body;
    deepEqual(await call(server, request), { jsonrpc: "2.0", id: 7, result: list });
    const head = { jsonrpc: "2.0", id: "a", method: "montana_getHead" };
    deepEqual((await call(server, head)).result, (await get(server, "/v1/head")).body);
    deepEqual((await call(server, [request, head])).map(({ id }: Body) => id), [7, "a"]);

    const wrong = [
      ["{", -32700],
      ["[]", -32600],
      [Array.from({ length: 17 }, () => head), -32600],
      [{ ...head, method: "eth_blockNumber" }, -32601],
      ["null", -32601],
      [{ ...request, params: {} }, -32602],
      [{ ...request, params: [] }, -32602],
      [{ ...request, params: ["0x1"] }, -32602],
      [{ ...request, params: [1, 0] }, -32602],
    ] as const;
    for (const [body, code] of wrong) {
      equal((await call(server, body)).error.code, code, JSON.stringify(body));
    }
    equal((await get(server, "/", { method: "POST", body: "x".repeat(70_000) })).status, 413);
  });
});

test("BlocksApi streams what is there and what comes, and tells what is taken back", async () => {
  const feed = await feedOf(BLOCKS.slice(0, 3));
  await served(feed, async (server) => {
    await using client = await StreamClient.open(server, { from: 2 });
    const [second, third, heads] = await client.take(3);
    deepEqual([second!.event, second!.data.number, third!.data.number], ["block", 2, 3]);
    equal(second!.id, second!.data.id);
    equal(heads!.event, "heads");
    await give(feed, BLOCKS.slice(3, 5));
    deepEqual((await client.take(2)).map(({ data }) => data.number), [4, 5]);
    await feed.noteL1Heads({ safe: 101n, finalized: 100n });
    deepEqual((await client.next())!.data, { head: feed.heads.head, safe: 2, finalized: 1 });

    await feed.retract(3);
    const others = derived(2, { first: 2, seed: 1 });
    await give(feed, others);
    const [back, again] = await client.take(2);
    deepEqual(back, {
      event: "retracted",
      id: second!.id,
      data: { number: 2, id: second!.id, blocks: 3 },
    });
    equal(again!.data.number, 3);
    equal(again!.data.timestamp, Number(others[0]!.timestamp));

    // Without a number: what comes from now on.
    await using late = await StreamClient.open(server);
    await late.next();
    await give(feed, derived(1, { first: 4, seed: 1 }));
    equal((await late.next())!.data.number, 5);
  });
});

test("BlocksApi goes on behind the last event of a client that comes back", async () => {
  const feed = await feedOf(BLOCKS.slice(0, 10));
  const seen: string[] = [];
  await served(feed, async (server) => {
    {
      await using client = await StreamClient.open(server, { from: 1 });
      for (const { id } of await client.take(6)) seen.push(id!);
    }
    {
      await using client = await StreamClient.open(server, { last: seen[5]! });
      deepEqual((await client.take(4)).map(({ data }) => data.number), [7, 8, 9, 10]);
    }
    // What it has is taken back while it is away.
    await feed.retract(6);
    await give(feed, derived(4, { first: 4, seed: 1 }));
    {
      await using client = await StreamClient.open(server, { last: seen[5]! });
      const [back, first] = await client.take(2);
      deepEqual([back!.event, back!.id, back!.data.blocks], ["retracted", seen[3], 2]);
      deepEqual([first!.event, first!.data.number], ["block", 5]);
    }
    for (const last of ["6-0123456789abcdef", "99-0123456789abcdef", "6", "x", "-1-0"]) {
      await using client = await StreamClient.open(server, { last });
      equal(client.status, 409, last);
      equal(client.refusal.code, "UnknownId");
    }
  });
  // Another process that serves the same blocks knows the ids that are still there.
  const other = await feedOf([...BLOCKS.slice(0, 4), ...derived(4, { first: 4, seed: 1 })]);
  await served(other, async (server) => {
    await using client = await StreamClient.open(server, { last: seen[3]! });
    equal((await client.next())!.data.number, 5);
    await using gone = await StreamClient.open(server, { last: seen[5]! });
    equal(gone.status, 409);
  });
});

/** A client of a stream that reads nothing. */
async function sleeper({ name }: Listening): Promise<Socket> {
  const { hostname, port } = new URL(name);
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  socket.pause();
  await new Promise<void>((resolve) => socket.once("connect", () => resolve()));
  socket.write("GET /v1/blocks/stream?from=1 HTTP/1.1\r\nhost: x\r\n\r\n");
  return socket;
}

async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 20_000;
  while (!await isSo()) {
    ok(Date.now() < deadline, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test("BlocksApi reads nothing more for a client that reads nothing, and cuts it off in the end", async () => {
  await withDirectory(async (cwd) => {
    // 96 MiB, of which the feed remembers one.
    const { feed, close } = await feedInto(cwd, { maxBytes: 2 ** 20 });
    await give(feed, derived(48, { size: 2 ** 20 }));
    const asleep = async (
      action: (server: Listening, highest: () => number) => Promise<void>,
      options: { readonly stalledMs?: number } = {},
    ) => {
      let highest = 0;
      const watched = withMembers(feed, {
        follow: async function* (last, signal) {
          for await (const item of feed.follow(last, signal)) {
            // Of the sleeper; others begin with the last block.
            if (item.kind === "block" && last.number === 0) highest = item.block.number;
            yield item;
          }
        },
      });
      await served(watched, async (server) => {
        const socket = await sleeper(server);
        await until("it is sent something", () => highest > 0);
        await action(server, () => highest);
        socket.destroy();
      }, { maxStreams: 1, ...options });
    };
    await asleep(async (server) => {
      // The only stream that there may be.
      const refused = await StreamClient.open(server, { from: 48 });
      equal(refused.status, 503);
      equal(refused.refusal.code, "TooMany");
      // Others are answered meanwhile.
      equal((await get(server, "/v1/blocks/48")).body.number, 48);
    });
    await asleep(async (server, highest) => {
      await until("it is cut off", async () => {
        await using client = await StreamClient.open(server, { from: 48 });
        return client.status === 200;
      });
      // What fits into the buffers of two sockets, and no more.
      ok(highest() < 30, `${highest()} blocks of 2 MiB went to a client that reads nothing`);
    }, { stalledMs: 500 });
    await close();
  });
});

test("BlocksApi lets go of a stream whose client went away", async () => {
  const feed = await feedOf(BLOCKS.slice(0, 3));
  await served(feed, async (server) => {
    for (let turn = 0; turn < 3; turn++) {
      await until("there is room again", async () => {
        await using client = await StreamClient.open(server, { from: 1 });
        if (client.status !== 200) return false;
        equal((await client.take(3)).length, 3);
        return true;
      });
    }
  }, { maxStreams: 1 });
});
