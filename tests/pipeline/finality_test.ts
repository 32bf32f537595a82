import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { ManualClock, MemoryBlockSink, MemoryL1, SeededRandom } from "../../src/local/memory.ts";
import { DerivationRunner } from "../../src/pipeline/derivation_runner.ts";
import { Finality } from "../../src/pipeline/finality.ts";
import type { L1Heads } from "../../src/ports.ts";
import { makeBatch, plainBlocks, withMembers } from "../helpers.ts";

const HEADS: L1Heads = { safe: 2n, finalized: 1n };

function place(
  source: { l1Heads?: () => Promise<L1Heads> } = { l1Heads: () => Promise.resolve(HEADS) },
) {
  const clock = new ManualClock();
  const told: L1Heads[] = [];
  const sink = {
    noteL1Heads: (heads: L1Heads) => {
      told.push(heads);
      return Promise.resolve();
    },
  };
  return { clock, told, finality: new Finality({ source, sink, clock }, 100) };
}

test("Finality looks at every pause, and while there is work now and then", async () => {
  const { clock, told, finality } = place();
  await finality.look({ isCaughtUp: false });
  await finality.look({ isCaughtUp: false });
  equal(told.length, 1);
  await finality.look({ isCaughtUp: true });
  equal(told.length, 2);
  await clock.sleep(100);
  await finality.look({ isCaughtUp: false });
  deepEqual(told, [HEADS, HEADS, HEADS]);
});

test("Finality looks again at once where that failed, and never where nobody knows", async () => {
  let isDown = true;
  const { told, finality } = place({
    l1Heads: () => isDown ? Promise.reject(new Error("down")) : Promise.resolve(HEADS),
  });
  await rejects(finality.look({ isCaughtUp: false }), /down/);
  isDown = false;
  await finality.look({ isCaughtUp: false });
  deepEqual(told, [HEADS]);
  const unknown = place({});
  await unknown.finality.look({ isCaughtUp: true });
  deepEqual(unknown.told, []);
});

test("DerivationRunner tells its sink what is safe and final, after the blocks from there", async () => {
  const l1 = new MemoryL1({ safeConfirmations: 1 });
  const posting = l1.sink();
  for (let number = 0; number < 3; number++) {
    const blocks = plainBlocks(2, { first: 2 * number });
    await posting.submit(await makeBatch(blocks, { batchNumber: BigInt(number) }));
  }
  const told: string[] = [];
  const blocks = new MemoryBlockSink();
  const sink = withMembers(blocks as MemoryBlockSink & { noteL1Heads?: unknown }, {
    noteL1Heads: ({ safe, finalized }: L1Heads) => {
      told.push(`${safe} ${finalized} after ${blocks.blocks.length}`);
      return Promise.resolve();
    },
  });
  const runner = new DerivationRunner({
    source: l1.source({ head: "latest" }),
    compressors: [new NoopCompressor()],
    sink: sink as MemoryBlockSink,
    clock: new ManualClock(),
    random: new SeededRandom(1),
  });
  await runner.run({ once: true });
  deepEqual(told, ["2 2 after 2", "2 2 after 6"]);
});
