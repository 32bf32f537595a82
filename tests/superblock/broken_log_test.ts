import { rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { WalError } from "../../src/errors.ts";
import { MemoryJobQueue } from "../../src/local/memory_job_queue.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { BatchManager } from "../../src/superblock/batch_manager.ts";
import { LogBatchJournal } from "../../src/wal/batch_journal.ts";
import { SimulatedClock } from "../simulation/clock.ts";
import { ProofWorld } from "./proof_world.ts";
import { blockAt, SMALL_CONFIG } from "./world.ts";

const broken = () => Promise.reject(new WalError("Unwritable", "Cannot append: the disk is gone"));
const IS_BROKEN = { name: "WalError", code: "Unwritable" };

/** A world whose log breaks when a job is retried, and what its run ended with. */
function brokenWorld(): { readonly world: ProofWorld; run(): Promise<unknown> } {
  const world = new ProofWorld({}, ({ clock }) => {
    const queue = new MemoryJobQueue(clock);
    return Object.assign(queue, { requeue: broken });
  });
  return {
    world,
    run: () => world.pipeline.run(new AbortController().signal).catch((error) => error),
  };
}

test("a pipeline ends when its log breaks in the hands of somebody who retries a job", async () => {
  const { world, run } = brokenWorld();
  let ended: unknown;
  const running = run().then((error) => ended = error);
  await rejects(world.pipeline.requeue("1001-2"), IS_BROKEN);
  await world.clock.run(() => ended !== undefined, 60_000);
  await running;
  equal((ended as WalError).code, "Unwritable");
});

test("a pipeline whose log is broken before it runs ends at once", async () => {
  const { world, run } = brokenWorld();
  await rejects(world.pipeline.requeue("1001-2"), IS_BROKEN);
  equal((await run() as WalError).code, "Unwritable");
});

/** Ends with what it ended with, when its log was broken in the hands of who reports a block. */
async function brokenManager(breakLog: (journal: LogBatchJournal) => void): Promise<unknown> {
  const clock = new SimulatedClock(Number(SMALL_CONFIG.l1Clock.genesisTime) * 1000);
  const parts = { storage: new MemoryStorage(), directory: "batches" };
  const journal = await LogBatchJournal.open(parts, SMALL_CONFIG);
  const manager = new BatchManager({ journal, clock }, SMALL_CONFIG);
  let ended: unknown;
  const running = manager.run(new AbortController().signal).catch((error) => ended = error);
  breakLog(journal);
  await rejects(manager.addBlock(blockAt(1, 1)), IS_BROKEN);
  await clock.run(() => ended !== undefined, 60_000);
  await running;
  return ended;
}

test("a manager ends when its log breaks under a block that is reported", async () => {
  const ended = await brokenManager((journal) => {
    journal.note = broken;
  });
  equal((ended as WalError).code, "Unwritable");
});

test("a manager ends when its log breaks under a snapshot", async () => {
  const ended = await brokenManager((journal) => {
    Object.defineProperty(journal, "isSnapshotDue", { value: true });
    journal.save = broken;
  });
  equal((ended as WalError).code, "Unwritable");
});
