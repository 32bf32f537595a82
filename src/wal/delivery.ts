/**
 * One batch on its way through the handler: tried, tried again, and where nothing helps, kept among the
 * dead. The handler is never called twice at a time.
 *
 * | the handler throws                         | then                                               |
 * | ------------------------------------------ | -------------------------------------------------- |
 * | `HandlerError` `Rejected`                  | the batch is dead                                  |
 * | `NoSpace` of any family                    | tried until there is room: no fault of the batch   |
 * | another error of ours that is not temporary | the line stops, the batch stays the first in line  |
 * | anything else                              | tried `maxAttempts` times more, then it is dead    |
 *
 * @module
 */
import { HandlerError, MontanaError } from "../errors.ts";
import type { BatchHandler, Clock, Log, Random } from "../ports.ts";
import { backoffMs, retry, type RetryPolicy } from "../retry.ts";
import type { OperationBatch } from "../types.ts";
import type { DeadLetters } from "./dead_letters.ts";

/** What it works with. */
export interface DeliveryParts {
  readonly handler: BatchHandler;
  readonly deadLetters: Pick<DeadLetters, "keep">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Aborted when the processor ends: the call under way is aborted, and no other is made. */
  readonly signal: AbortSignal;
  /** Resolves when a try may be made. */
  readonly mayTry: () => Promise<void>;
}

/** How it goes about failures. */
export interface DeliveryConfig {
  readonly retry: RetryPolicy;
  readonly handlerTimeoutMs: number;
}

/** How it ended. */
export interface Delivered {
  readonly attempts: number;
  /** Why it is dead, where it is. */
  readonly death?: { readonly error: unknown; readonly path: string };
}

/** Hands batches over. */
export class Delivery {
  readonly #parts: DeliveryParts;
  readonly #config: DeliveryConfig;
  #call: Promise<void> = Promise.resolve();

  constructor(parts: DeliveryParts, config: DeliveryConfig) {
    this.#parts = parts;
    this.#config = config;
  }

  /** Resolves when the handler's last call has ended, well or not. */
  idle(): Promise<void> {
    return this.#call;
  }

  /**
   * Hands a batch over, whatever it takes.
   *
   * @param onFailure told of each failed try
   * @throws what stops the line; the last error where the processor ends before
   */
  async deliver(
    batch: OperationBatch,
    onFailure: (error: unknown) => void,
  ): Promise<Delivered> {
    const { clock, random, log, signal } = this.#parts;
    let failures = 0;
    for (let attempt = 1;; attempt++) {
      await this.#parts.mayTry();
      signal.throwIfAborted();
      try {
        await this.#try(batch);
        return { attempts: attempt };
      } catch (error) {
        signal.throwIfAborted();
        onFailure(error);
        const isFull = error instanceof MontanaError && error.code === "NoSpace";
        if (!isFull) failures += 1;
        const isDead = isRejected(error) || failures > this.#config.retry.maxAttempts;
        const isLast = isDead || breaksLine(error);
        const retryMs = isLast ? undefined : this.#delayMs(attempt, error, random);
        log({
          event: "handler.failed",
          batch,
          attempt,
          error,
          ...(retryMs === undefined ? {} : { retryMs }),
        });
        if (isDead) return await this.#bury(batch, attempt, error);
        if (retryMs === undefined) throw error;
        await clock.sleep(retryMs, signal);
      }
    }
  }

  async #try(batch: OperationBatch): Promise<void> {
    const { handler, clock, signal } = this.#parts;
    const { handlerTimeoutMs } = this.#config;
    const call = new AbortController();
    const done = new AbortController();
    const abort = () => call.abort(signal.reason);
    signal.addEventListener("abort", abort);
    if (handlerTimeoutMs > 0) {
      clock.sleep(handlerTimeoutMs, done.signal).then(() => {
        if (!done.signal.aborted) call.abort(timeout(batch, handlerTimeoutMs));
      });
    }
    const handled = Promise.resolve().then(() => handler.handle(batch, call.signal));
    this.#call = handled.catch(() => {});
    try {
      await handled;
    } catch (error) {
      // What a handler throws because it was aborted says less than why it was.
      throw call.signal.aborted ? call.signal.reason : error;
    } finally {
      done.abort();
      signal.removeEventListener("abort", abort);
    }
  }

  #delayMs(attempt: number, error: unknown, random: Random): number {
    const { retry } = this.#config;
    const asked = error instanceof MontanaError ? error.details["retryAfterMs"] : undefined;
    const delayMs = backoffMs(attempt, retry, random);
    return Math.min(retry.maxDelayMs, Math.max(delayMs, Number(asked ?? 0)));
  }

  async #bury(batch: OperationBatch, attempts: number, error: unknown): Promise<Delivered> {
    const path = await persist(
      "dead letter",
      () => this.#parts.deadLetters.keep({ batch, attempts, error }),
      this.#config.retry,
      this.#parts,
    );
    this.#parts.log({ event: "operations.dead", batch, attempts, error, path });
    return { attempts, death: { error, path } };
  }
}

/**
 * Writes what must be written, for as long as it takes: a full disk is waited for.
 *
 * @throws what waiting cannot help; the last error where `signal` is aborted before
 */
export function persist<T>(
  what: "cut" | "checkpoint" | "dead letter",
  action: () => Promise<T>,
  policy: RetryPolicy,
  { clock, random, log, signal }: Pick<DeliveryParts, "clock" | "random" | "log" | "signal">,
): Promise<T> {
  return retry(
    action,
    { ...policy, maxAttempts: Number.MAX_SAFE_INTEGER },
    { clock, random, signal },
    (_attempt, retryMs, error) => log({ event: "processor.waits", what, error, retryMs }),
  );
}

function isRejected(error: unknown): boolean {
  return error instanceof HandlerError && error.code === "Rejected";
}

function breaksLine(error: unknown): boolean {
  return error instanceof MontanaError && !error.isRetryable && !isRejected(error);
}

function timeout({ first, last }: OperationBatch, ms: number): HandlerError {
  return new HandlerError(
    "Timeout",
    `Cannot handle batch ${first}-${last}: the handler took more than ${ms} ms`,
    { details: { first, last, ms } },
  );
}
