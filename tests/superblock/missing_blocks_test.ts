import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { ProvableBatch } from "../../src/superblock.ts";
import { toHex } from "../../src/wire/hex.ts";
import { batchOf } from "./batches.ts";
import { OUTPUTS, ProofWorld } from "./proof_world.ts";

/** Without some of its blocks, counted from 0. */
function without(batch: ProvableBatch, ...missing: number[]): ProvableBatch {
  return { ...batch, blocks: batch.blocks.filter((_, at) => !missing.includes(at)) };
}

/** Proves all, and gives the blocks from and up to which each proof was handed in. */
async function provenOf(batches: readonly ProvableBatch[]): Promise<ProofWorld> {
  const world = new ProofWorld();
  world.start();
  for (const batch of batches) await world.pipeline.enqueue(batch);
  const last = batches.at(-1)!.window.batchNumber;
  await world.untilStage(`1001-${last}`, "completed");
  await world.stop();
  return world;
}

test("a block that its batch did not get is proved with the next: proofs follow without a gap", async () => {
  // 21 to 24, 25 to 28, 29 to 32: the last of one is missing, and the first and one within of the next.
  const { publisher } = await provenOf([
    batchOf(5n),
    without(batchOf(6n), 3),
    without(batchOf(7n), 0, 2),
  ]);
  deepEqual(
    publisher.accepted.map(({ startBlock, outputs }) => [startBlock, outputs.l2BlockNumber]),
    [[20n, 24n], [24n, 27n], [27n, 32n]],
  );
  for (const { startBlock, outputs: { l2PreRoot } } of publisher.accepted) {
    equal(toHex(l2PreRoot), toHex(await OUTPUTS.outputRoot(startBlock)));
  }
});

test("blocks that none of two batches got are proved with the third", async () => {
  const { publisher } = await provenOf([
    batchOf(5n),
    without(batchOf(6n), 0, 1, 2, 3),
    batchOf(7n),
  ]);
  deepEqual(
    publisher.accepted.map(({ startBlock, outputs }) => [startBlock, outputs.l2BlockNumber]),
    [[20n, 24n], [24n, 32n]],
  );
});
