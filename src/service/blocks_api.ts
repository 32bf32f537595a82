/**
 * Derived blocks over HTTP.
 *
 * | request                           |                                                                 |
 * | --------------------------------- | --------------------------------------------------------------- |
 * | `GET /v1/blocks?from=N&limit=M`   | blocks from number N on: M at most, 1000 at most, 8 MiB at most |
 * | `GET /v1/blocks/N`                | one of them                                                     |
 * | `GET /v1/head`                    | the newest, the newest that is safe, and final                  |
 * | `GET /v1/blocks/stream?from=N`    | server-sent events: blocks from N on, or from the next one on   |
 * | `POST /`                          | JSON-RPC: `montana_getBlocks` `[from, limit]`,                  |
 * |                                   | `montana_getHead`                                               |
 *
 * A block is as in a file of blocks, with `number`, `id` and `status`: `latest`, `safe` or `finalized`, as
 * the L1 block is that it came from. A list comes with `next`, the number to go on from. Events:
 *
 * | event       | id                  | data                                                            |
 * | ----------- | ------------------- | --------------------------------------------------------------- |
 * | `block`     | of the block        | the block                                                       |
 * | `retracted` | of the block before | `{"number":N,"id":…,"blocks":M}`: the M blocks behind N are     |
 * |             |                     | taken back, as L1 lost them; others follow                      |
 * | `heads`     |                     | as `GET /v1/head`: blocks became safe or final                  |
 *
 * A client that comes back with `Last-Event-ID`, as browsers' `EventSource` does by itself, goes on behind
 * it; where that block was taken back meanwhile, it is told so first. An id that nobody knows any more is
 * answered with 409.
 *
 * @module
 */
import { describeError, MontanaError } from "../errors.ts";
import { RPC_CODES } from "../ethereum.ts";
import type { Clock } from "../ports.ts";
import { shown } from "../wire/hex.ts";
import {
  type ApiRequest,
  type ApiResponse,
  found,
  mustBeProgram,
  Refusal,
  refused,
  wrongMethod,
} from "./api.ts";
import type { BlockFeed, BlockId, FeedItem, ServedBlock } from "./block_feed.ts";
import { type Address, listen, type Listening } from "./http_server.ts";

/** What is served. */
export interface BlocksApiParts {
  readonly feed: BlockFeed;
  readonly clock: Clock;
  /** Streams at the same time; 64 otherwise. */
  readonly maxStreams?: number;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1000;
const MAX_ANSWER_BYTES = 8 * 2 ** 20;
const MAX_STREAMS = 64;
const MAX_REQUEST_BYTES = 64 * 1024;
/** Requests of JSON-RPC in one. */
const MAX_CALLS = 16;
/** A comment so often keeps a connection that nothing else goes over. */
const PULSE_MS = 15_000;

/**
 * Answers requests for derived blocks.
 *
 * @example
 * ```ts
 * import {
 *   BlockFeed,
 *   BlocksApi,
 *   MemoryBlockSink,
 *   systemClock as clock,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const api = new BlocksApi({ feed: new BlockFeed(new MemoryBlockSink()), clock });
 * const { status } = await api.answer({
 *   method: "GET",
 *   url: URL.parse("http://localhost/v1/blocks/7")!,
 *   contentType: undefined,
 *   body: () => Promise.resolve(new Uint8Array()),
 * });
 * if (status !== 404) throw new Error("there is no block yet");
 * ```
 */
export class BlocksApi {
  readonly #feed: BlockFeed;
  readonly #clock: Clock;
  readonly #maxStreams: number;
  #streams = 0;

  constructor({ feed, clock, maxStreams = MAX_STREAMS }: BlocksApiParts) {
    this.#feed = feed;
    this.#clock = clock;
    this.#maxStreams = maxStreams;
  }

  /** Answers a request; it does not throw. */
  async answer(request: ApiRequest): Promise<ApiResponse> {
    try {
      return await this.#answer(request);
    } catch (error) {
      if (error instanceof Refusal) return refused(error.status, error.code, error.message);
      const kind = error instanceof MontanaError ? error.kind : "critical";
      return refused(500, "Failed", describeError(error), kind);
    }
  }

  async #answer(request: ApiRequest): Promise<ApiResponse> {
    const { pathname, searchParams } = request.url;
    mustBeProgram(request);
    const isRpc = pathname === "/";
    const allowed = isRpc ? "POST" : "GET";
    const [, number] = /^\/v1\/blocks\/([^/]+)$/.exec(pathname) ?? [];
    if (!isRpc && !["/v1/blocks", "/v1/head"].includes(pathname) && number === undefined) {
      throw new Refusal(404, "NotFound", `Cannot find ${pathname.slice(0, 100)}: ${THERE}`);
    }
    const wrong = wrongMethod(request, allowed);
    if (wrong) return wrong;
    if (isRpc) return await this.#rpc(request);
    if (pathname === "/v1/head") return found(this.#feed.heads);
    if (number === "stream") {
      return await this.#stream(searchParams.get("from"), request.lastEventId);
    }
    if (number !== undefined) return found(await this.#block(numberOf(number, "block number")));
    const from = searchParams.get("from");
    const limit = searchParams.get("limit");
    return found(
      await this.#blocks(
        from === null ? this.#feed.oldest : numberOf(from, "from"),
        limit === null ? DEFAULT_LIMIT : numberOf(limit, "limit"),
      ),
    );
  }

  async #block(number: number): Promise<object> {
    this.#mustBeKept(number);
    const [block] = await this.#feed.read(number, 1, 1);
    if (block) return this.#shown(block);
    const { head } = this.#feed.heads;
    throw new Refusal(404, "NotFound", `Cannot give block ${number}: the newest is ${head.number}`);
  }

  async #blocks(
    from: number,
    limit: number,
    maxBytes: number = MAX_ANSWER_BYTES,
  ): Promise<object> {
    if (limit < 1) throw new Refusal(400, "Invalid", "Cannot use limit 0: need 1 or more");
    this.#mustBeKept(from);
    const blocks: ServedBlock[] = [];
    let bytes = 0;
    const wanted = Math.min(limit, MAX_LIMIT);
    while (blocks.length < wanted && bytes < maxBytes) {
      const more = await this.#feed.read(
        from + blocks.length,
        wanted - blocks.length,
        maxBytes - bytes,
      );
      if (more.length === 0) break;
      blocks.push(...more);
      bytes += more.reduce((sum, { line }) => sum + line.length, 0);
    }
    return { blocks: blocks.map((each) => this.#shown(each)), next: from + blocks.length };
  }

  #mustBeKept(number: number): void {
    const { oldest } = this.#feed;
    if (number >= oldest) return;
    const message =
      `Cannot give block ${number}: the oldest that is kept is ${oldest}; with a file as ` +
      "--out all are";
    throw new Refusal(410, "NotKept", message);
  }

  #shown({ number, id, line }: ServedBlock): object {
    return { number, id, status: this.#feed.statusOf(number), ...JSON.parse(line) };
  }

  async #stream(from: string | null, lastEventId: string | undefined): Promise<ApiResponse> {
    const start = await this.#startOf(from, lastEventId);
    if (this.#streams >= this.#maxStreams) {
      const message = `Cannot open one more stream: ${this.#streams} are open, which is the most`;
      return { ...refused(503, "TooMany", message, "temporary"), headers: { "retry-after": "5" } };
    }
    return {
      status: 200,
      body: {},
      headers: { "content-type": "text/event-stream", "cache-control": "no-store" },
      stream: (signal) => this.#events(start, signal),
    };
  }

  /** The block behind which a stream begins. */
  async #startOf(from: string | null, lastEventId: string | undefined): Promise<BlockId> {
    if (lastEventId !== undefined && lastEventId !== "") {
      const number = Number(/^(\d{1,15})-[\da-f]{16}$/.exec(lastEventId)?.[1] ?? NaN);
      const there = Number.isNaN(number) ? undefined : await this.#feed.find(lastEventId);
      if (there) {
        this.#mustBeKept(there.number + 1);
        return { number, id: lastEventId };
      }
      const message =
        `Cannot go on behind ${shown(lastEventId)}: there is no such block, and it is not ` +
        "known which took its place; compare ids with GET /v1/blocks, and go on behind the last that is there";
      throw new Refusal(409, "UnknownId", message);
    }
    const { head } = this.#feed.heads;
    if (from === null) return head;
    const number = numberOf(from, "from");
    this.#mustBeKept(number);
    if (number > head.number + 1) {
      const message = `Cannot stream from block ${number}: the newest is ${head.number}`;
      throw new Refusal(404, "NotFound", message);
    }
    return await this.#feed.before(number);
  }

  async *#events(last: BlockId, signal: AbortSignal): AsyncGenerator<string> {
    this.#streams += 1;
    const ended = new AbortController();
    const items = this.#feed.follow(last, AbortSignal.any([signal, ended.signal]));
    try {
      yield ": montana\n\n";
      for (let next = items.next();;) {
        const item = await this.#orPulse(next, signal);
        if (signal.aborted) return;
        if (item === undefined) {
          yield ": still here\n\n";
          continue;
        }
        if (item.done) return;
        yield this.#event(item.value);
        next = items.next();
      }
    } finally {
      this.#streams -= 1;
      ended.abort();
    }
  }

  /** `undefined` where nothing comes for a while. */
  async #orPulse<T>(next: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    const done = new AbortController();
    const pulse = this.#clock.sleep(PULSE_MS, AbortSignal.any([signal, done.signal]));
    try {
      return await Promise.race([next, pulse.then(() => undefined)]);
    } finally {
      done.abort();
    }
  }

  #event(item: FeedItem): string {
    switch (item.kind) {
      case "block": {
        const { number, id, line } = item.block;
        const status = `{"number":${number},"id":"${id}","status":"${item.status}",`;
        return `id: ${id}\nevent: block\ndata: ${status}${line.slice(1)}\n\n`;
      }
      case "retracted": {
        const data = JSON.stringify({ ...item.kept, blocks: item.blocks });
        return `id: ${item.kept.id}\nevent: retracted\ndata: ${data}\n\n`;
      }
      case "heads":
        return `event: heads\ndata: ${JSON.stringify(item.heads)}\n\n`;
    }
  }

  async #rpc(request: ApiRequest): Promise<ApiResponse> {
    const body = await request.body(MAX_REQUEST_BYTES);
    if (!body) {
      throw new Refusal(413, "TooLarge", `Cannot take more than ${MAX_REQUEST_BYTES} bytes`);
    }
    let json: unknown;
    try {
      json = JSON.parse(new TextDecoder().decode(body));
    } catch {
      return found(rpcError(null, RPC_CODES.parseError, "Cannot read the request: it is no JSON"));
    }
    if (!Array.isArray(json)) return found(await this.#call(json));
    if (json.length === 0 || json.length > MAX_CALLS) {
      const message = `Cannot take ${json.length} requests in one: 1 to ${MAX_CALLS}`;
      return found(rpcError(null, RPC_CODES.invalidRequest, message));
    }
    const answers: object[] = [];
    // Together they are no more than one.
    const maxBytes = MAX_ANSWER_BYTES / json.length;
    for (const each of json) answers.push(await this.#call(each, maxBytes));
    return found(answers);
  }

  async #call(json: unknown, maxBytes?: number): Promise<object> {
    const { id = null, method, params = [] } = Object(json) as Record<string, unknown>;
    try {
      if (method === "montana_getHead") return { jsonrpc: "2.0", id, result: this.#feed.heads };
      if (method !== "montana_getBlocks") {
        const message = `Cannot call ${
          shown(method)
        }: there are montana_getBlocks and montana_getHead`;
        return rpcError(id, RPC_CODES.methodNotFound, message);
      }
      if (!Array.isArray(params) || params.length < 1 || params.length > 2) {
        return rpcError(
          id,
          RPC_CODES.invalidParams,
          "Cannot use these params: need [from] or [from, limit]",
        );
      }
      const [from, limit = DEFAULT_LIMIT] = params;
      const blocks = this.#blocks(numberOf(from, "from"), numberOf(limit, "limit"), maxBytes);
      return { jsonrpc: "2.0", id, result: await blocks };
    } catch (error) {
      if (error instanceof Refusal) return rpcError(id, RPC_CODES.invalidParams, error.message);
      return rpcError(id, RPC_CODES.internalError, describeError(error));
    }
  }
}

/**
 * Serves derived blocks.
 *
 * @param stalledMs how long a client of the stream may read nothing: 30 s otherwise
 * @throws {ConfigError} `Invalid` when it cannot listen there
 *
 * @example
 * ```ts
 * import {
 *   BlockFeed,
 *   MemoryBlockSink,
 *   serveBlocks,
 *   systemClock as clock,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const feed = new BlockFeed(new MemoryBlockSink()); // The sink of a deriver.
 * const server = await serveBlocks({ feed, clock }, { host: "127.0.0.1", port: 0 });
 * const response = await fetch(`${server.name}/v1/head`);
 * const { head } = await response.json();
 * if (head.number !== 0) throw new Error("nothing was derived yet");
 * await server.close();
 * ```
 */
export function serveBlocks(
  parts: BlocksApiParts,
  address: Address,
  stalledMs?: number,
): Promise<Listening> {
  const api = new BlocksApi(parts);
  return listen(address, (request) => api.answer(request), stalledMs);
}

const THERE = "there are GET /v1/blocks, /v1/blocks/N, /v1/blocks/stream and /v1/head, and POST /";

function numberOf(value: unknown, name: string): number {
  const number = /^\d{1,15}$/.test(String(value)) ? Number(value) : NaN;
  if (Number.isSafeInteger(number)) return number;
  throw new Refusal(400, "Invalid", `Cannot use ${name} ${shown(value)}: need a whole number`);
}

function rpcError(id: unknown, code: number, message: string): object {
  return { jsonrpc: "2.0", id, error: { code, message } };
}
