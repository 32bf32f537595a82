/**
 * The batches that are being compressed, several at once, in the order in which they will be submitted.
 *
 * @module
 */
import { CompressionError } from "../errors.ts";
import type { Compressor, CutReason } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { HEADER_SIZE } from "../wire/batch.ts";
import { equalBytes } from "../wire/bytes.ts";
import { open, seal } from "../wire/envelope.ts";
import type { SizeLimits } from "./packer.ts";
import type { SizeEstimate } from "./size_estimate.ts";
import type { SealedBatch } from "./journal_records.ts";
import { rawSize, type WaitingBlock } from "./waiting_blocks.ts";

/** What is known of the batch that begins with a block, after it was compressed and did not fit. */
export interface Attempt {
  /** The block. */
  readonly first: WaitingBlock;
  /** Results that were not used. */
  readonly tries: number;
  /** Compressions so far, with those of batches behind it that were lost with it. */
  readonly passes: number;
  /** The most blocks that were seen to fit, and the fewest that were not. */
  readonly fits: number;
  readonly tooMany: number;
}

/** What batches are compressed with, and what is known of the sizes it makes. */
export interface Compression {
  readonly compressor: Compressor;
  readonly estimate: SizeEstimate;
}

/** A batch from the moment at which its blocks are chosen. */
export interface BatchInLine {
  readonly batchNumber: bigint;
  readonly blocks: readonly WaitingBlock[];
  readonly rawBytes: number;
  readonly compression: Compression;
  readonly reason: CutReason;
  readonly limits: SizeLimits;
  /** What it was thought to compress to. */
  readonly estimated: number;
  readonly attempt: Attempt;
}

/** Nothing is known yet of the batch that begins with `first`. */
export function firstAttempt(first: WaitingBlock): Attempt {
  return { first, tries: 0, passes: 0, fits: 0, tooMany: Number.MAX_SAFE_INTEGER };
}

/** A batch that an earlier run sealed: it goes out as it was. */
export function restoredBatch(
  { batchNumber, reason, data }: SealedBatch,
  blocks: readonly WaitingBlock[],
  compression: Compression,
): BatchInLine {
  return {
    batchNumber,
    blocks,
    rawBytes: HEADER_SIZE + rawSize(blocks),
    compression,
    reason,
    limits: { target: data.length, most: data.length, unit: data.length },
    estimated: data.length,
    attempt: firstAttempt(blocks[0]!),
  };
}

/** How a result compares with what was planned. */
export type Fit = "fits" | "too large" | "too small" | "spilled";

/** Below this share of the estimate, a batch cut for its size is planned again. */
const FAR_OFF = 0.9;
/** Results that are thrown away though they could be posted, and those after which halves are tried. */
const MAX_TRIES = 3;

/**
 * Whether `size` is what was hoped for. A block alone may have what the sink takes. A batch that was cut
 * to fill its blobs must not begin one more for a few bytes, nor leave much of the last one empty.
 */
export function fitOf(batch: BatchInLine, size: number): Fit {
  const { blocks, limits, estimated, reason, attempt } = batch;
  if (size > (blocks.length === 1 ? limits.most : limits.target)) return "too large";
  if (reason !== "full" || attempt.tries >= MAX_TRIES || blocks.length === 1) return "fits";
  if (Math.ceil(size / limits.unit) > Math.ceil(estimated / limits.unit)) return "spilled";
  return size < FAR_OFF * estimated ? "too small" : "fits";
}

/** What was learnt of a batch that goes back. */
export function nextAttempt({ attempt, blocks }: BatchInLine, fit: Fit, lost: number): Attempt {
  const count = blocks.length;
  const passes = attempt.passes + 1 + lost;
  const tries = attempt.tries + 1;
  // A header can differ by a few bytes from one try to the next, so the newer result counts.
  return fit === "too large"
    ? { ...attempt, passes, tries, fits: Math.min(attempt.fits, count - 1), tooMany: count }
    : { ...attempt, passes, tries, fits: count, tooMany: Math.max(attempt.tooMany, count + 1) };
}

/** `count` blocks, or fewer by what was learnt; each result that was too large makes them fewer. */
export function withinAttempt(count: number, { tries, fits, tooMany }: Attempt): number {
  const most = tries < MAX_TRIES ? tooMany - 1 : Math.floor((fits + tooMany) / 2);
  return Math.max(1, Math.min(count, most));
}

interface Entry {
  readonly batch: BatchInLine;
  readonly data: Promise<Uint8Array>;
}

/** Batches in order, each compressed from the moment it is added. */
export class SealingLine {
  #line: Entry[] = [];
  #lost: Promise<unknown> = Promise.resolve();

  get length(): number {
    return this.#line.length;
  }

  /** Blocks in the whole line. */
  get blocks(): number {
    return this.#line.reduce((sum, { batch }) => sum + batch.blocks.length, 0);
  }

  /** Raw bytes in the whole line. */
  get rawBytes(): number {
    return this.#line.reduce((sum, { batch }) => sum + batch.rawBytes, 0);
  }

  /** The block after which the next batch begins. */
  get lastBlock(): L2Block | undefined {
    return this.#line.at(-1)?.batch.blocks.at(-1)?.block;
  }

  get first(): BatchInLine | undefined {
    return this.#line[0]?.batch;
  }

  /** Begins to compress `raw`, the batch. */
  add(batch: BatchInLine, raw: Uint8Array): void {
    const data = sealChecked(raw, batch.compression.compressor);
    data.catch(() => {}); // It is thrown when the batch is the first in line.
    this.#line.push({ batch, data });
  }

  /** The bytes of the first, the same at each call; throws what the compressor threw. */
  async sealed(): Promise<Uint8Array> {
    return await this.#line[0]!.data;
  }

  /** Lets the first go. */
  shift(): void {
    this.#line.shift();
  }

  /** Empties the line and gives back what was in it, in order. */
  takeBack(): readonly BatchInLine[] {
    const line = this.#line;
    this.#line = [];
    this.#lost = Promise.allSettled([this.#lost, ...line.map((each) => each.data)]);
    return line.map((each) => each.batch);
  }

  /** Resolves when nothing that was taken back is being compressed any more. */
  async settled(): Promise<void> {
    await this.#lost;
  }
}

/** Compresses, and refuses what does not come back as it was: it could never be derived. */
export async function sealChecked(raw: Uint8Array, compressor: Compressor): Promise<Uint8Array> {
  const data = await seal(raw, compressor);
  if (equalBytes(await open(data, [compressor]), raw)) return data;
  throw new CompressionError(
    "Failed",
    `Cannot use ${compressor.name}: ${raw.length} bytes did not come back as they were`,
    { details: { size: raw.length } },
  );
}
