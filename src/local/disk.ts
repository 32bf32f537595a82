/**
 * Files that are there whole or not at all, and errors of the disk in our own words.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { link, mkdir, open, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { SinkError, SourceError } from "../errors.ts";

/** The code of a system error, such as `ENOENT`. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or directory",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is no directory",
  ENOSPC: "no space left on the device",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file would be larger than allowed",
  EIO: "the device failed to read or write",
  EMFILE: "too many files are open",
  EEXIST: "it exists already",
};

/** Why the system refused, in words. */
export function systemReason(error: unknown): string {
  const code = systemCode(error);
  const text = error instanceof Error ? error.message : String(error);
  return code === undefined ? text : REASONS[code] ?? text;
}

/** Whether there is no room, or no more for this user. */
export function isFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes(systemCode(error) ?? "");
}

/** A {@link SourceError} for what the system said about reading `path`. */
export function readError(what: string, path: string, cause: unknown): SourceError {
  if (cause instanceof SourceError) return cause;
  const code = systemCode(cause) === "ENOENT" ? "NotFound" : "Unreadable";
  return new SourceError(code, `Cannot read ${what} ${path}: ${systemReason(cause)}`, { cause });
}

/** A {@link SinkError} for what the system said about writing `path`. */
export function writeError(what: string, path: string, cause: unknown): SinkError {
  if (cause instanceof SinkError) return cause;
  return new SinkError(
    isFull(cause) ? "NoSpace" : "Unwritable",
    `Cannot write ${what} ${path}: ${systemReason(cause)}`,
    { cause },
  );
}

/** Writes a file under a temporary name, syncs it, and gives it its name: readers never see half. */
export async function replaceFile(path: string, data: string | Uint8Array): Promise<void> {
  await withTemporary(path, data, (temporary) => rename(temporary, path));
}

/**
 * Like {@link replaceFile}, but never over a file that is there.
 *
 * @param mode who may read and write it; as the process is set otherwise
 * @returns false when it was there already
 */
export async function createFile(
  path: string,
  data: string | Uint8Array,
  mode?: number,
): Promise<boolean> {
  try {
    await withTemporary(path, data, (temporary) => link(temporary, path), mode);
    return true;
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
    // Whoever made it may have been killed before this.
    await syncDirectory(dirname(path));
    return false;
  }
}

/**
 * Makes a directory and those above it, and syncs their names. What `mkdir` offers for that never comes
 * back under Node 22 where a directory takes no others, as `/proc`, and gives a wrong reason on a read-only
 * file system.
 */
export async function makeDirectory(path: string): Promise<void> {
  const above = dirname(resolve(path));
  try {
    await mkdir(path);
  } catch (error) {
    const code = systemCode(error);
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return await syncFoundName(path);
    if (code !== "ENOENT" || above === resolve(path)) throw error;
    await makeDirectory(above);
    await mkdir(path).catch((error) => {
      // Another process was quicker.
      if (systemCode(error) !== "EEXIST") throw error;
    });
  }
  await syncDirectory(above);
  await syncFoundName(above);
}

/** Whoever made it may have been killed before the sync. Where we may not look, it was not one of us. */
async function syncFoundName(path: string): Promise<void> {
  await syncDirectory(dirname(resolve(path))).catch((error) => {
    if (!["EACCES", "EPERM"].includes(systemCode(error) ?? "")) throw error;
  });
}

/** Syncs a directory, so that the names in it survive a power loss. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes and removes a byte in a directory: throws what the system says where that cannot be done. */
export async function probeWritable(directory: string): Promise<void> {
  const probe = join(directory, `probe.${process.pid}.tmp`);
  try {
    await writeFile(probe, ".");
  } finally {
    await rm(probe, { force: true }).catch(() => {});
  }
}

async function withTemporary(
  path: string,
  data: string | Uint8Array,
  settle: (temporary: string) => Promise<void>,
  mode?: number,
): Promise<void> {
  // A number alone would do within one process; containers that share a directory share process ids.
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const handle = await open(temporary, "wx", mode);
    try {
      await handle.writeFile(data);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await settle(temporary);
  } finally {
    // What went wrong before says more than what cannot be removed.
    await rm(temporary, { force: true }).catch(() => {});
  }
  await syncDirectory(dirname(path));
}
