/**
 * The loop that both runners share: work while there is work, sleep while there is none, back off while
 * it fails.
 *
 * @module
 */
import { isRetryable } from "../errors.ts";
import type { Clock, Log, Random } from "../ports.ts";
import { backoffMs, type RetryPolicy } from "../retry.ts";
import type { TickHealth } from "./tick_health.ts";

/** How a loop waits, and when it ends. */
export interface PollOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly pollIntervalMs: number;
  /** Waits after failures. `maxAttempts` counts only where `untilIdle` is set: else it never gives up. */
  readonly retry: RetryPolicy;
  /** Aborted: the loop ends after the tick under way. */
  readonly signal?: AbortSignal;
  /** Ends the loop when a tick found nothing to do and this says true. */
  readonly untilIdle?: () => boolean;
  readonly log?: Log;
  /** Notes how ticks go. */
  readonly health?: TickHealth;
}

/** What a tick found. */
export type TickOutcome = "worked" | "idle";

/**
 * Ticks until aborted, or until idle where asked for.
 *
 * @throws what a tick threw, unless it is worth trying again
 */
export async function poll(tick: () => Promise<TickOutcome>, options: PollOptions): Promise<void> {
  const { clock, random, pollIntervalMs, signal, untilIdle, log, health } = options;
  let failures = 0;
  while (!signal?.aborted) {
    let outcome: TickOutcome;
    health?.begin();
    try {
      outcome = await tick();
      health?.end(clock.now());
      failures = 0;
    } catch (error) {
      failures += 1;
      health?.fail(error);
      const isUsedUp = untilIdle !== undefined && failures > options.retry.maxAttempts;
      if (!isRetryable(error) || isUsedUp) throw error;
      const retryMs = backoffMs(failures, options.retry, random);
      log?.({ event: "tick.failed", error, retryMs });
      await clock.sleep(retryMs, signal);
      continue;
    }
    if (outcome === "worked") continue;
    if (untilIdle?.()) return;
    await clock.sleep(pollIntervalMs, signal);
  }
}
