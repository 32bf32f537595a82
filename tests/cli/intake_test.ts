import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { chmod, stat, writeFile } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { failed, run, type Running, start, succeeded } from "./montana.ts";
import { acksOf, shardLines } from "./operations.ts";

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  // deno-lint-ignore no-explicit-any -- JSON
  readonly body: any;
}

interface Ask {
  readonly method?: string;
  readonly path?: string;
  readonly type?: string;
  readonly origin?: string;
  readonly body?: string | Uint8Array;
}

/** Asks a server, on a port or on a socket. */
function ask(where: { port: number } | { socketPath: string }, given: Ask = {}): Promise<Answer> {
  const { method = "POST", path = "/v1/operations", type, origin, body = "" } = given;
  return new Promise((resolve, reject) => {
    const headers = {
      ...(type === undefined ? {} : { "content-type": type }),
      ...(origin === undefined ? {} : { origin }),
      "content-length": `${Buffer.byteLength(body)}`,
    };
    const call = request({ ...where, method, path, headers, agent: false }, async (response) => {
      const parts: Uint8Array[] = [];
      for await (const part of response) parts.push(part as Uint8Array);
      const text = Buffer.concat(parts).toString();
      resolve({ status: response.statusCode!, headers: response.headers, body: JSON.parse(text) });
    });
    call.once("error", reject);
    call.end(body);
  });
}

async function portOf(running: Running): Promise<number> {
  await running.untilSaid(/listening on http:\/\/127\.0\.0\.1:\d+$/m);
  return Number(/127\.0\.0\.1:(\d+)/.exec(running.stderr)![1]);
}

const LISTEN = "processor --data-dir data --to out --listen 0 --interval 10ms";

test("montana processor takes operations over HTTP, and answers when they are synced", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(`${LISTEN} --ack`, { cwd });
    const port = await portOf(running);
    const one = await ask({ port }, { body: "k\t0" });
    deepEqual([one.status, one.body], [202, { sequences: ["0"] }]);
    const many = await ask({ port }, { type: "text/plain", body: "k\t1\nk\t2\n" });
    equal(many.status, 202);
    equal(many.body.sequences.length, 2);
    const json = "application/json; charset=utf-8";
    equal((await ask({ port }, { type: json, body: '"k\\t3"' })).body.sequences.length, 1);
    const list = await ask({ port }, { type: json, body: '["k\\t4","k\\t5"]' });
    equal(list.body.sequences.length, 2);
    const status = await ask({ port }, { method: "GET", path: "/v1/status" });
    equal(status.body.addedOperations, 6);
    running.send("SIGTERM");
    const outcome = await running.ended;
    succeeded(outcome);
    deepEqual(await shardLines(join(cwd, "out")), [0, 1, 2, 3, 4, 5].map((each) => `k\t${each}`));
    deepEqual(acksOf(outcome.stdout).map(String), [
      ...one.body.sequences,
      ...many.body.sequences,
      ...acksOf(outcome.stdout).slice(3).map(String),
    ]);
  });
});

test("montana processor refuses what is no operation over HTTP, and says what would be", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(`${LISTEN} --max-body 100B --max-operation 50B`, { cwd });
    const port = await portOf(running);
    const json = "application/json";
    const cases: [Ask, number, RegExp][] = [
      [{ method: "GET" }, 405, /Cannot GET \/v1\/operations: need POST/],
      [{ method: "POST", path: "/v1/status" }, 405, /need GET/],
      [{ path: "/v2/operations" }, 404, /there are POST \/v1\/operations and GET/],
      [{ path: "/v1/flush" }, 404, /controlled by the socket in its data directory/],
      [{ body: "" }, 400, /the body is empty/],
      [{ type: json, body: "{" }, 400, /Cannot read the body as JSON/],
      [
        { type: json, body: '{"a":1}' },
        400,
        /need a string of Unicode text without a newline.*item 0/,
      ],
      [{ type: json, body: '["a",7]' }, 400, /item 1 is none/],
      [{ type: json, body: '["a\\nb"]' }, 400, /item 0/],
      [{ type: json, body: "[]" }, 400, /the array is empty/],
      [{ type: "image/png", body: "x" }, 415, /Cannot take "image\/png"/],
      [{ path: "//", body: "x" }, 404, /Cannot find \//],
      [{ type: json, body: '"\\ud800x"' }, 400, /need a string of Unicode text/],
      [{ origin: "http://evil.example", body: "x" }, 403, /a page of http:\/\/evil\.example/],
      [{ body: "x".repeat(101) }, 413, /more than 100 bytes/],
      [{ body: "x".repeat(60) }, 413, /it may have 50 at most/],
    ];
    for (const [given, status, message] of cases) {
      const answer = await ask({ port }, given);
      equal(answer.status, status, JSON.stringify(answer.body));
      match(answer.body.error.message, message);
      equal(answer.headers["content-type"], "application/json");
    }
    equal((await ask({ port }, { method: "GET" })).headers.allow, "POST");
    equal((await ask({ port }, { method: "GET", path: "/v1/status" })).body.addedOperations, 0);
    equal((await ask({ port }, { body: "still there" })).status, 202);
  });
});

test("montana processor over HTTP says when it is full, draining or down", async () => {
  await withDirectory(async (cwd) => {
    const flags = "--max-queue 2 --when-full reject --shutdown-timeout 10s";
    await using running = start(`${LISTEN} ${flags}`, { cwd });
    const port = await portOf(running);
    const socketPath = join(cwd, "data/control.sock");
    equal((await ask({ socketPath }, { path: "/v1/pause" })).status, 200);
    equal((await ask({ port }, { body: "a\nb" })).status, 202);
    const full = await ask({ port }, { body: "c" });
    deepEqual([full.status, full.body.error.code, full.headers["retry-after"]], [429, "Full", "1"]);
    deepEqual(full.body.sequences, [null]);
    equal((await ask({ socketPath }, { path: "/v1/flush" })).status, 409);
    equal((await ask({ socketPath }, { path: "/v1/flush?deadline_ms=x" })).status, 400);
    equal((await ask({ socketPath }, { path: "/v1/resume" })).status, 200);
    equal((await ask({ socketPath }, { path: "/v1/drain" })).status, 200);
    const draining = await ask({ port }, { body: "d" });
    deepEqual([draining.status, draining.body.error.code], [503, "Draining"]);
    running.send("SIGTERM");
    succeeded(await running.ended);
  });
});

test("montana processor takes operations on a unix socket, which only its owner may control", async () => {
  await withDirectory(async (cwd) => {
    const args = "processor --data-dir data --to out --socket ops.sock --interval 10ms";
    await using running = start(args, { cwd });
    await running.untilSaid("listening on ops.sock");
    const socketPath = join(cwd, "ops.sock");
    equal((await ask({ socketPath }, { body: "k\t0\n" })).status, 202);
    equal((await ask({ socketPath }, { path: "/v1/pause" })).status, 404);
    equal((await stat(join(cwd, "data/control.sock"))).mode & 0o777, 0o600);
    const taken = "processor --data-dir data-2 --to out-2 --socket ops.sock";
    failed(await run(taken, { cwd }), 78, /Cannot listen on ops.sock: another process has it open/);
    // One that a crash left behind is no hindrance.
    running.send("SIGKILL");
    await running.ended;
    await using again = start(args, { cwd });
    await again.untilSaid("listening on ops.sock");
    equal((await ask({ socketPath }, { body: "k\t1\n" })).status, 202);
    again.send("SIGTERM");
    succeeded(await again.ended);
    deepEqual(await shardLines(join(cwd, "out")), ["k\t0", "k\t1"]);
  });
});

test("montana processor that listens takes lines as well, and goes on after their end", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(`${LISTEN} --ack`, { cwd, stdin: "k\t0\n" });
    const port = await portOf(running);
    await running.until("the line is taken", () => acksOf(running.stdout).length === 1);
    equal((await ask({ port }, { body: "k\t1" })).status, 202);
    running.send("SIGTERM");
    succeeded(await running.ended);
    deepEqual(await shardLines(join(cwd, "out")), ["k\t0", "k\t1"]);
  });
});

test("montana processor refuses to listen where it cannot", async () => {
  await withDirectory(async (cwd) => {
    await using running = start(LISTEN, { cwd });
    const port = await portOf(running);
    const used = await run(`processor --data-dir data-2 --to out-2 --listen ${port}`, { cwd });
    failed(used, 78, /Cannot listen on 127\.0\.0\.1:\d+: /);
    const long = `processor --data-dir data-3 --socket ${"x".repeat(200)}`;
    failed(await run(long, { cwd }), 78, /a socket's path has 103 bytes at most/);
    await writeFile(join(cwd, "file"), "");
    await chmod(join(cwd, "file"), 0o600);
    const file = await run("processor --data-dir data-4 --socket file", { cwd });
    failed(file, 78, /it is there, and no socket/);
    ok((await stat(join(cwd, "file"))).isFile());
  });
});
