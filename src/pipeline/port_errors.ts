/**
 * What the batcher makes of what its ports throw and give.
 *
 * @module
 */
import { describeError, MontanaError, SinkError, SourceError } from "../errors.ts";
import type { L2Block } from "../types.ts";

/** What is not of our families comes from a library below a port: it is asked again. */
export function asSourceError(cause: unknown): MontanaError {
  if (cause instanceof MontanaError) return cause;
  const message = `Cannot ask the source for blocks: ${describeError(cause)}`;
  return new SourceError("Connection", message, { cause });
}

/** As {@link asSourceError}; submitting the same batch again is safe. */
export function asSinkError(cause: unknown): MontanaError {
  if (cause instanceof MontanaError) return cause;
  return new SinkError("Connection", `Cannot submit: ${describeError(cause)}`, { cause });
}

/** The error for a block that is older than the one before it. */
export function backwards(before: L2Block, block: L2Block): SourceError {
  const named = ({ number, timestamp }: L2Block) => `${number ?? "?"} (timestamp ${timestamp})`;
  return new SourceError(
    "InvalidBlock",
    `Cannot take block ${named(block)}: it is older than block ${named(before)} before it`,
    { details: { block: block.number, timestamp: block.timestamp, before: before.timestamp } },
  );
}
