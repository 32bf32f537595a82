/**
 * Time for measuring how long something waits.
 *
 * @module
 */
import type { Clock } from "../ports.ts";

/**
 * `clock`, with a time that never goes back. Where somebody sets it back it goes on from where it was:
 * what waits for its interval would otherwise wait for as much longer.
 */
export function steady(clock: Clock): Clock {
  let lastMs = clock.now();
  let aheadMs = 0;
  return {
    now() {
      const nowMs = clock.now();
      aheadMs += Math.max(0, lastMs - nowMs);
      lastMs = nowMs;
      return nowMs + aheadMs;
    },
    sleep: (ms, signal) => clock.sleep(ms, signal),
  };
}
