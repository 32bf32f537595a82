/**
 * Metrics and health of a batcher.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { BatchSubmissionRunner } from "../pipeline/batch_runner.ts";
import type { Log, LogEvent } from "../ports.ts";
import { systemClock } from "../runtime.ts";
import { batcherMetrics, watchBatcher } from "../service/batcher_metrics.ts";
import { ACCOUNT_METRICS, NODE_METRICS } from "../service/ethereum_metrics.ts";
import { ROLE_METRICS } from "../service/role_metrics.ts";
import { checkOf, pipelineCheck, type RoleMonitor } from "./monitor.ts";

/** What it is told, and by whom. */
export interface BatcherHealth {
  /** A log that counts, before another. */
  log(next: Log): Log;
  /** It takes blocks from now on. */
  begin(runner: BatchSubmissionRunner): void;
}

/** Metrics and health, as a monitor takes them. */
export function batcherHealth(monitor: RoleMonitor): BatcherHealth {
  const account = new AccountWaits();
  const chapters = [batcherMetrics(systemClock), ACCOUNT_METRICS, NODE_METRICS, ROLE_METRICS];
  return {
    log: (next) => {
      const counting = monitor.counting(chapters, next);
      return (event) => {
        account.note(event);
        counting(event);
      };
    },
    begin(runner) {
      monitor.begin(() => [
        pipelineCheck(runner.health, "L2"),
        checkOf("account", account.reason),
      ]);
      if (monitor.metrics) watchBatcher(monitor.metrics, runner);
    },
  };
}

/** Why what was signed, or is to be, does not get into a block. */
class AccountWaits {
  /** By batch; what waits for no batch alone, until anything is sent. */
  readonly #reasons = new Map<bigint | undefined, string>();

  get reason(): string | undefined {
    const [first] = this.#reasons.values();
    return first;
  }

  note(event: LogEvent): void {
    if (event.event === "tx.waits") {
      this.#reasons.set(event.batchNumber, `${event.reason}: ${describeError(event.error)}`);
    } else if (event.event === "tx.sent" || event.event === "tx.included") {
      this.#reasons.delete(event.attempt.batchNumber);
      this.#reasons.delete(undefined);
    }
  }
}
