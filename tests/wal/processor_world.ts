/**
 * A processor over a real log on a disk in memory, with a clock that is turned by hand and a handler
 * that does as it is told.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import type { BatchHandler, Clock, Storage } from "../../src/ports.ts";
import type { OperationBatch } from "../../src/types.ts";
import { DeadLetters } from "../../src/wal/dead_letters.ts";
import { Wal } from "../../src/wal/log.ts";
import type { OperationLog } from "../../src/wal/operation_log.ts";
import { BatchProcessor } from "../../src/wal/processor.ts";
import type { ProcessorConfig } from "../../src/wal/processor_config.ts";
import { Events } from "../helpers.ts";

/** Lets all run that waits for nothing but its turn. */
export function idle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Time that passes when it is told to. Whoever sleeps is woken at his moment, in order. */
export class VirtualClock implements Clock {
  #nowMs: number;
  readonly #sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();

  constructor(nowMs = 0) {
    this.#nowMs = nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const sleeper = {
        atMs: this.#nowMs + ms,
        wake: () => {
          this.#sleepers.delete(sleeper);
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener("abort", sleeper.wake);
    });
  }

  /** Sets the clock, as an operator does: whoever sleeps goes on sleeping for as long. */
  set(nowMs: number): void {
    const sleepers = [...this.#sleepers];
    this.#sleepers.clear();
    for (const { atMs, wake } of sleepers) {
      this.#sleepers.add({ atMs: atMs - this.#nowMs + nowMs, wake });
    }
    this.#nowMs = nowMs;
  }

  /** Lets `ms` pass. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await idle();
      const next = [...this.#sleepers].sort((a, b) => a.atMs - b.atMs)[0];
      if (!next || next.atMs > endMs) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      this.#sleepers.delete(next);
      next.wake();
    }
    this.#nowMs = endMs;
    await idle();
  }
}

/** What a {@link TestHandler} does with a call: resolves, throws, takes time, or hangs. */
export type Behaviour =
  | "ok"
  | Error
  | { readonly ms: number; readonly then?: Error }
  | "hang"
  | "deaf";

/** Takes batches as it is told to, one behaviour a call, the last for all that follow. */
export class TestHandler implements BatchHandler {
  readonly calls: OperationBatch[] = [];
  /** Batches that it took. */
  readonly handled: OperationBatch[] = [];
  readonly startedMs: number[] = [];
  readonly #clock: Clock;
  readonly #behaviours: Behaviour[];
  /** Calls at a time, at most. */
  mostAtATime = 0;
  #atATime = 0;

  constructor(clock: Clock, ...behaviours: Behaviour[]) {
    this.#clock = clock;
    this.#behaviours = behaviours;
  }

  /** What it does from now on. */
  will(...behaviours: Behaviour[]): void {
    this.#behaviours.splice(0, Infinity, ...behaviours);
  }

  async handle(batch: OperationBatch, signal: AbortSignal): Promise<void> {
    this.calls.push(batch);
    this.startedMs.push(this.#clock.now());
    this.mostAtATime = Math.max(this.mostAtATime, ++this.#atATime);
    try {
      await this.#behave(signal);
      this.handled.push(batch);
    } finally {
      this.#atATime -= 1;
    }
  }

  /** The operations that it took, as text. */
  get operations(): string[] {
    return this.handled.flatMap(texts);
  }

  async #behave(signal: AbortSignal): Promise<void> {
    const behaviours = this.#behaviours;
    const behaviour = (behaviours.length > 1 ? behaviours.shift() : behaviours[0]) ?? "ok";
    if (behaviour === "ok") return;
    if (behaviour instanceof Error) throw behaviour;
    if (behaviour === "deaf") return await new Promise(() => {});
    await this.#clock.sleep(behaviour === "hang" ? Infinity : behaviour.ms, signal);
    signal.throwIfAborted();
    if (typeof behaviour === "object" && behaviour.then) throw behaviour.then;
  }
}

/** The operations of a batch as text. */
export function texts({ operations }: OperationBatch): string[] {
  return operations.map(({ data }) => new TextDecoder().decode(data));
}

/** Bytes of a text. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** What is not as usual. */
export interface ProcessorWorldOptions {
  readonly config?: Partial<ProcessorConfig>;
  readonly disk?: MemoryStorage;
  /** Around the disk, for faults. */
  readonly storage?: Storage;
  readonly clock?: VirtualClock;
  readonly behaviours?: Behaviour[];
  /** Around the log, for faults. */
  readonly wrap?: (wal: Wal) => OperationLog;
}

/** Retries of 100 ms, 200 ms, 400 ms, without chance. */
export const QUICK_RETRIES = {
  maxAttempts: 3,
  baseDelayMs: 100,
  maxDelayMs: 10_000,
  jitter: 0,
} as const;

/** A processor that is started, and everything around it. */
export async function processorWorld(options: ProcessorWorldOptions = {}) {
  const world = await unstartedWorld(options);
  await world.processor.start();
  return world;
}

/** A processor that is not started, and everything around it. */
export async function unstartedWorld(options: ProcessorWorldOptions = {}) {
  const clock = options.clock ?? new VirtualClock();
  const disk = options.disk ?? new MemoryStorage();
  const storage = options.storage ?? disk;
  const events = new Events();
  const handler = new TestHandler(clock, ...options.behaviours ?? []);
  const wal = await Wal.open({ storage, directory: "/data/wal" });
  const processor = new BatchProcessor({
    wal: options.wrap?.(wal) ?? wal,
    handler,
    deadLetters: new DeadLetters(storage, "/data/dead", clock),
    clock,
    random: new SeededRandom(),
    log: events.log,
  }, { retry: QUICK_RETRIES, ...options.config });
  const add = (...operations: string[]) =>
    Promise.all(operations.map((each) => processor.add(bytes(each))));
  return { clock, disk, events, handler, wal, processor, add };
}

/** `from`, `from + 1`, … as operations. */
export function numbers(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `${from + index}`);
}

/** The outcome of a promise, without waiting for it. */
export async function outcome(promise: Promise<unknown>): Promise<unknown> {
  let result: unknown = "pending";
  promise.then(() => result = "resolved", (error) => result = error);
  await idle();
  return result;
}
