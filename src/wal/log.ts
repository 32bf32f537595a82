/**
 * The log: what `append()` has resolved for outlives a crash, whole, in order and once.
 *
 * `segment.ts` tells what stands in the directory, `record.ts` what stands in a segment, `inspection.ts`
 * how a torn end is told from damage.
 *
 * @module
 */
import { ConfigError, StorageError, WalError } from "../errors.ts";
import type { Log, Storage, StorageLock } from "../ports.ts";
import { SyncFailure, walError } from "./files.ts";
import { corruption, recoverLog, removeRemains } from "./opening.ts";
import { readSegment } from "./reading.ts";
import type { WalRecord } from "./record.ts";
import { LOCK_NAME } from "./segment.ts";
import { LogWriter, type SyncedSegment } from "./writer.ts";

/** Sizes of a log. They may differ from one opening to the next. */
export interface WalConfig {
  /** A segment that would grow above this is followed by a new one. */
  readonly segmentBytes: number;
  /** The largest payload; one that does not fit a segment gets one of its own. */
  readonly maxRecordBytes: number;
  /** Room in the last segment that is allotted in advance, as zeros: a third less for small syncs. */
  readonly aheadBytes: number;
}

/** Segments of 64 MiB, records up to 256 MiB, 256 KiB in advance. */
export const WAL_DEFAULTS: WalConfig = Object.freeze({
  segmentBytes: 64 * 1024 * 1024,
  maxRecordBytes: 256 * 1024 * 1024,
  aheadBytes: 256 * 1024,
});

/** The least that each size can be. */
const LEAST: WalConfig = { segmentBytes: 512, maxRecordBytes: 1, aheadBytes: 0 };
/** Offsets are 32 bits wide. */
const MAX_CONFIG_BYTES = 1024 * 1024 * 1024;

/** What goes out with one write, unless a single record is larger. */
const MAX_GROUP_BYTES = 8 * 1024 * 1024;

export type { WalRecord };

/** What a log is made of. */
export interface WalParts {
  readonly storage: Storage;
  /** Nothing else stands there; it is made where it is missing. */
  readonly directory: string;
  /** Told when a torn end is cut off. */
  readonly log?: Log;
}

/** What waits for the next write: a record, or a checkpoint. */
interface Pending {
  readonly record?: WalRecord;
  readonly checkpoint?: bigint;
  readonly resolve: (sequence: bigint) => void;
  readonly reject: (error: WalError) => void;
}

/**
 * A durable log in a directory, for one process at a time.
 *
 * @example
 * ```ts
 * import { DiskStorage, Wal } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { mkdtemp, rm } from "node:fs/promises";
 *
 * const directory = await mkdtemp("/tmp/montana-");
 * const storage = new DiskStorage();
 * const log = await Wal.open({ storage, directory });
 * const sequences = await Promise.all([
 *   log.append(1, new TextEncoder().encode("first")),
 *   log.append(1, new TextEncoder().encode("second")), // Both with one write and one sync.
 * ]);
 * await log.checkpoint(1n); // The first is done with.
 * await log.close();
 *
 * const again = await Wal.open({ storage, directory });
 * for await (const { sequence, payload } of again.read()) {
 *   if (sequence !== sequences[1] || payload.length !== 6) throw new Error("not what was written");
 * }
 * await again.close();
 * await rm(directory, { recursive: true });
 * ```
 */
export class Wal {
  readonly #storage: Storage;
  readonly #directory: string;
  readonly #lock: StorageLock;
  readonly #maxRecordBytes: number;
  readonly #writer: LogWriter;
  #pending: Pending[] = [];
  /** Sequence of the next record that is appended. */
  #next: bigint;
  /** While there is something to write. */
  #writing: Promise<void> | undefined;
  /** Why nothing can be done any more. */
  #failure: WalError | undefined;
  #closing: Promise<void> | undefined;

  private constructor(parts: WalParts, config: WalConfig, lock: StorageLock, writer: LogWriter) {
    this.#storage = parts.storage;
    this.#directory = parts.directory;
    this.#lock = lock;
    this.#maxRecordBytes = config.maxRecordBytes;
    this.#writer = writer;
    this.#next = writer.position.sequence;
  }

  /**
   * Opens the log, and begins one where there is none. An end that a crash tore is copied aside, cut off
   * and told of; whoever was told that a record is safe finds it.
   *
   * @throws {WalError} `Locked`, `Corrupted`, `Unreadable`, `Unwritable`, `NoSpace` or `SyncFailed`
   */
  static async open(parts: WalParts, config: Partial<WalConfig> = {}): Promise<Wal> {
    const { storage, directory, log } = parts;
    const whole = checked({ ...WAL_DEFAULTS, ...config });
    const action = `open the log in ${directory}`;
    let lock: StorageLock | undefined;
    let writer: LogWriter | undefined;
    try {
      await storage.makeDirectory(directory);
      lock = await storage.lock(`${directory}/${LOCK_NAME}`);
      const state = await recoverLog(storage, directory, log);
      writer = new LogWriter(storage, directory, state, whole);
      await writer.start();
      await removeRemains(storage, state);
      await writer.removeOld();
      return new Wal(parts, whole, lock, writer);
    } catch (cause) {
      await writer?.close();
      await lock?.release();
      if (cause instanceof StorageError || cause instanceof SyncFailure) {
        throw walError(action, cause);
      }
      throw cause;
    }
  }

  /** The first sequence that is still needed, as a restart would find it. */
  get checkpointed(): bigint {
    return this.#writer.checkpoint;
  }

  /** The sequence of the next record that is appended. Those of appends that failed are given again. */
  get nextSequence(): bigint {
    return this.#next;
  }

  /**
   * Adds a record, and resolves with its sequence when it is synced. Sequences are given in the order of
   * the calls. All that comes while a write is under way goes out with the next.
   *
   * Where a write fails, so do all appends that came after it, and none of them is in the log.
   *
   * @param type 1 to 255
   * @throws {WalError} `RecordTooLarge`, `NoSpace`, `Unwritable`, `SyncFailed` or `Closed`
   */
  append(type: number, payload: Uint8Array): Promise<bigint> {
    const refusal = this.#failure ?? this.#refusal(type, payload);
    if (refusal) return Promise.reject(refusal);
    const record = { sequence: this.#next++, type, payload: payload.slice() };
    return new Promise((resolve, reject) => this.#enqueue({ record, resolve, reject }));
  }

  /**
   * Says that everything below a sequence is done with. When it resolves, that is synced: `read()` begins
   * there after a restart, and segments wholly below are removed. One that goes back changes nothing.
   *
   * @throws {WalError} `OutOfRange` above {@link nextSequence}, otherwise as {@link append}
   */
  async checkpoint(sequence: bigint): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (sequence > this.#next) {
      throw new WalError(
        "OutOfRange",
        `Cannot checkpoint the log in ${this.#directory} at ${sequence}: the next record is ${this.#next}`,
        { details: { sequence, nextSequence: this.#next } },
      );
    }
    if (sequence <= this.checkpointed) return;
    await new Promise<bigint>((resolve, reject) =>
      this.#enqueue({ checkpoint: sequence, resolve, reject })
    );
  }

  /**
   * The records from a sequence on, from the checkpoint where none is given, up to what was synced when
   * reading began. Others may be appended meanwhile.
   *
   * @throws {WalError} `OutOfRange` where the record is removed already, or not there yet; `Corrupted`
   * where one is no longer as it was written
   */
  async *read(from: bigint = this.checkpointed): AsyncIterable<WalRecord> {
    if (this.#failure) throw this.#failure;
    const until = this.#writer.position.sequence;
    if (from > until) throw this.#outOfRange(from);
    let next = from;
    for (const segment of this.#segmentsFrom(from)) {
      if (next >= until) return;
      // What a repair could not save is missing; what a checkpoint removed meanwhile is not skipped.
      if (segment.header.follows > next) throw this.#outOfRange(next);
      const chunks = readSegment(this.#storage, segment, next);
      for (;;) {
        const { done, value } = await chunks.next().catch((error) => {
          const isRemoved = this.#writer.segments[0]!.header.first > segment.header.first;
          throw isRemoved ? this.#outOfRange(next) : error;
        });
        if (done && value) throw corruption(this.#directory, value);
        if (done) break;
        for (const record of value) {
          if (record.sequence >= until) return;
          yield record;
          next = record.sequence + 1n;
        }
      }
    }
  }

  /** Waits for what is under way, and lets another process open the log. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#failure ??= new WalError(
      "Closed",
      `Cannot use the log in ${this.#directory}: it was closed`,
    );
    await this.#writing;
    try {
      // All is synced already; without it, damage to the last write would pass for a torn end.
      if (this.#failure.code === "Closed") await this.#writer.finish().catch(() => {});
      await this.#writer.close();
    } finally {
      await this.#lock.release();
    }
  }

  /** The segment that holds a sequence, and each that comes after it, as they are when it is their turn. */
  *#segmentsFrom(from: bigint): Iterable<SyncedSegment> {
    let next = this.#writer.segments.findLast(({ header }) => header.first <= from);
    if (!next) throw this.#outOfRange(from);
    while (next) {
      const current: SyncedSegment = next;
      yield current;
      next = this.#writer.segments.find(({ header }) => header.first > current.header.first);
    }
  }

  #enqueue(pending: Pending): void {
    this.#pending.push(pending);
    this.#writing ??= this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    while (this.#pending.length > 0) {
      // Whoever was just told that a record is safe may have another, and goes with those that wait.
      await Promise.resolve();
      try {
        await this.#writeGroup();
      } catch (cause) {
        this.#fail(walError(`write the log in ${this.#directory}`, cause));
      }
    }
    this.#writing = undefined;
  }

  async #writeGroup(): Promise<void> {
    const { sequence: first } = this.#writer.position;
    const ready = this.#ready(first);
    const records = ready.flatMap(({ record }) => record ? [record] : []);
    const count = await this.#writer.fitting(records, MAX_GROUP_BYTES);
    const next = first + BigInt(count);
    const cut = ready.findIndex(({ record }) => record && record.sequence >= next);
    const group = cut < 0 ? ready : ready.slice(0, cut);
    const checkpoint = group.reduce(
      (most, { checkpoint = 0n }) => checkpoint > most ? checkpoint : most,
      this.checkpointed,
    );
    await this.#writer.write(records.slice(0, count), checkpoint);
    this.#pending.splice(0, group.length);
    for (const { record, resolve } of group) if (record) resolve(record.sequence);

    const checkpoints = group.filter(({ record }) => !record);
    if (checkpoints.length === 0) return;
    try {
      await this.#writer.removeOld();
    } catch (error) {
      // What cannot be removed now is tried again with the next checkpoint.
      if (error instanceof SyncFailure) throw error;
    } finally {
      for (const { resolve } of checkpoints) resolve(checkpoint);
    }
  }

  /** Those that can go out now: no checkpoint above what is synced, lest a crash leave it without them. */
  #ready(synced: bigint): readonly Pending[] {
    const end = this.#pending.findIndex(({ checkpoint = 0n }) => checkpoint > synced);
    return end < 0 ? this.#pending.slice() : this.#pending.slice(0, end);
  }

  #fail(error: WalError): void {
    if (error.code === "SyncFailed") this.#failure = error;
    this.#next = this.#writer.position.sequence;
    for (const { reject } of this.#pending.splice(0)) reject(error);
  }

  #refusal(type: number, payload: Uint8Array): WalError | undefined {
    if (!Number.isInteger(type) || type < 1 || type > 255) {
      const message = `Cannot append a record of type ${type}: need a whole number from 1 to 255`;
      return new WalError("OutOfRange", message, { details: { type } });
    }
    if (payload.length <= this.#maxRecordBytes) return undefined;
    return new WalError(
      "RecordTooLarge",
      `Cannot append a record of ${payload.length} bytes to the log in ${this.#directory}: it takes ` +
        `${this.#maxRecordBytes} at most`,
      { details: { bytes: payload.length, maxRecordBytes: this.#maxRecordBytes } },
    );
  }

  #outOfRange(sequence: bigint): WalError {
    const first = this.#writer.segments[0]!.header.first;
    const { sequence: next } = this.#writer.position;
    return new WalError(
      "OutOfRange",
      `Cannot read the log in ${this.#directory} from record ${sequence}: it holds ${first} to ` +
        `${next - 1n}; those below a checkpoint are removed`,
      { details: { sequence, first, next } },
    );
  }
}

function checked(config: WalConfig): WalConfig {
  for (const [name, value] of Object.entries(config)) {
    const least = LEAST[name as keyof WalConfig];
    if (Number.isInteger(value) && value >= least && value <= MAX_CONFIG_BYTES) continue;
    throw new ConfigError(
      "Invalid",
      `Cannot use ${name} ${value}: need a whole number from ${least} to ${MAX_CONFIG_BYTES}`,
    );
  }
  return config;
}
