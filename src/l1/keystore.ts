/**
 * Keystores: a private key under a password, in the form that geth and most others write (Web3 Secret
 * Storage, version 3).
 *
 * | field                  |                                                                     |
 * | ---------------------- | ------------------------------------------------------------------- |
 * | `version`              | 3                                                                   |
 * | `address`              | may be missing; nothing vouches for it, so it is held against the key |
 * | `crypto.kdf`           | `scrypt` or `pbkdf2`, with `kdfparams`: the password becomes 32 bytes |
 * | `crypto.cipher`        | `aes-128-ctr` with the first 16 of them, and `cipherparams.iv`      |
 * | `crypto.ciphertext`    | the key: 32 bytes                                                   |
 * | `crypto.mac`           | keccak256 of the last 16 and the ciphertext: tells a wrong password |
 *
 * @see {@link https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage/}
 * @module
 */
import { SignerError } from "../errors.ts";
import { toHex } from "../wire/hex.ts";
import { keystores } from "./deps.ts";
import { addressOf } from "./transaction.ts";

/** How hard guessing is made; what is not given is as geth does it: scrypt, half a second or two. */
export interface KeystoreOptions {
  readonly kdf?: "scrypt" | "pbkdf2";
  /** For scrypt: a power of two, 262144 otherwise. */
  readonly n?: number;
  /** Rounds of pbkdf2, 262144 otherwise. */
  readonly c?: number;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Opens a keystore.
 *
 * @param text its JSON
 * @param name of the file, for the error
 * @returns 32 bytes, for the caller to overwrite
 * @throws {SignerError} `Invalid` where it is no such keystore, `Password`
 */
export async function openKeystore(
  text: Uint8Array,
  password: string,
  name: string,
): Promise<Uint8Array> {
  const refuse = (reason: string) =>
    new SignerError("Invalid", `Cannot use the keystore ${name}: ${reason}`);
  const { address, crypto } = parse(text, refuse);
  const { privFromLegacyKeystore } = await keystores();
  let privateKey: Uint8Array;
  try {
    privateKey = await privFromLegacyKeystore({ version: 3, id: "", crypto }, password);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    if (!/passphrase/.test(reason)) throw refuse(reason);
    throw new SignerError(
      "Password",
      `Cannot open the keystore ${name}: the password is not the one that it was made with`,
    );
  }
  const holds = toHex(await addressOf(privateKey));
  if (address !== undefined && address !== holds) {
    privateKey.fill(0);
    throw refuse(`it says that it is of ${address}, and holds the key of ${holds}`);
  }
  return privateKey;
}

/**
 * Makes a keystore.
 *
 * @param privateKey 32 bytes
 * @returns its JSON
 */
export async function makeKeystore(
  privateKey: Uint8Array,
  password: string,
  options: KeystoreOptions = {},
): Promise<string> {
  const { privToLegacyKeystore } = await keystores();
  return JSON.stringify(await privToLegacyKeystore(privateKey, password, options));
}

/** What it says, with the form checked: what is wrong afterwards is the password. */
function parse(
  text: Uint8Array,
  refuse: (reason: string) => SignerError,
): { readonly address: string | undefined; readonly crypto: Fields } {
  let json: Fields;
  try {
    json = objectOf(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(text)));
  } catch {
    // What a parser says of it may hold a part of it, and it may be a key.
    throw refuse("it is no JSON object");
  }
  if (json.version !== 3) throw refuse(`its version is ${JSON.stringify(json.version)}, need 3`);
  // Old ones of geth have a capital letter.
  const crypto = objectOf(json.crypto ?? json.Crypto);
  const { cipher, kdf } = crypto;
  if (cipher !== "aes-128-ctr") throw refuse(`its cipher is ${word(cipher)}, need aes-128-ctr`);
  if (kdf !== "scrypt" && kdf !== "pbkdf2") {
    throw refuse(`its kdf is ${word(kdf)}, need scrypt or pbkdf2`);
  }
  const cipherparams = objectOf(crypto.cipherparams);
  const kdfparams = objectOf(crypto.kdfparams);
  if (kdf === "pbkdf2" && kdfparams.prf !== "hmac-sha256") {
    throw refuse(`its prf is ${word(kdfparams.prf)}, need hmac-sha256`);
  }
  const needs = [
    ["cipherparams.iv", cipherparams.iv, 16],
    ["ciphertext", crypto.ciphertext, 32],
    ["mac", crypto.mac, 32],
    ["kdfparams.salt", kdfparams.salt, undefined],
  ] as const;
  for (const [field, value, size] of needs) {
    const isHex = typeof value === "string" && /^([0-9a-f]{2})+$/i.test(value);
    if (isHex && (size === undefined || value.length === 2 * size)) continue;
    const found = isHex ? `, has ${value.length / 2}` : "";
    const needed = size === undefined ? "need hexadecimal digits" : `need ${size} bytes in them`;
    throw refuse(`${field} cannot be read: ${needed}${found}`);
  }
  return { address: addressIn(json, refuse), crypto };
}

function addressIn(json: Fields, refuse: (reason: string) => SignerError): string | undefined {
  const { address } = json;
  if (address === undefined || address === "") return undefined;
  const digits = typeof address === "string" && /^(?:0x)?([0-9a-f]{40})$/i.exec(address)?.[1];
  if (!digits) throw refuse("address cannot be read: need 20 bytes in hexadecimal digits");
  return `0x${digits.toLowerCase()}`;
}

/** One without fields where it is none, so that the field that is missing is told. */
function objectOf(value: unknown): Fields {
  return typeof value === "object" && value !== null ? value as Fields : {};
}

/** Short enough for a line. */
function word(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 30)) : typeof value;
}
