/**
 * What tests read from beside the repository, and how they say that it is not there.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

const root = new URL("../../shared/", import.meta.url);

/** True when `../shared/<path>` is there; prints why the test is skipped otherwise. */
export function hasShared(path: string, test: string): boolean {
  if (existsSync(new URL(path, root))) return true;
  process.stdout.write(`skipped: ${test}: ../shared/${path} is not there\n`);
  return false;
}

/** The path of `../shared/<path>`. */
export function sharedPath(path: string): string {
  return fileURLToPath(new URL(path, root));
}

/** The bytes of `../shared/<path>`, unpacked where it ends in .gz. */
export function readShared(path: string): Uint8Array {
  const bytes = readFileSync(new URL(path, root));
  return new Uint8Array(path.endsWith(".gz") ? gunzipSync(bytes) : bytes);
}
