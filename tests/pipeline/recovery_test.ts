import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { SourceError } from "../../src/errors.ts";
import { ManualClock, MemoryBatchSource, MemoryL1 } from "../../src/local/memory.ts";
import { recoverPosition } from "../../src/pipeline/recovery.ts";
import type { BatchSource, L1BatchSource } from "../../src/ports.ts";
import type { L1Batch, L2Block } from "../../src/types.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { content, draftOf, flaky, inTurn, linkedBlocks, makeBatch } from "../helpers.ts";
import { plainBlocks, post, withMembers } from "../helpers.ts";

/** Batch `number`, which holds blocks `2 * number` and `2 * number + 1`. */
function batchAt(number: number) {
  return makeBatch(plainBlocks(2, { first: 2 * number }), { batchNumber: BigInt(number) });
}

async function l1With(...numbers: readonly number[]): Promise<MemoryL1> {
  const l1 = new MemoryL1();
  for (const number of numbers) await post(l1, await batchAt(number));
  return l1;
}

function partsOf(l1: MemoryL1, blocks: readonly L2Block[], startBlock = 0n) {
  return {
    l1: l1.source({ head: "latest", startBlock }),
    compressors: [new NoopCompressor()],
    source: new MemoryBatchSource(blocks, l1) as BatchSource,
    clock: new ManualClock(),
  };
}

test("recoverPosition() begins at 0 on an L1 without batches, and takes no block", async () => {
  const parts = partsOf(new MemoryL1(), plainBlocks(3));
  deepEqual(await recoverPosition(parts), { nextBatchNumber: 0n, blocks: 0, pending: [] });
  equal((await parts.source.pendingBlocks()).length, 3);
});

test("recoverPosition() goes on behind what is posted, whatever was or was not written down", async () => {
  const l1 = await l1With(0, 1, 1, 2);
  const blocks = linkedBlocks(9);
  const position = await recoverPosition(partsOf(l1, blocks));
  deepEqual([position.nextBatchNumber, position.blocks], [3n, 6]);
  deepEqual(position.lastBlock, blocks[5]);
  deepEqual(position.pending, blocks.slice(6));

  const known = { nextBatchNumber: 1n, blocks: 2, lastBlock: blocks[1]! };
  const later = await recoverPosition(partsOf(l1, blocks.slice(2), 2n), known);
  deepEqual([later.nextBatchNumber, later.blocks, later.lastBlock], [3n, 6, blocks[5]]);
  const nothing = await recoverPosition(partsOf(l1, [], 5n), { ...known, nextBatchNumber: 3n });
  deepEqual([nothing.nextBatchNumber, nothing.blocks, nothing.lastBlock], [3n, 2, blocks[1]]);
});

test("recoverPosition() leaves out what derivation leaves out", async () => {
  const l1 = await l1With(0);
  const stranger = new Uint8Array(20);
  await l1.mine([
    draftOf({ batchNumber: 1n, data: Uint8Array.of(2, 9, 9) }),
    draftOf(await makeBatch(plainBlocks(9), { batchNumber: 1n }), { from: stranger }),
  ], 0n);
  const { nextBatchNumber, pending } = await recoverPosition(partsOf(l1, plainBlocks(4)));
  equal(nextBatchNumber, 1n);
  deepEqual(content(pending!), content(plainBlocks(2, { first: 2 })));
});

test("recoverPosition() refuses an L1 that holds other blocks than the source, or more", async () => {
  const l1 = await l1With(0, 1);
  const wrong = { name: "PipelineError", code: "WrongBlocks", kind: "critical" };
  const blocks = plainBlocks(4);
  const other = { ...blocks[2]!, transactions: [new Uint8Array(20)] };
  for (
    const [changed, message] of [
      [blocks.with(2, other), /batch 1 on L1 holds a block of timestamp 1004 with 1 transaction,/],
      [blocks.toSpliced(1, 1), /batch 0 on L1.*1002.*the source has one of timestamp 1004/],
      [blocks.slice(0, 3), /batch 1 on L1.*the source has no more blocks there/],
    ] as const
  ) {
    await rejects(recoverPosition(partsOf(l1, changed)), { ...wrong, message });
  }
});

test("recoverPosition() refuses an L1 that lacks a batch before others", async () => {
  await rejects(recoverPosition(partsOf(await l1With(0, 2, 3), plainBlocks(8))), {
    name: "PipelineError",
    code: "SequenceGap",
    message: /Cannot go on: L1 holds batch 2 in block 2, but not batch 1 before it/,
  });
});

test("recoverPosition() waits for a source that has not yet what L1 has, until aborted", async () => {
  const l1 = await l1With(0, 1);
  const slow = (polls: number) => {
    const memory = new MemoryBatchSource([], l1);
    return withMembers<BatchSource>(memory, {
      isExhausted: false,
      pendingBlocks() {
        if (--polls === 0) memory.push(...plainBlocks(4));
        return memory.pendingBlocks();
      },
    });
  };
  const parts = partsOf(l1, []);
  const position = await recoverPosition({ ...parts, source: slow(5) });
  deepEqual([position.nextBatchNumber, parts.clock.now()], [2n, 400]);

  const end = new AbortController();
  const clock = new ManualClock();
  clock.sleep = () => Promise.resolve(end.abort());
  const cut = { ...partsOf(l1, []), source: slow(1000), clock, signal: end.signal };
  equal((await recoverPosition(cut)).nextBatchNumber, 0n);
});

test("recoverPosition() goes on where batches of its own are on L1 before their turn", async () => {
  const l1 = await l1With(0, 2, 3);
  const own = (await batchAt(2)).data;
  const isOwn = ({ data }: L1Batch) => equalBytes(data, own);
  await rejects(recoverPosition({ ...partsOf(l1, plainBlocks(8)), isOwn }), {
    code: "SequenceGap",
    message: /L1 holds batch 3 in block 3, but not batch 1/,
  });
  const parts = { ...partsOf(await l1With(0, 2), plainBlocks(8)), isOwn };
  const { nextBatchNumber, blocks, pending } = await recoverPosition(parts);
  deepEqual([nextBatchNumber, blocks, pending.length], [1n, 2, 6]);
});

/** An L1 that becomes another one, from block 2 on, once so many batches were read. */
function becoming(before: MemoryL1, after: MemoryL1, batches: number): L1BatchSource {
  let source = before.source({ head: "latest" });
  let left = batches;
  return {
    nextBatch() {
      if (left-- !== 0) return source.nextBatch();
      const message = "Cannot go on above L1 block 1: so it was planned";
      return Promise.reject(new SourceError("Reorganised", message, { details: { block: 1n } }));
    },
    rewind: (number) => {
      source = after.source({ head: "latest", startBlock: number });
    },
    l1Head: () => source.l1Head(),
    l1BlockHash: (number) => source.l1BlockHash(number),
  };
}

test("recoverPosition() follows a reorganisation of L1 while it reads", async () => {
  for (const batches of [0, 1, 2, 3]) {
    for (const known of [0, 1]) {
      const l1 = becoming(await l1With(0, 1, 2), await l1With(0, 0, 1), batches);
      const blocks = linkedBlocks(8);
      const parts = { ...partsOf(new MemoryL1(), blocks.slice(2 * known)), l1 };
      const lastBlock = known > 0 ? { lastBlock: blocks[1]! } : {};
      const begin = { nextBatchNumber: BigInt(known), blocks: 2 * known, ...lastBlock };
      const position = await recoverPosition(parts, begin);
      deepEqual([position.nextBatchNumber, position.blocks], [2n, 4]);
      deepEqual([position.lastBlock, position.lastL1Block?.number], [blocks[3], 3n]);
      deepEqual(position.pending, blocks.slice(4));
    }
  }
  const l1 = becoming(await l1With(0, 1, 2), await l1With(0), 3);
  const blocks = linkedBlocks(8);
  const position = await recoverPosition({ ...partsOf(new MemoryL1(), blocks), l1 });
  deepEqual([position.nextBatchNumber, position.blocks, position.lastBlock], [1n, 2, blocks[1]]);
  deepEqual([position.lastL1Block?.number, position.pending], [1n, blocks.slice(2)]);
});

test("recoverPosition() throws what the source throws", async () => {
  const unreachable = new SourceError("Connection", "unreachable");
  const parts = partsOf(await l1With(0), plainBlocks(2));
  const source = flaky(parts.source, inTurn({ pendingBlocks: [unreachable] }));
  await rejects(recoverPosition({ ...parts, source }), unreachable);
});

test("recoverPosition() goes on where what came too early is nothing that anybody can decode", async () => {
  const l1 = await l1With(0);
  await post(l1, { batchNumber: 7n, data: Uint8Array.of(2, 1, 2, 3) });
  const position = await recoverPosition(partsOf(l1, plainBlocks(8)));
  deepEqual([position.nextBatchNumber, position.blocks], [1n, 2]);
});

test("recoverPosition() goes on behind no batch that a reorganisation may take for good", async () => {
  const l1 = await l1With(0, 1, 2);
  const isSure = ({ blockNumber }: L1Batch["inclusion"]) => blockNumber <= 1n;
  await rejects(recoverPosition({ ...partsOf(l1, plainBlocks(8)), isSure }), {
    name: "SinkError",
    code: "NonceTaken",
    message: /batch 1 is in L1 block 2, which is not final, and another program sent it/,
  });
  const position = await recoverPosition({ ...partsOf(l1, plainBlocks(8)), isSure: () => true });
  equal(position.nextBatchNumber, 3n);
});
