/**
 * An L2 that is not there: blocks of freshly signed transactions, at a steady pace, for demonstrations and
 * load.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { BatchSource, Clock, Random } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { toHex } from "../wire/hex.ts";
import { signer } from "./deps.ts";
import type { OriginL1 } from "./inbox.ts";

/** What the blocks are like. */
export interface TransferSourceOptions {
  readonly l1: OriginL1;
  readonly clock: Clock;
  readonly random: Random;
  /** From one block to the next; 200 ms otherwise. */
  readonly blockTimeMs?: number;
  /** 100 otherwise. */
  readonly transactionsPerBlock?: number;
  /** How long blocks are made. */
  readonly durationMs: number;
}

/** The keys of anvil's first accounts, which are known to everyone: never for anything of value. */
export const ANVIL_KEYS: readonly string[] = [
  "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
  "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
  "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
  "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6",
];
const CHAIN_ID = 31337n;
/** First four bytes of keccak256("transfer(address,uint256)"). */
const ERC20_TRANSFER = "0xa9059cbb";

/** Makes a block whenever one is due: half its transactions move ether, half a token. */
export class TransferSource implements BatchSource {
  readonly #options: Required<TransferSourceOptions>;
  readonly #startMs: number;
  readonly #nonces = ANVIL_KEYS.map(() => 0n);
  #number = 0n;
  #parentHash = new Uint8Array(32);

  constructor(options: TransferSourceOptions) {
    this.#options = { blockTimeMs: 200, transactionsPerBlock: 100, ...options };
    this.#startMs = options.clock.now();
  }

  /** True once the last block was made. */
  get isExhausted(): boolean {
    return Number(this.#number) * this.#options.blockTimeMs >= this.#options.durationMs;
  }

  async pendingBlocks(): Promise<readonly L2Block[]> {
    const { clock, blockTimeMs } = this.#options;
    const blocks: L2Block[] = [];
    while (!this.isExhausted) {
      const dueMs = this.#startMs + Number(this.#number) * blockTimeMs;
      if (dueMs > clock.now() || blocks.length >= 8) break;
      blocks.push(await this.#makeBlock(BigInt(Math.floor(dueMs / 1000))));
    }
    return blocks;
  }

  l1Origin(): Promise<bigint> {
    return this.#options.l1.head("safe");
  }

  async l1OriginHash(number: bigint): Promise<Uint8Array> {
    return (await this.#options.l1.block(number)).hash;
  }

  parentHash(): Promise<Uint8Array> {
    return Promise.resolve(new Uint8Array(32));
  }

  async #makeBlock(timestamp: bigint): Promise<L2Block> {
    const { Transaction } = await signer();
    const transactions = Array.from({ length: this.#options.transactionsPerBlock }, (_, index) => {
      const account = index % ANVIL_KEYS.length;
      const nonce = this.#nonces[account]!++;
      const isToken = index % 2 === 0;
      const unsigned = Transaction.prepare({
        to: this.#address(),
        value: isToken ? 0n : this.#amount(),
        data: isToken ? ERC20_TRANSFER + word(this.#address()) + word(hexOf(this.#amount())) : "",
        nonce,
        maxFeePerGas: 2_000_000_000n,
        maxPriorityFeePerGas: 1_000_000n,
        gasLimit: isToken ? 65_000n : 21_000n,
        chainId: CHAIN_ID,
      });
      return unsigned.signBy(ANVIL_KEYS[account]!, false).toBytes();
    });
    const parentHash = this.#parentHash;
    const hash = createHash("sha256").update(parentHash).update(`${this.#number}:${timestamp}`);
    this.#parentHash = new Uint8Array(hash.digest());
    return { number: this.#number++, hash: this.#parentHash, parentHash, timestamp, transactions };
  }

  /** One of a thousand addresses, so that some come again, as they do on chains. */
  #address(): string {
    const index = Math.floor(this.#options.random.next() * 1000);
    return toHex(createHash("sha256").update(`account ${index}`).digest().subarray(0, 20));
  }

  #amount(): bigint {
    return BigInt(Math.floor(this.#options.random.next() * 1e6)) * 1_000_000_000_000n;
  }
}

function hexOf(value: bigint): string {
  return "0x" + value.toString(16);
}

/** 32 bytes of an ABI argument, without 0x. */
function word(hex: string): string {
  return hex.slice(2).padStart(64, "0");
}
