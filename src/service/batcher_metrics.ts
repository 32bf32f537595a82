/**
 * Metrics of a batcher: blocks that it takes, batches that it seals and submits.
 *
 * @module
 */
import type { Clock, CutReason } from "../ports.ts";
import { BLOB_CAPACITY } from "../wire/blob.ts";
import { counter, gauge, histogram, type MetricChapter } from "./metric_chapter.ts";
import type { Metrics } from "./metrics.ts";

const RATIOS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20];
const FILLS = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1];
/** From a directory on this machine to a market that is too dear for hours. */
const SUBMIT_SECONDS = [0.1, 1, 5, 12, 24, 36, 60, 120, 300, 900, 3600, 14_400];

const REASONS: readonly CutReason[] = [
  ...["full", "interval", "blocks", "size", "timestamp", "window", "shutdown", "manual"] as const,
];
const SINKS = ["blobs", "calldata"] as const;

const SPECS = {
  montana_blocks_taken_total: counter("Blocks of L2 that were taken"),
  montana_blocks_processed_total: counter("Blocks of L2 in batches that were submitted"),
  montana_blocks_dropped_total: counter(
    "Blocks that were taken, and replaced as L2 went another way",
  ),
  montana_l2_reorganisations_total: counter("Times that L2 went another way below what was taken"),
  montana_l2_stalls_total: counter("Times that no node of L2 told a newer block for long"),
  montana_source_failures_total: counter("Failures to read blocks of L2"),
  montana_deposits_left_out_total: counter("Transactions that L1 made, and that are in no batch"),
  montana_batches_sealed_total: counter(
    "Batches by why they ended where they did",
    "reason",
    REASONS,
  ),
  montana_batches_resealed_total: counter("Batches that were sealed anew as they came too late"),
  montana_batches_submitted_total: counter("Batches in a block of L1", "sink", SINKS),
  montana_batch_uncompressed_bytes_total: counter("Bytes of submitted batches before compression"),
  montana_batch_compressed_bytes_total: counter("Bytes of submitted batches after compression"),
  montana_batch_compression_ratio: histogram("Bytes before for one after compression", RATIOS),
  montana_blobs_submitted_total: counter("Blobs of submitted batches"),
  montana_blob_fill_ratio: histogram("Of the room in a batch's blobs, what it took", FILLS),
  montana_submit_duration_seconds: histogram("Time of a batch on its way to L1", SUBMIT_SECONDS),
  montana_submit_retries_total: counter("Submissions that failed, and were tried again"),
  montana_submit_failures_total: counter("Submissions that failed; the batch is kept"),
  montana_sink_fallbacks_total: counter("Batches that went to the second sink"),
  montana_da_switches_total: counter("Times that data went another way from then on", "to", SINKS),
  montana_batches_audited_total: counter("Batches fetched again from L1", "result", [
    "same",
    "different",
  ]),
  montana_compression_level_changes_total: counter(
    "Times that compression was made cheaper or better",
    "reason",
    ["behind", "caught up"],
  ),
  montana_throttle_intensity_ratio: gauge("How much sequencers are held back"),
  montana_throttle_failures_total: counter("Times that a sequencer did not take a limit"),
  montana_batcher_last_confirmed_timestamp_seconds: gauge("When a batch was last confirmed"),
  montana_batcher_pending_blocks: gauge("Blocks that were taken and are not submitted"),
  montana_batcher_pending_bytes: gauge("Compressed bytes to be submitted, as far as known"),
};

/** How a batcher stands: a `BatchSubmissionRunner`. */
export interface ServedBatcher {
  readonly pendingBlocks: number;
  readonly unpostedBytes: number;
}

/**
 * Of a batcher.
 *
 * @param clock when a batch was confirmed
 */
export function batcherMetrics(clock: Clock): MetricChapter {
  const chapter: MetricChapter<keyof typeof SPECS> = {
    specs: SPECS,
    count(event, to) {
      switch (event.event) {
        case "blocks.taken":
          return to.inc("montana_blocks_taken_total", event.blocks.length);
        case "blocks.dropped":
          to.inc("montana_l2_reorganisations_total");
          return to.inc("montana_blocks_dropped_total", event.blocks);
        case "l2.stands":
          return to.inc("montana_l2_stalls_total");
        case "source.failed":
          return to.inc("montana_source_failures_total");
        case "deposits.left_out":
          return to.inc("montana_deposits_left_out_total", event.deposits);
        case "batch.sealed":
          return to.inc("montana_batches_sealed_total", 1, event.reason);
        case "batch.resealed":
          return to.inc("montana_batches_resealed_total");
        case "batch.submitted": {
          const { receipt: { blobHashes: { length: blobs } }, blocks, latencyMs } = event;
          const { rawBytes, compressedBytes } = event;
          to.inc("montana_batches_submitted_total", 1, blobs > 0 ? "blobs" : "calldata");
          to.inc("montana_blocks_processed_total", blocks);
          to.inc("montana_batch_uncompressed_bytes_total", rawBytes);
          to.inc("montana_batch_compressed_bytes_total", compressedBytes);
          to.observe("montana_batch_compression_ratio", rawBytes / compressedBytes);
          to.observe("montana_submit_duration_seconds", latencyMs / 1000);
          to.set("montana_batcher_last_confirmed_timestamp_seconds", clock.now() / 1000);
          if (blobs === 0) return;
          to.inc("montana_blobs_submitted_total", blobs);
          return to.observe("montana_blob_fill_ratio", compressedBytes / (blobs * BLOB_CAPACITY));
        }
        case "submission.retried":
          return to.inc("montana_submit_retries_total");
        case "batch.failed":
          return to.inc("montana_submit_failures_total");
        case "sink.fell_back":
          return to.inc("montana_sink_fallbacks_total");
        case "da.switched":
          return to.inc("montana_da_switches_total", 1, event.to);
        case "batch.audited":
          return to.inc("montana_batches_audited_total", 1, event.isSame ? "same" : "different");
        case "compression.level":
          return to.inc("montana_compression_level_changes_total", 1, event.reason);
        case "throttle.changed":
          return to.set("montana_throttle_intensity_ratio", event.intensity);
        case "throttle.failed":
          return to.inc("montana_throttle_failures_total");
      }
    },
  };
  return chapter;
}

/**
 * Tells what waits, each time that metrics are asked for.
 *
 * @returns ends that
 */
export function watchBatcher(metrics: Metrics, batcher: ServedBatcher): () => void {
  return metrics.watch((to) => {
    to.set("montana_batcher_pending_blocks", batcher.pendingBlocks);
    to.set("montana_batcher_pending_bytes", batcher.unpostedBytes);
  });
}
