/**
 * The flags that say how blocks are packed into batches.
 *
 * @module
 */
import { availableParallelism } from "node:os";
import type { PipelineConfig } from "../config.ts";
import { MAX_U16 } from "../wire/batch.ts";
import { BLOB_SIZE, MAX_BLOBS_PER_TX } from "../wire/blob.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import { parseCount, parseDuration, parseSize } from "./options.ts";

/** Bounds of batches, and when one is due. */
export const PACKING_FLAGS: readonly Flag[] = [
  { flags: "--max-blocks-per-batch <n>", help: "1 to 65535", value: "1000" },
  {
    flags: "--max-blobs <n>",
    help: "blobs of one batch, 1 to 6, unless one block needs more",
    value: `${MAX_BLOBS_PER_TX}`,
  },
  {
    flags: "--min-batch-bytes <size>",
    help: "a smaller batch waits for the interval",
    value: "1KiB",
  },
  { flags: "--batch-interval <time>", help: "longest wait of a block", value: "12s" },
  {
    flags: "--workers <n>",
    help: "batches compressed at once",
    value: `${availableParallelism()}`,
  },
];

/** How blocks are packed. */
export interface Packing {
  /** Batches compressed at once. */
  readonly workers: number;
  readonly maxBlobs: number;
  readonly config: Omit<PipelineConfig, "targetRawBytes" | "maxPendingBytes" | "maxWaitMs">;
}

/** What the flags say of it. */
export function packingFrom(flags: FlagValues): Packing {
  const text = (name: string) => textOf(flags, name) ?? "";
  const workers = parseCount("--workers", text("workers"), 1, 64);
  const maxBlobs = parseCount("--max-blobs", text("maxBlobs"), 1, MAX_BLOBS_PER_TX);
  return {
    workers,
    maxBlobs,
    config: {
      batchIntervalMs: parseDuration("--batch-interval", text("batchInterval")),
      maxBatchBytes: maxBlobs * BLOB_SIZE,
      minBatchBytes: parseSize("--min-batch-bytes", text("minBatchBytes")),
      // One more is planned, and waits for the worker that is free first.
      maxBatchesAtOnce: workers + 1,
      maxBlocksPerBatch: parseCount(
        "--max-blocks-per-batch",
        text("maxBlocksPerBatch"),
        1,
        MAX_U16,
      ),
    },
  };
}
