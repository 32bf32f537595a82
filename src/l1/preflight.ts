/**
 * Before anything is paid, what would be sent is read back as a reader of L1 reads it (design `ethereum.md`,
 * "Sending" 10): a batch that nobody could derive, or only one with another number, is not posted.
 *
 * @module
 */
import { SEQUENCING_WINDOW } from "../config.ts";
import { describeError, SinkError } from "../errors.ts";
import type { Compressor } from "../ports.ts";
import type { BatchHeader, CompressedBatch } from "../types.ts";
import { decodeBatch } from "../wire/batch.ts";
import { fromBlobs } from "../wire/blob.ts";
import { equalBytes } from "../wire/bytes.ts";
import { open } from "../wire/envelope.ts";
import { parseCalldata } from "../wire/inbox.ts";

/** What a transaction to the inbox carries. */
export interface InboxData {
  readonly input: Uint8Array;
  readonly blobs: readonly Uint8Array[];
}

/**
 * Derives the batch from the very bytes that would be sent.
 *
 * @returns its header
 * @throws {SinkError} `TxFailed` where readers would drop it, with the reason
 */
export async function preflight(
  batch: CompressedBatch,
  { input, blobs }: InboxData,
  compressors: readonly Compressor[],
): Promise<BatchHeader> {
  const { batchNumber } = batch;
  try {
    const said = parseCalldata(input, blobs.length);
    if (said?.batchNumber !== batchNumber) {
      throw new Error(`the calldata says it is batch ${said?.batchNumber}`);
    }
    const data = blobs.length > 0 ? fromBlobs(blobs) : said.data;
    if (!equalBytes(data, batch.data)) throw new Error("the data read back are others");
    const { header } = decodeBatch(await open(data, compressors));
    if (header.batchNumber !== batchNumber) {
      throw new Error(`its header says it is batch ${header.batchNumber}`);
    }
    return header;
  } catch (cause) {
    throw dropped(batchNumber, describeError(cause), cause);
  }
}

/** The error for a batch that no reader would take. */
export function dropped(batchNumber: bigint, why: string, cause?: unknown): SinkError {
  return new SinkError(
    "TxFailed",
    `Cannot post batch ${batchNumber}: readers would drop it: ${why}`,
    { cause, details: { batch: batchNumber } },
  );
}

/** The last L1 block that may include a batch. */
export function deadlineOf({ l1Origin }: BatchHeader): bigint {
  return l1Origin + SEQUENCING_WINDOW;
}
