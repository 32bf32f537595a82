/**
 * Metrics and health of a deriver.
 *
 * @module
 */
import type { DerivationRunner } from "../pipeline/derivation_runner.ts";
import { DERIVER_METRICS, watchDeriver } from "../service/deriver_metrics.ts";
import { NODE_METRICS } from "../service/ethereum_metrics.ts";
import type { MetricChapter } from "../service/metric_chapter.ts";
import { ROLE_METRICS } from "../service/role_metrics.ts";
import { checkOf, pipelineCheck, type RoleMonitor } from "./monitor.ts";
import { countOf } from "./text.ts";

/** What it counts. */
export const DERIVER_CHAPTERS: readonly MetricChapter[] = [
  DERIVER_METRICS,
  NODE_METRICS,
  ROLE_METRICS,
];

/** Tells how it stands from now on. */
export function watchDeriverRun(
  monitor: RoleMonitor,
  runner: DerivationRunner,
  l1BlocksLeft: () => number | undefined,
): void {
  const { pipeline, health } = runner;
  monitor.begin(() => [pipelineCheck(health, "L1"), sequenceCheck(runner)]);
  const { metrics } = monitor;
  if (!metrics) return;
  watchDeriver(metrics, () => ({
    heldBatches: pipeline.waitingFor.held.length,
    newestTimestamp: pipeline.position.lastTimestamp,
    l1BlocksLeft: l1BlocksLeft(),
  }));
}

function sequenceCheck({ pipeline: { waitingFor: { expected, held } } }: DerivationRunner) {
  if (held.length === 0) return checkOf("sequence", undefined);
  const waiting = countOf(held.length, "batch");
  return checkOf("sequence", `batch ${expected} is missing on L1; ${waiting} behind it wait`);
}
