/**
 * The batch processor (seed `batch-processing-timer.md`): operations go to the log first, and are handed
 * to a handler in batches, in order, when the interval ends, a batch has reached its size, or someone asks.
 *
 * ```
 * add → admission → log → queue → cut → handler → checkpoint
 *       room, order  sync  memory  sync  retries,   room again
 *                                        dead letters
 * ```
 *
 * An operation is acknowledged when it is synced, and leaves the log when it is handled, or dead. A batch
 * is cut in the log before the handler sees it: it comes again under the same identity or not at all.
 *
 * @module
 */
import type { BatchHandler, Clock, Log, Random } from "../ports.ts";
import type { HandOverReason, Operation } from "../types.ts";
import { Admission } from "./admission.ts";
import { BatchSize } from "./batch_size.ts";
import type { DeadLetters } from "./dead_letters.ts";
import { Delivery } from "./delivery.ts";
import { Flushes } from "./flushes.ts";
import { Line, type Passed } from "./line.ts";
import { type OperationLog, recover } from "./operation_log.ts";
import { OperationQueue } from "./operation_queue.ts";
import {
  INITIAL_BATCH_OPERATIONS,
  type ProcessorConfig,
  processorConfig,
} from "./processor_config.ts";
import {
  closedError,
  drainingError,
  lateError,
  notStartedError,
  pausedError,
  startedError,
} from "./processor_errors.ts";
import { ProcessorCounter, type ProcessorState, type ProcessorStats } from "./processor_stats.ts";
import { Ticks } from "./ticks.ts";
import { Waker, within } from "./waiting.ts";

/** What a processor is made of. */
export interface ProcessorParts {
  /** Opened and closed by whoever hands it over. Nothing else writes to it. */
  readonly wal: OperationLog;
  /** An object, or just the function. */
  readonly handler: BatchHandler | BatchHandler["handle"];
  readonly deadLetters: Pick<DeadLetters, "keep">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  /** Told of each operation that was added when it is synced, in order. */
  readonly onSynced?: (sequence: bigint) => void;
}

/** How long to wait. */
export interface Deadline {
  /** From now; without it, as long as it takes. */
  readonly deadlineMs?: number;
}

/**
 * Batches operations, and loses none.
 *
 * @example
 * ```ts
 * import {
 *   BatchProcessor,
 *   DeadLetters,
 *   DiskStorage,
 *   systemClock as clock,
 *   systemRandom as random,
 *   Wal,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { mkdtemp, rm } from "node:fs/promises";
 *
 * const directory = await mkdtemp("/tmp/montana-");
 * const storage = new DiskStorage();
 * const wal = await Wal.open({ storage, directory: `${directory}/wal` });
 * const seen: string[] = [];
 * const processor = new BatchProcessor({
 *   wal,
 *   handler: async ({ first, last, operations }) => {
 *     // The same batch bears the same `first` and `last`, after a crash too.
 *     seen.push(`${first}-${last}: ${operations.length}`);
 *   },
 *   deadLetters: new DeadLetters(storage, `${directory}/dead`, clock),
 *   clock,
 *   random,
 * }, { intervalMs: 50 });
 * await processor.start();
 *
 * const bytes = (text: string) => new TextEncoder().encode(text);
 * await Promise.all([processor.add(bytes("a")), processor.add(bytes("b"))]); // Synced.
 * await processor.flushNow(); // Handled.
 * if (seen[0] !== "0-1: 2") throw new Error(`not one batch: ${seen}`);
 *
 * await processor.shutdown({ deadlineMs: 5000 });
 * await wal.close();
 * await rm(directory, { recursive: true });
 * ```
 */
export class BatchProcessor {
  readonly #parts: ProcessorParts;
  readonly #config: ProcessorConfig;
  readonly #log: Log;
  readonly #admission: Admission;
  readonly #queue: OperationQueue;
  readonly #size: BatchSize;
  readonly #delivery: Delivery;
  readonly #line: Line;
  readonly #counter = new ProcessorCounter();
  readonly #waker = new Waker();
  readonly #end = new AbortController();
  readonly #ticks: Ticks;
  #flushes = new Flushes(-1n);
  #state: Exclude<ProcessorState, "paused" | "stopped"> = "new";
  #starting: Promise<void> | undefined;
  #running: Promise<void> | undefined;
  #shuttingDown: Promise<void> | undefined;
  #paused: PromiseWithResolvers<void> | undefined;
  #stop: { readonly error: unknown } | undefined;
  /** Sequence of the last operation that is synced. */
  #lastSynced = -1n;
  #lastError: unknown;

  /** @throws {ConfigError} `Invalid` when a setting cannot be */
  constructor(parts: ProcessorParts, config: Partial<ProcessorConfig> = {}) {
    const { wal, deadLetters, clock, random } = parts;
    const handler = typeof parts.handler === "function" ? { handle: parts.handler } : parts.handler;
    this.#parts = parts;
    this.#config = processorConfig(config);
    this.#log = parts.log ?? (() => {});
    this.#ticks = new Ticks(this.#config.intervalMs, clock.now());
    this.#queue = new OperationQueue(wal, this.#config);
    this.#admission = new Admission(wal, this.#config, {
      onSynced: (operation) => this.#enqueue(operation),
      onFull: () => this.#tellFull(),
    });
    const isFixed = this.#config.batchSize === "fixed";
    const { maxBatchOperations: most } = this.#config;
    this.#size = new BatchSize(
      isFixed ? most : INITIAL_BATCH_OPERATIONS,
      isFixed ? { ...this.#config, minBatchOperations: most } : this.#config,
      (decision) => this.#log({ event: "size.decided", ...decision }),
    );
    const world = { clock, random, log: this.#log, signal: this.#end.signal };
    const mayTry = () => this.#paused?.promise ?? Promise.resolve();
    this.#delivery = new Delivery({ handler, deadLetters, ...world, mayTry }, this.#config);
    this.#line = new Line(
      { wal, queue: this.#queue, delivery: this.#delivery, size: this.#size, ...world },
      this.#config,
    );
  }

  /**
   * Finds what an earlier run left in the log, and begins.
   *
   * @throws {ProcessorError} `Started` when it was called before; `Damaged` when the log is no
   * processor's; whatever the log throws
   */
  async start(): Promise<void> {
    if (this.#state !== "new") throw startedError(this.#state);
    this.#state = "starting";
    this.#starting = this.#recover();
    try {
      await this.#starting;
    } catch (error) {
      this.#state = "closed";
      this.#admission.close(error);
      throw error;
    }
  }

  /**
   * Adds an operation.
   *
   * @returns its sequence, once it would survive a crash
   * @throws {ProcessorError} `NotStarted`, `Closed`, `Draining`, `Full` or `TooLarge`; whatever the log
   * throws. What was not acknowledged may be added again
   */
  add(operation: Uint8Array): Promise<bigint> {
    try {
      this.#mustTake();
      return this.#admission.add(operation);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Hands over at once what waits, and resolves when all that was added before is handled and
   * checkpointed.
   *
   * @throws what a batch among it died of, or what stopped the line
   * @throws {ProcessorError} `Deadline` when it takes longer; it goes on nevertheless. `Paused`,
   * `NotStarted`, `Closed`
   */
  async flushNow({ deadlineMs }: Deadline = {}): Promise<void> {
    await this.#ready("flush");
    if (this.#stop) throw this.#stop.error;
    if (this.#paused) throw pausedError("flush", this.#admission.operations);
    await this.#handleAll("flush", deadlineMs);
  }

  /**
   * Takes nothing more until {@link resume}, and resolves when nothing is left.
   *
   * @throws as {@link flushNow} does; nothing is taken nevertheless
   */
  async drain({ deadlineMs }: Deadline = {}): Promise<void> {
    await this.#ready("drain");
    if (this.#stop) throw this.#stop.error;
    if (this.#paused) throw pausedError("drain", this.#admission.operations);
    this.#state = "draining";
    await this.#handleAll("drain", deadlineMs);
  }

  /**
   * Hands nothing over until {@link resume}; operations are taken as ever. Resolves when the handler has
   * ended with what is under way.
   *
   * @throws {ProcessorError} `Deadline` when that takes longer; it is paused nevertheless
   */
  async pause({ deadlineMs }: Deadline = {}): Promise<void> {
    await this.#ready("pause");
    this.#paused ??= Promise.withResolvers<void>();
    await within(this.#delivery.idle(), deadlineMs, this.#parts.clock, () => this.#late("pause"));
  }

  /** Goes on after {@link pause}, after {@link drain}, and after the line was stopped by an error. */
  async resume(): Promise<void> {
    await this.#ready("resume");
    this.#state = "running";
    this.#stop = undefined;
    this.#paused?.resolve();
    this.#paused = undefined;
    this.#waker.wake();
  }

  /**
   * Takes nothing more, handles what is left, and ends. What cannot be handled in time stays in the log,
   * for the next start. Called again, it gives the same answer.
   *
   * @throws as {@link flushNow} does; it is closed nevertheless
   */
  shutdown({ deadlineMs }: Deadline = {}): Promise<void> {
    return this.#shuttingDown ??= this.#shutDown(deadlineMs);
  }

  /** How it stands. */
  stats(): ProcessorStats {
    const batch = this.#line.current;
    return {
      ...this.#counter.snapshot(this.#admission.rejected),
      state: this.#visibleState(),
      pendingOperations: this.#admission.operations,
      pendingBytes: this.#admission.bytes,
      memoryOperations: this.#queue.inMemory + (batch?.operations.length ?? 0),
      waitingAdds: this.#admission.waiting,
      ...(batch && {
        current: { first: batch.first, last: batch.last, operations: batch.operations.length },
      }),
      batchOperations: this.#size.operations,
      sizeDecisions: [...this.#size.decisions],
      checkpoint: this.#parts.wal.checkpointed,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
      ...(this.#stop && { stoppedBy: this.#stop.error }),
    };
  }

  async #recover(): Promise<void> {
    const { wal } = this.#parts;
    let bytes = 0;
    this.#lastSynced = wal.checkpointed - 1n;
    const batch = await recover(wal, (operation) => {
      bytes += operation.data.length;
      this.#lastSynced = operation.sequence;
      this.#queue.push(operation);
    });
    this.#line.recover(batch);
    this.#flushes = new Flushes(wal.checkpointed - 1n);
    const { length: operations } = this.#queue;
    this.#log({ event: "operations.recovered", operations, bytes, ...(batch && { batch }) });
    this.#ticks.pass(this.#parts.clock.now());
    if (this.#state === "starting") this.#state = "running";
    this.#admission.open(operations, bytes);
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { clock } = this.#parts;
    while (!this.#end.signal.aborted) {
      const reason = this.#due();
      if (!reason) {
        const isWaiting = this.#queue.length > 0 && !this.#paused && !this.#stop;
        await this.#waker.sleep(clock, isWaiting ? this.#ticks.dueInMs(clock.now()) : undefined);
        continue;
      }
      try {
        this.#ticks.pass(clock.now());
        const passed = await this.#line.pass((error) => {
          this.#lastError = error;
          this.#counter.failed();
        });
        this.#settle(passed, reason);
      } catch (error) {
        if (this.#end.signal.aborted) return;
        this.#stopBy(error);
      }
    }
  }

  /** Why a batch is to be handed over now, if it is. */
  #due(): HandOverReason | undefined {
    const { length, bytes } = this.#queue;
    if (this.#paused || this.#stop) return undefined;
    const { mustPass } = this.#line;
    if (mustPass) return mustPass;
    if (length === 0) return undefined;
    if (length >= this.#size.operations) return "operations";
    if (bytes >= this.#config.maxBatchBytes) return "bytes";
    if (this.#flushes.isAny) return this.#state === "running" ? "flush" : "drain";
    if (this.#admission.waiting > 0) return "full";
    return this.#ticks.dueInMs(this.#parts.clock.now()) === 0 ? "interval" : undefined;
  }

  /** A batch is done with, and below the checkpoint. */
  #settle({ batch, attempts, latencyMs, death }: Passed, reason: HandOverReason): void {
    if (death) {
      this.#counter.dead(batch);
      if (this.#config.whenDead === "stop") this.#stopBy(death.error);
    } else {
      this.#counter.handled(batch, reason);
      this.#log({ event: "operations.handled", batch, reason, attempts, latencyMs });
    }
    this.#flushes.handled(batch.last, death);
    this.#admission.release(batch.operations.length, batch.bytes);
  }

  #enqueue(operation: Operation): void {
    // A tick at which nothing waited is none.
    if (this.#queue.length === 0) this.#ticks.pass(this.#parts.clock.now());
    this.#lastSynced = operation.sequence;
    this.#counter.added(operation.data.length);
    this.#parts.onSynced?.(operation.sequence);
    this.#queue.push(operation);
    if (this.#waker.isAsleep && (this.#queue.length === 1 || this.#due())) this.#waker.wake();
  }

  async #handleAll(what: string, deadlineMs: number | undefined): Promise<void> {
    const flush = this.#flushes.open(this.#admission.settled().then(() => this.#lastSynced));
    this.#waker.wake();
    try {
      await within(flush.done, deadlineMs, this.#parts.clock, () => this.#late(what));
    } finally {
      flush.cancel();
    }
  }

  async #shutDown(deadlineMs: number | undefined): Promise<void> {
    this.#state = "closing";
    // One that is starting may find something; one that never did has nothing of its own.
    await this.#starting?.catch(() => {});
    try {
      if (this.#running) await this.#finish(deadlineMs);
    } catch (error) {
      this.#close();
      throw error;
    }
    this.#close();
    await this.#running;
  }

  async #finish(deadlineMs: number | undefined): Promise<void> {
    if (!this.#stop && !this.#paused) return await this.#handleAll("shut down", deadlineMs);
    const { clock } = this.#parts;
    // What waits for room would wait for ever.
    this.#admission.close(closedError());
    await within(this.#admission.settled(), deadlineMs, clock, () => this.#late("shut down"));
    if (this.#admission.operations === 0) return;
    throw this.#stop
      ? this.#stop.error
      : pausedError("shut down in full", this.#admission.operations);
  }

  #close(): void {
    this.#state = "closed";
    this.#end.abort(closedError());
    this.#paused?.resolve();
    this.#admission.close(closedError());
    this.#flushes.stop(closedError());
    this.#waker.wake();
  }

  #stopBy(error: unknown): void {
    this.#stop = { error };
    this.#log({ event: "processor.stopped", error });
    this.#flushes.stop(error);
  }

  #mustTake(): void {
    if (this.#state === "new") throw notStartedError("add an operation");
    if (this.#state === "closing" || this.#state === "closed") throw closedError();
    if (this.#state === "draining") throw drainingError();
  }

  async #ready(what: string): Promise<void> {
    if (this.#state === "new") throw notStartedError(what);
    if (this.#state === "starting") await this.#starting;
    if (this.#state === "closing" || this.#state === "closed") throw closedError();
  }

  #visibleState(): ProcessorState {
    if (this.#state !== "running" && this.#state !== "draining") return this.#state;
    return this.#stop ? "stopped" : this.#paused ? "paused" : this.#state;
  }

  #tellFull(): void {
    const { operations, bytes } = this.#admission;
    const { whenFull: policy } = this.#config;
    this.#log({ event: "processor.full", policy, operations, bytes });
    this.#waker.wake();
  }

  #late(what: string): Error {
    return lateError(what, this.#admission.operations, this.#lastError);
  }
}
