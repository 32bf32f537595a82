import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  decodePosition,
  decodeSealed,
  decodeTaken,
  encodePosition,
  encodeSealed,
  encodeTaken,
  journaledSize,
} from "../../src/pipeline/journal_records.ts";
import type { CutReason } from "../../src/ports.ts";
import type { L2Block } from "../../src/types.ts";
import { toJsonPayload } from "../../src/wal/json_payload.ts";
import { toHex } from "../../src/wire/hex.ts";
import { linkedBlocks, noise, plainBlocks } from "../helpers.ts";

const anyU64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const anyHash = fc.uint8Array({ minLength: 32, maxLength: 32 });
const anyBlock: fc.Arbitrary<L2Block> = fc.record({
  timestamp: anyU64,
  transactions: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 }),
  number: anyU64,
  hash: anyHash,
  parentHash: anyHash,
}, { requiredKeys: ["timestamp", "transactions"], noNullPrototype: true });

test("decodeTaken() gives back what encodeTaken() was given, whatever blocks know of themselves", () => {
  fc.assert(fc.property(fc.nat(), fc.array(anyBlock, { maxLength: 5 }), (index, blocks) => {
    const payload = encodeTaken({ index, blocks });
    equal(payload.length, blocks.reduce((size, each) => size + journaledSize(each), 8));
    deepEqual(decodeTaken(payload), { index, blocks });
  }));
});

test("decodeTaken() refuses every payload that is cut off inside of a block", () => {
  const payload = encodeTaken({ index: 7, blocks: linkedBlocks(2) });
  const first = encodeTaken({ index: 7, blocks: linkedBlocks(1) }).length;
  for (let length = 0; length < payload.length; length++) {
    if (length === 8 || length === first) continue;
    throws(() => decodeTaken(payload.subarray(0, length)), { code: "Truncated" }, `${length}`);
  }
});

test("decodeSealed() gives back what encodeSealed() was given, for every reason", () => {
  const reasons: CutReason[] = [
    "full",
    "interval",
    "blocks",
    "size",
    "timestamp",
    "window",
    "shutdown",
    "manual",
  ];
  for (const reason of reasons) {
    const batch = { batchNumber: 2n ** 64n - 1n, blocks: 65_535, reason, data: noise(100) };
    deepEqual(decodeSealed(encodeSealed(batch, 1234)), { ...batch, index: 1234 });
  }
});

test("Journal records keep their layout", () => {
  const [block] = plainBlocks(1, { size: 2 });
  const taken = encodeTaken({ index: 1, blocks: [{ ...block!, number: 5n }] });
  const transaction = toHex(block!.transactions[0]!).slice(2);
  equal(
    toHex(taken),
    "0x0100000000000000" + "01" + "e803000000000000" + "0500000000000000" + "01000000" +
      "02000000" + transaction,
  );
  const sealed = { batchNumber: 3n, blocks: 2, reason: "window" as const, data: noise(2) };
  equal(
    toHex(encodeSealed(sealed, 4)),
    "0x0300000000000000" + "0400000000000000" + "02000000" + "05" + toHex(sealed.data).slice(2),
  );
});

test("decodePosition() takes what encodePosition() made, and nothing with a key missing", () => {
  const position = {
    nextBatchNumber: 2n ** 64n - 1n,
    blocks: 12,
    lastBlock: linkedBlocks(1)[0]!,
    l1Block: 7n,
    l1BlockHash: noise(32),
    inbox: noise(20),
    batcher: noise(20, 1),
  };
  deepEqual(decodePosition(encodePosition(position)), {
    ...position,
    lastBlock: { ...position.lastBlock, transactions: [] },
  });
  const { lastBlock: _, ...first } = position;
  deepEqual(decodePosition(encodePosition(first)), first);
  for (const key of Object.keys(first)) {
    const lacking = Object.fromEntries(Object.entries(first).filter(([name]) => name !== key));
    throws(() => decodePosition(toJsonPayload(lacking)), TypeError, key);
  }
  for (const other of ["null", "7", "[]", "{", ""]) {
    throws(() => decodePosition(new TextEncoder().encode(other)));
  }
});
