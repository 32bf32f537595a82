/**
 * A compressor that costs nothing: runs of one byte become short, and it may take its time, or fail.
 *
 * @module
 */
import { CompressionError } from "../../src/errors.ts";
import type { Compressor } from "../../src/ports.ts";
import type { Run } from "./run.ts";

/** Each run of up to 255 equal bytes as its length and the byte. */
export class RunLengthCompressor implements Compressor {
  readonly name = "runs";
  /** That of "none": nobody else reads it. */
  readonly format = 2;
  readonly #run: Run;
  readonly #slowShare: number;

  constructor(run: Run) {
    this.#run = run;
    this.#slowShare = run.pick([0, 0.5]);
  }

  async compress(data: Uint8Array): Promise<Uint8Array> {
    const run = this.#run;
    if (run.chance(this.#slowShare)) await run.clock.sleep(run.around(1, 2000));
    if (run.mishap(0.01)) {
      run.note("compressor", "fails");
      throw new CompressionError("Failed", "Cannot compress: so it was planned");
    }
    const runs: number[] = [];
    for (let at = 0; at < data.length;) {
      let end = at + 1;
      while (end < data.length && end - at < 255 && data[end] === data[at]) end += 1;
      runs.push(end - at, data[at]!);
      at = end;
    }
    return Uint8Array.from(runs);
  }

  decompress(data: Uint8Array): Promise<Uint8Array> {
    const parts: number[] = [];
    for (let at = 0; at + 1 < data.length; at += 2) {
      for (let count = data[at]!; count > 0; count--) parts.push(data[at + 1]!);
    }
    return Promise.resolve(Uint8Array.from(parts));
  }

  estimatedRatio(): number {
    return 1;
  }
}
