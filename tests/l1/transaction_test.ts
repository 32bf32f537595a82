import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { keccak256, serializeTransaction, type TransactionSerializable } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import type { UnsignedTransaction } from "../../src/ethereum.ts";
import { blockHashing } from "../../src/l1/block_hashing.ts";
import { rawTransaction } from "../../src/l1/raw_transaction.ts";
import {
  addressOf,
  decodeSigned,
  parseBlockTransaction,
  signWith,
} from "../../src/l1/transaction.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { hasShared, readShared } from "../shared.ts";
import { asNode } from "./node_json.ts";
import { ANVIL_ADDRESS, ANVIL_KEY, bytes, unsignedTransaction } from "./transactions.ts";

type JsonFields = Record<string, unknown>;
type Hex = `0x${string}`;
const hex = (data: Uint8Array) => toHex(data) as Hex;
const account = privateKeyToAccount(hex(ANVIL_KEY));

/** The same fields, as viem names them. */
function forViem(tx: UnsignedTransaction): TransactionSerializable {
  const { maxFeePerGas, maxPriorityFeePerGas, maxFeePerBlobGas } = tx.fees;
  const common = {
    chainId: Number(tx.chainId),
    nonce: Number(tx.nonce),
    to: hex(tx.to),
    data: hex(tx.input),
    gas: tx.gas,
    maxFeePerGas,
    maxPriorityFeePerGas,
  };
  if (tx.blobHashes.length === 0) return { ...common, type: "eip1559" };
  const blobVersionedHashes = tx.blobHashes.map(hex);
  return { ...common, type: "eip4844", maxFeePerBlobGas, blobVersionedHashes };
}

test("signWith() makes what viem makes of the same fields and key", async () => {
  await fc.assert(
    fc.asyncProperty(unsignedTransaction(6), bytes(32), async (tx, key) => {
      key[0] = 1;
      const { raw, hash } = await signWith(key, tx);
      const theirs = await privateKeyToAccount(hex(key)).signTransaction(forViem(tx));
      equal(hex(raw), theirs);
      equal(hex(hash), keccak256(theirs));
    }),
    { numRuns: 60 },
  );
});

test("decodeSigned() gives back the fields, the sender and the hash", async () => {
  await fc.assert(
    fc.asyncProperty(unsignedTransaction(6), async (tx) => {
      const { raw, hash } = await signWith(ANVIL_KEY, tx);
      deepEqual(await decodeSigned(raw), { tx, sender: ANVIL_ADDRESS, hash });
    }),
    { numRuns: 30 },
  );
  deepEqual(await addressOf(ANVIL_KEY), ANVIL_ADDRESS);
});

test("decodeSigned() refuses what this program never makes", async () => {
  const [tx] = fc.sample(unsignedTransaction(0), { numRuns: 1, seed: 1 });
  const fields = forViem(tx!);
  const sign = async (change: object) =>
    fromHex(await account.signTransaction({ ...fields, ...change } as never), "raw");
  const refused = { name: "CodecError", code: "InvalidTransaction" };
  await rejects(decodeSigned(await sign({ value: 5n })), { ...refused, message: /sends 5 wei/ });
  const accessList = [{ address: hex(ANVIL_ADDRESS), storageKeys: [] }];
  await rejects(decodeSigned(await sign({ accessList })), { ...refused, message: /access list/ });
  const legacy = { type: "legacy", gasPrice: 1n, maxFeePerGas: undefined };
  const priced = { ...legacy, maxPriorityFeePerGas: undefined };
  await rejects(decodeSigned(await sign(priced)), { ...refused, message: /its type is legacy/ });
  const { raw } = await signWith(ANVIL_KEY, tx!);
  await rejects(decodeSigned(raw.subarray(0, raw.length - 1)), refused);
  const unsigned = fromHex(serializeTransaction(fields), "unsigned");
  await rejects(decodeSigned(unsigned), refused);
});

test("a transaction that no block takes is not made", async () => {
  const [tx] = fc.sample(unsignedTransaction(0), { numRuns: 1, seed: 1 });
  const refused = { name: "CodecError", code: "InvalidTransaction" };
  const fees = { maxFeePerGas: 1n, maxPriorityFeePerGas: 2n, maxFeePerBlobGas: 0n };
  const sign = (change: object) => signWith(ANVIL_KEY, { ...tx!, ...change });
  await rejects(sign({ fees }), { ...refused, message: /maxPriorityFeePerGas/ });
  await rejects(sign({ to: new Uint8Array(19) }), refused);
  const blobHashes = [new Uint8Array(32)];
  await rejects(sign({ blobHashes }), { ...refused, message: /versioned hash/ });
});

test("what is no private key is refused, and not told", async () => {
  const [tx] = fc.sample(unsignedTransaction(0), { numRuns: 1, seed: 1 });
  for (const key of [new Uint8Array(32), new Uint8Array(32).fill(255), ANVIL_KEY.subarray(1)]) {
    const refused = (error: Error & { code?: string }) => {
      equal(error.code, "Invalid");
      equal(error.cause, undefined);
      ok(!error.message.includes(toHex(key).slice(2, 10)));
      return true;
    };
    await rejects(signWith(key, tx!), refused);
    await rejects(addressOf(key), refused);
  }
});

const KINDS: Readonly<Record<string, object>> = {
  "legacy, before EIP-155": { type: "legacy", gasPrice: 7n },
  "legacy": { type: "legacy", gasPrice: 7n, chainId: 31337 },
  "with an access list": {
    type: "eip2930",
    gasPrice: 7n,
    chainId: 31337,
    accessList: [{ address: hex(ANVIL_ADDRESS), storageKeys: [`0x${"ab".repeat(32)}`] }],
  },
  "EIP-1559": { type: "eip1559", maxFeePerGas: 9n, maxPriorityFeePerGas: 3n, chainId: 31337 },
  "with blobs": {
    type: "eip4844",
    maxFeePerGas: 9n,
    maxPriorityFeePerGas: 3n,
    maxFeePerBlobGas: 5n,
    chainId: 31337,
    blobVersionedHashes: [`0x01${"cd".repeat(31)}`],
  },
  "with authorizations": {
    type: "eip7702",
    maxFeePerGas: 9n,
    maxPriorityFeePerGas: 3n,
    chainId: 31337,
    authorizationList: [
      await account.signAuthorization({ address: hex(ANVIL_ADDRESS), chainId: 0, nonce: 4 }),
    ],
  },
};

for (const [name, kind] of Object.entries(KINDS)) {
  test(`the sender of a transaction ${name} is taken from its signature`, async () => {
    const common = { to: hex(ANVIL_ADDRESS), data: "0x1234", nonce: 300, gas: 50_000n, value: 1n };
    const json = await asNode(await account.signTransaction({ ...common, ...kind } as never));
    const read = parseBlockTransaction(json);
    deepEqual(await read.sender(), ANVIL_ADDRESS);
    equal(toHex(read.hash), json.hash);
    deepEqual(read.to, ANVIL_ADDRESS);
    deepEqual(read.input, Uint8Array.of(0x12, 0x34));
    const hashes = (kind as { blobVersionedHashes?: string[] }).blobVersionedHashes ?? [];
    deepEqual(read.blobHashes.map(toHex), hashes);

    // What the node says of the sender does not count, and nothing else may be changed.
    const stranger = `0x${"11".repeat(20)}`;
    deepEqual(await parseBlockTransaction({ ...json, from: stranger }).sender(), ANVIL_ADDRESS);
    const hash = `0x${"22".repeat(32)}`;
    const input = "0x1235";
    const changes = { hash, input, to: stranger, nonce: "0x12d", value: "0x2", s: "0x1", r: "0x0" };
    for (const [field, value] of Object.entries(changes)) {
      const changed = parseBlockTransaction({ ...json, [field]: value });
      await rejects(changed.sender(), {
        code: "InvalidHeader",
        message: /^hash: the node says 0x/,
      });
    }
    const { gas: _, ...without } = json;
    await rejects(parseBlockTransaction(without).sender(), { message: /^gas: need a number/ });
    for (const type of ["0x5", "0x7e"]) {
      equal(await parseBlockTransaction({ ...json, type }).sender(), undefined);
    }
    const nonsense = parseBlockTransaction({ ...json, type: "nonsense" });
    await rejects(nonsense.sender(), { code: "InvalidHeader", message: /^type: need/ });
  });
}

test("a node cannot put blobs beside a transaction that was signed without", async () => {
  const kind = { to: hex(ANVIL_ADDRESS), gas: 1n, ...KINDS["EIP-1559"] };
  const json = await asNode(await account.signTransaction(kind as never));
  const read = parseBlockTransaction({ ...json, blobVersionedHashes: [`0x01${"cd".repeat(31)}`] });
  deepEqual(await read.sender(), ANVIL_ADDRESS);
  deepEqual(read.blobHashes, []);
});

test("whatever a node says, the sender is the one who signed, nobody, or an error", async () => {
  const nodes = await Promise.all(
    Object.values(KINDS).map(async (kind) =>
      await asNode(
        await account.signTransaction({ to: hex(ANVIL_ADDRESS), gas: 1n, ...kind } as never),
      )
    ),
  );
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.bigInt(0n, 2n ** 256n).map((each) => `0x${each.toString(16)}`),
    fc.uint8Array({ maxLength: 40 }).map(toHex),
    fc.constant(undefined),
  );
  let [refused, strange, recovered] = [0, 0, 0];
  const isInvalid = (error: unknown) =>
    equal((error as { code?: string }).code, "InvalidHeader", String(error));
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...nodes), fc.nat(), value, async (json, pick, said) => {
      const names = Object.keys(json);
      const changed = { ...json, [names[pick % names.length]!]: said };
      let read;
      try {
        read = parseBlockTransaction(changed);
      } catch (error) {
        isInvalid(error);
        return void refused++;
      }
      const sender = await read.sender().catch(isInvalid);
      if (sender === undefined) return void strange++;
      deepEqual(sender, ANVIL_ADDRESS);
      recovered++;
      // Only what is not signed may have been changed.
      for (const field of ["nonce", "value", "gas", "r", "s"]) {
        const same = (changed as JsonFields)[field] === json[field] ||
          BigInt(String((changed as JsonFields)[field])) === BigInt(String(json[field]));
        ok(same, `${field} was changed`);
      }
    }),
    { numRuns: 400 },
  );
  ok(refused > 0 && strange > 0 && recovered > 0, `${refused}, ${strange}, ${recovered}`);
});

test("a signature that no key makes is nobody's, though it hashes to what the node says", async () => {
  const kind = { to: hex(ANVIL_ADDRESS), gas: 1n, ...KINDS["EIP-1559"] };
  const json = await asNode(await account.signTransaction(kind as never));
  const forged = { ...json, r: "0x0" };
  const hashing = await blockHashing();
  const hash = toHex(hashing.keccak256(rawTransaction(forged, hashing)!));
  equal(await parseBlockTransaction({ ...forged, hash }).sender(), undefined);
});

test("a transaction that makes a contract goes to nobody", async () => {
  const kind = { ...KINDS["EIP-1559"], data: "0x60", nonce: 1, gas: 1n };
  const json = await asNode(await account.signTransaction(kind as never));
  const read = parseBlockTransaction(json);
  equal(read.to, undefined);
  deepEqual(await read.sender(), ANVIL_ADDRESS);
});

test("parseBlockTransaction() names the field that is not what it must be", () => {
  const json = { hash: `0x${"22".repeat(32)}`, to: null, input: "0x" };
  const refused = (change: object, field: string) => {
    try {
      parseBlockTransaction({ ...json, ...change });
    } catch (error) {
      equal((error as { code: string }).code, "InvalidHeader");
      ok((error as Error).message.includes(field));
      return;
    }
    throw new Error(`${field} was taken`);
  };
  refused({ hash: "0x22" }, "hash");
  refused({ to: "0x22" }, "to");
  refused({ input: undefined }, "input");
  refused({ type: "0x3", blobVersionedHashes: "0x01" }, "blobVersionedHashes");
  refused({ type: "0x3", blobVersionedHashes: ["0x01"] }, "blobVersionedHashes");
});

for (const name of ["21", "26"]) {
  const title = `a blob transaction of a public network is read whole: ${name}`;
  const path = `vectors/real-blobs/${name}.json`;
  test(title, { skip: !hasShared(path, title) }, async () => {
    const vector = JSON.parse(new TextDecoder().decode(readShared(path)));
    const { tx, sender, hash } = await decodeSigned(fromHex(vector.canonicalRawTx, "raw"));
    equal(toHex(hash), vector.l1Tx);
    equal(toHex(sender), vector.from);
    equal(toHex(tx.to), vector.to);
    const blobs = vector.blobs as { versionedHash: string }[];
    deepEqual(tx.blobHashes.map(toHex), blobs.map((blob) => blob.versionedHash));
  });
}
