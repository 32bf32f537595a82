import { rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { blockHashing } from "../../src/l1/block_hashing.ts";
import { rawTransaction } from "../../src/l1/raw_transaction.ts";
import { transactionToJson } from "../../src/l2/transaction_json.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { asNode } from "../l1/node_json.ts";
import { oneOfEachType, signedBlob } from "./anvil_l2.ts";

const hashing = await blockHashing();

test("transactionToJson() tells of each type what its bytes are made of again, as a node does", async () => {
  const signed = [...await oneOfEachType(901, 0), await signedBlob(901, 9)];
  const types = new Set<unknown>();
  for (const { raw } of signed) {
    const bytes = fromHex(raw, "raw");
    const json = await transactionToJson(bytes, hashing);
    types.add(json.type);
    equal(toHex(rawTransaction(json, hashing)!), toHex(bytes));
    const node = await asNode(toHex(bytes) as `0x${string}`);
    for (
      const name of ["hash", "from", "to", "nonce", "gas", "value", "input", "type", "v", "r", "s"]
    ) {
      equal(
        String(json[name]).toLowerCase(),
        String(node[name]).toLowerCase(),
        `${json.type} ${name}`,
      );
    }
  }
  equal(types.size, 5);
});

test("transactionToJson() tells a deposit of the OP stack", async () => {
  const deposit = {
    type: "0x7e",
    sourceHash: `0x${"44".repeat(32)}`,
    from: "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001",
    to: "0x4200000000000000000000000000000000000015",
    mint: "0x100",
    value: "0x0",
    gas: "0x8f0d180",
    isSystemTx: true,
    input: "0x015d8eb9",
  };
  const raw = rawTransaction(deposit, hashing)!;
  const json = await transactionToJson(raw, hashing);
  for (const [name, value] of Object.entries(deposit)) equal(json[name], value);
});

test("transactionToJson() refuses what is no transaction that is known here", async () => {
  for (const raw of [[0x50, 0xc0], [2, 0xc0], [2, 0xff], [0xc0], [2, 0xc1, 0x80], []]) {
    await rejects(transactionToJson(Uint8Array.from(raw), hashing), { code: "InvalidTransaction" });
  }
});
