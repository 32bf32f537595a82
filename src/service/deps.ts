/**
 * The package of the services, and the only file here that names it. It is loaded on first use, and described
 * here as far as it is used.
 *
 * @module
 */
import { loadPackage } from "../runtime.ts";

/** prom-client, as far as it is used here. */
export interface PromClient {
  readonly Registry: new () => PromRegistry;
  readonly Counter: new (options: PromOptions) => PromCounter;
  readonly Gauge: new (options: PromOptions) => PromGauge;
  readonly Histogram: new (options: PromOptions) => PromHistogram;
}

/** What a metric is told. */
export interface PromOptions {
  readonly name: string;
  readonly help: string;
  readonly registers: PromRegistry[];
  readonly labelNames?: string[];
  readonly buckets?: number[];
}

/** Metrics that are written together. */
export interface PromRegistry {
  readonly contentType: string;
  metrics(): Promise<string>;
}

/** Labels of a metric. */
export type PromLabels = Record<string, string>;

/** It grows. */
export interface PromCounter {
  inc(labels: PromLabels, value?: number): void;
}

/** It is what it is. */
export interface PromGauge {
  set(labels: PromLabels, value: number): void;
  /** It is not known, which is not 0. */
  remove(): void;
  /** The same, whatever its labels. */
  reset(): void;
}

/** How often a value was how large. */
export interface PromHistogram {
  observe(labels: PromLabels, value: number): void;
  zero(labels: PromLabels): void;
}

/** Metrics for Prometheus. */
export function promClient(): Promise<PromClient> {
  const load = (): Promise<unknown> => import("prom-client");
  return loadPackage(import.meta.url, load, "npm:prom-client@15.1.3") as Promise<PromClient>;
}
