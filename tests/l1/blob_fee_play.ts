/**
 * A blob base fee that is played: what anvil cannot do by itself is done to its answers, and to what is
 * sent to it.
 *
 * @module
 */
import { blobBaseFeeOf } from "../../src/l1/chain.ts";
import { toHex } from "../../src/wire/hex.ts";
import type { SentTransaction } from "./sent_transaction.ts";

/** That of Prague, which anvil's headers ask for. */
const UPDATE_FRACTION = 5_007_716n;

/** Plays a blob base fee, while one is set. */
export class BlobFeePlay {
  readonly #passOn: (raw: Uint8Array) => Promise<void>;
  /** By sender and nonce, so that a replacement takes the place of what it replaces. */
  readonly #held = new Map<string, SentTransaction>();
  #wei: bigint | undefined;

  constructor(passOn: (raw: Uint8Array) => Promise<void>) {
    this.#passOn = passOn;
  }

  get held(): string[] {
    return [...this.#held.values()].map(({ hash }) => toHex(hash));
  }

  /** Sets the fee, and passes on what pays it now, in the order of nonces. */
  async set(wei: bigint | undefined): Promise<void> {
    this.#wei = wei;
    const paying = [...this.#held].filter(([, sent]) => this.#pays(sent))
      .sort(([, a], [, b]) => Number(a.tx.nonce - b.tx.nonce));
    for (const [key, { raw }] of paying) {
      this.#held.delete(key);
      await this.#passOn(raw);
    }
  }

  /** Keeps what does not pay the fee; what does takes the place of what was kept. */
  holds(sent: SentTransaction): boolean {
    const key = `${toHex(sent.sender)} ${sent.tx.nonce}`;
    this.#held.delete(key);
    if (this.#pays(sent)) return false;
    this.#held.set(key, sent);
    return true;
  }

  rewrite(method: string, params: readonly unknown[], result: unknown): unknown {
    if (method === "eth_getTransactionByHash" && result === null) {
      // A pool tells of what waits in it.
      const hash = this.held.find((each) => each === params[0]);
      return hash === undefined ? null : { hash, blockHash: null, blockNumber: null };
    }
    if (this.#wei === undefined) return result;
    if (method === "eth_blobBaseFee") return asQuantity(this.#wei);
    const isBlock = method === "eth_getBlockByNumber" || method === "eth_getBlockByHash";
    if (isBlock && result !== null) {
      return { ...result as object, excessBlobGas: asQuantity(excessFor(this.#wei)) };
    }
    return result;
  }

  #pays({ tx }: SentTransaction): boolean {
    if (this.#wei === undefined || tx.blobHashes.length === 0) return true;
    return tx.fees.maxFeePerBlobGas >= this.#wei;
  }
}

/** The least excess of blob gas that makes it cost so much, unless told by the rules of Prague. */
export function excessFor(wei: bigint, updateFraction = UPDATE_FRACTION): bigint {
  let low = 0n;
  let high = 1n;
  while (blobBaseFeeOf(high, updateFraction) < wei) high *= 2n;
  while (low < high) {
    const middle = (low + high) / 2n;
    if (blobBaseFeeOf(middle, updateFraction) < wei) low = middle + 1n;
    else high = middle;
  }
  return low;
}

function asQuantity(value: bigint): string {
  return `0x${value.toString(16)}`;
}
