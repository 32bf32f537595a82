/**
 * The way to L1 in a run, with what it does to batches; and all that the batches must keep to.
 *
 * @module
 */
import { SinkError } from "../../src/errors.ts";
import type { InboxSink } from "../../src/local/inbox.ts";
import type { MemoryL1 } from "../../src/local/memory.ts";
import type { BatchSink, Compressor } from "../../src/ports.ts";
import type { Batch, CompressedBatch, L2Block } from "../../src/types.ts";
import { decodeBatch } from "../../src/wire/batch.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { open } from "../../src/wire/envelope.ts";
import { content, draftOf } from "../helpers.ts";
import type { Run } from "./run.ts";
import type { Chain } from "./source.ts";

/** A batch that was seen on its way out: it never changes any more. */
interface SeenBatch {
  readonly data: Uint8Array;
  /** Blocks before it, and its own. */
  readonly first: number;
  count: number;
  isLanded: boolean;
}

/** What is known of all batches of a run. */
export class Posted {
  readonly #run: Run;
  readonly #chain: Chain;
  readonly #compressor: Compressor;
  readonly #isOneAtATime: boolean;
  readonly #batches: SeenBatch[] = [];
  /** More than one cut the batches, each its own way: nothing can be said of a single one. */
  #isDivided = false;
  #seen: Promise<void> = Promise.resolve();

  /** @param isOneAtATime whether a batch may go out only when the one before it is there */
  constructor(run: Run, chain: Chain, compressor: Compressor, isOneAtATime = true) {
    this.#run = run;
    this.#chain = chain;
    this.#compressor = compressor;
    this.#isOneAtATime = isOneAtATime;
  }

  /** Batches that were seen. */
  get length(): number {
    return this.#batches.length;
  }

  /** Blocks in batches that are on L1. */
  get blocks(): number {
    const landed = this.#batches.findLast((batch) => batch.isLanded);
    return landed ? landed.first + landed.count : 0;
  }

  /** What is sealed was lost: from here on others are sealed. */
  divide(): void {
    this.#isDivided = true;
  }

  /** Somebody goes on behind these batches, which hold so many blocks. */
  checkPosition(position: { readonly nextBatchNumber: bigint; readonly blocks: number }): void {
    if (this.#isDivided) return;
    const number = Number(position.nextBatchNumber) - 1;
    const last = this.#batches[number];
    const blocks = last ? last.first + last.count : 0;
    this.#run.check(
      last?.isLanded ?? number < 0,
      `batch ${number} is not on L1, and is taken for confirmed`,
    );
    this.#run.check(
      position.blocks === blocks,
      `${position.blocks} blocks are taken for confirmed up to batch ${number}, not ${blocks}`,
    );
  }

  /** The number of the batch that holds a block. */
  batchOf(block: number): number {
    return this.#batches.findIndex(({ first, count }) => block < first + count);
  }

  /** Somebody wants to post a batch; several at once are looked at in the order of the calls. */
  async see(batch: CompressedBatch): Promise<void> {
    const seen = this.#seen.then(() => this.#see(batch));
    this.#seen = seen.catch(() => {});
    await seen;
  }

  async #see({ batchNumber, data }: CompressedBatch): Promise<void> {
    if (this.#isDivided) return;
    const run = this.#run;
    const number = Number(batchNumber);
    const known = this.#batches[number];
    if (known) {
      run.check(equalBytes(known.data, data), `batch ${number} changed after it was sealed`);
      return;
    }
    run.check(
      number === this.#batches.length,
      `batch ${number} follows ${this.#batches.length - 1}`,
    );
    const before = this.#batches.at(-1);
    run.check(
      !this.#isOneAtATime || (before?.isLanded ?? true),
      `batch ${number} goes out before the one before it is there`,
    );
    const first = before ? before.first + before.count : 0;
    const seen = { data: data.slice(), first, count: 0, isLanded: false };
    this.#batches.push(seen);
    const batch = decodeBatch(await open(data, [this.#compressor]));
    const end = this.#checkRange(batch, number, first);
    run.check(
      end <= this.#chain.forgotten,
      `batch ${number} ends with block ${end - 1}, and ${this.#chain.forgotten} were written down`,
    );
    seen.count = end - first;
  }

  /** A batch is on L1. */
  land({ batchNumber }: CompressedBatch): void {
    const batch = this.#batches[Number(batchNumber)];
    if (batch) batch.isLanded = true;
  }

  /** What stands on L1 is what was taken, each block once. By another reader than the deriver. */
  async verify(l1: MemoryL1): Promise<void> {
    const run = this.#run;
    const source = l1.source({ head: "latest" });
    let number = 0;
    let blocks = 0;
    for (let each = await source.nextBatch(); each; each = await source.nextBatch()) {
      if (Number(each.batchNumber) < number) continue;
      run.check(Number(each.batchNumber) === number, `L1 lacks batch ${number}`);
      const batch = decodeBatch(await open(each.data, [this.#compressor]));
      run.check(Number(batch.header.batchNumber) === number, `batch ${number} has another number`);
      blocks = this.#checkRange(batch, number, blocks);
      number += 1;
    }
    run.check(blocks === this.#chain.blocks.length, `L1 has ${blocks} of the blocks`);
  }

  #checkRange({ blocks }: Batch, number: number, first: number): number {
    const end = first + blocks.length;
    const expected: readonly L2Block[] = this.#chain.blocks.slice(first, end);
    this.#run.check(
      content(expected).join() === content(blocks).join(),
      `batch ${number} does not hold blocks ${first} to ${end - 1}`,
    );
    return end;
  }
}

/** A sink that loses, doubles and delays, in front of one that does not. */
export function unreliable(
  run: Run,
  inner: InboxSink,
  { l1, posted }: { readonly l1: MemoryL1; readonly posted: Posted },
): BatchSink {
  const failed = (what: string, code: "Connection" | "Timeout") => {
    run.note("sink", what);
    return new SinkError(code, `Cannot submit: ${what}, so it was planned`);
  };
  /** Whoever sent it may have ended since, and another have posted. */
  const landLate = async (batch: CompressedBatch) => {
    await run.clock.sleep(run.around(10, 20_000));
    run.note("sink", "lands late", `: batch ${batch.batchNumber}`);
    await l1.mine([draftOf(batch)], BigInt(Math.floor(run.clock.now() / 1000)));
    posted.land(batch);
  };
  const land = async (batch: CompressedBatch) => {
    const receipt = await inner.submit(batch);
    run.note("sink", "lands", `: batch ${batch.batchNumber}`);
    posted.land(batch);
    return receipt;
  };
  return {
    capacity: () => inner.capacity(),
    healthCheck: () => inner.healthCheck(),
    async submit(batch) {
      await posted.see(batch);
      if (run.chance(0.5)) await run.clock.sleep(run.around(1, 3000));
      if (run.mishap(0.08)) throw failed("refuses", "Connection");
      if (run.mishap(0.05)) {
        void landLate(batch);
        throw failed("does not answer", "Timeout");
      }
      const receipt = await land(batch);
      if (run.mishap(0.05)) void landLate(batch);
      if (run.mishap(0.05)) throw failed("lands, and does not say so", "Timeout");
      if (run.mishap(0.1)) await run.clock.sleep(run.around(1, 10_000));
      return receipt;
    },
    ...(inner.blobBytes === undefined ? {} : { blobBytes: inner.blobBytes }),
  };
}
