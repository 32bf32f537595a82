import { ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { CodecError, CompressionError } from "../../src/errors.ts";
import { checkHeader, type HeaderContext, undecodable } from "../../src/pipeline/verdict.ts";
import type { BatchHeader } from "../../src/types.ts";
import { noise } from "../helpers.ts";

const originHash = noise(32, 1);
const parentHash = noise(32, 2);

const header: BatchHeader = {
  version: 0,
  batchNumber: 4n,
  l1Origin: 5000n,
  l1OriginCheck: originHash.slice(0, 20),
  parentCheck: parentHash.slice(0, 20),
  timestamp: 1000n,
  blockCount: 1,
};

function contextAt(blockNumber: bigint, change: Partial<HeaderContext> = {}): HeaderContext {
  const inclusion = {
    blockNumber,
    blockHash: noise(32),
    timestamp: 0n,
    txHash: noise(32),
    blobs: 0,
  };
  return {
    batch: { batchNumber: 4n, data: new Uint8Array(), inclusion },
    l1OriginHash: originHash,
    parentHash,
    lastTimestamp: 1000n,
    ...change,
  };
}

function verdict(change: Partial<BatchHeader>, context: HeaderContext): string | undefined {
  return checkHeader({ ...header, ...change }, context)?.reason;
}

test("checkHeader() accepts what is right, at both ends of the sequencing window", () => {
  for (const blockNumber of [5000n, 5001n, 8600n]) {
    equal(verdict({}, contextAt(blockNumber)), undefined);
  }
});

test("checkHeader() names each reason, and what it is held against", () => {
  const drops: [Partial<BatchHeader>, HeaderContext, string, RegExp][] = [
    [{ batchNumber: 3n }, contextAt(5001n), "number_mismatch", /batch 4: its header says batch 3/],
    [{}, contextAt(4999n), "origin_ahead", /origin 5000 is above L1 block 4999/],
    [{}, contextAt(8601n), "origin_expired", /5000 is more than 3600 below L1 block 8601/],
    [
      { l1OriginCheck: noise(20, 9) },
      contextAt(5001n),
      "origin_check",
      /starts with 0x.*hash is 0x/,
    ],
    [{}, contextAt(5001n, { l1OriginHash: undefined }), "origin_check", /not to be had/],
    [{ parentCheck: noise(20, 9) }, contextAt(5001n), "parent_check", /the last block is 0x/],
    [{ timestamp: 999n }, contextAt(5001n), "timestamp", /is of 999, the last block of 1000/],
  ];
  for (const [change, context, reason, message] of drops) {
    const drop = checkHeader({ ...header, ...change }, context);
    equal(drop?.reason, reason);
    ok(message.test(drop.error.message), drop.error.message);
  }
});

test("checkHeader() compares only what is known", () => {
  const context = contextAt(5001n, { parentHash: undefined, lastTimestamp: undefined });
  equal(verdict({ parentCheck: noise(20, 9), timestamp: 0n }, context), undefined);
});

test("checkHeader() compares 20 bytes, no more and no fewer", () => {
  const longer = originHash.slice();
  longer[20]! ^= 1;
  equal(verdict({}, contextAt(5001n, { l1OriginHash: longer })), undefined);
  longer[19]! ^= 1;
  equal(verdict({}, contextAt(5001n, { l1OriginHash: longer })), "origin_check");
});

test("undecodable() tells another version from bytes that are no batch", () => {
  const reasonOf = (error: Error) => undecodable(error).reason;
  equal(reasonOf(new CodecError("InvalidVersion", "version 1")), "version");
  equal(reasonOf(new CodecError("Truncated", "cut")), "undecodable");
  equal(reasonOf(new CompressionError("Corrupted", "cut")), "undecodable");
});
