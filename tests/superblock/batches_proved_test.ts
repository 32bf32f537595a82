import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { WalError } from "../../src/errors.ts";
import { ManualClock } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { ProofWorld } from "./proof_world.ts";
import { blockAt, epochEvent, openManager, range, slotMs } from "./world.ts";

/** A manager with batches 0 and 1 to be proved, and a pipeline that proves them. */
async function world() {
  const clock = new ManualClock(slotMs(0));
  const { manager } = await openManager(new MemoryStorage(), clock);
  await manager.takeEpoch(epochEvent(0));
  for (const number of range(0, 16)) {
    if (number % 4 === 0) await manager.takeEpoch(epochEvent(number / 4));
    await manager.addBlock(blockAt(number, 12 * number));
    clock.advance(12_000);
  }
  await manager.takeEpoch(epochEvent(4));
  clock.advance(60_000);
  await manager.finalizeDue();
  equal(manager.batchesReadyForProving().length, 2);
  const proofs = new ProofWorld();
  const pipeline = proofs.pipelineOn(proofs.queue, {}, manager);
  const end = new AbortController();
  const running = pipeline.run(end.signal);
  const stop = async () => {
    end.abort();
    await running;
  };
  const state = (number: bigint) => manager.batch(number)?.state;
  return { manager, proofs, pipeline, stop, state };
}

test("batches of a batch manager are proved, and completed once the publisher has them", async () => {
  const { manager, proofs, stop, state } = await world();
  proofs.publisher.before = () => {
    equal(state(0n), "proving");
    proofs.publisher.before = () => {};
  };
  await proofs.until(() => state(1n) === "completed");
  equal(state(0n), "completed");
  equal(manager.batch(1n)?.proofJobId, "1001-1");
  deepEqual(proofs.publisher.numbers, [0n, 1n]);
  // The first block of a chain follows none: it is what the first range starts from.
  deepEqual(proofs.publisher.accepted.map(({ startBlock }) => startBlock), [0n, 7n]);
  equal(proofs.prover.asked[0]!.what, "range 0-7");
  await stop();
});

test("a batch follows its job when that is cancelled and taken up again at once", async () => {
  const { proofs, pipeline, stop, state } = await world();
  await proofs.until(() => proofs.prover.asked.length === 2);
  await pipeline.cancel("1001-1");
  // Nobody has told the batch yet that its job ended.
  await pipeline.requeue("1001-1");
  await pipeline.cancel("1001-1");
  await proofs.until(() => state(1n) === "failed");
  await pipeline.requeue("1001-1");
  equal(state(1n), "proving");
  await proofs.until(() => state(1n) === "completed");
  await stop();
});

test("an empty batch that is skipped does not hold up the one behind it", async () => {
  const clock = new ManualClock(slotMs(0));
  const { manager } = await openManager(new MemoryStorage(), clock);
  // Batch 1 is empty.
  for (const epoch of range(0, 6)) {
    await manager.takeEpoch(epochEvent(epoch));
    if (epoch === 0) await manager.addBlock(blockAt(1, 0));
    if (epoch === 4) await manager.addBlock(blockAt(2, 192));
    clock.advance(48_000);
  }
  await manager.takeEpoch(epochEvent(6));
  clock.advance(60_000);
  await manager.finalizeDue();
  const proofs = new ProofWorld();
  const pipeline = proofs.pipelineOn(proofs.queue, { emptyBatches: "skip" }, manager);
  const end = new AbortController();
  const running = pipeline.run(end.signal);
  const state = (number: bigint) => manager.batch(number)?.state;
  await proofs.until(() => state(2n) === "completed" || state(2n) === "failed");
  deepEqual([state(0n), state(1n), state(2n)], ["completed", "completed", "completed"]);
  deepEqual(proofs.publisher.numbers, [0n, 2n]);
  end.abort();
  await running;
});

test("a batch that no job can be kept for, as the disk is full, is told of, and proved in the end", async () => {
  const { proofs, stop, state } = await world();
  const enqueue = proofs.queue.enqueue.bind(proofs.queue);
  const full = new WalError("NoSpace", "Cannot append: the disk is full");
  let isFull = true;
  proofs.queue.enqueue = (batch) => isFull ? Promise.reject(full) : enqueue(batch);
  await proofs.until(() => proofs.names().includes("tick.failed"));
  equal(proofs.events.some((each) => each.event === "tick.failed" && each.error === full), true);
  isFull = false;
  await proofs.until(() => state(1n) === "completed");
  await stop();
});
