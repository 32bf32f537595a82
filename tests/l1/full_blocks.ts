/**
 * Somebody else who fills the blocks of an anvil with blobs, so that these grow dearer for real: by 8 % a
 * full block under the rules of Cancun.
 *
 * @module
 */
import type { BlobSidecar } from "../../src/ethereum.ts";
import { networkForm, versionedHash } from "../../src/l1/sidecar.ts";
import { signWith } from "../../src/l1/transaction.ts";
import { toHex } from "../../src/wire/hex.ts";
import type { Anvil, AnvilAccount } from "./anvil.ts";

const GWEI = 10n ** 9n;
/** Of Cancun; all of them fit into one transaction. */
const BLOBS_OF_A_BLOCK = 6;
const FORM = "legacy";

/** An account that outbids all others. */
export class BlockFiller {
  readonly #anvil: Anvil;
  readonly #account: AnvilAccount;
  #nonce = 0n;

  /** @param account that has sent nothing yet */
  constructor(anvil: Anvil, account: AnvilAccount) {
    this.#anvil = anvil;
    this.#account = account;
  }

  /** Puts as many blobs into the pool as a block takes. */
  async fill(): Promise<void> {
    const sidecar = emptySidecar(BLOBS_OF_A_BLOCK);
    const signed = await signWith(this.#account.key, {
      chainId: BigInt(await this.#anvil.rpc("eth_chainId")),
      nonce: this.#nonce++,
      to: this.#account.address,
      input: new Uint8Array(),
      gas: 21_000n,
      fees: {
        maxFeePerGas: 5000n * GWEI,
        maxPriorityFeePerGas: 500n * GWEI,
        maxFeePerBlobGas: 5000n * GWEI,
      },
      blobHashes: sidecar.commitments.map(versionedHash),
    });
    const raw = await networkForm(signed, sidecar, FORM);
    await this.#anvil.rpc("eth_sendRawTransaction", [toHex(raw)]);
  }
}

/** Of blobs of zeros, whose commitments and proofs are the point at infinity: nobody has to make them. */
function emptySidecar(blobs: number): BlobSidecar {
  const each = <Value>(value: Value) => Array.from({ length: blobs }, () => value);
  const infinity = Uint8Array.of(0xc0, ...new Uint8Array(47));
  return {
    blobs: each(new Uint8Array(131_072)),
    commitments: each(infinity),
    proofs: each(infinity),
  };
}
