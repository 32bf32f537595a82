import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { l1AttributesOf } from "../../src/l2/l1_attributes.ts";
import { toHex } from "../../src/wire/hex.ts";
import { type Json, l1AttributesDeposit } from "./scripted_l2.ts";

// The first deposit of a block of OP Goerli, which others test with too.
const WORDS = [
  "805765",
  "63d96d10",
  "9f352",
  "73d89754a1e0387b89520d989d3be9c37c1f32495a88faf1ea05c61121ab0d19",
  "1",
  "2d679b567db6187c0c8323fa982cfb88b74dbcc7",
  "834",
  "f4240",
];
const BEDROCK: Json = {
  type: "0x7e",
  from: "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001",
  to: "0x4200000000000000000000000000000000000015",
  input: `0x015d8eb9${WORDS.map((word) => word.padStart(64, "0")).join("")}`,
};

test("l1AttributesOf() reads the form of Bedrock", () => {
  const { number, hash } = l1AttributesOf(BEDROCK)!;
  equal(number, 0x805765n);
  equal(toHex(hash), "0x73d89754a1e0387b89520d989d3be9c37c1f32495a88faf1ea05c61121ab0d19");
});

test("l1AttributesOf() reads the packed forms, however much stands behind", () => {
  const hash = new Uint8Array(32).fill(0xab);
  const ecotone = l1AttributesDeposit(0x1_2345_6789n, hash);
  deepEqual(l1AttributesOf(ecotone), { number: 0x1_2345_6789n, hash });
  for (const selector of ["098999be", "3db6be2b", "760ee04d"]) {
    const input = `0x${selector}${(ecotone["input"] as string).slice(10)}${"00".repeat(12)}`;
    deepEqual(l1AttributesOf({ ...ecotone, input }), { number: 0x1_2345_6789n, hash }, selector);
  }
});

test("l1AttributesOf() takes nothing else for L1 attributes", () => {
  const input = BEDROCK["input"] as string;
  const others: readonly (Json | undefined)[] = [
    undefined,
    { ...BEDROCK, type: "0x2" },
    { ...BEDROCK, to: null },
    { ...BEDROCK, to: "0x4200000000000000000000000000000000000016" },
    { ...BEDROCK, from: "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0002" },
    { ...BEDROCK, input: `0x11111111${input.slice(10)}` },
    { ...BEDROCK, input: input.slice(0, 200) },
    { ...BEDROCK, input: "0x" },
  ];
  for (const other of others) equal(l1AttributesOf(other), undefined);
  throws(() => l1AttributesOf({ ...BEDROCK, input: 7 }), { code: "InvalidHeader" });
});
