import {
  deepStrictEqual as deepEqual,
  match,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { createServer, type IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import type { MontanaError } from "../../src/errors.ts";
import { HttpHandler } from "../../src/local/http_handler.ts";
import type { OperationBatch } from "../../src/types.ts";

const batch: OperationBatch = {
  first: 40n,
  last: 41n,
  operations: [
    { sequence: 40n, data: new TextEncoder().encode("a\tb") },
    { sequence: 41n, data: Uint8Array.of(0xff, 0) },
  ],
  bytes: 5,
};
const never = new AbortController().signal;

interface Seen {
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

/** Runs `action` with a server that answers as it is told. */
async function withServer(
  answers:
    readonly (number | { status: number; headers?: Record<string, string>; body?: string })[],
  action: (url: string, seen: Seen[]) => Promise<void>,
): Promise<void> {
  const left = [...answers];
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const parts: Uint8Array[] = [];
    for await (const part of request) parts.push(part as Uint8Array);
    seen.push({ headers: request.headers, body: new Uint8Array(Buffer.concat(parts)) });
    const answer = left.shift() ?? 200;
    const { status, headers = {}, body = "" } = typeof answer === "number"
      ? { status: answer }
      : answer;
    // 0 never answers.
    if (status > 0) response.writeHead(status, headers).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await action(`http://127.0.0.1:${(server.address() as { port: number }).port}/in`, seen);
  } finally {
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  }
}

test("HttpHandler posts lines, with the batch's identity as idempotency key", async () => {
  await withServer([204, 200], async (url, seen) => {
    const handler = new HttpHandler({ url, source: "s1", headers: { authorization: "Bearer x" } });
    await handler.handle(batch, never);
    await handler.handle(batch, never);
    for (const { headers, body } of seen) {
      equal(headers["idempotency-key"], "s1-40-41");
      equal(headers["montana-first-sequence"], "40");
      equal(headers["montana-last-sequence"], "41");
      equal(headers["content-type"], "text/plain; charset=utf-8");
      equal(headers["authorization"], "Bearer x");
      deepEqual(body, Uint8Array.of(0x61, 9, 0x62, 10, 0xff, 0, 10));
    }
  });
});

test("HttpHandler tells what may be tried again from what may not", async () => {
  const temporary = [408, 425, 429, 500, 502, 503, 504];
  const forGood = [300, 304, 307, 400, 401, 403, 404, 409, 413, 422];
  await withServer([...temporary, ...forGood], async (url) => {
    const handler = new HttpHandler({ url, source: "s" });
    for (const status of temporary) {
      await rejects(handler.handle(batch, never), {
        code: "Failed",
        isRetryable: true,
        message: new RegExp(`answered ${status}`),
      });
    }
    for (const status of forGood) {
      await rejects(handler.handle(batch, never), {
        code: "Rejected",
        isRetryable: false,
        message: new RegExp(`answered ${status}`),
      });
    }
  });
});

test("HttpHandler tells what the server said, and when to come again", async () => {
  const busy = {
    status: 429,
    headers: { "retry-after": "17" },
    body: `slow down ${"x".repeat(9999)}`,
  };
  await withServer([busy], async (url) => {
    const handled = new HttpHandler({ url, source: "s" }).handle(batch, never);
    await rejects(handled, (error: MontanaError) => {
      match(error.message, /Cannot handle batch 40-41: .* answered 429: slow down xx/);
      equal(error.details["retryAfterMs"], 17_000);
      return error.message.length < 1000;
    });
  });
});

test("HttpHandler fails where nobody answers, and when it is aborted", async () => {
  let port = "";
  await withServer([0], async (url) => {
    const abort = new AbortController();
    const handled = new HttpHandler({ url, source: "s" }).handle(batch, abort.signal);
    setTimeout(() => abort.abort(), 50);
    await rejects(handled, { code: "Failed", message: /gave no answer/ });
    port = url;
  });
  const nobody = new HttpHandler({ url: port, source: "s" }).handle(batch, never);
  await rejects(nobody, { code: "Failed", isRetryable: true, message: /gave no answer/ });
});
