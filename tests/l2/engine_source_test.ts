import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import { MemoryL1 } from "../../src/local/memory.ts";
import { MemoryPayloadJournal } from "../../src/local/memory_payload_journal.ts";
import { BYTES_PER_BLOCK } from "../../src/l2/payload_tree.ts";
import type { L2Block } from "../../src/types.ts";
import {
  choose,
  give,
  giveAll,
  hashes,
  hashOf,
  numbers,
  open,
  reorganised,
  ZERO,
} from "./opened_source.ts";
import { BEFORE, payloadAfter, payloadChain } from "./payloads.ts";

test("EngineApiSource gives the blocks of the head that was chosen, and nothing before", async () => {
  const { source, events } = await open();
  const chain = await payloadChain(5);
  deepEqual(await giveAll(source, chain), Array(5).fill("VALID"));
  deepEqual(await source.pendingBlocks(), []);
  equal(source.isExhausted, false, "more may come");
  equal(await choose(source, chain[2]!), "VALID");
  const blocks = await source.pendingBlocks();
  deepEqual(hashes(blocks), hashes(chain.slice(0, 3)));
  const [{ payload }] = [chain[0]!];
  deepEqual(blocks[0], {
    number: 100n,
    hash: payload.blockHash,
    parentHash: BEFORE.blockHash,
    timestamp: payload.timestamp,
    transactions: payload.transactions,
  });
  deepEqual(await source.parentHash(), BEFORE.blockHash);
  deepEqual(await source.pendingBlocks(), []);
  equal(await choose(source, chain[4]!), "VALID");
  deepEqual(numbers(await source.pendingBlocks()), [103, 104]);
  equal(source.headNumber, 104n);
  equal(events.of("consensus.payload").length, 5);
  equal(events.of("consensus.forkchoice").at(-1)?.headNumber, 104n);
});

test("EngineApiSource follows the safe or the final block, where that is asked for", async () => {
  for (const head of ["safe", "finalized"] as const) {
    const { source } = await open({ head });
    const chain = await payloadChain(6);
    await giveAll(source, chain);
    await choose(source, chain[5]!);
    deepEqual(await source.pendingBlocks(), [], "none is");
    await choose(source, chain[5]!, { safe: chain[3]!, finalized: chain[1]! });
    const expected = head === "safe" ? [100, 101, 102, 103] : [100, 101];
    deepEqual(numbers(await source.pendingBlocks()), expected);
  }
});

test("a payload is INVALID when it is not what it says, or cannot follow its parent", async () => {
  const { source, events } = await open();
  const [first] = await payloadChain(1);
  await give(source, first!);
  const wrongHash = await payloadAfter(first!.payload, { blockHash: new Uint8Array(32).fill(9) });
  deepEqual(
    await source.newPayload({ envelope: wrongHash }).then((
      { status, latestValidHash, isWrongHash },
    ) => [
      status,
      latestValidHash,
      isWrongHash,
    ]),
    ["INVALID", undefined, true],
  );
  const of = (draft: object) => payloadAfter(first!.payload, draft);
  for (
    const [draft, reason] of [
      [{ blockNumber: 102n }, /blockNumber is 102, its parent's 100/],
      [{ timestamp: first!.payload.timestamp }, /timestamp is .*, its parent's/],
      [{ transactions: [Uint8Array.of(2), new Uint8Array()] }, /transaction 1 has no bytes/],
      [{ gasUsed: 2n, gasLimit: 1n }, /gasUsed 2 is above gasLimit 1/],
    ] as const
  ) {
    const envelope = await of(draft);
    const status = await source.newPayload({ envelope });
    equal(status.status, "INVALID");
    ok(reason.test(status.validationError!), status.validationError);
    deepEqual(status.latestValidHash, hashOf(first));
    // So is what follows it, and choosing it.
    const child = await payloadAfter(envelope.payload);
    const below = await source.newPayload({ envelope: child });
    deepEqual([below.status, below.latestValidHash], ["INVALID", hashOf(first)]);
    equal(await choose(source, envelope), "INVALID");
    equal(await choose(source, child), "INVALID");
  }
  const noBlobs = await source.newPayload({ envelope: await of({}), blobHashes: [ZERO] });
  deepEqual([noBlobs.status, noBlobs.latestValidHash], ["INVALID", undefined]);
  ok(/0 blobs, expected are 1/.test(noBlobs.validationError!));
  equal(await give(source, await of({})), "VALID", "its blobs were expected wrongly, it is right");
  ok(
    events.of("consensus.payload").every(({ status, reason }) => (status !== "VALID") === !!reason),
  );
});

test("a payload without its parent is SYNCING, and comes in when that does", async () => {
  const { source } = await open();
  const chain = await payloadChain(5);
  equal(await give(source, chain[0]!), "VALID");
  equal(await choose(source, chain[0]!), "VALID");
  deepEqual(await giveAll(source, [chain[4]!, chain[3]!, chain[2]!]), Array(3).fill("SYNCING"));
  equal(await choose(source, chain[4]!), "SYNCING");
  equal(await give(source, chain[1]!), "VALID");
  equal(await give(source, chain[4]!), "VALID");
  equal(await choose(source, chain[4]!), "VALID");
  deepEqual(hashes(await source.pendingBlocks()), hashes(chain));
});

test("what waited and cannot follow its parent after all is INVALID, with all behind it", async () => {
  const { source } = await open();
  const [first, second] = await payloadChain(2);
  const wrong = await payloadAfter(second!.payload, { blockNumber: 110n });
  const behind = await payloadAfter(wrong.payload);
  await give(source, first!);
  await choose(source, first!);
  deepEqual(await giveAll(source, [behind, wrong]), ["SYNCING", "SYNCING"]);
  equal(await give(source, second!), "VALID");
  deepEqual(await giveAll(source, [behind, wrong]), ["INVALID", "INVALID"]);
  equal(await choose(source, behind), "INVALID");
  equal(source.heldPayloads, 2);
});

test("a payload beside the chosen chain is ACCEPTED, and VALID once it is chosen", async () => {
  const { source } = await open();
  const chain = await payloadChain(4);
  const fork = await payloadChain(3, chain[1]!.payload, 1);
  await giveAll(source, chain);
  await choose(source, chain[3]!);
  deepEqual(await giveAll(source, fork), Array(3).fill("ACCEPTED"));
  equal(await choose(source, fork[1]!), "VALID");
  deepEqual(await giveAll(source, fork), Array(3).fill("VALID"));
  deepEqual(await giveAll(source, chain), Array(4).fill("VALID"), "what was valid stays so");
});

test("what is below a chosen head is VALID for ever, though it came after it", async () => {
  const { source, journal } = await open();
  const [first, second, third, fourth] = await payloadChain(4);
  const fork = await payloadChain(1, first!.payload, 1);
  await giveAll(source, [first!, fork[0]!]);
  await choose(source, first!);
  deepEqual(await giveAll(source, [third!, second!, fourth!]), ["SYNCING", "VALID", "VALID"]);
  await choose(source, fourth!);
  const { source: again } = await open({ journal });
  for (const each of [source, again]) {
    await choose(each, fork[0]!);
    deepEqual(await giveAll(each, [third!, second!, fourth!]), Array(3).fill("VALID"));
  }
});

test("a reorganisation below what was given names the last shared block, and rewinds", async () => {
  const { source, events } = await open();
  const chain = await payloadChain(4);
  const fork = await payloadChain(4, chain[1]!.payload, 1);
  await giveAll(source, [...chain, ...fork]);
  await choose(source, chain[3]!);
  deepEqual(hashes(await source.pendingBlocks()), hashes(chain));
  equal(await choose(source, chain[1]!), "VALID");
  deepEqual(await source.pendingBlocks(), [], "a head that only stepped back is nothing new");
  await choose(source, fork[3]!);
  await rejects(source.pendingBlocks(), reorganised(101n));
  await rejects(source.pendingBlocks(), reorganised(101n));
  deepEqual(events.of("l2.reorganised")[0], { event: "l2.reorganised", ancestor: 101n, depth: 2n });
  source.rewind(101n);
  deepEqual(hashes(await source.pendingBlocks()), hashes(fork));
  // And further down, between the error and the step back.
  await choose(source, chain[3]!);
  await rejects(source.pendingBlocks(), reorganised(101n));
  const deep = await payloadChain(4, chain[0]!.payload, 2);
  await giveAll(source, deep);
  await choose(source, deep[3]!);
  source.rewind(101n);
  await rejects(source.pendingBlocks(), reorganised(100n));
  source.rewind(100n);
  deepEqual(hashes(await source.pendingBlocks()), hashes(deep));
});

test("a reorganisation while it was off is found out of what was taken", async () => {
  const { source, journal } = await open();
  const chain = await payloadChain(4);
  const fork = await payloadChain(4, chain[0]!.payload, 1);
  await giveAll(source, [...chain, ...fork]);
  await choose(source, chain[3]!);
  const taken = await source.pendingBlocks();
  await choose(source, fork[3]!);
  await source.close();
  const again = await open({ journal, taken });
  await rejects(again.source.pendingBlocks(), reorganised(100n));
  again.source.rewind(100n);
  deepEqual(hashes(await again.source.pendingBlocks()), hashes(fork));
});

test("after a restart all is as it was, and what was taken is not given again", async () => {
  const journal = new MemoryPayloadJournal();
  const chain = await payloadChain(6);
  const fork = await payloadChain(2, chain[2]!.payload, 1);
  let taken: readonly L2Block[] = [];
  for (const [index, envelope] of chain.entries()) {
    const { source } = await open({ journal, taken });
    equal(await give(source, envelope), "VALID");
    if (index > 0) deepEqual(await give(source, chain[index - 1]!), "VALID");
    equal(await choose(source, envelope), "VALID");
    const blocks = await source.pendingBlocks();
    deepEqual(hashes(blocks), hashes([envelope]));
    taken = blocks;
    await source.close();
  }
  const { source } = await open({ journal, taken });
  deepEqual(await source.pendingBlocks(), []);
  deepEqual(await giveAll(source, fork), ["ACCEPTED", "ACCEPTED"]);
  await source.close();
  const again = await open({ journal });
  deepEqual(await giveAll(again.source, fork), ["ACCEPTED", "ACCEPTED"]);
  deepEqual(hashes(await again.source.pendingBlocks()), hashes(chain), "taken by nobody");
});

test("without its journal it goes on behind the last block that was taken", async () => {
  const chain = await payloadChain(6);
  const taken = chain.slice(0, 3).map(({ payload }): L2Block => ({
    number: payload.blockNumber,
    hash: payload.blockHash,
    timestamp: payload.timestamp,
    transactions: [],
  }));
  const { source } = await open({ taken });
  equal(await give(source, chain[5]!), "SYNCING", "there would be a hole");
  equal(await choose(source, chain[2]!), "VALID", "the last one taken");
  deepEqual(await giveAll(source, chain.slice(3)), Array(3).fill("VALID"));
  await choose(source, chain[5]!);
  deepEqual(numbers(await source.pendingBlocks()), [103, 104, 105]);
  await rejects(open({ taken: [{ timestamp: 1n, transactions: [] }] }), {
    code: "InvalidBlock",
    message: /without numbers and hashes.*another --data-dir/,
  });
});

test("it begins with the first payload, or with that which is chosen first", async () => {
  const ahead = await payloadChain(1, { ...BEFORE, blockHash: ZERO, blockNumber: 500n });
  const chain = await payloadChain(3);
  const { source } = await open();
  equal(await give(source, ahead[0]!), "VALID");
  deepEqual(await giveAll(source, chain), Array(3).fill("SYNCING"));
  equal(await choose(source, chain[2]!), "VALID");
  deepEqual(numbers(await source.pendingBlocks()), [100, 101, 102]);
  equal(await choose(source, ahead[0]!), "SYNCING", "from then on it stays");
});

test("what came late below the first payload is given too, when the first choice is above it", async () => {
  const { source } = await open();
  const chain = await payloadChain(4);
  deepEqual(await giveAll(source, [chain[2]!, chain[3]!]), ["VALID", "VALID"]);
  deepEqual(await giveAll(source, [chain[1]!, chain[0]!]), ["SYNCING", "SYNCING"]);
  equal(await choose(source, chain[3]!), "VALID");
  deepEqual(hashes(await source.pendingBlocks()), hashes(chain));
});

test("with a start block it begins at or below it, and gives from there", async () => {
  const { source, events } = await open({ startBlock: 102n });
  const chain = await payloadChain(6);
  equal(await give(source, chain[4]!), "SYNCING");
  equal(await choose(source, chain[4]!), "SYNCING");
  ok(events.of("consensus.forkchoice")[0]!.reason!.includes("block 102 is to be the first"));
  deepEqual(await giveAll(source, chain), Array(6).fill("VALID"));
  await choose(source, chain[1]!);
  deepEqual(await source.pendingBlocks(), []);
  await choose(source, chain[5]!);
  deepEqual(numbers(await source.pendingBlocks()), [102, 103, 104, 105]);
  deepEqual(await source.parentHash(), hashOf(chain[1]));
});

test("a choice whose safe or final block is not below the head is refused", async () => {
  const { source } = await open();
  const chain = await payloadChain(4);
  const fork = await payloadChain(2, chain[0]!.payload, 1);
  await giveAll(source, [...chain, ...fork]);
  for (const [safe, finalized] of [[fork[0]!, chain[0]!], [chain[1]!, fork[1]!]] as const) {
    await rejects(choose(source, chain[2]!, { safe, finalized }), { code: "InvalidForkchoice" });
  }
  await rejects(choose(source, chain[2]!, { safe: chain[3]! }), { code: "InvalidForkchoice" });
  deepEqual(await source.pendingBlocks(), [], "nothing was chosen");
  // Older than all that came here: nothing can be said against it.
  const older = await payloadAfter({ ...BEFORE, blockNumber: 3n });
  equal(await choose(source, chain[2]!, { finalized: older }), "VALID");
  equal(
    (await source.forkchoiceUpdated({ head: ZERO, safe: ZERO, finalized: ZERO })).status,
    "INVALID",
  );
});

test("payloads of a fork that is over, or has not begun, are refused by its times", async () => {
  const { source } = await open();
  const [shanghai] = await payloadChain(1, BEFORE, 0, { version: 2 });
  const cancun = await payloadAfter(shanghai!.payload, { version: 3 });
  await giveAll(source, [shanghai!, cancun]);
  for (const version of [1, 2] as const) {
    const late = await payloadAfter(cancun.payload, { version });
    await rejects(give(source, late), { code: "UnsupportedFork" });
  }
  const early = await payloadAfter(BEFORE, { version: 4, timestamp: shanghai!.payload.timestamp });
  await rejects(give(source, early), { code: "UnsupportedFork" });
  equal(await give(source, await payloadAfter(cancun.payload, { version: 4 })), "VALID");
});

test("what is final and taken is let go, here and in the journal", async () => {
  const { source, journal } = await open();
  const chain = await payloadChain(300);
  const fork = await payloadChain(3, chain[9]!.payload, 1);
  await giveAll(source, chain.slice(0, 100));
  await giveAll(source, fork);
  await choose(source, chain[99]!, { finalized: chain[89]! });
  await source.pendingBlocks();
  equal(source.heldPayloads, 103, "given, and not known to be taken");
  await source.pendingBlocks();
  equal(source.heldPayloads, 11, "the final one, and what follows it");
  await giveAll(source, chain.slice(100));
  await choose(source, chain[299]!, { finalized: chain[289]! });
  equal(source.heldPayloads, 211, "nothing above what was taken");
  const taken = await source.pendingBlocks();
  await source.pendingBlocks();
  equal(source.heldPayloads, 11);
  ok(journal.size < 20, `${journal.size} records`);
  equal(await give(source, fork[0]!), "SYNCING", "a final block decided against it");
  await source.close();
  const again = await open({ journal, taken });
  deepEqual(await again.source.pendingBlocks(), []);
  equal(await give(again.source, await payloadAfter(chain[299]!.payload)), "VALID");
});

test("deposits are left out and counted, and name the L1 block", async () => {
  const { source, events } = await open();
  const [l1] = [new MemoryL1()];
  equal(await l1.head("safe"), 0n);
  const deposit = Uint8Array.of(0x7e, 0xc0);
  const [block] = await payloadChain(1, BEFORE, 0, {
    transactions: [deposit, Uint8Array.of(2, 1)],
  });
  await give(source, block!);
  await choose(source, block!);
  const [given] = await source.pendingBlocks();
  deepEqual(given!.transactions, [Uint8Array.of(2, 1)]);
  equal(source.depositsLeftOut, 1);
  deepEqual(events.of("deposits.left_out"), [
    { event: "deposits.left_out", firstBlock: 100n, lastBlock: 100n, deposits: 1 },
  ]);
  equal(await source.l1Origin(), 0n);
});

test("where nothing becomes final, what was taken long ago is let go before the house is full", async () => {
  // Blocks without a transaction take room too.
  for (const transactions of [[], [new Uint8Array(20).fill(2)]]) {
    const { source, journal } = await open({ maxHeldBytes: 200 * BYTES_PER_BLOCK });
    const chain = await payloadChain(500, BEFORE, 0, { transactions });
    for (const envelope of chain) {
      equal(await give(source, envelope), "VALID");
      await choose(source, envelope);
      equal((await source.pendingBlocks()).length, 1);
    }
    ok(source.heldPayloads < 200, `${source.heldPayloads}`);
    ok(journal.size < 400, `${journal.size} records`);
  }
});

test("a full house refuses payloads until there is room, and forgets none", async () => {
  const { source } = await open({ maxHeldBytes: 3 * BYTES_PER_BLOCK });
  const chain = await payloadChain(200, BEFORE, 0, { transactions: [new Uint8Array(10).fill(2)] });
  deepEqual(await giveAll(source, chain.slice(0, 3)), Array(3).fill("VALID"));
  await rejects(give(source, chain[3]!), { code: "Unavailable", kind: "temporary" });
  equal(await give(source, chain[1]!), "VALID", "it is here");
  await choose(source, chain[2]!);
  equal((await source.pendingBlocks()).length, 3);
});

test("a journal that fails is not acknowledged, and one that failed for good ends the source", async () => {
  const journal = new MemoryPayloadJournal();
  const { source } = await open({ journal });
  const [first, second] = await payloadChain(2);
  const { WalError } = await import("../../src/errors.ts");
  const taken = journal.taken.bind(journal);
  journal.taken = () => Promise.reject(new WalError("NoSpace", "no room"));
  await rejects(give(source, first!), { code: "Unavailable", kind: "temporary" });
  equal(source.heldPayloads, 0);
  journal.taken = taken;
  equal(await give(source, first!), "VALID");
  journal.taken = () => Promise.reject(new WalError("SyncFailed", "the disk is broken"));
  await rejects(give(source, second!), { code: "Unavailable" });
  await rejects(source.pendingBlocks(), { code: "SyncFailed" });
  await source.close();
  await rejects(give(source, second!), { message: /this program ends/ });
});
