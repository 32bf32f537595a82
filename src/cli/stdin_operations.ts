/**
 * Operations from standard input, one a line: added in order, many at a time, and again where they could
 * not be taken for now.
 *
 * @module
 */
import { isRetryable, ProcessorError } from "../errors.ts";
import { splitByteLines } from "../local/lines.ts";
import type { Clock } from "../ports.ts";

/** Lines that are added before the first of them is synced. */
const AT_ONCE = 4096;
/** Bytes of those. */
const AT_ONCE_BYTES = 8 * 1024 * 1024;
/** Until it is tried again. */
const RETRY_MS = 200;

/** How lines are added. */
export interface LineOptions {
  readonly add: (operation: Uint8Array) => Promise<bigint>;
  readonly clock: Clock;
  readonly maxOperationBytes: number;
  /** Aborted: reads no further. */
  readonly signal: AbortSignal;
  /** Told when a line has to wait, once each time. */
  readonly onWait: (error: unknown) => void;
}

interface Sent {
  readonly data: Uint8Array;
  outcome: Promise<{ readonly error: unknown } | undefined>;
}

/**
 * Adds each line; resolves when all are synced.
 *
 * @throws {ProcessorError} `TooLarge` for a line that is too long; what the processor throws. Lines before
 * the one that failed are taken, those after it are not
 */
export async function addLines(
  chunks: AsyncIterable<Uint8Array>,
  options: LineOptions,
): Promise<void> {
  await new LineAdder(options).addAll(chunks);
}

class LineAdder {
  readonly #options: LineOptions;
  #sent: Sent[] = [];
  #sentBytes = 0;
  #hasFailed = false;

  constructor(options: LineOptions) {
    this.#options = options;
  }

  async addAll(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const { maxOperationBytes, signal } = this.#options;
    const lines = splitByteLines(
      chunks,
      maxOperationBytes,
      (line) => tooLong(line, maxOperationBytes),
    );
    for await (const line of lines) {
      if (signal.aborted) return;
      if (!line) continue;
      this.#send(line.bytes);
      const isMuch = this.#sent.length >= AT_ONCE || this.#sentBytes >= AT_ONCE_BYTES;
      if (isMuch || this.#hasFailed) await this.#settle();
    }
    await this.#settle();
  }

  #send(data: Uint8Array): void {
    this.#sent.push({ data, outcome: this.#add(data) });
    this.#sentBytes += data.length;
  }

  async #add(data: Uint8Array): Promise<{ readonly error: unknown } | undefined> {
    try {
      await this.#options.add(data);
      return undefined;
    } catch (error) {
      this.#hasFailed = true;
      return { error };
    }
  }

  /** Waits for all, and adds again those that failed, in order, for as long as that can help. */
  async #settle(): Promise<void> {
    const { clock, signal, onWait } = this.#options;
    for (let isFirst = true;; isFirst = false) {
      const failed: Sent[] = [];
      let failure: { readonly error: unknown } | undefined;
      for (const each of this.#sent) {
        const outcome = await each.outcome;
        if (outcome) failed.push(each);
        failure ??= outcome;
      }
      this.#sent = [];
      this.#sentBytes = 0;
      this.#hasFailed = false;
      if (!failure || signal.aborted) return;
      if (!isRetryable(failure.error)) throw failure.error;
      if (isFirst) onWait(failure.error);
      await clock.sleep(RETRY_MS, signal);
      for (const { data } of failed) this.#send(data);
    }
  }
}

function tooLong(line: number, max: number): ProcessorError {
  return new ProcessorError(
    "TooLarge",
    `Cannot take line ${line} of standard input: it has more than ${max} bytes`,
    { details: { line, max } },
  );
}
