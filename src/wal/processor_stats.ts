/**
 * What a processor has done and is doing, in numbers.
 *
 * @module
 */
import type { HandOverReason, OperationBatch } from "../types.ts";
import type { SizeDecision } from "./batch_size.ts";
import type { BatchIdentity } from "./operation_log.ts";

/** Where it stands. */
export type ProcessorState =
  | "new"
  | "starting"
  | "running"
  | "paused"
  | "draining"
  | "stopped"
  | "closing"
  | "closed";

/** Counted since the start of this process. */
export interface ProcessorCounts {
  readonly addedOperations: number;
  readonly addedBytes: number;
  /** Refused because the queue was full; none of them was acknowledged. */
  readonly rejectedOperations: number;
  readonly handledBatches: number;
  readonly handledOperations: number;
  readonly handledBytes: number;
  /** Batches by why they were handed over when they were. */
  readonly reasons: Readonly<Record<HandOverReason, number>>;
  readonly failedAttempts: number;
  readonly deadBatches: number;
  readonly deadOperations: number;
}

/** All of it. */
export interface ProcessorStats extends ProcessorCounts {
  readonly state: ProcessorState;
  /** Synced, and not handled yet: queued or under way. */
  readonly pendingOperations: number;
  readonly pendingBytes: number;
  /** Of those, how many stand in memory. */
  readonly memoryOperations: number;
  /** Calls of `add()` that wait for room. */
  readonly waitingAdds: number;
  /** The batch under way. */
  readonly current?: BatchIdentity & { readonly operations: number };
  /** Operations that make a batch now. */
  readonly batchOperations: number;
  /** The last changes of that, oldest first. */
  readonly sizeDecisions: readonly SizeDecision[];
  /** The first sequence that is still needed. */
  readonly checkpoint: bigint;
  /** What the handler threw last. */
  readonly lastError?: unknown;
  /** Why the line stands still. */
  readonly stoppedBy?: unknown;
}

/** Counts. */
export class ProcessorCounter {
  #addedOperations = 0;
  #addedBytes = 0;
  #handledBatches = 0;
  #handledOperations = 0;
  #handledBytes = 0;
  #failedAttempts = 0;
  #deadBatches = 0;
  #deadOperations = 0;
  readonly #reasons: Record<HandOverReason, number> = {
    interval: 0,
    operations: 0,
    bytes: 0,
    full: 0,
    flush: 0,
    drain: 0,
    recovered: 0,
    resumed: 0,
  };

  added(bytes: number): void {
    this.#addedOperations += 1;
    this.#addedBytes += bytes;
  }

  failed(): void {
    this.#failedAttempts += 1;
  }

  handled({ operations, bytes }: OperationBatch, reason: HandOverReason): void {
    this.#handledBatches += 1;
    this.#handledOperations += operations.length;
    this.#handledBytes += bytes;
    this.#reasons[reason] += 1;
  }

  dead({ operations }: OperationBatch): void {
    this.#deadBatches += 1;
    this.#deadOperations += operations.length;
  }

  /** As it stands. */
  snapshot(rejectedOperations: number): ProcessorCounts {
    return {
      addedOperations: this.#addedOperations,
      addedBytes: this.#addedBytes,
      rejectedOperations,
      handledBatches: this.#handledBatches,
      handledOperations: this.#handledOperations,
      handledBytes: this.#handledBytes,
      reasons: { ...this.#reasons },
      failedAttempts: this.#failedAttempts,
      deadBatches: this.#deadBatches,
      deadOperations: this.#deadOperations,
    };
  }
}
