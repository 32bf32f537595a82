/**
 * The one retry policy: exponential backoff with jitter, for temporary errors only; and the two wrappers
 * of the seed (`RetryingSink`, `FallbackSink`) as adverbs over any sink.
 *
 * @module
 */
import { isRetryable, SinkError, type SinkErrorCode } from "./errors.ts";
import type { BatchSink, Clock, Log, Random } from "./ports.ts";

/** How often and how long to try again. */
export interface RetryPolicy {
  /** Retries after the first try; 0 tries once. */
  readonly maxAttempts: number;
  /** Wait before the first retry; each next one doubles it. */
  readonly baseDelayMs: number;
  /** No wait is longer. */
  readonly maxDelayMs: number;
  /** Share of a wait that is left to chance, 0 to 1, so that a fleet does not retry in step. */
  readonly jitter: number;
}

/** 1 s, 2 s, 4 s, 8 s, 16 s, each up to a fifth shorter. */
export const RETRY_DEFAULTS: RetryPolicy = Object.freeze({
  maxAttempts: 5,
  baseDelayMs: 1000,
  maxDelayMs: 60_000,
  jitter: 0.2,
});

/** What waiting takes. */
export interface RetryContext {
  readonly clock: Clock;
  readonly random: Random;
  /** Aborted: no further try, the last error is thrown. */
  readonly signal?: AbortSignal;
}

/** Statuses of HTTP below 500 that another try may change. */
export const TEMPORARY_STATUSES: readonly number[] = [408, 425, 429];

/** What `Retry-After` asks for in seconds; a date is not looked at, as clocks differ. */
export function retryAfterMs(headers: Headers): number | undefined {
  const seconds = headers.get("retry-after");
  return seconds !== null && /^\d+$/.test(seconds) ? 1000 * Number(seconds) : undefined;
}

/** Milliseconds to wait before retry number `attempt`, counted from 1. */
export function backoffMs(attempt: number, policy: RetryPolicy, random: Random): number {
  // 2 ** 1024 would be infinite, and 0 times that no number.
  const doublings = Math.min(attempt - 1, 1000);
  const full = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** doublings);
  return Math.round(full * (1 - policy.jitter * random.next()));
}

/**
 * Runs `action` until it succeeds, fails for good, or the policy is used up.
 *
 * @param onRetry told before each wait
 * @throws whatever the last try threw
 */
export async function retry<T>(
  action: () => Promise<T>,
  policy: RetryPolicy,
  { clock, random, signal }: RetryContext,
  onRetry?: (attempt: number, delayMs: number, error: unknown) => void,
): Promise<T> {
  for (let attempt = 1;; attempt++) {
    try {
      return await action();
    } catch (error) {
      if (!isRetryable(error) || attempt > policy.maxAttempts || signal?.aborted) throw error;
      const delayMs = backoffMs(attempt, policy, random);
      onRetry?.(attempt, delayMs, error);
      await clock.sleep(delayMs, signal);
      if (signal?.aborted) throw error;
    }
  }
}

/**
 * A sink whose temporary failures are tried again (the seed's `RetryingSink`).
 *
 * @example
 * ```ts
 * import { MemoryL1, RETRY_DEFAULTS, retrying } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { systemClock, systemRandom } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const sink = retrying(new MemoryL1().sink(), RETRY_DEFAULTS, {
 *   clock: systemClock,
 *   random: systemRandom,
 * });
 * const receipt = await sink.submit({ batchNumber: 0n, data: Uint8Array.of(2) });
 * if (receipt.batchNumber !== 0n) throw new Error("unexpected receipt");
 * ```
 */
export function retrying(
  sink: BatchSink,
  policy: RetryPolicy,
  context: RetryContext & { readonly log?: Log },
): BatchSink {
  return {
    submit: (batch) =>
      retry(() => sink.submit(batch), policy, context, (attempt, delayMs, error) => {
        const { batchNumber } = batch;
        context.log?.({ event: "submission.retried", batchNumber, attempt, delayMs, error });
      }),
    capacity: () => sink.capacity(),
    healthCheck: () => sink.healthCheck(),
    ...sizesOf(sink),
  };
}

/** What no other sink does better: it may still land, it is too late, or the account is somebody else's. */
const NO_FALLBACK: readonly SinkErrorCode[] = ["Timeout", "WindowExpired", "NonceTaken", "Changed"];

/**
 * A sink that turns to `secondary` where `primary` fails (the seed's `FallbackSink`), with exceptions: what
 * timed out may still land, and would then be paid for twice, so a `Timeout` is thrown on, and so is what
 * would fail there as well: `WindowExpired`, `NonceTaken`, `Changed`.
 * Where both fail, the error that allows another try is thrown. Capacity is that of `primary`; both must
 * be healthy.
 */
export function withFallback(primary: BatchSink, secondary: BatchSink, log?: Log): BatchSink {
  return {
    async submit(batch) {
      try {
        return await primary.submit(batch);
      } catch (error) {
        if (error instanceof SinkError && NO_FALLBACK.includes(error.code)) throw error;
        log?.({ event: "sink.fell_back", batchNumber: batch.batchNumber, error });
        return await secondary.submit(batch).catch((secondaryError) => {
          throw isRetryable(error) ? error : secondaryError;
        });
      }
    },
    capacity: () => primary.capacity(),
    async healthCheck() {
      await primary.healthCheck();
      await secondary.healthCheck();
    },
    ...sizesOf(primary),
  };
}

/** What a wrapper of a sink passes on as it is. */
export function sizesOf({ blobBytes, maxInFlight }: BatchSink): Partial<BatchSink> {
  return {
    ...(blobBytes === undefined ? {} : { blobBytes }),
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
  };
}
