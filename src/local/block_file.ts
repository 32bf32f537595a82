/**
 * The file that derived blocks go to.
 *
 * @module
 */
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { type Chunks, openChunks } from "./chunks.ts";
import { syncDirectory, systemCode } from "./disk.ts";

/** What a sink of blocks needs of its file. What fails rejects with what the system says. */
export interface BlockFile {
  /** Its bytes; `undefined` where it has no size, as a pipe. */
  size(): Promise<number | undefined>;
  /** What it holds from an offset on. */
  read(offset: number): Promise<Chunks>;
  /** Writes all of it at the end; where it fails, any part may have been written. */
  write(bytes: Uint8Array): Promise<void>;
  /** Cuts it off. */
  truncate(length: number): Promise<void>;
  /** Resolves when what was written survives a power loss. */
  sync(): Promise<void>;
  /** Resolves when its name survives a power loss. */
  syncName(): Promise<void>;
  close(): Promise<void>;
}

/** Opens a file of this machine, and makes one where there is none. */
export async function openBlockFile(path: string): Promise<BlockFile> {
  const handle = await open(path, "a+");
  return new SystemFile(path, handle);
}

class SystemFile implements BlockFile {
  readonly #path: string;
  readonly #handle: FileHandle;

  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  async size(): Promise<number | undefined> {
    const stats = await this.#handle.stat();
    return stats.isFile() ? stats.size : undefined;
  }

  read(offset: number): Promise<Chunks> {
    return openChunks(this.#path, { start: offset });
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      const result = await this.#handle.write(bytes, written, bytes.length - written);
      written += result.bytesWritten;
    }
  }

  async truncate(length: number): Promise<void> {
    await this.#handle.truncate(length);
  }

  async sync(): Promise<void> {
    try {
      await this.#handle.datasync();
    } catch (cause) {
      // Pipes and devices cannot be synced, and need not be.
      if (systemCode(cause) !== "EINVAL") throw cause;
    }
  }

  async syncName(): Promise<void> {
    const stats = await this.#handle.stat();
    if (stats.isFile()) await syncDirectory(dirname(this.#path));
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}
