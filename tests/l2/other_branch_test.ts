import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { choose, give, giveAll, hashes, open, reorganised } from "./opened_source.ts";
import { BEFORE, payloadChain } from "./payloads.ts";

test("a branch from below all that was taken is a reorganisation, though nothing leads down to it", async () => {
  const { source, events } = await open();
  const chain = await payloadChain(11);
  await giveAll(source, chain);
  await choose(source, chain[10]!);
  equal((await source.pendingBlocks()).length, 11);
  const before = { ...BEFORE, blockNumber: 98n, blockHash: new Uint8Array(32).fill(0x98) };
  const fork = await payloadChain(17, before, 1);
  for (const [index, envelope] of fork.entries()) {
    equal(await give(source, envelope), "SYNCING");
    equal(await choose(source, envelope), "SYNCING", `${index}`);
  }
  await rejects(source.pendingBlocks(), reorganised(99n));
  equal(events.of("consensus.not_followed").length, 1, "once, not for each choice");
  ok(events.of("consensus.not_followed")[0]!.reason.includes("block 98"));
  // Who sealed none of them takes the other way from its beginning.
  source.rewind(99n);
  deepEqual(await source.pendingBlocks(), []);
  equal(await choose(source, fork[16]!), "VALID");
  deepEqual(hashes(await source.pendingBlocks()), hashes(fork));
});

test("a branch of which blocks are missing says what it cannot share with what was taken", async () => {
  const chain = await payloadChain(11);
  const fork = await payloadChain(11, chain[3]!.payload, 1);
  for (
    const [payloads, state, shared] of [
      // 104' is missing: 105' is not behind ours.
      [fork.slice(1), {}, 103n],
      // 110' and what is behind it say nothing of 110.
      [fork.slice(8), {}, undefined],
      // The head is unknown, and its safe block stands beside ours.
      [fork.slice(0, 2), { safe: fork[1]! }, 103n],
      [fork.slice(0, 2), { finalized: fork[0]! }, 103n],
      [fork.slice(0, 2), { safe: chain[8]!, finalized: chain[1]! }, undefined],
    ] as const
  ) {
    const { source } = await open();
    await giveAll(source, chain);
    await choose(source, chain[10]!);
    await source.pendingBlocks();
    await giveAll(source, payloads);
    equal(await choose(source, fork[10]!, state), "SYNCING");
    if (shared === undefined) {
      deepEqual(await source.pendingBlocks(), []);
      continue;
    }
    await rejects(source.pendingBlocks(), reorganised(shared));
    source.rewind(shared);
    deepEqual(await source.pendingBlocks(), [], "what was chosen before is over");
    await giveAll(source, fork);
    equal(await choose(source, fork[10]!), "VALID");
    deepEqual(hashes(await source.pendingBlocks()), hashes(fork));
  }
});

test("after a restart a branch from below the last block that was taken is a reorganisation", async () => {
  const chain = await payloadChain(11);
  const { source, journal } = await open();
  await giveAll(source, chain);
  await choose(source, chain[10]!);
  const taken = (await source.pendingBlocks()).slice(-1);
  await source.close();
  const before = { ...BEFORE, blockNumber: 97n, blockHash: new Uint8Array(32).fill(0x97) };
  for (const options of [{ journal, taken }, { taken }]) {
    const { source: again } = await open(options);
    const fork = await payloadChain(17, before, 1);
    await giveAll(again, fork);
    equal(await choose(again, fork[16]!), "SYNCING");
    await rejects(again.pendingBlocks(), reorganised(97n));
    // A head that only stepped back to where nobody looks says nothing.
    const { source: other } = await open(options);
    await giveAll(other, fork.slice(0, 1));
    equal(await choose(other, fork[0]!), "SYNCING");
    deepEqual(await other.pendingBlocks(), []);
  }
});
