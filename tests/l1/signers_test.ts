import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { inspect } from "node:util";
import { SignerError } from "../../src/errors.ts";
import type { SignedTransaction, UnsignedTransaction } from "../../src/ethereum.ts";
import { makeKeystore } from "../../src/l1/keystore.ts";
import { RemoteSigner } from "../../src/l1/remote_signer.ts";
import { LocalSigner, openSigner, type SignerSource } from "../../src/l1/signers.ts";
import { trySigner } from "../../src/l1/signer_trial.ts";
import { decodeSigned, signWith } from "../../src/l1/transaction.ts";
import { toHex } from "../../src/wire/hex.ts";
import { withDirectory } from "../helpers.ts";
import { startSigner } from "./signer_server.ts";
import { ANVIL_ADDRESS, ANVIL_KEY } from "./transactions.ts";

const digits = toHex(ANVIL_KEY).slice(2);
const transaction: UnsignedTransaction = {
  chainId: 1n,
  nonce: 3n,
  to: new Uint8Array(20).fill(0x42),
  input: Uint8Array.of(1),
  gas: 21_000n,
  fees: { maxFeePerGas: 30n, maxPriorityFeePerGas: 2n, maxFeePerBlobGas: 0n },
  blobHashes: [],
};

test("openSigner() signs the same, wherever the key is", async () => {
  await withDirectory(async (directory) => {
    const path = (name: string) => join(directory, name);
    const keystore = await makeKeystore(ANVIL_KEY, "secret", { n: 2 });
    await writeFile(path("key"), digits, { mode: 0o600 });
    await writeFile(path("keystore"), keystore, { mode: 0o644 });
    await writeFile(path("password"), "secret\n", { mode: 0o600 });
    await using server = await startSigner();
    process.env["MONTANA_KEY"] = digits;
    process.env["OTHER_KEY"] = digits;
    const sources: SignerSource[] = [
      { kind: "key-file", path: path("key") },
      { kind: "keystore", path: path("keystore"), passwordPath: path("password") },
      { kind: "environment" },
      { kind: "environment", name: "OTHER_KEY" },
      { kind: "key", privateKey: ANVIL_KEY.slice() },
      { kind: "remote", url: server.url },
    ];
    for (const source of sources) {
      const signer = await openSigner(source);
      deepEqual(signer.address, ANVIL_ADDRESS, source.kind);
      const { raw, hash } = await signer.sign(transaction);
      deepEqual({ raw, hash }, await signWith(ANVIL_KEY, transaction), source.kind);
      const { sender, tx } = await decodeSigned(raw);
      deepEqual(sender, ANVIL_ADDRESS);
      deepEqual(tx, transaction);
      equal(signer instanceof RemoteSigner, source.kind === "remote");
    }
    ok(!("MONTANA_KEY" in process.env) && !("OTHER_KEY" in process.env));
  });
});

test("LocalSigner.open() overwrites what it was given, and a signature leaves it usable", async () => {
  const privateKey = ANVIL_KEY.slice();
  const signer = await LocalSigner.open(privateKey);
  deepEqual(privateKey, new Uint8Array(32));
  const first = await signer.sign(transaction);
  deepEqual(await signer.sign(transaction), first);
  signer.close();
  await rejects(signer.sign(transaction), { code: "Unreadable", message: /0xf39.*: it is closed/ });
});

test("LocalSigner.open() refuses numbers that are no key, and repeats none", async () => {
  const order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
  for (const text of ["00".repeat(32), order, "ff".repeat(32), "ab".repeat(31)]) {
    const bytes = new Uint8Array(Buffer.from(text, "hex"));
    await rejects(LocalSigner.open(bytes), (error) => {
      ok(error instanceof SignerError && error.code === "Invalid", String(error));
      ok(!inspect(error, { depth: 9 }).toLowerCase().includes(text.slice(0, 16)), inspect(error));
      return true;
    });
    ok(bytes.every((byte) => byte === 0));
  }
});

test("LocalSigner shows its key in no way that a program has to look at it", async () => {
  const signer = await LocalSigner.open(ANVIL_KEY.slice());
  const runtime = globalThis as {
    Deno?: { inspect(value: unknown, options: object): string };
    Bun?: { inspect(value: unknown, options: object): string };
  };
  const options = { depth: 9, showHidden: true, getters: true };
  const clone = { ...signer };
  const shown = [
    String(signer),
    JSON.stringify(signer),
    inspect(signer, options),
    inspect({ signer }, options),
    inspect(clone, options),
    runtime.Deno?.inspect(signer, options) ?? "",
    runtime.Bun?.inspect(signer, options) ?? "",
    runtime.Bun?.inspect({ signer }, options) ?? "",
    Reflect.ownKeys(signer).map((name) => inspect(Reflect.get(signer, name))).join(),
  ].join("\n");
  ok(shown.includes(toHex(ANVIL_ADDRESS)));
  const list = [...ANVIL_KEY].slice(0, 4);
  for (const part of [digits.slice(0, 8), list.join(", "), list.join(",")]) {
    ok(!shown.toLowerCase().includes(part), shown);
  }
  deepEqual(JSON.parse(JSON.stringify(signer)), { address: toHex(ANVIL_ADDRESS) });
});

test("trySigner() asks for what no chain takes, and believes no signer", async () => {
  const signer = await LocalSigner.open(ANVIL_KEY.slice());
  const asked: UnsignedTransaction[] = [];
  const watched = {
    address: signer.address,
    sign: (each: UnsignedTransaction): Promise<SignedTransaction> => {
      asked.push(each);
      return signer.sign(each);
    },
  };
  const to = new Uint8Array(20).fill(0x42);
  await trySigner(watched, { chainId: 1n, hasBlobs: false });
  await trySigner(watched, { chainId: 5n, hasBlobs: true, to });
  deepEqual(asked.map((each) => [each.chainId, each.to, each.blobHashes.length]), [
    [1n, ANVIL_ADDRESS, 0],
    [5n, to, 1],
  ]);
  for (const { nonce, fees, input } of asked) {
    equal(nonce, 2n ** 53n - 1n);
    deepEqual([...Object.values(fees), input.length], [0n, 0n, 0n, 0]);
  }
  const pretender = { address: to, sign: watched.sign };
  await rejects(trySigner(pretender, { chainId: 1n, hasBlobs: true }), {
    code: "WrongAnswer",
    message: /for 0x4242.*: it is of 0xf39f/,
  });
});
