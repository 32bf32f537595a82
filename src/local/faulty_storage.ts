/**
 * A disk that fails as it is told to: for tests of what stands on it, and for simulations.
 *
 * @module
 */
import { StorageError } from "../errors.ts";
import type { AppendFile, Storage, StorageLock } from "../ports.ts";

/** A call to a disk, before it is done. */
export interface StorageCall {
  /** Counts all calls to this disk; the first is 1. */
  readonly number: number;
  /** `write` and `sync` are those of a file. */
  readonly method: Exclude<keyof Storage, number> | "write" | "sync" | "close";
  readonly path: string;
  /** How many bytes are written. */
  readonly bytes?: number;
}

/** What goes wrong with a call. */
export type StorageFault =
  /** It fails. Of a write, the first bytes may have been written. */
  | { readonly error: "NoSpace" | "Unreadable" | "Unwritable"; readonly written?: number }
  /** The machine stops before it, or within a write: this call and all that follow never come back well. */
  | { readonly crash: true; readonly written?: number };

/**
 * A disk in front of another. Each call is shown to `plan` first.
 *
 * @example A write that finds the disk full after ten bytes
 * ```ts
 * import { FaultyStorage, MemoryStorage, Wal } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * let isFull = false;
 * const storage = new FaultyStorage(new MemoryStorage(), ({ method }) =>
 *   isFull && method === "write" ? { error: "NoSpace", written: 10 } : undefined);
 * const log = await Wal.open({ storage, directory: "/log" });
 * isFull = true;
 * const error = await log.append(1, Uint8Array.of(1)).catch((error) => error);
 * if (error.code !== "NoSpace") throw new Error("expected a full disk");
 * isFull = false;
 * if (await log.append(1, Uint8Array.of(1)) !== 0n) throw new Error("expected record 0");
 * await log.close();
 * ```
 */
export class FaultyStorage implements Storage {
  readonly #disk: Storage;
  readonly #plan: (call: StorageCall) => StorageFault | undefined;
  #calls = 0;
  #isDown = false;

  constructor(disk: Storage, plan: (call: StorageCall) => StorageFault | undefined) {
    this.#disk = disk;
    this.#plan = plan;
  }

  /** How many calls were made. */
  get calls(): number {
    return this.#calls;
  }

  /** Whether the machine has stopped. */
  get isDown(): boolean {
    return this.#isDown;
  }

  list(directory: string): Promise<readonly string[]> {
    return this.#call("list", directory, () => this.#disk.list(directory));
  }

  size(path: string): Promise<number | undefined> {
    return this.#call("size", path, () => this.#disk.size(path));
  }

  read(path: string, offset?: number, length?: number): Promise<Uint8Array> {
    return this.#call("read", path, () => this.#disk.read(path, offset, length));
  }

  async openAppend(path: string, aheadBytes?: number): Promise<AppendFile> {
    const open = () => this.#disk.openAppend(path, aheadBytes);
    const file = await this.#call("openAppend", path, open);
    return {
      write: (data) =>
        this.#call("write", path, (bytes) => file.write(data.subarray(0, bytes)), data.length),
      sync: () => this.#call("sync", path, () => file.sync()),
      close: () => this.#call("close", path, () => file.close()),
    };
  }

  truncate(path: string, length: number): Promise<void> {
    return this.#call("truncate", path, () => this.#disk.truncate(path, length));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#call("rename", to, () => this.#disk.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.#call("remove", path, () => this.#disk.remove(path));
  }

  makeDirectory(path: string): Promise<void> {
    return this.#call("makeDirectory", path, () => this.#disk.makeDirectory(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#call("syncDirectory", path, () => this.#disk.syncDirectory(path));
  }

  async lock(path: string): Promise<StorageLock> {
    const lock = await this.#call("lock", path, () => this.#disk.lock(path));
    // A machine that stopped has no locks; giving one up is no call that could go wrong.
    return { release: () => this.#isDown ? Promise.resolve() : lock.release() };
  }

  async #call<T>(
    method: StorageCall["method"],
    path: string,
    act: (bytes?: number) => Promise<T>,
    bytes?: number,
  ): Promise<T> {
    if (this.#isDown) throw stopped(method, path);
    const number = ++this.#calls;
    const fault = this.#plan({ number, method, path, ...(bytes === undefined ? {} : { bytes }) });
    if (!fault) return await act();
    if (fault.written !== undefined && bytes !== undefined) {
      await act(Math.min(fault.written, bytes));
    }
    if ("crash" in fault) {
      this.#isDown = true;
      throw stopped(method, path);
    }
    throw new StorageError(fault.error, `Cannot ${method} ${path}: a fault was planned`);
  }
}

function stopped(method: string, path: string): StorageError {
  return new StorageError("Unwritable", `Cannot ${method} ${path}: the machine stopped`);
}
