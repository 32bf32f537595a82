/**
 * Where a run stands, in one small file that is replaced whole. 64-bit numbers are decimal text, bytes are
 * `0x` hexadecimals.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { SourceError } from "../errors.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import { makeDirectory, readError, replaceFile, systemCode, writeError } from "./disk.ts";

/**
 * Reads what {@link writeCheckpoint} wrote; `undefined` when there is nothing yet.
 *
 * @param isWhole whether what was read has all that its user needs
 * @throws {SourceError} `Damaged` when it is there and cannot be understood
 */
export async function readCheckpoint<T>(
  path: string,
  isWhole: (value: Partial<T>) => boolean = () => true,
): Promise<T | undefined> {
  const text = await readFile(path, "utf8").catch((cause) => {
    if (systemCode(cause) === "ENOENT") return undefined;
    throw readError("checkpoint", path, cause);
  });
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text, (_key, value) => {
      if (typeof value !== "object" || value === null) return value;
      if (typeof value.$u64 === "string") return BigInt(value.$u64);
      if (typeof value.$hex === "string") return fromHex(value.$hex, "checkpoint");
      return value;
    });
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    if (isObject && isWhole(value)) return value;
    throw new TypeError("need an object with all its keys");
  } catch (cause) {
    throw new SourceError(
      "Damaged",
      `Cannot read checkpoint ${path}: it is not as written; remove it to start from L1 alone`,
      { cause },
    );
  }
}

/** Writes it whole, synced, or not at all. */
export async function writeCheckpoint(path: string, value: object): Promise<void> {
  const text = JSON.stringify(value, (_key, each) => {
    if (typeof each === "bigint") return { $u64: each.toString() };
    if (each instanceof Uint8Array) return { $hex: toHex(each) };
    return each;
  });
  try {
    await makeDirectory(dirname(path));
    await replaceFile(path, text + "\n");
  } catch (cause) {
    throw writeError("checkpoint", path, cause);
  }
}
