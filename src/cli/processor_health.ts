/**
 * Metrics and health of a processor.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { Log, Storage } from "../ports.ts";
import { PROCESSOR_METRICS, watchProcessor } from "../service/processor_metrics.ts";
import { ROLE_METRICS } from "../service/role_metrics.ts";
import type { BatchProcessor } from "../wal/processor.ts";
import { checkOf, type RoleMonitor } from "./monitor.ts";
import { countOf } from "./text.ts";

/** Metrics and health of one. */
export class ProcessorHealth {
  readonly #monitor: RoleMonitor;
  /** What the handler, or the log, failed with, and no batch went through since. */
  #failure: string | undefined;

  constructor(monitor: RoleMonitor) {
    this.#monitor = monitor;
  }

  /** Where its log is. */
  storage(): Storage {
    return this.#monitor.storage();
  }

  /** A log that counts, before another. */
  counting(next: Log): Log {
    const counting = this.#monitor.counting([PROCESSOR_METRICS, ROLE_METRICS], next);
    return (event) => {
      if (event.event === "handler.failed") this.#failure = describeError(event.error);
      if (event.event === "processor.waits") this.#failure = describeError(event.error);
      if (event.event === "operations.handled" || event.event === "operations.dead") {
        this.#failure = undefined;
      }
      counting(event);
    };
  }

  /** It takes operations from now on. */
  begin(processor: BatchProcessor): void {
    this.#monitor.begin(() => {
      const { state, stoppedBy, waitingAdds } = processor.stats();
      const isStopped = state === "stopped";
      return [
        checkOf("handler", this.#failure),
        checkOf("line", isStopped ? `it stands still: ${describeError(stoppedBy)}` : undefined),
        checkOf(
          "room",
          waitingAdds > 0 ? `${countOf(waitingAdds, "call")} wait for it` : undefined,
        ),
      ];
    });
    const { metrics } = this.#monitor;
    if (metrics) watchProcessor(metrics, () => processor.stats());
  }
}
