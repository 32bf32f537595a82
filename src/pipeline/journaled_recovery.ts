/**
 * Where a batcher with a journal goes on: the journal tells what it took and sealed, L1 what of it was
 * posted. What came too late for L1 is sealed anew.
 *
 * @module
 */
import type { BatchSource } from "../ports.ts";
import type { L1Batch, L2Block } from "../types.ts";
import { equalBytes } from "../wire/bytes.ts";
import type { BatcherJournal, JournalPosition, SealedBatch } from "./batcher_journal.ts";
import { type RecoveredPosition, recoverPosition, type RecoveryParts } from "./recovery.ts";
import { resealExpired, type Resealing } from "./resealing.ts";

/** What recovery needs besides the journal. */
export interface JournaledRecoveryParts extends RecoveryParts {
  readonly journal: BatcherJournal;
  /** What a new journal is begun with: whose batches, where to, and the head of L1. */
  readonly start: Pick<JournalPosition, "inbox" | "batcher" | "l1Block" | "l1BlockHash">;
  /** What is found above this block may still go: the journal stays at it. */
  readonly finalBlock?: { readonly number: bigint; readonly hash: Uint8Array };
  /** What batches are sealed anew with that came too late; without it, or a final block, they stay. */
  readonly resealing?: Resealing;
}

/** Where a batcher goes on that has a journal. */
export interface JournaledPosition extends RecoveredPosition {
  readonly sealed?: readonly SealedBatch[];
  /**
   * Sealed batches came too late, and may still be found in time on another branch of L1: once this L1
   * block is final, the same call seals them anew. Until then sinks refuse them.
   */
  readonly waitsForFinal?: bigint;
}

/**
 * Derives what was posted behind the journal's position, holds it against what was taken, and writes down
 * what it found. The position comes with the blocks that are not on L1, and with the batches that were
 * sealed and are not there.
 *
 * @throws what {@link recoverPosition} throws; {WalError} where the journal cannot be written
 */
export async function recoverFromJournal(
  parts: JournaledRecoveryParts,
): Promise<JournaledPosition> {
  const { journal, start, signal, resealing } = parts;
  const { position, taken, sealed } = journal.state;
  const source = new JournaledSource(parts.source, taken);
  // Nothing holds a later batch back where an earlier one was refused, or took too long.
  const early: L1Batch[] = [];
  const isOwn = (batch: L1Batch) => {
    const isSealedHere = sealed.some(({ batchNumber, data }) =>
      batchNumber === batch.batchNumber && equalBytes(data, batch.data)
    );
    if (isSealedHere) early.push(batch);
    return isSealedHere;
  };
  const recovered = await recoverPosition({ ...parts, source, isOwn }, position);
  if (signal?.aborted) return recovered;

  const { nextBatchNumber, blocks, lastBlock } = recovered;
  const found = recovered.lastL1Block;
  const { finalBlock } = parts;
  const lastL1Block = found && finalBlock && finalBlock.number < found.number ? finalBlock : found;
  const isNews = position === undefined || nextBatchNumber !== position.nextBatchNumber;
  if (isNews) {
    await journal.moveTo({
      ...(position ?? start),
      nextBatchNumber,
      blocks,
      ...(lastBlock ? { lastBlock } : {}),
      ...(lastL1Block ? { l1Block: lastL1Block.number, l1BlockHash: lastL1Block.hash } : {}),
    });
  }
  const pending = [...recovered.pending, ...source.rest];
  await journal.taken(pending.slice(journal.state.taken.length));
  const head = await parts.l1.l1Head();
  const waitsForFinal = resealing && finalBlock &&
    await resealExpired({ ...parts, ...resealing }, { head, finalBlock, early });
  return {
    ...recovered,
    pending,
    sealed: journal.state.sealed,
    ...(waitsForFinal === undefined ? {} : { waitsForFinal }),
  };
}

/** A source that gives first what was taken from it before. */
class JournaledSource implements BatchSource {
  readonly #source: BatchSource;
  #taken: readonly L2Block[];

  constructor(source: BatchSource, taken: readonly L2Block[]) {
    this.#source = source;
    this.#taken = taken;
  }

  /** What it was not asked for. */
  get rest(): readonly L2Block[] {
    return this.#taken;
  }

  get isExhausted(): boolean {
    return this.#taken.length === 0 && (this.#source.isExhausted ?? true);
  }

  async pendingBlocks(): Promise<readonly L2Block[]> {
    const taken = this.#taken;
    this.#taken = [];
    return taken.length > 0 ? taken : await this.#source.pendingBlocks();
  }

  l1Origin(): Promise<bigint> {
    return this.#source.l1Origin();
  }

  l1OriginHash(number: bigint): Promise<Uint8Array> {
    return this.#source.l1OriginHash(number);
  }

  parentHash(): Promise<Uint8Array> {
    return this.#source.parentHash();
  }
}
