/**
 * Batches that came too late. Readers drop a batch that lands more than the sequencing window above its L1
 * origin. Once the last block of the window is final, and the batch is not on L1, nobody can ever accept
 * those bytes: the same blocks are sealed anew under the same number, with a newer L1 origin (decision
 * 0022). Before that block is final they are left alone, as the batch may be there on another branch.
 *
 * @module
 */
import { SEQUENCING_WINDOW } from "../config.ts";
import type { BatchSource, Compressor, Log } from "../ports.ts";
import type { L1Batch } from "../types.ts";
import { CHECK_SIZE, decodeBatch, encodeBatch, headerFor } from "../wire/batch.ts";
import { open } from "../wire/envelope.ts";
import type { BatcherJournal, SealedBatch } from "./batcher_journal.ts";
import { sealChecked } from "./sealing.ts";

/** An L1 block. */
interface Mark {
  readonly number: bigint;
  readonly hash: Uint8Array;
}

/** What a batch is sealed anew with. */
export interface Resealing {
  readonly compressor: Compressor;
  /** What the sink takes. */
  readonly maxBytes: number;
  readonly log?: Log;
}

/** What it needs besides. */
export interface ResealingParts extends Resealing {
  readonly journal: Pick<BatcherJournal, "state" | "resealed">;
  /** Opens what was sealed. */
  readonly compressors: readonly Compressor[];
  readonly source: Pick<BatchSource, "l1OriginHash">;
}

/** What L1 is known to hold. */
export interface L1Knowledge {
  /** Up to here it was read. */
  readonly head: bigint;
  /** No reorganisation takes this block. */
  readonly finalBlock: Mark;
  /** Batches that are there before their turn. */
  readonly early: readonly L1Batch[];
}

/** Another header makes a few bytes more or less: so many are tried where it is too large. */
const ORIGINS_TRIED = 8n;

/**
 * Seals anew what can never be accepted as it is.
 *
 * @returns the L1 block that must be final before the rest of what came too late can be sealed anew;
 * `undefined` where nothing else came too late
 */
export async function resealExpired(
  parts: ResealingParts,
  { head, finalBlock, early }: L1Knowledge,
): Promise<bigint | undefined> {
  const { journal, compressors } = parts;
  let waitsFor: bigint | undefined;
  for (const sealed of journal.state.sealed) {
    const raw = await open(sealed.data, compressors);
    const end = decodeBatch(raw).header.l1Origin + SEQUENCING_WINDOW;
    const isThere = early.some(({ batchNumber, inclusion }) =>
      batchNumber === sealed.batchNumber && inclusion.blockNumber <= end
    );
    if (isThere || head < end) continue;
    if (finalBlock.number >= end) await resealAt(parts, sealed, raw, finalBlock);
    else if (waitsFor === undefined || end > waitsFor) waitsFor = end;
  }
  return waitsFor;
}

async function resealAt(
  { journal, compressor, maxBytes, source, log = () => {} }: ResealingParts,
  sealed: SealedBatch,
  raw: Uint8Array,
  finalBlock: Mark,
): Promise<void> {
  const { header, blocks } = decodeBatch(raw);
  const { batchNumber, parentCheck } = header;
  let l1Origin = finalBlock.number;
  for (;;) {
    const hash = l1Origin === finalBlock.number
      ? finalBlock.hash
      : await source.l1OriginHash(l1Origin);
    const l1OriginCheck = hash.slice(0, CHECK_SIZE);
    const anew = headerFor({ batchNumber, l1Origin, l1OriginCheck, parentCheck }, blocks);
    const data = await sealChecked(encodeBatch(anew, blocks), compressor);
    const isLast = l1Origin === 0n || finalBlock.number - l1Origin + 1n === ORIGINS_TRIED;
    if (data.length > maxBytes && !isLast) {
      l1Origin -= 1n;
      continue;
    }
    await journal.resealed({ ...sealed, data });
    return log({
      event: "batch.resealed",
      batchNumber,
      blocks: blocks.length,
      l1Origin,
      l1OriginBefore: header.l1Origin,
      compressedBytes: data.length,
    });
  }
}
