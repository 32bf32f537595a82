/**
 * Everything between source and sink, under chance: whatever fails, restarts, or is posted besides, the
 * blocks that come out are those that went in, each once and in order.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { isRetryable, SinkError, SourceError } from "../../src/errors.ts";
import { ManualClock, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import { DerivationPipeline, type DeriverPosition } from "../../src/pipeline/deriver.ts";
import { recoverPosition } from "../../src/pipeline/recovery.ts";
import type { BatchSink, BatchSource, Compressor, L2BlockSink } from "../../src/ports.ts";
import type { CompressedBatch, DerivedBlock, L2Block } from "../../src/types.ts";
import { toHex } from "../../src/wire/hex.ts";
import { content, draftOf, type Fault, flaky, mineEmpty, noise, stepAll } from "../helpers.ts";
import { withMembers } from "../helpers.ts";
import { deriverOf } from "./world.ts";

const compressors = { none: new NoopCompressor(), brotli: new BrotliCompressor({ level: 4 }) };

const anyBlocks = fc.array(
  fc.record({
    // Now and then a pause that no batch can hold.
    delta: fc.oneof(
      { weight: 30, arbitrary: fc.nat(20) },
      fc.constantFrom(65_535, 65_536, 200_000),
    ),
    sizes: fc.array(fc.nat(120), { maxLength: 4 }),
  }),
  { minLength: 1, maxLength: 40 },
).map((steps) => {
  let timestamp = 1000n;
  return steps.map(({ delta, sizes }, index): L2Block => {
    timestamp += BigInt(delta);
    return { timestamp, transactions: sizes.map((size, at) => noise(size, 100 * index + at)) };
  });
});

const anyPlan = fc.record({
  seed: fc.nat(),
  blocks: anyBlocks,
  da: fc.constantFrom("blobs" as const, "calldata" as const),
  safeConfirmations: fc.nat(3),
  faultRate: fc.constantFrom(0, 0.1, 0.3),
  /** Where a number that is not due yet is on L1, a batcher that starts refuses to go on. */
  batcher: fc.constantFrom("restarts" as const, "sees junk from the future" as const),
  config: fc.record({
    maxBlocksPerBatch: fc.integer({ min: 1, max: 12 }),
    maxBatchBytes: fc.integer({ min: 150, max: 3000 }),
    minBatchBytes: fc.nat(800),
    targetRawBytes: fc.integer({ min: 200, max: 4000 }),
    maxPendingBytes: fc.integer({ min: 100, max: 4000 }),
    batchIntervalMs: fc.constantFrom(0, 1000, 12_000),
  }),
});
type Plan = typeof anyPlan extends fc.Arbitrary<infer T> ? T : never;

const TEMPORARY = [
  new SinkError("Connection", "chance: connection"),
  new SinkError("Timeout", "chance: timeout"),
  new SourceError("Connection", "chance: source"),
];

/** A source, an L1, a sink, and what is between them; it can be restarted at any time. */
class World {
  readonly plan: Plan;
  readonly compressor: Compressor;
  readonly random: SeededRandom;
  readonly clock = new ManualClock();
  readonly l1: MemoryL1;
  readonly out: DerivedBlock[] = [];
  /** Bytes that landed, by batch number. */
  readonly landed = new Map<bigint, CompressedBatch>();
  faultRate: number;
  batcher!: BatcherPipeline;
  deriver!: DerivationPipeline;
  #source!: BatchSource & { readonly isExhausted: boolean };
  #saved: { position: DeriverPosition; l1Position: bigint; blocks: number } = {
    position: { nextBatchNumber: 0n },
    l1Position: 0n,
    blocks: 0,
  };

  constructor(plan: Plan, compressor: Compressor) {
    this.plan = plan;
    this.compressor = compressor;
    this.random = new SeededRandom(plan.seed);
    this.faultRate = plan.faultRate;
    this.l1 = new MemoryL1({ clock: this.clock, safeConfirmations: plan.safeConfirmations });
  }

  chance(share: number): boolean {
    return this.random.next() < share;
  }

  below(limit: number): number {
    return Math.floor(this.random.next() * limit);
  }

  /** A call fails, or its answer is lost; `canRepeat` where the call may be made twice. */
  #fault(canRepeat: boolean): Fault | undefined {
    if (!this.chance(this.faultRate)) return undefined;
    const error = TEMPORARY[this.below(TEMPORARY.length)]!;
    return canRepeat && this.chance(0.5) ? { after: error } : error;
  }

  /** As after a crash: what was taken and not posted is forgotten, L1 tells the rest. */
  async startBatcher(): Promise<void> {
    const { blocks } = this.plan;
    let next = 0;
    this.#source = {
      get isExhausted() {
        return next >= blocks.length;
      },
      pendingBlocks: () => {
        const from = next;
        next = Math.min(blocks.length, next + this.below(6));
        return Promise.resolve(blocks.slice(from, next));
      },
      l1Origin: () => this.l1.head("latest"),
      l1OriginHash: async (number) => (await this.l1.block(number)).hash,
      parentHash: () => Promise.resolve(new Uint8Array(32)),
    };
    const position = await recoverPosition({
      l1: this.l1.source({ head: "latest" }),
      compressors: [this.compressor],
      source: this.#source,
      clock: this.clock,
    });
    const sink = this.l1.sink({ da: this.plan.da });
    const witnessed = withMembers<BatchSink>(sink, {
      submit: (batch) => {
        const before = this.landed.get(batch.batchNumber) ?? batch;
        equal(toHex(batch.data), toHex(before.data), `batch ${batch.batchNumber} changed`);
        this.landed.set(batch.batchNumber, batch);
        return sink.submit(batch);
      },
    });
    this.batcher = new BatcherPipeline(
      {
        source: flaky(this.#source, (method) => this.#fault(method !== "pendingBlocks")),
        compressor: this.compressor,
        sink: flaky(witnessed, () => this.#fault(true)),
        clock: this.clock,
      },
      this.plan.config,
      position,
    );
  }

  /** As after a crash: from what was written down last, with what was written out since cut off. */
  startDeriver(): void {
    const { position, l1Position, blocks } = this.#saved;
    this.out.length = blocks;
    const sink: L2BlockSink = {
      ingest: (block) => Promise.resolve(void this.out.push(block)),
      flush: () => Promise.resolve(),
    };
    this.deriver = new DerivationPipeline(
      {
        source: flaky(
          this.l1.source({ startBlock: l1Position }),
          (method) => this.#fault(method !== "nextBatch"),
        ),
        compressors: [this.compressor],
        sink: flaky(sink, (method) => this.#fault(method === "flush")),
      },
      {},
      position,
    );
  }

  async tick(): Promise<void> {
    await this.batcher.tick().catch(refuseCritical);
  }

  async step(): Promise<void> {
    const result = await this.deriver.step().catch(refuseCritical);
    const { position, l1Position } = this.deriver;
    if (!result || l1Position === undefined || this.chance(0.3)) return;
    this.#saved = { position, l1Position, blocks: this.out.length };
  }

  /** What others post, and the batcher's own transactions once more. */
  async interfere(): Promise<void> {
    const known = [...this.landed.values()];
    const expected = BigInt(known.length);
    const replayed = known[this.below(known.length)];
    const ahead = this.plan.batcher === "restarts" ? 1 : 4;
    const number = () => expected + BigInt(this.below(ahead));
    const garbage = { batchNumber: number(), data: noise(30) };
    const renumbered = replayed && { ...replayed, batchNumber: number() };
    const drafts = [replayed, garbage, renumbered].flatMap((batch) => {
      if (!batch) return [];
      const from = this.chance(0.3) ? { from: new Uint8Array(20) } : {};
      return [draftOf(batch, { ...from, da: this.chance(0.1) ? "blobs" : "calldata" })];
    });
    await this.l1.mine(drafts.filter(() => this.chance(0.6)), 0n);
  }

  get isDone(): boolean {
    return this.#source.isExhausted && this.batcher.pendingBlocks === 0;
  }
}

function refuseCritical(error: unknown): undefined {
  if (!isRetryable(error)) throw error;
}

/** Lets chance reign for a while, then lets everything come to its end. */
async function live(plan: Plan, compressor: Compressor): Promise<World> {
  const world = new World(plan, compressor);
  await world.startBatcher();
  world.startDeriver();
  for (let round = 0; round < 80; round++) {
    if (world.chance(0.6)) await world.tick();
    if (world.chance(0.5)) world.clock.advance(world.below(15_000));
    if (world.chance(0.6)) await world.step();
    if (world.chance(0.1)) await world.interfere();
    if (world.chance(0.1)) await mineEmpty(world.l1, 1);
    if (plan.batcher === "restarts" && world.chance(0.05)) await world.startBatcher();
    if (world.chance(0.06)) world.startDeriver();
  }
  world.faultRate = 0;
  for (let round = 0; !world.isDone; round++) {
    ok(round < 1000, "the batcher does not come to its end");
    await world.tick();
    world.clock.advance(12_000);
  }
  await world.batcher.shutdown();
  await mineEmpty(world.l1, plan.safeConfirmations);
  // What failed before may have been read ahead: it is told in its turn.
  await stepAll(world.deriver).catch(refuseCritical);
  await stepAll(world.deriver);
  return world;
}

function mustBeWhole({ plan, out, landed, deriver, compressor }: World): void {
  deepEqual(content(out), content(plan.blocks));
  const numbers = [...new Set(out.map((block) => block.batchNumber))];
  deepEqual(numbers, numbers.map((_, index) => BigInt(index)));
  equal(deriver.position.nextBatchNumber, BigInt(numbers.length));
  deepEqual([...landed.keys()].length, numbers.length);
  const { maxBlocksPerBatch, maxBatchBytes } = plan.config;
  for (const [number, { data }] of landed) {
    const { length } = out.filter((block) => block.batchNumber === number);
    ok(length <= maxBlocksPerBatch);
    ok(data.length <= maxBatchBytes || length === 1, `${data.length} bytes, ${length} blocks`);
  }
  ok(compressor.format !== 0 || numbers.length > 0);
}

test("BatcherPipeline and DerivationPipeline give back each block once, in order, whatever fails", async () => {
  await fc.assert(
    fc.asyncProperty(anyPlan, async (plan) => mustBeWhole(await live(plan, compressors.none))),
    { numRuns: 60 },
  );
});

test("BatcherPipeline and DerivationPipeline do so with Brotli between them", async () => {
  await fc.assert(
    fc.asyncProperty(anyPlan, async (plan) => mustBeWhole(await live(plan, compressors.brotli))),
    { numRuns: 10 },
  );
});

test("DerivationPipeline gives back each block once, in order, in whatever order batches land", async () => {
  const anyOrder = fc.record({
    seed: fc.nat(),
    blocks: anyBlocks,
    perBatch: fc.integer({ min: 1, max: 5 }),
  });
  await fc.assert(
    fc.asyncProperty(anyOrder, async ({ seed, blocks, perBatch }) => {
      const batches = await cut(blocks, perBatch);
      const random = new SeededRandom(seed);
      const again = batches.filter(() => random.next() < 0.4);
      const shuffled = [...batches, ...again, ...again.filter(() => random.next() < 0.4)]
        .map((batch) => ({ batch, rank: random.next() }))
        .sort((a, b) => a.rank - b.rank);
      const l1 = new MemoryL1();
      while (shuffled.length > 0) {
        const some = shuffled.splice(0, 1 + Math.floor(random.next() * 4));
        await l1.mine(
          some.map(({ batch }) =>
            draftOf(batch, { da: random.next() < 0.1 ? "blobs" : "calldata" })
          ),
          0n,
        );
      }
      const { deriver, sink, events } = deriverOf(l1);
      await stepAll(deriver);
      deepEqual(content(sink.blocks), content(blocks));
      deepEqual(
        events.of("batch.accepted").map((each) => each.batch.batchNumber),
        batches.map((each) => each.batchNumber),
      );
      deepEqual(events.of("batch.dropped"), []);
    }),
    { numRuns: 60 },
  );
});

/** Batches of blocks, all of L1 origin 0, so that they are right on any L1 in memory. */
async function cut(blocks: readonly L2Block[], perBatch: number): Promise<CompressedBatch[]> {
  const clock = new ManualClock();
  const l1 = new MemoryL1({ clock });
  const batches: CompressedBatch[] = [];
  const sink = l1.sink({ da: "calldata" });
  const batcher = new BatcherPipeline(
    {
      source: {
        pendingBlocks: () => Promise.resolve([]),
        l1Origin: () => Promise.resolve(0n),
        l1OriginHash: async (number) => (await l1.block(number)).hash,
        parentHash: () => Promise.resolve(new Uint8Array(32)),
      },
      compressor: compressors.none,
      sink: withMembers<BatchSink>(sink, {
        submit: (batch) => {
          batches.push(batch);
          return sink.submit(batch);
        },
      }),
      clock,
    },
    { maxBlocksPerBatch: perBatch },
    { nextBatchNumber: 0n, pending: blocks },
  );
  await batcher.shutdown();
  return batches;
}
