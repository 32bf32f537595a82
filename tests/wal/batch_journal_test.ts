import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { batchWindow, ETHEREUM_CLOCK } from "../../src/superblock/clock.ts";
import { LogBatchJournal } from "../../src/wal/batch_journal.ts";
import { Wal } from "../../src/wal/log.ts";
import { blockAt, range } from "../superblock/world.ts";

const OWNER = { chainId: 1001n, l1Clock: ETHEREUM_CLOCK };
const directory = "batches";

test("LogBatchJournal gives back each change, in order", async () => {
  const storage = new MemoryStorage();
  const journal = await LogBatchJournal.open({ storage, directory }, OWNER);
  const changes = [
    { change: "epoch", epoch: 7n, atMs: 1 },
    { change: "block", block: blockAt(1, 2), atMs: 2 },
    { change: "ended", batchNumber: 0n, by: "timeout", atMs: 3 },
    { change: "state", batchNumber: 0n, state: "failed", errorMessage: "no", atMs: 4 },
    { change: "job", batchNumber: 0n, proofJobId: "a", atMs: 5 },
  ] as const;
  for (const change of changes) await journal.note(change);
  await journal.close();
  const again = await LogBatchJournal.open({ storage, directory }, OWNER);
  deepEqual(again.found, { snapshot: undefined, changes });
  await again.close();
});

test("LogBatchJournal makes room by snapshots, and goes on from the last one", async () => {
  const storage = new MemoryStorage();
  const config = { segmentBytes: 512 * 1024 };
  const journal = await LogBatchJournal.open({ storage, directory }, OWNER, config);
  const snapshot = { lastEpoch: undefined, finalized: 3, batches: [] };
  let snapshots = 0;
  const names = range(0, 1000).map((each) => `transaction ${each}`);
  for (const number of range(0, 400)) {
    const block = { ...blockAt(number, number), crossTransactions: names };
    await journal.note({ change: "block", block, atMs: 0 });
    if (!journal.isSnapshotDue) continue;
    await journal.save(snapshot);
    snapshots += 1;
  }
  equal(snapshots > 0, true);
  await journal.note({ change: "epoch", epoch: 9n, atMs: 0 });
  await journal.close();
  let bytes = 0;
  for (const name of await storage.list(directory)) {
    bytes += await storage.size(`${directory}/${name}`) ?? 0;
  }
  equal(bytes < 6 * 1024 * 1024, true, `${bytes} bytes`);
  const again = await LogBatchJournal.open({ storage, directory }, OWNER);
  deepEqual(again.found.snapshot, snapshot);
  deepEqual(again.found.changes.at(-1), { change: "epoch", epoch: 9n, atMs: 0 });
  await again.close();
});

test("LogBatchJournal keeps its records where all that is known is too much for one", async () => {
  const storage = new MemoryStorage();
  const config = { maxRecordBytes: 1024 * 1024 };
  const journal = await LogBatchJournal.open({ storage, directory }, OWNER, config);
  const names = range(0, 10_000).map((each) => `transaction ${each}`);
  const blocks = range(0, 30).map((number) => {
    return { ...blockAt(number, number), crossTransactions: names };
  });
  const batch = {
    chainId: OWNER.chainId,
    window: batchWindow(ETHEREUM_CLOCK, 0n),
    blocks,
    state: "collecting",
    slotCount: 3,
    createdAtMs: 0,
    updatedAtMs: 0,
  } as const;
  let snapshots = 0;
  for (const block of blocks) {
    await journal.note({ change: "block", block, atMs: 0 });
    if (!journal.isSnapshotDue) continue;
    await journal.save({ lastEpoch: undefined, finalized: 0, batches: [batch] });
    snapshots += 1;
  }
  equal(snapshots, 1, "it is not tried with each record");
  await journal.close();
  const again = await LogBatchJournal.open({ storage, directory }, OWNER);
  equal(again.found.snapshot, undefined);
  equal(again.found.changes.length, blocks.length);
  await again.close();
});

test("LogBatchJournal is of one chain and one clock", async () => {
  const storage = new MemoryStorage();
  await (await LogBatchJournal.open({ storage, directory }, OWNER)).close();
  const others = [
    { ...OWNER, chainId: 7n },
    { ...OWNER, l1Clock: { ...ETHEREUM_CLOCK, batchFactor: 2n } },
  ];
  for (const other of others) {
    await rejects(LogBatchJournal.open({ storage, directory }, other), {
      code: "Invalid",
      message: /they are of chain 1001 with batches of 10 epochs of 32 slots of 12 s/,
    });
  }
  await (await LogBatchJournal.open({ storage, directory }, OWNER)).close();
});

test("LogBatchJournal refuses what is no change, by record", async () => {
  for (
    const [type, text] of [[2, "{}"], [2, "7"], [3, "{}"], [1, "{}"], [9, "{}"], [2, "{"]] as const
  ) {
    const storage = new MemoryStorage();
    const wal = await Wal.open({ storage, directory });
    await wal.append(type, new TextEncoder().encode(text));
    await wal.close();
    await rejects(LogBatchJournal.open({ storage, directory }, OWNER), {
      code: "Corrupted",
      message: /record 0 of the batches in batches/,
    });
  }
});
