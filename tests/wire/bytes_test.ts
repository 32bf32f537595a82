import { ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { equalBytes, equalLists } from "../../src/wire/bytes.ts";

test("equalBytes() sees a difference wherever it is, in views too", () => {
  fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.nat(), (bytes, seed) => {
    const view = Uint8Array.of(9, ...bytes, 9).subarray(1, bytes.length + 1);
    ok(equalBytes(bytes, view));
    ok(!equalBytes(bytes, bytes.subarray(1)));
    const other = bytes.slice();
    other[seed % bytes.length]! ^= 1 + seed % 255;
    ok(!equalBytes(bytes, other));
  }));
  ok(equalBytes(new Uint8Array(), new Uint8Array()));
});

test("equalLists() sees another order, another length, and bytes that moved from one to the next", () => {
  const lists = [[], [[]], [[1, 2], [3]], [[3], [1, 2]], [[1], [2, 3]], [[1, 2]], [[1, 2], [3], []]]
    .map((list) => list.map((each) => Uint8Array.from(each)));
  for (const [at, a] of lists.entries()) {
    for (const [index, b] of lists.entries()) {
      equal(equalLists(a, b.map((each) => each.slice())), at === index, `${at} and ${index}`);
    }
  }
});
