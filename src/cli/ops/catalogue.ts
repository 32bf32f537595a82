/**
 * Every metric that the program has.
 *
 * @module
 */
import { systemClock } from "../../runtime.ts";
import {
  ACCOUNT_METRICS,
  BATCH_METRICS,
  batcherMetrics,
  DERIVER_METRICS,
  NODE_METRICS,
  PROCESSOR_METRICS,
  ROLE_METRICS,
  STORAGE_METRICS,
} from "../../service/chapters.ts";
import type { MetricChapter, MetricSpec } from "../../service/metric_chapter.ts";
import { PROCESS_METRICS } from "../../service/metrics.ts";
import { CHECK_METRICS } from "../monitor.ts";

/** By what they are about. */
export const CATALOGUE: Readonly<Record<string, readonly MetricChapter[]>> = {
  "Every role": [PROCESS_METRICS, CHECK_METRICS, ROLE_METRICS, STORAGE_METRICS],
  "Batcher": [batcherMetrics(systemClock), ACCOUNT_METRICS],
  "Deriver": [DERIVER_METRICS],
  "Nodes of L1 and L2, for batcher and deriver": [NODE_METRICS],
  "Processor": [PROCESSOR_METRICS],
  "Superblock": [BATCH_METRICS],
};

/** By name. */
export function allMetrics(): ReadonlyMap<string, MetricSpec> {
  const chapters = Object.values(CATALOGUE).flat();
  return new Map(chapters.flatMap(({ specs }) => Object.entries(specs)));
}

/** As a page in Markdown. */
export function metricsPage(): string {
  const parts = Object.entries(CATALOGUE).map(([title, chapters]) => {
    const rows = chapters.flatMap(({ specs }) => Object.entries(specs)).map(
      ([name, { type, help, labels = [], values }]) => {
        const label = values ? `${labels[0]}: ${values.join(", ")}` : labels.join(", ");
        return `| \`${name}\` | ${type} | ${label} | ${help} |`;
      },
    );
    return [`## ${title}`, "", "| name | type | labels | |", "| --- | --- | --- | --- |", ...rows]
      .join("\n");
  });
  return ["# Metrics", ...parts].join("\n\n") + "\n";
}
