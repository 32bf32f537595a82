/**
 * A chain as a reader of blocks asks it. A node, or one of several behind a name, may lag, and need not
 * agree with what another said before: that is an error for a while only, and never a block.
 *
 * @module
 */
import { RpcError, SourceError } from "../errors.ts";
import type { Chain, L1BlockTransaction, L1Header } from "../ethereum.ts";

/** How far L1 is read: to one of its heads, or so many blocks below the latest. */
export type ReadHead = "latest" | "safe" | "finalized" | { readonly confirmations: number };

/** How far it can be read now. */
export interface HeadNow {
  readonly number: bigint;
  /** The block that the chain told it by; none on a young chain, which has no safe block yet. */
  readonly tip: L1Header | undefined;
}

/** Asks for blocks that must be there. What it throws is a `Connection`, or what the chain threw. */
export class ChainReader {
  readonly #chain: Chain;
  readonly #readHead: ReadHead;

  constructor(chain: Chain, readHead: ReadHead) {
    this.#chain = chain;
    this.#readHead = readHead;
  }

  get name(): string {
    return this.#chain.name;
  }

  async head(): Promise<HeadNow> {
    const head = this.#readHead;
    const tag = typeof head === "string" ? head : "latest";
    const tip = await asking(() => this.#chain.header(tag));
    if (!tip && tag !== "latest") return { number: 0n, tip };
    if (!tip) throw this.contradiction("Cannot read L1: there is no latest block");
    const depth = typeof head === "string" ? 0n : BigInt(head.confirmations);
    return { number: tip.number > depth ? tip.number - depth : 0n, tip };
  }

  /** Number of the safe or the final block; -1 on a young chain, which has none yet. */
  async numberOf(tag: "safe" | "finalized"): Promise<bigint> {
    return (await asking(() => this.#chain.header(tag)))?.number ?? -1n;
  }

  /** A block up to the head, with what went to the inbox as it was signed. */
  async block(number: bigint, inbox: Uint8Array): Promise<{
    readonly header: L1Header;
    readonly transactions: readonly L1BlockTransaction[];
  }> {
    const block = await asking(() => this.#chain.block(number, inbox));
    if (block?.header.number === number) return block;
    const what = block ? `it answered with block ${block.header.number}` : "it is not there";
    throw this.contradiction(`Cannot read L1 block ${number}: ${what}, though the head is above`);
  }

  /** Hash of a block that was read before. */
  async hashNow(number: bigint): Promise<Uint8Array> {
    const header = await asking(() => this.#chain.header(number));
    if (header?.number === number) return header.hash;
    throw this.contradiction(
      `Cannot read L1 block ${number}: it is gone, though it was read before`,
    );
  }

  /** Hash of any block; `undefined` where there is none yet. */
  async hashOf(number: bigint): Promise<Uint8Array | undefined> {
    return (await asking(() => this.#chain.header(number)))?.hash;
  }

  contradiction(message: string): SourceError {
    return new SourceError("Connection", `${message} (${this.name})`);
  }
}

/** What a node answers to a question for a block is its state, not ours: it is asked again. */
async function asking<T>(question: () => Promise<T>): Promise<T> {
  try {
    return await question();
  } catch (cause) {
    if (!(cause instanceof RpcError) || cause.code !== "Answered") throw cause;
    throw new SourceError("Connection", `Cannot read L1: ${cause.message}`, { cause });
  }
}
