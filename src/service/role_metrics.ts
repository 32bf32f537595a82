/**
 * Metrics that batcher, deriver and superblock have in common.
 *
 * @module
 */
import type { LogEvent } from "../ports.ts";
import { counter, gauge, type MetricChapter, type MetricRecorder } from "./metric_chapter.ts";

const TASKS = ["retried", "failed", "none"] as const;

const SPECS = {
  montana_passing_failures_total: counter(
    "Failures of L1, L2, a prover or the log after which it is tried again",
  ),
  montana_ref_block_number: gauge(
    "The newest block that was taken, submitted, included, derived, safe or final",
    "layer",
    "type",
  ),
  montana_worker_losses_total: counter("Workers that died or fell silent", "task", TASKS),
  montana_log_tails_cut_total: counter("Logs that ended in what no sync had finished"),
};

type Name = keyof typeof SPECS;

const CHAPTER: MetricChapter<Name> = {
  specs: SPECS,
  count(event, to) {
    switch (event.event) {
      case "tick.failed":
        return to.inc("montana_passing_failures_total");
      case "worker.lost":
        return to.inc("montana_worker_losses_total", 1, event.task);
      case "log.tail_cut":
        return to.inc("montana_log_tails_cut_total");
      default:
        return countBlock(event, to);
    }
  },
};

/** How far each chain is, by what became of its blocks. */
function countBlock(event: LogEvent, to: MetricRecorder<Name>): void {
  const seen = (layer: "l1" | "l2", type: string, number: bigint | undefined) => {
    if (number !== undefined) to.set("montana_ref_block_number", Number(number), layer, type);
  };
  switch (event.event) {
    case "blocks.taken":
      return seen("l2", "taken", event.blocks.at(-1)?.number);
    case "blocks.dropped":
      return seen("l2", "taken", event.number);
    case "batch.submitted":
      seen("l2", "submitted", event.lastBlock.number);
      return seen("l1", "included", event.receipt.l1Block);
    case "batch.accepted":
      return seen("l1", "derived", event.batch.inclusion.blockNumber);
    case "derivation.reset":
      return seen("l1", "derived", event.l1Block);
    case "engine.heads":
      seen("l2", "derived", event.head);
      seen("l2", "safe", event.safe);
      return seen("l2", "finalized", event.finalized);
  }
}

/** What several roles have. */
export const ROLE_METRICS: MetricChapter = CHAPTER;
