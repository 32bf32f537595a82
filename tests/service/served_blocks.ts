/**
 * A feed of derived blocks behind a server, and a client of its stream.
 *
 * @module
 */
import { join } from "node:path";
import { BlockHistory } from "../../src/local/block_history.ts";
import { FileBlockSink } from "../../src/local/file_block_sink.ts";
import { systemClock } from "../../src/runtime.ts";
import { BlockFeed, type BlockFeedOptions } from "../../src/service/block_feed.ts";
import { serveBlocks } from "../../src/service/blocks_api.ts";
import type { Listening } from "../../src/service/http_server.ts";
import type { DerivedBlock } from "../../src/types.ts";
import { plainBlocks } from "../helpers.ts";

/** Blocks as derivation gives them, one an L1 block from `first` on; `seed` makes others of them. */
export function derived(count: number, { first = 0, seed = 0, size = 20 } = {}): DerivedBlock[] {
  return plainBlocks(count, { first: first + 1000 * seed, size }).map((block, index) => ({
    ...block,
    batchNumber: BigInt(first + index),
    l1Origin: BigInt(first + index),
    l1Block: BigInt(100 + first + index),
  }));
}

/** Hands over blocks, and flushes. */
export async function give(feed: BlockFeed, blocks: readonly DerivedBlock[]): Promise<void> {
  for (const block of blocks) await feed.ingest(block);
  await feed.flush();
}

/** A feed in front of a file, and the file. */
export async function feedInto(
  cwd: string,
  options: BlockFeedOptions = {},
): Promise<{ readonly feed: BlockFeed; close(): Promise<void> }> {
  const path = join(cwd, "blocks.jsonl");
  const sink = await FileBlockSink.open(path);
  const history = await BlockHistory.open(path, 0);
  return { feed: new BlockFeed(sink, { history, ...options }), close: () => sink.close() };
}

/** Serves a feed while `action` runs. */
export async function served(
  feed: BlockFeed,
  action: (server: Listening) => Promise<void>,
  { maxStreams, stalledMs }: { maxStreams?: number; stalledMs?: number } = {},
): Promise<void> {
  const parts = { feed, clock: systemClock, ...(maxStreams === undefined ? {} : { maxStreams }) };
  const server = await serveBlocks(parts, { host: "127.0.0.1", port: 0 }, stalledMs);
  try {
    await action(server);
  } finally {
    await server.close();
  }
}

/** An event of a stream. */
export interface StreamEvent {
  readonly event: string;
  readonly id: string | undefined;
  // deno-lint-ignore no-explicit-any -- the tests know what is in it
  readonly data: any;
}

/** A client of the stream: takes events one by one. */
export class StreamClient implements AsyncDisposable {
  readonly status: number;
  /** What the server answered in place of a stream. */
  // deno-lint-ignore no-explicit-any -- the tests know what is in it
  readonly refusal: any;
  readonly #abort: AbortController;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #text = "";

  private constructor(response: Response, refusal: unknown, abort: AbortController) {
    this.status = response.status;
    this.refusal = refusal;
    this.#abort = abort;
    this.#reader = refusal === undefined ? response.body!.getReader() : undefined;
  }

  static async open(
    { name }: Listening,
    { from, last }: { readonly from?: number; readonly last?: string } = {},
  ): Promise<StreamClient> {
    const abort = new AbortController();
    const response = await fetch(
      `${name}/v1/blocks/stream${from === undefined ? "" : `?from=${from}`}`,
      { headers: last === undefined ? {} : { "last-event-id": last }, signal: abort.signal },
    );
    const refusal = response.status === 200 ? undefined : (await response.json()).error;
    return new StreamClient(response, refusal, abort);
  }

  /** The next event; `undefined` at the end. */
  async next(): Promise<StreamEvent | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end < 0) {
        const { value, done } = await this.#reader!.read();
        if (done) return undefined;
        this.#text += new TextDecoder().decode(value);
        continue;
      }
      const lines = this.#text.slice(0, end).split("\n");
      this.#text = this.#text.slice(end + 2);
      const field = (name: string) =>
        lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      const event = field("event");
      if (event !== undefined) {
        return { event, id: field("id"), data: JSON.parse(field("data")!) };
      }
    }
  }

  /** So many events. */
  async take(count: number): Promise<StreamEvent[]> {
    const events: StreamEvent[] = [];
    for (let each = 0; each < count; each++) {
      const event = await this.next();
      if (!event) break;
      events.push(event);
    }
    return events;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.#reader?.cancel().catch(() => {});
  }
}
