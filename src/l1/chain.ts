/**
 * Ethereum as a node tells it: each answer is checked for its form, so that what is wrong has the name
 * of a field, and nothing that is `undefined` gets further.
 *
 * @module
 */
import { CodecError, RpcError } from "../errors.ts";
import {
  type BlockTag,
  type Chain,
  type JsonRpc,
  type L1BlockTransaction,
  type L1Header,
  RPC_CODES,
  type SidecarForm,
  type TxReceipt,
} from "../ethereum.ts";
import { equalBytes } from "../wire/bytes.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import { type JsonFields, objectOf, wrong } from "./json_fields.ts";
import { parseBlockTransaction } from "./transaction.ts";
import { BlockVerifier } from "./verified_block.ts";

/** How blob gas is priced: EIP-4844, and what EIP-7691 made of it in Prague. */
const CANCUN = { updateFraction: 3_338_477n, targetBlobGas: 3n * 131_072n };
const PRAGUE = { updateFraction: 5_007_716n, targetBlobGas: 6n * 131_072n };

/** EIP-1474 and the execution APIs. */
const NO_SUCH_BLOCK_CODES: readonly unknown[] = [-32001, -39001];
const NO_SUCH_BLOCK = /not found|unknown|not (?:yet )?available|unsupported|not supported/i;

/** How far nodes are believed. */
export interface RpcChainOptions {
  /**
   * The hash and the transactions of each block are made anew, so that a node can leave none out: for nodes
   * that are not trusted. Otherwise only what is signed is not believed.
   */
  readonly verifiesBlocks?: boolean;
}

/**
 * A chain behind JSON-RPC.
 *
 * @example
 * ```ts
 * import { RpcChain } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const chain = new RpcChain({ name: "a node", request: () => Promise.resolve("0x1") });
 * if (await chain.chainId() !== 1n) throw new Error("it is Ethereum");
 * const error = await chain.header("latest").catch((error) => error);
 * if (error.code !== "Invalid") throw new Error("0x1 is no header");
 * ```
 */
export class RpcChain implements Chain {
  readonly name: string;
  readonly #rpc: JsonRpc;
  readonly #verifier: BlockVerifier | undefined;
  #hasBlobBaseFee = true;

  constructor(rpc: JsonRpc, { verifiesBlocks = false }: RpcChainOptions = {}) {
    this.name = rpc.name;
    this.#rpc = rpc;
    this.#verifier = verifiesBlocks ? new BlockVerifier() : undefined;
  }

  async chainId(): Promise<bigint> {
    return await this.#number("eth_chainId", []);
  }

  /** A head that the node has no name for is `undefined`; the hash of `pending` may be 32 zeros. */
  header(tag: BlockTag): Promise<L1Header | undefined> {
    return this.#read("eth_getBlockByNumber", [asTag(tag), false], async (fields) => {
      const header = headerOf(fields, tag === "pending");
      if (tag !== "pending") await this.#verifier?.header(fields);
      if (typeof tag === "bigint") sameNumber(header.number, tag);
      return header;
    }, (error) => isNoSuchBlock(error) || (typeof tag === "string" && isNoSuchTag(error)));
  }

  block(
    number: bigint,
    inbox?: Uint8Array,
  ): Promise<
    | { readonly header: L1Header; readonly transactions: readonly L1BlockTransaction[] }
    | undefined
  > {
    return this.#read("eth_getBlockByNumber", [asTag(number), true], async (fields, node) => {
      const header = headerOf(fields);
      sameNumber(header.number, number);
      const listed = fields["transactions"];
      if (!Array.isArray(listed)) throw wrong("transactions", "a list", listed);
      await this.#verifier?.block(fields, node);
      const transactions = listed.map((json, index) => {
        const read = within(index, () => parseBlockTransaction(json));
        return { ...read, sender: () => senderOf(read, header, node) };
      });
      // Here, where the next node can be asked: later it would be taken for what L1 holds.
      for (const { to, sender } of inbox ? transactions : []) {
        if (to && equalBytes(to, inbox!)) await sender();
      }
      return { header, transactions };
    }, isNoSuchBlock);
  }

  receipt(txHash: Uint8Array): Promise<TxReceipt | undefined> {
    return this.#read("eth_getTransactionReceipt", [toHex(txHash)], (fields) => {
      // Of a transaction in the pool, as some nodes have it.
      if (fields["blockHash"] === null) return undefined;
      sameHash(fields, "transactionHash", txHash);
      return receiptOf(fields, txHash);
    }, (error) => {
      // Geth, while it starts: whether there is one cannot be told.
      if (!/indexing is in progress/i.test(error.message)) return false;
      const message = `Cannot ask ${this.name} for a receipt: ${error.message}`;
      throw new RpcError("Busy", message, { details: error.details });
    });
  }

  async knows(txHash: Uint8Array): Promise<boolean> {
    const parse = (fields: JsonFields) => {
      sameHash(fields, "hash", txHash);
      return true;
    };
    // Only the node that was sent to may know it: see RpcEndpoints.
    const known = await parsed(this.#rpc, "eth_getTransactionByHash", [toHex(txHash)], parse);
    return known ?? false;
  }

  async nonce(address: Uint8Array, tag: BlockTag): Promise<bigint> {
    return await this.#number("eth_getTransactionCount", [toHex(address), asTag(tag)]);
  }

  async balance(address: Uint8Array): Promise<bigint> {
    return await this.#number("eth_getBalance", [toHex(address), "latest"]);
  }

  async tip(): Promise<bigint> {
    return await this.#number("eth_maxPriorityFeePerGas", []);
  }

  /** Of the next block, by the newest header where the node has no `eth_blobBaseFee`. */
  async blobBaseFee(): Promise<bigint> {
    if (this.#hasBlobBaseFee) {
      try {
        return await this.#number("eth_blobBaseFee", []);
      } catch (error) {
        if (!isMissingMethod(error)) throw error;
        this.#hasBlobBaseFee = false;
      }
    }
    const fee = await this.#read("eth_getBlockByNumber", ["latest", false], (fields) => {
      const { excessBlobGas, blobGasUsed } = headerOf(fields);
      // Prague has requests. Later forks let it rise more slowly still: it is not taken for too little.
      const { targetBlobGas, updateFraction } = fields["requestsHash"] ? PRAGUE : CANCUN;
      const excess = excessBlobGas + blobGasUsed - targetBlobGas;
      return blobBaseFeeOf(excess > 0n ? excess : 0n, updateFraction);
    });
    if (fee !== undefined) return fee;
    throw invalid(this.name, "eth_getBlockByNumber", "there is no latest block");
  }

  async send(raw: Uint8Array): Promise<Uint8Array> {
    const method = "eth_sendRawTransaction";
    const answer = await this.#rpc.request(method, [toHex(raw)]);
    return await checked(this.name, method, () => fromHex(answer, "the hash", 32));
  }

  /**
   * How blobs must travel by the fork that the node is in, as `eth_config` tells (EIP-7910): Osaka, which
   * asks for cells, has the precompile P256VERIFY (EIP-7951). `undefined` where the node cannot tell.
   */
  async sidecarForm(): Promise<SidecarForm | undefined> {
    let answer: unknown;
    try {
      answer = await this.#rpc.request("eth_config", []);
    } catch (error) {
      if (error instanceof RpcError && error.code === "Answered") return undefined;
      throw error;
    }
    const precompiles = (answer as { current?: { precompiles?: unknown } } | null)
      ?.current?.precompiles;
    if (typeof precompiles !== "object" || precompiles === null) return undefined;
    // By name, and in the first drafts by address.
    const names = [...Object.keys(precompiles), ...Object.values(precompiles)];
    return names.includes("P256VERIFY") ? "cells" : "legacy";
  }

  async #number(method: string, params: readonly unknown[]): Promise<bigint> {
    const answer = await this.#rpc.request(method, params);
    return await checked(this.name, method, () => quantity(answer, "the answer"));
  }

  /** What one node tells in a wrong form, or what cannot be, another is asked for. */
  async #read<T>(...[method, params, parse, isMissing]: Reading<T>): Promise<T | undefined> {
    const action = (node: JsonRpc) => parsed(node, method, params, parse, isMissing);
    return await (this.#rpc.ask?.(action) ?? action(this.#rpc));
  }
}

type Reading<T> = [
  method: string,
  params: readonly unknown[],
  parse: (fields: JsonFields, node: JsonRpc) => T | Promise<T>,
  /** Whether an error says that there is no such thing. */
  isMissing?: (error: RpcError) => boolean,
];

async function parsed<T>(
  node: JsonRpc,
  ...[method, params, parse, isMissing = () => false]: Reading<T>
): Promise<T | undefined> {
  let answer: unknown;
  try {
    answer = await node.request(method, params);
  } catch (error) {
    const isAnswer = error instanceof RpcError && error.code === "Answered";
    if (isAnswer && isMissing(error)) return undefined;
    throw error;
  }
  if (answer === null) return undefined;
  return await checked(node.name, method, () => parse(objectOf(answer, "the answer"), node));
}

async function checked<T>(
  endpoint: string,
  method: string,
  parse: () => T | Promise<T>,
): Promise<T> {
  try {
    return await parse();
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    throw invalid(endpoint, method, error.message);
  }
}

function invalid(endpoint: string, method: string, why: string): RpcError {
  const message = `Cannot use what ${endpoint} answered to ${method}: ${why}`;
  return new RpcError("Invalid", message, { details: { endpoint, method } });
}

/** @throws {RpcError} `Invalid` where the transaction is not the one that its hash says */
async function senderOf(
  { hash, sender }: L1BlockTransaction,
  { number }: L1Header,
  { name }: JsonRpc,
): Promise<Uint8Array | undefined> {
  try {
    return await sender();
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    const tx = toHex(hash);
    throw new RpcError(
      "Invalid",
      `Cannot use transaction ${tx} of L1 block ${number} as ${name} tells it: ${error.message}. ` +
        `The node contradicts itself: ask another one`,
      { details: { endpoint: name, block: number, tx } },
    );
  }
}

/** What blob gas costs by the excess before a block (EIP-4844, `fake_exponential`). */
export function blobBaseFeeOf(excessBlobGas: bigint, updateFraction: bigint): bigint {
  let sum = 0n;
  let term = updateFraction;
  for (let n = 1n; term > 0n; n++) {
    sum += term;
    term = (term * excessBlobGas) / (updateFraction * n);
  }
  return sum / updateFraction;
}

function asTag(tag: BlockTag): string {
  return typeof tag === "bigint" ? `0x${tag.toString(16)}` : tag;
}

/** For a head that a node does not have the error stands where others say null. */
function isNoSuchBlock(error: RpcError): boolean {
  // It had the block once.
  if (/pruned|history/i.test(error.message)) return false;
  return NO_SUCH_BLOCK_CODES.includes(error.details["rpcCode"]) ||
    NO_SUCH_BLOCK.test(error.message);
}

/** Older nodes take `safe` for a number that is written wrong. */
function isNoSuchTag(error: RpcError): boolean {
  return error.details["rpcCode"] === RPC_CODES.invalidParams;
}

function isMissingMethod(error: unknown): boolean {
  if (!(error instanceof RpcError) || error.code !== "Answered") return false;
  return error.details["rpcCode"] === RPC_CODES.methodNotFound ||
    /method.*(?:not found|not available|does not exist|not supported)/i.test(error.message);
}

function headerOf(fields: JsonFields, isPending = false): L1Header {
  const hash = isPending && fields["hash"] === null
    ? new Uint8Array(32)
    : fromHex(fields["hash"], "hash", 32);
  return {
    number: quantity(fields["number"], "number"),
    hash,
    parentHash: fromHex(fields["parentHash"], "parentHash", 32),
    timestamp: quantity(fields["timestamp"], "timestamp"),
    // Since London and Cancun: a reader may begin at block 0 of a chain that is older.
    baseFeePerGas: quantity(fields["baseFeePerGas"] ?? "0x0", "baseFeePerGas"),
    blobGasUsed: quantity(fields["blobGasUsed"] ?? "0x0", "blobGasUsed"),
    excessBlobGas: quantity(fields["excessBlobGas"] ?? "0x0", "excessBlobGas"),
  };
}

function within<T>(index: number, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    throw new CodecError("InvalidHeader", `transaction ${index}: ${error.message}`);
  }
}

function receiptOf(fields: JsonFields, txHash: Uint8Array): TxReceipt {
  const status = quantity(fields["status"], "status");
  if (status > 1n) throw wrong("status", "0x0 or 0x1", fields["status"]);
  const blobGasUsed = quantity(fields["blobGasUsed"] ?? "0x0", "blobGasUsed");
  const blobGasPrice = quantity(fields["blobGasPrice"] ?? "0x0", "blobGasPrice");
  return {
    txHash,
    blockNumber: quantity(fields["blockNumber"], "blockNumber"),
    blockHash: fromHex(fields["blockHash"], "blockHash", 32),
    isSuccess: status === 1n,
    gasUsed: quantity(fields["gasUsed"], "gasUsed"),
    effectiveGasPrice: quantity(fields["effectiveGasPrice"], "effectiveGasPrice"),
    blobGasUsed,
    // Some nodes tell the price of the block beside each transaction.
    blobGasPrice: blobGasUsed === 0n ? 0n : blobGasPrice,
  };
}

function sameNumber(number: bigint, asked: bigint): void {
  if (number !== asked) throw wrong("number", `${asked}`, `${number}`);
}

function sameHash(fields: JsonFields, field: string, asked: Uint8Array): void {
  const hash = fromHex(fields[field], field, 32);
  if (!equalBytes(hash, asked)) throw wrong(field, toHex(asked), fields[field]);
}

/** Leading zeros are let pass: some nodes write them. */
function quantity(value: unknown, field: string): bigint {
  if (typeof value === "string" && /^0x[\da-f]{1,64}$/i.test(value)) return BigInt(value);
  throw wrong(field, "a number as 0x and digits", value);
}
