/**
 * Stands between a program and a node (JSON-RPC and beacon endpoints), and does to calls what networks
 * and nodes do: by script, by a seed, or for as long as told. It can also play another blob base fee: in
 * the answers, in the headers, and by holding back what does not pay it.
 *
 * | fault       | the node is asked | the program gets                          |
 * | ----------- | ----------------- | ----------------------------------------- |
 * | `status`    | no                | an HTTP status                            |
 * | `hang`      | no                | nothing, and the connection stays         |
 * | `hang up`   | no                | the end of the connection                 |
 * | `lose`      | yes               | the end of the connection                 |
 * | `swallow`   | no                | the hash of the transaction that it sent  |
 * | `delay`     | yes, later        | the answer                                |
 * | `duplicate` | yes, twice        | the first answer                          |
 * | `answer`    | no                | this result                               |
 * | `error`     | no                | this error of JSON-RPC                    |
 * | `cut`       | yes               | the first half of the answer              |
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { SeededRandom } from "../../src/local/memory.ts";
import { systemClock } from "../../src/runtime.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { BlobFeePlay } from "./blob_fee_play.ts";
import { type SentTransaction, sentTransaction } from "./sent_transaction.ts";

/** What goes wrong with a call. */
export type Fault =
  | { readonly fault: "hang" | "hang up" | "lose" | "swallow" | "duplicate" | "cut" }
  | { readonly fault: "status"; readonly status: number; readonly retryAfterS?: number }
  | { readonly fault: "delay"; readonly ms: number }
  | { readonly fault: "answer"; readonly result: unknown }
  | { readonly fault: "error"; readonly message: string; readonly code?: number };

/** A call that came: a method of JSON-RPC, or `GET /eth/v1/beacon/blobs` without the block. */
export interface ProxiedCall {
  readonly method: string;
  /** Of a `GET`, its path with the query; of a send, the hash in place of the bytes. */
  readonly params: readonly unknown[];
  readonly fault: Fault["fault"] | undefined;
}

/** A transaction as it came, whatever was done with it then. */
export interface ProxiedSend extends SentTransaction {
  readonly atMs: number;
}

/** Makes another result of what the node answered; of a `GET`, the body. */
// deno-lint-ignore no-explicit-any -- what a test rewrites it knows the shape of
export type Rewrite = (result: any, params: readonly unknown[]) => unknown;

const ANY = "*";
const SEND = "eth_sendRawTransaction";
const BLOBS_REFUSED: Fault = { fault: "error", message: "blobs are not served here" };

/** A proxy that runs; disposing of it ends it, and what hangs in it. */
export class FaultProxy implements AsyncDisposable {
  readonly url: string;
  readonly calls: ProxiedCall[] = [];
  readonly sent: ProxiedSend[] = [];
  readonly #server: Server;
  #upstream: string;
  readonly #next = new Map<string, (Fault | undefined)[]>();
  readonly #always = new Map<string, Fault>();
  readonly #rewrites = new Map<string, Rewrite>();
  readonly #play: BlobFeePlay;
  #refusesBlobs = false;
  #plan: ((method: string) => Fault | undefined) | undefined;

  constructor(server: Server, url: string, upstream: string) {
    this.#server = server;
    this.url = url;
    this.#upstream = upstream;
    this.#play = new BlobFeePlay((raw) => this.#ask(SEND, [toHex(raw)]).then(() => {}));
    server.on("request", (request, response) => {
      // On a connection that was used before, fetch of Deno answers its end by asking again.
      response.setHeader("connection", "close");
      // A program that hung up hears nothing.
      this.#handle(request, response).catch(() => response.socket?.destroy());
    });
  }

  /** The faults of the next calls of a method (`*`: of any), one each; `undefined` lets a call through. */
  next(method: string, ...faults: readonly (Fault | undefined)[]): void {
    this.#next.set(method, [...this.#next.get(method) ?? [], ...faults]);
  }

  /** The fault of each call of a method (`*`: of any) that has none of its own; none ends it. */
  always(method: string, fault: Fault | undefined): void {
    if (fault) this.#always.set(method, fault);
    else this.#always.delete(method);
  }

  /** Gives a share of all calls one of these faults, the same for the same seed and calls. */
  byChance(seed: number, share: number, faults: readonly Fault[]): void {
    const random = new SeededRandom(seed);
    this.byPlan(() => {
      const isFault = random.next() < share;
      const fault = faults[Math.floor(random.next() * faults.length)];
      return isFault ? fault : undefined;
    });
  }

  /** Whether transactions with blobs are refused, as by a node that does not serve them. */
  refuseBlobs(isRefused: boolean): void {
    this.#refusesBlobs = isRefused;
  }

  /** Asks for the fault of each call that has none otherwise, before anything is done with it. */
  byPlan(plan: (method: string) => Fault | undefined): void {
    this.#plan = plan;
  }

  /** Stands before another node from now on. */
  goTo(upstream: string): void {
    this.#upstream = upstream;
  }

  /** Lets all calls through again. */
  heal(): void {
    this.#next.clear();
    this.#always.clear();
    this.#plan = undefined;
  }

  /** Makes other results of what the node answers to a method; none ends it. */
  rewrite(method: string, rewrite: Rewrite | undefined): void {
    if (rewrite) this.#rewrites.set(method, rewrite);
    else this.#rewrites.delete(method);
  }

  /**
   * Plays another blob base fee, in wei: nodes tell it, headers have it, and a blob transaction that pays
   * less is held back, as a pool does, until the fee has fallen. `undefined` ends it.
   */
  async playBlobBaseFee(wei: bigint | undefined): Promise<void> {
    await this.#play.set(wei);
  }

  /** The transactions that wait for a lower blob base fee, by their hashes. */
  get held(): string[] {
    return this.#play.held;
  }

  /** How often a method was called. */
  count(method: string): number {
    return this.calls.filter((call) => call.method === method).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #faultOf(method: string): Fault | undefined {
    for (const key of [method, ANY]) {
      const faults = this.#next.get(key);
      if (faults && faults.length > 0) return faults.shift();
    }
    return this.#always.get(method) ?? this.#always.get(ANY) ?? this.#plan?.(method);
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const part of request) parts.push(part as Uint8Array);
    if (request.method === "GET") return await this.#get(request.url ?? "/", response);
    const asked = JSON.parse(Buffer.concat(parts).toString());
    if (Array.isArray(asked)) return await this.#handleBatch(asked, response);
    const { id, method, params } = asked;
    // What cannot be read is the node's to refuse.
    const sent = method === SEND
      ? await sentTransaction(fromHex(params[0], "raw")).catch(() => undefined)
      : undefined;
    if (sent) this.sent.push({ ...sent, atMs: systemClock.now() });
    const isRefused = this.#refusesBlobs && sent !== undefined && sent.tx.blobHashes.length > 0;
    const fault = isRefused ? BLOBS_REFUSED : this.#faultOf(method);
    const shown = sent ? [toHex(sent.hash)] : params;
    this.calls.push({ method, params: shown, fault: fault?.fault });
    await this.#inject(fault, response, async () => {
      const answer = await this.#answer(method, params, fault, sent);
      return { status: 200, body: { jsonrpc: "2.0", id, ...answer } };
    });
  }

  /** Of many reads at once: what happens to the connection is the fault of `batch`. */
  async #handleBatch(
    asked: readonly { id: unknown; method: string; params: readonly unknown[] }[],
    response: ServerResponse,
  ): Promise<void> {
    const fault = this.#faultOf("batch");
    await this.#inject(fault, response, async () => {
      const answers = asked.map(async ({ id, method, params }) => {
        const own = this.#faultOf(method);
        this.calls.push({ method, params, fault: own?.fault });
        return { jsonrpc: "2.0", id, ...await this.#answer(method, params, own, undefined) };
      });
      return { status: 200, body: await Promise.all(answers) };
    });
  }

  async #get(url: string, response: ServerResponse): Promise<void> {
    // Providers have a key before it.
    const path = url.replace(/^.*(?=\/eth\/v\d)/, "");
    const method = `GET ${path.replace(/[?].*$/, "").replace(/\/[^/]*\d[^/]*$/, keepVersion)}`;
    const fault = this.#faultOf(method);
    this.calls.push({ method, params: [path], fault: fault?.fault });
    await this.#inject(fault, response, async () => {
      if (fault?.fault === "answer") return { status: 200, body: fault.result };
      const answer = await fetch(this.#upstream + path);
      const text = await answer.text();
      const rewrite = this.#rewrites.get(method);
      const body = text === "" ? undefined : JSON.parse(text);
      return { status: answer.status, body: rewrite ? rewrite(body, [path]) : body };
    });
  }

  /** What happens to the connection; the rest happens to the answer. */
  async #inject(
    fault: Fault | undefined,
    response: ServerResponse,
    ask: () => Promise<{ status: number; body: unknown }>,
  ): Promise<void> {
    if (fault?.fault === "hang") return;
    if (fault?.fault === "hang up") return void response.socket?.destroy();
    if (fault?.fault === "status") {
      const { status, retryAfterS } = fault;
      const headers = retryAfterS === undefined ? {} : { "retry-after": `${retryAfterS}` };
      return void response.writeHead(status, headers).end();
    }
    if (fault?.fault === "delay") await systemClock.sleep(fault.ms);
    const { status, body } = await ask();
    if (fault?.fault === "duplicate") await ask();
    if (fault?.fault === "lose") return void response.socket?.destroy();
    const text = body === undefined ? "" : JSON.stringify(body);
    const half = fault?.fault === "cut" ? text.slice(0, text.length / 2) : text;
    response.writeHead(status, { "content-type": "application/json" }).end(half);
  }

  async #answer(
    method: string,
    params: readonly unknown[],
    fault: Fault | undefined,
    sent: SentTransaction | undefined,
  ): Promise<{ result: unknown } | { error: unknown }> {
    if (fault?.fault === "answer") return { result: fault.result };
    if (fault?.fault === "error") {
      return { error: { code: fault.code ?? -32000, message: fault.message } };
    }
    if (sent && (fault?.fault === "swallow" || this.#play.holds(sent))) {
      return { result: toHex(sent.hash) };
    }
    const answer = await this.#ask(method, params);
    if (answer.error !== undefined) return { error: answer.error };
    const played = this.#play.rewrite(method, params, answer.result);
    const rewrite = this.#rewrites.get(method);
    return { result: rewrite ? rewrite(played, params) : played };
  }

  async #ask(
    method: string,
    params: readonly unknown[],
  ): Promise<{ result?: unknown; error?: unknown }> {
    const answer = await fetch(this.#upstream, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    return await answer.json();
  }
}

/** Starts a proxy in front of a node, on a free port of 127.0.0.1. */
export async function startFaultProxy(upstream: string): Promise<FaultProxy> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return new FaultProxy(server, `http://127.0.0.1:${port}`, upstream);
}

/** `/v1` is no number of a block. */
function keepVersion(segment: string): string {
  return /^\/v\d+$/.test(segment) ? segment : "";
}
