/**
 * Blocks of L2, reported to the batches in the order of their numbers.
 *
 * @module
 */
import { PipelineError, SourceError } from "../errors.ts";
import type { Log } from "../ports.ts";
import { BatchError } from "../superblock.ts";
import type { L2Block } from "../types.ts";
import type { BlockReport, SequencerIntegration } from "./sequencer.ts";

/** What became of a report. */
export interface Reported {
  /** How many of the first are done with: in their batches, or left out as those are closed. */
  readonly blocks: number;
  /** Why the next is not. */
  readonly failure?: { readonly error: unknown };
}

/** Whom blocks are reported to, and who is told of those that are left out. */
export interface BlockReportParts {
  readonly sequencer: Pick<SequencerIntegration, "reportBlock">;
  readonly log?: Log;
  /** Aborted: no further one is reported. */
  readonly signal?: AbortSignal;
}

/**
 * Reports blocks until one fails. What is `TooLate` for its batch is left out, and told of; a `Conflict` is
 * `Reorganised`: batches that are closed hold another L2.
 */
export async function reportBlocks(
  blocks: readonly L2Block[],
  { sequencer, log, signal }: BlockReportParts,
): Promise<Reported> {
  const leftOut: { readonly block: L2Block; readonly error: BatchError }[] = [];
  let done = 0;
  try {
    for (const block of blocks) {
      if (signal?.aborted) break;
      const error = await reportBlock(block, sequencer);
      if (error) leftOut.push({ block, error });
      done += 1;
    }
    return { blocks: done };
  } catch (error) {
    return { blocks: done, failure: { error } };
  } finally {
    const [first, last] = [leftOut[0], leftOut.at(-1)];
    if (first && last) {
      log?.({
        event: "blocks_left_out",
        firstBlock: first.block.number!,
        lastBlock: last.block.number!,
        error: last.error,
      });
    }
  }
}

/** @returns why it is left out, where its batch is closed */
async function reportBlock(
  block: L2Block,
  sequencer: BlockReportParts["sequencer"],
): Promise<BatchError | undefined> {
  try {
    await sequencer.reportBlock(reportOf(block));
    return undefined;
  } catch (error) {
    if (!(error instanceof BatchError)) throw error;
    if (error.code === "TooLate") return error;
    if (error.code !== "Conflict") throw error;
    throw new PipelineError(
      "Reorganised",
      `Cannot report L2's blocks: ${error.message}. What was proved, or is being proved, is of another ` +
        `L2; see which one counts`,
      { cause: error, details: { block: block.number! } },
    );
  }
}

/** @throws {SourceError} `InvalidBlock` where it does not say which block it is */
function reportOf({ number, hash, parentHash, timestamp, transactions }: L2Block): BlockReport {
  if (number !== undefined && hash) {
    return {
      number,
      hash,
      ...(parentHash && { parentHash }),
      timestamp,
      transactions: transactions.length,
    };
  }
  const lacks = [...(number === undefined ? ["number"] : []), ...(hash ? [] : ["hash"])];
  throw new SourceError(
    "InvalidBlock",
    `Cannot report block ${
      number ?? `of timestamp ${timestamp}`
    } to the batches that are proved: it ` +
      `came without its ${
        lacks.join(" and ")
      }. In a file, each line needs "number", and "hash" with 0x ` +
      `and 64 digits; a node gives both`,
    { details: { number, timestamp } },
  );
}
