/**
 * Files over the port `Storage` that are there whole or not at all.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { dirname } from "node:path";
import type { Storage } from "../ports.ts";

/** What a name ends in until the file is whole; a crash may leave one behind. */
export const TEMPORARY_FILE_SUFFIX = ".tmp";

/**
 * Makes a file, in place of whatever has its name, and resolves when it would survive a power loss.
 * Several processes may do so at the same time.
 *
 * @throws {StorageError}
 */
export async function writeWholeFile(
  storage: Storage,
  path: string,
  data: Uint8Array,
): Promise<void> {
  const temporary = `${path}.${randomUUID()}${TEMPORARY_FILE_SUFFIX}`;
  try {
    const file = await storage.openAppend(temporary);
    try {
      await file.write(data);
      await file.sync();
    } finally {
      await file.close();
    }
    await storage.rename(temporary, path);
  } catch (error) {
    // It takes room that may be what is lacking. What went wrong before says more than a second failure.
    await storage.remove(temporary).catch(() => {});
    throw error;
  }
  await storage.syncDirectory(dirname(path));
}
