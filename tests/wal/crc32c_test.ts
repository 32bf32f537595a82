import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { crc32c } from "../../src/wal/crc32c.ts";
import { noise } from "../helpers.ts";

test("crc32c() gives the sums of RFC 3720, B.4", () => {
  equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => index)), 0x46dd794e);
  equal(crc32c(Uint8Array.from({ length: 32 }, (_, index) => 31 - index)), 0x113fdb5c);
  equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  equal(crc32c(new Uint8Array()), 0);
});

test("crc32c() goes on from the sum of what came before, wherever it is cut", () => {
  const data = noise(61);
  const whole = crc32c(data);
  for (let cut = 0; cut <= data.length; cut++) {
    equal(crc32c(data, crc32c(data, 0, 0, cut), cut), whole);
  }
});
