/**
 * Where a batcher goes on: L1 itself tells what has been posted, so nothing is posted twice and nothing is
 * left out, whatever was or was not written down before a crash.
 *
 * @module
 */
import { PipelineError } from "../errors.ts";
import type { BatchSource, Clock, Compressor, L1BatchSource, L2BlockSink } from "../ports.ts";
import type { DerivedBlock, L2Block } from "../types.ts";
import { equalBytes } from "../wire/bytes.ts";
import type { BatcherPosition } from "./batcher.ts";
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
}

/** A {@link BatcherPosition}, and how many blocks lie behind it. */
export interface RecoveredPosition extends BatcherPosition {
  readonly blocks: number;
}

/** Time between two looks at a source that does not have yet what L1 has. */
const SOURCE_WAIT_MS = 100;

/**
 * Derives what was posted since `known`, holds it against the source, and tells where to go on.
 *
 * @throws {PipelineError} `WrongBlocks` when L1 holds another block than the source, or more blocks;
 * `SequenceGap` when L1 lacks a batch before others
 */
export async function recoverPosition(
  parts: RecoveryParts,
  known: RecoveredPosition = { nextBatchNumber: 0n, blocks: 0 },
): Promise<RecoveredPosition> {
  const matcher = new SourceMatcher(parts);
  const deriver = new DerivationPipeline(
    { source: parts.l1, compressors: parts.compressors, sink: matcher },
    {},
    {
      nextBatchNumber: known.nextBatchNumber,
      ...(known.lastBlock ? { lastTimestamp: known.lastBlock.timestamp } : {}),
    },
  );
  try {
    while (!parts.signal?.aborted && await deriver.step());
  } catch (error) {
    // Whoever aborted wants no position.
    if (!matcher.isInterrupted) throw error;
  }

  const { expected, held } = deriver.waitingFor;
  if (held.length > 0) {
    throw new PipelineError(
      "SequenceGap",
      `Cannot go on: L1 holds batch ${held[0]}, but not batch ${expected} before it`,
      { details: { expected, got: held[0] } },
    );
  }
  const lastBlock = matcher.lastBlock ?? known.lastBlock;
  return {
    nextBatchNumber: expected,
    blocks: known.blocks + matcher.matched,
    pending: matcher.rest,
    ...(lastBlock ? { lastBlock } : {}),
  };
}

/** Takes derived blocks, and makes sure that they are the source's. */
class SourceMatcher implements L2BlockSink {
  readonly #source: BatchSource;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  #blocks: readonly L2Block[] = [];
  #next = 0;
  matched = 0;
  /** Aborted while it waited for a block, which says nothing about the blocks. */
  isInterrupted = false;
  lastBlock: L2Block | undefined;

  constructor({ source, clock, signal }: RecoveryParts) {
    this.#source = source;
    this.#clock = clock;
    this.#signal = signal;
  }

  /** Blocks that the source gave and L1 does not hold. */
  get rest(): readonly L2Block[] {
    return this.#blocks.slice(this.#next);
  }

  async ingest(derived: DerivedBlock): Promise<void> {
    const block = await this.#nextBlock();
    if (!block || !isSame(block, derived)) throw this.#wrong(derived, block);
    this.#next += 1;
    this.matched += 1;
    this.lastBlock = block;
  }

  async #nextBlock(): Promise<L2Block | undefined> {
    while (this.#next >= this.#blocks.length) {
      this.#blocks = await this.#source.pendingBlocks();
      this.#next = 0;
      if (this.#blocks.length > 0) break;
      if (this.#source.isExhausted ?? true) return undefined;
      if (this.#signal?.aborted) {
        this.isInterrupted = true;
        return undefined;
      }
      await this.#clock.sleep(SOURCE_WAIT_MS, this.#signal);
    }
    return this.#blocks[this.#next];
  }

  #wrong(derived: DerivedBlock, block: L2Block | undefined): PipelineError {
    const told = (each: L2Block) =>
      `timestamp ${each.timestamp} with ${each.transactions.length} transactions`;
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
  return a.timestamp === b.timestamp && a.transactions.length === b.transactions.length &&
    a.transactions.every((each, index) => equalBytes(each, b.transactions[index]!));
}
