/**
 * Whether there is a node to ask, as far as is told of those that fail.
 *
 * @module
 */
import { describeError } from "../errors.ts";
import type { LogEvent } from "../ports.ts";

interface Down {
  readonly error: unknown;
  /** Which is asked instead. */
  readonly next: string | undefined;
}

/** Notes which nodes fail. */
export class NodeHealth {
  readonly #down = new Map<string, Down>();

  note(event: LogEvent): void {
    if (event.event === "endpoint.failed") this.#down.set(event.endpoint, event);
    if (event.event === "endpoint.recovered") this.#down.delete(event.endpoint);
  }

  /** Why nobody can be asked; `undefined` where each that fails has another in its place. */
  get reason(): string | undefined {
    for (const { error, next } of this.#down.values()) {
      if (next === undefined || this.#down.has(next)) return describeError(error);
    }
    return undefined;
  }
}
