/**
 * Signed transactions as they are sent, for tests that need no blobs of their own: the blob of zeros is
 * its own proof, as its polynomial, the commitment to it and each proof are all zero.
 *
 * @module
 */
import { toHex } from "../../src/wire/hex.ts";
import type { BlobSidecar, SidecarForm, SignedTransaction } from "../../src/ethereum.ts";
import { CELLS_PER_BLOB, networkForm, versionedHash } from "../../src/l1/sidecar.ts";
import { signWith } from "../../src/l1/transaction.ts";
import { type Anvil, ANVIL_ACCOUNTS, type AnvilAccount } from "./anvil.ts";

export const GWEI = 10n ** 9n;
/** Where the transactions go. */
export const INBOX: Uint8Array = new Uint8Array(20).fill(0xb0);

/** The point at infinity, as BLS12-381 writes it. */
const INFINITY = Uint8Array.of(0xc0, ...new Uint8Array(47));
/** A point that is no proof of zeros. */
const GENERATOR = Uint8Array.fromHex(
  "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb",
);
/** The name of the blob of zeros. */
export const ZERO_BLOB_HASH: Uint8Array = versionedHash(INFINITY);

/** What may be told of a transaction; all else has a default that anvil takes. */
export interface Sending {
  readonly from?: AnvilAccount;
  readonly nonce?: bigint;
  readonly chainId?: bigint;
  readonly gas?: bigint;
  readonly input?: Uint8Array;
  readonly fee?: bigint;
  readonly tip?: bigint;
  readonly blobFee?: bigint;
  /** How many blobs of zeros; none makes it one of type 2. */
  readonly blobs?: number;
  readonly form?: SidecarForm;
}

/** A transaction, signed, and as it is sent. */
export interface Sent {
  readonly signed: SignedTransaction;
  readonly raw: Uint8Array;
}

/** Signs a transaction, and puts its sidecar beside it. */
export async function sending(options: Sending = {}): Promise<Sent> {
  const { blobs = 0, form = "cells", from = ANVIL_ACCOUNTS[0]! } = options;
  const signed = await signWith(from.key, {
    chainId: options.chainId ?? 31337n,
    nonce: options.nonce ?? 0n,
    to: INBOX,
    input: options.input ?? new Uint8Array(),
    gas: options.gas ?? 100_000n,
    fees: {
      maxFeePerGas: options.fee ?? 10n * GWEI,
      maxPriorityFeePerGas: options.tip ?? GWEI,
      maxFeePerBlobGas: blobs === 0 ? 0n : options.blobFee ?? GWEI,
    },
    blobHashes: Array.from({ length: blobs }, () => ZERO_BLOB_HASH),
  });
  if (blobs === 0) return { signed, raw: signed.raw };
  return { signed, raw: await networkForm(signed, zeroSidecar(blobs, form), form) };
}

/** Of so many blobs of zeros. */
export function zeroSidecar(blobs: number, form: SidecarForm): BlobSidecar {
  const proofs = form === "cells" ? blobs * CELLS_PER_BLOB : blobs;
  return {
    blobs: Array.from({ length: blobs }, () => new Uint8Array(131_072)),
    commitments: Array.from({ length: blobs }, () => INFINITY),
    proofs: Array.from({ length: proofs }, () => INFINITY),
  };
}

/** A blob transaction with a proof that is none. */
export async function wrongProof(form: SidecarForm, options: Sending = {}): Promise<Sent> {
  const { signed } = await sending({ ...options, blobs: 1 });
  const { proofs, ...sidecar } = zeroSidecar(1, form);
  const wrong = proofs.map((proof, index) => index === 0 ? GENERATOR : proof);
  return { signed, raw: await networkForm(signed, { ...sidecar, proofs: wrong }, form) };
}

/**
 * Lets anvil load the trusted setup, which it does for the first blobs that it sees, and takes seconds on
 * a busy machine. It refuses what it is sent: nothing is changed by it.
 */
export async function loadTrustedSetup(anvil: Anvil): Promise<void> {
  const { raw } = await wrongProof("legacy");
  const refused = await anvil.rpc("eth_sendRawTransaction", [toHex(raw)]).catch((error) => error);
  if (!/KZG/i.test(`${refused}`)) throw new Error(`anvil should refuse the proof: ${refused}`);
}
