/**
 * The constants and defaults of the seeds (`montana.md` "Constants", the runners' "Configuration"), and
 * the units that values are written in.
 *
 * @module
 */

/** Maximum compressed batch size: one blob. Where the sink posts blobs, its 130044 usable bytes. */
export const MAX_BATCH_SIZE: number = 128 * 1024;
/** Minimum batch size, so that dust waits for the interval. */
export const MIN_BATCH_SIZE = 1024;
/** Brotli level. */
export const COMPRESSION_LEVEL = 11;
/** Brotli window, log2 of its bytes. */
export const COMPRESSION_WINDOW = 22;
/** Batch submission interval. */
export const BATCH_INTERVAL_MS = 12_000;
/** L1 blocks within which a batch must land. */
export const SEQUENCING_WINDOW = 3600n;
/** Milliseconds between two L1 blocks, at the least. */
export const L1_BLOCK_TIME_MS = 12_000;
/** L1 confirmations until a block is safe. */
export const SAFE_CONFIRMATIONS = 12;
/** Wire format version. */
export const BATCH_VERSION = 0x00;
/** What one batch may decompress to: the bound of readers, so writers keep it too. */
export const MAX_RAW_BATCH_BYTES: number = 64 * 1024 * 1024;

/** When batches are cut and posted. */
export interface PipelineConfig {
  /** Longest wait of a block, and shortest time between two batches that are not full. */
  readonly batchIntervalMs: number;
  /** Limit of a compressed batch. A sink with blobs reads 128 KiB as one full blob. */
  readonly maxBatchBytes: number;
  /** A smaller batch waits for the interval. */
  readonly minBatchBytes: number;
  /** Hard limit, at most 65535. */
  readonly maxBlocksPerBatch: number;
  /** Uncompressed bytes at which a batch is cut, whatever it compresses to. */
  readonly targetRawBytes: number;
  /** Uncompressed bytes that may wait; above it the source is not asked. */
  readonly maxPendingBytes: number;
  /** Batches compressed at the same time; they are submitted in order. */
  readonly maxBatchesAtOnce: number;
  /** However long the interval is, no block waits longer: by default half of the sequencing window. */
  readonly maxWaitMs: number;
}

/** The seed's `PipelineConfig::default()`, with the bounds it lacks. */
export const PIPELINE_DEFAULTS: PipelineConfig = Object.freeze({
  batchIntervalMs: BATCH_INTERVAL_MS,
  maxBatchBytes: MAX_BATCH_SIZE,
  minBatchBytes: MIN_BATCH_SIZE,
  maxBlocksPerBatch: 1000,
  targetRawBytes: MAX_RAW_BATCH_BYTES,
  maxPendingBytes: 2 * MAX_RAW_BATCH_BYTES,
  maxBatchesAtOnce: 1,
  maxWaitMs: Number(SEQUENCING_WINDOW) * L1_BLOCK_TIME_MS / 2,
});

/** What a deriver may hold beside the batch whose blocks it hands over. */
export interface DeriverConfig {
  /** Compressed bytes of batches from the future, while an earlier one is missing. */
  readonly maxWaitingBytes: number;
  /**
   * Bytes of batches read ahead, compressed and not. One being decompressed counts as the largest
   * there may be, 64 MiB, until its size is known; one batch is always read ahead, but with 0 none.
   */
  readonly maxAheadBytes: number;
}

/** 64 MiB wait; ahead is room for the largest batch there may be, and 32 MiB that are ready. */
export const DERIVER_DEFAULTS: DeriverConfig = Object.freeze({
  maxWaitingBytes: 64 * 1024 * 1024,
  maxAheadBytes: MAX_RAW_BATCH_BYTES + 32 * 1024 * 1024,
});
