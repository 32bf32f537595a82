/**
 * What metrics are about: names, and which events move them.
 *
 * @module
 */
import type { LogEvent } from "../ports.ts";

/** A metric. */
export interface MetricSpec {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Names of its labels; none of them has a value of which there may be many. */
  readonly labels?: readonly string[];
  /** Of its only label: what has not happened yet is told as 0 for each of them. */
  readonly values?: readonly string[];
  /** Of a histogram: upper bounds. */
  readonly buckets?: readonly number[];
}

/** Takes values of metrics, with those of their labels in the order of the chapter. */
export interface MetricRecorder<Name extends string = string> {
  /** Adds to a counter. */
  inc(name: Name, value?: number, ...labels: readonly string[]): void;
  /** What a counter has come to, where somebody else counts. */
  total(name: Name, value: number, ...labels: readonly string[]): void;
  /** What a gauge is. */
  set(name: Name, value: number, ...labels: readonly string[]): void;
  /** What a gauge was is no longer known, whatever its labels. */
  clear(name: Name): void;
  /** One more value for a histogram. */
  observe(name: Name, value: number, ...labels: readonly string[]): void;
}

/** Metrics that belong together, and how events move them. */
export interface MetricChapter<Name extends string = string> {
  readonly specs: Readonly<Record<Name, MetricSpec>>;
  count?(event: LogEvent, to: MetricRecorder<Name>): void;
}

/** It grows. With the values of its label, it is 0 for each before it does. */
export function counter(help: string, label?: string, values?: readonly string[]): MetricSpec {
  return { type: "counter", help, ...labelled(label, values) };
}

/** It is what it is. */
export function gauge(help: string, ...labels: readonly string[]): MetricSpec {
  return { type: "gauge", help, labels };
}

/** How often a value was how large. */
export function histogram(
  help: string,
  buckets: readonly number[],
  label?: string,
  values?: readonly string[],
): MetricSpec {
  return { type: "histogram", help, buckets, ...labelled(label, values) };
}

function labelled(
  label: string | undefined,
  values: readonly string[] | undefined,
): Pick<MetricSpec, "labels" | "values"> {
  return { ...(label !== undefined && { labels: [label] }), ...(values && { values }) };
}
