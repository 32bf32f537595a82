import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { WalError } from "../../src/errors.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { content } from "../helpers.ts";
import { posted } from "../pipeline/world.ts";
import { type Life, named, reported, TappedWorld } from "./tapped_batcher.ts";

test("BlockTap reports blocks before they count as taken, and each once", async () => {
  const world = new TappedWorld();
  const { tap, manager } = await world.start();
  const full = new WalError("NoSpace", "the disk is full");
  const written: bigint[] = [];
  let isFull = true;
  const journal = tap.over({
    taken: (blocks) => {
      if (isFull) return Promise.reject(full);
      written.push(...blocks.map(({ number }) => number!));
      return Promise.resolve();
    },
    drop: () => {},
    sealed: () => Promise.resolve(),
    confirmed: () => Promise.resolve(),
  });
  const blocks = world.mine(3);
  await rejects(journal.taken(blocks), full);
  deepEqual(reported(manager), named(blocks));
  isFull = false;
  await journal.taken(blocks);
  deepEqual(reported(manager), named(blocks));
  deepEqual(written, [1n, 2n, 3n]);
});

test("BlockTap has blocks replaced that L2 no longer has", async () => {
  const world = new TappedWorld();
  const { batcher, source, manager } = await world.start();
  source.push(...world.mine(3));
  await batcher.tick();
  deepEqual(reported(manager), named(world.chain));

  source.reorganise(1n, world.reorganise(1n, 4));
  await batcher.tick();
  await batcher.tick();
  deepEqual(reported(manager), named(world.chain));
  deepEqual(world.events.of("blocks_replaced").map(({ number }) => number), [2n]);
  await batcher.shutdown();
  deepEqual(
    content((await posted(world.l1)).flatMap(({ blocks }) => blocks)),
    content(world.chain),
  );
});

test("BlockTap holds a block back whose time has not come, and nothing that was taken before", async () => {
  const world = new TappedWorld();
  const { batcher, source, manager } = await world.start();
  const [now] = world.mine();
  world.clock.advance(40_000);
  const [early] = world.mine();
  world.clock.advance(-40_000);
  source.push(now!);
  await batcher.tick();
  source.push(early!);
  await rejects(batcher.tick(), { name: "BatchError", code: "TooEarly", kind: "temporary" });
  deepEqual(reported(manager), named([now!]));
  equal((await batcher.forceSubmit())?.batchNumber, 0n);

  world.clock.advance(30_000);
  await batcher.tick();
  deepEqual(reported(manager), named([now!, early!]));
});

test("BlockTap leaves out by name what is too late for its batch, and has it posted all the same", async () => {
  const world = new TappedWorld();
  const old = world.mine(2);
  world.clock.advance(200_000);
  const { batcher, source, manager } = await world.start();
  source.push(...world.mine(2));
  await batcher.tick();
  await batcher.tick();
  deepEqual(reported(manager), named(world.chain.slice(2)));
  const [event, ...others] = world.events.of("blocks_left_out");
  deepEqual([event?.firstBlock, event?.lastBlock, others.length], [1n, 2n, 0]);
  equal((event?.error as { code?: string }).code, "TooLate");
  await batcher.shutdown();
  const blocks = (await posted(world.l1)).flatMap((batch) => batch.blocks);
  deepEqual(content(blocks.slice(0, 2)), content(old));
});

test("BlockTap says what a block lacks, and nothing of it is taken", async () => {
  const world = new TappedWorld();
  const { batcher, source, journal } = await world.start();
  const [block] = world.mine();
  source.push({ timestamp: block!.timestamp, transactions: [] });
  await rejects(batcher.tick(), {
    name: "SourceError",
    code: "InvalidBlock",
    kind: "critical",
    message:
      /block of timestamp 1000000 .* without its number and hash\. .*each line needs "number"/,
  });
  equal(journal.blocks, 0);
});

test("BlockTap stops where L2 no longer has a block of a batch that is closed", async () => {
  const world = new TappedWorld();
  world.batchIntervalMs = 1_000_000;
  const { batcher, source, manager, listener } = await world.start();
  source.push(...world.mine(1));
  await batcher.tick();
  world.clock.advance(100_000);
  source.push(...world.mine(1));
  await batcher.tick();
  await listener.look();
  world.clock.advance(20_000);
  await manager.finalizeDue();
  equal(manager.batch(0n)?.state, "proving");
  source.reorganise(0n, world.reorganise(0n, 1));
  const stopped = {
    name: "PipelineError",
    code: "Reorganised",
    message: /block 1.*batch 0 is proving already.*see which one counts/,
  };
  await rejects(async () => {
    for (let tick = 0; tick < 3; tick++) await batcher.tick();
  }, stopped);
});

test("BlockTap catches up with what a batcher took while nobody reported it", async () => {
  const world = new TappedWorld();
  const first = await world.start();
  first.source.push(...world.mine(3));
  await first.batcher.tick();
  world.storage.crash(new SeededRandom(1));

  const alone = await world.start({ isJoined: false });
  for (let round = 0; round < 4; round++) {
    alone.source.push(...world.mine(2));
    await alone.batcher.tick();
    world.clock.advance(9000);
  }
  await alone.batcher.forceSubmit();
  alone.source.push(...world.mine(2));
  await alone.batcher.tick();
  deepEqual(reported(alone.manager), named(world.chain.slice(0, 3)));
  world.storage.crash(new SeededRandom(2));

  const { manager, batcher } = await world.start();
  deepEqual(reported(manager), named(world.chain));
  deepEqual(world.events.of("blocks_left_out"), []);
  await batcher.shutdown();
});

test("BlockTap reports what a batcher finds on L1 whose journal is gone", async () => {
  const world = new TappedWorld();
  const first = await world.start({ isJoined: false });
  first.source.push(...world.mine(6));
  await first.batcher.tick();
  await first.batcher.forceSubmit();
  world.mine(1);
  world.storage.crash(new SeededRandom(1));
  const { manager, batcher } = await world.start({ directory: "other", canOpen: false });
  await batcher.tick();
  deepEqual(reported(manager), named(world.chain));
  await batcher.shutdown();
  const blocks = (await posted(world.l1)).flatMap((batch) => batch.blocks);
  deepEqual(content(blocks), content(world.chain));
});

test("BlockTap waits for no block where all that was posted is older than the batches", async () => {
  const world = new TappedWorld();
  const alone = await world.start({ isJoined: false });
  alone.source.push(...world.mine(3));
  await alone.batcher.tick();
  await alone.batcher.forceSubmit();
  alone.source.push(...world.mine(1));
  await alone.batcher.tick();
  world.storage.crash(new SeededRandom(1));
  world.clock.advance(1_000_000);
  Object.assign(world, { open: () => Promise.reject(new Error("there is nothing to be read")) });

  const { manager, batcher } = await world.start({ batches: "later" });
  deepEqual(reported(manager), []);
  await batcher.shutdown();
  const blocks = (await posted(world.l1)).flatMap((batch) => batch.blocks);
  deepEqual(content(blocks), content(world.chain));
});

test("BlockTap tells which blocks nobody can give again", async () => {
  const world = new TappedWorld();
  const first = await world.start();
  first.source.push(...world.mine(2));
  await first.batcher.tick();
  world.storage.crash(new SeededRandom(1));
  const alone = await world.start({ isJoined: false });
  alone.source.push(...world.mine(3));
  await alone.batcher.tick();
  await alone.batcher.forceSubmit();
  alone.source.push(...world.mine(1));
  await alone.batcher.tick();
  world.storage.crash(new SeededRandom(2));

  const { manager } = await world.start({ canOpen: false });
  deepEqual(reported(manager), named([...world.chain.slice(0, 2), ...world.chain.slice(5)]));
  const [event] = world.events.of("blocks_left_out");
  deepEqual([event?.firstBlock, event?.lastBlock], [3n, 5n]);
});

test("BlockTap loses and doubles no block, whatever becomes of the program and of L2", async () => {
  let crashes = 0;
  for (let seed = 0; seed < 60; seed++) {
    const world = new TappedWorld();
    const random = new SeededRandom(seed);
    const one = (count: number) => Math.floor(random.next() * count);
    let life: Life = await world.start();
    const step = async () => {
      await life.listener.look();
      await life.manager.finalizeDue();
      await life.batcher.tick();
    };
    for (let round = 0; round < 40; round++) {
      const what = one(10);
      world.clock.advance(1000 * one(what === 0 ? 90 : 6));
      if (what < 5) life.source.push(...world.mine(1 + one(3)));
      else if (what === 5) {
        // What is in a sealed batch, or is too old, stays.
        const sealed = life.journal.blocks - life.batcher.pendingBlocks;
        const newest = world.chain.at(-1);
        const isOld = (newest?.timestamp ?? 0n) + 5n < BigInt(world.clock.now()) / 1000n;
        if (world.chain.length > sealed + 1 && !isOld) {
          const shared = world.chain.at(-2)!.number!;
          life.source.reorganise(shared, world.reorganise(shared, 1));
        }
      } else if (what === 6 || what === 0) {
        world.storage.crash(random);
        crashes += 1;
        life = await world.start();
      } else await step();
    }
    for (let tick = 0; tick < 20; tick++) await step();
    await life.batcher.shutdown();
    deepEqual(reported(life.manager), named(world.chain), `seed ${seed}`);
    const found = (await posted(world.l1)).flatMap(({ blocks }) => blocks);
    deepEqual(content(found), content(world.chain), `seed ${seed}`);
    deepEqual(world.events.of("blocks_left_out"), [], `seed ${seed}`);
  }
  ok(crashes > 100, `${crashes} crashes`);
});
