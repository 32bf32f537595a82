/**
 * A node of L2 that has whatever chain it is told to have: true blocks, whose hashes are made of their
 * headers, of transactions that viem signed.
 *
 * @module
 */
import { type PrivateKeyAccount, privateKeyToAccount } from "viem/accounts";
import { RpcError } from "../../src/errors.ts";
import type { JsonRpc } from "../../src/ethereum.ts";
import { blockHashing, orderedRoot } from "../../src/l1/block_hashing.ts";
import { headerHash } from "../../src/l1/header_hash.ts";
import { rawTransaction } from "../../src/l1/raw_transaction.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { ANVIL_ACCOUNTS } from "../l1/anvil.ts";
import { asNode } from "../l1/node_json.ts";

type Hex = `0x${string}`;
/** A block or a transaction as a node tells it. */
export type Json = Record<string, unknown>;

const hashing = await blockHashing();
const account: PrivateKeyAccount = privateKeyToAccount(toHex(ANVIL_ACCOUNTS[0]!.key) as Hex);

const zeros = (bytes: number) => `0x${"00".repeat(bytes)}`;
const hexOf = (number: bigint | number) => `0x${number.toString(16)}`;

/** So many transfers, signed, as a node tells them. */
export async function transfers(count: number): Promise<Json[]> {
  return await Promise.all(
    Array.from({ length: count }, async (_, nonce) =>
      await asNode(
        await account.signTransaction({
          type: "eip1559",
          chainId: 901,
          nonce,
          to: account.address,
          value: BigInt(nonce + 1),
          gas: 21_000n,
          maxFeePerGas: 10n ** 9n,
          maxPriorityFeePerGas: 10n ** 6n,
        }),
      )),
  );
}

/** The deposit that each block of the OP stack begins with. */
export function l1AttributesDeposit(number: bigint, hash: Uint8Array): Json {
  const input = new Uint8Array(4 + 5 * 32);
  input.set([0x44, 0x0a, 0x5e, 0x20]);
  new DataView(input.buffer).setBigUint64(28, number);
  input.set(hash, 100);
  return depositOf({
    sourceHash: toHex(new Uint8Array(32).fill(Number(number % 256n))),
    from: "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001",
    to: "0x4200000000000000000000000000000000000015",
    input: toHex(input),
  });
}

/** A deposit, as a node tells it. */
export function depositOf(fields: Json): Json {
  const deposit = { type: "0x7e", mint: "0x0", value: "0x0", gas: "0xf4240", ...fields };
  const raw = rawTransaction(deposit, hashing)!;
  return { ...deposit, hash: toHex(hashing.keccak256(raw)) };
}

/** Options of a chain. */
export interface ScriptedL2Options {
  readonly name?: string;
  readonly chainId?: number;
  /** Unix seconds of block 0, and between two blocks; of 2023, and 2, unless told. */
  readonly times?: { readonly genesis: bigint; readonly blockSeconds: bigint };
  /** What block `number` holds, as a node tells it; nothing unless told. */
  readonly transactions?: (number: bigint) => readonly Json[];
  /** Their signed bytes, for types that cannot be made of JSON. */
  readonly raws?: (number: bigint) => readonly Uint8Array[];
}

/** A node with a chain that can be changed. */
export class ScriptedL2 implements JsonRpc {
  readonly name: string;
  /** By number. */
  readonly blocks: Json[] = [];
  /** Each method that was asked for, with the first of its parameters. */
  readonly asked: string[] = [];
  /** What is answered instead, once made of what would be; `undefined` is what would be. */
  answer: (method: string, params: readonly unknown[], answer: unknown) => unknown = (
    _,
    __,
    answer,
  ) => answer;
  safe: bigint | undefined = 0n;
  finalized: bigint | undefined = 0n;
  chainId: number;
  readonly #options: ScriptedL2Options;
  #salt = 0;

  /** @param head the number of its newest block */
  constructor(head: number, options: ScriptedL2Options = {}) {
    this.name = options.name ?? "scripted";
    this.chainId = options.chainId ?? 901;
    this.#options = options;
    this.grow(head + 1);
  }

  get head(): bigint {
    return BigInt(this.blocks.length - 1);
  }

  hash(number: bigint): Uint8Array {
    return fromHex(this.blocks[Number(number)]!["hash"], "hash");
  }

  /** Makes so many more blocks. */
  grow(count: number): void {
    for (let made = 0; made < count; made++) this.blocks.push(this.#make());
  }

  /** So many blocks are no more, and others come in their place. */
  reorganise(depth: number, grow: number = depth): void {
    this.blocks.length -= depth;
    this.#salt += 1;
    this.grow(grow);
  }

  async request(method: string, params: readonly unknown[]): Promise<unknown> {
    const [first] = params;
    this.asked.push(`${method} ${first}`);
    const answer = this.answer(method, params, this.#answer(method, first));
    if (answer instanceof Error) throw answer;
    return await answer;
  }

  #answer(method: string, first: unknown): unknown {
    if (method === "eth_chainId") return hexOf(this.chainId);
    if (method === "eth_getBlockByNumber") {
      const tags: Record<string, bigint | undefined> = {
        latest: this.head,
        safe: this.safe,
        finalized: this.finalized,
      };
      const number = `${first}` in tags ? tags[`${first}`] : BigInt(`${first}`);
      return number === undefined ? null : this.blocks[Number(number)] ?? null;
    }
    const details = { rpcCode: -32601 };
    return new RpcError("Answered", `the method ${method} does not exist`, { details });
  }

  #make(): Json {
    const number = BigInt(this.blocks.length);
    const transactions = this.#options.transactions?.(number) ?? [];
    const { genesis, blockSeconds } = this.#options.times ??
      { genesis: 1_700_000_000n, blockSeconds: 2n };
    const raws = this.#options.raws?.(number) ??
      transactions.map((each) => rawTransaction(each, hashing)!);
    return sealed({
      parentHash: this.blocks.at(-1)?.["hash"] ?? zeros(32),
      sha3Uncles: "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
      miner: "0x4200000000000000000000000000000000000011",
      stateRoot: zeros(32),
      transactionsRoot: toHex(orderedRoot(raws, hashing)),
      receiptsRoot: zeros(32),
      logsBloom: zeros(256),
      difficulty: "0x0",
      number: hexOf(number),
      gasLimit: hexOf(30_000_000),
      gasUsed: "0x0",
      timestamp: hexOf(genesis + blockSeconds * number),
      extraData: `0x${(0x1000 + this.#salt).toString(16)}`,
      mixHash: zeros(32),
      nonce: zeros(8),
      baseFeePerGas: "0x7",
      withdrawalsRoot: zeros(32),
      blobGasUsed: "0x0",
      excessBlobGas: "0x0",
      parentBeaconBlockRoot: zeros(32),
      requestsHash: zeros(32),
      size: "0x300",
      uncles: [],
      withdrawals: [],
      transactions,
    });
  }
}

/** A block under the hash of its header. */
export function sealed(block: Json): Json {
  return { ...block, hash: toHex(headerHash(block, hashing)) };
}
