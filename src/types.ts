/**
 * The nouns. Numbers that are 64 bits wide on the wire or on a chain are `bigint`; counts, sizes and
 * milliseconds are `number`.
 *
 * @module
 */

/** One L2 block: what a batch carries of it, and what its source knew besides. */
export interface L2Block {
  /** Unix seconds. */
  readonly timestamp: bigint;
  /** Signed EIP-2718 bytes in block order, opaque to the pipeline. */
  readonly transactions: readonly Uint8Array[];
  /** Height, where the source knows it. It does not travel. */
  readonly number?: bigint;
  /** 32-byte block hash, where the source knows it. It does not travel. */
  readonly hash?: Uint8Array;
  /** 32-byte hash of the block before, where the source knows it. Its first 20 bytes travel. */
  readonly parentHash?: Uint8Array;
}

/** The 67 bytes in front of every batch (seed `montana.md`, "Batch Encoding"). */
export interface BatchHeader {
  /** Wire format version, 0. */
  readonly version: number;
  /** One more than the batch before; the first is 0. */
  readonly batchNumber: bigint;
  /** L1 block number (the epoch) that the batch refers to. */
  readonly l1Origin: bigint;
  /** First 20 bytes of that L1 block's hash. */
  readonly l1OriginCheck: Uint8Array;
  /** First 20 bytes of the hash of the L2 block before the first block. */
  readonly parentCheck: Uint8Array;
  /** Unix seconds of the first block. */
  readonly timestamp: bigint;
  /** 1 to 65535. */
  readonly blockCount: number;
}

/** Consecutive L2 blocks under one header. */
export interface Batch {
  readonly header: BatchHeader;
  readonly blocks: readonly L2Block[];
}

/** A batch as it is posted: `format u8 ‖ payload`, before it is cut into blobs. */
export interface CompressedBatch {
  readonly batchNumber: bigint;
  readonly data: Uint8Array;
}

/** Where a batch landed. */
export interface SubmissionReceipt {
  readonly batchNumber: bigint;
  /** 32 bytes. */
  readonly txHash: Uint8Array;
  /** Number of the L1 block that includes the transaction. */
  readonly l1Block: bigint;
  /** 32 bytes: the hash of that L1 block. */
  readonly l1BlockHash: Uint8Array;
  /** One 32-byte hash a blob, in order; empty when the batch went into calldata. */
  readonly blobHashes: readonly Uint8Array[];
  /** What it cost, on an L1 that is paid. */
  readonly cost?: TxCost;
  /** A block below `l1Block` that no reorganisation takes: a restart reads again above it. */
  readonly finalBlock?: { readonly number: bigint; readonly hash: Uint8Array };
}

/** What a transaction used, and what was paid for it. */
export interface TxCost {
  readonly gasUsed: bigint;
  /** Wei for one gas. */
  readonly gasPrice: bigint;
  /** 0 without blobs. */
  readonly blobGasUsed: bigint;
  /** Wei for one gas of blobs. */
  readonly blobGasPrice: bigint;
}

/** A batch read back from L1, and the block that included it. */
export interface L1Batch extends CompressedBatch {
  /** Why its blobs hold no bytes that a batch could be; `data` is empty then. */
  readonly broken?: Error;
  readonly inclusion: {
    readonly blockNumber: bigint;
    /** 32 bytes. */
    readonly blockHash: Uint8Array;
    /** Unix seconds of the L1 block. */
    readonly timestamp: bigint;
    /** 32 bytes. */
    readonly txHash: Uint8Array;
    /** How many blobs carried it; 0 means calldata. */
    readonly blobs: number;
  };
}

/** A block given back by derivation, with where it came from. */
export interface DerivedBlock extends L2Block {
  readonly batchNumber: bigint;
  /** The epoch that its batch names. */
  readonly l1Origin: bigint;
  /** The L1 block that included its batch. */
  readonly l1Block: bigint;
  /** Of the first block of a batch: its header's `parentCheck`. Zeros where the batcher did not know. */
  readonly parentCheck?: Uint8Array;
}

/** One operation of the processor: bytes, and the place that the log gave them. */
export interface Operation {
  /** Grows from operation to operation; not each number is an operation's. */
  readonly sequence: bigint;
  readonly data: Uint8Array;
}

/**
 * Operations that are handed over together. `first` and `last` are its identity: the same operations come
 * under the same identity again, after a failure and after a crash.
 */
export interface OperationBatch {
  /** Sequence of the first operation. */
  readonly first: bigint;
  /** Sequence of the last operation. */
  readonly last: bigint;
  /** At least one, in the order they were added. */
  readonly operations: readonly Operation[];
  /** Sum of the operations' bytes. */
  readonly bytes: number;
}

/** How a long work goes on: posting, deriving or comparing many blocks. */
export interface ProgressEvent {
  readonly event: "progress";
  readonly task: "batcher" | "deriver" | "verify" | "estimate";
  /** It was long, and is over: told once. */
  readonly isCaughtUp: boolean;
  /** L2 blocks that were done by this run; since it was long, where it is caught up. */
  readonly blocks: number;
  readonly blocksPerSecond: number;
  /** What is not read yet, and of which chain. */
  readonly left: number;
  readonly leftUnit: "block" | "L1 block";
  /** Since it was long. */
  readonly elapsedMs: number;
  /** L2 blocks that were read and are not done with. */
  readonly waiting?: number;
  /** At the pace of late, where it comes nearer to its end. */
  readonly timeLeftMs?: number;
  /** How old the newest block is that is done with. */
  readonly lagMs?: number;
}

/** Why a batch of operations was handed over when it was. */
export type HandOverReason =
  | "interval"
  | "operations"
  | "bytes"
  | "full"
  | "flush"
  | "drain"
  | "recovered"
  | "resumed";

/** Why the number of operations that make a batch was changed, or left. */
export type SizeReason = "probe" | "faster" | "no faster" | "too slow" | "no quicker" | "failed";

/** What a processor tells. */
export type ProcessorEvent =
  | {
    readonly event: "operations.recovered";
    readonly operations: number;
    readonly bytes: number;
    /** Of the batch that the handler may have seen before. */
    readonly batch?: Pick<OperationBatch, "first" | "last">;
  }
  | {
    readonly event: "operations.handled";
    readonly batch: OperationBatch;
    readonly reason: HandOverReason;
    readonly attempts: number;
    readonly latencyMs: number;
  }
  | {
    readonly event: "handler.failed";
    readonly batch: OperationBatch;
    readonly attempt: number;
    readonly error: unknown;
    /** Until the next try; none where there is none. */
    readonly retryMs?: number;
  }
  | {
    readonly event: "operations.dead";
    readonly batch: OperationBatch;
    readonly attempts: number;
    readonly error: unknown;
    /** Where they are kept. */
    readonly path: string;
  }
  | {
    readonly event: "processor.waits";
    /** What could not be written. */
    readonly what: "cut" | "checkpoint" | "dead letter";
    readonly error: unknown;
    readonly retryMs: number;
  }
  | { readonly event: "processor.stopped"; readonly error: unknown }
  | {
    readonly event: "processor.full";
    readonly policy: "wait" | "reject";
    readonly operations: number;
    readonly bytes: number;
  }
  | {
    readonly event: "size.decided";
    readonly from: number;
    readonly to: number;
    readonly reason: SizeReason;
  };
