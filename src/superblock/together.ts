/**
 * Loops that stand and fall together.
 *
 * @module
 */

/** Runs until aborted. */
export type Loop = (signal: AbortSignal) => Promise<void>;

/**
 * Runs all until aborted. The first that fails ends the others too.
 *
 * @throws what that one threw, once all have ended
 */
export async function together(loops: readonly Loop[], signal: AbortSignal): Promise<void> {
  const own = new AbortController();
  const stop = () => own.abort(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener("abort", stop);
  const running = loops.map((loop) =>
    loop(own.signal).catch((error) => {
      own.abort(error);
      throw error;
    })
  );
  try {
    await Promise.all(running);
  } finally {
    await Promise.allSettled(running);
    signal.removeEventListener("abort", stop);
  }
}

/** Resolves when it is. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
