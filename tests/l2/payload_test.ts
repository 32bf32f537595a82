import {
  deepStrictEqual as deepEqual,
  rejects,
  strictEqual as equal,
  throws,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { EngineVersion, ExecutionPayload, PayloadEnvelope } from "../../src/engine.ts";
import { blobHashesOf } from "../../src/l2/blob_hashes.ts";
import {
  newPayloadParams,
  parseNewPayload,
  parsePayload,
  payloadHash,
  payloadToJson,
  versionOf,
} from "../../src/l2/payload.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { type Anvil, skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { bytes } from "../l1/transactions.ts";
import { payloadAfter } from "./payloads.ts";

const EMPTY_ROOT = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421";
const ZERO_BLOOM = `0x${"00".repeat(256)}`;

/** The one of the specification of Paris, that every client is tested with. */
const PARIS = {
  parentHash: "0x3b8fb240d288781d4aac94d3fd16809ee413bc99294a085798a589dae51ddd4a",
  feeRecipient: "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b",
  stateRoot: "0xca3149fa9e37db08d1cd49c9061db1002ef1cd58db2210f2115c8c989b2bdf45",
  receiptsRoot: EMPTY_ROOT,
  logsBloom: ZERO_BLOOM,
  prevRandao: `0x${"00".repeat(32)}`,
  blockNumber: "0x1",
  gasLimit: "0x1c9c380",
  gasUsed: "0x0",
  timestamp: "0x5",
  extraData: "0x",
  baseFeePerGas: "0x7",
  blockHash: "0x3559e851470f6e7bbed1db474980683e8c315bfce99b2a6ef47c057c04de7858",
  transactions: [],
};

test("payloadHash() is the hash of the payload in the specification", async () => {
  const payload = parsePayload(PARIS);
  equal(versionOf({ payload }), 1);
  equal(toHex(await payloadHash({ payload })), PARIS.blockHash);
});

test("payloadHash() covers withdrawals: the devnet block that other clients test with", async () => {
  const payload: ExecutionPayload = {
    ...parsePayload(PARIS),
    parentHash: fromHex(
      "0xfe950635b1bd2a416ff6283b0bbd30176e1b1125ad06fa729da9f3f4c1c61710",
      "parentHash",
    ),
    feeRecipient: Uint8Array.of(0xaa, ...new Uint8Array(19)),
    stateRoot: fromHex(
      "0x23eadd91fca55c0e14034e4d63b2b3ed43f2e807b6bf4d276b784ac245e7fa3f",
      "stateRoot",
    ),
    prevRandao: Uint8Array.of(0xff, ...new Uint8Array(31)),
    timestamp: 0x2fn,
    // Its amounts are wider than what a payload may carry today.
    withdrawals: Array.from({ length: 8 }, (_, index) => ({
      index: BigInt(index),
      validatorIndex: BigInt(0xffff + index),
      address: Uint8Array.of(index, ...new Uint8Array(19)),
      amount: BigInt(index) << 248n,
    })),
  };
  equal(
    toHex(await payloadHash({ payload })),
    "0xd30a8c821078a9153a5cbc5ac9a2c5baca7f7885496f1f461dbfcb8dbe1fa0c0",
  );
});

/** Newest block of anvil as a payload, with the transactions as they were signed. */
async function payloadOf(anvil: Anvil): Promise<PayloadEnvelope> {
  const block = await anvil.rpc("eth_getBlockByNumber", ["latest", false]);
  const transactions = await Promise.all(
    block.transactions.map((hash: string) => anvil.rpc("eth_getRawTransactionByHash", [hash])),
  );
  const { hash, number, miner, mixHash, requestsHash, parentBeaconBlockRoot, ...same } = block;
  delete same.withdrawalsRoot;
  const payload = parsePayload({
    ...same,
    blockHash: hash,
    blockNumber: number,
    feeRecipient: miner,
    prevRandao: mixHash,
    transactions,
  });
  return {
    payload,
    ...(parentBeaconBlockRoot
      ? { parentBeaconBlockRoot: fromHex(parentBeaconBlockRoot, "root") }
      : {}),
    ...(requestsHash ? { executionRequests: [] } : {}),
  };
}

const skip = skipWithoutAnvil("the hashes of payloads");

test("payloadHash() is the hash that anvil gives its blocks, fork by fork", { skip }, async () => {
  const forks: [string, EngineVersion][] = [["paris", 1], ["shanghai", 2], ["cancun", 3], [
    "prague",
    4,
  ], ["osaka", 4]];
  for (const [hardfork, version] of forks) {
    await using anvil = await startAnvil({ hardfork, noMining: true });
    for (const count of [0, 3]) {
      const [from, to] = anvil.accounts.map(({ address }) => toHex(address));
      for (let index = 0; index < count; index++) {
        await anvil.rpc("eth_sendTransaction", [{ from, to, value: "0x1", gas: "0x5208" }]);
      }
      await anvil.mine();
      const envelope = await payloadOf(anvil);
      equal(envelope.payload.transactions.length, count);
      equal(versionOf(envelope), version, hardfork);
      equal(toHex(await payloadHash(envelope)), toHex(envelope.payload.blockHash), hardfork);
    }
  }
});

const PLAIN = { noNullPrototype: true } as const;
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

/** Any payload of a version, with a hash of its own making. */
function anyEnvelope(version: EngineVersion): fc.Arbitrary<PayloadEnvelope> {
  const withdrawal = fc.record({
    index: u64,
    validatorIndex: u64,
    address: bytes(20),
    amount: u64,
  }, PLAIN);
  const payload = fc.record({
    ...{ parentHash: bytes(32), feeRecipient: bytes(20), stateRoot: bytes(32) },
    ...{ receiptsRoot: bytes(32), logsBloom: bytes(256), prevRandao: bytes(32) },
    ...{ blockNumber: u64, gasLimit: u64, gasUsed: u64, timestamp: u64 },
    extraData: fc.uint8Array({ maxLength: 32 }),
    baseFeePerGas: fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }),
    blockHash: bytes(32),
    transactions: fc.array(
      fc.uint8Array({ minLength: 1, maxLength: 60 }).map((each) => {
        each[0] = 2;
        return each;
      }),
    ),
    ...(version >= 2 ? { withdrawals: fc.array(withdrawal, { maxLength: 4 }) } : {}),
    ...(version >= 3 ? { blobGasUsed: u64, excessBlobGas: u64 } : {}),
  }, PLAIN) as fc.Arbitrary<ExecutionPayload>;
  const requests = fc.uniqueArray(fc.integer({ min: 0, max: 255 }), { maxLength: 3 })
    .map((types) => types.sort((a, b) => a - b).map((type) => Uint8Array.of(type, 7)));
  return fc.record<Record<string, unknown>>({
    payload,
    ...(version >= 3 ? { parentBeaconBlockRoot: bytes(32) } : {}),
    ...(version >= 4 ? { executionRequests: requests } : {}),
  }, PLAIN) as unknown as fc.Arbitrary<PayloadEnvelope>;
}

test("any payload comes back from the parameters of its call", async () => {
  for (const version of [1, 2, 3, 4] as const) {
    await fc.assert(fc.asyncProperty(anyEnvelope(version), async (envelope) => {
      const params = JSON.parse(JSON.stringify(await newPayloadParams(envelope)));
      deepEqual(
        parseNewPayload(version, params),
        version < 3 ? { envelope } : { envelope, blobHashes: [] },
      );
      equal(versionOf(envelope), version);
    }));
  }
});

test("any two payloads that differ in one field have different hashes", async () => {
  await fc.assert(
    fc.asyncProperty(anyEnvelope(4), anyEnvelope(4), async (one, other) => {
      const hash = toHex(await payloadHash(one));
      for (const name of Object.keys(one.payload) as (keyof ExecutionPayload)[]) {
        const changed = { ...one, payload: { ...one.payload, [name]: other.payload[name] } };
        const isSame = name === "blockHash" ||
          JSON.stringify(payloadToJson(changed.payload)) ===
            JSON.stringify(payloadToJson(one.payload));
        equal(toHex(await payloadHash(changed)) === hash, isSame, name);
      }
      const { executionRequests: _, ...cancun } = one;
      equal(toHex(await payloadHash(cancun)) === hash, false);
    }),
    { numRuns: 30 },
  );
});

test("payloadHash() takes the withdrawals root of an OP chain as it stands in the payload", async () => {
  const plain = await payloadAfter({
    blockHash: new Uint8Array(32),
    blockNumber: 1n,
    timestamp: 1n,
  });
  const withdrawalsRoot = new Uint8Array(32).fill(5);
  const isthmus = { ...plain, payload: { ...plain.payload, withdrawalsRoot } };
  equal(toHex(await payloadHash(isthmus)) === toHex(await payloadHash(plain)), false);
  const emptyRoot = fromHex(EMPTY_ROOT, "root");
  const same = { ...plain, payload: { ...plain.payload, withdrawalsRoot: emptyRoot } };
  equal(toHex(await payloadHash(same)), toHex(await payloadHash(plain)));
});

test("parsePayload() names the field that is not what it must be", () => {
  for (
    const [fields, message] of [
      [{ parentHash: "0x12" }, /executionPayload\.parentHash: need 32 bytes/],
      [{ blockHash: undefined }, /executionPayload\.blockHash/],
      [{ logsBloom: "0x" }, /executionPayload\.logsBloom: need 256 bytes/],
      [{ blockNumber: "1" }, /executionPayload\.blockNumber: need a number of 64 bits/],
      [{ blockNumber: "0x01" }, /executionPayload\.blockNumber: .*without zeros/],
      [{ blockNumber: 1 }, /executionPayload\.blockNumber/],
      [{ gasLimit: `0x1${"0".repeat(16)}` }, /executionPayload\.gasLimit: need a number of 64/],
      [{ baseFeePerGas: `0x1${"0".repeat(64)}` }, /executionPayload\.baseFeePerGas: .*256 bits/],
      [{ extraData: `0x${"11".repeat(33)}` }, /executionPayload\.extraData: need 32 bytes at most/],
      [{ transactions: {} }, /executionPayload\.transactions: need a list/],
      [{ transactions: ["0x2", "0x0"] }, /executionPayload\.transactions\[0\]/],
      [{ withdrawals: [{}] }, /executionPayload\.withdrawals\[0\]\.index/],
      [{ blobGasUsed: "0x0" }, /executionPayload\.excessBlobGas: .*other of blob gas/],
      [{ excessBlobGas: "0x0" }, /executionPayload\.blobGasUsed: .*other of blob gas/],
    ] as const
  ) {
    throws(() => parsePayload({ ...PARIS, ...fields }), { code: "InvalidHeader", message });
  }
  for (const json of [null, [], "0x", 3]) {
    throws(() => parsePayload(json), { message: /executionPayload: need an object/ });
  }
});

test("parseNewPayload() takes of each version just its structure", async () => {
  const of = async (version: EngineVersion) =>
    await newPayloadParams(
      await payloadAfter(
        { blockHash: new Uint8Array(32), blockNumber: 1n, timestamp: 1n },
        { version },
      ),
    );
  const [v1, v2, v3, v4] = [await of(1), await of(2), await of(3), await of(4)];
  equal(versionOf(parseNewPayload(2, v1).envelope), 1);
  for (
    const [method, params, message] of [
      [1, v2, /withdrawals: need nothing in engine_newPayloadV1/],
      [1, v3, /blobGasUsed: need nothing in engine_newPayloadV1/],
      [2, v3, /blobGasUsed: need nothing in engine_newPayloadV2/],
      [3, v1, /withdrawals: need what a payload of engine_newPayloadV3 has/],
      [3, v2, /blobGasUsed: need what a payload of engine_newPayloadV3 has/],
      [3, v3.slice(0, 1), /expectedBlobVersionedHashes: need a list/],
      [3, v3.slice(0, 2), /parentBeaconBlockRoot/],
      [3, [v3[0], ["0x12"], v3[2]], /expectedBlobVersionedHashes\[0\]: need 32 bytes/],
      [4, v3, /executionRequests: need a list/],
      [4, [...v3, ["0x01"]], /executionRequests\[0\]: need a type and at least one byte/],
      [4, [...v3, ["0x0105", "0x0105"]], /executionRequests\[1\]: need a type above 1/],
      [4, [], /executionPayload: need an object/],
    ] as const
  ) {
    throws(() => parseNewPayload(method, params), { code: "InvalidHeader", message });
  }
  equal(versionOf(parseNewPayload(4, v4).envelope), 4);
});

test("blobHashesOf() refuses what only begins as a blob transaction", async () => {
  await rejects(blobHashesOf([Uint8Array.of(3, 0xc0)]), { code: "InvalidTransaction" });
  await rejects(blobHashesOf([Uint8Array.of(3, 0xff)]), { code: "InvalidTransaction" });
  deepEqual(await blobHashesOf([Uint8Array.of(2, 0xff), new Uint8Array()]), []);
});
