/**
 * Where a batch ends: how many of the waiting blocks one batch can hold.
 *
 * @module
 */
import type { PipelineConfig } from "../config.ts";
import { MAX_RAW_BATCH_BYTES } from "../config.ts";
import { PipelineError } from "../errors.ts";
import type { BatchSink } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { deltaFits, HEADER_SIZE } from "../wire/batch.ts";
import { BLOB_SIZE } from "../wire/blob.ts";

/** A block on its way into a batch. */
export interface WaitingBlock {
  readonly block: L2Block;
  /** Bytes it takes inside a raw batch. */
  readonly size: number;
  /** When it was taken from the source, in milliseconds of the clock. */
  readonly takenAtMs: number;
}

/** Compressed bytes a batch may have. */
export interface SizeLimits {
  /** What the packer aims at. */
  readonly target: number;
  /** What the sink can take at all, for a block that alone is above the target. */
  readonly most: number;
}

/** Above this share of the target a smaller batch is not searched further: a pass costs more. */
const GOOD_FILL = 0.98;

/** The limits in bytes; `maxBatchBytes` counts whole blobs where the sink posts blobs. */
export async function sizeLimits(sink: BatchSink, config: PipelineConfig): Promise<SizeLimits> {
  const most = await sink.capacity();
  const blobs = Math.max(1, Math.floor(config.maxBatchBytes / BLOB_SIZE));
  const inBlobs = sink.blobBytes === undefined ? most : blobs * sink.blobBytes;
  return { target: Math.min(config.maxBatchBytes, inBlobs, most), most };
}

/**
 * How many of the first blocks may stand in one batch before it is compressed: as many as the header
 * counts, as time differences reach, and as the raw size allows; always at least one.
 */
export function longestRun(waiting: readonly WaitingBlock[], config: PipelineConfig): number {
  let rawBytes = HEADER_SIZE;
  for (const [index, { block, size }] of waiting.entries()) {
    rawBytes += size;
    const before = waiting[index - 1]?.block;
    if (before === undefined) continue;
    const fits = index < config.maxBlocksPerBatch && rawBytes <= MAX_RAW_BATCH_BYTES &&
      deltaFits(before.timestamp, block.timestamp);
    if (!fits || rawBytes - size >= HEADER_SIZE + config.targetRawBytes) return index;
  }
  return waiting.length;
}

/**
 * Finds the most of the first `count` blocks whose compressed batch is within the limits, by asking
 * `sealFirst` for a guess, correcting the guess by the result, and halving what is left where that does
 * not settle it.
 *
 * @throws {PipelineError} `BlockTooLarge` where one block alone is above what the sink takes
 */
export async function fitWithin<Sealed extends { readonly data: Uint8Array }>(
  waiting: readonly WaitingBlock[],
  count: number,
  limits: SizeLimits,
  sealFirst: (count: number) => Promise<Sealed>,
  firstGuess: number = count,
): Promise<{ readonly count: number; readonly sealed: Sealed }> {
  let best: { count: number; sealed: Sealed } | undefined;
  let tooMany = count + 1;
  let guess = Math.max(1, Math.min(count, firstGuess));
  for (let pass = 1;; pass++) {
    const sealed = await sealFirst(guess);
    const size = sealed.data.length;
    if (size <= limits.target || (guess === 1 && size <= limits.most)) {
      best = { count: guess, sealed };
    } else if (guess === 1) {
      throw blockTooLarge(waiting[0]!.block, size, limits.most);
    } else {
      tooMany = guess;
    }
    const fewest = best?.count ?? 0;
    if (
      best && (tooMany - fewest <= 1 || size >= limits.target * GOOD_FILL && best.count === guess)
    ) {
      return best;
    }
    const byRatio = countWithin(waiting, rawSize(waiting, guess) * limits.target / size);
    const byHalf = Math.floor((fewest + tooMany) / 2);
    guess = Math.max(fewest + 1, Math.min(tooMany - 1, pass < 4 ? byRatio : byHalf));
  }
}

/** Raw bytes of the first `count` blocks. */
export function rawSize(
  waiting: readonly WaitingBlock[],
  count: number = waiting.length,
): number {
  let size = 0;
  for (let index = 0; index < count; index++) size += waiting[index]!.size;
  return size;
}

/** How many of the first blocks have at most `rawBytes` together. */
export function countWithin(waiting: readonly WaitingBlock[], rawBytes: number): number {
  let size = 0;
  for (const [index, each] of waiting.entries()) {
    size += each.size;
    if (size > rawBytes) return index;
  }
  return waiting.length;
}

function blockTooLarge(block: L2Block, size: number, max: number): PipelineError {
  const name = block.number ?? `of timestamp ${block.timestamp}`;
  return new PipelineError(
    "BlockTooLarge",
    `Cannot post block ${name}: alone it compresses to ${size} bytes, the sink takes ${max}; ` +
      `allow more blobs in one transaction`,
    { details: { block: block.number, size, max } },
  );
}
