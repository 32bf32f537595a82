/**
 * Nodes of L2: what one says is checked, and where it cannot be, the next is asked.
 *
 * @module
 */
import { CodecError, RpcError } from "../errors.ts";
import type { JsonRpc, RpcOutcome } from "../ethereum.ts";
import { type BlockHashing, blockHashing } from "../l1/block_hashing.ts";
import type { BlockMarks } from "../l1/block_marks.ts";
import { RpcEndpoints, type RpcEndpointsOptions } from "../l1/endpoints.ts";
import { objectOf } from "../l1/json_fields.ts";
import { isFailure, requestAll } from "../l1/rpc_batch.ts";
import { RawAnswers } from "../l1/raw_answers.ts";
import { lie } from "../l1/told_block.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { type NodeBlock, type NodeHeader, readBlock, readHeader } from "./node_block.ts";

/** Which blocks are taken: any, or those that L1 has, or those that L1 cannot lose. */
export type L2Head = "unsafe" | "safe" | "finalized";

const TAGS: Readonly<Record<L2Head, string>> = {
  unsafe: "latest",
  safe: "safe",
  finalized: "finalized",
};

/** EIP-1474, the execution APIs, and what older nodes make of a tag that they do not know. */
const NO_SUCH_BLOCK_CODES: readonly unknown[] = [-32001, -39001, -32602];
const NO_SUCH_BLOCK = /not found|unknown|not (?:yet )?available|not supported|unsupported/i;
/** What a machine behind a name knows of, another behind it may lack for a moment. */
const NEWEST_BLOCKS = 4n;
const NO_HASH = new Uint8Array();

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
  #loading: Promise<{ hashing: BlockHashing; raw: RawAnswers }> | undefined;

  constructor(options: RpcEndpointsOptions & { readonly trustsHashes?: boolean }) {
    this.#endpoints = new RpcEndpoints(options);
    this.#trustsHashes = options.trustsHashes ?? false;
    this.name = this.#endpoints.name;
  }

  /**
   * One of the heads; `undefined` where the nodes know of none (yet).
   *
   * @throws {RpcError} where none can be asked, or each says what cannot be
   */
  head(head: L2Head): Promise<NodeHeader | undefined> {
    return this.#endpoints.ask((rpc) => this.#header(rpc, TAGS[head]));
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

  /** The highest of `marks` up to `number` that one node has too; `undefined` where it has none of them. */
  highestShared(marks: BlockMarks, number: bigint): ReturnType<BlockMarks["highestOn"]> {
    return this.#endpoints.ask((rpc) =>
      marks.highestOn(
        number,
        async (each) => (await this.#header(rpc, hexOf(each)))?.hash ?? NO_HASH,
      )
    );
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
      params: [hexOf(from + BigInt(at)), true],
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
      read.push(block);
    }
  }

  async #header(rpc: JsonRpc, tag: string): Promise<NodeHeader | undefined> {
    const { hashing } = await this.#load();
    const answer = await rpc.request("eth_getBlockByNumber", [tag, false]).catch((error) => {
      if (isNoSuchBlock(error)) return null;
      throw error;
    });
    if (answer === null) return undefined;
    const check = { hashing, trustsHashes: this.#trustsHashes };
    const read = () => {
      const header = readHeader(objectOf(answer, "it"), check);
      if (tag.startsWith("0x") && header.number !== BigInt(tag)) {
        throw lie(`it is block ${header.number}`);
      }
      return Promise.resolve(header);
    };
    return await this.#checked(rpc, tag.startsWith("0x") ? `${BigInt(tag)}` : tag, read);
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
    const parent = isOfOneAnswer ? undefined : await this.#header(rpc, hexOf(number - 1n));
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

function hexOf(number: bigint): string {
  return `0x${number.toString(16)}`;
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
