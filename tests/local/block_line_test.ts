import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SourceError } from "../../src/errors.ts";
import {
  checkFollows,
  formatBlockLine,
  nameOf,
  parseBlockLine,
} from "../../src/local/block_line.ts";
import { l2Hash, linkedBlocks, plainBlocks } from "../helpers.ts";

const anyU64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.constantFrom(0n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n),
);
const anyBlock = fc.record({
  timestamp: anyU64,
  transactions: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }),
  batchNumber: anyU64,
  l1Origin: anyU64,
  l1Block: anyU64,
});

test("parseBlockLine() gives back what formatBlockLine() wrote, always the same line", () => {
  fc.assert(fc.property(anyBlock, (block) => {
    const line = formatBlockLine(block);
    const { timestamp, transactions } = block;
    deepEqual(parseBlockLine(line, "x:1"), { timestamp, transactions });
    equal(/^[\x20-\x7e]+$/.test(line), true);
    const other = { ...block, number: 9n, hash: l2Hash(9) };
    equal(formatBlockLine(other), line);
  }));
});

test("formatBlockLine() writes numbers above 2^53 - 1 as text", () => {
  const block = {
    timestamp: 2n ** 53n,
    transactions: [],
    batchNumber: 1n,
    l1Origin: 2n,
    l1Block: 3n,
  };
  equal(
    formatBlockLine(block),
    '{"timestamp":"9007199254740992","transactions":[],"batchNumber":1,"l1Origin":2,"l1Block":3}',
  );
});

test("parseBlockLine() of any text gives a block or a SourceError", () => {
  const anyText = fc.oneof(
    fc.string(),
    fc.json(),
    anyBlock.map((block) => formatBlockLine(block).slice(0, -2)),
  );
  fc.assert(fc.property(anyText, (text) => {
    try {
      parseBlockLine(text, "x:1");
    } catch (error) {
      equal(error instanceof SourceError && error.code, "InvalidBlock");
    }
  }));
});

test("checkFollows() holds two blocks together by what both know", () => {
  const [one, two] = linkedBlocks(2, { first: 5 });
  const [plainOne, plainTwo] = plainBlocks(2);
  checkFollows(one!, two!, "x:2");
  checkFollows(plainOne!, plainTwo!, "x:2");
  checkFollows(plainTwo!, { ...plainTwo! }, "x:2"); // Two blocks of one second.
  checkFollows({ ...plainOne!, timestamp: 0n }, two!, "x:2");
  throws(() => checkFollows(two!, one!, "x:2"), { code: "Gap" });
  throws(() => checkFollows(plainTwo!, plainOne!, "x:2"), {
    code: "InvalidBlock",
    message: /block of timestamp 1000 at x:2 after block of timestamp 1002: its timestamp 1000 is/,
  });
  equal(nameOf(one!), "5");
  equal(nameOf(plainOne!), "of timestamp 1000");
});
