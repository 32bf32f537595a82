import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { MAX_RAW_BATCH_BYTES } from "../../src/config.ts";
import { CompressionError, SourceError } from "../../src/errors.ts";
import { ReadAhead, type ReadAheadParts } from "../../src/pipeline/read_ahead.ts";
import type { BatchCodec, Compressor, L1BatchSource } from "../../src/ports.ts";
import type { Batch, L1Batch } from "../../src/types.ts";
import { standardCodec } from "../../src/wire/batch.ts";
import { withMembers } from "../helpers.ts";

const MIB = 1024 * 1024;
const unreachable = new SourceError("Connection", "unreachable");
/** What the bound counts for a batch beside its bytes. */
const BESIDE_BYTES = 1024;

/** Batch `number` of one byte, which names the format of no compression. */
function batchOf(number: number): L1Batch {
  const inclusion = {
    blockNumber: BigInt(number),
    blockHash: new Uint8Array(32),
    timestamp: 0n,
    txHash: new Uint8Array(32),
    blobs: 0,
  };
  return { batchNumber: BigInt(number), data: Uint8Array.of(2), inclusion };
}

type Answer = L1Batch | Error | undefined;

/** A source that gives what `answer` says, call by call, and remembers how often it was asked. */
function sourceOf(answer: (call: number) => Answer | Promise<Answer>) {
  const source = {
    calls: 0,
    async nextBatch() {
      const given = await answer(source.calls++);
      if (given instanceof Error) throw given;
      return given;
    },
    l1Head: () => Promise.resolve(0n),
    l1BlockHash: () => Promise.resolve(undefined),
  };
  return source satisfies L1BatchSource;
}

/** Answers each call by an element, and with nothing behind the last. */
function inOrder(...answers: readonly Answer[]) {
  return sourceOf((call) => answers[call]);
}

function aheadOf(source: L1BatchSource, options: Partial<ReadAheadParts> = {}): ReadAhead {
  return new ReadAhead({
    source,
    opener: { compressors: [new NoopCompressor()], codec: standardCodec },
    maxBytes: 1024 * MIB,
    isWorthOpening: () => true,
    ...options,
  });
}

/** Lets everything come to rest that waits for nothing outside. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setTimeout(resolve));
}

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => resolve = done);
  return { promise, resolve };
}

/** Decompresses to as many bytes as `sizeOf` says of batch after batch, without having them. */
function pretendOpener(sizeOf: (call: number) => number | Promise<number>) {
  const opened: number[] = [];
  let calls = 0;
  const compressor: Compressor = withMembers(new NoopCompressor(), {
    decompress: async () => {
      const length = await sizeOf(calls++);
      opened.push(length);
      return { length } as Uint8Array;
    },
  });
  const codec: BatchCodec = {
    ...standardCodec,
    decode: () => ({ blocks: [] as unknown }) as Batch,
  };
  return { opener: { compressors: [compressor], codec }, opened, asked: () => calls };
}

test("ReadAhead.next() gives batches in order, and each failure behind what came before it", async () => {
  const source = inOrder(batchOf(0), batchOf(1), unreachable, unreachable, batchOf(2));
  const ahead = aheadOf(source);
  equal((await ahead.next())?.batch.batchNumber, 0n);
  await settle();
  equal(source.calls, 3); // It does not ask past a failure.
  equal((await ahead.next())?.batch.batchNumber, 1n);
  await rejects(ahead.next(), unreachable);
  await rejects(ahead.next(), unreachable);
  equal((await ahead.next())?.batch.batchNumber, 2n);
  equal(await ahead.next(), undefined);
});

test("ReadAhead.next() says that there is nothing only when asked after the call", async () => {
  const early = deferred<Answer>();
  const source = sourceOf((call) => [batchOf(0), early.promise, batchOf(1)][call]);
  const ahead = aheadOf(source);
  await ahead.next();
  equal(source.calls, 2); // The second call is under way, and sees L1 as it is now.
  const next = ahead.next();
  early.resolve(undefined);
  equal((await next)?.batch.batchNumber, 1n);
});

test("ReadAhead asks for one batch at a time", async () => {
  let busy = 0;
  const source = sourceOf(async (call) => {
    equal(++busy, 1);
    await settle();
    busy -= 1;
    return call < 5 ? batchOf(call) : undefined;
  });
  const ahead = aheadOf(source);
  for (let number = 0n; number < 5n; number++) {
    equal((await ahead.next())?.batch.batchNumber, number);
  }
  equal(await ahead.next(), undefined);
});

test("ReadAhead reads nothing ahead of time where it may hold nothing", async () => {
  const { opener, asked } = pretendOpener(() => 1);
  const source = inOrder(batchOf(0), batchOf(1));
  const ahead = aheadOf(source, { maxBytes: 0, opener });
  const first = await ahead.next();
  await settle();
  deepEqual([source.calls, asked(), ahead.heldBytes], [1, 0, 0]);
  equal((await first!.open()).rawBytes, 1);
});

test("ReadAhead reads one batch ahead however little it may hold", async () => {
  const { opener, asked } = pretendOpener(() => 5 * MIB);
  const source = inOrder(batchOf(0), batchOf(1), batchOf(2));
  const ahead = aheadOf(source, { maxBytes: 1, opener });
  await ahead.next();
  await settle();
  deepEqual([source.calls, asked()], [2, 2]);
  equal(ahead.heldBytes, 5 * MIB + 1 + BESIDE_BYTES);
});

test("ReadAhead opens no second batch while the first may become a bomb", async () => {
  const sizes = [1, 2, 3, 4].map(() => deferred<number>());
  const { opener, asked } = pretendOpener((call) => sizes[call]!.promise);
  const source = sourceOf((call) => batchOf(call));
  const ahead = aheadOf(source, { maxBytes: MAX_RAW_BATCH_BYTES + 32 * MIB, opener });
  await ahead.next();
  await settle();
  equal(asked(), 2); // Of the batch that was taken, and of the next.
  sizes[1]!.resolve(5 * MIB);
  await settle();
  equal(asked(), 3);
  sizes[2]!.resolve(MAX_RAW_BATCH_BYTES);
  await settle();
  equal(asked(), 3);
  deepEqual([source.calls, ahead.heldBytes], [3, 69 * MIB + 2 * (1 + BESIDE_BYTES)]);
  await ahead.next();
  await settle();
  equal(asked(), 3); // The bomb alone leaves no room for what could be another.
  await ahead.next();
  await settle();
  equal(asked(), 4);
});

test("ReadAhead never holds more than it may, but for one batch", async () => {
  const plan = fc.record({
    maxBytes: fc.integer({ min: 1, max: 400 * MIB }),
    sizes: fc.array(fc.integer({ min: 0, max: MAX_RAW_BATCH_BYTES }), { maxLength: 40 }),
    worth: fc.infiniteStream(fc.boolean()),
  });
  await fc.assert(
    fc.asyncProperty(plan, async ({ maxBytes, sizes, worth }) => {
      const { opener } = pretendOpener((call) => {
        mayHold();
        return sizes[call]!;
      });
      const source = sourceOf((call) => {
        mayHold();
        return call < sizes.length ? batchOf(call) : undefined;
      });
      const ahead = aheadOf(source, { maxBytes, opener, isWorthOpening: () => worth.next().value });
      let taken = 0;
      const mayHold = () => {
        const inLine = source.calls - taken;
        ok(inLine <= 2 || ahead.heldBytes <= maxBytes, `${ahead.heldBytes} of ${maxBytes}`);
      };
      while (await ahead.next()) {
        taken += 1;
        for (let turn = 0; turn < 100; turn++) await Promise.resolve();
        mayHold();
      }
      equal(taken, sizes.length);
      equal(ahead.heldBytes, 0);
    }),
    { numRuns: 100 },
  );
});

test("ReadAhead.stop() lets nothing begin until the next batch is asked for", async () => {
  const under = deferred<Answer>();
  const { opener, asked } = pretendOpener(() => 1);
  const source = sourceOf((call) => call === 1 ? under.promise : batchOf(call));
  const ahead = aheadOf(source, { opener, maxBytes: 80 * MIB });
  await ahead.next();
  const stopped = ahead.stop();
  under.resolve(batchOf(1));
  await stopped;
  await settle();
  deepEqual([source.calls, asked()], [2, 1]); // Read, as it was under way, and not opened.
  equal((await ahead.next())?.batch.batchNumber, 1n);
  await settle();
  ok(source.calls > 2);
});

test("ReadAhead.stop() comes to its end after a failure, and keeps it for its turn", async () => {
  const under = deferred<Answer>();
  const source = sourceOf((call) => call === 0 ? batchOf(0) : under.promise);
  const ahead = aheadOf(source);
  await ahead.next();
  const stopped = ahead.stop();
  under.resolve(unreachable);
  await stopped;
  await rejects(ahead.next(), unreachable);
});

test("ReadBatch.open() tells what failed ahead of time once, then opens anew", async () => {
  const failed = new CompressionError("Failed", "out of memory");
  const { opener, asked } = pretendOpener((call) => {
    if (call < 2) throw failed;
    return 7;
  });
  const ahead = aheadOf(inOrder(batchOf(0)), { opener });
  const item = await ahead.next();
  await settle();
  equal(asked(), 1);
  await rejects(item!.open(), failed);
  await rejects(item!.open(), failed);
  equal((await item!.open()).rawBytes, 7);
  equal((await item!.open()).rawBytes, 7);
  equal(asked(), 3);
});
