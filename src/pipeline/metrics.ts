/**
 * The seeds' metrics, by their names there, as plain data made from the events of a flow.
 *
 * @module
 */
import { CodecError, CompressionError, SinkError, SourceError } from "../errors.ts";
import type { DropReason, LogEvent } from "../ports.ts";

/** `BatchSubmissionMetrics` (seed `montana-batch-runner.md`), and its classes of error. */
export interface BatchSubmissionMetrics {
  /** Total number of batches submitted. */
  readonly batches_submitted: number;
  /** Total number of L2 blocks in them. */
  readonly blocks_processed: number;
  /** Total uncompressed batch data, in bytes. */
  readonly bytes_original: number;
  /** Total compressed batch data, in bytes. */
  readonly bytes_compressed: number;
  /** Latest block number submitted, where the source numbers its blocks. */
  readonly latest_block: bigint | undefined;
  /** Average submission latency, in milliseconds. */
  readonly avg_latency_ms: number;
  /** Times that L2 was reorganised below what had been taken. */
  readonly resets: number;
  /** Blocks taken, and replaced for that. */
  readonly blocks_dropped: number;
  readonly source_errors: number;
  readonly encoding_errors: number;
  readonly compression_errors: number;
  readonly sink_errors: number;
}

/** `DerivationMetrics` (seed `montana-derivation-runner.md`), its classes of error, and the verdicts. */
export interface DerivationMetrics {
  /** Total number of batches successfully derived. */
  readonly batches_derived: number;
  /** Total number of L2 blocks derived. */
  readonly blocks_derived: number;
  /** Total bytes decompressed, in bytes. */
  readonly bytes_decompressed: number;
  /** Average time from submission to derivation, in milliseconds. */
  readonly avg_latency_ms: number;
  /** The batch derived last. */
  readonly latest_batch: bigint | undefined;
  /** Failed to fetch a batch from the source. */
  readonly source_errors: number;
  /** Failed to hand a block to the sink. */
  readonly sink_errors: number;
  /** Batches that could not be decompressed (`DecompressionFailed`). */
  readonly decompression_failed: number;
  /** Times that no batch was available from the source (`EmptyBatch`). */
  readonly empty_polls: number;
  readonly batches_duplicate: number;
  readonly batches_future: number;
  /** By reason. */
  readonly batches_dropped: Readonly<Partial<Record<DropReason, number>>>;
  /** Inbox transactions that are no batch or not from an authorised sender. */
  readonly transactions_ignored: number;
  /** Times that L1 was reorganised below what had been read. */
  readonly resets: number;
  /** Blocks taken back for that. */
  readonly blocks_retracted: number;
}

/** A metrics object while it is being counted. */
type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Counts a batcher's events. */
export class BatchSubmissionCounter {
  readonly #counts: Mutable<BatchSubmissionMetrics> = {
    batches_submitted: 0,
    blocks_processed: 0,
    bytes_original: 0,
    bytes_compressed: 0,
    latest_block: undefined,
    avg_latency_ms: 0,
    resets: 0,
    blocks_dropped: 0,
    source_errors: 0,
    encoding_errors: 0,
    compression_errors: 0,
    sink_errors: 0,
  };
  #latencyMs = 0;
  #toldError: unknown;

  record(event: LogEvent): void {
    const counts = this.#counts;
    if (event.event === "source.failed") {
      // A tick that still had a batch to submit does not throw it.
      counts.source_errors += 1;
      this.#toldError = event.error;
    } else if (event.event === "blocks.dropped") {
      counts.resets += 1;
      counts.blocks_dropped += event.blocks;
    } else if (event.event === "batch.submitted") {
      counts.batches_submitted += 1;
      counts.blocks_processed += event.blocks;
      counts.bytes_original += event.rawBytes;
      counts.bytes_compressed += event.compressedBytes;
      counts.latest_block = event.lastBlock.number ?? counts.latest_block;
      this.#latencyMs += event.latencyMs;
      counts.avg_latency_ms = this.#latencyMs / counts.batches_submitted;
    }
  }

  /** Counts what a tick threw, by class, unless its event was counted. */
  recordError(error: unknown): void {
    if (error === this.#toldError) return;
    if (error instanceof SourceError) this.#counts.source_errors += 1;
    else if (error instanceof CodecError) this.#counts.encoding_errors += 1;
    else if (error instanceof CompressionError) this.#counts.compression_errors += 1;
    else if (error instanceof SinkError) this.#counts.sink_errors += 1;
  }

  snapshot(): BatchSubmissionMetrics {
    return { ...this.#counts };
  }
}

/** Counts a deriver's events. */
export class DerivationCounter {
  readonly #counts: Mutable<DerivationMetrics> = {
    batches_derived: 0,
    blocks_derived: 0,
    bytes_decompressed: 0,
    avg_latency_ms: 0,
    latest_batch: undefined,
    source_errors: 0,
    sink_errors: 0,
    decompression_failed: 0,
    empty_polls: 0,
    batches_duplicate: 0,
    batches_future: 0,
    batches_dropped: {},
    transactions_ignored: 0,
    resets: 0,
    blocks_retracted: 0,
  };
  #latencyMs = 0;

  /** @param submittedAtMs when the batch of an accepted event was submitted, and `nowMs` the time now */
  record(event: LogEvent, submittedAtMs: number, nowMs: number): void {
    const counts = this.#counts;
    switch (event.event) {
      case "batch.accepted":
        counts.batches_derived += 1;
        counts.blocks_derived += event.blocks;
        counts.bytes_decompressed += event.rawBytes;
        counts.latest_batch = event.batch.batchNumber;
        this.#latencyMs += Math.max(0, nowMs - submittedAtMs);
        counts.avg_latency_ms = this.#latencyMs / counts.batches_derived;
        break;
      case "batch.duplicate":
        counts.batches_duplicate += 1;
        break;
      case "batch.future":
        counts.batches_future += 1;
        break;
      case "batch.dropped": {
        const { reason, error } = event;
        const before = counts.batches_dropped[reason] ?? 0;
        counts.batches_dropped = { ...counts.batches_dropped, [reason]: before + 1 };
        if (error instanceof CompressionError) counts.decompression_failed += 1;
        break;
      }
      case "transaction.ignored":
        counts.transactions_ignored += 1;
        break;
      case "derivation.reset":
        counts.resets += 1;
        counts.blocks_retracted += event.blocks;
        break;
    }
  }

  recordEmpty(): void {
    this.#counts.empty_polls += 1;
  }

  /** Counts what a step threw, by class. */
  recordError(error: unknown): void {
    if (error instanceof SourceError) this.#counts.source_errors += 1;
    else if (error instanceof SinkError) this.#counts.sink_errors += 1;
  }

  snapshot(): DerivationMetrics {
    return { ...this.#counts };
  }
}
