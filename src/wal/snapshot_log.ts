/**
 * A journal of JSON records, one type of which is a snapshot: all that is known, so that the records before
 * it are needed no more.
 *
 * @module
 */
import { ConfigError, isRetryable, WalError } from "../errors.ts";
import { replay } from "./journal_log.ts";
import { fromJsonPayload, toJsonPayload } from "./json_payload.ts";
import type { Wal } from "./log.ts";

/** How one journal differs from others. */
export interface SnapshotLogRules {
  /** Of the journal and where it is, for messages: `the proof jobs in data/jobs`. */
  readonly name: string;
  /** The type of the snapshots. */
  readonly snapshotType: number;
  /** One is due after so many bytes of other records at least. */
  readonly snapshotAfterBytes?: number;
}

/** How the owners of a journal are told apart, and what is said to another. */
export interface OwnerTexts<O> {
  readonly named: (owner: O) => string;
  /** Whose the journal is, and what to do: `it is of chain 7. Configure that`. */
  readonly refusal: (expected: string) => string;
}

const SNAPSHOT_AFTER_BYTES = 4 * 1024 * 1024;
/** A snapshot is due after so many times its own size, too. */
const SNAPSHOT_AFTER_TIMES = 4;

/** Records, and the snapshots among them. */
export class SnapshotLog {
  readonly #wal: Wal;
  readonly #rules: SnapshotLogRules;
  #bytesSinceSnapshot = 0;
  #snapshotBytes = 0;

  constructor(wal: Wal, rules: SnapshotLogRules) {
    this.#wal = wal;
    this.#rules = rules;
  }

  /**
   * Reads it through: to be called once, before anything is appended.
   *
   * @param apply throws where the record is none of this journal
   * @throws {WalError} what reading a log throws; `Corrupted` naming the record that is none
   */
  async replay(apply: (type: number, value: Record<string, unknown>) => void): Promise<void> {
    await replay(this.#wal, ({ type, payload }) => {
      apply(type, Object(fromJsonPayload(payload)));
      this.#count(type, payload.length);
    }, { called: (sequence) => `record ${sequence} of ${this.#rules.name}` });
  }

  /**
   * Writes down whose the journal is, where that was not done yet, and resolves with that.
   *
   * @param found the owner that was read in it
   * @throws {ConfigError} `Invalid` where it is another's
   */
  async claim<O extends object>(
    type: number,
    found: O | undefined,
    owner: O,
    { named, refusal }: OwnerTexts<O>,
  ): Promise<O> {
    if (found === undefined) {
      await this.append(type, owner);
      return owner;
    }
    const [expected, value] = [named(found), named(owner)];
    if (expected === value) return found;
    throw new ConfigError(
      "Invalid",
      `Cannot use ${this.#rules.name} for ${value}: ${
        refusal(expected)
      }, or give another directory`,
      { details: { expected, value } },
    );
  }

  /** Resolves when the record would survive a crash. */
  async append(type: number, value: object): Promise<bigint> {
    const payload = toJsonPayload(value);
    const sequence = await this.#wal.append(type, payload);
    this.#count(type, payload.length);
    return sequence;
  }

  get isSnapshotDue(): boolean {
    const { snapshotAfterBytes = SNAPSHOT_AFTER_BYTES } = this.#rules;
    const times = SNAPSHOT_AFTER_TIMES * this.#snapshotBytes;
    return this.#bytesSinceSnapshot >= Math.max(snapshotAfterBytes, times);
  }

  /**
   * One record instead of all those before it. It only gives room back: it may fail for now, and where all
   * that is known is too much for one record, those before it stay.
   */
  async save(snapshot: object): Promise<void> {
    try {
      const sequence = await this.append(this.#rules.snapshotType, snapshot);
      await this.#wal.checkpoint(sequence);
    } catch (error) {
      if (!isTooMuch(error) && !isRetryable(error)) throw error;
      // Not with each record: it is made anew in vain until less is known.
      if (isTooMuch(error)) this.#bytesSinceSnapshot = 0;
    }
  }

  async close(): Promise<void> {
    await this.#wal.close();
  }

  #count(type: number, bytes: number): void {
    if (type === this.#rules.snapshotType) {
      this.#snapshotBytes = bytes;
      this.#bytesSinceSnapshot = 0;
    } else {
      this.#bytesSinceSnapshot += bytes;
    }
  }
}

/** For a record of the log, or for a text of the runtime. */
function isTooMuch(error: unknown): boolean {
  return error instanceof RangeError ||
    (error instanceof WalError && error.code === "RecordTooLarge");
}
