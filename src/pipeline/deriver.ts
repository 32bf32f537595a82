/**
 * The derivation pipeline (seed `montana.md`, "Derivation Pipeline"): reads batches in L1 order, gives
 * each a verdict, and emits the blocks of those it accepts, every one once and in order.
 *
 * @module
 */
import { type DeriverConfig, SEQUENCING_WINDOW } from "../config.ts";
import { MontanaError, PipelineError, SourceError } from "../errors.ts";
import type {
  BatchCodec,
  Compressor,
  DropReason,
  L1BatchSource,
  L2BlockSink,
  Log,
} from "../ports.ts";
import type { Batch, L1Batch } from "../types.ts";
import { standardCodec } from "../wire/batch.ts";
import { type Opener, ReadBatch } from "./opening.ts";
import { ReadAhead } from "./read_ahead.ts";
import { deriverConfig } from "./settings.ts";
import { type DeriverPosition, type Standing, Undo } from "./undo.ts";
import { checkHeader, type Drop } from "./verdict.ts";

export type { DeriverPosition, Standing };

/** What a deriver is made of. */
export interface DeriverParts {
  readonly source: L1BatchSource;
  /** One for each format that is to be read. */
  readonly compressors: readonly Compressor[];
  readonly sink: L2BlockSink;
  readonly codec?: BatchCodec;
  readonly log?: Log;
}

/** What one step did. */
export type StepResult =
  | {
    readonly verdict: "accept";
    readonly batch: L1Batch;
    readonly blocks: number;
    readonly rawBytes: number;
  }
  | { readonly verdict: "duplicate" | "future"; readonly batch: L1Batch }
  | { readonly verdict: "drop"; readonly batch: L1Batch; readonly reason: DropReason }
  | {
    /** L1 was reorganised above `l1Block`, and what came from there was taken back. */
    readonly verdict: "reset";
    readonly l1Block: bigint;
    readonly nextBatchNumber: bigint;
    readonly blocks: number;
  };

interface Emission {
  readonly batch: L1Batch;
  readonly decoded: Batch;
  readonly rawBytes: number;
  /** How many of its blocks the sink has taken. */
  taken: number;
}

/**
 * Batches in, blocks out; call {@link DerivationPipeline.step} in a loop.
 *
 * @example
 * ```ts
 * import {
 *   DerivationPipeline,
 *   MemoryBlockSink,
 *   MemoryL1,
 *   NoopCompressor,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const deriver = new DerivationPipeline({
 *   source: new MemoryL1().source(),
 *   compressors: [new NoopCompressor()],
 *   sink: new MemoryBlockSink(),
 * });
 * if (await deriver.step() !== undefined) throw new Error("an empty L1 holds no batch");
 * ```
 */
export class DerivationPipeline {
  readonly #source: L1BatchSource;
  readonly #opener: Opener;
  readonly #sink: L2BlockSink;
  readonly #log: Log;
  readonly #config: DeriverConfig;
  readonly #ahead: ReadAhead;

  #expected: bigint;
  #lastTimestamp: bigint | undefined;
  #lastReadL1Block: bigint | undefined;
  /** Taken and not judged yet, so that an error on the way loses nothing. */
  #current: ReadBatch | undefined;
  #emission: Emission | undefined;
  /** Batches from the future, in L1 order. */
  #waiting: L1Batch[] = [];
  /** The number that is expected when all that was read ahead is accepted. */
  #expectedAhead: bigint;
  readonly #undo: Undo;
  /** The L1 block to step back to, until that is done. */
  #ancestor: bigint | undefined;

  /**
   * @param history where earlier runs stood, the last at `position`: as far back a reorganisation of L1
   * can be followed
   * @throws {ConfigError} `Invalid` naming key and value
   */
  constructor(
    parts: DeriverParts,
    config: Partial<DeriverConfig> = {},
    position: DeriverPosition = { nextBatchNumber: 0n },
    history: readonly Standing[] = [],
  ) {
    this.#source = parts.source;
    this.#opener = { compressors: parts.compressors, codec: parts.codec ?? standardCodec };
    this.#sink = parts.sink;
    this.#log = parts.log ?? (() => {});
    this.#config = deriverConfig(config);
    this.#ahead = new ReadAhead({
      source: parts.source,
      opener: this.#opener,
      maxBytes: this.#config.maxAheadBytes,
      isWorthOpening: (batch) => this.#isNextAhead(batch),
    });
    this.#expected = position.nextBatchNumber;
    this.#expectedAhead = position.nextBatchNumber;
    this.#lastTimestamp = position.lastTimestamp;
    this.#undo = new Undo(position, history);
    this.#lastReadL1Block = history.at(-1)?.readFrom;
  }

  /** Where it stands: give it to a new deriver to go on from here. */
  get position(): DeriverPosition {
    return {
      nextBatchNumber: this.#expected,
      ...(this.#lastTimestamp === undefined ? {} : { lastTimestamp: this.#lastTimestamp }),
    };
  }

  /**
   * The L1 block to read again from: nothing that is still needed lies below it. What was read ahead
   * is not counted as read.
   */
  get l1Position(): bigint | undefined {
    const needed = [this.#emission?.batch, this.#current?.batch, this.#waiting[0]]
      .filter((batch) => batch !== undefined)
      .map((batch) => batch.inclusion.blockNumber);
    return needed.length > 0 ? needed.reduce(min) : this.#lastReadL1Block;
  }

  /** All of it, as it is to be kept for a later run's history. */
  get standing(): Standing {
    const { l1Block, blocks } = this.#undo;
    return {
      position: this.position,
      // What was read since does not count: it is read again.
      l1Block: l1Block ?? this.#lastReadL1Block ?? -1n,
      readFrom: this.l1Position ?? 0n,
      blocks,
    };
  }

  /** Numbers of the batches that are here before their turn. */
  get waitingFor(): { readonly expected: bigint; readonly held: readonly bigint[] } {
    return { expected: this.#expected, held: this.#waiting.map((each) => each.batchNumber) };
  }

  /** Bytes of the batches that are read ahead; see {@link DeriverConfig.maxAheadBytes}. */
  get aheadBytes(): number {
    return this.#ahead.heldBytes;
  }

  /**
   * Begins nothing more ahead of the next step. What was read ahead is kept for it.
   *
   * @returns resolves when the source and the compressors are left alone, and never rejects
   */
  stopReadingAhead(): Promise<void> {
    return this.#ahead.stop();
  }

  /**
   * Works off the next batch. Those behind it are read ahead meanwhile, and after it. Where L1 was
   * reorganised, steps back instead, and takes back the blocks that came from what is no longer there.
   *
   * @returns what became of it, or `undefined` when caught up with L1
   * @throws what source or sink threw: the next call goes on where this one failed
   * @throws {PipelineError} `SequenceGap` when a missing batch can no longer come; `WrongL1` where L1
   * was reorganised and there is no way back
   */
  async step(): Promise<StepResult | undefined> {
    try {
      if (this.#ancestor === undefined) return await this.#workOff();
    } catch (error) {
      if (!(error instanceof MontanaError) || error.kind !== "reset") throw error;
      this.#ancestor = BigInt(error.details.block!);
      // A batch that is still being opened must not have the source asked for more meanwhile.
      await this.#ahead.stop();
    }
    return await this.#stepBack(this.#ancestor);
  }

  async #workOff(): Promise<StepResult | undefined> {
    if (this.#emission) return await this.#emit(this.#emission);

    // Before the source is asked: what lands between the two is not missing.
    const head = this.#waiting.length > 0 ? await this.#source.l1Head() : undefined;
    const current = this.#current ??= this.#takeWaiting() ?? await this.#ahead.next();
    if (!current) {
      return head === undefined ? undefined : await this.#refuseGap(head);
    }
    const { batch } = current;
    this.#lastReadL1Block = max(this.#lastReadL1Block, batch.inclusion.blockNumber);

    if (batch.batchNumber < this.#expected) return this.#skip("duplicate", batch);
    if (batch.batchNumber > this.#expected) return this.#keep(batch);

    const opened = await current.open();
    const drop = opened.drop ?? await this.#judge(batch, opened.decoded);
    if (drop) return this.#drop(batch, drop);
    this.#emission = { batch, decoded: opened.decoded!, rawBytes: opened.rawBytes!, taken: 0 };
    this.#current = undefined;
    return await this.#emit(this.#emission);
  }

  async #judge(batch: L1Batch, { header }: Batch): Promise<Drop | undefined> {
    const { blockNumber } = batch.inclusion;
    const isKnownL1 = header.l1Origin <= blockNumber;
    const l1OriginHash = isKnownL1 ? await this.#source.l1BlockHash(header.l1Origin) : undefined;
    if (isKnownL1 && !l1OriginHash) {
      // A source that lags behind itself: what every other reader accepts must not be dropped here.
      throw new SourceError(
        "NoOrigin",
        `Cannot judge batch ${batch.batchNumber}: its L1 origin ${header.l1Origin} is not to be had, ` +
          `though L1 block ${blockNumber} above it is`,
        { details: { batch: batch.batchNumber, l1Origin: header.l1Origin } },
      );
    }
    return checkHeader(header, {
      batch,
      l1OriginHash,
      parentHash: await this.#sink.parentHash?.(),
      lastTimestamp: this.#lastTimestamp,
    });
  }

  /** Hands over the blocks that the sink has not taken yet. */
  async #emit(emission: Emission): Promise<StepResult> {
    const { batch, decoded, rawBytes } = emission;
    const { header, blocks } = decoded;
    while (emission.taken < blocks.length) {
      await this.#sink.ingest({
        ...blocks[emission.taken]!,
        batchNumber: batch.batchNumber,
        l1Origin: header.l1Origin,
        l1Block: batch.inclusion.blockNumber,
        ...(emission.taken === 0 ? { parentCheck: header.parentCheck } : {}),
      });
      emission.taken += 1;
    }
    await this.#sink.flush?.();

    this.#emission = undefined;
    this.#expected += 1n;
    this.#lastTimestamp = blocks.at(-1)!.timestamp;
    const transactions = blocks.reduce((sum, block) => sum + block.transactions.length, 0);
    this.#undo.note({
      position: this.position,
      l1Block: this.#lastReadL1Block!,
      readFrom: this.l1Position!,
      blocks: this.#undo.blocks + blocks.length,
    });
    this.#log({ event: "batch.accepted", batch, blocks: blocks.length, transactions, rawBytes });
    return { verdict: "accept", batch, blocks: blocks.length, rawBytes };
  }

  /** Nothing is forgotten before the sink has taken back what it must: the call can be made again. */
  async #stepBack(ancestor: bigint): Promise<StepResult> {
    const to = this.#undo.find(ancestor);
    if (!to) throw noWayBack(ancestor, "it began to read above that block");
    const blocks = this.#undo.blocks - to.blocks;
    if (!this.#source.rewind) throw noWayBack(ancestor, "its source cannot be read again");
    if (blocks > 0) {
      if (!this.#sink.retract) {
        throw noWayBack(
          ancestor,
          `its sink cannot take back what it was handed (${
            blocks === 1 ? "1 block" : `${blocks} blocks`
          })`,
        );
      }
      await this.#sink.retract(blocks);
    }
    const { position: { nextBatchNumber, lastTimestamp } } = to;
    // An earlier run may have kept how far it had read since, which was the other way.
    const readFrom = min(to.readFrom, ancestor + 1n);
    this.#undo.backTo(to, readFrom);
    this.#expected = nextBatchNumber;
    this.#expectedAhead = nextBatchNumber;
    this.#lastTimestamp = lastTimestamp;
    // Not the highest that counts: a batch that waited then is read again first.
    this.#lastReadL1Block = readFrom;
    this.#waiting = [];
    this.#current = undefined;
    this.#ahead.clear();
    this.#source.rewind(readFrom);
    this.#ancestor = undefined;
    this.#log({ event: "derivation.reset", l1Block: ancestor, nextBatchNumber, blocks });
    return { verdict: "reset", l1Block: ancestor, nextBatchNumber, blocks };
  }

  #skip(verdict: "duplicate", batch: L1Batch): StepResult {
    this.#current = undefined;
    this.#log({ event: "batch.duplicate", batch, expected: this.#expected });
    return { verdict, batch };
  }

  #drop(batch: L1Batch, { reason, error }: Drop): StepResult {
    this.#current = undefined;
    this.#log({ event: "batch.dropped", batch, reason, error });
    return { verdict: "drop", batch, reason };
  }

  #keep(batch: L1Batch): StepResult {
    const { maxWaitingBytes } = this.#config;
    const size = this.#waiting.reduce((sum, each) => sum + each.data.length, batch.data.length);
    if (size > maxWaitingBytes) {
      throw gap(
        this.#expected,
        batch.batchNumber,
        `more than ${maxWaitingBytes} bytes wait for it`,
      );
    }
    this.#current = undefined;
    this.#waiting.push(batch);
    this.#log({ event: "batch.future", batch, expected: this.#expected });
    return { verdict: "future", batch };
  }

  /** The earliest batch kept whose turn has come; those whose turn is over go. */
  #takeWaiting(): ReadBatch | undefined {
    const index = this.#waiting.findIndex((each) => each.batchNumber <= this.#expected);
    const [batch] = index < 0 ? [] : this.#waiting.splice(index, 1);
    return batch && new ReadBatch(batch, this.#opener);
  }

  /**
   * A guess at whether a batch just read will be accepted: a wrong one costs time, never blocks.
   * Duplicates and batches from the future are not opened.
   */
  #isNextAhead({ batchNumber }: L1Batch): boolean {
    this.#expectedAhead = max(this.#expectedAhead, this.#expected);
    while (this.#waiting.some((each) => each.batchNumber === this.#expectedAhead)) {
      this.#expectedAhead += 1n;
    }
    if (batchNumber !== this.#expectedAhead) return false;
    this.#expectedAhead += 1n;
    return true;
  }

  /** @param head of L1, up to which everything has been read */
  async #refuseGap(head: bigint): Promise<StepResult | undefined> {
    const oldest = this.#waiting[0];
    if (!oldest) return undefined;
    const deadline = oldest.inclusion.blockNumber + SEQUENCING_WINDOW;
    if (head <= deadline) return undefined;
    const drop = await this.#neverWhole(oldest);
    if (drop) {
      this.#waiting.shift();
      return this.#drop(oldest, drop);
    }
    throw gap(
      this.#expected,
      oldest.batchNumber,
      `the sequencing window of ${SEQUENCING_WINDOW} L1 blocks is over`,
      deadline,
    );
  }

  /** Why a batch would not be accepted in its turn either, whatever came before: it leaves no gap. */
  async #neverWhole(batch: L1Batch): Promise<Drop | undefined> {
    const { drop, decoded } = await new ReadBatch(batch, this.#opener).open();
    if (drop || decoded.header.batchNumber === batch.batchNumber) return drop;
    const nothing = { l1OriginHash: undefined, parentHash: undefined, lastTimestamp: undefined };
    return checkHeader(decoded.header, { batch, ...nothing });
  }
}

function noWayBack(l1Block: bigint, why: string): PipelineError {
  return new PipelineError(
    "WrongL1",
    `Cannot go on: L1 was reorganised above block ${l1Block}, and ${why}; derive from the start, into ` +
      `another output`,
    { details: { l1Block } },
  );
}

/** @param deadline where all of L1 was read, and it is over: the block that it was over with */
function gap(expected: bigint, got: bigint, why: string, deadline?: bigint): PipelineError {
  return new PipelineError(
    "SequenceGap",
    `Cannot derive batch ${expected}: it is missing on L1, batch ${got} is there, and ${why}`,
    { details: { expected, got, deadline } },
  );
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function max(a: bigint | undefined, b: bigint): bigint {
  return a === undefined || b > a ? b : a;
}
