/**
 * Where `montana batcher` goes on: by its journal, where it has one, and by what stands on L1.
 *
 * @module
 */
import { allCompressors } from "../compress/formats.ts";
import type { ResumePoint } from "../local/file_block_source.ts";
import type { BatcherJournal } from "../pipeline/batcher_journal.ts";
import { type JournaledPosition, recoverFromJournal } from "../pipeline/journaled_recovery.ts";
import { type RecoveredPosition, recoverPosition } from "../pipeline/recovery.ts";
import type { Resealing } from "../pipeline/resealing.ts";
import { systemClock, writeStderr } from "../runtime.ts";
import type { BatchSource } from "../ports.ts";
import type { DerivedBlock, L1Batch, L2Block } from "../types.ts";
import type { BatcherL1 } from "./batcher_l1.ts";
import { mustBeSameL1, type RoleL1 } from "./l1.ts";
import type { Addresses } from "./l1_flags.ts";
import { countOf } from "./text.ts";

/** Where a batcher works. */
export interface BatcherPlace
  extends Pick<BatcherL1, "l1" | "addresses" | "finalBlock" | "isWatched"> {
  /** Without `--data-dir` there is none. */
  readonly journal: BatcherJournal | undefined;
  /** What a batch is sealed anew with that came too late. */
  readonly resealing: Resealing;
  readonly signal: AbortSignal;
}

/** Between two looks whether an L1 block is final. */
const FINAL_WAIT_MS = 1000;

/** Refuses a journal that belongs to another L1, inbox or batcher. */
export async function mustBelong(
  journal: BatcherJournal | undefined,
  { l1, addresses, dataDir }: {
    readonly l1: RoleL1;
    readonly addresses: Addresses;
    readonly dataDir: string | undefined;
  },
): Promise<void> {
  const position = journal?.state.position;
  if (!position) return;
  const { l1Block: number, l1BlockHash: hash, inbox, batcher } = position;
  await mustBeSameL1(l1, addresses, { number, hash, inbox, batcher }, dataDir!);
}

/**
 * What was posted, by the journal and by L1, whatever happened to the run before. Where batches came too late,
 * it waits until that is sure, and seals them anew.
 */
export async function findPosition(
  place: BatcherPlace,
  source: BatchSource,
): Promise<RecoveredPosition> {
  for (let isTold = false;; isTold = true) {
    const position = await lookForPosition(place, source);
    const { waitsForFinal } = position;
    if (waitsForFinal === undefined || place.signal.aborted) return position;
    if (!isTold) {
      writeStderr(
        `waiting until L1 block ${waitsForFinal} is final: batch ${position.nextBatchNumber} came too ` +
          `late, and is sealed anew with a newer L1 origin once it can be nowhere on L1`,
      );
    }
    await untilFinal(place, waitsForFinal);
  }
}

async function untilFinal({ finalBlock, signal }: BatcherPlace, number: bigint): Promise<void> {
  while (!signal.aborted && (await finalBlock()).number < number) {
    await systemClock.sleep(FINAL_WAIT_MS, signal);
  }
}

async function lookForPosition(
  place: BatcherPlace,
  source: BatchSource,
): Promise<JournaledPosition> {
  const { l1, journal, addresses, resealing, signal } = place;
  const finalBlock = await place.finalBlock();
  const known = journal?.state.position;
  const reader = l1.reader({
    addresses,
    head: "latest",
    startBlock: known ? known.l1Block + 1n : 0n,
  });
  const parts = {
    l1: reader,
    compressors: allCompressors(),
    source,
    clock: systemClock,
    signal,
    isSure: ({ blockNumber, txHash }: L1Batch["inclusion"]) =>
      blockNumber <= finalBlock.number || place.isWatched(txHash),
    onWait: ({ batchNumber, timestamp }: DerivedBlock) =>
      writeStderr(
        `waiting for the source: L1 holds a block of timestamp ${timestamp}, in batch ` +
          `${batchNumber}, that it has not given yet`,
      ),
  };
  try {
    if (!journal) return await recoverPosition(parts);
    const start = { ...addresses, l1Block: finalBlock.number, l1BlockHash: finalBlock.hash };
    return await recoverFromJournal({ ...parts, journal, start, finalBlock, resealing });
  } finally {
    await reader.stop?.();
  }
}

/** Where the source goes on behind what was taken from it. */
export function resumeOf(journal: BatcherJournal | undefined): { resume?: ResumePoint } {
  if (!journal) return {};
  const lastBlock = journal.state.taken.at(-1) ?? journal.state.position?.lastBlock;
  return lastBlock ? { resume: { blocks: journal.blocks, lastBlock } } : {};
}

/** The end of what was taken, for a source that is asked for what follows. */
export function takenOf(journal: BatcherJournal | undefined): readonly L2Block[] {
  const lastBlock = journal?.state.position?.lastBlock;
  return [...lastBlock ? [lastBlock] : [], ...journal?.state.taken ?? []];
}

/** Tells where it goes on, unless it begins. */
export function tellPosition(
  { nextBatchNumber, blocks }: RecoveredPosition,
  journal: BatcherJournal | undefined,
): void {
  const taken = journal?.state.taken.length ?? 0;
  if (nextBatchNumber === 0n && taken === 0) return;
  const kept = taken === 0 ? "" : `; ${countOf(taken, "block")} more were taken before`;
  writeStderr(`going on with batch ${nextBatchNumber}, after ${countOf(blocks, "block")}${kept}`);
}
