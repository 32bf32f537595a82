/**
 * Files of a log: there whole or not at all, and errors of the disk in the words of the log.
 *
 * @module
 */
import { StorageError, WalError, type WalErrorCode } from "../errors.ts";
import type { Storage } from "../ports.ts";
import { TEMPORARY_SUFFIX } from "./segment.ts";

/** What of a file is copied at once. */
const COPY_BYTES = 1024 * 1024;

/** A sync failed: nobody knows what the disk holds of what was written before (fsyncgate, 2018). */
export class SyncFailure extends Error {
  override readonly name = "SyncFailure";
}

/** A {@link WalError} for what the disk said: `Cannot <action>: <reason>`. */
export function walError(action: string, cause: unknown): WalError {
  if (cause instanceof WalError) return cause;
  const isSync = cause instanceof SyncFailure;
  const origin = isSync ? cause.cause : cause;
  const reason = origin instanceof Error ? origin.message : String(origin);
  const message = isSync
    ? `Cannot ${action}: a sync failed (${reason}), and what the disk holds is no longer known; see to ` +
      `the disk, then open the log again`
    : `Cannot ${action}: ${reason}`;
  return new WalError(codeFor(cause), message, { cause: origin });
}

function codeFor(cause: unknown): WalErrorCode {
  if (cause instanceof SyncFailure) return "SyncFailed";
  if (!(cause instanceof StorageError)) return "Unwritable";
  return cause.code === "NotFound" ? "Unreadable" : cause.code;
}

/** Does what `sync` does, and marks its failure as one of a sync. */
export async function syncing(sync: () => Promise<void>): Promise<void> {
  try {
    await sync();
  } catch (cause) {
    throw new SyncFailure("a sync failed", { cause });
  }
}

/** Makes a file, in place of whatever has its name: temporary name, sync, rename, sync of the directory. */
export async function writeWhole(
  storage: Storage,
  directory: string,
  name: string,
  parts: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = `${directory}/${name}${TEMPORARY_SUFFIX}`;
  // One that was left behind would be written on.
  await storage.remove(temporary);
  try {
    const file = await storage.openAppend(temporary);
    try {
      for await (const part of parts) await file.write(part);
      await syncing(() => file.sync());
    } finally {
      await file.close();
    }
    await storage.rename(temporary, `${directory}/${name}`);
  } catch (error) {
    // It takes room that may be what is lacking. What went wrong before says more than a second failure.
    await storage.remove(temporary).catch(() => {});
    throw error;
  }
  await syncing(() => storage.syncDirectory(directory));
}

/** The bytes of a file between two offsets, a piece at a time. */
export async function* pieces(
  storage: Storage,
  path: string,
  from: number,
  to: number,
): AsyncIterable<Uint8Array> {
  for (let at = from; at < to; at += COPY_BYTES) {
    yield await storage.read(path, at, Math.min(COPY_BYTES, to - at));
  }
}

/** A name that nothing in the directory has yet: `name`, `name.2`, `name.3` … */
export async function freeName(
  storage: Storage,
  directory: string,
  stem: string,
  suffix: string,
): Promise<string> {
  const names = await storage.list(directory);
  for (let count = 1;; count++) {
    const name = `${stem}${count === 1 ? "" : `.${count}`}${suffix}`;
    if (!names.includes(name)) return name;
  }
}
