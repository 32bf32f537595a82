import { Buffer } from "node:buffer";
import { match, ok, strictEqual as equal, throws } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { keccak256 } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { blockHashing, orderedRoot } from "../../src/l1/block_hashing.ts";
import { headerHash, unknownFields } from "../../src/l1/header_hash.ts";
import { rawTransaction, typeOf } from "../../src/l1/raw_transaction.ts";
import { toHex } from "../../src/wire/hex.ts";
import { hasShared, readShared } from "../shared.ts";
import { asNode } from "./node_json.ts";
import { ANVIL_KEY, bytes } from "./transactions.ts";

type Hex = `0x${string}`;
const hashing = await blockHashing();
const account = privateKeyToAccount(toHex(ANVIL_KEY) as Hex);

/** So many values: of 1 to 3 bytes, or all as long as told, each filled with its index and one. */
function values(count: number, size: number): Uint8Array[] {
  const sizeOf = (index: number) => size === 1 ? 1 + index % 3 : size;
  return Array.from(
    { length: count },
    (_, index) => new Uint8Array(sizeOf(index)).fill(1 + index % 251),
  );
}

// What @ethereumjs/mpt 10.1.3 says: the root over so many values, of so many bytes.
const ROOTS: readonly (readonly [count: number, size: number, root: string])[] = [
  [0, 1, "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"],
  [1, 1, "0xac92bc8d02906a87a573c32c72bb427036f0e43d7a7375c5c491ebba064add15"],
  [1, 31, "0x7d4dd7dce91552c3e2a086b26a7cfb38f9c8bc94c9f64cd45f8063a99da7ca98"],
  [1, 120, "0x208f79d757b05b260b0c6ab5183e9ef2f2a436e872e12089380de542da8e5416"],
  [2, 1, "0xb723d6de373f71d46d8ba91828a825672fff720efea492ee45097cbd40bdb2e0"],
  [2, 120, "0xb6ae9136f8bf2af29b3590201fa7aaf9506a8c7496438dd5bae3e3fb10d76929"],
  [3, 31, "0x29f46c0c2e4e3d629631d929b01f36d373ff44c318b023d09c39c83db9f80775"],
  [17, 1, "0x28bf9bbe9b3bfc1cacc71779c0d90d45b54c4460149f3329ae74dfe26555b9c9"],
  [17, 120, "0xdf341e2010a765721bdbf9f81e5a12db69cf05a4c67ce3a78f102f712a29464f"],
  [127, 120, "0x1d34374c90bc442686c3641e2a9827c8fdb38e6b982c3bcf42206e8182e110f7"],
  [128, 1, "0xc044e6522523e359862747331587a5c19ff0c055a53ab4d338625f1b82a5da85"],
  [128, 31, "0x7e838745bc2b0ae26c7636d028594de3866a3d27544adcdaf9cc44f5a690574e"],
  [129, 120, "0xc4f79399421c9b28054037abf2e21b6a06d9cbc5e25c0bada06fda2b999cbb38"],
  [255, 120, "0xe5a71c79c38c00ca9ca91286805955beb35c15852aa5505af2f7e952a66269af"],
  [256, 1, "0xf896be75082435a0fe8a05f49d78c47ce8606ee3c5f3ea3323378b6b49f575d3"],
  [257, 31, "0xf6a880643dbca0f433702cb1ba58ded7d7cc99bfe913e4e7a0e920acc8ab8296"],
  [1000, 1, "0xcea98d16ed84b5945479d67c8ce8cdbbbdb034fd01ec6d51525ad46fc5b96f0d"],
  [1000, 120, "0x36f7b26feeeabd6a6d23c6c4280559c75165e8fab93d14f99ccb8ba3ccff2550"],
];

test("orderedRoot() is the root that another library makes", () => {
  for (const [count, size, root] of ROOTS) {
    equal(toHex(orderedRoot(values(count, size), hashing)), root, `${count} of ${size} bytes`);
  }
});

test("orderedRoot() tells apart what differs in one value, its place, or the number of them", () => {
  const root = (of: readonly Uint8Array[]) => toHex(orderedRoot(of, hashing));
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 80 }), {
        minLength: 2,
        maxLength: 140,
        selector: (each) => toHex(new Uint8Array(each)),
      }),
      fc.nat(),
      (items, seed) => {
        const all = items.map((each) => new Uint8Array(each));
        const at = seed % all.length;
        const [whole, other] = [root(all), (at + 1) % all.length];
        const swapped = all.with(at, all[other]!).with(other, all[at]!);
        for (const changed of [all.toSpliced(at, 1), swapped, [...all, all[at]!]]) {
          equal(root(changed) === whole, false);
        }
      },
    ),
    { numRuns: 30 },
  );
});

/** A transaction of any type, signed by viem. */
const signedByViem: fc.Arbitrary<Promise<Hex>> = fc.record({
  type: fc.constantFrom("legacy", "unprotected", "eip2930", "eip1559", "eip4844", "eip7702"),
  chainId: fc.integer({ min: 1, max: 2 ** 31 }),
  nonce: fc.oneof(fc.nat(300), fc.nat()),
  to: fc.option(bytes(20).map((each) => toHex(each) as Hex), { nil: undefined }),
  data: fc.uint8Array({ maxLength: 300 }).map((each) => toHex(new Uint8Array(each)) as Hex),
  value: fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 128n)),
  gas: fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 63n)),
  price: fc.bigInt(0n, 2n ** 70n),
  keys: fc.array(fc.tuple(bytes(20), fc.array(bytes(32), { maxLength: 3 })), { maxLength: 3 }),
  hashes: fc.array(bytes(32), { minLength: 1, maxLength: 6 }),
}).map(async ({ type, chainId, price, keys, hashes, to, ...common }) => {
  const accessList = keys.map(([address, slots]) => ({
    address: toHex(address) as Hex,
    storageKeys: slots.map((slot) => toHex(slot) as Hex),
  }));
  const legacy = { ...common, to, type: "legacy", gasPrice: price } as const;
  if (type === "legacy") return await account.signTransaction({ ...legacy, chainId });
  if (type === "unprotected") return await account.signTransaction(legacy);
  const typed = { ...common, to, chainId, accessList };
  if (type === "eip2930") return await account.signTransaction({ ...typed, type, gasPrice: price });
  const priced = { ...typed, maxFeePerGas: price, maxPriorityFeePerGas: price / 3n };
  if (type === "eip1559") return await account.signTransaction({ ...priced, type });
  const called = { ...priced, to: to ?? account.address };
  if (type === "eip4844") {
    const blobVersionedHashes = hashes.map((each) => toHex(each.with(0, 1)) as Hex);
    const blobs = { maxFeePerBlobGas: price, blobVersionedHashes };
    return await account.signTransaction({ ...called, ...blobs, type });
  }
  const authorizationList = [
    await account.signAuthorization({
      chainId: common.nonce % 2 * chainId,
      contractAddress: account.address,
      nonce: common.nonce,
    }),
  ];
  return await account.signTransaction({ ...called, type: "eip7702", authorizationList });
});

test("rawTransaction() makes the bytes that viem signed, of all types", async () => {
  const seen = new Set<number>();
  await fc.assert(
    fc.asyncProperty(signedByViem, async (signing) => {
      const signed = await signing;
      const json = await asNode(signed);
      seen.add(typeOf(json));
      const raw = rawTransaction(json, hashing)!;
      equal(toHex(raw), signed);
      equal(toHex(hashing.keccak256(raw)), keccak256(signed));
    }),
    { numRuns: 150 },
  );
  equal([...seen].sort().join(), "0,1,2,3,4");
});

const REAL = ["base-mainnet-19995441", "linea-mainnet-singles", "scroll-mainnet-19604670"]
  .concat("eth-mainnet-l1-singles", "unichain-mainnet-36637400")
  .map((name) => `blocks/${name}.jsonl.gz`);

for (const path of REAL) {
  const title = `rawTransaction() makes what real chains hold: ${path}`;
  test(title, { skip: !hasShared(path, title) }, async () => {
    const lines = Buffer.from(readShared(path)).toString().split("\n").filter((line) =>
      line !== ""
    );
    const all = lines.flatMap((line) => JSON.parse(line).transactions as Hex[]);
    // Spread over all of them: viem takes a millisecond to recover who signed.
    const some = all.filter((_, at) => at % Math.ceil(all.length / 80) === 0);
    ok(some.length > 10);
    for (const signed of some) {
      equal(toHex(rawTransaction(await asNode(signed), hashing)!), signed);
    }
  });
}

test("rawTransaction() names the field that is not what it must be", async () => {
  const signed = await fc.sample(signedByViem, { numRuns: 1, seed: 3 })[0]!;
  const json = await asNode(signed);
  const fails = (change: object) => {
    let text = "nothing was thrown";
    throws(() => rawTransaction({ ...json, ...change }, hashing), (error: Error) => {
      text = error.message;
      return error.name === "CodecError";
    });
    return text;
  };
  match(fails({ nonce: "0x" }), /^nonce: need a number as 0x and digits, have "0x"$/);
  match(fails({ gas: 5 }), /^gas: need a number/);
  match(fails({ r: `0x${"1".repeat(65)}` }), /^r: need a number/);
  match(fails({ to: "0x1234" }), /to: need 20 bytes/);
  match(fails({ input: "0xabc" }), /input: need an even number/);
  match(fails({ type: "two" }), /^type: need a number/);
  equal(rawTransaction({ ...json, type: "0x6a" }, hashing), undefined);
});

// Block 0 of Ethereum.
const NONE = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";
const GENESIS = {
  parentHash: `0x${"00".repeat(32)}`,
  sha3Uncles: "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
  miner: `0x${"00".repeat(20)}`,
  stateRoot: "0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544",
  transactionsRoot: NONE,
  receiptsRoot: NONE,
  logsBloom: `0x${"00".repeat(256)}`,
  difficulty: "0x400000000",
  number: "0x0",
  gasLimit: "0x1388",
  gasUsed: "0x0",
  timestamp: "0x0",
  extraData: "0x11bbe8db4e347b4e8c937c1c8370e4b5ed33adb3db69cbdb7a38e1e50b1b82fa",
  mixHash: `0x${"00".repeat(32)}`,
  nonce: "0x0000000000000042",
  hash: "0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3",
};

test("headerHash() of block 0 of Ethereum is what all the world knows", () => {
  equal(toHex(headerHash(GENESIS, hashing)), GENESIS.hash);
  const other = { ...GENESIS, withdrawalsRoot: NONE };
  equal(toHex(headerHash(other, hashing)) === GENESIS.hash, false);
  equal(toHex(headerHash({ ...GENESIS, withdrawalsRoot: null }, hashing)), GENESIS.hash);
  throws(() => headerHash({ ...GENESIS, miner: undefined }, hashing), /miner: need 0x/);
  equal(unknownFields(GENESIS).join(), "");
  equal(unknownFields({ ...GENESIS, l1BlockNumber: "0x1" }).join(), "l1BlockNumber");
});

test("a deposit of the OP stack is made anew as it stands in its block", () => {
  // L1 attributes of OP Goerli, which others test with too.
  const word = (digits: string) => digits.padStart(64, "0");
  const input = "0x015d8eb9" + [
    "805765",
    "63d96d10",
    "9f352",
    "73d89754a1e0387b89520d989d3be9c37c1f32495a88faf1ea05c61121ab0d19",
    "1",
    "2d679b567db6187c0c8323fa982cfb88b74dbcc7",
    "834",
    "f4240",
  ].map(word).join("");
  const deposit = {
    type: "0x7e",
    sourceHash: "0x44bae9d41b8380d781187b426c6fe43df5fb2fb57bd4466ef6a701e1f01e0156",
    from: "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0001",
    to: "0x4200000000000000000000000000000000000015",
    mint: null,
    value: "0x0",
    gas: "0x8f0d180",
    isSystemTx: true,
    input,
  };
  const payload = "f9015aa044bae9d41b8380d781187b426c6fe43df5fb2fb57bd4466ef6a701e1f01e0156" +
    "94deaddeaddeaddeaddeaddeaddeaddeaddead0001" +
    "944200000000000000000000000000000000000015" +
    "80808408f0d18001" + "b90104" + input.slice(2);
  equal(toHex(rawTransaction(deposit, hashing)!), `0x7e${payload}`);
  const minted = rawTransaction({ ...deposit, mint: "0x100", isSystemTx: false }, hashing)!;
  match(toHex(minted), /15820100808408f0d18080b90104/);
  throws(() => rawTransaction({ ...deposit, isSystemTx: 1 }, hashing), /isSystemTx: need true/);
});
