/**
 * One after the other, in the order of asking.
 *
 * @module
 */

/** One place in the row. */
export interface Turn {
  /** Resolves when all before it have ended. */
  readonly before: Promise<void>;
  /** Lets the next one on. It may be called more than once. */
  end(): void;
}

/**
 * A row in which work that began side by side gets into order.
 *
 * @example
 * ```ts
 * import { Turns } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const turns = new Turns();
 * const [first, second] = [turns.take(), turns.take()];
 * const order: string[] = [];
 * const waiting = second.before.then(() => order.push("second"));
 * order.push("first");
 * first.end();
 * await waiting;
 * if (order.join() !== "first,second") throw new Error("out of order");
 * ```
 */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  take(): Turn {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    // Who ends early does not let others past those before it.
    this.#last = before.then(() => promise);
    return { before, end: resolve };
  }
}
