/**
 * What journals on a log have in common: they are read through when they are opened, refuse what they did
 * not write, and let go of records that they need no more.
 *
 * @module
 */
import { isRetryable, WalError } from "../errors.ts";
import { Wal, type WalConfig, type WalParts } from "./log.ts";
import type { WalRecord } from "./record.ts";

/** What is said of a record that is none of the journal. */
export interface RecordTexts {
  /** Which record of which journal, such as `record 7 of the proof jobs in data/jobs`. */
  readonly called: (sequence: bigint) => string;
  /** What to do then, where that is not to start another version. */
  readonly advice?: string;
}

/** Opens a log, and closes it again where what begins on it fails. */
export async function openLog<T>(
  parts: WalParts,
  config: Partial<WalConfig>,
  begin: (wal: Wal) => Promise<T>,
): Promise<T> {
  const wal = await Wal.open(parts, config);
  try {
    return await begin(wal);
  } catch (error) {
    await wal.close();
    throw error;
  }
}

/**
 * What each record of a log says, in order.
 *
 * @param decode throws where the record is none of this journal
 * @throws {WalError} what reading a log throws; `Corrupted` naming the record that is none
 */
export async function* decoded<T>(
  wal: Wal,
  decode: (record: WalRecord) => T,
  { called, advice = "Start the version that wrote it, or give another directory" }: RecordTexts,
): AsyncGenerator<T> {
  for await (const record of wal.read()) {
    let value: T;
    try {
      value = decode(record);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      const { sequence } = record;
      throw new WalError(
        "Corrupted",
        `Cannot read ${
          called(sequence)
        }: it is not as this version writes it (${reason}). ${advice}`,
        { cause, details: { sequence } },
      );
    }
    yield value;
  }
}

/**
 * Hands each record of a log over, in order.
 *
 * @param apply as `decode` of {@link decoded}
 * @throws {WalError} as {@link decoded}
 */
export async function replay(
  wal: Wal,
  apply: (record: WalRecord) => void,
  texts: RecordTexts,
): Promise<void> {
  for await (const _ of decoded(wal, apply, texts));
}

/** Lets go of the records below `sequence`: where that cannot be written now, the next time. */
export async function forgetBefore(wal: Wal, sequence: bigint): Promise<void> {
  try {
    await wal.checkpoint(sequence);
  } catch (error) {
    if (!isRetryable(error)) throw error;
  }
}
