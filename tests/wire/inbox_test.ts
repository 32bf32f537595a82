import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../../src/wire/hex.ts";
import { batchCalldata, blobCalldata, parseCalldata } from "../../src/wire/inbox.ts";

const data = Uint8Array.of(0, 9, 8);

test("blobCalldata() and batchCalldata() begin with the number, little-endian", () => {
  equal(toHex(blobCalldata(0x0102n)), "0x0201000000000000");
  equal(toHex(batchCalldata({ batchNumber: 2n ** 64n - 1n, data })), "0xffffffffffffffff000908");
});

test("parseCalldata() gives back number and data", () => {
  for (const batchNumber of [0n, 1n, 2n ** 64n - 1n]) {
    deepEqual(parseCalldata(batchCalldata({ batchNumber, data }), 0), { batchNumber, data });
    for (const blobs of [1, 6]) {
      const parsed = parseCalldata(blobCalldata(batchNumber), blobs);
      deepEqual(parsed, { batchNumber, data: new Uint8Array() });
    }
  }
  const inside = new Uint8Array([7, 7, ...batchCalldata({ batchNumber: 3n, data })]).subarray(2);
  deepEqual(parseCalldata(inside, 0), { batchNumber: 3n, data });
});

test("parseCalldata() takes anything else for no batch", () => {
  for (let length = 0; length <= 8; length++) {
    equal(parseCalldata(new Uint8Array(length), 0), undefined);
  }
  for (const length of [0, 7, 9, 100]) equal(parseCalldata(new Uint8Array(length), 1), undefined);
});
