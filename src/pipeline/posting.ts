/**
 * The last steps of batches: written down, submitted, several at a time where the sink takes them, and
 * written down as posted, each in order.
 *
 * @module
 */
import { isRetryable } from "../errors.ts";
import type { BatchSink, Clock, Log } from "../ports.ts";
import type { SubmissionReceipt } from "../types.ts";
import type { BatcherJournal } from "./batcher_journal.ts";
import { asSinkError } from "./port_errors.ts";
import type { BatchInLine } from "./sealing.ts";

/** What it is made of. */
export interface PostingParts {
  readonly sink: BatchSink;
  readonly clock: Clock;
  readonly log: Log;
  readonly journal?: Pick<BatcherJournal, "sealed" | "confirmed">;
}

type Outcome = { readonly receipt: SubmissionReceipt } | { readonly error: unknown };

/** A batch whose bytes are written down: it is submitted as it is, however often. */
interface Entry {
  readonly batch: BatchInLine;
  readonly data: Uint8Array;
  readonly startedMs: number;
  /** Of the submission under way, where one is. */
  outcome: Promise<Outcome> | undefined;
  isOver: boolean;
  /** It came to an error that nobody was told yet. */
  hasFailed: boolean;
}

/** Batches on their way to L1, in the order of their numbers. */
export class Posting {
  readonly #parts: PostingParts;
  readonly #atOnce: number;
  /** Not on L1 for sure, the oldest first. */
  readonly #line: Entry[] = [];
  /** On L1, and not written down as such. */
  #unconfirmed: { readonly receipt: SubmissionReceipt; readonly blocks: number } | undefined;
  #lastMs: number;

  constructor(parts: PostingParts) {
    this.#parts = parts;
    this.#atOnce = Math.max(1, parts.sink.maxInFlight ?? 1);
    this.#lastMs = parts.clock.now();
  }

  /** When a batch was submitted last, or when this began. */
  get lastMs(): number {
    return this.#lastMs;
  }

  get length(): number {
    return this.#line.length;
  }

  /** Blocks in the whole line. */
  get blocks(): number {
    return this.#line.reduce((sum, { batch }) => sum + batch.blocks.length, 0);
  }

  /** Compressed bytes in the whole line. */
  get bytes(): number {
    return this.#line.reduce((sum, { data }) => sum + data.length, 0);
  }

  /** No other batch can be submitted before the oldest is on L1. */
  get isFull(): boolean {
    return this.#line.length >= this.#atOnce;
  }

  /** The oldest has come to an end, well or not: {@link next} does not wait. */
  get isOldestOver(): boolean {
    return this.#line[0]?.isOver ?? false;
  }

  /** Puts in a batch that an earlier run wrote down, before any other. */
  restore(batch: BatchInLine, data: Uint8Array): void {
    this.#line.push(entryOf(batch, data, this.#parts.clock.now()));
  }

  /**
   * Writes the batch down and begins to submit it, once the one before is settled; where it throws, the
   * same call may be made again.
   *
   * @throws {WalError} what the journal threw
   */
  async begin(batch: BatchInLine, data: Uint8Array): Promise<void> {
    const { clock, journal } = this.#parts;
    const { batchNumber, reason } = batch;
    // One that is posted behind it would pass for it.
    await this.settle();
    // Before anything goes out: what is posted again must be the same.
    await journal?.sealed({ batchNumber, blocks: batch.blocks.length, reason, data });
    this.#lastMs = clock.now();
    this.#line.push(entryOf(batch, data, this.#lastMs));
    this.submit();
  }

  /**
   * Waits for the oldest batch, and writes down that it is posted.
   *
   * @returns `undefined` where none is on its way
   * @throws {SinkError} | {WalError} what sink and journal threw; the next call submits it again
   */
  async next(): Promise<SubmissionReceipt | undefined> {
    await this.settle();
    const oldest = this.#line[0];
    if (!oldest) return undefined;
    this.submit();
    const outcome = await oldest.outcome!;
    if ("error" in outcome) {
      oldest.outcome = undefined;
      oldest.isOver = false;
      oldest.hasFailed = false;
      throw outcome.error;
    }
    const { batch, data, startedMs } = oldest;
    const { receipt } = outcome;
    this.#line.shift();
    this.#unconfirmed = { receipt, blocks: batch.blocks.length };
    const nowMs = this.#parts.clock.now();
    if (this.#line.length === 0) this.#lastMs = nowMs;
    this.#parts.log({
      event: "batch.submitted",
      receipt,
      reason: batch.reason,
      blocks: batch.blocks.length,
      lastBlock: batch.blocks.at(-1)!.block,
      rawBytes: batch.rawBytes,
      compressedBytes: data.length,
      latencyMs: nowMs - startedMs,
    });
    await this.#trySettle();
    return receipt;
  }

  /** Writes down what was posted, if that is still to be done; nothing else may be written before. */
  async settle(): Promise<void> {
    if (!this.#unconfirmed) return;
    const { receipt, blocks } = this.#unconfirmed;
    await this.#parts.journal?.confirmed(receipt, blocks);
    this.#unconfirmed = undefined;
  }

  /** As {@link settle}; what can be tried again is left to the next call. L1 has the batch. */
  async #trySettle(): Promise<void> {
    try {
      await this.settle();
    } catch (error) {
      if (!isRetryable(error)) throw error;
    }
  }

  /**
   * Submits what is not on its way, as much as the sink takes, the oldest first: what an earlier run wrote
   * down, and what failed. Nothing overtakes what has failed: readers could use it no sooner.
   */
  submit(): void {
    const { sink, log } = this.#parts;
    for (const entry of this.#line.slice(0, this.#atOnce)) {
      if (entry.hasFailed) return;
      if (entry.outcome) continue;
      const { batch: { batchNumber }, data } = entry;
      entry.outcome = sink.submit({ batchNumber, data }).then(
        (receipt) => ({ receipt }),
        (cause) => {
          const error = asSinkError(cause);
          entry.hasFailed = true;
          log({ event: "batch.failed", batchNumber, error });
          return { error };
        },
      );
      entry.outcome.then(() => entry.isOver = true);
    }
  }
}

function entryOf(batch: BatchInLine, data: Uint8Array, startedMs: number): Entry {
  return { batch, data, startedMs, outcome: undefined, isOver: false, hasFailed: false };
}
