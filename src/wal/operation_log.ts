/**
 * What a processor keeps in its log, and how it finds it again.
 *
 * | type | record    | payload                                                    |
 * | ---: | --------- | ---------------------------------------------------------- |
 * |    1 | operation | its bytes                                                  |
 * |    2 | cut       | `first u64 ‖ last u64`, little-endian, of a batch           |
 *
 * A cut is synced before the handler sees the batch, so that after a crash the same operations come
 * under the same identity. One batch is under way at a time: of the cuts whose batch is not below the
 * checkpoint, the last is the one that counts. An earlier one was never synced in time to be used.
 *
 * @module
 */
import { ProcessorError } from "../errors.ts";
import type { Operation } from "../types.ts";

/** Record type of an operation. */
export const OPERATION_RECORD = 1;
/** Record type of a cut. */
export const CUT_RECORD = 2;

/** What a processor needs of a log; `Wal` is one. */
export interface OperationLog {
  /** Resolves with the sequence when the record would survive a crash. */
  append(type: number, payload: Uint8Array): Promise<bigint>;
  /** Records from `from` on, or from the checkpoint, up to what was synced when it was called. */
  read(from?: bigint): AsyncIterable<LogRecord>;
  /** Everything below is done with, for good when it resolves. */
  checkpoint(sequence: bigint): Promise<void>;
  /** The first sequence that is still needed. */
  readonly checkpointed: bigint;
}

/** A record of the log. */
export interface LogRecord {
  readonly sequence: bigint;
  readonly type: number;
  readonly payload: Uint8Array;
}

/** First and last sequence of a batch. */
export interface BatchIdentity {
  readonly first: bigint;
  readonly last: bigint;
}

/** The payload of a cut. */
export function encodeCut({ first, last }: BatchIdentity): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, first, true);
  view.setBigUint64(8, last, true);
  return bytes;
}

/** @throws {ProcessorError} `Damaged` when it is none */
function decodeCut({ sequence, payload }: LogRecord): BatchIdentity {
  if (payload.length !== 16) {
    throw damaged(`record ${sequence} is a cut of ${payload.length} bytes, not 16`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  return { first: view.getBigUint64(0, true), last: view.getBigUint64(8, true) };
}

/**
 * Goes through all that is not done with, once.
 *
 * @param take told of each operation
 * @returns the identity of the batch that was under way, if any
 * @throws {ProcessorError} `Damaged` when there is something that no processor wrote
 */
export async function recover(
  log: OperationLog,
  take: (operation: Operation) => void,
): Promise<BatchIdentity | undefined> {
  let first: bigint | undefined;
  let cut: BatchIdentity | undefined;
  for await (const record of log.read()) {
    if (record.type === OPERATION_RECORD) {
      first ??= record.sequence;
      // A copy: a view would keep alive the whole chunk that was read.
      take({ sequence: record.sequence, data: record.payload.slice() });
    } else if (record.type === CUT_RECORD) {
      const found = decodeCut(record);
      if (found.last >= log.checkpointed) cut = found;
    } else {
      throw damaged(`record ${record.sequence} has type ${record.type}: it is no processor's`);
    }
  }
  if (cut && cut.first !== first) {
    throw damaged(
      `a batch from ${cut.first} to ${cut.last} was under way, and the first operation is ${first}`,
    );
  }
  return cut;
}

/** The log is not what it must be. */
export function damaged(why: string): ProcessorError {
  return new ProcessorError("Damaged", `Cannot go on with the log: ${why}`);
}
