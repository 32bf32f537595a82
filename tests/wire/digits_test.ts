import { strictEqual as equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { bytesOf, digitsOf } from "../../src/wire/digits.ts";
import { noise } from "../helpers.ts";

test("digitsOf() and bytesOf() give what the built-in ones give", () => {
  const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  for (const bytes of [new Uint8Array(), every, noise(1), noise(100_001)]) {
    const digits = bytes.toHex();
    equal(digitsOf(bytes), digits);
    equal(bytesOf(digits).toHex(), digits);
    equal(bytesOf(digits.toUpperCase()).toHex(), digits);
  }
  // A view that does not start at the beginning of its buffer.
  equal(digitsOf(every.subarray(253)), "fdfeff");
});

test("bytesOf() refuses what the built-in one refuses", () => {
  for (
    const text of ["0", "abc", "0g", "g0", "/0", ":0", "@a", "`a", "0x", " 0", "é0", "0😀", "٠٠"]
  ) {
    throws(() => Uint8Array.fromHex(text), SyntaxError);
    throws(() => bytesOf(text), SyntaxError, JSON.stringify(text));
  }
});
