/**
 * All parts together, in virtual time: an L2 that is away, is reorganised, is started behind what was
 * reported.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  match,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { describe } from "../../src/cli/log.ts";
import { ConfigError } from "../../src/errors.ts";
import { Machine, SECOND_MS, WINDOW_MS } from "./machine.ts";
import { HOUR_MS, MINUTE_MS } from "./proof_world.ts";
import { blockAt, range, SMALL_CLOCK } from "./world.ts";

test("Each block of an L2 is in the batch of its time, and all is proved in order", async () => {
  const machine = new Machine();
  await machine.live(() => machine.pass(20 * MINUTE_MS));
  ok(machine.windows.length > 10);
  deepEqual(
    machine.windows,
    machine.windows.map((_, batch) => range(8 * batch, 8 * batch + 8)),
  );
  const numbers = machine.proofs.publisher.numbers;
  ok(numbers.length > 5);
  deepEqual(numbers, numbers.map((_, index) => BigInt(index)));
  ok(machine.l2.isClosed);
});

test("Batches wait for the blocks of an L2 that is away for hours: none is lost, none is early", async () => {
  const machine = new Machine();
  await machine.live(async ({ manager }) => {
    await machine.pass(50 * SECOND_MS);
    machine.l2.isAway = true;
    await machine.pass(3 * HOUR_MS);
    deepEqual(machine.windows, []);
    ok(manager.batchesAwaitingBlocks.length > 100);
    const { awaitingBlocks } = machine.told("standing").at(-1)!;
    equal(awaitingBlocks[0], 0n);
    match(describe(machine.told("standing").at(-1)!).text, /batches 0 to \d+ wait for blocks/);
    machine.l2.isAway = false;
    await machine.pass(10 * MINUTE_MS);
  });
  ok(machine.windows.length > 110);
  deepEqual(
    machine.windows,
    machine.windows.map((_, batch) => range(8 * batch, 8 * batch + 8)),
  );
});

test("A start goes on behind the newest block that was reported", async () => {
  const machine = new Machine();
  await machine.live(() => machine.pass(5 * WINDOW_MS));
  await machine.pass(HOUR_MS);
  await machine.live(() => machine.pass(5 * WINDOW_MS));
  const [first, second] = machine.l2.starts;
  deepEqual([first!.reported.length, first!.notBefore], [0, SMALL_CLOCK.genesisTime]);
  equal(second!.reported.at(-1)!.number, 39n);
  deepEqual(second!.reported.map(({ number }) => Number(number)), range(0, 40));
  deepEqual(
    machine.windows,
    machine.windows.map((_, batch) => range(8 * batch, 8 * batch + 8)),
  );
  ok(machine.windows.length > 40);
});

test("The first start takes the whole window that is open, and nothing before it", async () => {
  const machine = new Machine();
  machine.clock.jump(10 * WINDOW_MS + WINDOW_MS / 2);
  await machine.live(() => machine.pass(2 * WINDOW_MS));
  deepEqual(machine.windows[0], range(80, 88));
  equal(machine.told("batch_finalized")[0]!.batch.window.batchNumber, 10n);
  deepEqual(machine.told("blocks_left_out"), []);
});

test("Blocks above a gap are what a start goes on behind", async () => {
  const machine = new Machine();
  machine.l2.isAway = true;
  await machine.live(async ({ sequencer }) => {
    await machine.pass(60 * SECOND_MS);
    for (const number of [0, 1, 3, 4]) {
      await sequencer.reportBlock(blockAt(number, 12 * number));
    }
  });
  await machine.live(() => machine.pass(SECOND_MS));
  deepEqual(machine.l2.starts.at(-1)!.reported.map(({ number }) => number), [3n, 4n]);
});

test("An L2 that goes another way replaces what was reported of a batch that collects", async () => {
  const machine = new Machine();
  await machine.live(async ({ manager }) => {
    await machine.pass(70 * SECOND_MS);
    machine.l2.branches.push({ from: 3, branch: 1 });
    await machine.pass(2 * WINDOW_MS);
    const blocks = manager.batch(0n)!.blocks;
    deepEqual(
      blocks.map(({ hash }) => hash),
      range(0, 8).map((number) => machine.l2.block(number).hash),
    );
  });
  equal(machine.told("blocks_replaced").length, 1);
});

test("An L2 that goes another way below a closed batch ends all of it: a person has to decide", async () => {
  const machine = new Machine();
  const life = machine.live(async () => {
    await machine.pass(3 * WINDOW_MS);
    machine.l2.branches.push({ from: 3, branch: 1 });
    await machine.pass(WINDOW_MS);
  });
  await rejects(life, (error: { code: string; message: string }) => {
    equal(error.code, "Reorganised");
    match(error.message, /block 3 .*batch 0 is (?:proving|completed) already/s);
    return true;
  });
});

test("A batch that is ended by hand does not wait, and says which blocks it leaves out", async () => {
  const machine = new Machine();
  await machine.live(async ({ manager, sequencer }) => {
    await machine.pass(30 * SECOND_MS);
    machine.l2.isAway = true;
    await machine.pass(2 * WINDOW_MS);
    await sequencer.forceFinalize(0n);
    equal(manager.batch(0n)?.state, "proving");
    machine.l2.isAway = false;
    await machine.pass(2 * WINDOW_MS);
  });
  deepEqual(machine.windows.slice(0, 2), [range(0, 3), range(8, 16)]);
  const leftOut = machine.told("blocks_left_out");
  deepEqual([leftOut[0]?.firstBlock, leftOut.at(-1)?.lastBlock], [3n, 7n]);
  match(describe(machine.told("blocks_left_out")[0]!).text, /left out of any superblock/);
});

test("On a full disk all waits, and no block is missing when there is room again", async () => {
  const machine = new Machine();
  await machine.live(async () => {
    await machine.pass(50 * SECOND_MS);
    machine.isFull = true;
    await machine.pass(HOUR_MS);
    deepEqual(machine.windows, []);
    machine.isFull = false;
    await machine.pass(10 * MINUTE_MS);
  });
  ok(machine.windows.length > 35);
  deepEqual(
    machine.windows,
    machine.windows.map((_, batch) => range(8 * batch, 8 * batch + 8)),
  );
});

test("What fails for good ends all parts, and is what is thrown", async () => {
  const machine = new Machine();
  machine.l2.open = () => Promise.reject(new ConfigError("Invalid", "Cannot use that URL"));
  await rejects(machine.live(() => machine.pass(MINUTE_MS)), { message: "Cannot use that URL" });
});

test("Each minute it says how all of it stands", async () => {
  const machine = new Machine();
  await machine.live(() => machine.pass(4 * MINUTE_MS + SECOND_MS));
  const said = machine.told("standing").map((event) => describe(event).text);
  equal(said.length, 4);
  match(
    said[0]!,
    /^batch 0 collects, 5 blocks, 36 s to go; newest block 4, 12 s old; L1 epoch 1 by the clock; 0 to be proved$/,
  );
  match(said[2]!, /^batch 1 collects, .* 1 to be proved, range_proof 1$/);
});
