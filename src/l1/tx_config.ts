/**
 * What sends for an account, and how (design `ethereum.md`, "Sending" 2, 3 and 6).
 *
 * @module
 */
import { L1_BLOCK_TIME_MS } from "../config.ts";
import { ConfigError } from "../errors.ts";
import type { BlobStore, Chain, Kzg, Signer, TxJournal } from "../ethereum.ts";
import type { Clock, Log, Random } from "../ports.ts";
import { checkFeeLimits, FEE_DEFAULTS, type FeeLimits } from "./fees.ts";
import type { SidecarChoice } from "./sidecar_form.ts";
import type { SpendLimits } from "./spend_guard.ts";

/** Blocks until a transaction that is not included is replaced: 48 s. */
const BLOCKS_PER_BUMP = 4;

/** What a manager is made of. */
export interface TxManagerParts {
  readonly chain: Chain;
  readonly signer: Signer;
  /** Of this account on this chain, and used by nobody else. */
  readonly journal: TxJournal;
  readonly kzg: Kzg;
  /** Keeps what is sent until it is final, and longer if it likes. */
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  /** Asks a node for `eth_config`, where one is asked directly. */
  readonly ethConfig?: () => Promise<unknown>;
  /**
   * Called before each look at L1: it throws where that is another one than before, or cannot be told. Nothing
   * is sent then.
   */
  readonly mustBeSameL1?: () => Promise<void>;
}

/** How a manager stands. */
export interface TxManagerState {
  /** Calls whose batch has no nonce yet. */
  readonly queued: number;
  /** Nonces that are in no block. */
  readonly pending: number;
  /** Nonces that are in a block and not final. */
  readonly watched: number;
}

/** How an account sends. */
export interface TxManagerConfig extends FeeLimits, SpendLimits {
  /** The chain that it must be, where that is known; whatever the node says otherwise. */
  readonly chainId?: bigint;
  /** Blocks until a transaction counts as there, its own included. */
  readonly confirmations: number;
  /** Blocks until it is final, where a node cannot tell. */
  readonly finalityDepth: number;
  /**
   * Whether others send from the account. Unless they may, what they sent ends the manager: it may have been a
   * batch, and whoever posts must look at L1 again.
   */
  readonly isShared: boolean;
  /** Transactions that wait to be included at the same time. */
  readonly maxPendingTx: number;
  /**
   * Milliseconds between two blocks. Each one L1 is asked what became of transactions, and given again what
   * it does not know.
   */
  readonly blockTimeMs: number;
  /** Until a transaction that is not included is replaced: four blocks otherwise. */
  readonly bumpIntervalMs: number;
  /** How long `send()` waits; the transaction itself goes on after that. */
  readonly sendTimeoutMs: number;
  /**
   * Looks at L1 that may fail one after the other before whoever waits is told. For ever unless told: what
   * has a nonce goes on in any case.
   */
  readonly maxFailures: number;
  readonly sidecar: SidecarChoice;
  /** An account that lasts for less time, at the rate of the last 24 hours, is warned of. */
  readonly lowRunwayMs: number;
}

/** The defaults; times are those of blocks of 12 seconds. */
export const TX_DEFAULTS: TxManagerConfig = Object.freeze({
  ...FEE_DEFAULTS,
  confirmations: 10,
  finalityDepth: 64,
  isShared: false,
  maxPendingTx: 4,
  blockTimeMs: L1_BLOCK_TIME_MS,
  bumpIntervalMs: BLOCKS_PER_BUMP * L1_BLOCK_TIME_MS,
  sendTimeoutMs: Infinity,
  maxFailures: Infinity,
  sidecar: "auto",
  lowRunwayMs: 24 * 60 * 60 * 1000,
});

/**
 * Settings with their defaults, times scaled to the block time.
 *
 * @throws {ConfigError} `Invalid` naming the setting that cannot be
 */
export function txConfig(given: Partial<TxManagerConfig>): TxManagerConfig {
  const blockTimeMs = given.blockTimeMs ?? TX_DEFAULTS.blockTimeMs;
  const bumpIntervalMs = given.bumpIntervalMs ?? BLOCKS_PER_BUMP * blockTimeMs;
  const config = { ...TX_DEFAULTS, ...given, blockTimeMs, bumpIntervalMs };
  checkFeeLimits(config);
  for (const name of ["confirmations", "finalityDepth", "maxPendingTx"] as const) {
    if (Number.isInteger(config[name]) && config[name] >= 1) continue;
    throw invalid(name, config[name], "an integer from 1");
  }
  const times = [
    "blockTimeMs",
    "bumpIntervalMs",
    "sendTimeoutMs",
    "maxFailures",
    "lowRunwayMs",
  ] as const;
  for (const name of times) {
    if (!(config[name] > 0)) throw invalid(name, config[name], "more than 0");
  }
  return config;
}

function invalid(name: string, value: number, need: string): ConfigError {
  return new ConfigError("Invalid", `Cannot send with ${name} ${value}: need ${need}`, {
    details: { [name]: value },
  });
}
