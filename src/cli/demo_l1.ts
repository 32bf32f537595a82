/**
 * The L1 of the demonstration: a directory, or anvil with an account that all the world knows.
 *
 * @module
 */
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { InboxSink, InboxSource, type OriginL1 } from "../local/inbox.ts";
import { L1Directory } from "../local/l1_directory.ts";
import { ANVIL_KEYS } from "../local/transfers.ts";
import type { BatchSink, L1BatchSource, Log } from "../ports.ts";
import { systemClock } from "../runtime.ts";
import { startAnvil } from "./anvil.ts";
import { DiskStorage } from "../local/disk_storage.ts";
import { openBatcherL1 } from "./batcher_l1.ts";
import { MAX_BLOBS_PER_TX } from "../wire/blob.ts";

/** Where the demonstration posts to, and reads from. */
export interface DemoL1 {
  /** For people. */
  readonly name: string;
  readonly origins: OriginL1;
  readonly sink: BatchSink;
  readonly source: L1BatchSource;
  /** Rejects where the L1 ends before the demonstration. */
  readonly failed?: Promise<never>;
  close(): Promise<void>;
}

/** An L1 in an empty directory. */
export async function openDirectoryDemo(directory: string): Promise<DemoL1> {
  const now = BigInt(Math.floor(systemClock.now() / 1000));
  const l1 = await L1Directory.openOrCreate(directory, now);
  return {
    name: `L1 in ${directory}`,
    origins: l1,
    sink: new InboxSink(l1, { clock: systemClock }),
    source: new InboxSource(l1),
    close: () => Promise.resolve(),
  };
}

const INBOX = "0xff00000000000000000000000000000000008453";
const ANVIL_CHAIN_ID = 31337n;

/**
 * An anvil of its own, and the account of its first key, posting as `montana batcher` does.
 *
 * @param directory empty, for all that is written
 * @param path of anvil; searched for otherwise
 */
export async function openAnvilDemo(
  directory: string,
  path: string | undefined,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<DemoL1> {
  const anvil = await startAnvil(join(directory, "anvil"), path);
  try {
    const keyFile = join(directory, "batcher.key");
    await writeFile(keyFile, ANVIL_KEYS[0]!, { mode: 0o600 });
    await chmod(keyFile, 0o600);
    const batcher = await openBatcherL1({
      place: {
        kind: "ethereum",
        urls: [anvil.url],
        beaconUrls: [anvil.url],
        archive: undefined,
        startBlock: 0n,
        chainId: ANVIL_CHAIN_ID,
        blockTimeMs: 1000,
        verifiesBlocks: false,
      },
      flags: { keyFile, inbox: INBOX, confirmations: "1" },
      da: "blobs",
      maxBlobs: MAX_BLOBS_PER_TX,
      dataDir: join(directory, "batcher"),
      storage: new DiskStorage(),
      once: false,
      check: () => Promise.resolve(),
      log,
      signal,
    });
    const { l1, sink, addresses } = batcher;
    return {
      name: `L1 is ${anvil.path} at ${anvil.url}`,
      origins: l1.origins,
      sink,
      source: l1.reader({ addresses, head: "latest", startBlock: 0n, log }),
      failed: anvil.failed,
      async close() {
        try {
          await batcher.close();
        } finally {
          await anvil[Symbol.asyncDispose]();
        }
      },
    };
  } catch (error) {
    await anvil[Symbol.asyncDispose]();
    throw error;
  }
}
