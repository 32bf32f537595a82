/**
 * The line that batches pass, one at a time: taken off the queue, cut in the log, handed over, and
 * checkpointed. A batch that something keeps from its end is held, and goes on where it was.
 *
 * @module
 */
import type { Clock, Log, Random } from "../ports.ts";
import type { RetryPolicy } from "../retry.ts";
import type { HandOverReason, OperationBatch } from "../types.ts";
import type { BatchSize } from "./batch_size.ts";
import { type Delivered, type Delivery, persist } from "./delivery.ts";
import { type BatchIdentity, CUT_RECORD, encodeCut, type OperationLog } from "./operation_log.ts";
import type { OperationQueue } from "./operation_queue.ts";

/** What a line is made of. */
export interface LineParts {
  readonly wal: Pick<OperationLog, "append" | "checkpoint">;
  readonly queue: OperationQueue;
  readonly delivery: Delivery;
  readonly size: BatchSize;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Aborted when the processor ends: nothing is written from then on. */
  readonly signal: AbortSignal;
}

/** How it goes about it. */
export interface LineConfig {
  readonly maxBatchBytes: number;
  readonly retry: RetryPolicy;
}

/** A batch that is done with. */
export interface Passed extends Delivered {
  readonly batch: OperationBatch;
  readonly latencyMs: number;
}

/** A batch that is not done with. */
interface Held {
  readonly batch: OperationBatch;
  /** Its cut is in the log. */
  isCut: boolean;
  /** What became of it at the handler. */
  delivered?: Delivered;
}

/** Where batches pass. */
export class Line {
  readonly #parts: LineParts;
  readonly #config: LineConfig;
  #recovered: BatchIdentity | undefined;
  #held: Held | undefined;

  constructor(parts: LineParts, config: LineConfig) {
    this.#parts = parts;
    this.#config = config;
  }

  /** The batch under way, or held. */
  get current(): OperationBatch | undefined {
    return this.#held?.batch;
  }

  /** What has to pass before anything that is cut anew. */
  get mustPass(): Extract<HandOverReason, "resumed" | "recovered"> | undefined {
    return this.#held ? "resumed" : this.#recovered ? "recovered" : undefined;
  }

  /** The batch that was under way when an earlier run ended: it passes first, as it was cut. */
  recover(batch: BatchIdentity | undefined): void {
    this.#recovered = batch;
  }

  /**
   * Lets one batch pass.
   *
   * @param onFailure told of each try that failed
   * @throws what stops the line; the batch is held then
   */
  async pass(onFailure: (error: unknown) => void): Promise<Passed> {
    const { wal, delivery, size, clock, signal } = this.#parts;
    const startedMs = clock.now();
    const fullAt = size.operations;
    const held = this.#held ??= await this.#take();
    const { batch } = held;
    if (!held.isCut) await this.#persist("cut", () => wal.append(CUT_RECORD, encodeCut(batch)));
    held.isCut = true;
    let failures = 0;
    held.delivered ??= await delivery.deliver(batch, (error) => {
      if (++failures === 1) size.failed();
      onFailure(error);
    });
    signal.throwIfAborted();
    await this.#persist("checkpoint", () => wal.checkpoint(batch.last + 1n));
    this.#held = undefined;

    const latencyMs = clock.now() - startedMs;
    const { length: operations } = batch.operations;
    if (failures === 0) {
      size.handled({ operations, elapsedMs: latencyMs, isFull: operations >= fullAt });
    }
    return { batch, latencyMs, ...held.delivered };
  }

  async #take(): Promise<Held> {
    const { queue, size } = this.#parts;
    const cut = this.#recovered;
    const operations = cut ? await queue.takeThrough(cut.last) : await queue.take({
      operations: size.operations,
      bytes: this.#config.maxBatchBytes,
    });
    this.#recovered = undefined;
    const batch = {
      first: operations[0]!.sequence,
      last: operations.at(-1)!.sequence,
      operations,
      bytes: operations.reduce((sum, { data }) => sum + data.length, 0),
    };
    return { batch, isCut: cut !== undefined };
  }

  #persist<T>(what: "cut" | "checkpoint", action: () => Promise<T>): Promise<T> {
    return persist(what, action, this.#config.retry, this.#parts);
  }
}
