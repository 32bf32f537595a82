/**
 * What is known of the batches: it follows from the changes, and from nothing else. Deciding what changes
 * is the manager's.
 *
 * @module
 */
import type {
  BatchChange,
  BatchInfo,
  BatchSnapshot,
  EpochMark,
  L1ClockConfig,
  ReportedBlock,
} from "../superblock.ts";
import { batchAt, batchOfEpoch, batchWindow, WATCHED_EPOCHS } from "./clock.ts";

/** So many batches that are completed are kept, for whoever asks; failed ones until they are not. */
const KEPT_COMPLETED = 64;

/** The batches of one chain, in the order of their numbers. */
export class BatchBook {
  readonly #chainId: bigint;
  readonly #clock: L1ClockConfig;
  #batches: BatchInfo[] = [];
  #lastEpoch: bigint | undefined;
  #recentEpochs: readonly EpochMark[] = [];
  #finalized = 0;

  constructor(
    chainId: bigint,
    clock: L1ClockConfig,
    snapshot?: BatchSnapshot,
    changes: readonly BatchChange[] = [],
  ) {
    this.#chainId = chainId;
    this.#clock = clock;
    if (snapshot) {
      this.#batches = [...snapshot.batches];
      this.#lastEpoch = snapshot.lastEpoch;
      this.#recentEpochs = snapshot.recentEpochs ?? [];
      this.#finalized = snapshot.finalized;
    }
    for (const change of changes) this.apply(change);
  }

  get lastEpoch(): bigint | undefined {
    return this.#lastEpoch;
  }

  /** The newest last. */
  get recentEpochs(): readonly EpochMark[] {
    return this.#recentEpochs;
  }

  get batches(): readonly BatchInfo[] {
    return this.#batches;
  }

  get snapshot(): BatchSnapshot {
    return {
      lastEpoch: this.#lastEpoch,
      recentEpochs: this.#recentEpochs,
      finalized: this.#finalized,
      batches: this.#batches,
    };
  }

  /** How many were ever finalized. */
  get finalized(): number {
    return this.#finalized;
  }

  batch(batchNumber: bigint): BatchInfo | undefined {
    return this.#batches.find(({ window }) => window.batchNumber === batchNumber);
  }

  /** The batch that holds block `number`. */
  batchWith(number: bigint): BatchInfo | undefined {
    return this.#batches.find(({ blocks }) =>
      blocks.length > 0 && blocks[0]!.number <= number && number <= blocks.at(-1)!.number &&
      blocks.some((block) => block.number === number)
    );
  }

  /** The blocks next to a number, below and above it. */
  neighbours(number: bigint): readonly [ReportedBlock | undefined, ReportedBlock | undefined] {
    let below: ReportedBlock | undefined;
    let above: ReportedBlock | undefined;
    for (const { blocks } of this.#batches) {
      // Of those that lie wholly on one side, the outermost is the next.
      const [first, last] = [blocks[0], blocks.at(-1)];
      if (!first || !last) continue;
      const isApart = last.number < number || first.number > number;
      for (const block of isApart ? [first, last] : blocks) {
        if (block.number < number && (!below || block.number > below.number)) below = block;
        if (block.number > number && (!above || block.number < above.number)) above = block;
      }
    }
    return [below, above];
  }

  /** @returns the batches that it began */
  apply(change: BatchChange): readonly BatchInfo[] {
    const { atMs } = change;
    switch (change.change) {
      case "epoch": {
        const { epoch, block } = change;
        this.#lastEpoch = epoch;
        const mark = { epoch, ...(block && { block }) };
        this.#recentEpochs = [...this.#recentEpochs, mark].slice(-WATCHED_EPOCHS);
        const number = batchOfEpoch(this.#clock, epoch);
        const begun = this.#openUpTo(number, atMs);
        for (const { window, state, endedBy } of [...this.#batches]) {
          const isOver = window.batchNumber < number && state === "collecting" && !endedBy;
          if (isOver) this.#end(window.batchNumber, "trigger", atMs);
        }
        return begun;
      }
      case "epoch_block": {
        const { epoch, block } = change;
        this.#recentEpochs = this.#recentEpochs.map((each) =>
          each.epoch === epoch ? { epoch, block } : each
        );
        return [];
      }
      case "block":
        return this.#addBlock(change.block, atMs);
      case "ended":
        this.#end(change.batchNumber, change.by, atMs);
        return [];
      case "state": {
        const { state, errorMessage } = change;
        this.#update(change.batchNumber, (batch) => {
          if (batch.state === "collecting") this.#finalized += 1;
          const { errorMessage: _before, proofJobId, ...rest } = batch;
          return {
            ...rest,
            state,
            updatedAtMs: atMs,
            // What is proved again gets a job of its own.
            ...(state !== "proving" && proofJobId !== undefined && { proofJobId }),
            ...(errorMessage !== undefined && { errorMessage }),
          };
        });
        if (state === "completed") this.#forgetOld();
        return [];
      }
      case "job": {
        const { proofJobId } = change;
        this.#update(change.batchNumber, (batch) => ({ ...batch, proofJobId, updatedAtMs: atMs }));
        return [];
      }
    }
  }

  #addBlock(block: ReportedBlock, atMs: number): readonly BatchInfo[] {
    const number = batchAt(this.#clock, block.timestamp);
    const begun = this.#openUpTo(number, atMs);
    if (this.batchWith(block.number)) {
      // L2 went another way: what stood on the old block goes with it.
      for (const { window, blocks } of [...this.#batches]) {
        if ((blocks.at(-1)?.number ?? -1n) < block.number) continue;
        this.#setBlocks(
          window.batchNumber,
          blocks.filter((each) => each.number < block.number),
          atMs,
        );
      }
    }
    const { blocks } = this.batch(number)!;
    const at = blocks.findLastIndex((each) => each.number < block.number) + 1;
    this.#setBlocks(number, [...blocks.slice(0, at), block, ...blocks.slice(at)], atMs);
    return begun;
  }

  #setBlocks(number: bigint, blocks: readonly ReportedBlock[], atMs: number): void {
    // In the order of their numbers, they are in that of their times.
    const slotCount = blocks.filter(({ slot }, at) => slot !== blocks[at - 1]?.slot).length;
    this.#update(number, (batch) => ({ ...batch, blocks, slotCount, updatedAtMs: atMs }));
  }

  /** No batch in between is left out: it would be empty, and that is legal. */
  #openUpTo(number: bigint, atMs: number): readonly BatchInfo[] {
    const begun: BatchInfo[] = [];
    const last = this.#batches.at(-1)?.window.batchNumber ?? number - 1n;
    for (let next = last + 1n; next <= number; next++) {
      begun.push({
        chainId: this.#chainId,
        window: batchWindow(this.#clock, next),
        blocks: [],
        state: "collecting",
        slotCount: 0,
        createdAtMs: atMs,
        updatedAtMs: atMs,
      });
    }
    this.#batches.push(...begun);
    return begun;
  }

  #end(number: bigint, endedBy: NonNullable<BatchInfo["endedBy"]>, atMs: number): void {
    this.#update(number, (batch) => ({ ...batch, endedBy, endedAtMs: atMs, updatedAtMs: atMs }));
  }

  #update(number: bigint, change: (batch: BatchInfo) => BatchInfo): void {
    const at = this.#batches.findIndex(({ window }) => window.batchNumber === number);
    this.#batches[at] = change(this.#batches[at]!);
  }

  #forgetOld(): void {
    const completed = this.#batches.filter(({ state }) => state === "completed");
    const old = new Set(completed.slice(0, -KEPT_COMPLETED));
    this.#batches = this.#batches.filter((batch) => !old.has(batch));
  }
}
