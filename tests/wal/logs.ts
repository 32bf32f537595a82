/**
 * Logs in memory to be looked at and damaged, for the tests of the log.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { WalError } from "../../src/errors.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { Storage } from "../../src/ports.ts";
import { Wal, type WalConfig, type WalRecord } from "../../src/wal/log.ts";

/** Where these logs stand. */
export const DIRECTORY = "/log";

/** The payload of {@link fill} for a record. */
export function payloadOf(sequence: bigint | number): Uint8Array {
  return new TextEncoder().encode(`record ${sequence}${".".repeat(Number(sequence) % 7)}`);
}

/** Opens the log of a disk; its files end where its records do. */
export function openLog(storage: Storage, config: Partial<WalConfig> = {}): Promise<Wal> {
  return Wal.open({ storage, directory: DIRECTORY }, { aheadBytes: 0, ...config });
}

/** Appends records, so many with each write. */
export async function fill(log: Wal, groups: readonly number[], type = 1): Promise<void> {
  for (const count of groups) {
    const first = Number(log.nextSequence);
    const sequences = Array.from({ length: count }, (_, index) => first + index);
    await Promise.all(sequences.map((sequence) => log.append(type, payloadOf(sequence))));
  }
}

/** A disk with a log of these groups, closed well or left as a killed process leaves it. */
export async function diskWith(
  groups: readonly number[],
  { isClosed = true, checkpoint = 0n, type = 1, ...config }: Partial<WalConfig> & {
    readonly isClosed?: boolean;
    readonly checkpoint?: bigint;
    readonly type?: number;
  } = {},
): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  const log = await openLog(storage, config);
  await fill(log, groups, type);
  if (checkpoint > 0n) await log.checkpoint(checkpoint);
  if (isClosed) await log.close();
  else storage.kill();
  return storage;
}

/** The records of a log. */
export async function recordsOf(log: Wal, from?: bigint): Promise<WalRecord[]> {
  const records: WalRecord[] = [];
  for await (const record of log.read(from)) records.push(record);
  return records;
}

/** Another disk with the same files, less or more some bytes. */
export async function copyOf(
  storage: Storage,
  change: (path: string, bytes: Uint8Array) => Uint8Array | undefined = (_, bytes) => bytes,
): Promise<MemoryStorage> {
  const copy = new MemoryStorage();
  for (const name of await storage.list(DIRECTORY)) {
    const path = `${DIRECTORY}/${name}`;
    const bytes = change(path, await storage.read(path));
    if (bytes) await put(copy, path, bytes);
  }
  await copy.syncDirectory(DIRECTORY);
  return copy;
}

/** Makes a file. */
export async function put(storage: Storage, path: string, bytes: Uint8Array): Promise<void> {
  await storage.remove(path);
  const file = await storage.openAppend(path);
  await file.write(bytes);
  await file.sync();
  await file.close();
}

/** The files of a log and what is in them, as text that can be compared. */
export async function contentsOf(storage: Storage): Promise<string[]> {
  const names = await storage.list(DIRECTORY);
  const files = names.map(async (name) => `${name}: ${await storage.read(`${DIRECTORY}/${name}`)}`);
  return await Promise.all(files);
}

/** The segments of a log, oldest first. */
export async function segmentPaths(storage: Storage): Promise<string[]> {
  const names = await storage.list(DIRECTORY);
  return names.filter((name) => name.endsWith(".wal")).map((name) => `${DIRECTORY}/${name}`);
}

/** The error that a promise rejects with, which must be one of the log's. */
export async function walErrorOf(promise: Promise<unknown>): Promise<WalError> {
  const error = await promise.then(() => undefined, (error) => error);
  ok(error instanceof WalError, `expected a WalError, got ${error}`);
  return error;
}
