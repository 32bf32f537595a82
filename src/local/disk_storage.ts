/**
 * The disk of this machine, for logs.
 *
 * @module
 */
import { constants, writeSync } from "node:fs";
import {
  type FileHandle,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import process from "node:process";
import { StorageError } from "../errors.ts";
import type { AppendFile, Storage, StorageLock } from "../ports.ts";
import { type FileLock, lockFile, runtimeName } from "../runtime.ts";
import { makeDirectory, probeWritable, syncDirectory, systemCode, systemReason } from "./disk.ts";

/** What is smaller is written in less time than another thread takes to answer. */
const WRITE_HERE_BYTES = 64 * 1024;

/**
 * Files on the disk.
 *
 * @example
 * ```ts
 * import { DiskStorage } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { mkdtemp, rm } from "node:fs/promises";
 *
 * const directory = await mkdtemp("/tmp/montana-");
 * const storage = new DiskStorage();
 * const lock = await storage.lock(`${directory}/lock`);
 * const file = await storage.openAppend(`${directory}/file`);
 * await file.write(Uint8Array.of(1, 2, 3));
 * await file.sync(); // From here on the bytes survive a power loss,
 * await file.close();
 * await storage.syncDirectory(directory); // and from here on the name does.
 * if (await storage.size(`${directory}/file`) !== 3) throw new Error("expected 3 bytes");
 * await lock.release();
 * await rm(directory, { recursive: true });
 * ```
 */
export class DiskStorage implements Storage {
  async list(directory: string): Promise<readonly string[]> {
    try {
      return (await readdir(directory)).sort();
    } catch (cause) {
      if (systemCode(cause) === "ENOENT") return [];
      throw storageError("read", directory, cause);
    }
  }

  async size(path: string): Promise<number | undefined> {
    try {
      return (await stat(path)).size;
    } catch (cause) {
      if (systemCode(cause) === "ENOENT") return undefined;
      throw storageError("read", path, cause);
    }
  }

  read(path: string, offset = 0, length?: number): Promise<Uint8Array> {
    return withFile("read", path, "r", async (file) => {
      const left = Math.max(0, (await file.stat()).size - offset);
      const bytes = new Uint8Array(Math.min(left, length ?? left));
      let at = 0;
      while (at < bytes.length) {
        const { bytesRead } = await file.read(bytes, at, bytes.length - at, offset + at);
        if (bytesRead === 0) return bytes.subarray(0, at);
        at += bytesRead;
      }
      return bytes;
    });
  }

  async openAppend(path: string, aheadBytes = 0): Promise<AppendFile> {
    try {
      const file = await open(path, constants.O_WRONLY | constants.O_CREAT);
      return new DiskFile(path, file, (await file.stat()).size, aheadBytes);
    } catch (cause) {
      throw storageError("write", path, cause);
    }
  }

  truncate(path: string, length: number): Promise<void> {
    return withFile("write", path, "r+", async (file) => {
      await file.truncate(length);
      await file.sync();
    });
  }

  async rename(from: string, to: string): Promise<void> {
    try {
      await rename(from, to);
    } catch (cause) {
      throw storageError("write", to, cause);
    }
  }

  async remove(path: string): Promise<void> {
    try {
      await rm(path, { force: true });
    } catch (cause) {
      throw storageError("remove", path, cause);
    }
  }

  async makeDirectory(path: string): Promise<void> {
    try {
      await makeDirectory(path);
    } catch (cause) {
      throw storageError("make directory", path, cause);
    }
  }

  async syncDirectory(path: string): Promise<void> {
    try {
      await syncDirectory(path);
    } catch (cause) {
      throw storageError("sync", path, cause);
    }
  }

  async lock(path: string): Promise<StorageLock> {
    let lock: FileLock | undefined;
    try {
      lock = lockFile(path);
    } catch (cause) {
      // SQLite says "unable to open database file": the system knows why.
      await probeWritable(dirname(path)).catch((cause) => {
        throw storageError("lock", path, cause);
      });
      throw storageError("lock", path, cause);
    }
    if (!lock) throw await lockedError(path);
    await writeHolder(path);
    return {
      release: async () => {
        await rm(holderPath(path), { force: true }).catch(() => {});
        lock.release();
      },
    };
  }
}

/** A file on the disk, written at its end. */
class DiskFile implements AppendFile {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #ahead: Uint8Array;
  #end: number;
  /** Up to here there is something, be it zeros. */
  #allotted: number;

  constructor(path: string, file: FileHandle, size: number, aheadBytes: number) {
    this.#path = path;
    this.#file = file;
    this.#ahead = new Uint8Array(aheadBytes);
    this.#end = size;
    this.#allotted = size;
  }

  async write(data: Uint8Array): Promise<void> {
    try {
      const isSmall = data.length <= this.#ahead.length / 4;
      if (isSmall && this.#end + data.length > this.#allotted) await this.#allot();
      await this.#writeAt(this.#end, data);
      this.#end += data.length;
      this.#allotted = Math.max(this.#allotted, this.#end);
    } catch (cause) {
      throw storageError("write", this.#path, cause);
    }
  }

  async sync(): Promise<void> {
    try {
      await this.#file.datasync();
    } catch (cause) {
      throw storageError("sync", this.#path, cause);
    }
  }

  async close(): Promise<void> {
    try {
      if (this.#allotted > this.#end) await this.#file.truncate(this.#end);
    } catch (cause) {
      throw storageError("write", this.#path, cause);
    } finally {
      await this.#file.close();
    }
  }

  /** A sync of bytes within a file has no length and no blocks to note beside them. */
  async #allot(): Promise<void> {
    try {
      await this.#writeAt(this.#allotted, this.#ahead);
      this.#allotted += this.#ahead.length;
    } catch {
      // On a full disk there may be room for the write that needs it.
    }
  }

  async #writeAt(offset: number, data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length;) {
      const length = data.length - at;
      at += length <= WRITE_HERE_BYTES
        ? writeSync(this.#file.fd, data, at, length, offset + at)
        : (await this.#file.write(data, at, length, offset + at)).bytesWritten;
    }
  }
}

async function withFile<T>(
  action: string,
  path: string,
  flags: string,
  use: (file: FileHandle) => Promise<T>,
): Promise<T> {
  try {
    const file = await open(path, flags);
    try {
      return await use(file);
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw storageError(action, path, cause);
  }
}

/** Beside the lock stands who has it. Nothing depends on it but the words of a refusal. */
function holderPath(path: string): string {
  return `${path}.holder`;
}

async function writeHolder(path: string): Promise<void> {
  const holder = `process ${process.pid} (${runtimeName()})${machine()}`;
  await writeFile(holderPath(path), holder + "\n").catch(() => {});
}

/** Deno tells it only where that is permitted. */
function machine(): string {
  try {
    return ` on ${hostname()}`;
  } catch {
    return "";
  }
}

async function lockedError(path: string): Promise<StorageError> {
  const text = await readFile(holderPath(path), "utf8").catch(() => "");
  const holder = text.trim() || "another process";
  return new StorageError(
    "Locked",
    `Cannot lock ${path}: ${holder} has it; end that one first, or take another directory`,
    { details: { path, holder } },
  );
}

function storageError(action: string, path: string, cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause;
  const code = systemCode(cause);
  const isFull = code === "ENOSPC" || code === "EDQUOT";
  const other = action === "read" ? "Unreadable" : "Unwritable";
  return new StorageError(
    isFull ? "NoSpace" : code === "ENOENT" ? "NotFound" : other,
    `Cannot ${action} ${path}: ${systemReason(cause)}`,
    { cause },
  );
}
