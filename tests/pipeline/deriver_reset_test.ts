/**
 * A deriver on an L1 that is reorganised: in the end it has given what one gives that never saw the
 * other way.
 *
 * @module
 */
import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { SinkError, SourceError } from "../../src/errors.ts";
import { MemoryBlockSink } from "../../src/local/memory.ts";
import { DerivationPipeline, type DeriverPosition } from "../../src/pipeline/deriver.ts";
import type { Standing } from "../../src/pipeline/undo.ts";
import type { Compressor, L1BatchSource, L2BlockSink } from "../../src/ports.ts";
import type { CompressedBatch, L1Batch } from "../../src/types.ts";
import { GENESIS_HASH, makeBatch, withMembers } from "../helpers.ts";

/** An L1 of batches that can go another way. */
class ForkingL1 implements L1BatchSource {
  /** What each block holds; block 0 nothing. */
  blocks: CompressedBatch[][] = [[]];
  /** The last block that both ways share, of what was read. */
  #ancestor: number | undefined;
  /** The one that was told last. */
  #told: number | undefined;
  #next: { block: number; batch: number };
  /** The highest block that was read, and is still there. */
  #highest = -1;

  constructor(startBlock = 0) {
    this.#next = { block: startBlock, batch: 0 };
  }

  fork(depth: number, blocks: CompressedBatch[][]): void {
    const ancestor = Math.max(0, this.blocks.length - 1 - depth);
    this.blocks = [...this.blocks.slice(0, ancestor + 1), ...blocks];
    if (this.#highest <= ancestor) return;
    this.#highest = ancestor;
    this.#ancestor = Math.min(ancestor, this.#ancestor ?? ancestor);
  }

  rewind(number: bigint): void {
    if (this.#ancestor === this.#told) this.#ancestor = undefined;
    this.resume(number);
  }

  /** As after a restart: a reorganisation that nobody followed is still to be told. */
  resume(number: bigint): void {
    this.#next = { block: Number(number), batch: 0 };
  }

  nextBatch(): Promise<L1Batch | undefined> {
    if (this.#ancestor !== undefined) {
      const block = this.#ancestor;
      this.#told = block;
      this.#next = { block: block + 1, batch: 0 };
      return Promise.reject(
        new SourceError("Reorganised", `above ${block}`, { details: { block: BigInt(block) } }),
      );
    }
    for (
      ;
      this.#next.block < this.blocks.length;
      this.#next = { block: this.#next.block + 1, batch: 0 }
    ) {
      this.#highest = Math.max(this.#highest, this.#next.block);
      const batch = this.blocks[this.#next.block]![this.#next.batch];
      if (!batch) continue;
      this.#next.batch += 1;
      const inclusion = {
        blockNumber: BigInt(this.#next.block),
        blockHash: GENESIS_HASH,
        timestamp: 0n,
        txHash: GENESIS_HASH,
        blobs: 0,
      };
      return Promise.resolve({ ...batch, inclusion });
    }
    return Promise.resolve(undefined);
  }

  l1Head(): Promise<bigint> {
    return Promise.resolve(BigInt(this.blocks.length - 1));
  }

  l1BlockHash(): Promise<Uint8Array> {
    return Promise.resolve(GENESIS_HASH);
  }
}

/** Batch `number` in one of several versions, which differ in their blocks and how many there are. */
async function batchOf(number: number, version: number): Promise<CompressedBatch> {
  const blocks = Array.from({ length: 1 + version }, (_, index) => ({
    timestamp: BigInt(1000 + 10 * number + index),
    transactions: [Uint8Array.of(number, version, index)],
  }));
  return await makeBatch(blocks, { batchNumber: BigInt(number) });
}

function deriverOf(
  source: L1BatchSource,
  sink: L2BlockSink,
  position?: DeriverPosition,
  history?: Standing[],
): DerivationPipeline {
  const parts = { source, sink, compressors: [new NoopCompressor()] };
  return new DerivationPipeline(parts, {}, position, history);
}

async function deriveAll(deriver: DerivationPipeline): Promise<string[]> {
  const verdicts: string[] = [];
  for (let result; (result = await deriver.step());) verdicts.push(result.verdict);
  return verdicts;
}

async function blocksOf(...versions: [number, number][][]): Promise<CompressedBatch[][]> {
  return await Promise.all(
    versions.map((each) => Promise.all(each.map(([number, version]) => batchOf(number, version)))),
  );
}

test("DerivationPipeline takes back what a reorganisation took from L1, and goes on", async () => {
  const l1 = new ForkingL1();
  const sink = new MemoryBlockSink();
  const deriver = deriverOf(l1, sink);
  l1.blocks.push(...await blocksOf([[0, 0]], [[1, 2], [2, 1]], [[3, 0]]));
  deepEqual(await deriveAll(deriver), ["accept", "accept", "accept", "accept"]);

  l1.fork(2, await blocksOf([[1, 1]], [], [[2, 0], [3, 1]]));
  deepEqual(await deriver.step(), {
    verdict: "reset",
    l1Block: 1n,
    nextBatchNumber: 1n,
    blocks: 6,
  });
  // Block 1 is read again, in case that a batch waited there.
  deepEqual(await deriveAll(deriver), ["duplicate", "accept", "accept", "accept"]);
  deepEqual(
    sink.blocks.map(({ transactions }) => transactions[0]!.join()),
    ["0,0,0", "1,1,0", "1,1,1", "2,0,0", "3,1,0", "3,1,1"],
  );
  equal(deriver.position.nextBatchNumber, 4n);
});

test("DerivationPipeline reads a batch again that came early and counted later", async () => {
  const l1 = new ForkingL1();
  const sink = new MemoryBlockSink();
  const deriver = deriverOf(l1, sink);
  // Batch 1 lands first; the reorganisation takes batch 0 out, and leaves batch 1 where it is.
  l1.blocks.push(...await blocksOf([[1, 1]], [[0, 0]]));
  deepEqual(await deriveAll(deriver), ["future", "accept", "accept"]);
  l1.fork(1, await blocksOf([], [[0, 2]]));
  deepEqual(await deriveAll(deriver), ["reset", "future", "accept", "accept"]);
  deepEqual(sink.blocks.map(({ transactions }) => transactions[0]![1]), [2, 2, 2, 1, 1]);
});

test("DerivationPipeline takes blocks back once the sink can", async () => {
  const l1 = new ForkingL1();
  const memory = new MemoryBlockSink();
  let faults = 2;
  const sink: L2BlockSink = {
    ingest: (block) => memory.ingest(block),
    retract: (blocks) =>
      faults-- > 0 ? Promise.reject(new SinkError("NoSpace", "full")) : memory.retract(blocks),
  };
  const deriver = deriverOf(l1, sink);
  l1.blocks.push(...await blocksOf([[0, 1]]));
  await deriveAll(deriver);
  l1.fork(1, await blocksOf([], [[0, 0]]));
  for (let tries = 0; tries < 2; tries++) {
    await rejects(deriver.step(), { code: "NoSpace" });
    equal(memory.blocks.length, 2);
  }
  deepEqual(await deriveAll(deriver), ["reset", "accept"]);
  equal(memory.blocks.length, 1);
});

test("DerivationPipeline leaves its source alone while its sink takes blocks back", async () => {
  const l1 = new ForkingL1();
  const memory = new MemoryBlockSink();
  let isRetracting = false;
  let asked = 0;
  const source = withMembers<L1BatchSource>(l1, {
    nextBatch() {
      if (isRetracting) asked += 1;
      return l1.nextBatch();
    },
  });
  const sink: L2BlockSink = {
    ingest: (block) => memory.ingest(block),
    async retract(blocks) {
      isRetracting = true;
      for (let turn = 0; turn < 50; turn++) await Promise.resolve();
      await memory.retract(blocks);
      isRetracting = false;
    },
  };
  // Batch 2 is opened ahead for nothing, which takes until the reorganisation is told.
  const opening = Promise.withResolvers<void>();
  const noop = new NoopCompressor();
  const compressor = withMembers<Compressor>(noop, {
    async decompress(data) {
      const raw = await noop.decompress(data);
      if (raw.includes(222)) await opening.promise;
      return raw;
    },
  });
  const deriver = new DerivationPipeline({ source, sink, compressors: [compressor] });
  const misnumbered = { ...await batchOf(5, 0), batchNumber: 1n };
  const block = { timestamp: 2000n, transactions: [Uint8Array.of(222)] };
  const slow = await makeBatch([block], { batchNumber: 2n });
  l1.blocks.push([await batchOf(0, 0), misnumbered, slow]);
  deepEqual(
    [await deriver.step(), await deriver.step(), await deriver.step()].map((each) => each?.verdict),
    ["accept", "drop", "future"],
  );
  l1.fork(1, await blocksOf([[0, 1]], [[1, 0]]));
  const stepBack = deriver.step();
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  opening.resolve();
  equal((await stepBack)?.verdict, "reset");
  equal(asked, 0, "what it says then is lost, and the place to read again from with it");
  deepEqual(await deriveAll(deriver), ["accept", "accept"]);
  equal(memory.blocks.length, 3);
});

test("DerivationPipeline stops where there is no way back", async () => {
  const blocks = await blocksOf([[0, 1]]);
  const wrongL1 = async (source: L1BatchSource, sink: L2BlockSink, position?: DeriverPosition) => {
    const deriver = deriverOf(source, sink, position);
    while (await deriver.step());
  };
  const forked = () => {
    const l1 = new ForkingL1();
    l1.blocks.push(...blocks);
    return l1;
  };

  const unable: L2BlockSink = { ingest: () => Promise.resolve() };
  const l1 = forked();
  const deriver = deriverOf(l1, unable);
  await deriver.step();
  l1.fork(1, []);
  await rejects(deriver.step(), {
    code: "WrongL1",
    message: /cannot take back what it was handed .2 blocks./,
  });
  await rejects(deriver.step(), { code: "WrongL1" }, "it must not go on");

  const restarted = new ForkingL1(1);
  restarted.blocks.push(...blocks);
  await restarted.nextBatch();
  restarted.fork(1, []);
  const position = { nextBatchNumber: 7n };
  await rejects(wrongL1(restarted, new MemoryBlockSink(), position), {
    code: "WrongL1",
    message: /block 0, and it began to read above/,
  });
});

test("DerivationPipeline goes back behind its own start where it is told of earlier runs", async () => {
  const l1 = new ForkingL1();
  const sink = new MemoryBlockSink();
  l1.blocks.push(...await blocksOf([[0, 0]], [[1, 0]], [[2, 0]]));
  await deriveAll(deriverOf(l1, sink));
  const history: Standing[] = [0, 1, 2].map((index) => ({
    position: { nextBatchNumber: BigInt(index + 1), lastTimestamp: BigInt(1000 + 10 * index) },
    l1Block: BigInt(index + 1),
    readFrom: BigInt(index + 1),
    blocks: index + 1,
  }));
  const again = deriverOf(l1, sink, history.at(-1)!.position, history);
  l1.fork(2, await blocksOf([[1, 1]]));
  deepEqual(await deriveAll(again), ["reset", "duplicate", "accept"]);
  deepEqual(sink.blocks.map(({ transactions }) => transactions[0]!.join()), [
    "0,0,0",
    "1,1,0",
    "1,1,1",
  ]);
});

test("DerivationPipeline.standing counts what was emitted, whatever was read since", async () => {
  const l1 = new ForkingL1();
  const sink = new MemoryBlockSink();
  l1.blocks.push(...await blocksOf([[0, 0]], [], [[0, 1]], [[0, 2]]));
  const first = deriverOf(l1, sink);
  deepEqual(await deriveAll(first), ["accept", "duplicate", "duplicate"]);
  const { standing } = first;
  deepEqual([standing.l1Block, standing.readFrom], [1n, 4n]);
  // Block 2 holds batch 1 now; a restart had read on to block 4.
  l1.fork(3, await blocksOf([[1, 1]], [[2, 0]]));
  const again = deriverOf(l1, sink, standing.position, [standing]);
  deepEqual(await deriveAll(again), ["reset", "accept", "accept"]);
  equal(sink.blocks.length, 4);
});

test("DerivationPipeline goes back as far again where L1 is reorganised twice after a restart", async () => {
  const l1 = new ForkingL1();
  const sink = new MemoryBlockSink();
  l1.blocks.push(...await blocksOf([], [], [[2, 0]]));
  const first = deriverOf(l1, sink);
  deepEqual(await deriveAll(first), ["future"]);
  const { standing } = first;
  equal(standing.readFrom, 3n);
  const again = deriverOf(l1, sink, standing.position, [standing]);
  // Batch 1 is in block 1 now, and waits there.
  l1.fork(3, await blocksOf([[1, 0]], [], []));
  deepEqual(await deriveAll(again), ["reset", "future"]);
  l1.fork(1, await blocksOf([[0, 0]]));
  deepEqual(await deriveAll(again), ["reset", "future", "accept", "accept"]);
});

test("DerivationPipeline reads again from a batch that waited, though it ends after a reset", async () => {
  const l1 = new ForkingL1();
  const sink = new MemoryBlockSink();
  // Batch 2 waits for batch 1, which is the one that goes.
  l1.blocks.push(...await blocksOf([[2, 0]], [[0, 0]], [[1, 0]]));
  const first = deriverOf(l1, sink);
  deepEqual(await deriveAll(first), ["future", "accept", "accept", "accept"]);
  l1.fork(1, await blocksOf([[1, 1]]));
  equal((await first.step())?.verdict, "reset");
  const { standing } = first;
  equal(standing.readFrom, 1n);
  l1.resume(standing.readFrom);
  const again = deriverOf(l1, sink, standing.position, [standing]);
  deepEqual(await deriveAll(again), ["future", "duplicate", "accept", "accept"]);
  deepEqual(sink.blocks.map(({ batchNumber }) => batchNumber), [0n, 1n, 1n, 2n]);
});

test("DerivationPipeline gives what L1 holds in the end, however it was reorganised", async () => {
  const versions = await Promise.all(
    Array.from(
      { length: 12 },
      (_, number) => Promise.all([0, 1, 2].map((version) => batchOf(number, version))),
    ),
  );
  const blocks = fc.array(
    fc.array(fc.tuple(fc.nat({ max: 2 }), fc.nat({ max: 2 })), { maxLength: 3 }),
    { maxLength: 6 },
  );
  const change = fc.record({
    depth: fc.nat({ max: 8 }),
    blocks,
    steps: fc.nat({ max: 8 }),
    isRestarted: fc.boolean(),
  });
  let resets = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
      const l1 = new ForkingL1();
      const sink = new MemoryBlockSink();
      let deriver = deriverOf(l1, sink);
      let history: Standing[] = [deriver.standing];
      for (const { depth, blocks, steps, isRestarted } of changes) {
        // Numbers that are near to what could come next, so that many are accepted.
        let number = Number(deriver.position.nextBatchNumber) - 1;
        const made = blocks.map((each) =>
          each.map(([step, version]) => {
            number = Math.min(11, Math.max(0, number + step));
            return versions[number]![version]!;
          })
        );
        l1.fork(depth, made);
        for (let left = steps; left > 0; left--) {
          if ((await deriver.step())?.verdict === "reset") resets += 1;
          const { standing } = deriver;
          history = history.filter((each) =>
            each.position.nextBatchNumber < standing.position.nextBatchNumber
          );
          history.push(standing);
        }
        if (!isRestarted) continue;
        await deriver.stopReadingAhead();
        l1.resume(deriver.standing.readFrom);
        deriver = deriverOf(l1, sink, deriver.position, history);
      }
      await deriveAll(deriver);
      const fresh = new MemoryBlockSink();
      const still = new ForkingL1();
      still.blocks = l1.blocks;
      await deriveAll(deriverOf(still, fresh));
      deepEqual(sink.blocks, fresh.blocks);
    }),
    { numRuns: 400 },
  );
  ok(resets > 50, `${resets} resets`);
});
