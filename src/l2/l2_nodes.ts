/**
 * Nodes of L2: what one says is checked, and where it cannot be, the next is asked.
 *
 * @module
 */
import { CodecError, RpcError } from "../errors.ts";
import type { JsonRpc, RpcOutcome } from "../ethereum.ts";
import { type BlockHashing, blockHashing } from "../l1/block_hashing.ts";
import type { BlockMarks } from "../l1/block_marks.ts";
import { RpcEndpoints, type RpcEndpointsOptions, WrongChain } from "../l1/endpoints.ts";
import { data, objectOf } from "../l1/json_fields.ts";
import { isFailure, requestAll } from "../l1/rpc_batch.ts";
import { RawAnswers } from "../l1/raw_answers.ts";
import { lie } from "../l1/told_block.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { HeadWatch, type HeadWatchParts } from "./head_watch.ts";
import { type NodeBlock, type NodeHeader, readBlock, readHeader } from "./node_block.ts";
import { toQuantity } from "./payload.ts";
import { type Parting, Reorganisations } from "./reorganisations.ts";

/** Which blocks are taken: any, or those that L1 has, or those that L1 cannot lose. */
export type L2Head = "unsafe" | "safe" | "finalized";

const TAGS: Readonly<Record<L2Head, string>> = {
  unsafe: "latest",
  safe: "safe",
  finalized: "finalized",
};

/** EIP-1474, and the execution APIs. */
const NO_SUCH_BLOCK_CODES: readonly unknown[] = [-32001, -39001];
const NO_SUCH_BLOCK = /not found|unknown block/i;
/** After so long a node of another chain is looked at again. */
const LOOKS_AGAIN_MS = 60_000;
/** What a machine behind a name knows of, another behind it may lack for a moment. */
const NEWEST_BLOCKS = 4n;

/** What tells a chain from another. */
export interface L2Chain {
  readonly chainId: bigint;
  /** Hash of block 0; `undefined` where the nodes do not have it. */
  readonly genesisHash: Uint8Array | undefined;
}

/** Which nodes, of which chain. */
export interface L2NodesOptions extends Omit<RpcEndpointsOptions, "admit" | "looksAgainMs"> {
  /** Hash of block 0; that of the first node which answers, unless told. */
  readonly genesisHash?: Uint8Array;
  /** Takes the nodes' word for hashes of headers. */
  readonly trustsHashes?: boolean;
  /** Is told of the chain, before anything of it is believed. */
  readonly onChain?: (chain: L2Chain) => Promise<void>;
}

/** What is known around blocks that are asked for. */
export interface KnownAround {
  readonly head?: bigint | undefined;
  readonly parent?: Uint8Array | undefined;
}

/** Execution clients of one chain. */
export class L2Nodes {
  readonly name: string;
  readonly #endpoints: RpcEndpoints;
  readonly #trustsHashes: boolean;
  readonly #reorganisations: Reorganisations;
  readonly #watches = new Map<L2Head, HeadWatch>();
  readonly #watched: Pick<HeadWatchParts, "clock" | "log">;
  readonly #onChain: ((chain: L2Chain) => Promise<void>) | undefined;
  #genesisHash: Uint8Array | undefined;
  #loading: Promise<{ hashing: BlockHashing; raw: RawAnswers }> | undefined;

  constructor(options: L2NodesOptions) {
    this.#endpoints = new RpcEndpoints({
      ...options,
      admit: (rpc) => this.#admit(rpc),
      looksAgainMs: LOOKS_AGAIN_MS,
    });
    this.#trustsHashes = options.trustsHashes ?? false;
    this.#genesisHash = options.genesisHash;
    this.#onChain = options.onChain;
    this.#watched = { clock: options.clock, log: options.log ?? (() => {}) };
    this.name = this.#endpoints.name;
    this.#reorganisations = new Reorganisations({
      endpoints: this.#endpoints,
      preferred: options.endpoints[0]!,
      clock: options.clock,
      hashAt: async (rpc, number) => (await this.#header(rpc, number))?.hash,
      newest: async (rpc) => (await this.#headOf(rpc, "unsafe")).number,
      isOfTheChain: async (rpc) => {
        await this.#admit(rpc);
        return this.#genesisHash !== undefined;
      },
      refuse: (rpc, block, why) => this.#checked(rpc, `${block}`, () => Promise.reject(why)),
    });
  }

  /**
   * One of the heads.
   *
   * @throws {RpcError} where none can be asked, has it (yet), or each says what cannot be
   */
  async head(head: L2Head): Promise<NodeHeader> {
    const watch = this.#watchOf(head);
    let [lagging, name]: [NodeHeader | undefined, string] = [undefined, this.name];
    const header = await this.#endpoints.ask(async (rpc) => {
      const header = await this.#headOf(rpc, head);
      name = rpc.name;
      const why = await watch.whyLeft(rpc, header);
      if (why === undefined) return header;
      if (!lagging || header.number > lagging.number) lagging = header;
      return await this.#checked(rpc, TAGS[head], () => Promise.reject(lie(why)));
    }).catch((error) => {
      // Better than none.
      if (lagging && error instanceof RpcError) return lagging;
      throw error;
    });
    watch.saw(header, name);
    return header;
  }

  #watchOf(head: L2Head): HeadWatch {
    const known = this.#watches.get(head);
    if (known) return known;
    const watch = new HeadWatch(head, {
      ...this.#watched,
      endpoints: this.#endpoints,
      headOf: (rpc, head) => this.#headOf(rpc, head),
    });
    this.#watches.set(head, watch);
    return watch;
  }

  /**
   * The blocks from `first` on, as many as told, each of which follows the one before. Fewer, and one at
   * least, where no node gives all of them.
   *
   * @param known.head number of the newest block, which a node may tell before it can give it: then there
   * may be none
   * @param known.parent hash of the block before: a node that has that block, and another parent of the
   * first, is passed over
   * @throws {RpcError} where none gives the first
   */
  async blocks(
    first: bigint,
    count: number,
    known: KnownAround = {},
  ): Promise<readonly NodeBlock[]> {
    const read: NodeBlock[] = [];
    try {
      await this.#endpoints.ask((rpc) => this.#readOn(rpc, read, first, count, known));
    } catch (error) {
      if (read.length === 0 || !(error instanceof RpcError)) throw error;
    }
    return read;
  }

  /**
   * Where L2 and the given blocks part, as a node says that is believed.
   *
   * @param giver the node that gave the highest of `marks`, where that is known
   * @throws {RpcError} where no node can be asked, or none is believed
   */
  parting(marks: BlockMarks, giver: JsonRpc | undefined): Promise<Parting> {
    return this.#reorganisations.parting(marks, giver);
  }

  /** What was given is still L2. */
  settle(): void {
    this.#reorganisations.settle();
  }

  /** Refuses a node of another genesis. What a node does not have, it is not held against. */
  async #admit(rpc: JsonRpc): Promise<void> {
    const genesisHash = await this.#genesisOf(rpc);
    if (!genesisHash) return;
    if (!this.#genesisHash) {
      this.#genesisHash = genesisHash;
      await this.#tellChain(rpc);
    }
    if (equalBytes(genesisHash, this.#genesisHash)) return;
    const [have, need] = [toHex(genesisHash), toHex(this.#genesisHash)];
    throw new WrongChain(
      rpc.name,
      `it is another chain: its block 0 is ${have}, need ${need}; another L2 needs another --data-dir`,
    );
  }

  async #tellChain(rpc: JsonRpc): Promise<void> {
    if (!this.#onChain) return;
    const chainId = BigInt(`${await rpc.request("eth_chainId", [])}`);
    await this.#onChain({ chainId, genesisHash: this.#genesisHash });
  }

  /** On its word: genesis headers are made in ways of their own. */
  async #genesisOf(rpc: JsonRpc): Promise<Uint8Array | undefined> {
    const answer = await rpc.request("eth_getBlockByNumber", ["0x0", false]).catch((error) => {
      if (isFailure(error)) throw error;
      return null;
    });
    if (answer === null) return undefined;
    const read = () => Promise.resolve(data(objectOf(answer, "it"), "hash", 32));
    return await this.#checked(rpc, "0", read);
  }

  /** Adds to `read` what is missing of the blocks from `first` on. */
  async #readOn(
    rpc: JsonRpc,
    read: NodeBlock[],
    first: bigint,
    count: number,
    known: KnownAround,
  ): Promise<void> {
    const { raw } = await this.#load();
    const { head, parent } = known;
    const from = first + BigInt(read.length);
    const calls = Array.from({ length: count - read.length }, (_, at) => ({
      method: "eth_getBlockByNumber",
      params: [toQuantity(from + BigInt(at)), true],
    }));
    for (const [index, outcome] of (await requestAll(rpc, calls)).entries()) {
      const isMissing = "result" in outcome && outcome.result === null;
      const isNewest = head !== undefined && from + BigInt(index) + NEWEST_BLOCKS > head;
      if (isMissing && isNewest) return;
      const block = await this.#block(rpc, from + BigInt(index), outcome, raw);
      const before = read.at(-1)?.hash ?? parent;
      if (before && !equalBytes(block.block.parentHash, before)) {
        // It need not be the fault of this node that it has other blocks than the one asked before.
        if (index === 0 && read.length > 0) {
          read.length = 0;
          return await this.#readOn(rpc, read, first, count, known);
        }
        await this.#mustBeAnotherWay(rpc, block, before, index > 0);
      }
      read.push({ ...block, from: rpc });
    }
  }

  /** A node that has none, or says anything else, cannot be followed. */
  async #headOf(rpc: JsonRpc, head: L2Head): Promise<NodeHeader> {
    const tag = TAGS[head];
    const answer = await this.#askForHeader(rpc, tag);
    if (answer !== null && !(answer instanceof RpcError)) return await this.#read(rpc, tag, answer);
    const says = answer === null ? "null" : JSON.stringify(answer.message);
    const yet = head === "unsafe" ? "" : " yet";
    throw new RpcError(
      "Invalid",
      `Cannot follow ${rpc.name}: it has no ${tag} block${yet}, and answers ${says}`,
      { details: { endpoint: rpc.name, block: tag, reason: "NoHead" } },
    );
  }

  async #header(rpc: JsonRpc, number: bigint): Promise<NodeHeader | undefined> {
    const answer = await this.#askForHeader(rpc, toQuantity(number));
    if (answer === null || isNoSuchBlock(answer)) return undefined;
    return await this.#read(rpc, toQuantity(number), answer);
  }

  /** What the node says, an error as well. */
  #askForHeader(rpc: JsonRpc, tag: string): Promise<unknown> {
    return rpc.request("eth_getBlockByNumber", [tag, false]).catch((error) => {
      if (isFailure(error)) throw error;
      return error;
    });
  }

  async #read(rpc: JsonRpc, tag: string, answer: unknown): Promise<NodeHeader> {
    const { hashing } = await this.#load();
    const check = { hashing, trustsHashes: this.#trustsHashes };
    return await this.#checked(rpc, tag.startsWith("0x") ? `${BigInt(tag)}` : tag, () => {
      if (answer instanceof RpcError) throw said(answer);
      const header = readHeader(objectOf(answer, "it"), check);
      if (tag.startsWith("0x") && header.number !== BigInt(tag)) {
        throw lie(`it is block ${header.number}`);
      }
      return Promise.resolve(header);
    });
  }

  async #block(
    rpc: JsonRpc,
    number: bigint,
    outcome: RpcOutcome,
    raw: RawAnswers,
  ): Promise<NodeBlock> {
    const { hashing } = await this.#load();
    return await this.#checked(rpc, `${number}`, async () => {
      if ("error" in outcome) throw isFailure(outcome.error) ? outcome.error : said(outcome.error);
      if (outcome.result === null) throw lie("it has none, though its head is not below it");
      const check = { hashing, trustsHashes: this.#trustsHashes };
      const read = await readBlock(objectOf(outcome.result, "it"), check, raw.of(rpc));
      if (read.number !== number) throw lie(`it is block ${read.number}`);
      return read;
    });
  }

  /** A block that does not follow the one before: only where its node has another there, too. */
  async #mustBeAnotherWay(
    rpc: JsonRpc,
    { number, block }: NodeBlock,
    before: Uint8Array,
    isOfOneAnswer: boolean,
  ): Promise<void> {
    const parent = isOfOneAnswer ? undefined : await this.#header(rpc, number - 1n);
    if (parent && !equalBytes(parent.hash, before)) return;
    await this.#checked(rpc, `${number}`, () => {
      const [said, have] = [toHex(block.parentHash), toHex(before)];
      throw lie(`its parent is ${said}, block ${number - 1n} is ${have}`);
    });
  }

  /** What cannot be is no answer: whose, and of which block, is told. */
  async #checked<T>(rpc: JsonRpc, block: string, read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      const message = `Cannot use L2 block ${block} of ${rpc.name}: ${error.message}`;
      const details = { endpoint: rpc.name, block, reason: error.code };
      throw new RpcError("Invalid", message, { details });
    }
  }

  #load(): Promise<{ hashing: BlockHashing; raw: RawAnswers }> {
    return this.#loading ??= blockHashing()
      .then((hashing) => ({ hashing, raw: new RawAnswers(hashing) }));
  }
}

/** What a node says instead of a block that it should have. */
function said(error: RpcError): CodecError {
  return lie(`it answers ${JSON.stringify(error.message)}`);
}

function isNoSuchBlock(error: unknown): boolean {
  if (!(error instanceof RpcError) || error.code !== "Answered") return false;
  // It had the block once.
  if (/pruned|history/i.test(error.message)) return false;
  return NO_SUCH_BLOCK_CODES.includes(error.details["rpcCode"]) ||
    NO_SUCH_BLOCK.test(error.message);
}
