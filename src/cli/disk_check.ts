/**
 * Whether `--data-dir` can be written, and has room.
 *
 * @module
 */
import { open, rm, stat, statfs } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { isFull, systemCode, systemReason } from "../local/disk.ts";
import type { Check, Finding } from "./checks.ts";
import { textOf } from "./command.ts";
import { formatBytes } from "./text.ts";

/** Below it a batcher soon stands still. */
const LITTLE_BYTES = 64 * 1024 ** 2;
/** A day of batches and their blobs. */
const ENOUGH_BYTES = 2 * 1024 ** 3;

const MAKE_ROOM = "make room: on a full disk a batcher waits, and posts nothing";

/** The directory, or the one in which it would be made. */
export const diskCheck: Check = {
  name: "data-dir",
  fix: "name a directory of your own with --data-dir",
  flags: [{ flags: "--data-dir <dir>", help: "that of a batcher or deriver" }],
  async run(flags) {
    const dataDir = textOf(flags, "dataDir");
    if (dataDir === undefined) return [];
    const there = await nearest(resolve(dataDir));
    const error = await writingError(there);
    if (error !== undefined) {
      const fix = isFull(error)
        ? MAKE_ROOM
        : "give it to the user that runs montana (chown), or name another --data-dir";
      const found = `${there}: ${systemReason(error)}`;
      return [{ check: "data-dir", status: "fail", found, fix }];
    }
    const isMissing = there !== resolve(dataDir);
    return [
      await roomFinding(
        there,
        isMissing ? `${dataDir} can be made` : `${dataDir} is written and synced`,
      ),
    ];
  },
};

/** What is there of a path. */
async function nearest(path: string): Promise<string> {
  const isThere = await stat(path).then(() => true, (error) => systemCode(error) !== "ENOENT");
  return isThere || path === dirname(path) ? path : await nearest(dirname(path));
}

async function writingError(directory: string): Promise<unknown> {
  const path = join(directory, `.montana-doctor-${process.pid}`);
  try {
    const file = await open(path, "wx");
    try {
      await file.writeFile("x");
      await file.sync();
    } finally {
      await file.close();
      await rm(path, { force: true });
    }
    return undefined;
  } catch (error) {
    return error;
  }
}

async function roomFinding(directory: string, said: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(directory);
  const freeBytes = bavail * bsize;
  const line = {
    check: "data-dir",
    found: `${said}; ${formatBytes(freeBytes)} free`,
    details: { freeBytes },
  };
  if (freeBytes >= ENOUGH_BYTES) return { ...line, status: "ok" };
  return {
    ...line,
    status: freeBytes < LITTLE_BYTES ? "fail" : "warn",
    fix: MAKE_ROOM,
  };
}
