/**
 * What a batcher must not forget: the blocks it took, and the batch it sealed (design `durability.md`,
 * "Batcher's journal"). With it, a block once taken is in exactly one batch, though the source cannot
 * give it again, and a sealed batch keeps its bytes.
 *
 * @module
 */
import { WalError } from "../errors.ts";
import type { L2Block, SubmissionReceipt } from "../types.ts";
import { equalBytes } from "../wire/bytes.ts";
import { forgetBefore, openLog, replay } from "../wal/journal_log.ts";
import type { Wal, WalConfig, WalParts } from "../wal/log.ts";
import type { WalRecord } from "../wal/record.ts";
import {
  decodePosition,
  decodeSealed,
  decodeTaken,
  encodePosition,
  encodeSealed,
  encodeTaken,
  type JournalPosition,
  RECORD,
  type SealedBatch,
} from "./journal_records.ts";

export type { JournalPosition, SealedBatch };

/** What a journal tells at its opening. */
export interface JournalState {
  /** `undefined` in a new one. */
  readonly position: JournalPosition | undefined;
  /** Blocks taken and not known to be on L1, in order. */
  readonly taken: readonly L2Block[];
  /** The batches of the first of them, in order, where their bytes are decided: they may be on L1 by now. */
  readonly sealed: readonly SealedBatch[];
}

/** One taken block, and where it stands. */
interface Entry {
  readonly index: number;
  readonly sequence: bigint;
  readonly block: L2Block;
}

/**
 * A batcher's memory in a log of its own. Hand it to {@link BatcherParts} and to `recoverFromJournal()`,
 * which tells where to go on.
 *
 * @example
 * ```ts
 * import {
 *   allCompressors,
 *   BatcherJournal,
 *   BatcherPipeline,
 *   DEFAULT_BATCHER,
 *   DEFAULT_INBOX,
 *   MemoryBatchSource,
 *   MemoryL1,
 *   MemoryStorage,
 *   NoopCompressor,
 *   recoverFromJournal,
 *   systemClock,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const l1 = new MemoryL1();
 * const parts = { storage: new MemoryStorage(), directory: "data/batcher" }; // Or DiskStorage.
 * const { hash: l1BlockHash } = await l1.block(0n);
 * const start = { inbox: DEFAULT_INBOX, batcher: DEFAULT_BATCHER, l1Block: 0n, l1BlockHash };
 *
 * const source = new MemoryBatchSource([{ timestamp: 1000n, transactions: [] }], l1);
 * const journal = await BatcherJournal.open(parts);
 * const position = await recoverFromJournal({
 *   journal,
 *   start,
 *   source,
 *   l1: l1.source(),
 *   compressors: allCompressors(),
 *   clock: systemClock,
 * });
 * const batcher = new BatcherPipeline(
 *   { source, compressor: new NoopCompressor(), sink: l1.sink(), clock: systemClock, journal },
 *   {},
 *   position,
 * );
 * await batcher.tick(); // The block is on disk now.
 * await batcher.shutdown();
 * await journal.close();
 *
 * const again = await BatcherJournal.open(parts);
 * if (again.state.position?.nextBatchNumber !== 1n) throw new Error("it forgot the batch");
 * await again.close();
 * ```
 */
export class BatcherJournal {
  readonly #wal: Wal;
  readonly #directory: string;
  #position: JournalPosition | undefined;
  #entries: Entry[] = [];
  /** Consecutive, from the position on. */
  #sealed: (SealedBatch & { readonly index: number })[] = [];

  private constructor(wal: Wal, directory: string) {
    this.#wal = wal;
    this.#directory = directory;
  }

  /**
   * Opens a journal, and begins one where there is none.
   *
   * @throws {WalError} what opening a log throws; `Corrupted` where it holds what no batcher wrote
   */
  static async open(
    parts: WalParts,
    config: Partial<WalConfig> = {},
  ): Promise<BatcherJournal> {
    return await openLog(parts, config, async (wal) => {
      const journal = new BatcherJournal(wal, parts.directory);
      await replay(wal, (record) => journal.#replay(record), {
        called: (sequence) => `record ${sequence} of the journal in ${parts.directory}`,
        advice: "Move it away to start from L1 alone",
      });
      journal.#forgetConfirmed();
      return journal;
    });
  }

  /** What it tells, as things stand. */
  get state(): JournalState {
    return {
      position: this.#position,
      taken: this.#entries.map(({ block }) => block),
      sealed: this.#sealed,
    };
  }

  /** Blocks ever taken: how many of the source are behind it. */
  get blocks(): number {
    return (this.#position?.blocks ?? 0) + this.#entries.length;
  }

  /**
   * Resolves when `position` is where a restart begins. Blocks in batches before it are forgotten, and
   * those that were taken behind it are kept.
   */
  async moveTo(position: JournalPosition): Promise<void> {
    const sequence = await this.#wal.append(RECORD.position, encodePosition(position));
    this.#position = position;
    this.#forgetConfirmed();
    await forgetBefore(this.#wal, this.#entries[0]?.sequence ?? sequence);
  }

  /** Resolves when `blocks`, the next of the source, would survive a crash. */
  async taken(blocks: readonly L2Block[]): Promise<void> {
    if (blocks.length === 0) return;
    const index = this.blocks;
    const sequence = await this.#wal.append(RECORD.taken, encodeTaken({ index, blocks }));
    for (const [at, block] of blocks.entries()) {
      this.#entries.push({ index: index + at, sequence, block });
    }
  }

  /**
   * The last `blocks` blocks count no more: those that are taken next stand in their place, and until then
   * a restart finds what was there. None of them may be in a sealed batch.
   */
  drop(blocks: number): void {
    this.#entries.length -= blocks;
  }

  /** Resolves when the batch of the next blocks would survive a crash, byte for byte. */
  async sealed(batch: SealedBatch): Promise<void> {
    const last = this.#sealed.at(-1);
    const index = last ? last.index + last.blocks : this.#position?.blocks ?? 0;
    await this.#wal.append(RECORD.sealed, encodeSealed(batch, index));
    this.#sealed.push({ ...batch, index });
  }

  /**
   * Resolves when the same blocks under the same number would survive a crash in other bytes: only for a
   * batch that readers can never accept as it was, see `resealing.ts`.
   */
  async resealed(batch: SealedBatch): Promise<void> {
    const { index } = this.#sealedBefore(batch);
    await this.#wal.append(RECORD.resealed, encodeSealed(batch, index));
    this.#reseal({ ...batch, index });
  }

  /** Resolves when the batch of the first `blocks` blocks, which is on L1, would not be posted again. */
  async confirmed(receipt: SubmissionReceipt, blocks: number): Promise<void> {
    const { position } = this;
    // Written down by a call that failed behind that.
    if (receipt.batchNumber < position.nextBatchNumber) return;
    const { number, hash } = receipt.finalBlock ??
      { number: receipt.l1Block, hash: receipt.l1BlockHash };
    await this.moveTo({
      ...position,
      nextBatchNumber: receipt.batchNumber + 1n,
      blocks: position.blocks + blocks,
      lastBlock: this.#entries[blocks - 1]!.block,
      l1Block: number,
      l1BlockHash: hash,
    });
  }

  async close(): Promise<void> {
    await this.#wal.close();
  }

  /** Where it goes on from; `moveTo()` comes before all else in a new one. */
  get position(): JournalPosition {
    if (this.#position) return this.#position;
    throw new WalError("OutOfRange", `Cannot use the journal in ${this.#directory}: it is empty`);
  }

  #replay({ sequence, type, payload }: WalRecord): void {
    switch (type) {
      case RECORD.position: {
        this.#position = decodePosition(payload);
        return;
      }
      case RECORD.taken: {
        const { index, blocks } = decodeTaken(payload);
        const before = this.#entries.at(-1);
        // Blocks that were found on L1 instead of being taken leave a step behind them.
        const isNext = before === undefined || index <= before.index + 1 ||
          index === this.#position?.blocks;
        if (!isNext) throw new TypeError(`block ${index} follows block ${before.index}`);
        this.#dropFrom(index);
        for (const [at, block] of blocks.entries()) {
          this.#entries.push({ index: index + at, sequence, block });
        }
        return;
      }
      case RECORD.sealed: {
        const sealed = decodeSealed(payload);
        const other = this.#sealed.find((each) => each.batchNumber === sealed.batchNumber);
        if (other && !equalBytes(other.data, sealed.data)) {
          throw new TypeError(`batch ${sealed.batchNumber} was sealed twice`);
        }
        if (!other) this.#sealed.push(sealed);
        return;
      }
      case RECORD.resealed: {
        this.#reseal(decodeSealed(payload));
        return;
      }
      default:
        throw new TypeError(`type ${type} is unknown`);
    }
  }

  #reseal(sealed: SealedBatch & { readonly index: number }): void {
    const before = this.#sealedBefore(sealed);
    this.#sealed = this.#sealed.map((each) => each === before ? sealed : each);
  }

  /** The batch as it was sealed, which had the same blocks. */
  #sealedBefore({ batchNumber, blocks }: SealedBatch): SealedBatch & { readonly index: number } {
    const before = this.#sealed.find((each) => each.batchNumber === batchNumber);
    if (before?.blocks === blocks) return before;
    throw new TypeError(`batch ${batchNumber} of ${blocks} blocks was not sealed before`);
  }

  /** L2 was reorganised: other blocks stand there now. */
  #dropFrom(index: number): void {
    const sealed = this.#sealed.at(-1);
    if (sealed && index < sealed.index + sealed.blocks) {
      throw new TypeError(`block ${index} is in sealed batch ${sealed.batchNumber}`);
    }
    const kept = this.#entries.findLastIndex((each) => each.index < index) + 1;
    this.#entries.length = kept;
  }

  #forgetConfirmed(): void {
    const { nextBatchNumber, blocks } = this.#position ?? { nextBatchNumber: 0n, blocks: 0 };
    this.#entries = this.#entries.filter(({ index }) => index >= blocks);
    const rest = this.#sealed.filter(({ batchNumber }) => batchNumber >= nextBatchNumber);
    this.#sealed = [];
    let next = { batchNumber: nextBatchNumber, index: blocks };
    for (const each of rest) {
      if (each.batchNumber !== next.batchNumber || each.index !== next.index) return;
      this.#sealed.push(each);
      next = { batchNumber: each.batchNumber + 1n, index: each.index + each.blocks };
    }
  }
}
