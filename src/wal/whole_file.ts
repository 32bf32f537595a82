/**
 * Files of a `Storage` that are there whole or not at all.
 *
 * @module
 */
import type { Storage } from "../ports.ts";

/** Makes a directory whose name survives a power loss. */
export async function makeSyncedDirectory(storage: Storage, path: string): Promise<void> {
  await storage.makeDirectory(path);
  const above = path.slice(0, Math.max(0, path.lastIndexOf("/")));
  await storage.syncDirectory(above === "" ? (path.startsWith("/") ? "/" : ".") : above);
}

/** Writes a file under a temporary name, syncs it, and gives it its name: durable when it resolves. */
export async function writeWhole(
  storage: Storage,
  directory: string,
  name: string,
  data: Uint8Array,
): Promise<void> {
  const path = `${directory}/${name}`;
  const temporary = `${path}.tmp`;
  // One that a crash left behind has bytes of its own.
  await storage.remove(temporary);
  const file = await storage.openAppend(temporary);
  try {
    await file.write(data);
    await file.sync();
  } finally {
    await file.close();
  }
  await storage.rename(temporary, path);
  await storage.syncDirectory(directory);
}
