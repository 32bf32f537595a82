/**
 * What a batcher remembers over crashes, and that it does so in time.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { SinkError, WalError } from "../../src/errors.ts";
import { ManualClock, MemoryBatchSource, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import { BatcherJournal } from "../../src/pipeline/batcher_journal.ts";
import { recoverFromJournal } from "../../src/pipeline/journaled_recovery.ts";
import type { BatchSink } from "../../src/ports.ts";
import type { L2Block } from "../../src/types.ts";
import { Wal } from "../../src/wal/log.ts";
import { content, noise, plainBlocks, withMembers } from "../helpers.ts";
import { posted } from "./world.ts";

const DIRECTORY = "data/batcher";
const START = {
  inbox: noise(20),
  batcher: noise(20, 1),
  l1Block: 0n,
  l1BlockHash: noise(32, 2),
};

/** What outlives a batcher: its disk, and L1. */
function worldOf() {
  const clock = new ManualClock();
  return { storage: new MemoryStorage(), l1: new MemoryL1({ clock }), clock };
}

/** A batcher that goes on with whatever is there; the source gives `blocks` and no others. */
async function startIn(
  { storage, l1, clock }: ReturnType<typeof worldOf>,
  blocks: readonly L2Block[],
  change: Partial<BatchSink> = {},
) {
  const journal = await BatcherJournal.open({ storage, directory: DIRECTORY });
  const source = new MemoryBatchSource(blocks, l1);
  const { position } = journal.state;
  const position_ = await recoverFromJournal({
    journal,
    start: START,
    source,
    l1: l1.source({ startBlock: position ? position.l1Block + 1n : 0n }),
    compressors: [new NoopCompressor()],
    clock,
  });
  const batcher = new BatcherPipeline(
    {
      source,
      compressor: new NoopCompressor(),
      sink: withMembers(l1.sink(), change),
      clock,
      journal,
    },
    { maxBlocksPerBatch: 3 },
    position_,
  );
  return { batcher, journal, position: position_ };
}

/** The process is gone, and with it the lock. */
function crash({ storage }: ReturnType<typeof worldOf>): void {
  storage.crash(new SeededRandom(1));
}

test("BatcherJournal keeps blocks of a source that gives them once", async () => {
  const world = worldOf();
  const blocks = plainBlocks(8);
  const first = await startIn(world, blocks);
  equal((await first.batcher.tick())?.batchNumber, 0n);
  crash(world);

  const second = await startIn(world, []);
  deepEqual(content(second.position.pending), content(blocks.slice(3)));
  await second.batcher.shutdown();
  deepEqual(content((await posted(world.l1)).flatMap((each) => each.blocks)), content(blocks));
  equal(second.journal.blocks, 8);
  deepEqual(second.journal.state.taken, []);
});

test("BatcherJournal has a batch posted again byte for byte, whatever the batcher would do now", async () => {
  const world = worldOf();
  const seen: Uint8Array[] = [];
  const down = new SinkError("Connection", "down");
  const keep: Partial<BatchSink> = {
    submit: (batch) => {
      seen.push(batch.data);
      return Promise.reject(down);
    },
  };
  const first = await startIn(world, plainBlocks(3), keep);
  await rejects(first.batcher.tick(), down);
  crash(world);
  // L1 goes on, so the same blocks under a new header would be other bytes.
  await world.l1.sink().submit({ batchNumber: 9n, data: Uint8Array.of(2) });

  const second = await startIn(world, plainBlocks(3, { first: 3 }), keep);
  await rejects(second.batcher.tick(), down);
  equal(seen.length, 2);
  deepEqual(seen[0], seen[1]);
  crash(world);
  const third = await startIn(world, []);
  equal((await third.batcher.tick())?.batchNumber, 0n);
  await third.batcher.shutdown();
  deepEqual(third.journal.state.position?.nextBatchNumber, 2n);
});

test("BatcherJournal finds a batch on L1 that it does not know to be there", async () => {
  const world = worldOf();
  const blocks = plainBlocks(6);
  const sink = world.l1.sink();
  const first = await startIn(world, blocks, {
    submit: async (batch) => {
      await sink.submit(batch);
      throw new SinkError("Connection", "no answer");
    },
  });
  await rejects(first.batcher.tick(), { code: "Connection" });
  crash(world);

  const second = await startIn(world, []);
  equal(second.position.nextBatchNumber, 1n);
  deepEqual(second.position.sealed, []);
  equal(second.journal.state.position?.l1Block, 1n);
  await second.batcher.shutdown();
  const batches = await posted(world.l1);
  deepEqual(batches.map(({ header }) => header.batchNumber), [0n, 1n]);
  deepEqual(content(batches.flatMap((each) => each.blocks)), content(blocks));
});

test("BatcherPipeline counts no block as taken that its journal could not write, and asks for it no more", async () => {
  const world = worldOf();
  const { journal } = await startIn(world, []);
  const full = new WalError("NoSpace", "Cannot write the log: no space left");
  let isFull = true;
  const source = new MemoryBatchSource(plainBlocks(4), world.l1);
  const batcher = new BatcherPipeline({
    source,
    compressor: new NoopCompressor(),
    sink: world.l1.sink(),
    clock: world.clock,
    journal: withMembers(journal, {
      taken: (blocks) => isFull ? Promise.reject(full) : journal.taken(blocks),
    }),
  });
  await rejects(batcher.tick(), full);
  equal(batcher.pendingBlocks, 4);
  equal(journal.blocks, 0);
  await rejects(batcher.shutdown(), full);
  isFull = false;
  equal((await batcher.shutdown()).length, 1);
  deepEqual(content((await posted(world.l1))[0]!.blocks), content(plainBlocks(4)));
});

test("BatcherPipeline writes down what is on L1 before it does anything else", async () => {
  const world = worldOf();
  const { journal } = await startIn(world, []);
  const full = new WalError("NoSpace", "Cannot write the log: no space left");
  const faults = [full, full];
  const batcher = new BatcherPipeline({
    source: new MemoryBatchSource(plainBlocks(6), world.l1),
    compressor: new NoopCompressor(),
    sink: world.l1.sink(),
    clock: world.clock,
    journal: withMembers(journal, {
      confirmed: (receipt, blocks) => {
        const fault = faults.shift();
        return fault ? Promise.reject(fault) : journal.confirmed(receipt, blocks);
      },
    }),
  }, { maxBlocksPerBatch: 3 });
  equal((await batcher.tick())?.batchNumber, 0n);
  await rejects(batcher.tick(), full);
  equal(await world.l1.head("latest"), 1n);
  equal((await batcher.tick())?.batchNumber, 1n);
  equal(journal.state.position?.nextBatchNumber, 2n);
});

test("BatcherJournal cuts its log off behind what is on L1", async () => {
  const world = worldOf();
  const { batcher, journal } = await startIn(world, plainBlocks(300, { size: 1000 }));
  while (await batcher.tick());
  await batcher.shutdown();
  await journal.close();
  const wal = await Wal.open({ storage: world.storage, directory: DIRECTORY });
  let records = 0;
  for await (const _ of wal.read()) records += 1;
  equal(records, 1);
  await wal.close();
});

test("BatcherJournal refuses what no batcher wrote, by record", async () => {
  const cases: [number, Uint8Array][] = [
    [1, new TextEncoder().encode("{}")],
    [2, Uint8Array.of(1, 2, 3)],
    [3, new Uint8Array(5)],
    [9, new Uint8Array()],
  ];
  for (const [type, payload] of cases) {
    const storage = new MemoryStorage();
    const wal = await Wal.open({ storage, directory: DIRECTORY });
    await wal.append(type, payload);
    await wal.close();
    await rejects(BatcherJournal.open({ storage, directory: DIRECTORY }), {
      code: "Corrupted",
      message: /Cannot read record \d+ of the journal in data\/batcher/,
    });
    // The lock is free again.
    await (await Wal.open({ storage, directory: DIRECTORY })).close();
  }
});

test("BatcherJournal is for one batcher at a time", async () => {
  const world = worldOf();
  const { journal } = await startIn(world, []);
  await rejects(BatcherJournal.open({ storage: world.storage, directory: DIRECTORY }), {
    code: "Locked",
  });
  await journal.close();
  ok(await BatcherJournal.open({ storage: world.storage, directory: DIRECTORY }));
});
