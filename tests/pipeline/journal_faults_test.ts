import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import { DEFAULT_BATCHER, DEFAULT_INBOX } from "../../src/local/inbox.ts";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { ManualClock, MemoryBatchSource, MemoryL1 } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { BatcherJournal } from "../../src/pipeline/batcher_journal.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import { content, plainBlocks, withMembers } from "../helpers.ts";

const directory = "/data/batcher";

test("BatcherJournal counts a batch once, where there was no room for the checkpoint behind it", async () => {
  for (const error of ["NoSpace", "Unwritable"] as const) {
    let writes = Infinity;
    const disk = new MemoryStorage();
    const storage = new FaultyStorage(
      disk,
      ({ method }) => method === "write" && --writes < 0 ? { error } : undefined,
    );
    const journal = await BatcherJournal.open({ storage, directory });
    const l1BlockHash = new Uint8Array(32);
    await journal.moveTo({
      nextBatchNumber: 0n,
      blocks: 0,
      l1Block: 0n,
      l1BlockHash,
      inbox: DEFAULT_INBOX,
      batcher: DEFAULT_BATCHER,
    });
    const blocks = plainBlocks(5);
    await journal.taken(blocks);
    const txHash = new Uint8Array(32);
    const receipt = { batchNumber: 0n, l1Block: 1n, l1BlockHash, txHash, blobHashes: [] };
    writes = 1;
    await journal.confirmed(receipt, 2).catch(() => {});
    writes = Infinity;
    await journal.confirmed(receipt, 2);
    equal(journal.position.blocks, 2, error);
    await journal.close();

    const again = await BatcherJournal.open({ storage: disk, directory });
    equal(again.position.blocks, 2, error);
    deepEqual(content(again.state.taken), content(blocks.slice(2)), error);
    await again.close();
  }
});

test("BatcherPipeline.shutdown() posts nothing more before it is written down what was posted", async () => {
  const clock = new ManualClock();
  const l1 = new MemoryL1({ clock });
  let failures = 0;
  const storage = new FaultyStorage(
    new MemoryStorage(),
    ({ method }) => method === "write" && failures-- > 0 ? { error: "NoSpace" } : undefined,
  );
  const journal = await BatcherJournal.open({ storage, directory });
  await journal.moveTo({
    nextBatchNumber: 0n,
    blocks: 0,
    l1Block: 0n,
    l1BlockHash: new Uint8Array(32),
    inbox: DEFAULT_INBOX,
    batcher: DEFAULT_BATCHER,
  });
  const inner = l1.sink();
  const sink = withMembers(inner, {
    async submit(batch) {
      const receipt = await inner.submit(batch);
      failures = batch.batchNumber === 1n ? 1 : 0;
      return receipt;
    },
  });
  const batcher = new BatcherPipeline(
    {
      source: new MemoryBatchSource(plainBlocks(6), l1),
      compressor: new NoopCompressor(),
      sink,
      clock,
      journal,
    },
    { maxBlocksPerBatch: 2, batchIntervalMs: 1e6, maxPendingBytes: 1e6 },
  );
  equal((await batcher.tick())?.batchNumber, 0n);
  // Batch 1 is posted, and there is no room to say so for a moment.
  deepEqual((await batcher.shutdown()).map(({ batchNumber }) => batchNumber), [1n, 2n]);
  equal(journal.position.blocks, 6);
  equal(journal.position.nextBatchNumber, 3n);
  await journal.close();
});
