/**
 * Nodes of the simulated Ethereum: the ports `Chain` and `BlobSource`, with all that a node does wrong.
 *
 * @module
 */
import { RpcError, SourceError } from "../../src/errors.ts";
import type {
  BlobSource,
  BlockTag,
  Chain,
  L1BlockTransaction,
  L1Header,
  TxReceipt,
} from "../../src/ethereum.ts";
import { ManualClock } from "../../src/local/memory.ts";
import type { Clock } from "../../src/ports.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { toHex } from "../../src/wire/hex.ts";
import type { SimulatedBlock, SimulatedEthereum } from "./ethereum.ts";
import type { NetworkTransaction } from "./ethereum_transactions.ts";
import type { Run } from "./run.ts";

/** What goes wrong with one request. */
export type NodeFault =
  /** Nothing happens, and the answer is this error. */
  | "Unreachable"
  | "Timeout"
  | "Busy"
  | "Invalid"
  /** It happens, and no answer comes. */
  | "lost"
  /** No answer comes, and it happens later. */
  | { readonly happensAfterMs: number }
  /** The answer is given that long after it was found. */
  | { readonly answersAfterMs: number }
  /** The answer is that of so many heads ago. */
  | { readonly headsBehind: number }
  /** A hash is answered, and the transaction is dropped. */
  | "swallowed"
  /** It happens, and later once more. */
  | { readonly againAfterMs: number }
  /** The pool is lost before. */
  | "forgets";

/** Plans what goes wrong with a request. */
export type PlanFault = (method: keyof Chain) => NodeFault | undefined;

/** How a node is; each has a default. */
export interface NodeOptions {
  readonly name?: string;
  /** For what comes later. */
  readonly clock?: Clock;
  readonly plan?: PlanFault;
  /** How many heads it is always behind. */
  readonly headsBehind?: number;
  /** Told of each transaction that comes to it, before anything else happens. */
  readonly onSend?: (raw: Uint8Array) => void | Promise<void>;
}

/** A node of the network, and what reaches the network through it. */
export class SimulatedNode implements Chain {
  readonly name: string;
  readonly #ethereum: SimulatedEthereum;
  readonly #clock: Clock;
  readonly #plan: PlanFault;
  readonly #headsBehind: number;
  readonly #onSend: (raw: Uint8Array) => void | Promise<void>;

  constructor(ethereum: SimulatedEthereum, options: NodeOptions = {}) {
    this.name = options.name ?? "node.example";
    this.#ethereum = ethereum;
    this.#clock = options.clock ?? new ManualClock();
    this.#plan = options.plan ?? (() => undefined);
    this.#headsBehind = options.headsBehind ?? 0;
    this.#onSend = options.onSend ?? (() => {});
  }

  chainId(): Promise<bigint> {
    return this.#read("chainId", () => this.#ethereum.chainId);
  }

  header(tag: BlockTag): Promise<L1Header | undefined> {
    return this.#read("header", (head) => this.#at(tag, head)?.header);
  }

  block(number: bigint): ReturnType<Chain["block"]> {
    return this.#read("block", (head) => {
      const block = this.#ethereum.blockAt(number, head);
      return block &&
        { header: block.header, transactions: block.transactions.map(blockTransaction) };
    });
  }

  receipt(txHash: Uint8Array): Promise<TxReceipt | undefined> {
    return this.#read(
      "receipt",
      (head) => this.#ethereum.including(txHash, head)?.receipts.get(toHex(txHash)),
    );
  }

  knows(txHash: Uint8Array): Promise<boolean> {
    return this.#read(
      "knows",
      (head) =>
        this.#ethereum.pool.has(txHash) || this.#ethereum.including(txHash, head) !== undefined,
    );
  }

  nonce(address: Uint8Array, tag: BlockTag): Promise<bigint> {
    return this.#read("nonce", (head) => {
      const block = this.#at(tag, head);
      if (!block) throw answered("header not found");
      const { nonce } = this.#ethereum.account(address, block);
      if (tag !== "pending") return nonce;
      return nonce + BigInt(this.#ethereum.pool.executable(address, nonce).length);
    });
  }

  balance(address: Uint8Array): Promise<bigint> {
    return this.#read("balance", (head) => this.#ethereum.account(address, head).balance);
  }

  tip(): Promise<bigint> {
    return this.#read("tip", () => 1_000_000n);
  }

  blobBaseFee(): Promise<bigint> {
    return this.#read("blobBaseFee", (head) => head.blobBaseFee);
  }

  async send(raw: Uint8Array): Promise<Uint8Array> {
    await this.#onSend(raw);
    const fault = this.#plan("send");
    if (fault === "forgets") this.#ethereum.pool.clear();
    if (fault === "Unreachable" || fault === "Timeout" || fault === "Busy" || fault === "Invalid") {
      throw failed(fault, this.name);
    }
    if (fault === "swallowed") return await this.#hashOf(raw);
    if (typeof fault === "object" && "happensAfterMs" in fault) {
      this.#later(raw, fault.happensAfterMs);
      throw failed("Timeout", this.name);
    }
    if (typeof fault === "object" && "againAfterMs" in fault) {
      this.#later(raw, fault.againAfterMs);
    }
    const answer = this.#ethereum.submit(raw).then(({ hash }) => hash, (error) => {
      throw answered(error.message);
    });
    if (fault === "lost") {
      await answer.catch(() => {});
      throw failed("Timeout", this.name);
    }
    if (typeof fault === "object" && "answersAfterMs" in fault) {
      await answer.catch(() => {});
      await this.#clock.sleep(fault.answersAfterMs);
    }
    return await answer;
  }

  /** What the network keeps of blobs: those of blocks of the chain. */
  blobSource(options: BlobSourceOptions = {}): BlobSource {
    return new SimulatedBeacon(this.#ethereum, options);
  }

  async #read<T>(method: keyof Chain, answer: (head: SimulatedBlock) => T): Promise<T> {
    const fault = this.#plan(method);
    if (fault === "Unreachable" || fault === "Timeout" || fault === "Busy" || fault === "Invalid") {
      throw failed(fault, this.name);
    }
    if (fault === "lost") throw failed("Timeout", this.name);
    if (fault === "forgets") this.#ethereum.pool.clear();
    const isStale = typeof fault === "object" && "headsBehind" in fault;
    const behind = isStale ? fault.headsBehind : this.#headsBehind;
    const result = answer(this.#ethereum.headBefore(behind));
    if (typeof fault === "object" && "answersAfterMs" in fault) {
      await this.#clock.sleep(fault.answersAfterMs);
    }
    return result;
  }

  #at(tag: BlockTag, head: SimulatedBlock): SimulatedBlock | undefined {
    if (typeof tag === "bigint") return this.#ethereum.blockAt(tag, head);
    if (tag === "safe") return this.#ethereum.blockAt(this.#ethereum.safeNumber(head), head);
    if (tag === "finalized") return this.#ethereum.blockAt(this.#ethereum.finalNumber(head), head);
    return head;
  }

  /** As somebody does who saw it, and tells the network again. */
  #later(raw: Uint8Array, ms: number): void {
    void this.#clock.sleep(ms).then(() => this.#ethereum.submit(raw)).catch(() => {});
  }

  async #hashOf(raw: Uint8Array): Promise<Uint8Array> {
    return (await this.#ethereum.decode(raw)).hash;
  }
}

/** How a source of blobs is; each has a default. */
export interface BlobSourceOptions {
  readonly name?: string;
  /** Whether it fails to answer. */
  readonly fails?: () => boolean;
  /** Whether it does not have a blob now. */
  readonly lacks?: (hash: Uint8Array) => boolean;
}

class SimulatedBeacon implements BlobSource {
  readonly name: string;
  readonly #ethereum: SimulatedEthereum;
  readonly #options: BlobSourceOptions;

  constructor(ethereum: SimulatedEthereum, options: BlobSourceOptions) {
    this.name = options.name ?? "beacon.example";
    this.#ethereum = ethereum;
    this.#options = options;
  }

  // deno-lint-ignore require-await -- what it throws, the promise rejects with
  async blobs(
    { number, hash }: Pick<L1Header, "number" | "hash" | "timestamp">,
    hashes: readonly Uint8Array[],
  ): Promise<readonly Uint8Array[]> {
    if (this.#options.fails?.()) {
      throw new SourceError("Connection", `Cannot ask ${this.name}: so it was planned`);
    }
    const block = this.#ethereum.blockAt(number);
    if (!block || !equalBytes(block.header.hash, hash)) {
      throw new SourceError("BlobMissing", `${this.name} has no block ${toHex(hash)}`);
    }
    return hashes.map((wanted) => {
      const blob = this.#options.lacks?.(wanted) ? undefined : blobOf(block, wanted);
      if (blob) return blob;
      throw new SourceError("BlobMissing", `${this.name} has no blob ${toHex(wanted)}`);
    });
  }
}

function blobOf({ transactions }: SimulatedBlock, hash: Uint8Array): Uint8Array | undefined {
  for (const { blobHashes, sidecar } of transactions) {
    const index = blobHashes.findIndex((each) => equalBytes(each, hash));
    if (index >= 0) return sidecar?.blobs[index];
  }
  return undefined;
}

function blockTransaction(tx: NetworkTransaction): L1BlockTransaction {
  const { hash, to, input, blobHashes, from } = tx;
  return { hash, to, input, blobHashes, sender: () => Promise.resolve(from) };
}

function failed(code: "Unreachable" | "Timeout" | "Busy" | "Invalid", name: string): RpcError {
  return new RpcError(code, `Cannot ask ${name}: so it was planned`);
}

function answered(text: string): RpcError {
  return new RpcError("Answered", text, { details: { rpcCode: -32000 } });
}

/** How often each goes wrong in a run; chance decides, and while it is calm nothing does. */
export function planByChance(
  run: Run,
  share: number,
  most: { readonly headsBehind: number },
): PlanFault {
  const note = (fault: NodeFault): NodeFault => {
    const what = typeof fault === "string" ? fault : Object.keys(fault)[0]!;
    run.note("node", what);
    return fault;
  };
  return (method) => {
    const isSend = method === "send";
    // There are many questions for one transaction that is sent.
    if (!run.mishap(isSend ? Math.min(0.5, 4 * share) : share)) return undefined;
    const common: readonly (() => NodeFault)[] = [
      () => run.pick(["Unreachable", "Timeout", "Busy", "Invalid"] as const),
      () => ({ answersAfterMs: run.around(10, 60_000) }),
    ];
    const reading = [() => ({ headsBehind: run.between(1, most.headsBehind) })];
    const sending: readonly (() => NodeFault)[] = [
      () => "lost",
      () => "swallowed",
      () => run.chance(0.2) ? "forgets" : "lost",
      () => ({ happensAfterMs: run.around(10, 300_000) }),
      () => ({ againAfterMs: run.around(10, 600_000) }),
    ];
    return note(run.pick([...common, ...(isSend ? sending : reading)])());
  };
}
