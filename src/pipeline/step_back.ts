/**
 * What a batcher does when L2 goes another way than was taken: only what no sealed batch holds can be
 * replaced, since a sealed batch may be on L1 (decision 0021).
 *
 * @module
 */
import { PipelineError, SourceError } from "../errors.ts";
import type { BatchSource } from "../ports.ts";
import type { L2Block } from "../types.ts";
import { toHex } from "../wire/hex.ts";

/** Number of the last block that is still L2's; `undefined` where `error` is none that can be helped. */
export function sharedBlock(source: BatchSource, error: unknown): bigint | undefined {
  if (!(error instanceof SourceError) || error.code !== "Reorganised") return undefined;
  const { block } = error.details;
  return typeof block === "bigint" && source.rewind ? block : undefined;
}

/**
 * Refuses to go back behind what was sealed.
 *
 * @param number the last block that is still L2's
 * @param lastSealed the last block in a sealed batch
 * @throws {PipelineError} `Reorganised`
 */
export function mustBeAbove(
  number: bigint,
  lastSealed: L2Block | undefined,
  nextBatchNumber: bigint,
): void {
  const last = lastSealed?.number;
  if (last === undefined || last <= number) return;
  const first = number + 1n;
  const blocks = first === last ? `block ${last}` : `blocks ${first} to ${last}`;
  const hash = lastSealed?.hash;
  throw new PipelineError(
    "Reorganised",
    `Cannot go on: L2 no longer has ${blocks}, which sealed batches up to ${
      nextBatchNumber - 1n
    } ` +
      `hold: they may be on L1, and whoever derives gets the blocks that were sealed. Bring the L2 ` +
      `node back to the chain with block ${last}${
        hash ? ` ${toHex(hash)}` : ""
      } and start again, or ` +
      `post the new chain to another inbox with another --data-dir. Following the safe head instead ` +
      `of the unsafe one avoids this`,
    { details: { first, last, nextBatchNumber } },
  );
}
