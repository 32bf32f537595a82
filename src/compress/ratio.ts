/**
 * How much smaller things get: a guess that learns, for planning how many blocks fit.
 *
 * Two sums are kept, raw bytes R and compressed bytes C; the estimate is R / C. They start as if
 * `PRIOR_BYTES` had been compressed at the initial ratio. What was seen before fades with the bytes
 * that pass, not with the number of batches:
 *
 *     f = 2 ^ (-raw / HALF_LIFE_BYTES)
 *     R = R · f + raw
 *     C = C · f + compressed
 *
 * So a batch of a few bytes hardly moves the estimate, whatever it compressed to, and one of
 * several blobs nearly sets it.
 *
 * @module
 */

/** Weight of the guess at the start: half a blob's worth of blocks. */
const PRIOR_BYTES = 256 * 1024;
/** What was seen this many raw bytes ago counts half: about the batch that fills six blobs. */
const HALF_LIFE_BYTES = 4 * 1024 * 1024;

/** A compression ratio as learnt from what was compressed. */
export class RatioEstimate {
  #rawBytes = PRIOR_BYTES;
  #compressedBytes: number;

  /** @param initial raw bytes for one compressed byte, as long as nothing is known */
  constructor(initial: number) {
    this.#compressedBytes = PRIOR_BYTES / initial;
  }

  /** Raw bytes for one compressed byte. */
  get ratio(): number {
    return this.#rawBytes / this.#compressedBytes;
  }

  /** Takes in one result. */
  learn(rawBytes: number, compressedBytes: number): void {
    const kept = 2 ** (-rawBytes / HALF_LIFE_BYTES);
    this.#rawBytes = this.#rawBytes * kept + rawBytes;
    this.#compressedBytes = this.#compressedBytes * kept + compressedBytes;
  }
}
