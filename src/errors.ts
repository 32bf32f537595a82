/**
 * Errors say what could not be done, why, with the offending value; and how to take them. One class a
 * family, as in the seeds, each with a `code` and a `kind`:
 *
 * | kind        | meaning                                          | who acts                   |
 * | ----------- | ------------------------------------------------ | -------------------------- |
 * | `temporary` | try the same again (the seeds call it retryable) | `retry.ts`, the runners    |
 * | `reset`     | L1 or L2 was reorganised: step back, then go on  | the deriver                |
 * | `critical`  | stop, say so, keep everything                    | whoever runs it            |
 *
 * @module
 */

/** How an error is to be taken. */
export type ErrorKind = "temporary" | "reset" | "critical";

/** The numbers and names an error is about, for machines. */
export type ErrorDetails = Readonly<Record<string, string | number | bigint | undefined>>;

/** What every error of this project can be given besides its message. */
export interface MontanaErrorOptions extends ErrorOptions {
  /** Overrides the kind that its code has by default. */
  readonly kind?: ErrorKind;
  readonly details?: ErrorDetails;
}

/** What the families share. */
export abstract class MontanaError extends Error {
  abstract readonly code: string;
  readonly kind: ErrorKind;
  readonly details: ErrorDetails;

  constructor(message: string, kind: ErrorKind, options: MontanaErrorOptions = {}) {
    super(message, options);
    this.name = new.target.name;
    this.kind = options.kind ?? kind;
    this.details = options.details ?? {};
  }

  /** The seeds' `Retryable`: the very same call may succeed later. */
  get isRetryable(): boolean {
    return this.kind === "temporary";
  }
}

/**
 * | code           | kind      |                                                        |
 * | -------------- | --------- | ------------------------------------------------------ |
 * | `Connection`   | temporary | the source could not be asked                          |
 * | `Empty`        | temporary | it has no blocks yet                                   |
 * | `NoOrigin`     | temporary | the L1 origin cannot be told now                       |
 * | `NotFound`     | critical  | there is no such file, directory, transaction or batch |
 * | `Unreadable`   | critical  | it is there and cannot be read                         |
 * | `InvalidBlock` | critical  | a block is not what a block must be                    |
 * | `Gap`          | critical  | block numbers do not follow each other                 |
 * | `WrongParent`  | critical  | a block does not link to the one before                |
 * | `Changed`      | critical  | what was read already is no longer what it was         |
 * | `Damaged`      | critical  | an L1 directory or blobs are not as they were written  |
 * | `BlobMissing`  | temporary | no source has a blob now                               |
 * | `Reorganised`  | reset     | L1 went another way; `details.block` is still there    |
 */
export type SourceErrorCode =
  | "Connection"
  | "Empty"
  | "NoOrigin"
  | "NotFound"
  | "Unreadable"
  | "InvalidBlock"
  | "Gap"
  | "WrongParent"
  | "Changed"
  | "Damaged"
  | "BlobMissing"
  | "Reorganised";

const SOURCE_ERROR_KINDS: Partial<Record<SourceErrorCode, ErrorKind>> = {
  Connection: "temporary",
  Empty: "temporary",
  NoOrigin: "temporary",
  BlobMissing: "temporary",
  Reorganised: "reset",
};

/** Blocks or batches could not be taken from where they come from. */
export class SourceError extends MontanaError {
  readonly code: SourceErrorCode;

  constructor(code: SourceErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, SOURCE_ERROR_KINDS[code] ?? "critical", options);
    this.code = code;
  }
}

/**
 * | code                  | kind      |                                                     |
 * | --------------------- | --------- | --------------------------------------------------- |
 * | `Connection`          | temporary | the sink could not be asked                         |
 * | `Timeout`             | temporary | sent, not confirmed in time: it may still land      |
 * | `GasTooExpensive`     | temporary | gas is above the ceiling: wait                      |
 * | `BlobGasTooExpensive` | temporary | gas of blobs is above the ceiling: wait             |
 * | `SpendLimit`          | temporary | the spend guard is reached: wait                    |
 * | `NoSpace`             | temporary | the disk is full: goes on when there is room        |
 * | `Syncing`             | temporary | the execution client has not caught up              |
 * | `TxFailed`            | critical  | the transaction was refused or reverted             |
 * | `InsufficientFunds`   | critical  | the account cannot pay                              |
 * | `TooLarge`            | critical  | more than the sink can take at all                  |
 * | `Unwritable`          | critical  | no right to write there, or no such place           |
 * | `Changed`             | critical  | what was written already is no longer what it was   |
 * | `WindowExpired`       | critical  | it would land after its window: readers drop it     |
 * | `NonceTaken`          | critical  | somebody else uses the account                      |
 * | `InvalidBlock`        | critical  | the execution client refuses it, or built another   |
 * | `Unsupported`         | critical  | the execution client cannot do what is needed       |
 */
export type SinkErrorCode =
  | "Connection"
  | "Timeout"
  | "GasTooExpensive"
  | "BlobGasTooExpensive"
  | "SpendLimit"
  | "WindowExpired"
  | "NonceTaken"
  | "NoSpace"
  | "TxFailed"
  | "InsufficientFunds"
  | "TooLarge"
  | "Unwritable"
  | "Changed"
  | "Syncing"
  | "InvalidBlock"
  | "Unsupported";

const TEMPORARY_SINK_ERRORS: readonly SinkErrorCode[] = [
  "Connection",
  "Timeout",
  "GasTooExpensive",
  "BlobGasTooExpensive",
  "SpendLimit",
  "NoSpace",
  "Syncing",
];

/** A batch or a block could not be handed to where it goes. */
export class SinkError extends MontanaError {
  readonly code: SinkErrorCode;

  constructor(code: SinkErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, TEMPORARY_SINK_ERRORS.includes(code) ? "temporary" : "critical", options);
    this.code = code;
  }
}

/**
 * | code                    |                                                                |
 * | ----------------------- | -------------------------------------------------------------- |
 * | `InvalidVersion`        | a batch whose version is not 0                                 |
 * | `Truncated`             | bytes end inside a field                                       |
 * | `InvalidBlockCount`     | 0 blocks, more than 65535, or not as many as the header says   |
 * | `InvalidTimestampDelta` | the first is not 0, or one is below 0 or above 65535           |
 * | `TrailingBytes`         | bytes after the last block                                     |
 * | `TooLarge`              | a value its field cannot hold                                  |
 * | `InvalidHeader`         | a JSON or header field is not what it must be                   |
 * | `UnknownFormat`         | the first byte of a compressed batch names no compression      |
 * | `InvalidBlobSize`       | not 131072 bytes                                               |
 * | `InvalidBlobVersion`    | blob encoding other than 0                                     |
 * | `InvalidBlobLength`     | a length no blob holds, or a blob before the last not full     |
 * | `InvalidFieldElement`   | a field element is not below the BLS modulus                   |
 * | `InvalidCommitment`     | no KZG commitment: not 48 bytes, or no point of the curve      |
 * | `ExtraneousData`        | bytes beyond the length that are not 0                         |
 * | `KzgFailed`             | no commitment or proof was made, through no fault of the blob  |
 * | `InvalidTransaction`    | no transaction of Ethereum that this program makes             |
 */
export type CodecErrorCode =
  | "InvalidVersion"
  | "Truncated"
  | "InvalidBlockCount"
  | "InvalidTimestampDelta"
  | "TrailingBytes"
  | "TooLarge"
  | "InvalidHeader"
  | "UnknownFormat"
  | "InvalidBlobSize"
  | "InvalidBlobVersion"
  | "InvalidBlobLength"
  | "InvalidFieldElement"
  | "InvalidCommitment"
  | "ExtraneousData"
  | "KzgFailed"
  | "InvalidTransaction";

/** Bytes are not, or values cannot become, what the wire format says. Always critical. */
export class CodecError extends MontanaError {
  readonly code: CodecErrorCode;

  constructor(code: CodecErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, "critical", options);
    this.code = code;
  }
}

/**
 * | code            |                                                              |
 * | --------------- | ------------------------------------------------------------ |
 * | `Failed`        | the compressor gave up, or did not give back what it was fed |
 * | `Corrupted`     | not a whole, lone stream of that format                      |
 * | `TooLarge`      | would become more than the bound                             |
 * | `Unsupported`   | a level, window or engine that is not to be had              |
 */
export type CompressionErrorCode = "Failed" | "Corrupted" | "TooLarge" | "Unsupported";

/** Bytes could not be compressed or decompressed. Always critical. */
export class CompressionError extends MontanaError {
  readonly code: CompressionErrorCode;

  constructor(code: CompressionErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, "critical", options);
    this.code = code;
  }
}

/**
 * | code                 |                                                                    |
 * | -------------------- | ------------------------------------------------------------------ |
 * | `SequenceGap`        | a batch is missing and its sequencing window is over               |
 * | `UnsupportedVersion` | a header version this program does not know                        |
 * | `BlockTooLarge`      | one block alone is more than the sink takes                        |
 * | `WrongL1`            | the L1 is not the one that was followed before                     |
 * | `WrongBlocks`        | L1 holds other blocks than the source or the output                |
 * | `Reorganised`        | L2 no longer has blocks of a batch that is sealed                  |
 * | `Closed`             | used after shutdown, or started twice                              |
 */
export type PipelineErrorCode =
  | "SequenceGap"
  | "UnsupportedVersion"
  | "BlockTooLarge"
  | "WrongL1"
  | "WrongBlocks"
  | "Reorganised"
  | "Closed";

/** The pipeline itself cannot go on. Always critical. */
export class PipelineError extends MontanaError {
  readonly code: PipelineErrorCode;

  constructor(code: PipelineErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, "critical", options);
    this.code = code;
  }
}

/**
 * | code         | kind      |                                                          |
 * | ------------ | --------- | -------------------------------------------------------- |
 * | `NoSpace`    | temporary | the disk is full: goes on when there is room             |
 * | `NotFound`   | critical  | there is no such file or directory                       |
 * | `Unreadable` | critical  | it is there and cannot be read                           |
 * | `Unwritable` | critical  | no right to write there, no such place, or a broken disk |
 * | `Locked`     | critical  | another process has the lock                             |
 */
export type StorageErrorCode = "NoSpace" | "NotFound" | "Unreadable" | "Unwritable" | "Locked";

/** The disk did not do what it was asked. */
export class StorageError extends MontanaError {
  readonly code: StorageErrorCode;

  constructor(code: StorageErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, code === "NoSpace" ? "temporary" : "critical", options);
    this.code = code;
  }
}

/**
 * | code             | kind      |                                                                  |
 * | ---------------- | --------- | ---------------------------------------------------------------- |
 * | `NoSpace`        | temporary | the disk is full: what was acknowledged stays, and the next      |
 * |                  |           | append succeeds when there is room                               |
 * | `Locked`         | critical  | another process has the log open                                 |
 * | `Corrupted`      | critical  | an acknowledged record is damaged or missing; `details` name the |
 * |                  |           | file and the offset                                              |
 * | `Unreadable`     | critical  | a file cannot be read                                            |
 * | `Unwritable`     | critical  | a file or the directory cannot be written                        |
 * | `SyncFailed`     | critical  | a sync failed before: what the disk holds is no longer known     |
 * | `RecordTooLarge` | critical  | larger than the log takes                                        |
 * | `OutOfRange`     | critical  | a sequence that is removed already, or not there yet             |
 * | `Closed`         | critical  | used after it was closed                                         |
 */
export type WalErrorCode =
  | "NoSpace"
  | "Locked"
  | "Corrupted"
  | "Unreadable"
  | "Unwritable"
  | "SyncFailed"
  | "RecordTooLarge"
  | "OutOfRange"
  | "Closed";

/** A log cannot be opened, read or written. */
export class WalError extends MontanaError {
  readonly code: WalErrorCode;

  constructor(code: WalErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, code === "NoSpace" ? "temporary" : "critical", options);
    this.code = code;
  }
}

/** `Usage`: a flag or argument that cannot be. `Invalid`: a setting whose value cannot be. */
export type ConfigErrorCode = "Usage" | "Invalid";

/** A setting cannot be used. Always critical. */
export class ConfigError extends MontanaError {
  readonly code: ConfigErrorCode;

  constructor(code: ConfigErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, "critical", options);
    this.code = code;
  }
}

/**
 * | code         | kind      |                                                              |
 * | ------------ | --------- | ------------------------------------------------------------ |
 * | `Full`       | temporary | the queue is full, and the policy is to reject               |
 * | `Draining`   | temporary | no operation is taken until it is resumed                    |
 * | `Paused`     | temporary | nothing is handed over until it is resumed                   |
 * | `Deadline`   | temporary | not all was handled in time; what is left is in the log      |
 * | `TooLarge`   | critical  | the operation alone is more than the queue takes             |
 * | `NotStarted` | critical  | `start()` was not called                                     |
 * | `Started`    | critical  | `start()` was called before                                  |
 * | `Closed`     | critical  | after shutdown nothing is taken                              |
 * | `Damaged`    | critical  | the log holds what no processor wrote, or lacks what one did |
 * | `Dead`       | critical  | a batch found no taker, and is among the dead letters        |
 */
export type ProcessorErrorCode =
  | "Full"
  | "Draining"
  | "Paused"
  | "Deadline"
  | "TooLarge"
  | "NotStarted"
  | "Started"
  | "Closed"
  | "Damaged"
  | "Dead";

const TEMPORARY_PROCESSOR_ERRORS: readonly ProcessorErrorCode[] = [
  "Full",
  "Draining",
  "Paused",
  "Deadline",
];

/** A batch processor could not do what it was asked for. */
export class ProcessorError extends MontanaError {
  readonly code: ProcessorErrorCode;

  constructor(code: ProcessorErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, TEMPORARY_PROCESSOR_ERRORS.includes(code) ? "temporary" : "critical", options);
    this.code = code;
  }
}

/**
 * | code       | kind      |                                                       |
 * | ---------- | --------- | ----------------------------------------------------- |
 * | `Failed`   | temporary | it did not handle the batch, and may the next time    |
 * | `Timeout`  | temporary | it did not handle the batch in time                   |
 * | `Rejected` | critical  | it will never take this batch                         |
 * | `Broken`   | critical  | it cannot work at all: the line stops, the batch stays |
 */
export type HandlerErrorCode = "Failed" | "Timeout" | "Rejected" | "Broken";

/** A handler did not handle a batch. */
export class HandlerError extends MontanaError {
  readonly code: HandlerErrorCode;

  constructor(code: HandlerErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, code === "Failed" || code === "Timeout" ? "temporary" : "critical", options);
    this.code = code;
  }
}

/**
 * | code          | kind      |                                                                  |
 * | ------------- | --------- | ---------------------------------------------------------------- |
 * | `Unreachable` | temporary | no connection, or it broke                                       |
 * | `Timeout`     | temporary | no answer in time                                                |
 * | `Busy`        | temporary | HTTP 429 or 5xx                                                  |
 * | `Invalid`     | temporary | the answer is not what the method answers                        |
 * | `Refused`     | critical  | HTTP 4xx: no right to ask there, or no such place                |
 * | `Answered`    | critical  | an error of JSON-RPC: `details.rpcCode`, its text is the message |
 */
export type RpcErrorCode =
  | "Unreachable"
  | "Timeout"
  | "Busy"
  | "Invalid"
  | "Refused"
  | "Answered";

/** A node could not be asked, or answered with an error. Messages name its host only. */
export class RpcError extends MontanaError {
  readonly code: RpcErrorCode;

  constructor(code: RpcErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, code === "Refused" || code === "Answered" ? "critical" : "temporary", options);
    this.code = code;
  }
}

/**
 * | code          | kind      |                                                                   |
 * | ------------- | --------- | ----------------------------------------------------------------- |
 * | `Unreadable`  | critical  | no key file, or it cannot be read                                 |
 * | `TooOpen`     | critical  | others than its owner can read the key                            |
 * | `Invalid`     | critical  | it holds no key                                                   |
 * | `Password`    | critical  | the password does not open the keystore                           |
 * | `Unreachable` | temporary | a remote signer could not be asked, or not in time                |
 * | `Refused`     | critical  | a remote signer does not sign this                                |
 * | `WrongAnswer` | critical  | a remote signer signed something else, or with another key        |
 */
export type SignerErrorCode =
  | "Unreadable"
  | "TooOpen"
  | "Invalid"
  | "Password"
  | "Unreachable"
  | "Refused"
  | "WrongAnswer";

/** A key cannot be used. No message holds any part of it. */
export class SignerError extends MontanaError {
  readonly code: SignerErrorCode;

  constructor(code: SignerErrorCode, message: string, options?: MontanaErrorOptions) {
    super(message, code === "Unreachable" ? "temporary" : "critical", options);
    this.code = code;
  }
}

/** True when the very same call may succeed later. What is not ours is not known to be harmless. */
export function isRetryable(error: unknown): boolean {
  return error instanceof MontanaError && error.isRetryable;
}

/** One line about anything thrown: `code: message`, or the message alone. */
export function describeError(error: unknown): string {
  if (error instanceof MontanaError) return `${error.code}: ${error.message}`;
  return error instanceof Error ? error.message : String(error);
}
