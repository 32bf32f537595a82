/**
 * The inbox of an embedded L1: a sink that posts batches to it, and a source that reads them back, over
 * whatever keeps the blocks: a directory or memory.
 *
 * @module
 */
import { allCompressors } from "../compress/formats.ts";
import { CodecError, CompressionError, SinkError, SourceError } from "../errors.ts";
import type { BatchSink, Clock, L1BatchSource, L1Heads, Log } from "../ports.ts";
import type { CompressedBatch, L1Batch, SubmissionReceipt } from "../types.ts";
import { decodeBatch } from "../wire/batch.ts";
import { batchOfBlobs, BLOB_CAPACITY, MAX_BLOBS_PER_TX, toBlobs } from "../wire/blob.ts";
import { equalBytes } from "../wire/bytes.ts";
import { open } from "../wire/envelope.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import { batchCalldata, blobCalldata, CALLDATA_CAPACITY, parseCalldata } from "../wire/inbox.ts";
import type { L1Block, L1Transaction, L1TransactionDraft } from "./l1_block.ts";

/** The inbox address used where none is given: `0x4242…42`. */
export const DEFAULT_INBOX: Uint8Array = new Uint8Array(20).fill(0x42);
/** The batcher's address used where none is given: the first account of anvil. */
export const DEFAULT_BATCHER: Uint8Array = fromHex(
  "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
  "address",
);

/** Which L1 blocks count as there. */
export type L1Head = "latest" | "safe" | "finalized";

/** What tells which L1 block a batch names. */
export interface OriginL1 {
  /** Number of the last block that no longer changes. */
  head(tag: "safe"): Promise<bigint>;
  block(number: bigint): Promise<{ readonly hash: Uint8Array }>;
}

/** What keeps the blocks of an embedded L1. */
export interface LocalL1 extends OriginL1 {
  /** Number of the last block, of the last safe one, or of the last final one. */
  head(tag: L1Head): Promise<bigint>;
  /** @throws {SourceError} `Damaged` when a block up to the head is missing or not as written */
  block(number: bigint): Promise<L1Block>;
  /** @throws {SourceError} `Damaged` when it is missing or not as written */
  blob(hash: Uint8Array): Promise<Uint8Array>;
  /**
   * Adds a block, whole or not at all.
   *
   * @param check asked with the block that the new one will follow; where it throws, nothing is added
   */
  mine(
    drafts: readonly L1TransactionDraft[],
    timestamp: bigint,
    check?: (parent: L1Block) => Promise<void>,
  ): Promise<L1Block>;
  /** @throws {SinkError} when nothing could be added now */
  check(): Promise<void>;
}

/** How batches are posted. */
export interface InboxSinkOptions {
  readonly clock: Clock;
  /** 20 bytes; {@link DEFAULT_INBOX} otherwise. */
  readonly inbox?: Uint8Array;
  /** 20 bytes; {@link DEFAULT_BATCHER} otherwise. */
  readonly from?: Uint8Array;
  /** Where the data goes; blobs otherwise. */
  readonly da?: "blobs" | "calldata";
  /** Blobs of one transaction, 1 to 6; 6 otherwise. */
  readonly maxBlobs?: number;
  /** The L1 block up to which batches were looked at; the head at the first submission otherwise. */
  readonly seenBlock?: bigint;
}

/**
 * Posts each batch in a block of its own, unless somebody else posts under the same name: of two batches
 * with one number readers take the first, and the blocks of the other would be lost.
 */
export class InboxSink implements BatchSink {
  readonly blobBytes?: number;
  readonly #l1: LocalL1;
  readonly #clock: Clock;
  readonly #inbox: Uint8Array;
  readonly #from: Uint8Array;
  readonly #capacity: number;
  /** Transactions of this sink since `#seenBlock`. */
  readonly #own = new Set<string>();
  #seenBlock: bigint | undefined;

  constructor(l1: LocalL1, options: InboxSinkOptions) {
    this.#l1 = l1;
    this.#clock = options.clock;
    this.#inbox = options.inbox ?? DEFAULT_INBOX;
    this.#from = options.from ?? DEFAULT_BATCHER;
    this.#seenBlock = options.seenBlock;
    if (options.da === "calldata") {
      this.#capacity = CALLDATA_CAPACITY;
    } else {
      this.blobBytes = BLOB_CAPACITY;
      this.#capacity = BLOB_CAPACITY * (options.maxBlobs ?? MAX_BLOBS_PER_TX);
    }
  }

  capacity(): Promise<number> {
    return Promise.resolve(this.#capacity);
  }

  async healthCheck(): Promise<void> {
    await this.#l1.check();
  }

  async submit(batch: CompressedBatch): Promise<SubmissionReceipt> {
    if (batch.data.length > this.#capacity) {
      throw new SinkError(
        "TooLarge",
        `Cannot submit batch ${batch.batchNumber}: ${batch.data.length} bytes, a transaction here ` +
          `takes ${this.#capacity}`,
        { details: { size: batch.data.length, max: this.#capacity } },
      );
    }
    const isBlob = this.blobBytes !== undefined;
    const draft: L1TransactionDraft = {
      from: this.#from,
      to: this.#inbox,
      input: isBlob ? blobCalldata(batch.batchNumber) : batchCalldata(batch),
      blobs: isBlob ? toBlobs(batch.data) : [],
    };
    const timestamp = BigInt(Math.floor(this.#clock.now() / 1000));
    const block = await this.#l1.mine(
      [draft],
      timestamp,
      (parent) => this.#refuseRival(parent, batch),
    );
    const [transaction] = block.transactions;
    this.#own.add(toHex(transaction!.hash));
    return {
      batchNumber: batch.batchNumber,
      txHash: transaction!.hash,
      l1Block: block.number,
      l1BlockHash: block.hash,
      blobHashes: transaction!.blobHashes,
    };
  }

  /** Looks through the blocks that came since the last submission. */
  async #refuseRival(parent: L1Block, batch: CompressedBatch): Promise<void> {
    for (let number = (this.#seenBlock ?? parent.number) + 1n; number <= parent.number; number++) {
      const block = number === parent.number ? parent : await this.#l1.block(number);
      for (const transaction of block.transactions) {
        if (!equalBytes(transaction.from, this.#from)) continue;
        if (!equalBytes(transaction.to, this.#inbox)) continue;
        if (this.#own.delete(toHex(transaction.hash))) continue;
        const rival = await readBatch(this.#l1, transaction);
        if (!rival || rival.batchNumber < batch.batchNumber) continue;
        if (equalBytes(rival.data, batch.data) || !await isWhole(rival)) continue;
        throw new SinkError(
          "TxFailed",
          `Cannot post batch ${batch.batchNumber}: somebody else posted batch ` +
            `${rival.batchNumber} in L1 block ${number} as ${
              toHex(this.#from)
            }; one batcher at a ` +
            `time may post to an inbox`,
          { details: { batch: batch.batchNumber, rival: rival.batchNumber, l1Block: number } },
        );
      }
    }
    this.#seenBlock = parent.number;
  }
}

/** Whether readers could accept it: what none can decode is in nobody's way. */
async function isWhole({ batchNumber, data }: CompressedBatch): Promise<boolean> {
  try {
    return decodeBatch(await open(data, allCompressors())).header.batchNumber === batchNumber;
  } catch (error) {
    if (error instanceof CodecError || error instanceof CompressionError) return false;
    throw error;
  }
}

/** How batches are read. */
export interface InboxSourceOptions {
  /** 20 bytes; {@link DEFAULT_INBOX} otherwise. */
  readonly inbox?: Uint8Array;
  /** 20 bytes each: whose transactions count; {@link DEFAULT_BATCHER} otherwise. */
  readonly batchers?: readonly Uint8Array[];
  /** The first L1 block to read; 0 otherwise. */
  readonly startBlock?: bigint;
  /** How far to read; to the safe head otherwise. */
  readonly head?: L1Head;
  readonly log?: Log;
}

/** Reads batches in L1 order, every transaction of every block. */
export class InboxSource implements L1BatchSource {
  readonly #l1: LocalL1;
  readonly #inbox: Uint8Array;
  readonly #batchers: readonly Uint8Array[];
  readonly #head: L1Head;
  readonly #log: Log;
  #nextBlock: bigint;
  /** When it was looked at last. */
  #knownHead = -1n;
  #previous: L1Block | undefined;
  #block: L1Block | undefined;
  #nextTransaction = 0;

  constructor(l1: LocalL1, options: InboxSourceOptions = {}) {
    this.#l1 = l1;
    this.#inbox = options.inbox ?? DEFAULT_INBOX;
    this.#batchers = options.batchers ?? [DEFAULT_BATCHER];
    this.#head = options.head ?? "safe";
    this.#log = options.log ?? (() => {});
    this.#nextBlock = options.startBlock ?? 0n;
  }

  /** The next L1 block to read, and the head as it was last seen; -1 before. */
  get standing(): { readonly next: bigint; readonly head: bigint } {
    return { next: this.#nextBlock, head: this.#knownHead };
  }

  l1Head(): Promise<bigint> {
    return this.#l1.head(this.#head);
  }

  async l1Heads(): Promise<L1Heads> {
    const finalized = await this.#l1.head("finalized");
    return { safe: await this.#l1.head("safe"), finalized };
  }

  async l1BlockHash(number: bigint): Promise<Uint8Array | undefined> {
    if (number > await this.#l1.head("latest")) return undefined;
    return (await this.#l1.block(number)).hash;
  }

  /** @throws {SourceError} `Damaged`; the next call tries the same transaction again */
  async nextBatch(): Promise<L1Batch | undefined> {
    for (;;) {
      const block = this.#block ?? await this.#advance();
      if (!block) return undefined;
      const transaction = block.transactions[this.#nextTransaction];
      if (!transaction) {
        this.#previous = block;
        this.#block = undefined;
        continue;
      }
      const batch = await this.#read(block, transaction);
      this.#nextTransaction += 1;
      if (batch) return batch;
    }
  }

  async #advance(): Promise<L1Block | undefined> {
    this.#knownHead = await this.l1Head();
    if (this.#nextBlock > this.#knownHead) return undefined;
    const block = await this.#l1.block(this.#nextBlock);
    if (this.#previous && !equalBytes(block.parentHash, this.#previous.hash)) {
      throw new SourceError(
        "Damaged",
        `Cannot read L1 block ${block.number}: its parent is ${
          toHex(block.parentHash)
        }, but block ` +
          `${this.#previous.number} is ${toHex(this.#previous.hash)}`,
        { details: { block: block.number } },
      );
    }
    this.#block = block;
    this.#nextBlock += 1n;
    this.#nextTransaction = 0;
    return block;
  }

  async #read(block: L1Block, transaction: L1Transaction): Promise<L1Batch | undefined> {
    if (!equalBytes(transaction.to, this.#inbox)) return undefined;
    const ignored = (reason: "sender" | "calldata") => {
      const { hash: txHash } = transaction;
      this.#log({ event: "transaction.ignored", l1Block: block.number, txHash, reason });
      return undefined;
    };
    if (!this.#batchers.some((batcher) => equalBytes(batcher, transaction.from))) {
      return ignored("sender");
    }
    const call = await readBatch(this.#l1, transaction);
    if (!call) return ignored("calldata");
    return {
      ...call,
      inclusion: {
        blockNumber: block.number,
        blockHash: block.hash,
        timestamp: block.timestamp,
        txHash: transaction.hash,
        blobs: transaction.blobHashes.length,
      },
    };
  }
}

/** The batch of a transaction, from its blobs or its calldata; `undefined` when it carries none. */
async function readBatch(
  l1: LocalL1,
  { input, blobHashes }: L1Transaction,
): Promise<Omit<L1Batch, "inclusion"> | undefined> {
  const call = parseCalldata(input, blobHashes.length);
  if (!call || blobHashes.length === 0) return call;
  const blobs: Uint8Array[] = [];
  for (const hash of blobHashes) blobs.push(await l1.blob(hash));
  return { batchNumber: call.batchNumber, ...batchOfBlobs(blobs) };
}
