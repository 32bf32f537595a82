/**
 * Operations from standard input, one a line, in order: all of a piece at once, the next when these are
 * synced. Where some could not be taken for now, they are added again before anything that follows.
 *
 * @module
 */
import { isRetryable, ProcessorError } from "../errors.ts";
import { LineSplitter } from "../local/lines.ts";
import type { Clock } from "../ports.ts";

/** Until it is tried again. */
const RETRY_MS = 200;

/** How lines are added. */
export interface LineOptions {
  readonly add: (operation: Uint8Array) => Promise<bigint>;
  readonly clock: Clock;
  readonly maxOperationBytes: number;
  /** Aborted: reads no further. */
  readonly signal: AbortSignal;
  /** Told when lines have to wait, once each time. */
  readonly onWait: (error: unknown) => void;
}

/**
 * Adds each line; resolves when all are synced.
 *
 * @throws {ProcessorError} `TooLarge` for a line that is too long; what the processor throws. Lines before
 * the one that failed are taken
 */
export async function addLines(
  chunks: AsyncIterable<Uint8Array>,
  options: LineOptions,
): Promise<void> {
  const { maxOperationBytes, signal } = options;
  const splitter = new LineSplitter(maxOperationBytes, (line) => tooLong(line, maxOperationBytes));
  for await (const chunk of chunks) {
    await addEach(splitter.push(chunk), options);
    if (signal.aborted) return;
  }
  await addEach(splitter.end(), options);
}

async function addEach(
  lines: Iterable<{ readonly bytes: Uint8Array }>,
  { add, clock, signal, onWait }: LineOptions,
): Promise<void> {
  let operations: Uint8Array[] = [];
  let failure: { readonly error: unknown } | undefined;
  try {
    for (const { bytes } of lines) operations.push(bytes);
  } catch (error) {
    // Those before it are lines like any other.
    failure = { error };
  }
  for (let tries = 1; operations.length > 0; tries++) {
    // Without a pause between two: where one fails that was added before another, so does the other.
    const outcomes = await Promise.allSettled(operations.map(add));
    if (signal.aborted) return;
    const refused = outcomes.find((each) => each.status === "rejected");
    if (!refused) break;
    if (!isRetryable(refused.reason)) throw refused.reason;
    if (tries === 1) onWait(refused.reason);
    operations = operations.filter((_, index) => outcomes[index]!.status === "rejected");
    await clock.sleep(RETRY_MS, signal);
  }
  if (failure) throw failure.error;
}

function tooLong(line: number, max: number): ProcessorError {
  return new ProcessorError(
    "TooLarge",
    `Cannot take line ${line} of standard input: it has more than ${max} bytes`,
    { details: { line, max } },
  );
}
