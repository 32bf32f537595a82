/**
 * Metrics of a batch processor: operations that it takes, and batches that it hands over.
 *
 * @module
 */
import type { HandOverReason } from "../types.ts";
import { counter, gauge, histogram, type MetricChapter } from "./metric_chapter.ts";
import type { Metrics } from "./metrics.ts";

const REASONS: readonly HandOverReason[] = [
  ...["interval", "operations", "bytes", "full", "flush", "drain", "recovered", "resumed"] as const,
];
const WAITS = ["cut", "checkpoint", "dead letter"] as const;
const HANDLE_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300, 1800];
type State =
  | "new"
  | "starting"
  | "running"
  | "paused"
  | "draining"
  | "stopped"
  | "closing"
  | "closed";
const STATES: readonly State[] = [
  ...["new", "starting", "running", "paused", "draining", "stopped", "closing", "closed"] as const,
];

const SPECS = {
  montana_processor_operations_added_total: counter("Operations that were taken: each is synced"),
  montana_processor_bytes_added_total: counter("Bytes of them"),
  montana_processor_operations_rejected_total: counter("Operations refused as there was no room"),
  montana_processor_operations_recovered_total: counter(
    "Operations of earlier runs, taken up again",
  ),
  montana_processor_operations_handled_total: counter("Operations that are done with"),
  montana_processor_bytes_handled_total: counter("Bytes of them"),
  montana_processor_batches_handled_total: counter(
    "Batches handed over, by why",
    "reason",
    REASONS,
  ),
  montana_processor_handle_duration_seconds: histogram(
    "Time that the handler took for a batch, over all its tries",
    HANDLE_SECONDS,
  ),
  montana_processor_handler_failures_total: counter("Times that the handler failed"),
  montana_processor_operations_dead_total: counter("Operations that found no taker, and are kept"),
  montana_processor_batches_dead_total: counter("Batches of them"),
  montana_processor_log_failures_total: counter("Writes that failed for now", "what", WAITS),
  montana_processor_stops_total: counter("Times that the line stood still for good"),
  montana_processor_full_total: counter("Times that there was no room for more operations"),
  montana_processor_pending_operations: gauge("Operations that are synced and not done with"),
  montana_processor_pending_bytes: gauge("Bytes of them"),
  montana_processor_waiting_adds: gauge("Calls that wait for room"),
  montana_processor_batch_target_operations: gauge("Operations that make a batch now"),
  montana_processor_state: gauge("1 for the state that it is in", "state"),
};

const CHAPTER: MetricChapter<keyof typeof SPECS> = {
  specs: SPECS,
  count(event, to) {
    switch (event.event) {
      case "operations.recovered":
        return to.inc("montana_processor_operations_recovered_total", event.operations);
      case "operations.handled":
        return to.observe("montana_processor_handle_duration_seconds", event.latencyMs / 1000);
      case "handler.failed":
        return to.inc("montana_processor_handler_failures_total");
      case "operations.dead":
        to.inc("montana_processor_batches_dead_total");
        return to.inc(
          "montana_processor_operations_dead_total",
          event.batch.operations.length,
        );
      case "processor.waits":
        return to.inc("montana_processor_log_failures_total", 1, event.what);
      case "processor.stopped":
        return to.inc("montana_processor_stops_total");
      case "processor.full":
        return to.inc("montana_processor_full_total");
    }
  },
};

/** Of a batch processor. */
export const PROCESSOR_METRICS: MetricChapter = CHAPTER;

/** How a processor stands, as `BatchProcessor.stats()` tells it. */
export interface ServedProcessorStats {
  readonly state: State;
  readonly addedOperations: number;
  readonly addedBytes: number;
  readonly rejectedOperations: number;
  readonly handledOperations: number;
  readonly handledBytes: number;
  readonly reasons: Readonly<Record<HandOverReason, number>>;
  readonly pendingOperations: number;
  readonly pendingBytes: number;
  readonly waitingAdds: number;
  readonly batchOperations: number;
}

/**
 * Tells how it stands, each time that metrics are asked for.
 *
 * @returns ends that
 */
export function watchProcessor(metrics: Metrics, look: () => ServedProcessorStats): () => void {
  metrics.include(PROCESSOR_METRICS);
  return metrics.watch((to) => {
    const stats = look();
    to.total("montana_processor_operations_added_total", stats.addedOperations);
    to.total("montana_processor_bytes_added_total", stats.addedBytes);
    to.total("montana_processor_operations_rejected_total", stats.rejectedOperations);
    to.total("montana_processor_operations_handled_total", stats.handledOperations);
    to.total("montana_processor_bytes_handled_total", stats.handledBytes);
    for (const reason of REASONS) {
      to.total("montana_processor_batches_handled_total", stats.reasons[reason], reason);
    }
    to.set("montana_processor_pending_operations", stats.pendingOperations);
    to.set("montana_processor_pending_bytes", stats.pendingBytes);
    to.set("montana_processor_waiting_adds", stats.waitingAdds);
    to.set("montana_processor_batch_target_operations", stats.batchOperations);
    for (const state of STATES) {
      to.set("montana_processor_state", Number(state === stats.state), state);
    }
  });
}
