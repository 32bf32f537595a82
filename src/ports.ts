/**
 * The seams: what the flows ask of the world (seed `montana.md`, "Core Traits"). Adapters stand in
 * `local/`, `l1/` and `l2/`; a fake for each in `local/memory.ts`. "Nothing new" is `undefined`, or an
 * empty list where a list is asked for.
 *
 * @module
 */
import type { ConsensusEvent } from "./engine.ts";
import type { EngineEvent, EthereumEvent } from "./ethereum.ts";
import type { ProvingEvent } from "./proving.ts";
import type { SuperblockEvent } from "./superblock.ts";
import type {
  Batch,
  BatchHeader,
  CompressedBatch,
  DerivedBlock,
  L1Batch,
  L2Block,
  OperationBatch,
  ProcessorEvent,
  ProgressEvent,
  SubmissionReceipt,
} from "./types.ts";

/** Where L2 blocks come from. */
export interface BatchSource {
  /**
   * The blocks since the last call, oldest first; empty when there is nothing new.
   *
   * @throws {SourceError} `Reorganised` where L2 went another way than was given: `details.block` is the
   * number of the last block that both ways share. Whoever asks steps back, and calls
   * {@link BatchSource.rewind}
   */
  pendingBlocks(): Promise<readonly L2Block[]>;
  /** Gives again what follows block `number`: the blocks behind it that were given no longer count. */
  rewind?(number: bigint): void;
  /** Number of the L1 block that a batch cut now refers to. */
  l1Origin(): Promise<bigint>;
  /** 32-byte hash of L1 block `number`, so that number and hash can never belong to two blocks. */
  l1OriginHash(number: bigint): Promise<Uint8Array>;
  /**
   * Hash of the block before the first that `pendingBlocks()` ever gave; zeros where nobody knows.
   * Asked only for blocks that do not carry their own `parentHash`.
   */
  parentHash(): Promise<Uint8Array>;
  /** Blocks that are there and were not given yet, where the source can tell. */
  readonly blocksLeft?: number;
  /** True once nothing more will come, where the source can tell: what a run `--once` ends with. */
  readonly isExhausted?: boolean;
}

/** Where compressed batches go. */
export interface BatchSink {
  /**
   * Posts a batch and resolves when it is confirmed. Submitting the same batch again is safe: readers
   * take the first of a number.
   *
   * @throws {SinkError} `temporary` when the same call may succeed later
   */
  submit(batch: CompressedBatch): Promise<SubmissionReceipt>;
  /** The most bytes that one submission can carry now. */
  capacity(): Promise<number>;
  /** Resolves when the sink could take a batch now, rejects with the reason otherwise. */
  healthCheck(): Promise<void>;
  /** Batches that it takes at the same time: calls of `submit()` begin in the batches' order. Or one. */
  readonly maxInFlight?: number;
  /** Usable bytes of one blob, where the sink posts blobs: sizes are then rounded to whole blobs. */
  readonly blobBytes?: number;
}

/** Shrinks and restores batches. Deterministic: the same bytes on every runtime. */
export interface Compressor {
  readonly name: string;
  /** First byte of what it made: 0 Brotli, 1 zstd, 2 none. */
  readonly format: number;
  /** How hard it tries, where it can be told; the scale is the format's own. */
  readonly level?: number;
  compress(data: Uint8Array): Promise<Uint8Array>;
  /**
   * @throws {CompressionError} `TooLarge` before more than the bound is held in memory, `Corrupted`
   * for anything that is not one whole stream
   */
  decompress(data: Uint8Array): Promise<Uint8Array>;
  /** Raw bytes for one compressed byte, as seen so far; conservative at first. */
  estimatedRatio(): number;
}

/** Batches to bytes and back. */
export interface BatchCodec {
  encode(header: BatchHeader, blocks: readonly L2Block[]): Uint8Array;
  decode(data: Uint8Array): Batch;
}

/**
 * Where batches are read back from. The other two are also asked while `nextBatch()` is under way,
 * which itself is never asked twice at once.
 */
export interface L1BatchSource {
  /**
   * The next batch to the inbox in L1 order, or `undefined` when caught up.
   *
   * @throws {SourceError} `Reorganised` where L1 went another way than was read: `details.block` is the
   * last block that both ways share. Whoever reads steps back, and calls {@link L1BatchSource.rewind}
   */
  nextBatch(): Promise<L1Batch | undefined>;
  /**
   * Reads again from L1 block `number` on, or from where it began to read if that is higher. What was
   * read stays known: a block that is another one when it is read again is a reorganisation.
   */
  rewind?(number: bigint): void;
  /** Number of the last L1 block that `nextBatch()` reads up to. */
  l1Head(): Promise<bigint>;
  /** 32-byte hash of the canonical L1 block `number`, or `undefined` when there is none yet. */
  l1BlockHash(number: bigint): Promise<Uint8Array | undefined>;
  /** How far L1 is safe and final. Only of blocks that what was read rests on: never of another branch. */
  l1Heads?(): Promise<L1Heads>;
}

/** How far L1 is safe and final: what was derived from a block up to there is so, too. */
export interface L1Heads {
  /** Number of a block; -1 where none is safe yet. */
  readonly safe: bigint;
  /** Never above `safe`; -1 where none is final yet. */
  readonly finalized: bigint;
}

/** Where derived blocks go. */
export interface L2BlockSink {
  /** Takes the next block. */
  ingest(block: DerivedBlock): Promise<void>;
  /** Resolves when all that was ingested would survive a crash. Called after each batch. */
  flush?(): Promise<void>;
  /** Hash of the last block taken, where the sink knows it: `parent_check` is then verified. */
  parentHash?(): Promise<Uint8Array | undefined>;
  /** Takes back the last `blocks` blocks that were ingested: L1 no longer has them. */
  retract?(blocks: number): Promise<void>;
  /** Told how far L1 is safe and final, as it goes on: never before the blocks from there were ingested. */
  noteL1Heads?(heads: L1Heads): Promise<void>;
}

/** Whoever builds L2 blocks, and can be told to put less into them. */
export interface Sequencer {
  /** Host. */
  readonly name: string;
  /**
   * Bounds what a transaction and a block may come to on L1, in estimated compressed bytes; 0: no bound.
   *
   * @throws {RpcError} `Answered` where it knows no such method
   */
  setMaxDaSize(maxTxBytes: number, maxBlockBytes: number): Promise<void>;
}

/**
 * A small file system, and a log's only way to the disk. Paths are those of the machine, with `/`. What
 * fails rejects with a `StorageError`.
 */
export interface Storage {
  /** Names of what is in a directory, sorted; empty where there is no such directory. */
  list(directory: string): Promise<readonly string[]>;
  /** Bytes of a file; `undefined` where there is no such file. */
  size(path: string): Promise<number | undefined>;
  /** `length` bytes from `offset`, or all that follow: fewer where the file ends before, never more. */
  read(path: string, offset?: number, length?: number): Promise<Uint8Array>;
  /**
   * Opens a file to write at its end; makes an empty one where there is none. Who cuts it off meanwhile
   * opens it again.
   *
   * @param aheadBytes room that may be allotted in advance, which makes syncs cheaper: until the file is
   * closed, and after a crash, so many zeros may follow what was written
   */
  openAppend(path: string, aheadBytes?: number): Promise<AppendFile>;
  /** Cuts a file off after `length` bytes, and syncs it. */
  truncate(path: string, length: number): Promise<void>;
  /** Gives a file another name, in place of whatever had it. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file; nothing happens where there is none. */
  remove(path: string): Promise<void>;
  /** Makes a directory and those above it, where they are missing. */
  makeDirectory(path: string): Promise<void>;
  /** Resolves when the names in a directory survive a power loss. */
  syncDirectory(path: string): Promise<void>;
  /**
   * Takes a lock that one process can have at a time, under the name of a file. A crash leaves none
   * behind.
   *
   * @throws {StorageError} `Locked` at once where it is taken
   */
  lock(path: string): Promise<StorageLock>;
}

/** A file that is written at its end. */
export interface AppendFile {
  /** Writes all of it; where it fails, any part of it may have been written. */
  write(data: Uint8Array): Promise<void>;
  /** Resolves when what was written survives a power loss. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** A lock that is held. */
export interface StorageLock {
  release(): Promise<void>;
}

/** Time, so that intervals and backoff can be tested in no time. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Resolves after `ms`, or at once when `signal` aborts; never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Where batches of operations go. */
export interface BatchHandler {
  /**
   * Handles a batch, and resolves when it is done with: it does not come again. It may come again, under
   * the same identity, when this rejects, and when the process ends before what was resolved is noted.
   *
   * @param signal aborted when the time for this call is over, or the processor ends
   * @throws {HandlerError} `Rejected` when this batch will never be taken: it is not tried again. Any
   * other critical error of ours stops the line; all else is tried again
   */
  handle(batch: OperationBatch, signal: AbortSignal): Promise<void>;
}

/** Randomness, so that jitter can be replayed. */
export interface Random {
  /** From 0 up to, not including, 1. */
  next(): number;
}

/** Why a batch was cut where it was. */
export type CutReason =
  | "full"
  | "interval"
  | "blocks"
  | "size"
  | "timestamp"
  | "window"
  | "shutdown"
  | "manual";

/** Why derivation left a batch out. */
export type DropReason =
  | "undecodable"
  | "version"
  | "number_mismatch"
  | "origin_ahead"
  | "origin_expired"
  | "origin_check"
  | "parent_check"
  | "timestamp";

/** What is told, as it happens. Prose is made of it at the rim. */
export type LogEvent =
  | ProcessorEvent
  | EthereumEvent
  | EngineEvent
  | ConsensusEvent
  | ProgressEvent
  | SuperblockEvent
  | ProvingEvent
  | { readonly event: "blocks.taken"; readonly blocks: readonly L2Block[] }
  | {
    /** L2 was reorganised above block `number`: so many taken blocks are replaced. */
    readonly event: "blocks.dropped";
    readonly number: bigint;
    readonly blocks: number;
  }
  | {
    readonly event: "batch.sealed";
    readonly batchNumber: bigint;
    readonly blocks: number;
    readonly transactions: number;
    readonly rawBytes: number;
    readonly compressedBytes: number;
    readonly reason: CutReason;
    readonly lastBlock: L2Block;
    /** How often blocks were compressed for it: 1, unless a size was misjudged or work was lost. */
    readonly passes: number;
    /** Of the compressor, where it has one. */
    readonly level: number | undefined;
  }
  | {
    /** It could never be accepted as it was sealed: the same blocks under a newer L1 origin. */
    readonly event: "batch.resealed";
    readonly batchNumber: bigint;
    readonly blocks: number;
    readonly l1Origin: bigint;
    readonly l1OriginBefore: bigint;
    readonly compressedBytes: number;
  }
  | {
    /** The next batches are compressed at another level. */
    readonly event: "compression.level";
    readonly level: number | undefined;
    readonly reason: "behind" | "caught up";
    /** Where it is behind: so many seconds of the chain were sealed in so many seconds. */
    readonly chainSeconds: number;
    readonly seconds: number;
  }
  | {
    readonly event: "batch.submitted";
    readonly receipt: SubmissionReceipt;
    readonly reason: CutReason;
    readonly blocks: number;
    readonly lastBlock: L2Block;
    readonly rawBytes: number;
    readonly compressedBytes: number;
    readonly latencyMs: number;
  }
  | {
    /** A worker died or fell silent. */
    readonly event: "worker.lost";
    readonly reason: string;
    /** What becomes of what it did. */
    readonly task: "retried" | "failed" | "none";
  }
  | { readonly event: "batch.failed"; readonly batchNumber: bigint; readonly error: unknown }
  | {
    readonly event: "submission.retried";
    readonly batchNumber: bigint;
    readonly attempt: number;
    readonly delayMs: number;
    readonly error: unknown;
  }
  | { readonly event: "sink.fell_back"; readonly batchNumber: bigint; readonly error: unknown }
  | { readonly event: "source.failed"; readonly error: unknown }
  | {
    /** Sequencers are told what their blocks may hold, or held it back no more. */
    readonly event: "throttle.changed";
    readonly unpostedBytes: number;
    /** From 0 to 1. */
    readonly intensity: number;
    /** Bytes of one transaction and of one block; 0: no limit. */
    readonly maxTxBytes: number;
    readonly maxBlockBytes: number;
  }
  | {
    /** A sequencer did not take the limits: it is told again, or has no such method. */
    readonly event: "throttle.failed";
    readonly endpoint: string;
    readonly error: unknown;
    readonly isUnsupported: boolean;
  }
  | { readonly event: "tick.failed"; readonly error: unknown; readonly retryMs: number }
  | {
    readonly event: "batch.accepted";
    readonly batch: L1Batch;
    readonly blocks: number;
    readonly transactions: number;
    readonly rawBytes: number;
  }
  | { readonly event: "batch.duplicate"; readonly batch: L1Batch; readonly expected: bigint }
  | { readonly event: "batch.future"; readonly batch: L1Batch; readonly expected: bigint }
  | {
    readonly event: "batch.dropped";
    readonly batch: L1Batch;
    readonly reason: DropReason;
    readonly error: unknown;
  }
  | {
    /** L1 was reorganised above `l1Block`: so many blocks were taken back. */
    readonly event: "derivation.reset";
    readonly l1Block: bigint;
    readonly nextBatchNumber: bigint;
    readonly blocks: number;
  }
  | {
    readonly event: "transaction.ignored";
    readonly l1Block: bigint;
    readonly txHash: Uint8Array;
    readonly reason: "sender" | "calldata";
  }
  | {
    /** A log ended in what no sync had finished: it was copied to `brokenPath` and cut off. */
    readonly event: "log.tail_cut";
    readonly path: string;
    readonly offset: number;
    readonly bytes: number;
    readonly brokenPath: string;
    readonly nextSequence: bigint;
    readonly reason: string;
  };

/** Takes events. It must not throw, and flows do not wait for it. */
export type Log = (event: LogEvent) => void;
