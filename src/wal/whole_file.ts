/**
 * A file that is there whole or not at all, with errors in the words of the disk.
 *
 * @module
 */
import type { Storage } from "../ports.ts";
import { SyncFailure, writeWhole } from "./files.ts";

/** Makes a file, in place of whatever has its name; it survives a power loss when this resolves. */
export async function writeWholeFile(
  storage: Storage,
  directory: string,
  name: string,
  data: Uint8Array,
): Promise<void> {
  try {
    await writeWhole(storage, directory, name, [data]);
  } catch (error) {
    // A log must not go on after a failed sync; what is written anew may be synced anew.
    throw error instanceof SyncFailure ? error.cause : error;
  }
}
