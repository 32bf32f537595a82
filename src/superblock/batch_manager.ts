/**
 * The life of a batch: collecting → proving → completed | failed (seed `superblock-batch.md`, "Batch
 * Manager"). Which batch a block belongs to is told by its timestamp on the common clock, never by when it
 * came. What resolved is in the log.
 *
 * @module
 */
import { describeError, isRetryable } from "../errors.ts";
import type { Clock, Log } from "../ports.ts";
import {
  type BatchChange,
  BatchError,
  type BatchInfo,
  type BatchJournal,
  type BatchState,
  type BatchTrigger,
  type EpochEvent,
  type EpochMark,
  type EpochTaker,
  type ProvableBatch,
  type ProvableBatches,
  type ReportedBlock,
} from "../superblock.ts";
import { equalBytes } from "../wire/bytes.ts";
import { BatchBook } from "./batch_book.ts";
import { type BatchManagerConfig, checkWindow } from "./batch_config.ts";
import { checkPlace, checkTime } from "./block_admission.ts";

/** What a {@link BatchManager} stands on. */
export interface BatchManagerParts {
  readonly journal: BatchJournal;
  readonly clock: Clock;
  readonly log?: Log;
}

/** By the seed's names. */
export interface BatchStats {
  /** How many were ever finalized. */
  readonly total_batches: number;
  readonly current_batch_id: bigint | undefined;
  /** Of those that are known still. */
  readonly batches_by_state: Readonly<Record<BatchState, number>>;
  readonly chain_id: bigint;
  readonly max_batch_size: bigint;
  /** Milliseconds. */
  readonly batch_timeout: number;
}

/** What became of a block that was reported: it was there before, or stands in place of others. */
export type ReportOutcome = "added" | "known" | "replaced";

/** The longest that it rests. */
const REST_MS = 60_000;
/** And where the log cannot be written now. */
const RETRY_MS = 1000;

/**
 * Collects blocks into batches.
 *
 * @example
 * ```ts
 * import { BATCH_DEFAULTS, BatchManager, ETHEREUM_CLOCK } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { LogBatchJournal, ManualClock, MemoryStorage } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const config = { ...BATCH_DEFAULTS, chainId: 1001n, l1Clock: ETHEREUM_CLOCK };
 * const parts = { storage: new MemoryStorage(), directory: "data/batches" }; // Or DiskStorage.
 * const journal = await LogBatchJournal.open(parts, config);
 * const timestamp = 1_763_769_600n;
 * const clock = new ManualClock(Number(timestamp) * 1000);
 * const manager = new BatchManager({ journal, clock }, config);
 *
 * const block = { number: 7n, hash: new Uint8Array(32), timestamp, transactions: 3 };
 * await manager.addBlock({ ...block, slot: 13_078_798n });
 * if (manager.batch(40_871n)?.blocks.length !== 1) throw new Error("not in the batch of its time");
 * await journal.close();
 * ```
 */
export class BatchManager implements EpochTaker, ProvableBatches {
  readonly config: BatchManagerConfig;
  readonly #parts: BatchManagerParts;
  readonly #book: BatchBook;
  #last: Promise<unknown> = Promise.resolve();
  #changed = new AbortController();
  #logError: unknown;

  /** @throws {ConfigError} `Invalid` for values that contradict each other */
  constructor(parts: BatchManagerParts, config: BatchManagerConfig) {
    checkWindow(config);
    this.config = config;
    this.#parts = parts;
    const { snapshot, changes } = parts.journal.found;
    this.#book = new BatchBook(config.chainId, config.l1Clock, snapshot, changes);
  }

  get lastEpoch(): bigint | undefined {
    return this.#book.lastEpoch;
  }

  get recentEpochs(): readonly EpochMark[] {
    return this.#book.recentEpochs;
  }

  /** Those that are known still: all that are not completed, and the last that are. */
  get batches(): readonly BatchInfo[] {
    return this.#book.batches;
  }

  /** Why the log did not keep the last change, in whose hands ever; `undefined` where it did. */
  get logError(): unknown {
    return this.#logError;
  }

  /** The newest whose window is not over. */
  get currentBatch(): BatchInfo | undefined {
    const newest = this.#book.batches.at(-1);
    return newest?.state === "collecting" && !newest.endedBy ? newest : undefined;
  }

  /** Those whose grace is over, and that wait for the first block behind them. */
  get batchesAwaitingBlocks(): readonly BatchInfo[] {
    const nowMs = this.#parts.clock.now();
    return this.#book.batches.filter((batch) =>
      this.#isOver(batch, nowMs) && !this.#isWhole(batch)
    );
  }

  get stats(): BatchStats {
    const states = { collecting: 0, proving: 0, completed: 0, failed: 0 };
    for (const { state } of this.#book.batches) states[state] += 1;
    return {
      total_batches: this.#book.finalized,
      current_batch_id: this.currentBatch?.window.batchNumber,
      batches_by_state: states,
      chain_id: this.config.chainId,
      max_batch_size: this.config.maxBatchSize,
      batch_timeout: this.config.batchTimeoutMs,
    };
  }

  batch(batchNumber: bigint): BatchInfo | undefined {
    return this.#book.batch(batchNumber);
  }

  batchesReadyForProving(): readonly ProvableBatch[] {
    return this.#book.batches.filter(({ state, proofJobId }) =>
      state === "proving" && proofJobId === undefined
    );
  }

  /** Begins and ends batches. An epoch that was taken before is none. */
  takeEpoch({ epoch, block }: EpochEvent, _trigger?: BatchTrigger): Promise<void> {
    return this.#inTurn(async () => {
      if (epoch <= (this.#book.lastEpoch ?? -1n)) return;
      const atMs = this.#parts.clock.now();
      await this.#change({ change: "epoch", epoch, ...(block && { block }), atMs });
    });
  }

  /** Notes that L1 was reorganised. Windows are of time: nothing else follows. */
  replaceEpochBlock({ epoch, block }: EpochEvent): Promise<void> {
    return this.#inTurn(async () => {
      if (!block) return;
      await this.#change({ change: "epoch_block", epoch, block, atMs: this.#parts.clock.now() });
    });
  }

  /**
   * Takes a block into the batch of its time. The same block may be reported again; another one with its
   * number takes its place, and that of those above it.
   *
   * @throws {BatchError} `WrongSlot`, `TooEarly`, `TooLate`, `Conflict`
   */
  addBlock(block: ReportedBlock): Promise<ReportOutcome> {
    return this.#inTurn(async () => {
      const before = this.#book.batchWith(block.number);
      const same = before?.blocks.find(({ number }) => number === block.number);
      if (same && equalBytes(same.hash, block.hash)) return "known";
      const nowMs = this.#parts.clock.now();
      checkTime(block, this.config, nowMs);
      checkPlace(block, this.config, this.#book, nowMs);
      const from = block.number;
      const replaced = before
        ? this.#book.batches.flatMap(({ blocks }) => blocks.filter(({ number }) => number >= from))
        : [];
      await this.#change({ change: "block", block, atMs: nowMs });
      if (!before) return "added";
      this.#parts.log?.({ event: "blocks_replaced", number: from, blocks: replaced.length });
      return "replaced";
    });
  }

  /**
   * Ends a batch now whose window is over: it waits neither for the trigger nor for late blocks. By
   * default all such batches.
   *
   * @throws {BatchError} `Unknown`, `WrongState`; `WindowOpen` while its window is not over, as it would be
   * another window than that of other sequencers
   */
  forceFinalize(batchNumber?: bigint): Promise<void> {
    return this.#inTurn(async () => {
      const nowMs = this.#parts.clock.now();
      if (batchNumber !== undefined) this.#checkForced(batchNumber, nowMs);
      for (const { window, state, endedBy } of [...this.#book.batches]) {
        const isAsked = batchNumber === undefined || window.batchNumber === batchNumber;
        if (!isAsked || state !== "collecting" || nowMs < Number(window.endsAt) * 1000) continue;
        if (!endedBy) await this.#end(window.batchNumber, "forced");
        await this.#finalize(window.batchNumber);
      }
    });
  }

  /** @throws {BatchError} `Unknown`, `WrongState` */
  updateBatchProofJob(batchNumber: bigint, proofJobId: string): Promise<void> {
    return this.#inTurn(async () => {
      this.#inState(batchNumber, ["proving"]);
      const atMs = this.#parts.clock.now();
      await this.#change({ change: "job", batchNumber, proofJobId, atMs });
    });
  }

  /** @throws {BatchError} `Unknown`, `WrongState` */
  markBatchCompleted(batchNumber: bigint): Promise<void> {
    return this.#inTurn(async () => {
      // A proof that was accepted is no less so where its answer came twice, or late.
      if (this.#inState(batchNumber, ["proving", "failed", "completed"]).state === "completed") {
        return;
      }
      await this.#toState(batchNumber, "completed");
      this.#parts.log?.({ event: "batch_completed", batch: this.batch(batchNumber)! });
    });
  }

  /** @throws {BatchError} `Unknown`, `WrongState` */
  markBatchFailed(batchNumber: bigint, error: unknown): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#inState(batchNumber, ["proving", "failed"]).state === "failed") return;
      await this.#toState(batchNumber, "failed", describeError(error));
      this.#parts.log?.({ event: "batch_failed", batch: this.batch(batchNumber)!, error });
    });
  }

  /** @throws {BatchError} `Unknown`, `WrongState` */
  requeueBatch(batchNumber: bigint): Promise<void> {
    return this.#inTurn(async () => {
      this.#inState(batchNumber, ["failed"]);
      await this.#toState(batchNumber, "proving");
    });
  }

  /**
   * Ends and finalizes what is due, until aborted.
   *
   * @throws {WalError} unless it is worth trying again
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#parts;
    while (!signal.aborted) {
      const changed = this.#changed;
      if (this.#logError !== undefined && !isRetryable(this.#logError)) throw this.#logError;
      try {
        await this.finalizeDue();
      } catch (error) {
        if (!isRetryable(error)) throw error;
        this.#parts.log?.({ event: "tick.failed", error, retryMs: RETRY_MS });
        await clock.sleep(RETRY_MS, signal);
        continue;
      }
      const waitMs = Math.min(REST_MS, ...this.#dueAtMs().map((ms) => ms - clock.now()));
      await clock.sleep(Math.max(1, waitMs), AbortSignal.any([signal, changed.signal]));
    }
  }

  /** Ends what has timed out, and finalizes what has ended and takes no more late blocks. */
  finalizeDue(): Promise<void> {
    return this.#inTurn(async () => {
      const nowMs = this.#parts.clock.now();
      for (const { window: { batchNumber }, state } of [...this.#book.batches]) {
        if (state !== "collecting") continue;
        if (
          !this.batch(batchNumber)!.endedBy && nowMs >= this.#timeoutMs(this.batch(batchNumber)!)
        ) {
          await this.#end(batchNumber, "timeout");
        }
        const batch = this.batch(batchNumber)!;
        if (this.#isOver(batch, nowMs) && this.#isWhole(batch)) await this.#finalize(batchNumber);
      }
    });
  }

  /** Collecting still, ended, and its grace is over. */
  #isOver({ state, endedAtMs }: BatchInfo, nowMs: number): boolean {
    return state === "collecting" && endedAtMs !== undefined &&
      nowMs >= endedAtMs + this.config.lateBlockGraceMs;
  }

  /** No block of its window can come any more, where they come in order. */
  #isWhole({ window: { batchNumber } }: BatchInfo): boolean {
    return !this.config.awaitsNextBlock ||
      this.#book.batches.some(({ window, blocks }) =>
        window.batchNumber > batchNumber && blocks.length > 0
      );
  }

  #dueAtMs(): number[] {
    const awaiting = this.batchesAwaitingBlocks;
    const collecting = this.#book.batches.filter((batch) =>
      // A block behind it wakes it.
      batch.state === "collecting" && !awaiting.includes(batch)
    );
    return collecting.map((batch) =>
      batch.endedAtMs === undefined
        ? this.#timeoutMs(batch)
        : batch.endedAtMs + this.config.lateBlockGraceMs
    );
  }

  #timeoutMs({ window }: BatchInfo): number {
    return Number(window.startsAt) * 1000 + this.config.batchTimeoutMs;
  }

  #checkForced(batchNumber: bigint, nowMs: number): void {
    const { endsAt } = this.#inState(batchNumber, ["collecting"]).window;
    if (nowMs >= Number(endsAt) * 1000) return;
    throw new BatchError(
      "WindowOpen",
      `Cannot end batch ${batchNumber} now: its window is open until ${endsAt} (Unix seconds), for ` +
        `every sequencer`,
      { details: { batch: batchNumber, endsAt } },
    );
  }

  #inState(batchNumber: bigint, states: readonly BatchState[]): BatchInfo {
    const batch = this.batch(batchNumber);
    if (!batch) {
      throw new BatchError("Unknown", `Cannot find batch ${batchNumber}: it is not known here`, {
        details: { batch: batchNumber },
      });
    }
    if (states.includes(batch.state)) return batch;
    throw new BatchError(
      "WrongState",
      `Cannot do that with batch ${batchNumber}: it is ${batch.state}, need ${states.join(" or ")}`,
      { details: { batch: batchNumber, state: batch.state } },
    );
  }

  async #end(batchNumber: bigint, by: "timeout" | "forced"): Promise<void> {
    await this.#change({ change: "ended", batchNumber, by, atMs: this.#parts.clock.now() });
  }

  async #finalize(batchNumber: bigint): Promise<void> {
    const { blocks } = this.batch(batchNumber)!;
    // One without blocks too: the superblock behind it follows its superblock.
    await this.#toState(batchNumber, "proving");
    const batch = this.batch(batchNumber)!;
    const span = blocks.length === 0 ? 0n : blocks.at(-1)!.number - blocks[0]!.number + 1n;
    const missingBlocks = span - BigInt(blocks.length);
    this.#parts.log?.({ event: "batch_finalized", batch, missingBlocks });
  }

  async #toState(
    batchNumber: bigint,
    state: Exclude<BatchState, "collecting">,
    errorMessage?: string,
  ): Promise<void> {
    const atMs = this.#parts.clock.now();
    const told = errorMessage === undefined ? {} : { errorMessage };
    await this.#change({ change: "state", batchNumber, state, atMs, ...told });
  }

  /** Into the log first. */
  async #change(change: BatchChange): Promise<void> {
    const { journal, log } = this.#parts;
    await this.#kept(journal.note(change));
    this.#logError = undefined;
    for (const batch of this.#book.apply(change)) log?.({ event: "batch_started", batch });
    if (journal.isSnapshotDue) await this.#kept(journal.save(this.#book.snapshot));
    this.#changed.abort();
    this.#changed = new AbortController();
  }

  /** Where the log breaks, {@link run} is woken, and ends with what it said. */
  async #kept(written: Promise<void>): Promise<void> {
    try {
      await written;
    } catch (error) {
      this.#logError = error;
      if (!isRetryable(error)) this.#changed.abort();
      throw error;
    }
  }

  /** One after the other: what is decided rests on what is known. */
  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const result = this.#last.then(action);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
