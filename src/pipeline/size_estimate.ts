/**
 * What a batch will compress to, before it is compressed for good: its size at a cheap level, or its raw
 * size by a ratio, times a factor that each real result corrects.
 *
 * Level 11 makes 0.965 to 0.988 of level 6, on blocks of every chain measured, and between batches of one
 * chain the factor moves by less than a hundredth; a cheap measure costs a twenty-fifth of the real thing.
 *
 * @module
 */
import type { Compressor } from "../ports.ts";

/** Real bytes for one at the cheap level, while nothing is known: that of big batches at level 6. */
const FIRST_FACTOR = 0.973;
/** Cheap bytes that the first factor weighs: a quarter of a blob. */
const FIRST_WEIGHT = 32 * 1024;
/** What was learnt this many cheap bytes ago counts half: about one batch of six blobs. */
const HALF_LIFE_BYTES = 768 * 1024;
/** Bounds of {@link SizeEstimate.margin}: more would cost more fill than it saves passes. */
const MARGIN = { first: 0.002, most: 0.004, mostByRatio: 0.02 };

/** Sizes as they can be told without compressing for good. */
export class SizeEstimate {
  readonly #estimator: Compressor | undefined;
  /** Raw bytes for one compressed byte, where there is no cheap compressor. */
  readonly #ratio: number;
  #cheapBytes = FIRST_WEIGHT;
  #realBytes: number;
  #deviation: number;
  #share: number;
  #hasLearnt = false;

  /** @param firstFactor real bytes for one of the estimator's, while nothing is known */
  constructor(compressor: Compressor, estimator?: Compressor, firstFactor: number = FIRST_FACTOR) {
    this.#estimator = estimator;
    this.#ratio = compressor.estimatedRatio();
    this.#realBytes = FIRST_WEIGHT * (estimator ? firstFactor : 1);
    this.#deviation = estimator ? MARGIN.first : 0;
    this.#share = 1 / this.#ratio;
  }

  /** False while there is only a guess: several batches planned by it would all be wrong. */
  get isTrusted(): boolean {
    return this.#hasLearnt;
  }

  /** Compressed bytes for one raw byte, by the last measure. */
  get share(): number {
    return this.#share;
  }

  /** Share of a limit to leave free, since an estimate can be too low. */
  get margin(): number {
    return Math.min(this.#deviation, this.#estimator ? MARGIN.most : MARGIN.mostByRatio);
  }

  /** What a sealed batch of `rawBytes` will come to; `encode` is asked only where they must be seen. */
  async measure(rawBytes: number, encode: () => Uint8Array): Promise<number> {
    // One byte more for the format.
    const cheap = this.#estimator
      ? (await this.#estimator.compress(encode())).length + 1
      : rawBytes / this.#ratio + 1;
    const size = cheap * this.#factor;
    this.#share = size / rawBytes;
    return size;
  }

  /**
   * Takes in one result.
   *
   * @param isMisfit forgets what came before: the estimate was too wrong to be used
   */
  learn(rawBytes: number, estimated: number, real: number, isMisfit: boolean): void {
    const cheap = estimated / this.#factor;
    const kept = isMisfit ? 0 : 2 ** (-cheap / HALF_LIFE_BYTES);
    this.#deviation = (this.#deviation + Math.abs(real / estimated - 1)) / 2;
    this.#cheapBytes = this.#cheapBytes * kept + cheap;
    this.#realBytes = this.#realBytes * kept + real;
    this.#share = this.#estimator ? real / rawBytes : this.#factor / this.#ratio;
    this.#hasLearnt = true;
  }

  get #factor(): number {
    return this.#realBytes / this.#cheapBytes;
  }
}
