/**
 * Failures of nodes that pass by themselves are not told of: one call of many fails at times, and the next
 * succeeds. What persists is told, and so is what can only persist, at once.
 *
 * @module
 */
import process from "node:process";
import { describeError, isRetryable } from "../errors.ts";
import type { Clock, Log, LogEvent } from "../ports.ts";

/** What lasts longer does not pass by itself. */
const PASSING_MS = 2000;

type Failure = Extract<LogEvent, { readonly event: "endpoint.failed" }>;

/** Of each log. */
const tellers: (() => void)[] = [];

/** Tells what is held: whatever ends the program may be what came of it. */
export function tellHeldFailures(): void {
  for (const tell of tellers) tell();
}

process.once("exit", tellHeldFailures);

/** A log that tells a failure of an endpoint only once it has lasted, and its end only where it was told. */
export function withoutPassingFailures(log: Log, clock: Clock): Log {
  const held = new Map<string, Held>();
  tellers.push(() => held.forEach((each) => each.tell()));
  return (event) => {
    if (event.event === "endpoint.failed" && isRetryable(event.error)) {
      if (held.has(event.endpoint)) return;
      const each = new Held(event, log);
      held.set(event.endpoint, each);
      void each.tellLater(clock).then(() => held.delete(event.endpoint));
      return;
    }
    // What came of it is told: so is it, and first.
    if (event.event === "tick.failed") {
      const why = describeError(event.error);
      for (const [endpoint, each] of held) {
        if (!why.includes(endpoint)) continue;
        each.tell();
        held.delete(endpoint);
      }
    }
    const before = event.event === "endpoint.recovered" ? held.get(event.endpoint) : undefined;
    if (!before) return log(event);
    before.forget();
    held.delete(before.failure.endpoint);
  };
}

/** One that may pass. */
class Held {
  readonly failure: Failure;
  readonly #log: Log;
  readonly #ended = new AbortController();

  constructor(failure: Failure, log: Log) {
    this.failure = failure;
    this.#log = log;
  }

  async tellLater(clock: Clock): Promise<void> {
    await clock.sleep(PASSING_MS, this.#ended.signal);
    this.tell();
  }

  /** Tells it, unless it has passed or was told. */
  tell(): void {
    if (this.#ended.signal.aborted) return;
    this.forget();
    this.#log(this.failure);
  }

  forget(): void {
    this.#ended.abort();
  }
}
