import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DerivedHeads } from "../../src/l2/derived_heads.ts";

function mark(number: number, l1Block: number) {
  return { number: BigInt(number), hash: Uint8Array.of(number), l1Block: BigInt(l1Block) };
}

function numbersOf({ safe, finalized }: DerivedHeads): (number | undefined)[] {
  return [safe, finalized].map((block) => block && Number(block.number));
}

test("DerivedHeads counts a batch that waited for another as standing no firmer than that", () => {
  const heads = new DerivedHeads();
  heads.push(mark(1, 5));
  heads.push(mark(2, 9));
  heads.push(mark(3, 6));
  heads.note({ safe: 8n, finalized: 6n });
  deepEqual(numbersOf(heads), [1, 1]);
  heads.note({ safe: 9n, finalized: 6n });
  deepEqual(numbersOf(heads), [3, 1]);
});

test("DerivedHeads names the last block that rests on a safe L1 block, whatever is taken back", () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant("push" as const), l1: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ kind: fc.constant("note" as const), l1: fc.integer({ min: 0, max: 6 }) }),
    fc.record({ kind: fc.constant("back" as const), l1: fc.integer({ min: 1, max: 3 }) }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const heads = new DerivedHeads();
    /** All of it, one by one: `l1Block` of each block. */
    const l1Blocks: number[] = [];
    let l1 = 0;
    let final = 0;
    for (const { kind, l1: more } of steps) {
      if (kind === "push") {
        l1 += more;
        l1Blocks.push(l1);
        heads.push(mark(l1Blocks.length, l1));
      } else if (kind === "note") {
        final = Math.max(final, l1 - more);
        // One that lags changes nothing.
        heads.note({ safe: BigInt(l1 - more), finalized: BigInt(l1 - more) });
      } else {
        // L1 goes back to a block that is not final: all from above it goes.
        const ancestor = Math.max(final, l1 - more);
        const left = l1Blocks.filter((each) => each <= ancestor).length;
        if (left === 0) continue;
        l1 = ancestor;
        l1Blocks.length = left;
        heads.backTo(mark(left, Number(heads.l1BlockOf(BigInt(left)) ?? -1)));
      }
      heads.note({ safe: BigInt(final), finalized: BigInt(final) });
      const expected = l1Blocks.filter((each) => each <= final).length || undefined;
      equal(numbersOf(heads)[1], expected);
      equal(numbersOf(heads)[0], expected);
    }
  }));
});
