/**
 * The metrics of each role, and of what it stands on.
 *
 * @module
 */
export * from "./batch_metrics.ts";
export * from "./batcher_metrics.ts";
export * from "./deriver_metrics.ts";
export * from "./ethereum_metrics.ts";
export * from "./processor_metrics.ts";
export * from "./role_metrics.ts";
export * from "./storage_metrics.ts";
