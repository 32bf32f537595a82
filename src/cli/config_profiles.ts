/**
 * Settings of a batcher and a deriver for some kinds of chains: what `montana config init` begins with.
 *
 * @module
 */
import type { RoleName } from "./config_settings.ts";

/** Values by the keys of a role. */
type Values = Readonly<Record<string, string | readonly string[]>>;

/** A kind of chain. */
export interface Profile {
  readonly summary: string;
  readonly roles: Readonly<Partial<Record<RoleName, Values>>>;
}

const INBOX = '"0xff00000000000000000000000000000000008453"';

/** Nodes of this machine; addresses and paths are to be set for each chain. */
const BATCHER = {
  l2: ["http://127.0.0.1:9545"],
  l1: ["http://127.0.0.1:8545"],
  inbox: INBOX,
  key_file: "batcher.key",
  data_dir: "./batcher",
} as const;

const DERIVER = {
  l1: ["http://127.0.0.1:8545"],
  beacon: ["http://127.0.0.1:5052"],
  inbox: INBOX,
  batcher: ['"0x5050f69a9786f081509234f1a7f4684b5e5b76c9"'],
  out: "derived.jsonl",
  data_dir: "./deriver",
} as const;

/** By name. */
export const PROFILES: Readonly<Record<string, Profile>> = {
  "low-throughput": {
    summary:
      "few transactions: a batch an hour, as full as it gets, in calldata where that costs less",
    roles: {
      batcher: {
        ...BATCHER,
        l2_head: "safe",
        batch_interval: "1h",
        // An hour of blocks of one second.
        max_blocks_per_batch: "3600",
        da: "auto",
        max_pending_tx: "1",
        max_spend_per_hour: "0.05ether",
      },
      deriver: { ...DERIVER, head: "finalized" },
    },
  },
  "high-throughput": {
    summary: "blobs fill faster than L1 makes blocks: several batches on their way at once",
    roles: {
      batcher: {
        ...BATCHER,
        batch_interval: "12s",
        max_blobs: "6",
        max_blocks_per_batch: "1000",
        da: "blobs",
        max_pending_tx: "4",
        least_level: "6",
        max_spend_per_hour: "0.5ether",
      },
      deriver: { ...DERIVER, max_ahead_bytes: "64MiB" },
    },
  },
  devnet: {
    summary: "an L1 of this machine that makes a block a second: whatever is there is posted soon",
    roles: {
      batcher: {
        ...BATCHER,
        block_time: "1s",
        batch_interval: "2s",
        min_batch_bytes: "0",
        confirmations: "1",
      },
      deriver: { ...DERIVER, beacon: ["http://127.0.0.1:8545"], block_time: "1s", head: "latest" },
    },
  },
};
