/**
 * What an account signed, in a log of its own (design `ethereum.md`, "Sending" 1): each transaction is in it
 * before it is sent, so that after a crash the same batch goes on with the same nonce.
 *
 * | type | record   |                                                                     |
 * | ---: | -------- | ------------------------------------------------------------------- |
 * |    1 | owner    | the account and the chain that the journal is of                    |
 * |    2 | attempt  | one signed transaction, without its blobs                           |
 * |    3 | final    | nonces that are done with, and what came of them                    |
 * |    4 | snapshot | all that is kept; the records before it are needed no more          |
 *
 * @module
 */
import type { LandedTx, TxAttempt, TxJournal } from "../ethereum.ts";
import { toHex } from "../wire/hex.ts";
import { openLog } from "./journal_log.ts";
import type { WalConfig, WalParts } from "./log.ts";
import { SnapshotLog } from "./snapshot_log.ts";

const RECORD = { owner: 1, attempt: 2, final: 3, snapshot: 4 } as const;

/** What is final is kept for a day, and the newest in any case. */
const KEPT_MS = 24 * 60 * 60 * 1000;
const KEPT_AT_LEAST = 64;

/** Whose transactions a journal holds. */
export interface TxJournalOwner {
  /** 20 bytes. */
  readonly address: Uint8Array;
  readonly chainId: bigint;
}

interface FinalRecord {
  readonly nonce: bigint;
  readonly landed: readonly LandedTx[];
}

interface Snapshot extends TxJournalOwner {
  readonly attempts: readonly TxAttempt[];
  readonly landed: readonly LandedTx[];
}

/**
 * A {@link TxJournal} on a log, for one account on one chain.
 *
 * @example
 * ```ts
 * import { LogTxJournal, MemoryStorage } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const parts = { storage: new MemoryStorage(), directory: "data/transactions" };
 * const owner = { address: new Uint8Array(20).fill(7), chainId: 1n };
 * const journal = await LogTxJournal.open(parts, owner);
 * await journal.signed({
 *   batchNumber: 0n,
 *   nonce: 5n,
 *   signed: { raw: Uint8Array.of(2, 0xc0), hash: new Uint8Array(32) },
 *   fees: { maxFeePerGas: 3n, maxPriorityFeePerGas: 1n, maxFeePerBlobGas: 0n },
 *   blobHashes: [],
 *   signedAtMs: 0,
 * });
 * await journal.close();
 *
 * const again = await LogTxJournal.open(parts, owner);
 * if (again.attempts[0]?.nonce !== 5n) throw new Error("it forgot the transaction");
 * await again.close();
 * ```
 */
export class LogTxJournal implements TxJournal {
  readonly #log: SnapshotLog;
  #owner: TxJournalOwner | undefined;
  #attempts: TxAttempt[] = [];
  #landed: LandedTx[] = [];

  private constructor(log: SnapshotLog) {
    this.#log = log;
  }

  /**
   * Opens a journal, and begins one where there is none.
   *
   * @throws {WalError} what opening a log throws; `Corrupted` where it holds what is no transaction
   * @throws {ConfigError} `Invalid` where it is of another account or chain
   */
  static async open(
    parts: WalParts,
    owner: TxJournalOwner,
    config: Partial<WalConfig> = {},
  ): Promise<LogTxJournal> {
    const name = `the journal of transactions in ${parts.directory}`;
    return await openLog(parts, config, async (wal) => {
      const log = new SnapshotLog(wal, { name, snapshotType: RECORD.snapshot });
      const journal = new LogTxJournal(log);
      await log.replay((type, value) => journal.#replay(type, value));
      const { address, chainId } = owner;
      const found = journal.#owner;
      journal.#owner = await log.claim(RECORD.owner, found, { address, chainId }, {
        named,
        refusal: (expected) => `it is of ${expected}. Give that key`,
      });
      return journal;
    });
  }

  get attempts(): readonly TxAttempt[] {
    return this.#attempts;
  }

  get landed(): readonly LandedTx[] {
    return this.#landed;
  }

  async signed(attempt: TxAttempt): Promise<void> {
    await this.#log.append(RECORD.attempt, attempt);
    this.#attempts = [...this.#attempts, attempt];
  }

  async forget(nonce: bigint, landed: readonly LandedTx[]): Promise<void> {
    await this.#log.append(RECORD.final, { nonce, landed } satisfies FinalRecord);
    this.#forget({ nonce, landed });
    if (!this.#log.isSnapshotDue) return;
    const { attempts, landed: kept } = this;
    await this.#log.save({ ...this.#owner!, attempts, landed: kept } satisfies Snapshot);
  }

  async close(): Promise<void> {
    await this.#log.close();
  }

  #replay(type: number, value: Record<string, unknown>): void {
    switch (type) {
      case RECORD.owner: {
        this.#owner = ownerOf(value);
        return;
      }
      case RECORD.attempt: {
        this.#attempts.push(attemptOf(value));
        return;
      }
      case RECORD.final: {
        const { nonce } = whole<FinalRecord>(value, { nonce: "bigint", landed: "list" });
        this.#forget({ nonce, landed: landedOf(value) });
        return;
      }
      case RECORD.snapshot: {
        this.#owner = ownerOf(value);
        const { attempts } = whole<Snapshot>(value, { attempts: "list", landed: "list" });
        this.#attempts = attempts.map((each) => attemptOf(each));
        this.#landed = landedOf(value);
        return;
      }
      default:
        throw new TypeError(`type ${type} is unknown`);
    }
  }

  #forget({ nonce, landed }: FinalRecord): void {
    this.#attempts = this.#attempts.filter((attempt) => attempt.nonce >= nonce);
    const all = [...this.#landed, ...landed];
    const newestMs = Math.max(...all.map((each) => each.landedAtMs));
    this.#landed = all.filter((each, at) =>
      each.landedAtMs >= newestMs - KEPT_MS || at >= all.length - KEPT_AT_LEAST
    );
  }
}

function named({ address, chainId }: TxJournalOwner): string {
  return `account ${toHex(address)} on chain ${chainId}`;
}

type Kind = "bytes" | "bigint" | "number" | "boolean" | "list" | "object";

/** The value, where it has these fields. */
function whole<T>(value: unknown, fields: Readonly<Partial<Record<keyof T, Kind>>>): T {
  if (typeof value !== "object" || value === null) throw new TypeError("it is no object");
  for (const [name, kind] of Object.entries(fields)) {
    const field = (value as Record<string, unknown>)[name];
    if (kindOf(field) !== kind) throw new TypeError(`its ${name} is no ${kind}`);
  }
  return value as T;
}

function kindOf(value: unknown): string {
  if (value instanceof Uint8Array) return "bytes";
  if (Array.isArray(value)) return "list";
  return typeof value;
}

function ownerOf(value: unknown): TxJournalOwner {
  const { address, chainId } = whole<TxJournalOwner>(value, {
    address: "bytes",
    chainId: "bigint",
  });
  return { address, chainId };
}

function attemptOf(value: unknown): TxAttempt {
  const attempt = whole<TxAttempt>(value, {
    nonce: "bigint",
    signed: "object",
    fees: "object",
    blobHashes: "list",
    signedAtMs: "number",
  });
  whole<TxAttempt["signed"]>(attempt.signed, { raw: "bytes", hash: "bytes" });
  return { ...attempt, batchNumber: batchNumberOf(attempt) };
}

function landedOf(value: Record<string, unknown>): LandedTx[] {
  return (value.landed as unknown[]).map((each) => {
    const landed = whole<LandedTx>(each, {
      nonce: "bigint",
      isSuccess: "boolean",
      txHash: "bytes",
      l1Block: "bigint",
      l1BlockHash: "bytes",
      blobHashes: "list",
      cost: "object",
      landedAtMs: "number",
    });
    return { ...landed, batchNumber: batchNumberOf(landed) };
  });
}

/** JSON leaves out what is undefined. */
function batchNumberOf({ batchNumber }: { readonly batchNumber?: unknown }): bigint | undefined {
  if (batchNumber === undefined || typeof batchNumber === "bigint") return batchNumber;
  throw new TypeError("its batch number is no number");
}
