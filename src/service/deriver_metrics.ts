/**
 * Metrics of a deriver: batches that it reads, and what became of them.
 *
 * @module
 */
import type { DropReason } from "../ports.ts";
import { counter, gauge, type MetricChapter } from "./metric_chapter.ts";
import type { Metrics } from "./metrics.ts";

const DROPS: readonly DropReason[] = [
  ...["undecodable", "version", "number_mismatch", "origin_ahead", "origin_expired"] as const,
  ...["origin_check", "parent_check", "timestamp"] as const,
];

const SPECS = {
  montana_derivation_batches_total: counter("Batches that were derived"),
  montana_derivation_blocks_total: counter("Blocks of L2 that were derived"),
  montana_derivation_bytes_total: counter("Bytes that were decompressed for them"),
  montana_derivation_batches_dropped_total: counter("Batches that break a rule", "reason", DROPS),
  montana_derivation_batches_duplicate_total: counter("Batches that had been derived before"),
  montana_derivation_batches_future_total: counter("Batches that came before one that is missing"),
  montana_derivation_transactions_ignored_total: counter(
    "Transactions to the inbox that are no batch",
    "reason",
    ["sender", "calldata"],
  ),
  montana_derivation_resets_total: counter("Times that L1 went another way below what was derived"),
  montana_derivation_blocks_retracted_total: counter("Blocks that were taken back for that"),
  montana_derivation_batches_waiting: gauge("Batches that wait for one that is missing"),
  montana_derivation_head_timestamp_seconds: gauge("Timestamp of the newest block derived"),
  montana_derivation_l1_blocks_left: gauge("Blocks of L1 that nothing was derived from yet"),
  montana_engine_payloads_total: counter("Blocks that an execution client was handed"),
  montana_engine_waits_total: counter("Times that an execution client was not ready"),
  montana_engine_reorganisations_total: counter("Times that its blocks were not what L1 gives"),
  montana_engine_blocks_lost_total: counter("Blocks that it had, and lost"),
};

const CHAPTER: MetricChapter<keyof typeof SPECS> = {
  specs: SPECS,
  count(event, to) {
    switch (event.event) {
      case "batch.accepted":
        to.inc("montana_derivation_batches_total");
        to.inc("montana_derivation_blocks_total", event.blocks);
        return to.inc("montana_derivation_bytes_total", event.rawBytes);
      case "batch.dropped":
        return to.inc("montana_derivation_batches_dropped_total", 1, event.reason);
      case "batch.duplicate":
        return to.inc("montana_derivation_batches_duplicate_total");
      case "batch.future":
        return to.inc("montana_derivation_batches_future_total");
      case "transaction.ignored":
        return to.inc("montana_derivation_transactions_ignored_total", 1, event.reason);
      case "derivation.reset":
        to.inc("montana_derivation_resets_total");
        return to.inc("montana_derivation_blocks_retracted_total", event.blocks);
      case "engine.payload":
        return to.inc("montana_engine_payloads_total");
      case "engine.waits":
        return to.inc("montana_engine_waits_total");
      case "engine.reorganised":
        return to.inc("montana_engine_reorganisations_total");
      case "engine.lost":
        return to.inc("montana_engine_blocks_lost_total", event.blocks);
    }
  },
};

/** Of a deriver. */
export const DERIVER_METRICS: MetricChapter = CHAPTER;

/** How a deriver stands: a `DerivationRunner`, and the L1 that it reads. */
export interface ServedDeriver {
  readonly heldBatches: number;
  /** Unix seconds. */
  readonly newestTimestamp: bigint | undefined;
  /** `undefined` where nobody knows. */
  readonly l1BlocksLeft: number | undefined;
}

/**
 * Tells how it stands, each time that metrics are asked for.
 *
 * @returns ends that
 */
export function watchDeriver(metrics: Metrics, look: () => ServedDeriver): () => void {
  return metrics.watch((to) => {
    const { heldBatches, newestTimestamp, l1BlocksLeft } = look();
    to.set("montana_derivation_batches_waiting", heldBatches);
    if (newestTimestamp !== undefined && newestTimestamp > 0n) {
      to.set("montana_derivation_head_timestamp_seconds", Number(newestTimestamp));
    }
    if (l1BlocksLeft !== undefined) to.set("montana_derivation_l1_blocks_left", l1BlocksLeft);
  });
}
