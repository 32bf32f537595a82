/**
 * Signers: who signs, picked by what is asked for.
 *
 * @module
 */
import { SignerError } from "../errors.ts";
import type { SignedTransaction, Signer, UnsignedTransaction } from "../ethereum.ts";
import { leaveMemoryOutOfCores } from "../runtime.ts";
import { toHex } from "../wire/hex.ts";
import {
  readKeyFile,
  readPasswordFile,
  readPublicFile,
  takeKeyFromEnvironment,
} from "./key_file.ts";
import { openKeystore } from "./keystore.ts";
import { RemoteSigner, type RemoteSignerOptions } from "./remote_signer.ts";
import { addressOf, signWith } from "./transaction.ts";

/** Where a private key is. */
export type KeySource =
  /** 64 hexadecimal digits in a file. */
  | { readonly kind: "key-file"; readonly path: string }
  /** A keystore of version 3, and a file with its password. */
  | { readonly kind: "keystore"; readonly path: string; readonly passwordPath: string }
  /** An environment variable, which is removed; `MONTANA_KEY` where none is named. */
  | { readonly kind: "environment"; readonly name?: string }
  /** 32 bytes, which are copied and then overwritten. */
  | { readonly kind: "key"; readonly privateKey: Uint8Array };

/** Who signs. */
export type SignerSource = KeySource | ({ readonly kind: "remote" } & RemoteSignerOptions);

/** A signer that is open. */
export interface OpenSigner extends Signer {
  /** Overwrites the key, where it is here. */
  close(): void;
}

/**
 * Opens a signer.
 *
 * @example
 * ```ts
 * import { openSigner } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const privateKey = crypto.getRandomValues(new Uint8Array(32));
 * const signer = await openSigner({ kind: "key", privateKey });
 * if (signer.address.length !== 20) throw new Error("an address has 20 bytes");
 * if (privateKey.some((byte) => byte !== 0)) throw new Error("the key is left where it was");
 * ```
 *
 * @throws {SignerError} every code but `WrongAnswer` and `Refused`; for a remote one these as well, where
 * it has to be asked for its address
 */
export async function openSigner(source: SignerSource): Promise<OpenSigner> {
  if (source.kind === "remote") return await RemoteSigner.open(source);
  return await LocalSigner.open(await readPrivateKey(source));
}

/**
 * Reads a private key. From then on a core file of this process leaves its memory out.
 *
 * @returns 32 bytes, for the caller to overwrite
 * @throws {SignerError} `Unreadable`, `TooOpen`, `Invalid`, `Password`
 */
export async function readPrivateKey(source: KeySource): Promise<Uint8Array> {
  await leaveMemoryOutOfCores();
  switch (source.kind) {
    case "key-file":
      return await readKeyFile(source.path);
    case "keystore": {
      const text = await readPublicFile("the keystore", source.path);
      return await openKeystore(text, await readPasswordFile(source.passwordPath), source.path);
    }
    case "environment":
      return takeKeyFromEnvironment(source.name);
    case "key":
      return source.privateKey;
  }
}

/**
 * Signs with a key in memory. What computes signatures makes copies of it, which nobody can overwrite but
 * the runtime: whoever can read the memory of this process can come upon the key.
 *
 * @example
 * ```ts
 * import { LocalSigner } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const signer = await LocalSigner.open(crypto.getRandomValues(new Uint8Array(32)));
 * if (!`${signer}`.startsWith("LocalSigner 0x")) throw new Error("it tells its address, and no more");
 * signer.close();
 * ```
 */
export class LocalSigner implements OpenSigner {
  readonly address: Uint8Array;
  readonly #privateKey: Uint8Array;
  #isClosed = false;

  private constructor(address: Uint8Array, privateKey: Uint8Array) {
    this.address = address;
    this.#privateKey = privateKey;
  }

  /**
   * Takes a key.
   *
   * @param privateKey 32 bytes, which are overwritten
   * @throws {SignerError} `Invalid` where there is no such key on the curve
   */
  static async open(privateKey: Uint8Array): Promise<LocalSigner> {
    try {
      return new LocalSigner(await addressOf(privateKey), privateKey.slice());
    } finally {
      privateKey.fill(0);
    }
  }

  async sign(transaction: UnsignedTransaction): Promise<SignedTransaction> {
    if (this.#isClosed) {
      throw new SignerError("Unreadable", `Cannot sign for ${toHex(this.address)}: it is closed`);
    }
    return await signWith(this.#privateKey, transaction);
  }

  /** Overwrites the key. */
  close(): void {
    this.#isClosed = true;
    this.#privateKey.fill(0);
  }

  toString(): string {
    return `LocalSigner ${toHex(this.address)}`;
  }

  toJSON(): object {
    return { address: toHex(this.address) };
  }
}
