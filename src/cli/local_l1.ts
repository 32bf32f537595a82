/**
 * The flags of roles on an L1 in a directory, and what opens it.
 *
 * @module
 */
import { ConfigError, PipelineError, SourceError } from "../errors.ts";
import type { RetryPolicy } from "../retry.ts";
import { RETRY_DEFAULTS } from "../retry.ts";
import { L1Directory } from "../local/l1_directory.ts";
import { systemClock, writeStderr } from "../runtime.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { type Flag, type FlagValues, textOf } from "./command.ts";
import { parseAddress } from "./options.ts";

/** Which inbox. */
export const INBOX_FLAG: Flag = {
  flags: "--inbox <address>",
  help: "where batches go",
  value: "0x4242424242424242424242424242424242424242",
};

/** Whose batches. */
export const BATCHER_FLAG: Flag = {
  flags: "--batcher <address>",
  help: "who posts them",
  value: "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266",
};

/** Work off what is there, and end. */
export const ONCE_FLAG: Flag = { flags: "--once", help: "work off what is there, then exit" };

/** Where a role keeps its position. */
export const DATA_DIR_FLAG: Flag = {
  flags: "--data-dir <dir>",
  help: "journal and position; without it, L1 is read again from the start",
};

/** Retries of a run that ends by itself are few: whoever scripts it can try again. */
export function retryPolicy(once: boolean): RetryPolicy {
  return once
    ? { ...RETRY_DEFAULTS, maxAttempts: 3, baseDelayMs: 500 }
    : { ...RETRY_DEFAULTS, maxAttempts: Number.MAX_SAFE_INTEGER };
}

/** The directory of `--l1`. */
export function l1Path(flags: FlagValues): string {
  const path = textOf(flags, "l1") ?? "";
  if (path !== "" && !/^[a-z]+:\/\//.test(path)) return path;
  throw new ConfigError("Usage", `Cannot use --l1 "${path}": need a directory`);
}

/** Whose batches, and to which inbox. */
export interface Addresses {
  readonly inbox: Uint8Array;
  readonly batcher: Uint8Array;
}

/** The addresses of a role. */
export function addressesOf(flags: FlagValues): Addresses {
  return {
    inbox: parseAddress("--inbox", textOf(flags, "inbox") ?? ""),
    batcher: parseAddress("--batcher", textOf(flags, "batcher") ?? ""),
  };
}

/** Opens the L1, and with `wait` until there is one. */
export async function openL1(path: string, wait?: AbortSignal): Promise<L1Directory | undefined> {
  for (let looks = 1;; looks++) {
    try {
      return await L1Directory.open(path);
    } catch (error) {
      const isMissing = error instanceof SourceError && error.code === "NotFound";
      if (!isMissing || !wait) throw error;
      if (wait.aborted) return undefined;
      if (looks === 1) writeStderr(`waiting for an L1 in ${path}: there is none yet`);
      await systemClock.sleep(200, wait);
    }
  }
}

/** An L1 block that a checkpoint was made at, and what was followed there. */
export interface L1Mark extends Addresses {
  readonly number: bigint;
  readonly hash: Uint8Array;
}

/** Whether a checkpoint's mark is one. */
export function isL1Mark(mark: Partial<L1Mark> | undefined): boolean {
  const { number, hash, inbox, batcher } = mark ?? {};
  return typeof number === "bigint" &&
    [hash, inbox, batcher].every((each) => each instanceof Uint8Array);
}

/** Whether the L1 has that very block. */
export async function isOnL1(l1: L1Directory, { number, hash }: L1Mark): Promise<boolean> {
  if (number > await l1.head("latest")) return false;
  return equalBytes((await l1.block(number)).hash, hash);
}

/** Refuses an L1 that is another one than the checkpoint's, another inbox, or another batcher. */
export async function mustBeSameL1(
  l1: L1Directory,
  addresses: Addresses,
  mark: L1Mark,
  dataDir: string,
): Promise<void> {
  for (const name of ["inbox", "batcher"] as const) {
    if (equalBytes(addresses[name], mark[name])) continue;
    throw new ConfigError(
      "Usage",
      `Cannot use --${name} ${toHex(addresses[name])} with --data-dir ${dataDir}: it belongs to ` +
        `${toHex(mark[name])}; use another --data-dir for another ${name}`,
    );
  }
  if (await isOnL1(l1, mark)) return;
  const head = await l1.head("latest");
  const hash = mark.number <= head ? (await l1.block(mark.number)).hash : undefined;
  throw new PipelineError(
    "WrongL1",
    `Cannot go on with ${l1.path}: ${dataDir} belongs to an L1 whose block ${mark.number} is ` +
      `${toHex(mark.hash)}, here ${hash ? `it is ${toHex(hash)}` : `the head is ${head}`}; ` +
      `use another --data-dir for another L1`,
    { details: { block: mark.number, head } },
  );
}
