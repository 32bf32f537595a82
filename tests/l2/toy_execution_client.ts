/**
 * An execution client for tests: the Engine API over HTTP with tokens, blocks with real header hashes, and
 * state that nobody executes. It takes what op-geth takes, and errs where it is told to.
 *
 * @module
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { keccak } from "../../src/l1/deps.ts";
import { parsePayload, payloadHash } from "../../src/l2/payload.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";

/** A block of it: fields as `executionPayload` has them. */
export interface ToyBlock {
  readonly payload: Readonly<Record<string, unknown>>;
  readonly parentBeaconBlockRoot: string;
  /** 1 Paris, 2 Shanghai, 3 Cancun, 4 Prague. */
  readonly fork: number;
}

/** What is answered instead, or done to the answer. */
export type ToyAnswer =
  | "real"
  | "hang"
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string } }
  | { readonly http: number; readonly body: string }
  | { readonly after: "close" | "hang" };

/** What it is. */
export interface ToyOptions {
  /** 32 bytes; nobody is asked for a token without. */
  readonly secret?: Uint8Array;
  /** From which timestamps on a fork holds: Shanghai, Cancun, Prague. */
  readonly forks?: readonly [shanghai: number, cancun: number, prague: number];
  /** Whether it takes transactions as an attribute; true otherwise. */
  readonly isOp?: boolean;
  /** Of the genesis block. */
  readonly extraData?: string;
  readonly capabilities?: readonly string[] | null;
  /** Only its other JSON-RPC: no method of the Engine API. */
  readonly hasNoEngine?: boolean;
}

const GENESIS_TIMESTAMP = 900;
const ZERO = `0x${"00".repeat(32)}`;
const EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";
const NO_REQUESTS = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const TOLERANCE_SECONDS = 60;

export class ToyExecutionClient implements AsyncDisposable {
  /** All calls, in order. */
  readonly calls: { readonly method: string; readonly params: readonly unknown[] }[] = [];
  /** What the next calls of a method are answered, by its name without version. */
  readonly script = new Map<string, ToyAnswer[]>();
  /** Changes a block before it is given out: its hash is made anew. */
  tamper: ((transactions: readonly string[]) => readonly string[]) | undefined;
  readonly #server: Server;
  readonly #options: ToyOptions;
  readonly #blocks = new Map<string, ToyBlock>();
  readonly #building = new Map<string, ToyBlock>();
  #heads = { head: ZERO, safe: ZERO, finalized: ZERO };
  #ids = 0;

  private constructor(options: ToyOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(options: ToyOptions = {}, port = 0): Promise<ToyExecutionClient> {
    const toy = new ToyExecutionClient(options);
    await toy.#begin();
    await new Promise<void>((resolve) => toy.#server.listen(port, "127.0.0.1", resolve));
    return toy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The canonical chain from genesis on. */
  get chain(): ToyBlock[] {
    const chain: ToyBlock[] = [];
    for (let hash = this.#heads.head; hash !== ZERO;) {
      const block = this.#blocks.get(hash)!;
      chain.unshift(block);
      hash = String(block.payload.parentHash);
    }
    return chain;
  }

  /** What the canonical blocks above genesis hold, as `timestamp:tx,tx`. */
  get content(): string[] {
    return this.chain.slice(1).map(({ payload }) =>
      `${Number(payload.timestamp)}:${(payload.transactions as string[]).join(",")}`
    );
  }

  /** Numbers of the safe and the final block; -1 where there is none. */
  get numbers(): { readonly safe: number; readonly finalized: number } {
    const numberOf = (hash: string) => Number(this.#blocks.get(hash)?.payload.blockNumber ?? -1);
    return { safe: numberOf(this.#heads.safe), finalized: numberOf(this.#heads.finalized) };
  }

  /** Methods asked for, in order, without those that only look. */
  get methods(): string[] {
    return this.calls.map(({ method }) => method).filter((method) => !method.startsWith("eth_"));
  }

  /** What the next calls of a method are answered. */
  answer(method: string, ...answers: readonly ToyAnswer[]): void {
    this.script.set(method, [...this.script.get(method) ?? [], ...answers]);
  }

  /** Puts a block on the head, as another consensus client would; returns its hash. */
  async build(timestamp: number, transactions: readonly string[] = []): Promise<string> {
    const parent = this.#blocks.get(this.#heads.head)!;
    const block = await this.#make(parent, {
      timestamp: `0x${timestamp.toString(16)}`,
      prevRandao: ZERO,
      suggestedFeeRecipient: `0x${"00".repeat(20)}`,
      parentBeaconBlockRoot: ZERO,
      gasLimit: parent.payload.gasLimit,
      transactions,
    });
    return this.#heads.head = this.#keep(block);
  }

  /** Forgets the last blocks, as a client that crashed. */
  lose(blocks: number): void {
    for (let index = 0; index < blocks; index++) {
      const { head } = this.#heads;
      this.#heads.head = String(this.#blocks.get(head)!.payload.parentHash);
      this.#blocks.delete(head);
    }
  }

  /** Makes the head final. */
  finalise(): void {
    this.#heads.safe = this.#heads.finalized = this.#heads.head;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  async #begin(): Promise<void> {
    const payload = {
      parentHash: ZERO,
      feeRecipient: `0x${"00".repeat(20)}`,
      stateRoot: ZERO,
      receiptsRoot: EMPTY_ROOT,
      logsBloom: `0x${"00".repeat(256)}`,
      prevRandao: ZERO,
      blockNumber: "0x0",
      gasLimit: "0x1c9c380",
      gasUsed: "0x0",
      timestamp: `0x${GENESIS_TIMESTAMP.toString(16)}`,
      extraData: this.#options.extraData ?? "0x",
      baseFeePerGas: "0x7",
      transactions: [],
      ...this.#newFields(GENESIS_TIMESTAMP),
    };
    this.#heads.head = this.#keep(await this.#sealed(payload, ZERO));
  }

  #keep(block: ToyBlock): string {
    const hash = String(block.payload.blockHash);
    this.#blocks.set(hash, block);
    return hash;
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const part of message as AsyncIterable<Uint8Array>) parts.push(part);
    if (!this.#isLetIn(message.headers.authorization)) {
      response.writeHead(401).end("token is not taken");
      return;
    }
    const { id, method, params } = JSON.parse(new TextDecoder().decode(Buffer.concat(parts)));
    this.calls.push({ method, params });
    const answer = this.script.get(method.replace(/V\d$/, ""))?.shift() ?? "real";
    if (answer === "hang") return;
    if (typeof answer === "object" && "http" in answer) {
      response.writeHead(answer.http).end(answer.body);
      return;
    }
    const isReal = answer === "real" || "after" in answer;
    const outcome = isReal ? await this.#answer(method, params) : answer;
    if (typeof answer === "object" && "after" in answer) {
      if (answer.after === "close") message.socket.destroy();
      return;
    }
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({ jsonrpc: "2.0", id, ...outcome }));
  }

  /** Of RFC 7519, by hand: what makes the tokens is what is tested. */
  #isLetIn(header: string | undefined): boolean {
    const { secret } = this.#options;
    if (!secret) return true;
    const [, head, claims, signature] = /^Bearer ([^.]+)\.([^.]+)\.([^.]+)$/.exec(header ?? "") ??
      [];
    if (!head || !claims || !signature) return false;
    const expected = createHmac("sha256", secret).update(`${head}.${claims}`).digest();
    const given = Buffer.from(signature, "base64url");
    if (given.length !== 32 || !timingSafeEqual(given, expected)) return false;
    if (JSON.parse(Buffer.from(head, "base64url").toString()).alg !== "HS256") return false;
    const { iat } = JSON.parse(Buffer.from(claims, "base64url").toString());
    return Math.abs(Date.now() / 1000 - iat) <= TOLERANCE_SECONDS;
  }

  // deno-lint-ignore no-explicit-any -- parameters of JSON-RPC, of a client that is tested
  async #answer(name: string, params: any): Promise<{ result: unknown } | { error: unknown }> {
    const [, method = name, version = "0"] = /^(engine_\w+?)V(\d)$/.exec(name) ?? [];
    if (this.#options.hasNoEngine && name.startsWith("engine_")) {
      return failed(-32601, `the method ${name} does not exist`);
    }
    const offered = this.#options.capabilities;
    if (offered && name.startsWith("engine_") && !name.includes("exchange")) {
      if (!offered.includes(name)) return failed(-32601, `the method ${name} does not exist`);
    }
    switch (method) {
      case "eth_chainId":
        return { result: "0x2105" };
      case "eth_getBlockByNumber":
        return this.#byNumber(params[0]);
      case "eth_getBlockByHash":
        return { result: this.#shown(this.#blocks.get(params[0])) };
      case "engine_exchangeCapabilities":
        if (offered === null) return failed(-32601, "the method does not exist");
        return { result: offered ?? params[0] };
      case "engine_forkchoiceUpdated":
        return await this.#forkchoice(Number(version), params[0], params[1]);
      case "engine_getPayload":
        return this.#payload(Number(version), params[0]);
      case "engine_newPayload":
        return { result: await this.#take(Number(version), params) };
    }
    return failed(-32601, `the method ${name} does not exist`);
  }

  #byNumber(tag: string): { result: unknown } | { error: unknown } {
    if (tag === "latest") return { result: this.#shown(this.#blocks.get(this.#heads.head)) };
    if (tag === "safe" || tag === "finalized") {
      const block = this.#blocks.get(this.#heads[tag]);
      return block ? { result: this.#shown(block) } : failed(-32000, `${tag} block not found`);
    }
    return { result: this.#shown(this.chain[Number(tag)]) };
  }

  #shown(block: ToyBlock | undefined): object | null {
    if (!block) return null;
    const { payload, fork, parentBeaconBlockRoot } = block;
    const { blockNumber, blockHash, transactions, ...rest } = payload;
    return {
      ...rest,
      number: blockNumber,
      hash: blockHash,
      transactions: (transactions as string[]).map((each) => this.#hashes.get(each)),
      ...(fork >= 2 ? { withdrawalsRoot: EMPTY_ROOT } : {}),
      ...(fork >= 3 ? { parentBeaconBlockRoot } : {}),
      ...(fork >= 4 ? { requestsHash: NO_REQUESTS } : {}),
    };
  }

  readonly #hashes = new Map<string, string>();

  async #forkchoice(
    version: number,
    state: { headBlockHash: string; safeBlockHash: string; finalizedBlockHash: string },
    // deno-lint-ignore no-explicit-any -- attributes of any version
    attributes: any,
  ): Promise<{ result: unknown } | { error: unknown }> {
    const { headBlockHash: head, safeBlockHash: safe, finalizedBlockHash: finalized } = state;
    const parent = this.#blocks.get(head);
    if (!parent) return { result: { payloadStatus: statusOf("SYNCING"), payloadId: null } };
    for (const hash of [safe, finalized]) {
      if (hash !== ZERO && !this.#isBelow(hash, head)) {
        return failed(-38002, "Invalid forkchoice state");
      }
    }
    this.#heads = { head, safe, finalized };
    const payloadStatus = { ...statusOf("VALID"), latestValidHash: head };
    if (!attributes) return { result: { payloadStatus, payloadId: null } };
    const fork = this.#forkAt(Number(attributes.timestamp));
    if (version !== Math.min(fork, 3)) return failed(-38005, "Unsupported fork");
    if ((fork >= 3) !== (attributes.parentBeaconBlockRoot !== undefined)) {
      return failed(-38003, "Invalid payload attributes");
    }
    const isOp = this.#options.isOp ?? true;
    if (isOp && !attributes.gasLimit) return failed(-38003, "gasLimit parameter is required");
    if (Number(attributes.timestamp) <= Number(parent.payload.timestamp)) {
      return failed(-38003, "invalid timestamp");
    }
    const id = `0x${(++this.#ids).toString(16).padStart(16, "0")}`;
    this.#building.set(
      id,
      await this.#make(parent, isOp ? attributes : { ...attributes, transactions: [] }),
    );
    return { result: { payloadStatus, payloadId: id } };
  }

  #isBelow(hash: string, head: string): boolean {
    for (
      let at = head;
      at !== ZERO;
      at = String(this.#blocks.get(at)?.payload.parentHash ?? ZERO)
    ) {
      if (at === hash) return true;
    }
    return false;
  }

  #payload(version: number, id: string): { result: unknown } | { error: unknown } {
    const block = this.#building.get(id);
    if (!block) return failed(-38001, "Unknown payload");
    if (version !== block.fork) return failed(-38005, "Unsupported fork");
    const { payload: executionPayload, parentBeaconBlockRoot } = block;
    if (version === 1) return { result: executionPayload };
    return {
      result: {
        executionPayload,
        blockValue: "0x0",
        ...(version >= 3
          ? { parentBeaconBlockRoot, blobsBundle: {}, shouldOverrideBuilder: false }
          : {}),
        ...(version >= 4 ? { executionRequests: [] } : {}),
      },
    };
  }

  // deno-lint-ignore no-explicit-any -- parameters of any version
  async #take(version: number, [payload, , root = ZERO]: any): Promise<object> {
    const parent = this.#blocks.get(payload.parentHash);
    if (!parent) return statusOf("SYNCING");
    if (version !== Math.min(4, this.#forkAt(Number(payload.timestamp)))) {
      return statusOf("INVALID", "the version is another fork's");
    }
    const { blockHash, ...fields } = payload;
    const block = await this.#sealed(fields, root);
    if (block.payload.blockHash !== blockHash) {
      return statusOf(version === 1 ? "INVALID_BLOCK_HASH" : "INVALID", "blockhash mismatch");
    }
    const stateRoot = await this.#stateRoot(parent, payload.transactions);
    if (stateRoot !== payload.stateRoot) return statusOf("INVALID", "invalid state root");
    return { ...statusOf("VALID"), latestValidHash: this.#keep(block) };
  }

  #forkAt(timestamp: number): number {
    const forks = this.#options.forks ?? [0, 0, 0];
    return 1 + forks.filter((from) => timestamp >= from).length;
  }

  /** What forks brought. */
  #newFields(timestamp: number): object {
    const fork = this.#forkAt(timestamp);
    return {
      ...(fork >= 2 ? { withdrawals: [] } : {}),
      ...(fork >= 3 ? { blobGasUsed: "0x0", excessBlobGas: "0x0" } : {}),
    };
  }

  // deno-lint-ignore no-explicit-any -- attributes of any version
  async #make(parent: ToyBlock, attributes: any): Promise<ToyBlock> {
    const given = (attributes.transactions ?? []) as readonly string[];
    const transactions = this.tamper ? this.tamper(given) : given;
    const { eip1559Params } = attributes;
    return await this.#sealed({
      parentHash: parent.payload.blockHash,
      feeRecipient: attributes.suggestedFeeRecipient,
      stateRoot: await this.#stateRoot(parent, transactions),
      receiptsRoot: EMPTY_ROOT,
      logsBloom: `0x${"00".repeat(256)}`,
      prevRandao: attributes.prevRandao,
      blockNumber: `0x${(Number(parent.payload.blockNumber) + 1).toString(16)}`,
      gasLimit: attributes.gasLimit ?? parent.payload.gasLimit,
      gasUsed: "0x0",
      timestamp: attributes.timestamp,
      extraData: eip1559Params ? `0x00${eip1559Params.slice(2)}` : "0x",
      baseFeePerGas: "0x7",
      transactions,
      ...this.#newFields(Number(attributes.timestamp)),
    }, attributes.parentBeaconBlockRoot ?? ZERO);
  }

  /** Made up, so that it depends on all that came before. */
  async #stateRoot(parent: ToyBlock, transactions: readonly string[]): Promise<string> {
    return await this.#hash(
      fromHex(parent.payload.stateRoot, "stateRoot"),
      ...transactions.map(bytes),
    );
  }

  async #hash(...parts: readonly Uint8Array[]): Promise<string> {
    const { keccak_256 } = await keccak();
    return toHex(keccak_256(new Uint8Array(Buffer.concat(parts))));
  }

  /** With the hash of its header. */
  async #sealed(
    payload: Readonly<Record<string, unknown>>,
    parentBeaconBlockRoot: string,
  ): Promise<ToyBlock> {
    const fork = this.#forkAt(Number(payload.timestamp));
    const transactions = payload.transactions as readonly string[];
    for (const each of transactions) this.#hashes.set(each, await this.#hash(bytes(each)));
    const blockHash = toHex(
      await payloadHash({
        payload: parsePayload({ ...payload, blockHash: ZERO }),
        ...(fork >= 3 ? { parentBeaconBlockRoot: bytes(parentBeaconBlockRoot) } : {}),
        ...(fork >= 4 ? { executionRequests: [] } : {}),
      }),
    );
    return { payload: { ...payload, blockHash }, parentBeaconBlockRoot, fork };
  }
}

/** A status as answers have it. */
export function statusOf(status: string, validationError: string | null = null): object {
  return { status, latestValidHash: null, validationError };
}

function failed(code: number, message: string) {
  return { error: { code, message } };
}

function bytes(hex: string): Uint8Array {
  return fromHex(hex, "bytes");
}
