/**
 * The L1 transaction that carries a batch to the inbox (design `wire-format.md`, "L1 transaction").
 *
 * | kind     | calldata                                           | data                |
 * | -------- | -------------------------------------------------- | ------------------- |
 * | blobs    | `batch_number u64 little-endian`                   | the blobs, in order |
 * | calldata | `batch_number u64 little-endian ‖ compressed batch` |                     |
 *
 * @module
 */
import type { CompressedBatch } from "../types.ts";
import { Writer } from "./bytes.ts";

/** The most calldata of one transaction that nodes pass on (128 KiB), less what surrounds it. */
export const CALLDATA_CAPACITY = 120_000;

const NUMBER_SIZE = 8;

/** Calldata of the transaction whose blobs carry the batch. */
export function blobCalldata(batchNumber: bigint): Uint8Array {
  const writer = new Writer(NUMBER_SIZE);
  writer.u64(batchNumber);
  return writer.bytes;
}

/** Calldata that carries the batch itself. */
export function batchCalldata({ batchNumber, data }: CompressedBatch): Uint8Array {
  const writer = new Writer(NUMBER_SIZE + data.length);
  writer.u64(batchNumber);
  writer.raw(data);
  return writer.bytes;
}

/** What calldata says: a number alone goes with blobs, a number and data without. */
export function parseCalldata(input: Uint8Array, blobs: number): CompressedBatch | undefined {
  const isBatch = blobs > 0 ? input.length === NUMBER_SIZE : input.length > NUMBER_SIZE;
  if (!isBatch) return undefined;
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  return { batchNumber: view.getBigUint64(0, true), data: input.subarray(NUMBER_SIZE) };
}
