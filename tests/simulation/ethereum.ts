/**
 * A simulated Ethereum: slots, a pool, fees that move, reorganisations of any depth. It stands still until
 * somebody calls `slot()`, or `keepGoing()` with a clock; all that it does comes from its random numbers.
 * Programs reach it through a `SimulatedNode`.
 *
 * @module
 */
import type { L1Header, TxReceipt } from "../../src/ethereum.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import type { Clock, Random } from "../../src/ports.ts";
import { toHex } from "../../src/wire/hex.ts";
import {
  blobBaseFeeOf,
  excessBlobGasFor,
  GAS_LIMIT,
  GAS_PER_BLOB,
  gasOf,
  MAX_BLOBS_PER_BLOCK,
  nextBaseFee,
  nextExcessBlobGas,
  tipOf,
} from "./ethereum_fees.ts";
import { type Account, Pool, type PoolOptions } from "./ethereum_pool.ts";
import {
  type Decode,
  decodeFake,
  type NetworkTransaction,
  sha256,
} from "./ethereum_transactions.ts";

const GWEI = 1_000_000_000n;

/** How it is; each has a default. */
export interface EthereumOptions extends Partial<PoolOptions> {
  readonly random?: Random;
  /** Unix seconds of block 0. */
  readonly genesisTime?: bigint;
  readonly secondsPerSlot?: number;
  /** Blocks that the safe and the finalized head are behind the latest. */
  readonly safeDepth?: number;
  readonly finalDepth?: number;
  readonly baseFee?: bigint;
  readonly blobBaseFee?: bigint;
  /** Reads what is sent: by default what `FakeSigner` signed. */
  readonly decode?: Decode;
  /** What others put into the next block: a share of its gas, and blobs. */
  readonly traffic?: () => Traffic;
  /** Whether whoever makes the next block leaves a transaction out for no reason. */
  readonly isOverlooked?: (tx: NetworkTransaction) => boolean;
  /** Told of each block that becomes part of the chain, and of each that leaves it. */
  readonly onBlock?: (block: SimulatedBlock, change: "added" | "removed") => void;
}

/** What others put into a block. */
export interface Traffic {
  /** From 0 to 1. */
  readonly gasShare: number;
  /** From 0 to 9. */
  readonly blobs: number;
}

/** A block, and how it leaves the accounts. */
export interface SimulatedBlock {
  readonly header: L1Header;
  readonly parent: SimulatedBlock | undefined;
  readonly slot: number;
  readonly transactions: readonly NetworkTransaction[];
  readonly receipts: ReadonlyMap<string, TxReceipt>;
  readonly accounts: ReadonlyMap<string, Account>;
  readonly blobBaseFee: bigint;
}

const NOBODY: Account = { nonce: 0n, balance: 0n };

/** The network: one chain, and the pool that all nodes share. */
export class SimulatedEthereum {
  readonly pool: Pool;
  readonly chainId: bigint;
  readonly secondsPerSlot: number;
  readonly genesisTime: bigint;
  readonly #options: EthereumOptions;
  readonly #random: Random;
  readonly #decode: Decode;
  readonly #chain: SimulatedBlock[];
  /** Heads that there were, oldest first: what nodes that lag behind know. */
  readonly #heads: SimulatedBlock[];
  /** Blocks, of any branch, by the transactions in them. */
  readonly #including = new Map<string, SimulatedBlock[]>();
  readonly #gasUsed = new WeakMap<SimulatedBlock, bigint>();
  #slot = 0;
  #script: { readonly baseFee?: bigint; readonly blobBaseFee?: bigint } = {};

  constructor(options: EthereumOptions = {}) {
    const { chainId = 31_337n, leastTip = 1n, leastBlobFee = 1n } = options;
    const { takesGaps = true, sidecar = "cells" } = options;
    this.#options = options;
    this.chainId = chainId;
    this.secondsPerSlot = options.secondsPerSlot ?? 12;
    this.genesisTime = options.genesisTime ?? 1_767_225_600n;
    this.#random = options.random ?? new SeededRandom();
    this.#decode = options.decode ?? decodeFake;
    this.pool = new Pool({ chainId, leastTip, leastBlobFee, takesGaps, sidecar });
    const genesis = this.#genesis();
    this.#chain = [genesis];
    this.#heads = [genesis];
  }

  get head(): SimulatedBlock {
    return this.#chain.at(-1)!;
  }

  /** Blocks of the chain, from block 0. */
  get blocks(): readonly SimulatedBlock[] {
    return this.#chain;
  }

  /** Number of the block that is final where this one is the head. */
  finalNumber(head: SimulatedBlock = this.head): bigint {
    return behind(head, this.#options.finalDepth ?? 64);
  }

  safeNumber(head: SimulatedBlock = this.head): bigint {
    return behind(head, this.#options.safeDepth ?? 32);
  }

  /** The head that was the newest `changes` changes of the head ago. */
  headBefore(changes: number): SimulatedBlock {
    return this.#heads[Math.max(0, this.#heads.length - 1 - changes)]!;
  }

  /** The block with this number on the way from `head` to block 0. */
  blockAt(number: bigint, head: SimulatedBlock = this.head): SimulatedBlock | undefined {
    if (number > head.header.number || number < 0n) return undefined;
    let block = head;
    while (block.header.number > number && this.#chain[Number(block.header.number)] !== block) {
      block = block.parent!;
    }
    return block.header.number === number ? block : this.#chain[Number(number)];
  }

  /** The block before `head`, or `head`, that includes a transaction. */
  including(hash: Uint8Array, head: SimulatedBlock = this.head): SimulatedBlock | undefined {
    return this.#including.get(toHex(hash))
      ?.find((block) => this.blockAt(block.header.number, head) === block);
  }

  account(address: Uint8Array, block: SimulatedBlock = this.head): Account {
    return block.accounts.get(toHex(address)) ?? NOBODY;
  }

  /** Gives wei, as if it had always been there. */
  fund(address: Uint8Array, wei: bigint): void {
    const key = toHex(address);
    for (const block of new Set([...this.#chain, ...this.#heads])) {
      const { nonce, balance } = block.accounts.get(key) ?? NOBODY;
      (block.accounts as Map<string, Account>).set(key, { nonce, balance: balance + wei });
    }
  }

  /** Sets what the next block asks for; after it, fees go their way again. */
  setFees(script: { readonly baseFee?: bigint; readonly blobBaseFee?: bigint }): void {
    this.#script = { ...this.#script, ...script };
  }

  /**
   * Takes a transaction into the pool, and resolves with it.
   *
   * @throws {Error} with the text that a node answers
   */
  async submit(raw: Uint8Array): Promise<NetworkTransaction> {
    const tx = await this.decode(raw);
    this.pool.add(tx, this.account(tx.from));
    return tx;
  }

  /** Reads a transaction, and does nothing with it. */
  async decode(raw: Uint8Array): Promise<NetworkTransaction> {
    return await this.#decode(raw);
  }

  /** Lets a slot pass: a block with what the pool offers, or none. */
  slot(isMissed = false): SimulatedBlock | undefined {
    this.#slot += 1;
    if (isMissed) return undefined;
    const block = this.#build(this.head, this.#slot);
    this.#add(block);
    this.#heads.push(block);
    return block;
  }

  /** Lets `count` slots pass. */
  slots(count: number): void {
    for (let i = 0; i < count; i++) this.slot();
  }

  /** Lets slots pass with the time, until `signal` aborts. */
  async keepGoing(clock: Clock, signal?: AbortSignal, missedShare = 0): Promise<void> {
    for (;;) {
      await clock.sleep(this.secondsPerSlot * 1000, signal);
      if (signal?.aborted) return;
      this.slot(this.#random.next() < missedShare);
    }
  }

  /**
   * Replaces the newest blocks by as many others. What was in them goes back into the pool, or is dropped.
   *
   * @param depth how many; never those that are final, unless `evenFinal`
   * @param returned the share of transactions that go back into the pool
   * @param empty the share of the new blocks that take nothing out of the pool
   */
  reorganise(
    depth: number,
    { returned = 1, empty = 0.5, evenFinal = false, longer = 0 }: {
      readonly returned?: number;
      readonly empty?: number;
      readonly evenFinal?: boolean;
      /** How many blocks more the new branch has. */
      readonly longer?: number;
    } = {},
  ): SimulatedBlock[] {
    const least = evenFinal ? 0n : this.finalNumber();
    const count = Math.min(depth, Number(this.head.header.number - least));
    const removed = this.#chain.splice(this.#chain.length - count, count);
    for (const block of removed.toReversed()) this.#options.onBlock?.(block, "removed");
    const ancestor = this.head;
    this.pool.prune((address) => this.account(address, ancestor));
    for (const tx of removed.flatMap(({ transactions }) => transactions)) {
      if (this.#random.next() < returned) this.pool.putBack(tx);
    }
    const slots = removed.map(({ slot }) => slot);
    for (let i = 0; i < longer; i++) slots.push(++this.#slot);
    for (const slot of slots) {
      this.#add(this.#build(this.head, slot, this.#random.next() < empty));
    }
    if (count + longer > 0) this.#heads.push(this.head);
    return removed;
  }

  #add(block: SimulatedBlock): void {
    this.#chain.push(block);
    for (const { hash } of block.transactions) {
      const key = toHex(hash);
      this.#including.set(key, [...this.#including.get(key) ?? [], block]);
    }
    this.pool.prune((address) => this.account(address));
    this.#options.onBlock?.(block, "added");
  }

  #genesis(): SimulatedBlock {
    const { baseFee = GWEI, blobBaseFee = 1n } = this.#options;
    const excessBlobGas = excessBlobGasFor(blobBaseFee);
    const header: L1Header = {
      number: 0n,
      hash: sha256(new TextEncoder().encode("genesis")),
      parentHash: new Uint8Array(32),
      timestamp: this.genesisTime,
      baseFeePerGas: baseFee,
      blobGasUsed: 0n,
      excessBlobGas,
    };
    return {
      header,
      parent: undefined,
      slot: 0,
      transactions: [],
      receipts: new Map(),
      accounts: new Map(),
      blobBaseFee: blobBaseFeeOf(excessBlobGas),
    };
  }

  #build(parent: SimulatedBlock, slot: number, isEmpty = false): SimulatedBlock {
    const { header: before } = parent;
    const traffic = this.#options.traffic?.() ?? { gasShare: 0.5, blobs: 0 };
    const othersGas = BigInt(Math.round(Number(GAS_LIMIT) * traffic.gasShare));
    const parentGas = this.#gasUsed.get(parent) ?? GAS_LIMIT / 2n;
    const baseFee = this.#script.baseFee ?? nextBaseFee(before.baseFeePerGas, parentGas);
    const excessBlobGas = this.#script.blobBaseFee === undefined
      ? nextExcessBlobGas(before.excessBlobGas, before.blobGasUsed)
      : excessBlobGasFor(this.#script.blobBaseFee);
    this.#script = {};
    const blobBaseFee = blobBaseFeeOf(excessBlobGas);
    const taken = isEmpty ? [] : this.#choose(parent, { baseFee, blobBaseFee, othersGas, traffic });
    const ownGas = taken.reduce((sum, { input }) => sum + gasOf(input), 0n);
    const ownBlobs = taken.reduce((sum, { blobHashes }) => sum + blobHashes.length, 0);
    const number = before.number + 1n;
    const timestamp = this.genesisTime + BigInt(slot * this.secondsPerSlot);
    const salt = Uint8Array.from({ length: 8 }, () => Math.floor(this.#random.next() * 256));
    const header: L1Header = {
      number,
      hash: sha256(before.hash, salt, ...taken.map(({ hash }) => hash)),
      parentHash: before.hash,
      timestamp,
      baseFeePerGas: baseFee,
      blobGasUsed: BigInt(traffic.blobs + ownBlobs) * GAS_PER_BLOB,
      excessBlobGas,
    };
    const accounts = new Map(parent.accounts);
    const receipts = new Map<string, TxReceipt>();
    for (const tx of taken) receipts.set(toHex(tx.hash), receiptOf(tx, header, blobBaseFee));
    for (const tx of taken) {
      const key = toHex(tx.from);
      const { nonce, balance } = accounts.get(key) ?? NOBODY;
      accounts.set(key, {
        nonce: nonce + 1n,
        balance: balance - paid(receipts.get(toHex(tx.hash))!),
      });
    }
    const block = { header, parent, slot, transactions: taken, receipts, accounts, blobBaseFee };
    this.#gasUsed.set(block, othersGas + ownGas);
    return block;
  }

  /** The best payers first, each account in the order of its nonces. */
  #choose(
    parent: SimulatedBlock,
    { baseFee, blobBaseFee, othersGas, traffic }: {
      readonly baseFee: bigint;
      readonly blobBaseFee: bigint;
      readonly othersGas: bigint;
      readonly traffic: Traffic;
    },
  ): NetworkTransaction[] {
    const queues = this.pool.senders.map((address) =>
      this.pool.executable(address, this.account(address, parent).nonce)
    );
    const taken: NetworkTransaction[] = [];
    let gas = GAS_LIMIT - othersGas;
    let blobs = MAX_BLOBS_PER_BLOCK - traffic.blobs;
    const fits = (tx: NetworkTransaction) =>
      tx.fees.maxFeePerGas >= baseFee && gasOf(tx.input) <= gas &&
      (tx.blobHashes.length === 0 || tx.fees.maxFeePerBlobGas >= blobBaseFee) &&
      tx.blobHashes.length <= blobs && !this.#options.isOverlooked?.(tx);
    for (;;) {
      const heads = queues.flatMap((queue) => queue.slice(0, 1)).filter(fits);
      heads.sort((a, b) => Number(tipOf(b.fees, baseFee) - tipOf(a.fees, baseFee)));
      const [best] = heads;
      if (!best) return taken;
      queues.find(([first]) => first === best)!.shift();
      taken.push(best);
      gas -= gasOf(best.input);
      blobs -= best.blobHashes.length;
    }
  }
}

/** What a transaction cost, in wei. */
export function paid(receipt: TxReceipt): bigint {
  return receipt.gasUsed * receipt.effectiveGasPrice + receipt.blobGasUsed * receipt.blobGasPrice;
}

function behind({ header: { number } }: SimulatedBlock, depth: number): bigint {
  return number > BigInt(depth) ? number - BigInt(depth) : 0n;
}

function receiptOf(tx: NetworkTransaction, header: L1Header, blobBaseFee: bigint): TxReceipt {
  const hasBlobs = tx.blobHashes.length > 0;
  return {
    txHash: tx.hash,
    blockNumber: header.number,
    blockHash: header.hash,
    isSuccess: true,
    gasUsed: gasOf(tx.input),
    effectiveGasPrice: header.baseFeePerGas + tipOf(tx.fees, header.baseFeePerGas),
    blobGasUsed: BigInt(tx.blobHashes.length) * GAS_PER_BLOB,
    blobGasPrice: hasBlobs ? blobBaseFee : 0n,
  };
}
