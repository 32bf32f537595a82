import {
  deepStrictEqual as deepEqual,
  doesNotMatch,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { createCipheriv, createDecipheriv, pbkdf2Sync, scryptSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { keccak256 } from "viem";
import { SignerError } from "../../src/errors.ts";
import { makeKeystore, openKeystore } from "../../src/l1/keystore.ts";
import { addressOf } from "../../src/l1/transaction.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { ANVIL_ADDRESS, ANVIL_KEY } from "./transactions.ts";

const vectors = JSON.parse(
  readFileSync(new URL("../vectors/keystore-v3.json", import.meta.url), "utf8"),
);
const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
const plain = (hex: string) => Buffer.from(hex, "hex");

/** One that opens fast. */
async function light(kdf: "scrypt" | "pbkdf2" = "scrypt") {
  return JSON.parse(await makeKeystore(ANVIL_KEY, "secret", { kdf, n: 2, c: 1 }));
}

function refusal(code: string, words: RegExp): (error: unknown) => boolean {
  return (error) => {
    ok(error instanceof SignerError, String(error));
    ok(error.code === code && words.test(error.message), `${error.code}: ${error.message}`);
    doesNotMatch(error.message, /secret|ac0974/);
    return true;
  };
}

for (const kdf of ["pbkdf2", "scrypt"]) {
  test(`openKeystore() opens the vector of the definition: ${kdf}`, async () => {
    const { password, privateKey, address } = vectors;
    const opened = await openKeystore(bytes(vectors[kdf]), password, "vector");
    equal(toHex(opened), `0x${privateKey}`);
    equal(toHex(await addressOf(opened)), address);
  });
}

test("openKeystore() opens what makeKeystore() made, and geth's old form with a capital letter", async () => {
  for (const kdf of ["scrypt", "pbkdf2"] as const) {
    const keystore = await light(kdf);
    deepEqual(await openKeystore(bytes(keystore), "secret", "k"), ANVIL_KEY);
    const { crypto: Crypto, ...rest } = keystore;
    deepEqual(await openKeystore(bytes({ ...rest, Crypto }), "secret", "k"), ANVIL_KEY);
    const { address: _, ...nameless } = keystore;
    deepEqual(await openKeystore(bytes(nameless), "secret", "k"), ANVIL_KEY);
  }
});

test("makeKeystore() writes what node:crypto and another keccak open by the definition", async () => {
  for (const kdf of ["scrypt", "pbkdf2"] as const) {
    const { version, id, address, crypto } = await light(kdf);
    equal(version, 3);
    ok(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id), id);
    equal(`0x${address}`, toHex(ANVIL_ADDRESS));
    const { n, r, p, c, salt } = crypto.kdfparams;
    const derived = kdf === "scrypt"
      ? scryptSync("secret", plain(salt), 32, { N: n, r, p })
      : pbkdf2Sync("secret", plain(salt), c, 32, "sha256");
    const ciphertext = plain(crypto.ciphertext);
    equal(keccak256(Buffer.concat([derived.subarray(16), ciphertext])), `0x${crypto.mac}`);
    const iv = plain(crypto.cipherparams.iv);
    const cipher = createDecipheriv("aes-128-ctr", derived.subarray(0, 16), iv);
    deepEqual(new Uint8Array(cipher.update(ciphertext)), ANVIL_KEY);
  }
});

test("makeKeystore() is as hard to guess as geth's, and never the same twice", async () => {
  const made = JSON.parse(await makeKeystore(ANVIL_KEY, "secret"));
  const { salt, ...cost } = made.crypto.kdfparams;
  equal(made.crypto.kdf, "scrypt");
  deepEqual(cost, { dklen: 32, n: 262_144, r: 8, p: 1 });
  const [first, second] = [await light(), await light()];
  for (const each of [salt, first.crypto.kdfparams.salt]) equal(each.length, 64);
  ok(first.crypto.kdfparams.salt !== second.crypto.kdfparams.salt);
  ok(first.crypto.cipherparams.iv !== second.crypto.cipherparams.iv && first.id !== second.id);
});

test("openKeystore() tells a wrong password from a keystore that is none", async () => {
  const keystore = await light();
  for (const password of ["Secret", "secret ", ""]) {
    const opened = openKeystore(bytes(keystore), password, "k.json");
    await rejects(opened, refusal("Password", /Cannot open the keystore k.json: the password/));
  }
  const { crypto } = keystore;
  const { kdfparams } = crypto;
  const changed = (change: object) => ({ ...keystore, crypto: { ...crypto, ...change } });
  const params = (change: object) => changed({ kdfparams: { ...kdfparams, ...change } });
  const cases: [unknown, RegExp][] = [
    [3, /its version is undefined/],
    [null, /its version is undefined/],
    [{ ...keystore, version: 1 }, /its version is 1, need 3/],
    [{ version: 3 }, /its cipher is undefined, need aes-128-ctr/],
    [changed({ cipher: "aes-128-cbc" }), /its cipher is "aes-128-cbc"/],
    [changed({ kdf: "argon2id" }), /its kdf is "argon2id", need scrypt or pbkdf2/],
    [changed({ ciphertext: crypto.ciphertext.slice(2) }), /ciphertext .*32 bytes in them, has 31/],
    [changed({ mac: "zz" }), /mac cannot be read/],
    [changed({ cipherparams: {} }), /cipherparams.iv cannot be read/],
    [params({ salt: 7 }), /kdfparams.salt cannot be read/],
    [params({ n: 3 }), /scrypt n, expected power of two/],
    [params({ n: 2 ** 30 }), /scrypt n, expected integer in range/],
    [params({ dklen: 16 }), /KDF dklen/],
    [
      { ...keystore, address: "11".repeat(20) },
      /it says that it is of 0x1111.*holds the key of 0xf39/,
    ],
    [{ ...keystore, address: 5 }, /address cannot be read/],
  ];
  for (const [value, words] of cases) {
    await rejects(openKeystore(bytes(value), "secret", "k.json"), refusal("Invalid", words));
  }
  const pbkdf2 = await light("pbkdf2");
  pbkdf2.crypto.kdfparams.prf = "hmac-sha512";
  await rejects(openKeystore(bytes(pbkdf2), "secret", "k"), refusal("Invalid", /its prf is/));
  const key = new TextEncoder().encode(toHex(ANVIL_KEY));
  await rejects(openKeystore(key, "secret", "k"), refusal("Invalid", /it is no JSON object/));
});

test("openKeystore() refuses a number that is no key though its sum is right", async () => {
  const keystore = await light();
  const { salt, n, r, p } = keystore.crypto.kdfparams;
  const derived = scryptSync("secret", plain(salt), 32, { N: n, r, p });
  const iv = plain(keystore.crypto.cipherparams.iv);
  const cipher = createCipheriv("aes-128-ctr", derived.subarray(0, 16), iv);
  const ciphertext = cipher.update(new Uint8Array(32));
  keystore.crypto.ciphertext = ciphertext.toString("hex");
  const mac = keccak256(Buffer.concat([derived.subarray(16), ciphertext]));
  keystore.crypto.mac = toHex(fromHex(mac, "mac")).slice(2);
  await rejects(
    openKeystore(bytes(keystore), "secret", "k"),
    refusal("Invalid", /invalid private/),
  );
});
