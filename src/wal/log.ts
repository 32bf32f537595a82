/**
 * The log: records that outlive a crash once `append()` has resolved.
 *
 * @module
 */
import { WalError } from "../errors.ts";
import type { AppendFile, Log, Storage, StorageLock } from "../ports.ts";

/** A record of the log. */
export interface WalRecord {
  readonly sequence: bigint;
  /** 1 to 255, what the writer said; 0 is the log's own. */
  readonly type: number;
  readonly payload: Uint8Array;
}

/** Sizes of a log. */
export interface WalConfig {
  /** A segment that would grow above this is followed by a new one. */
  readonly segmentBytes: number;
  /** The largest payload. */
  readonly maxRecordBytes: number;
}

/** 64 MiB each. */
export const WAL_DEFAULTS: WalConfig = Object.freeze({
  segmentBytes: 64 * 1024 * 1024,
  maxRecordBytes: 64 * 1024 * 1024,
});

/** What a log is made of. */
export interface WalParts {
  readonly storage: Storage;
  readonly directory: string;
  readonly log?: Log;
}

interface Pending {
  readonly record: WalRecord;
  readonly resolve: (sequence: bigint) => void;
  readonly reject: (error: unknown) => void;
}

/** A durable log in a directory. */
export class Wal {
  readonly #storage: Storage;
  readonly #directory: string;
  readonly #lock: StorageLock;
  readonly #config: WalConfig;
  #file: AppendFile | undefined;
  #records: WalRecord[] = [];
  #pending: Pending[] = [];
  #next = 0n;
  #checkpointed = 0n;
  #writing: Promise<void> | undefined;
  #error: WalError | undefined;

  private constructor(parts: WalParts, lock: StorageLock, config: WalConfig) {
    this.#storage = parts.storage;
    this.#directory = parts.directory;
    this.#lock = lock;
    this.#config = config;
  }

  static async open(parts: WalParts, config: Partial<WalConfig> = {}): Promise<Wal> {
    const { storage, directory } = parts;
    await storage.makeDirectory(directory);
    const lock = await storage.lock(`${directory}/lock`).catch((cause) => {
      throw new WalError("Locked", `Cannot open the log in ${directory}: ${cause.message}`, {
        cause,
      });
    });
    const wal = new Wal(parts, lock, { ...WAL_DEFAULTS, ...config });
    if (await storage.size(wal.#path) !== undefined) await wal.#load();
    wal.#file = await storage.openAppend(wal.#path);
    await storage.syncDirectory(directory);
    return wal;
  }

  get #path(): string {
    return `${this.#directory}/log`;
  }

  /** The first sequence that is still needed. */
  get checkpointed(): bigint {
    return this.#checkpointed;
  }

  /** What the next record will be numbered. */
  get nextSequence(): bigint {
    return this.#next;
  }

  append(type: number, payload: Uint8Array): Promise<bigint> {
    if (this.#error) return Promise.reject(this.#error);
    if (payload.length > this.#config.maxRecordBytes) {
      return Promise.reject(
        new WalError("RecordTooLarge", `Cannot append ${payload.length} bytes: too large`),
      );
    }
    const record = { sequence: this.#next++, type, payload: payload.slice() };
    return this.#enqueue(record);
  }

  #enqueue(record: WalRecord): Promise<bigint> {
    return new Promise((resolve, reject) => {
      this.#pending.push({ record, resolve, reject });
      this.#writing ??= this.#write();
    });
  }

  async #write(): Promise<void> {
    await Promise.resolve();
    while (this.#pending.length > 0) {
      const group = this.#pending;
      this.#pending = [];
      try {
        for (const { record } of group) await this.#file!.write(encode(record));
        await this.#file!.sync();
      } catch (cause) {
        this.#error = new WalError("SyncFailed", "Cannot write the log", { cause });
        for (const each of [...group, ...this.#pending]) each.reject(this.#error);
        this.#pending = [];
        break;
      }
      for (const { record, resolve } of group) {
        if (record.type !== 0) this.#records.push(record);
        resolve(record.sequence);
      }
    }
    this.#writing = undefined;
  }

  async *read(from: bigint = this.#checkpointed): AsyncIterable<WalRecord> {
    const records = this.#records;
    for (let at = 0; at < records.length; at++) {
      if (records[at]!.sequence >= from) yield records[at]!;
    }
  }

  async checkpoint(sequence: bigint): Promise<void> {
    if (this.#error) throw this.#error;
    await this.#enqueue({ sequence, type: 0, payload: new Uint8Array(0) });
    if (sequence > this.#checkpointed) this.#checkpointed = sequence;
    this.#records = this.#records.filter((record) => record.sequence >= sequence);
  }

  async close(): Promise<void> {
    this.#error ??= new WalError(
      "Closed",
      `Cannot use the log in ${this.#directory}: it was closed`,
    );
    await this.#writing;
    await this.#file?.close();
    this.#file = undefined;
    await this.#lock.release();
  }

  async #load(): Promise<void> {
    const bytes = await this.#storage.read(this.#path);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    while (at + 13 <= bytes.length) {
      const end = at + 13 + view.getUint32(at, true);
      if (end > bytes.length) break;
      const sequence = view.getBigUint64(at + 4, true);
      const type = view.getUint8(at + 12);
      if (type === 0) this.#checkpointed = sequence;
      else {
        this.#records.push({ sequence, type, payload: bytes.slice(at + 13, end) });
        this.#next = sequence + 1n;
      }
      at = end;
    }
    this.#records = this.#records.filter((record) => record.sequence >= this.#checkpointed);
    if (at < bytes.length) await this.#storage.truncate(this.#path, at);
  }
}

function encode({ sequence, type, payload }: WalRecord): Uint8Array {
  const bytes = new Uint8Array(13 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payload.length, true);
  view.setBigUint64(4, sequence, true);
  view.setUint8(12, type);
  bytes.set(payload, 13);
  return bytes;
}
