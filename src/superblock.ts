/**
 * The words of synchronized batch proving (seed `superblock-batch.md`): every sequencer cuts its blocks by
 * the clock of Ethereum, and what stands in one window is proved together. Slots, epochs, batch numbers and
 * times of the chain are `bigint`, times in Unix seconds.
 *
 * @module
 */
import { MontanaError, type MontanaErrorOptions } from "./errors.ts";

/** How the time of L1 is counted: equal for all sequencers, or their batches differ. */
export interface L1ClockConfig {
  /** Unix seconds at which slot 0 begins. */
  readonly genesisTime: bigint;
  readonly slotSeconds: bigint;
  readonly slotsPerEpoch: bigint;
  /** A batch begins with each epoch that this divides; epoch 0 too. */
  readonly batchFactor: bigint;
}

/** Who told that an epoch has begun: a beacon node, blocks of the execution chain, or the clock alone. */
export type EpochSourceName = "beacon" | "execution" | "clock";

/** A block of L1. */
export interface EpochBlock {
  readonly number: bigint;
  /** 32 bytes. */
  readonly hash: Uint8Array;
  /** Unix seconds. */
  readonly timestamp: bigint;
  /** The slot it stands in: later than the first of its epoch where that one was missed. */
  readonly slot: bigint;
}

/** An epoch of L1 has begun. */
export interface EpochEvent {
  readonly epoch: bigint;
  /** Its first slot. */
  readonly slot: bigint;
  /** When that slot begins. */
  readonly startsAt: bigint;
  readonly source: EpochSourceName;
  /** The first block in it, where the source knows blocks, and the epoch has one. */
  readonly block?: EpochBlock;
}

/** Which block an epoch began with, where that is known. */
export type EpochMark = Pick<EpochEvent, "epoch" | "block">;

/** A batch begins, and the one before ends. */
export interface BatchTrigger {
  readonly batchNumber: bigint;
  readonly triggerEpoch: bigint;
  readonly triggerSlot: bigint;
  readonly triggerTime: bigint;
}

/** Tells how far L1 is. What fails is asked again later, and another source meanwhile. */
export interface EpochSource {
  readonly name: EpochSourceName;
  /**
   * The slot of L1's head.
   *
   * @throws {SourceError} | {RpcError} it cannot tell now
   */
  headSlot(): Promise<bigint>;
  /** The first block from one slot up to another: `undefined` where all of these slots were missed. */
  firstBlock?(firstSlot: bigint, lastSlot: bigint): Promise<EpochBlock | undefined>;
  /** Whether L1 still has a block that it told. */
  hasBlock?(block: EpochBlock): Promise<boolean>;
}

/** Who is given epochs: each once, in order, over restarts too. */
export interface EpochTaker {
  /** The last one that was taken; `undefined` where none ever was. */
  readonly lastEpoch: bigint | undefined;
  /** Resolves when it is durable that it was taken, with all that follows from it. */
  takeEpoch(epoch: EpochEvent, trigger: BatchTrigger | undefined): Promise<void>;
  /** The last that were taken, the newest last: a reorganisation may still give them other blocks. */
  readonly recentEpochs?: readonly EpochMark[];
  /** An epoch that was taken begins with another block now. Resolves when that is durable. */
  replaceEpochBlock?(epoch: EpochEvent): Promise<void>;
}

/** The time of one batch: the same for every sequencer. */
export interface BatchWindow {
  /** On the common clock: its first epoch by the batch factor. */
  readonly batchNumber: bigint;
  readonly firstEpoch: bigint;
  readonly lastEpoch: bigint;
  readonly firstSlot: bigint;
  readonly lastSlot: bigint;
  readonly startsAt: bigint;
  /** No longer in it. */
  readonly endsAt: bigint;
}

/** A block that a sequencer produced. */
export interface ReportedBlock {
  /** Of L1's clock, by its timestamp. */
  readonly slot: bigint;
  readonly number: bigint;
  /** 32 bytes. */
  readonly hash: Uint8Array;
  /** 32 bytes. */
  readonly parentHash?: Uint8Array;
  readonly timestamp: bigint;
  /** How many it holds. */
  readonly transactions: number;
  /** Names of the cross-chain transactions among them. */
  readonly crossTransactions?: readonly string[];
}

/** What is proved together: the blocks of a window in the order of their numbers; none is legal. */
export interface ProvableBatch {
  readonly chainId: bigint;
  readonly window: BatchWindow;
  readonly blocks: readonly ReportedBlock[];
}

/** What becomes of a batch. */
export type BatchState = "collecting" | "proving" | "completed" | "failed";

/** Why a batch takes no more blocks: the next one began, it waited too long for that, or somebody said so. */
export type BatchEnd = "trigger" | "timeout" | "forced";

/** A batch, as its manager knows it. */
export interface BatchInfo extends ProvableBatch {
  readonly state: BatchState;
  /** Slots of its window that have a block. */
  readonly slotCount: number;
  /** Milliseconds since 1970, when its window was over; late blocks are taken for the grace after that. */
  readonly endedAtMs?: number;
  readonly endedBy?: BatchEnd;
  /** The job that proves it. */
  readonly proofJobId?: string;
  /** Why it failed. */
  readonly errorMessage?: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

/** Where batches wait to be proved, and learn how that went. What resolves is durable. */
export interface ProvableBatches {
  /** Those in state `proving` that no job proves yet, the oldest first. */
  batchesReadyForProving(): readonly ProvableBatch[];
  /** A batch that is known still. */
  batch(batchNumber: bigint): BatchInfo | undefined;
  updateBatchProofJob(batchNumber: bigint, proofJobId: string): Promise<void>;
  /** Its proof was accepted by the publisher. */
  markBatchCompleted(batchNumber: bigint): Promise<void>;
  markBatchFailed(batchNumber: bigint, error: unknown): Promise<void>;
  /** A failed batch is proved again. */
  requeueBatch(batchNumber: bigint): Promise<void>;
}

/** What a manager keeps of everything that happens to its batches, in this order. */
export type BatchChange =
  /** With it batches begin, and those before them end. */
  | {
    readonly change: "epoch";
    readonly epoch: bigint;
    readonly block?: EpochBlock;
    readonly atMs: number;
  }
  /** L1 was reorganised: an epoch that was taken begins with another block. */
  | {
    readonly change: "epoch_block";
    readonly epoch: bigint;
    readonly block: EpochBlock;
    readonly atMs: number;
  }
  /** It belongs to the batch of its timestamp, and replaces blocks from its number on. */
  | { readonly change: "block"; readonly block: ReportedBlock; readonly atMs: number }
  | {
    readonly change: "ended";
    readonly batchNumber: bigint;
    readonly by: BatchEnd;
    readonly atMs: number;
  }
  | {
    /** To `collecting` never; to `proving` from `failed` is a requeue. */
    readonly change: "state";
    readonly batchNumber: bigint;
    readonly state: Exclude<BatchState, "collecting">;
    readonly errorMessage?: string;
    readonly atMs: number;
  }
  | {
    readonly change: "job";
    readonly batchNumber: bigint;
    readonly proofJobId: string;
    readonly atMs: number;
  };

/** All that a manager knows, in place of the changes that led to it. */
export interface BatchSnapshot {
  readonly lastEpoch: bigint | undefined;
  /** As {@link EpochTaker.recentEpochs}. */
  readonly recentEpochs?: readonly EpochMark[];
  /** How many were ever finalized. */
  readonly finalized: number;
  readonly batches: readonly BatchInfo[];
}

/** Keeps what happens to batches, durably. */
export interface BatchJournal {
  /** What an earlier run knew: a snapshot, and what changed since. */
  readonly found: {
    readonly snapshot: BatchSnapshot | undefined;
    readonly changes: readonly BatchChange[];
  };
  /** Resolves when it survives a crash. */
  note(change: BatchChange): Promise<void>;
  /** True when a snapshot would make room. */
  readonly isSnapshotDue: boolean;
  save(snapshot: BatchSnapshot): Promise<void>;
}

/**
 * | code         | kind      |                                                                   |
 * | ------------ | --------- | ----------------------------------------------------------------- |
 * | `WrongSlot`  | critical  | the slot of a block is not the one of its timestamp               |
 * | `TooEarly`   | temporary | its time has not come by the clock here                           |
 * | `TooLate`    | critical  | the window of the block is closed, and its grace is over          |
 * | `Conflict`   | critical  | it contradicts a block of a batch that is closed, or its neighbours |
 * | `WindowOpen` | temporary | a batch whose window is not over cannot be ended                  |
 * | `Unknown`    | critical  | there is no such batch                                            |
 * | `WrongState` | critical  | the batch is in a state in which that cannot be                   |
 */
export type BatchErrorCode =
  | "WrongSlot"
  | "TooEarly"
  | "TooLate"
  | "Conflict"
  | "WindowOpen"
  | "Unknown"
  | "WrongState";

/** A batch does not take a block, or cannot do what it was asked for. */
export class BatchError extends MontanaError {
  readonly code: BatchErrorCode;

  constructor(code: BatchErrorCode, message: string, options?: MontanaErrorOptions) {
    super(
      message,
      code === "TooEarly" || code === "WindowOpen" ? "temporary" : "critical",
      options,
    );
    this.code = code;
  }
}

/** What the clock and the batches tell, by the seed's names. */
export type SuperblockEvent =
  | { readonly event: "epoch"; readonly epoch: EpochEvent }
  | { readonly event: "batch_trigger"; readonly trigger: BatchTrigger }
  | {
    /** L1 was reorganised: the epoch begins with another block. Its trigger does not come again. */
    readonly event: "epoch_reorganised";
    readonly epoch: EpochEvent;
    readonly before: EpochBlock;
  }
  | {
    /** It is left alone for so long; another source is asked meanwhile, where there is one. */
    readonly event: "epoch_source_failed";
    readonly source: EpochSourceName;
    readonly error: unknown;
    readonly retryMs: number;
  }
  | { readonly event: "epoch_source_recovered"; readonly source: EpochSourceName }
  | { readonly event: "batch_started"; readonly batch: BatchInfo }
  | {
    readonly event: "batch_finalized";
    readonly batch: BatchInfo;
    /** Numbers between its blocks that nobody reported. */
    readonly missingBlocks: bigint;
  }
  | { readonly event: "batch_completed"; readonly batch: BatchInfo }
  | { readonly event: "batch_failed"; readonly batch: BatchInfo; readonly error: unknown }
  | {
    /** L2 went another way: blocks from this number on were replaced. */
    readonly event: "blocks_replaced";
    readonly number: bigint;
    readonly blocks: number;
  }
  | {
    /** Blocks of L2 that were read when their batches were closed already: in no superblock. */
    readonly event: "blocks_left_out";
    readonly firstBlock: bigint;
    readonly lastBlock: bigint;
    /** Why the last was. */
    readonly error: unknown;
  }
  | {
    /** Each minute: how all of it stands. */
    readonly event: "standing";
    readonly batch: BatchInfo | undefined;
    /** When it ends, in Unix seconds. */
    readonly endsAt: bigint;
    readonly epoch: bigint;
    /** `undefined` while nobody tells epochs. */
    readonly source: EpochSourceName | undefined;
    /** The newest block that was reported, of those that are known. */
    readonly newestBlock: ReportedBlock | undefined;
    readonly batchesByState: Readonly<Record<BatchState, number>>;
    /** Batches that are over, and wait for the first block behind them. */
    readonly awaitingBlocks: readonly bigint[];
    /** Jobs by stage; `undefined` where nobody proves. */
    readonly jobsByStage: Readonly<Record<string, number>> | undefined;
    readonly atMs: number;
  };
