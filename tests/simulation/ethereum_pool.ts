/**
 * The transaction pool of the simulated Ethereum, with the rules and the words of geth.
 *
 * @module
 */
import type { FeeCaps } from "../../src/ethereum.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { toHex } from "../../src/wire/hex.ts";
import { costOf, gasOf } from "./ethereum_fees.ts";
import { type NetworkTransaction, versionedHash } from "./ethereum_transactions.ts";

/** What an account has. */
export interface Account {
  readonly nonce: bigint;
  readonly balance: bigint;
}

/** How a pool is. */
export interface PoolOptions {
  readonly chainId: bigint;
  /** Wei for one gas that a transaction must offer at least as its tip. */
  readonly leastTip: bigint;
  /** The same of its cap for blob gas. */
  readonly leastBlobFee: bigint;
  /** Whether a blob transaction may come before the one whose nonce it follows. */
  readonly takesGaps: boolean;
  /** Whether it takes one proof a blob, as before Osaka, or 128 of cells. */
  readonly sidecar: "cells" | "legacy" | "both";
}

const MAX_BLOBS = 6;
const CELLS = 128;

/** Transactions that are in no block yet, of each account by nonce. */
export class Pool {
  readonly #options: PoolOptions;
  readonly #accounts = new Map<string, Map<bigint, NetworkTransaction>>();

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** All of them. */
  get transactions(): readonly NetworkTransaction[] {
    return [...this.#accounts.values()].flatMap((own) => [...own.values()]);
  }

  has(hash: Uint8Array): boolean {
    return this.transactions.some((each) => equalBytes(each.hash, hash));
  }

  at(address: Uint8Array, nonce: bigint): NetworkTransaction | undefined {
    return this.#accounts.get(toHex(address))?.get(nonce);
  }

  /** Those of an account that can go one after the other, from its nonce on. */
  executable(address: Uint8Array, nonce: bigint): NetworkTransaction[] {
    const run: NetworkTransaction[] = [];
    for (let next = this.at(address, nonce); next; next = this.at(address, ++nonce)) run.push(next);
    return run;
  }

  /** Accounts that have any. */
  get senders(): readonly Uint8Array[] {
    return [...this.#accounts.values()].flatMap((own) => [...own.values()].slice(0, 1))
      .map(({ from }) => from);
  }

  /**
   * Takes one in.
   *
   * @throws {Error} with the text that geth answers
   */
  add(tx: NetworkTransaction, { nonce, balance }: Account): void {
    this.#checkForm(tx);
    if (this.has(tx.hash)) throw new Error("already known");
    if (tx.nonce < nonce) {
      throw new Error(`nonce too low: next nonce ${nonce}, tx nonce ${tx.nonce}`);
    }
    const own = [...this.#accounts.get(toHex(tx.from))?.values() ?? []];
    if (own.some((each) => isBlob(each) !== isBlob(tx))) {
      throw new Error("address already reserved");
    }
    const pooled = this.at(tx.from, tx.nonce);
    if (pooled) checkReplacement(tx, pooled);
    else if (isBlob(tx) && !this.#options.takesGaps) this.#checkGap(tx, nonce);
    const others = own.filter((each) => each !== pooled).reduce(
      (sum, each) => sum + costOf(each),
      0n,
    );
    if (others + costOf(tx) > balance) {
      throw new Error(
        `insufficient funds for gas * price + value: balance ${balance}, queued cost ${others}, ` +
          `tx cost ${costOf(tx)}, overshot ${others + costOf(tx) - balance}`,
      );
    }
    this.#put(tx);
  }

  /** Takes one back that was in a block, where nothing stands in its way. */
  putBack(tx: NetworkTransaction): boolean {
    const own = [...this.#accounts.get(toHex(tx.from))?.values() ?? []];
    const isFree = own.every((each) => each.nonce !== tx.nonce && isBlob(each) === isBlob(tx));
    if (isFree) this.#put(tx);
    return isFree;
  }

  remove(tx: NetworkTransaction): void {
    const key = toHex(tx.from);
    const own = this.#accounts.get(key);
    if (own?.get(tx.nonce) !== tx) return;
    own.delete(tx.nonce);
    if (own.size === 0) this.#accounts.delete(key);
  }

  /** Drops what a block has made impossible. */
  prune(accountOf: (address: Uint8Array) => Account): void {
    for (const tx of this.transactions) {
      if (tx.nonce < accountOf(tx.from).nonce) this.remove(tx);
    }
  }

  clear(): void {
    this.#accounts.clear();
  }

  #put(tx: NetworkTransaction): void {
    const key = toHex(tx.from);
    const own = this.#accounts.get(key) ?? new Map<bigint, NetworkTransaction>();
    own.set(tx.nonce, tx);
    this.#accounts.set(key, own);
  }

  #checkGap(tx: NetworkTransaction, nonce: bigint): void {
    const next = nonce + BigInt(this.executable(tx.from, nonce).length);
    if (tx.nonce > next) {
      throw new Error(`nonce too high: tx nonce ${tx.nonce}, gapped nonce ${next}`);
    }
  }

  #checkForm(tx: NetworkTransaction): void {
    const { chainId, leastTip, leastBlobFee } = this.#options;
    const { gas, input, fees, blobHashes } = tx;
    const { maxFeePerGas, maxPriorityFeePerGas, maxFeePerBlobGas } = fees;
    if (tx.chainId !== chainId) {
      throw new Error(`invalid chain id for signer: have ${tx.chainId} want ${chainId}`);
    }
    const least = gasOf(input);
    if (gas < least) {
      throw new Error(
        `insufficient gas for floor data gas cost: have ${gas}, want ${least}`,
      );
    }
    if (maxFeePerGas < maxPriorityFeePerGas) {
      throw new Error("max priority fee per gas higher than max fee per gas");
    }
    if (maxPriorityFeePerGas < leastTip) {
      throw new Error(
        `transaction underpriced: gas tip cap ${maxPriorityFeePerGas}, minimum needed ${leastTip}`,
      );
    }
    if (blobHashes.length === 0) return;
    if (maxFeePerBlobGas < leastBlobFee) {
      throw new Error(
        `transaction underpriced: blob fee cap ${maxFeePerBlobGas}, minimum needed ${leastBlobFee}`,
      );
    }
    if (blobHashes.length > MAX_BLOBS) {
      throw new Error(
        `too many blobs in transaction: have ${blobHashes.length}, permitted ${MAX_BLOBS}`,
      );
    }
    this.#checkSidecar(tx);
  }

  #checkSidecar({ sidecar, blobHashes }: NetworkTransaction): void {
    if (!sidecar) throw new Error("missing sidecar in blob transaction");
    const { commitments, proofs } = sidecar;
    if (commitments.length !== blobHashes.length) {
      throw new Error(
        `invalid number of ${commitments.length} blobs compared to ${blobHashes.length} blob hashes`,
      );
    }
    for (const [index, commitment] of commitments.entries()) {
      if (equalBytes(versionedHash(commitment), blobHashes[index]!)) continue;
      throw new Error(`blob ${index}: computed hash mismatches transaction one`);
    }
    const form = proofs.length === blobHashes.length * CELLS ? "cells" : "legacy";
    const { sidecar: wanted } = this.#options;
    if (wanted !== "both" && form !== wanted) {
      throw new Error(
        `invalid sidecar version: have ${form === "cells" ? 1 : 0}, want ${
          wanted === "cells" ? 1 : 0
        }`,
      );
    }
  }
}

function isBlob(tx: NetworkTransaction): boolean {
  return tx.blobHashes.length > 0;
}

/** Twice each fee where there are blobs, a tenth more where there are none. */
function checkReplacement(tx: NetworkTransaction, pooled: NetworkTransaction): void {
  const percent = isBlob(tx) ? 100n : 10n;
  const names: readonly (readonly [keyof FeeCaps, string])[] = [
    ["maxFeePerGas", "gas fee cap"],
    ["maxPriorityFeePerGas", "gas tip cap"],
    ["maxFeePerBlobGas", "blob gas fee cap"],
  ];
  for (const [name, words] of names) {
    if (!isBlob(tx) && name === "maxFeePerBlobGas") continue;
    if (tx.fees[name] * 100n >= pooled.fees[name] * (100n + percent)) continue;
    throw new Error(
      `replacement transaction underpriced: new tx ${words} ${tx.fees[name]} < ` +
        `${pooled.fees[name]} queued + ${percent}% replacement penalty`,
    );
  }
}
