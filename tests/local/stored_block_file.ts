/**
 * A file of blocks on any disk, with the errors of the system.
 *
 * @module
 */
import { dirname } from "node:path/posix";
import { StorageError } from "../../src/errors.ts";
import type { BlockFile } from "../../src/local/block_file.ts";
import type { AppendFile, Storage } from "../../src/ports.ts";

/** A file of blocks on a disk. */
export async function openStored(storage: Storage, path: string): Promise<BlockFile> {
  let file: AppendFile | undefined = await inSystemWords(() => storage.openAppend(path));
  return {
    size: () => inSystemWords(() => storage.size(path)),
    // deno-lint-ignore require-await -- the generator waits
    read: async (offset) =>
      (async function* () {
        yield await inSystemWords(() => storage.read(path, offset));
      })(),
    write: (bytes) =>
      inSystemWords(async () => {
        file ??= await storage.openAppend(path);
        await file.write(bytes);
      }),
    truncate: (length) =>
      inSystemWords(async () => {
        // A file that is cut off is opened again.
        const cut = file;
        file = undefined;
        await cut?.close();
        await storage.truncate(path, length);
      }),
    sync: () =>
      inSystemWords(async () => {
        file ??= await storage.openAppend(path);
        await file.sync();
      }),
    syncName: () => inSystemWords(() => storage.syncDirectory(dirname(path))),
    close: () => inSystemWords(async () => await file?.close()),
  };
}

async function inSystemWords<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    const code = error.code === "NoSpace" ? "ENOSPC" : "EIO";
    throw Object.assign(new Error(error.message), { code });
  }
}
