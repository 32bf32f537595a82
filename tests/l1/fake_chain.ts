/**
 * A chain in memory that can be reorganised, blobs that can be missing, and readers of an inbox on it.
 *
 * @module
 */
import { strictEqual as equal } from "node:assert/strict";
import { SourceError } from "../../src/errors.ts";
import type {
  BlobSource,
  BlockTag,
  Chain,
  L1BlockTransaction,
  L1Header,
} from "../../src/ethereum.ts";
import { L1Inbox, type L1InboxOptions, type L1InboxParts } from "../../src/l1/inbox.ts";
import { blobHash } from "../../src/local/l1_block.ts";
import type { CompressedBatch } from "../../src/types.ts";
import { toBlobs } from "../../src/wire/blob.ts";
import { toHex } from "../../src/wire/hex.ts";
import { batchCalldata, blobCalldata } from "../../src/wire/inbox.ts";
import { Events, noise } from "../helpers.ts";

export const INBOX: Uint8Array = new Uint8Array(20).fill(0x42);
export const BATCHER: Uint8Array = new Uint8Array(20).fill(0xba);

/** What a transaction has that matters here. */
export interface FakeTransaction {
  readonly from?: Uint8Array | undefined;
  readonly to?: Uint8Array | undefined;
  readonly input: Uint8Array;
  readonly blobs?: readonly Uint8Array[];
}

/** The transaction that carries a batch. */
export function posted(
  batch: CompressedBatch,
  da: "blobs" | "calldata" = "blobs",
): FakeTransaction {
  return da === "blobs"
    ? { input: blobCalldata(batch.batchNumber), blobs: toBlobs(batch.data) }
    : { input: batchCalldata(batch) };
}

interface FakeBlock {
  readonly header: L1Header;
  readonly transactions: readonly L1BlockTransaction[];
}

/** An L1. */
export class FakeChain implements Chain, BlobSource {
  readonly name = "fake";
  blocks: FakeBlock[] = [];
  /** Blobs by hash. */
  readonly stored = new Map<string, Uint8Array>();
  readonly asked: string[] = [];
  /** Depth of the safe and the finalised block; none where it is undefined. */
  safeDepth: number | undefined;
  #salt: number;

  /** @param salt another number, other hashes */
  constructor(salt = 0) {
    this.#salt = salt;
    this.mine();
  }

  get height(): number {
    return this.blocks.length - 1;
  }

  mine(...transactions: readonly FakeTransaction[]): L1Header {
    const number = this.blocks.length;
    const hash = noise(32, 1_000_000 * ++this.#salt + number);
    const header: L1Header = {
      number: BigInt(number),
      hash,
      parentHash: this.blocks.at(-1)?.header.hash ?? new Uint8Array(32),
      timestamp: BigInt(1000 + 12 * number),
      baseFeePerGas: 1n,
      blobGasUsed: 0n,
      excessBlobGas: 0n,
    };
    const mined = transactions.map((transaction, index): L1BlockTransaction => {
      const { from = BATCHER, to = INBOX, input, blobs = [] } = transaction;
      for (const blob of blobs) this.stored.set(toHex(blobHash(blob)), blob);
      return {
        hash: noise(32, 77 * this.#salt + index),
        to: "to" in transaction ? transaction.to : to,
        input,
        blobHashes: blobs.map((blob) => blobHash(blob)),
        sender: () => Promise.resolve("from" in transaction ? transaction.from : from),
      };
    });
    this.blocks.push({ header, transactions: mined });
    return header;
  }

  mineEmpty(count: number): void {
    for (let index = 0; index < count; index++) this.mine();
  }

  /** Takes the last blocks away. */
  drop(depth: number): void {
    this.blocks.length -= depth;
  }

  header(tag: BlockTag): Promise<L1Header | undefined> {
    this.asked.push(`header ${tag}`);
    if (tag === "latest" || tag === "pending") return Promise.resolve(this.blocks.at(-1)?.header);
    if (typeof tag === "bigint") return Promise.resolve(this.blocks[Number(tag)]?.header);
    const { safeDepth } = this;
    if (safeDepth === undefined) return Promise.resolve(undefined);
    const depth = tag === "safe" ? safeDepth : 2 * safeDepth;
    return Promise.resolve(this.blocks[Math.max(0, this.height - depth)]?.header);
  }

  block(number: bigint): Promise<FakeBlock | undefined> {
    this.asked.push(`block ${number}`);
    return Promise.resolve(this.blocks[Number(number)]);
  }

  // deno-lint-ignore require-await -- it rejects rather than throws
  async blobs(
    block: Pick<L1Header, "number">,
    hashes: readonly Uint8Array[],
  ): Promise<readonly Uint8Array[]> {
    this.asked.push(`blobs ${block.number}`);
    return hashes.map((hash) => {
      const blob = this.stored.get(toHex(hash));
      if (blob) return blob;
      throw new SourceError("BlobMissing", `Cannot read blob ${toHex(hash)}: it is not there`);
    });
  }

  chainId = () => unasked<bigint>();
  receipt = () => unasked<undefined>();
  knows = () => unasked<boolean>();
  nonce = () => unasked<bigint>();
  balance = () => unasked<bigint>();
  tip = () => unasked<bigint>();
  blobBaseFee = () => unasked<bigint>();
  send = () => unasked<Uint8Array>();
}

function unasked<T>(): Promise<T> {
  return Promise.reject(new Error("a reader has no business here"));
}

/** A batch whose bytes tell its number. */
export function batch(number: number, size = 10): CompressedBatch {
  return { batchNumber: BigInt(number), data: noise(size, number) };
}

/** Reads a chain from its start up to the latest block, unless told otherwise. */
export function openInbox(
  chain: FakeChain,
  options: Partial<L1InboxOptions> = {},
  events = new Events(),
  archive?: L1InboxParts["archive"],
): L1Inbox {
  const parts = { chain, blobs: chain, log: events.log, ...(archive ? { archive } : {}) };
  return new L1Inbox(parts, {
    inbox: INBOX,
    batchers: [{ address: BATCHER }],
    head: "latest",
    ...options,
  });
}

/** Reads until caught up: batches by number, and reorganisations by the block to go back to. */
export async function readAll(inbox: L1Inbox): Promise<string[]> {
  const read: string[] = [];
  for (;;) {
    try {
      const each = await inbox.nextBatch();
      if (!each) return read;
      read.push(`${each.batchNumber}@${each.inclusion.blockNumber}`);
    } catch (error) {
      if (!(error instanceof SourceError && error.code === "Reorganised")) throw error;
      equal(error.kind, "reset");
      read.push(`back to ${error.details.block}`);
    }
  }
}
