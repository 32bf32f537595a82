/**
 * Every transaction that an account ever sent, and what they must keep to: one payload for a nonce, unless
 * one cancels the other; one nonce for a batch, unless another transaction took it; not more than one
 * replacement in the time that there must be between two; each batch on the chain once.
 *
 * @module
 */
import { equalBytes } from "../../src/wire/bytes.ts";
import { fromBlobs } from "../../src/wire/blob.ts";
import { toHex } from "../../src/wire/hex.ts";
import { parseCalldata } from "../../src/wire/inbox.ts";
import type { SimulatedEthereum } from "./ethereum.ts";
import { type NetworkTransaction, sha256 } from "./ethereum_transactions.ts";

/** Where a promise is broken, this is told. */
export type Check = (isKept: boolean, message: string) => void;

/** Whose transactions, and what is promised of them. */
export interface RecordOptions {
  readonly ethereum: SimulatedEthereum;
  readonly check: Check;
  readonly address: Uint8Array;
  readonly inbox: Uint8Array;
  /** The least time between a transaction and the one that replaces it. */
  readonly leastBumpMs?: number;
}

/** A transaction and when it was first seen. */
interface Sent {
  readonly tx: NetworkTransaction;
  readonly atMs: number;
  /** Missing for one that only takes the nonce. */
  readonly batch: { readonly number: bigint; readonly digest: string | undefined } | undefined;
}

/** What an account sent. */
export class SentRecord {
  readonly #options: RecordOptions;
  readonly #byNonce = new Map<bigint, Sent[]>();
  readonly #noncesOf = new Map<bigint, Set<bigint>>();
  readonly #digests = new Map<bigint, string>();
  readonly #hashes = new Set<string>();
  #jumpedAtMs = -Infinity;

  constructor(options: RecordOptions) {
    this.#options = options;
  }

  /** How many different transactions replaced another. */
  get replacements(): number {
    return [...this.#byNonce.values()].reduce((sum, sent) => sum + sent.length - 1, 0);
  }

  /** All that were seen, in the order of nonces. */
  get transactions(): readonly NetworkTransaction[] {
    return [...this.#byNonce.values()].flat().map(({ tx }) => tx);
  }

  /** The clock on the wall was set: whoever goes by it replaces too soon, or too late. */
  clockJumped(atMs: number): void {
    this.#jumpedAtMs = atMs;
  }

  /** A transaction was sent, or is sent again. */
  see(tx: NetworkTransaction, atMs: number): void {
    const { check, address } = this.#options;
    check(equalBytes(tx.from, address), `${toHex(tx.from)} sends, not ${toHex(address)}`);
    const key = toHex(tx.hash);
    if (this.#hashes.has(key)) return;
    this.#hashes.add(key);
    const before = this.#byNonce.get(tx.nonce) ?? [];
    const batch = this.#batchOf(tx);
    const other = before.find((sent) => sent.batch && batch && sent.batch.number !== batch.number);
    check(
      !other,
      `nonce ${tx.nonce} is that of batches ${other?.batch?.number} and ${batch?.number}`,
    );
    this.#checkGap(before.at(-1), tx, atMs);
    if (batch) this.#checkBatch(batch, tx.nonce);
    this.#byNonce.set(tx.nonce, [...before, { tx, atMs, batch }]);
  }

  /** Numbers of batches as they are on the chain, first to last, in blocks up to this one. */
  landed(upTo: bigint = this.#options.ethereum.head.header.number): bigint[] {
    return this.#own(upTo).flatMap((tx) => this.#batchOf(tx)?.number ?? []);
  }

  /** Batches from 0 to `count - 1` are on the chain, each once. */
  verify(count: number): void {
    const { check } = this.#options;
    const times = new Map<bigint, number>();
    for (const number of this.landed()) times.set(number, (times.get(number) ?? 0) + 1);
    for (let number = 0n; number < BigInt(count); number++) {
      check(times.has(number), `batch ${number} is missing on the chain`);
      check(times.get(number) === 1, `batch ${number} is on the chain ${times.get(number)} times`);
    }
    check(times.size === count, `${times.size} batches are on the chain, not ${count}`);
    for (const tx of this.#own()) {
      check(this.#hashes.has(toHex(tx.hash)), `${toHex(tx.hash)} was never seen to be sent`);
    }
  }

  #own(upTo?: bigint): NetworkTransaction[] {
    const { ethereum, address } = this.#options;
    const blocks = upTo === undefined
      ? ethereum.blocks
      : ethereum.blocks.slice(0, Number(upTo) + 1);
    return blocks.flatMap(({ transactions }) => transactions)
      .filter(({ from }) => equalBytes(from, address));
  }

  #batchOf({ to, input, blobHashes, sidecar }: NetworkTransaction): Sent["batch"] {
    if (!equalBytes(to, this.#options.inbox)) return undefined;
    const batch = parseCalldata(input, blobHashes.length);
    if (!batch) return undefined;
    const { batchNumber: number, data } = batch;
    if (blobHashes.length === 0) return { number, digest: toHex(sha256(data)) };
    return { number, digest: sidecar && toHex(sha256(fromBlobs(sidecar.blobs))) };
  }

  #checkBatch({ number, digest }: NonNullable<Sent["batch"]>, nonce: bigint): void {
    const { check } = this.#options;
    const known = this.#digests.get(number);
    if (digest) this.#digests.set(number, known ?? digest);
    check(!known || !digest || known === digest, `batch ${number} is sent with another payload`);
    const nonces = this.#noncesOf.get(number) ?? new Set();
    for (const earlier of nonces) {
      const isTaken = earlier === nonce || this.#isTakenByAnother(earlier, number);
      check(isTaken, `batch ${number} is sent with nonce ${nonce}, and may land with ${earlier}`);
    }
    this.#noncesOf.set(number, nonces.add(nonce));
  }

  /** Whether the chain has a transaction of this nonce that does not carry the batch. */
  #isTakenByAnother(nonce: bigint, number: bigint): boolean {
    const tx = this.#own().find((each) => each.nonce === nonce);
    return tx !== undefined && this.#batchOf(tx)?.number !== number;
  }

  #checkGap(before: Sent | undefined, tx: NetworkTransaction, atMs: number): void {
    const { check, leastBumpMs = 0 } = this.#options;
    if (!before || before.atMs <= this.#jumpedAtMs) return;
    const gapMs = atMs - before.atMs;
    check(
      gapMs >= leastBumpMs,
      `nonce ${tx.nonce} is replaced after ${gapMs} ms, not ${leastBumpMs} or more`,
    );
  }
}
