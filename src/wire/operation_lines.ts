/**
 * Operations as lines: how handlers outside of this process get a batch.
 *
 * @module
 */
import { HandlerError } from "../errors.ts";
import type { Operation, OperationBatch } from "../types.ts";

/** Ends a line. */
export const NEWLINE = 0x0a;

/**
 * Each operation with a newline behind it.
 *
 * @throws {HandlerError} `Rejected` when one holds a newline: nobody could tell where it ends
 */
export function toLines(
  { first, last }: Pick<OperationBatch, "first" | "last">,
  operations: readonly Operation[],
): Uint8Array {
  const size = operations.reduce((sum, { data }) => sum + data.length + 1, 0);
  const lines = new Uint8Array(size);
  let at = 0;
  for (const { sequence, data } of operations) {
    if (data.includes(NEWLINE)) {
      throw new HandlerError(
        "Rejected",
        `Cannot write batch ${first}-${last} as lines: operation ${sequence} holds a newline`,
        { details: { sequence } },
      );
    }
    lines.set(data, at);
    at += data.length;
    lines[at++] = NEWLINE;
  }
  return lines;
}
