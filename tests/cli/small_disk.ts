/**
 * A disk that is soon full: a tmpfs, which needs root.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

/** A file system of its own, of a size that can be changed. */
export class SmallDisk {
  readonly path: string;

  /** @param size as tmpfs takes it, such as `1m` */
  constructor(path: string, size: string) {
    this.path = path;
    mountTmpfs(path, `size=${size}`);
  }

  /** @param options such as `size=8m` */
  remount(options: string): void {
    mountTmpfs(this.path, `remount,${options}`);
  }

  [Symbol.dispose](): void {
    spawnSync("umount", ["-l", this.path]);
  }
}

function mountTmpfs(path: string, options: string): void {
  const { status, stderr, error } = spawnSync("mount", [
    "-t",
    "tmpfs",
    "-o",
    options,
    "none",
    path,
  ]);
  if (status !== 0) throw error ?? new Error(`mount: ${stderr}`);
}

/** Why no disk can be made small here. */
function whyNoDisk(): string | false {
  const path = mkdtempSync(join(tmpdir(), "montana-mount-"));
  try {
    new SmallDisk(path, "64k")[Symbol.dispose]();
    return false;
  } catch {
    return "a full disk: mounting a tmpfs needs root";
  } finally {
    rmdirSync(path);
  }
}

/** For `{ skip }`; the reason is printed. */
export const skip: string | false = whyNoDisk();
if (skip) process.stdout.write(`skipped: ${skip}\n`);
