/**
 * An end to what may never end.
 *
 * @module
 */
import type { Clock } from "../ports.ts";

/** When something is given up. */
export interface DeadlineOptions {
  readonly clock: Clock;
  readonly ms: number;
  /** Aborted: given up at once, for its reason. */
  readonly signal: AbortSignal;
  /** Thrown when the time is over. */
  readonly late: () => Error;
}

/**
 * Runs `action` until its time is over. What it does then is told by the signal that it is given: it must
 * not have effects any more.
 *
 * @throws what `action` threw, what `late` says, or the reason of `signal`
 */
export async function withDeadline<T>(
  { clock, ms, signal, late }: DeadlineOptions,
  action: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const own = new AbortController();
  const over = new AbortController();
  const stop = () => own.abort(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  const ended = new Promise<never>((_, reject) => {
    const fail = () => reject(own.signal.reason);
    if (own.signal.aborted) fail();
    own.signal.addEventListener("abort", fail);
  });
  void clock.sleep(ms, over.signal).then(() => {
    if (!over.signal.aborted) own.abort(late());
  });
  try {
    return await Promise.race([ended, action(own.signal)]);
  } finally {
    over.abort();
    signal.removeEventListener("abort", stop);
  }
}
