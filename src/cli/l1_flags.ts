/**
 * The flags of roles on an L1.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";
import { RETRY_DEFAULTS, type RetryPolicy } from "../retry.ts";
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
