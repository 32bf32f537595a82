/**
 * Where a batcher goes on: L1 itself tells what has been posted, so nothing is posted twice and nothing is
 * left out, whatever was or was not written down before a crash.
 *
 * @module
 */
import { SEQUENCING_WINDOW } from "../config.ts";
import { CodecError, CompressionError, PipelineError, SinkError } from "../errors.ts";
import type { BatchSource, Clock, Compressor, L1BatchSource, L2BlockSink } from "../ports.ts";
import type { DerivedBlock, L1Batch, L2Block } from "../types.ts";
import { decodeBatch } from "../wire/batch.ts";
import { equalLists } from "../wire/bytes.ts";
import { open } from "../wire/envelope.ts";
import { toHex } from "../wire/hex.ts";
import type { BatcherPosition } from "./batcher_parts.ts";
import { DerivationPipeline } from "./deriver.ts";

/** What a batcher finds out where it stands from. */
export interface RecoveryParts {
  /** Reads from the first L1 block that `known` does not cover, up to the latest. */
  readonly l1: L1BatchSource;
  readonly compressors: readonly Compressor[];
  /** Gives blocks from the first that `known` does not cover. */
  readonly source: BatchSource;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** Whether a batch that stands on L1 before its turn was sealed here: then those before it will follow. */
  readonly isOwn?: (batch: L1Batch) => boolean;
  /**
   * Whether a batch stays on L1, or is posted again where a reorganisation takes it; all do otherwise. Nothing
   * can go on behind one that does not.
   */
  readonly isSure?: (inclusion: L1Batch["inclusion"]) => boolean;
  /** Told once, when the source has kept it waiting for a block that L1 holds. */
  readonly onWait?: (derived: DerivedBlock) => void;
}

/** A {@link BatcherPosition}, and how many blocks lie behind it. */
export interface RecoveredPosition extends BatcherPosition {
  readonly blocks: number;
  /** Taken from the source, and not on L1. */
  readonly pending: readonly L2Block[];
  /** The L1 block with the last batch that was found behind what was known. */
  readonly lastL1Block?: { readonly number: bigint; readonly hash: Uint8Array };
}

/** Where the search for more begins. */
export type KnownPosition = Pick<RecoveredPosition, "nextBatchNumber" | "blocks" | "lastBlock">;

/** Where on L1 a batch was found. */
type Accepted = Pick<L1Batch, "batchNumber" | "inclusion">;

/** Time between two looks at a source that does not have yet what L1 has. */
const SOURCE_WAIT_MS = 100;
/** Batches and blocks that a reorganisation of L1 may take back meanwhile. */
const MAX_UNDONE = 2000;
/** Looks after which somebody should know that it waits. */
const PATIENCE = 10;

/**
 * Derives what was posted since `known`, holds it against the source, and tells where to go on.
 *
 * @throws {PipelineError} `WrongBlocks` when L1 holds another block than the source, or more blocks;
 * `SequenceGap` when L1 lacks a batch before others
 * @throws {SinkError} `NonceTaken` where a batch is not sure to stay
 */
export async function recoverPosition(
  parts: RecoveryParts,
  known: KnownPosition = { nextBatchNumber: 0n, blocks: 0 },
): Promise<RecoveredPosition> {
  const matcher = new SourceMatcher(parts);
  let early: L1Batch[] = [];
  let accepted: Accepted[] = [];
  const position = {
    nextBatchNumber: known.nextBatchNumber,
    ...(known.lastBlock ? { lastTimestamp: known.lastBlock.timestamp } : {}),
  };
  const deriver = new DerivationPipeline(
    {
      source: parts.l1,
      compressors: parts.compressors,
      sink: matcher,
      log: (event) => {
        if (event.event === "batch.future") early.push(event.batch);
        if (event.event === "batch.accepted") {
          const { batchNumber, inclusion } = event.batch;
          accepted.push({ batchNumber, inclusion });
          if (accepted.length > 2 * MAX_UNDONE) accepted = accepted.slice(-MAX_UNDONE);
        }
        if (event.event === "derivation.reset") {
          early = [];
          accepted = accepted.filter((each) => each.batchNumber < event.nextBatchNumber);
        }
      },
    },
    {},
    position,
    // However far L1 goes back meanwhile, what was known before is not looked for.
    [{ position, l1Block: -1n, readFrom: 0n, blocks: 0 }],
  );
  try {
    while (!parts.signal?.aborted && await deriver.step());
  } catch (error) {
    // Whoever aborted wants no position. A batch that is missing may be one that is to be posted from here.
    if (!matcher.isInterrupted && !isMissing(error)) throw error;
  } finally {
    await deriver.stopReadingAhead();
  }

  const unsure = accepted.find(({ inclusion }) => !(parts.isSure?.(inclusion) ?? true));
  if (unsure && !parts.signal?.aborted) throw notOurs(unsure);
  const { expected } = deriver.waitingFor;
  const others = early.filter((each) => each.batchNumber > expected && !parts.isOwn?.(each));
  const foreign = await firstWhole(others, parts);
  if (foreign && !parts.signal?.aborted) {
    throw new PipelineError(
      "SequenceGap",
      `Cannot go on: L1 holds batch ${foreign.batchNumber} in block ` +
        `${foreign.inclusion.blockNumber}, but not batch ${expected} before it: somebody else posts ` +
        `as this batcher. Use another batcher address or another inbox`,
      { details: { expected, got: foreign.batchNumber } },
    );
  }
  const lastBlock = matcher.lastBlock ?? known.lastBlock;
  const last = accepted.at(-1);
  return {
    nextBatchNumber: expected,
    blocks: known.blocks + matcher.matched,
    pending: matcher.rest,
    ...(lastBlock ? { lastBlock } : {}),
    ...(last ? { lastL1Block: markOf(last) } : {}),
  };
}

function markOf({ inclusion: { blockNumber, blockHash } }: Accepted) {
  return { number: blockNumber, hash: blockHash };
}

/** It came while this program started. */
function notOurs({ batchNumber, inclusion: { blockNumber, txHash } }: Accepted): SinkError {
  return new SinkError(
    "NonceTaken",
    `Cannot go on: batch ${batchNumber} is in L1 block ${blockNumber}, which is not final, and another ` +
      `program sent it in transaction ${
        toHex(txHash)
      }. One program alone may use an account. Start ` +
      `again: it waits until the batch is final`,
    { details: { batch: batchNumber, block: blockNumber } },
  );
}

/** Whether all of L1 was read, and a batch is missing before others. */
function isMissing(error: unknown): boolean {
  return error instanceof PipelineError && error.code === "SequenceGap" &&
    error.details.deadline !== undefined;
}

/** The first that readers would accept in its turn. What none can decode, or came too late, is in nobody's way. */
async function firstWhole(
  batches: readonly L1Batch[],
  { compressors }: RecoveryParts,
): Promise<L1Batch | undefined> {
  for (const batch of batches) {
    try {
      const { header } = decodeBatch(await open(batch.data, compressors));
      if (header.l1Origin + SEQUENCING_WINDOW >= batch.inclusion.blockNumber) return batch;
    } catch (error) {
      if (!(error instanceof CodecError || error instanceof CompressionError)) throw error;
    }
  }
  return undefined;
}

/** Takes derived blocks, and makes sure that they are the source's. */
class SourceMatcher implements L2BlockSink {
  readonly #source: BatchSource;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  readonly #onWait: (derived: DerivedBlock) => void;
  #waits = 0;
  /** The last that were matched, and those that follow. */
  #blocks: readonly L2Block[] = [];
  #next = 0;
  matched = 0;
  /** Aborted while it waited for a block, which says nothing about the blocks. */
  isInterrupted = false;
  lastBlock: L2Block | undefined;

  constructor({ source, clock, signal, onWait }: RecoveryParts) {
    this.#source = source;
    this.#clock = clock;
    this.#signal = signal;
    this.#onWait = onWait ?? (() => {});
  }

  /** Blocks that the source gave and L1 does not hold. */
  get rest(): readonly L2Block[] {
    return this.#blocks.slice(this.#next);
  }

  async ingest(derived: DerivedBlock): Promise<void> {
    const block = await this.#nextBlock(derived);
    if (!block || !isSame(block, derived)) throw this.#wrong(derived, block);
    this.#next += 1;
    this.matched += 1;
    this.lastBlock = block;
  }

  /** L1 lost them: they are still to be posted, or found again. */
  retract(blocks: number): Promise<void> {
    const left = this.#next - blocks;
    if (left < 0 || left === 0 && this.matched > blocks) {
      throw new PipelineError(
        "WrongL1",
        `Cannot go on: L1 was reorganised while it was read, and lost more than ${MAX_UNDONE} blocks; ` +
          `start again`,
        { details: { blocks } },
      );
    }
    this.#next = left;
    this.matched -= blocks;
    this.lastBlock = this.#blocks[left - 1];
    return Promise.resolve();
  }

  async #nextBlock(derived: DerivedBlock): Promise<L2Block | undefined> {
    while (this.#next >= this.#blocks.length) {
      const more = await this.#source.pendingBlocks();
      const kept = this.#blocks.slice(-MAX_UNDONE);
      this.#blocks = [...kept, ...more];
      this.#next = kept.length;
      if (more.length > 0) break;
      if (this.#source.isExhausted ?? true) return undefined;
      if (this.#signal?.aborted) {
        this.isInterrupted = true;
        return undefined;
      }
      this.#waits += 1;
      if (this.#waits === PATIENCE) this.#onWait(derived);
      await this.#clock.sleep(SOURCE_WAIT_MS, this.#signal);
    }
    return this.#blocks[this.#next];
  }

  #wrong(derived: DerivedBlock, block: L2Block | undefined): PipelineError {
    const told = ({ timestamp, transactions: { length } }: L2Block) =>
      `timestamp ${timestamp} with ${length} ${length === 1 ? "transaction" : "transactions"}`;
    return new PipelineError(
      "WrongBlocks",
      `Cannot go on: batch ${derived.batchNumber} on L1 holds a block of ${told(derived)}, the ` +
        `source ${block ? `has one of ${told(block)}` : "has no more blocks"} there; is it the ` +
        `source of this L1?`,
      { details: { batch: derived.batchNumber } },
    );
  }
}

function isSame(a: L2Block, b: L2Block): boolean {
  return a.timestamp === b.timestamp && equalLists(a.transactions, b.transactions);
}
