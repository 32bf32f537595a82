/**
 * What a batcher is made of, and where it goes on.
 *
 * @module
 */
import type { BatchCodec, BatchSink, BatchSource, Clock, Compressor, Log } from "../ports.ts";
import type { L2Block } from "../types.ts";
import type { BatcherJournal, SealedBatch } from "./batcher_journal.ts";

/** What a batcher is made of. */
export interface BatcherParts {
  readonly source: BatchSource;
  readonly compressor: Compressor;
  readonly sink: BatchSink;
  readonly clock: Clock;
  /** A cheap one, to plan with; without it batches are planned by the ratio seen so far. */
  readonly estimator?: Compressor;
  /** The same at lower levels, from the best to the fastest, for when it cannot keep up. */
  readonly faster?: readonly Compressor[];
  readonly codec?: BatchCodec;
  /** Where taken blocks and the sealed batch outlive a crash, opened and moved to the position. */
  readonly journal?: Pick<BatcherJournal, "taken" | "drop" | "sealed" | "confirmed">;
  readonly log?: Log;
}

/** Where a batcher goes on. */
export interface BatcherPosition {
  readonly nextBatchNumber: bigint;
  /** The last block of the batch before, where there is one. */
  readonly lastBlock?: L2Block;
  /** Blocks taken from the source already, that no batch holds yet. */
  readonly pending?: readonly L2Block[];
  /** The batches of the first of them, in order, where their bytes are decided. */
  readonly sealed?: readonly SealedBatch[];
}
