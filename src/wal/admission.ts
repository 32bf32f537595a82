/**
 * The door of a processor: operations wait for room, go into the log, and come out synced, in the order
 * in which they were added. What is inside is counted until it is handled, whether in memory or not.
 *
 * @module
 */
import { ProcessorError, WalError } from "../errors.ts";
import type { Operation } from "../types.ts";
import { Fifo } from "./fifo.ts";
import { OPERATION_RECORD, type OperationLog } from "./operation_log.ts";

/** How much may be inside, and what happens to what does not fit. */
export interface AdmissionBounds {
  readonly maxQueuedOperations: number;
  readonly maxQueuedBytes: number;
  /** The largest operation. */
  readonly maxOperationBytes: number;
  /** `wait`: `add()` resolves later. `reject`: it throws `Full`. */
  readonly whenFull: "wait" | "reject";
}

/** Who wants to know. */
export interface AdmissionEvents {
  /** Synced, in order, before its `add()` resolves. */
  readonly onSynced: (operation: Operation) => void;
  /** The first that did not fit, since there was room again. */
  readonly onFull: () => void;
}

interface Entry {
  readonly data: Uint8Array;
  readonly resolve: (sequence: bigint) => void;
  readonly reject: (error: unknown) => void;
  /** Set when the log has answered. */
  outcome?: { readonly sequence: bigint } | { readonly error: unknown };
}

/** Takes operations. */
export class Admission {
  readonly #log: Pick<OperationLog, "append">;
  readonly #bounds: AdmissionBounds;
  readonly #events: AdmissionEvents;
  /** In the order of the calls. */
  readonly #appending = new Fifo<Entry>();
  readonly #waiting = new Fifo<Entry>();
  readonly #marks = new Fifo<{ readonly at: number; readonly reach: () => void }>();
  #operations = 0;
  #bytes = 0;
  #added = 0;
  #settled = 0;
  #rejected = 0;
  #isOpen = false;
  #wasFull = false;

  constructor(
    log: Pick<OperationLog, "append">,
    bounds: AdmissionBounds,
    events: AdmissionEvents,
  ) {
    this.#log = log;
    this.#bounds = bounds;
    this.#events = events;
  }

  /** Operations inside: being written, queued, or being handled. */
  get operations(): number {
    return this.#operations;
  }

  /** Bytes of those. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Calls of `add()` that wait for room. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Operations that were refused because it was full. */
  get rejected(): number {
    return this.#rejected;
  }

  /** Counts what was inside before this start; then lets in what comes. */
  open(operations: number, bytes: number): void {
    this.#operations += operations;
    this.#bytes += bytes;
    this.#isOpen = true;
    this.#admit();
  }

  /**
   * @returns its sequence, once it would survive a crash
   * @throws {ProcessorError} `Full` or `TooLarge`; whatever the log throws, and then to all that were
   * added after it and are not synced yet
   */
  add(data: Uint8Array): Promise<bigint> {
    const { maxQueuedBytes, maxOperationBytes, whenFull } = this.#bounds;
    const max = Math.min(maxQueuedBytes, maxOperationBytes);
    if (data.length > max) {
      throw new ProcessorError(
        "TooLarge",
        `Cannot add an operation of ${data.length} bytes: it may have ${max} at most`,
        { details: { bytes: data.length, max } },
      );
    }
    const fits = this.#isOpen && this.#waiting.length === 0 && this.#hasRoom(data.length);
    if (!fits && this.#isOpen) this.#tellFull();
    if (!fits && this.#isOpen && whenFull === "reject") {
      this.#rejected += 1;
      throw this.#full(data);
    }
    this.#added += 1;
    return new Promise((resolve, reject) => {
      // A copy: the caller's bytes are the caller's again.
      const entry: Entry = { data: data.slice(), resolve, reject };
      if (fits) this.#append(entry);
      else this.#waiting.push(entry);
    });
  }

  /** Gives back the room of what was handled. */
  release(operations: number, bytes: number): void {
    this.#operations -= operations;
    this.#bytes -= bytes;
    const { maxQueuedOperations, maxQueuedBytes } = this.#bounds;
    // Not at the first free place: else each operation of a full queue would be told of.
    if (this.#operations * 2 <= maxQueuedOperations && this.#bytes * 2 <= maxQueuedBytes) {
      this.#wasFull = false;
    }
    this.#admit();
  }

  /** Resolves when all that was added before is synced, or has failed. */
  settled(): Promise<void> {
    if (this.#settled === this.#added) return Promise.resolve();
    const at = this.#added;
    return new Promise((reach) => this.#marks.push({ at, reach }));
  }

  /** Lets nothing in that has no room yet. What is being written goes on. */
  close(error: unknown): void {
    this.#isOpen = false;
    this.#refuseWaiting(error);
  }

  #refuseWaiting(error: unknown): void {
    for (let entry = this.#waiting.shift(); entry; entry = this.#waiting.shift()) {
      // After those before it, so that marks are reached in order.
      entry.outcome = { error };
      this.#appending.push(entry);
    }
    this.#settle();
  }

  #hasRoom(bytes: number): boolean {
    const { maxQueuedOperations, maxQueuedBytes } = this.#bounds;
    return this.#operations < maxQueuedOperations && this.#bytes + bytes <= maxQueuedBytes;
  }

  #admit(): void {
    if (!this.#isOpen) return;
    for (let next = this.#waiting.at(0); next; next = this.#waiting.at(0)) {
      if (!this.#hasRoom(next.data.length)) return this.#tellFull();
      this.#waiting.shift();
      this.#append(next);
    }
  }

  #append(entry: Entry): void {
    const { data } = entry;
    this.#operations += 1;
    this.#bytes += data.length;
    this.#appending.push(entry);
    this.#log.append(OPERATION_RECORD, data).then((sequence) => {
      entry.outcome = { sequence };
      this.#settle();
    }, (error) => {
      entry.outcome = { error };
      // As the log does: whoever adds again what failed would otherwise find later ones before it.
      const isItself = error instanceof WalError && error.code === "RecordTooLarge";
      if (!isItself) this.#refuseWaiting(error);
      this.#settle();
      this.release(1, data.length);
    });
  }

  /** In the order of the calls, whatever the order in which the log answers. */
  #settle(): void {
    for (let next = this.#appending.at(0); next?.outcome; next = this.#appending.at(0)) {
      this.#appending.shift();
      this.#settled += 1;
      if ("sequence" in next.outcome) {
        const { sequence } = next.outcome;
        this.#events.onSynced({ sequence, data: next.data });
        next.resolve(sequence);
      } else {
        next.reject(next.outcome.error);
      }
    }
    for (let mark = this.#marks.at(0); mark && mark.at <= this.#settled; mark = this.#marks.at(0)) {
      this.#marks.shift();
      mark.reach();
    }
  }

  #tellFull(): void {
    if (this.#wasFull) return;
    this.#wasFull = true;
    this.#events.onFull();
  }

  #full(data: Uint8Array): ProcessorError {
    const { maxQueuedOperations, maxQueuedBytes } = this.#bounds;
    return new ProcessorError(
      "Full",
      `Cannot add an operation of ${data.length} bytes: the queue holds ${this.#operations} of ` +
        `${maxQueuedOperations} operations and ${this.#bytes} of ${maxQueuedBytes} bytes`,
      { details: { operations: this.#operations, bytes: this.#bytes } },
    );
  }
}
