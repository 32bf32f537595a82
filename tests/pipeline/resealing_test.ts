/**
 * Batches that came too late for their L1 origin: sealed anew once nobody can ever accept them, and not
 * before; no block lost, none twice.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { SEQUENCING_WINDOW } from "../../src/config.ts";
import { ManualClock, MemoryBatchSource, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import { BatcherJournal } from "../../src/pipeline/batcher_journal.ts";
import { recoverFromJournal } from "../../src/pipeline/journaled_recovery.ts";
import type { BatchSink, LogEvent } from "../../src/ports.ts";
import type { CompressedBatch, L2Block } from "../../src/types.ts";
import { content, noise, plainBlocks, withMembers } from "../helpers.ts";
import { deriverOf } from "./world.ts";

const START = {
  inbox: noise(20),
  batcher: noise(20, 1),
  l1Block: 0n,
  l1BlockHash: noise(32, 2),
};
const BLOCKS_PER_BATCH = 3;

class World {
  readonly clock = new ManualClock();
  readonly storage = new MemoryStorage();
  readonly l1 = new MemoryL1({ clock: this.clock });
  readonly events: LogEvent[] = [];
  /** What sinks were given. */
  readonly submitted: CompressedBatch[] = [];

  /** A batcher that goes on with whatever is there, when L1 is final up to `finalNumber`. */
  async start(blocks: readonly L2Block[], options: {
    readonly finalNumber?: bigint;
    readonly maxBytes?: number;
    readonly submit?: BatchSink["submit"];
  } = {}) {
    const { l1, clock, storage } = this;
    const journal = await BatcherJournal.open({ storage, directory: "data/batcher" });
    const source = new MemoryBatchSource(blocks, l1);
    const { finalNumber = await l1.head("latest"), maxBytes = 1_000_000 } = options;
    const compressor = new NoopCompressor();
    const position = await recoverFromJournal({
      journal,
      start: START,
      source,
      l1: l1.source({ startBlock: (journal.state.position?.l1Block ?? -1n) + 1n }),
      compressors: [compressor],
      clock,
      finalBlock: await l1.block(finalNumber),
      resealing: { compressor, maxBytes, log: (event) => void this.events.push(event) },
    });
    const sink = l1.sink();
    const submit = options.submit ?? ((batch) => sink.submit(batch));
    const batcher = new BatcherPipeline(
      {
        source,
        compressor,
        sink: withMembers<BatchSink>(sink, {
          maxInFlight: 4,
          submit: (batch) => {
            this.submitted.push(batch);
            return submit(batch);
          },
        }),
        clock,
        journal,
      },
      { maxBlocksPerBatch: BLOCKS_PER_BATCH },
      position,
    );
    return { batcher, journal, position };
  }

  /** Seals all that there is, and dies; the sink takes only `landing`. */
  async sealAndDie(blocks: readonly L2Block[], landing: readonly bigint[] = []): Promise<void> {
    const sink = this.l1.sink();
    const { batcher } = await this.start(blocks, {
      submit: (batch) =>
        landing.includes(batch.batchNumber) ? sink.submit(batch) : new Promise(() => {}),
    });
    await batcher.tick();
    this.die();
  }

  /** The process is gone, and with it the lock. */
  die(): void {
    this.storage.crash(new SeededRandom(1));
  }

  async pass(l1Blocks: bigint): Promise<void> {
    for (let count = 0n; count < l1Blocks; count++) await this.l1.mine([], 0n);
  }

  /** Numbers of the batches that were sealed anew. */
  get resealed(): readonly bigint[] {
    return this.events.flatMap((event) =>
      event.event === "batch.resealed" ? [event.batchNumber] : []
    );
  }

  /** Derives what is on L1: exactly `blocks`, in order. */
  async comesBack(blocks: readonly L2Block[]): Promise<void> {
    const { deriver, sink } = deriverOf(this.l1);
    while (await deriver.step());
    deepEqual(content(sink.blocks), content(blocks));
    deepEqual(deriver.waitingFor.held, []);
  }
}

test("BatcherJournal has a batch that came too late sealed anew, of the same blocks, and it lands", async () => {
  const world = new World();
  const blocks = plainBlocks(6);
  await world.sealAndDie(blocks);
  await world.pass(SEQUENCING_WINDOW + 5n);

  const { batcher, journal, position } = await world.start([]);
  deepEqual(world.resealed, [0n, 1n]);
  equal(position.waitsForFinal, undefined);
  deepEqual(journal.state.sealed.map((each) => each.blocks), [3, 3]);
  await batcher.shutdown();
  await world.comesBack(blocks);
});

test("BatcherJournal leaves a batch that came too late as it is until that is final", async () => {
  const world = new World();
  const blocks = plainBlocks(3);
  await world.sealAndDie(blocks);
  const before = world.submitted[0]!.data;
  await world.pass(SEQUENCING_WINDOW + 5n);

  const last = SEQUENCING_WINDOW;
  const early = await world.start([], { finalNumber: last - 1n });
  equal(early.position.waitsForFinal, last);
  deepEqual(early.position.sealed![0]!.data, before);
  deepEqual(world.resealed, []);
  world.die();

  const { batcher, position } = await world.start([], { finalNumber: last });
  equal(position.waitsForFinal, undefined);
  deepEqual(world.resealed, [0n]);
  await batcher.shutdown();
  await world.comesBack(blocks);
});

test("BatcherJournal leaves a batch as it is that may still land in time", async () => {
  const world = new World();
  const blocks = plainBlocks(3);
  await world.sealAndDie(blocks);
  await world.pass(SEQUENCING_WINDOW - 1n);
  const { batcher, position } = await world.start([]);
  equal(position.waitsForFinal, undefined);
  deepEqual(world.resealed, []);
  await batcher.shutdown();
  deepEqual(world.submitted.at(-1)!.data, world.submitted[0]!.data);
  await world.comesBack(blocks);
});

test("BatcherJournal leaves batches as they are that landed in time before their turn", async () => {
  const world = new World();
  const blocks = plainBlocks(9);
  await world.sealAndDie(blocks, [1n]);
  await world.pass(SEQUENCING_WINDOW + 5n);
  const kept = world.submitted.find(({ batchNumber }) => batchNumber === 1n)!.data;
  const sink = world.l1.sink();
  const { batcher } = await world.start([], {
    // The account knows where it landed.
    submit: async (batch) => {
      if (batch.batchNumber !== 1n) return await sink.submit(batch);
      deepEqual(batch.data, kept);
      const { hash } = await world.l1.block(1n);
      return { batchNumber: 1n, txHash: hash, l1Block: 1n, l1BlockHash: hash, blobHashes: [] };
    },
  });
  deepEqual(world.resealed, [0n, 2n]);
  await batcher.shutdown();
  await world.comesBack(blocks);
});

test("BatcherJournal keeps what was sealed anew over crashes, byte for byte, and over another window", async () => {
  const world = new World();
  const blocks = plainBlocks(6);
  await world.sealAndDie(blocks);
  await world.pass(SEQUENCING_WINDOW + 5n);
  const first = await world.start([]);
  world.die();
  const second = await world.start([]);
  deepEqual(world.resealed, [0n, 1n], "once");
  deepEqual(second.journal.state.sealed, first.journal.state.sealed);
  world.die();

  await world.pass(SEQUENCING_WINDOW + 5n);
  const third = await world.start([]);
  deepEqual(world.resealed, [0n, 1n, 0n, 1n]);
  await third.batcher.shutdown();
  await world.comesBack(blocks);
});

test("BatcherJournal goes on though what it sealed anew lands a second time as it was, too late", async () => {
  const world = new World();
  const blocks = plainBlocks(6);
  await world.sealAndDie(blocks);
  const [zero, one] = world.submitted;
  await world.pass(SEQUENCING_WINDOW + 5n);
  const { journal } = await world.start([]);
  await journal.close();
  // Out of a pool that kept them.
  await world.l1.sink().submit(one!);
  await world.l1.sink().submit(zero!);
  world.die();

  const { batcher } = await world.start([]);
  await batcher.shutdown();
  deepEqual(world.resealed, [0n, 1n]);
  await world.comesBack(blocks);
});

test("BatcherJournal tries other L1 origins where a batch sealed anew is too large", async () => {
  const world = new World();
  await world.sealAndDie(plainBlocks(3));
  await world.pass(SEQUENCING_WINDOW + 20n);
  const { journal } = await world.start([], { maxBytes: 10 });
  const [event] = world.events;
  ok(event?.event === "batch.resealed");
  // All were too large, as none compresses: the sink says so then.
  equal(event.l1Origin, SEQUENCING_WINDOW + 20n - 7n);
  equal(journal.state.sealed.length, 1);
});
