/**
 * Those who wait until all that was added before is handled.
 *
 * @module
 */

/** One who waits. */
export interface Flush {
  /** Rejects with the first error that a batch among those waited for died of. */
  readonly done: Promise<void>;
  /** Waits no longer. */
  cancel(): void;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** Sequence of the last operation waited for; unknown while some are being written. */
  upTo?: bigint;
  failure?: { readonly error: unknown };
}

/** Who waits, and up to where it is handled. */
export class Flushes {
  readonly #waiters = new Set<Waiter>();
  #handled: bigint;

  constructor(handled: bigint) {
    this.#handled = handled;
  }

  /** Whether someone waits. */
  get isAny(): boolean {
    return this.#waiters.size > 0;
  }

  /**
   * Waits for what is being written, then until it is handled.
   *
   * @param written resolves with the sequence of the last operation to wait for
   */
  open(written: Promise<bigint>): Flush {
    const { promise: done, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { resolve, reject };
    this.#waiters.add(waiter);
    written.then((upTo) => {
      waiter.upTo = upTo;
      this.#finish(waiter);
    });
    return { done, cancel: () => void this.#waiters.delete(waiter) };
  }

  /** All up to and including `last` is handled, or dead of `death`. */
  handled(last: bigint, death?: { readonly error: unknown }): void {
    this.#handled = last;
    for (const waiter of this.#waiters) {
      if (death) waiter.failure ??= death;
      this.#finish(waiter);
    }
  }

  /** Nothing more will be handled for now. */
  stop(error: unknown): void {
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters.clear();
  }

  #finish(waiter: Waiter): void {
    if (waiter.upTo === undefined || waiter.upTo > this.#handled) return;
    if (!this.#waiters.delete(waiter)) return;
    if (waiter.failure) waiter.reject(waiter.failure.error);
    else waiter.resolve();
  }
}
