import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import { DEFAULT_BATCHER, DEFAULT_INBOX } from "../../src/local/inbox.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { BatcherJournal } from "../../src/pipeline/batcher_journal.ts";
import { content, plainBlocks } from "../helpers.ts";

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
