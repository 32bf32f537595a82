/**
 * The operations that are synced and not yet handed over: the oldest in memory, within bounds, the others
 * only counted, and read back from the log when it is their turn. So memory does not grow with the
 * backlog.
 *
 * ```
 * memory:  7 8 9 ………… 40      spilled: from 41 to 90210, in the log only
 *          ↑ take()           ↑ refilled in order, before anything newer
 * ```
 *
 * @module
 */
import type { Operation } from "../types.ts";
import { Fifo } from "./fifo.ts";
import { damaged, type LogRecord, OPERATION_RECORD, type OperationLog } from "./operation_log.ts";

/** How much of the queue stands in memory. */
export interface MemoryBounds {
  readonly memoryOperations: number;
  readonly memoryBytes: number;
}

/** How much a batch may take. */
export interface TakeBounds {
  readonly operations: number;
  /** One operation is taken however large it is. */
  readonly bytes: number;
}

/** A run of operations that is only in the log. */
interface Spilled {
  readonly from: bigint;
  readonly to: bigint;
  readonly operations: number;
}

/** Synced operations in order. */
export class OperationQueue {
  readonly #log: Pick<OperationLog, "read">;
  readonly #bounds: MemoryBounds;
  readonly #memory = new Fifo<Operation>();
  #memoryBytes = 0;
  #spilled: Spilled | undefined;
  #reader: AsyncIterator<LogRecord> | undefined;
  #bytes = 0;

  constructor(log: Pick<OperationLog, "read">, bounds: MemoryBounds) {
    this.#log = log;
    this.#bounds = bounds;
  }

  /** All operations, spilled ones too. */
  get length(): number {
    return this.#memory.length + (this.#spilled?.operations ?? 0);
  }

  /** Bytes of all operations, spilled ones too. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Operations in memory. */
  get inMemory(): number {
    return this.#memory.length;
  }

  /** The next operation in the log, which is synced. */
  push(operation: Operation): void {
    const { sequence, data } = operation;
    this.#bytes += data.length;
    if (!this.#spilled && this.#hasRoom()) return this.#remember(operation);
    const { from = sequence, operations = 0 } = this.#spilled ?? {};
    this.#spilled = { from, to: sequence, operations: operations + 1 };
  }

  /**
   * Takes the oldest, at least one, as many as the bounds allow.
   *
   * @throws {ProcessorError} `Damaged` when the log does not give an operation back; whatever the log throws
   */
  async take({ operations, bytes }: TakeBounds): Promise<Operation[]> {
    if (this.#memory.length < operations) await this.#refill();
    const taken: Operation[] = [];
    let size = 0;
    for (let next = this.#memory.at(0); next; next = this.#memory.at(0)) {
      size += next.data.length;
      if (taken.length > 0 && (taken.length >= operations || size > bytes)) break;
      taken.push(this.#forget());
    }
    return taken;
  }

  /**
   * Takes all up to and including `last`.
   *
   * @throws {ProcessorError} `Damaged` when there is no such operation; whatever the log throws
   */
  async takeThrough(last: bigint): Promise<Operation[]> {
    const taken: Operation[] = [];
    while (taken.at(-1)?.sequence !== last) {
      if (this.#memory.length === 0) await this.#refill();
      const next = this.#memory.at(0);
      if (!next || next.sequence > last) throw damaged(`operation ${last} is not there`);
      taken.push(this.#forget());
    }
    return taken;
  }

  #hasRoom(): boolean {
    const { memoryOperations, memoryBytes } = this.#bounds;
    return this.#memory.length < memoryOperations && this.#memoryBytes < memoryBytes;
  }

  #remember(operation: Operation): void {
    this.#memory.push(operation);
    this.#memoryBytes += operation.data.length;
  }

  #forget(): Operation {
    const operation = this.#memory.shift()!;
    this.#memoryBytes -= operation.data.length;
    this.#bytes -= operation.data.length;
    return operation;
  }

  async #refill(): Promise<void> {
    while (this.#spilled && this.#hasRoom()) {
      const { sequence, payload } = await this.#nextSpilled(this.#spilled.from);
      // A copy: a view would keep alive the whole chunk that was read.
      this.#remember({ sequence, data: payload.slice() });
      // More may have been spilled in the meantime.
      const { to, operations } = this.#spilled;
      this.#spilled = sequence < to
        ? { from: sequence + 1n, to, operations: operations - 1 }
        : undefined;
    }
    if (!this.#spilled) await this.#closeReader();
  }

  /** The first operation at or above `from`, out of a reader that stays open: finding a place costs. */
  async #nextSpilled(from: bigint): Promise<LogRecord> {
    for (let opened = false;;) {
      if (!this.#reader) {
        if (opened) throw damaged(`operation ${from} is not there`);
        this.#reader = this.#log.read(from)[Symbol.asyncIterator]();
        opened = true;
      }
      const { done, value } = await this.#reader.next();
      if (done) this.#reader = undefined;
      else if (value.type === OPERATION_RECORD && value.sequence >= from) return value;
    }
  }

  async #closeReader(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    await reader?.return?.();
  }
}
