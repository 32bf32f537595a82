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
import { countWithin, rawSize, type WaitingBlock } from "./waiting_blocks.ts";

/** Compressed bytes a batch may have. */
export interface SizeLimits {
  /** What the packer aims at. */
  readonly target: number;
  /** What the sink can take at all, for a block that alone is above the target. */
  readonly most: number;
  /** What is paid for whole: the usable bytes of a blob, or the target itself. */
  readonly unit: number;
}

/** What full means: 0.99 of whole blobs, and a little more since an estimate can be too high. */
export const GOOD_FILL = 0.9955;
/** How much more than a full batch is looked at. */
const LITTLE_MORE = 1.03;
/** A smaller limit is measured only where it is likely to be filled by this much more. */
const WORTH_A_MEASURE = 0.003;
/** How often a limit is measured before what is known must do; a smaller one, before it is chosen. */
const MAX_MEASURES = { chosen: 12, smaller: 3 };

/** The limits in bytes; `maxBatchBytes` counts whole blobs where the sink posts blobs. */
export async function sizeLimits(sink: BatchSink, config: PipelineConfig): Promise<SizeLimits> {
  const most = await sink.capacity();
  const blobs = Math.max(1, Math.floor(config.maxBatchBytes / BLOB_SIZE));
  const inBlobs = sink.blobBytes === undefined ? most : blobs * sink.blobBytes;
  const target = Math.min(config.maxBatchBytes, inBlobs, most);
  return { target, most, unit: Math.min(sink.blobBytes ?? target, target) };
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

/** Where a batch is to end. */
export interface Cut {
  readonly count: number;
  /** What it is thought to compress to. */
  readonly size: number;
}

/**
 * Where to end a batch of the first `run` blocks at most: behind all of them where they fit, or at the
 * largest number of units of which the last is full to {@link GOOD_FILL}, or else where the fill is best.
 * Several full blobs are preferred to one, because bigger batches compress better.
 *
 * @param guess.share compressed bytes for one raw byte, as seen so far
 * @param guess.margin share of a limit that is left free
 * @param measure what the first blocks will compress to, as well as it can be told; asked a few times
 */
export async function planCut(
  waiting: readonly WaitingBlock[],
  run: number,
  limits: SizeLimits,
  { share, margin }: { readonly share: number; readonly margin: number },
  measure: (count: number) => Promise<number>,
): Promise<Cut> {
  const within = limits.target * (1 - margin);
  const search = new CutSearch(waiting, run, measure);
  // However much waits, no more is measured than what the batch can hold, and a little.
  let reach = Math.min(run, 1 + countWithin(waiting, LITTLE_MORE * limits.target / share));
  while (reach < run && await search.sizeOf(reach) <= within) reach = Math.min(run, 2 * reach);
  const whole = { count: reach, size: await search.sizeOf(reach) };
  if (run === 1 || whole.size <= within) return whole;

  const measured = async (limit: number, maxMeasures: number) => {
    const count = await search.mostWithin(limit * (1 - margin), limit * GOOD_FILL, maxMeasures);
    return { count, size: await search.sizeOf(count) };
  };
  let best: { readonly limit: number; readonly fill: number } | undefined;
  const most = Math.max(1, Math.floor(limits.target / limits.unit));
  for (let units = most; units > 0; units--) {
    const limit = units * limits.unit;
    if (best && search.guessedFill(limit, margin) < best.fill + WORTH_A_MEASURE) continue;
    const measures = units === most ? MAX_MEASURES.chosen : MAX_MEASURES.smaller;
    const cut = await measured(limit, measures);
    if (cut.count === 0) continue;
    const fill = cut.size / limit;
    if (fill >= GOOD_FILL) return cut;
    if (!best || fill > best.fill) best = { limit, fill };
  }
  // The few measures that chose a limit may have left out a block that fits.
  if (best) return await measured(best.limit, MAX_MEASURES.chosen);
  return { count: 1, size: await search.sizeOf(1) };
}

/** Sizes of the first blocks: those measured, and by them a guess at the others. */
class CutSearch {
  readonly #waiting: readonly WaitingBlock[];
  readonly #run: number;
  readonly #measure: (count: number) => Promise<number>;
  readonly #known = new Map<number, number>([[0, 0]]);

  constructor(
    waiting: readonly WaitingBlock[],
    run: number,
    measure: (count: number) => Promise<number>,
  ) {
    this.#waiting = waiting;
    this.#run = run;
    this.#measure = measure;
  }

  async sizeOf(count: number): Promise<number> {
    const size = this.#known.get(count) ?? await this.#measure(count);
    this.#known.set(count, size);
    return size;
  }

  /** The most that come to at most `limit`, or fewer that come to `enough`; 0 where none are found. */
  async mostWithin(limit: number, enough: number, maxMeasures: number): Promise<number> {
    for (let measures = 0;; measures++) {
      const [fits, tooMany] = this.#bracket(limit);
      const isEnough = this.#known.get(fits)! >= enough;
      if (isEnough || tooMany - fits <= 1 || measures >= maxMeasures) return fits;
      const guess = measures < 4 ? this.#guess(fits, tooMany, limit) : (fits + tooMany) >> 1;
      await this.sizeOf(Math.max(fits + 1, Math.min(tooMany - 1, guess)));
    }
  }

  /** The most known to fit, and the fewest above them known not to. */
  #bracket(limit: number): [number, number] {
    let fits = 0;
    let tooMany = this.#run + 1;
    for (const [count, size] of this.#known) if (size <= limit) fits = Math.max(fits, count);
    for (const [count, size] of this.#known) {
      if (size > limit && count > fits) tooMany = Math.min(tooMany, count);
    }
    return [fits, tooMany];
  }

  /** What whole blocks would fill of `limit`, by the sizes known so far. */
  guessedFill(limit: number, margin: number): number {
    const within = limit * (1 - margin);
    const [fits, tooMany] = this.#bracket(within);
    const known = this.#known.get(fits)!;
    const count = Math.max(fits, Math.min(tooMany - 1, this.#guess(fits, tooMany, within)));
    if (count === fits) return known / limit;
    const from = rawSize(this.#waiting, fits);
    return (known + (rawSize(this.#waiting, count) - from) * this.#slope(fits, tooMany)) / limit;
  }

  /** By raw bytes, on the line between the two. */
  #guess(fits: number, tooMany: number, limit: number): number {
    if (!this.#known.has(tooMany)) return (fits + tooMany) >> 1;
    const from = rawSize(this.#waiting, fits);
    const rawBytes = from + (limit - this.#known.get(fits)!) / this.#slope(fits, tooMany);
    return countWithin(this.#waiting, rawBytes);
  }

  /** Compressed bytes for one raw byte between the two. */
  #slope(fits: number, tooMany: number): number {
    const high = this.#known.get(tooMany);
    if (high === undefined) return 0;
    const rawBytes = rawSize(this.#waiting, tooMany) - rawSize(this.#waiting, fits);
    return (high - this.#known.get(fits)!) / rawBytes;
  }
}

/** The error for a block that no batch can hold. */
export function blockTooLarge(block: L2Block, size: number, max: number): PipelineError {
  const name = block.number ?? `of timestamp ${block.timestamp}`;
  return new PipelineError(
    "BlockTooLarge",
    `Cannot post block ${name}: alone it compresses to ${size} bytes, and one transaction takes ` +
      `${max} at most; the chain must make smaller blocks`,
    { details: { block: block.number, size, max } },
  );
}
