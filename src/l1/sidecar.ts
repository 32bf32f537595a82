/**
 * What travels beside a blob transaction, and the two forms in which it travels:
 *
 * | form     | since              | bytes                                                           |
 * | -------- | ------------------ | --------------------------------------------------------------- |
 * | `legacy` | Cancun (EIP-4844)  | `0x03 ‖ rlp([tx, blobs, commitments, proofs])`                  |
 * | `cells`  | Osaka (EIP-7594)   | `0x03 ‖ rlp([tx, 0x01, blobs, commitments, cell proofs])`       |
 *
 * `tx` is what stands in the block: the list of fields with the signature.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { CodecError } from "../errors.ts";
import type { BlobSidecar, Kzg, SidecarForm, SignedTransaction } from "../ethereum.ts";
import { toHex } from "../wire/hex.ts";
import { rlp } from "./deps.ts";

/** Proofs of one blob in the form with cells (EIP-7594). */
export const CELLS_PER_BLOB = 128;

const BLOB_TX_TYPE = 3;
/** Of the form with cells. */
const WRAPPER_VERSION = 1;
/** Of commitments: KZG. */
const HASH_VERSION = 1;
/** Where the fields of a blob transaction have the hashes. */
const BLOB_HASHES_FIELD = 10;

/** The name of a blob in a transaction: `0x01 ‖ sha256(commitment)[1:]`. */
export function versionedHash(commitment: Uint8Array): Uint8Array {
  const hash = new Uint8Array(createHash("sha256").update(commitment).digest());
  hash[0] = HASH_VERSION;
  return hash;
}

/** The commitments of blobs, one after the other. */
export async function commitTo(kzg: Kzg, blobs: readonly Uint8Array[]): Promise<Uint8Array[]> {
  return await Promise.all(blobs.map((blob) => kzg.commitment(blob)));
}

/**
 * Makes what travels beside the blobs.
 *
 * @param known the commitments, where they were made before
 * @throws {CodecError} `InvalidBlobSize`, `InvalidFieldElement`
 */
export async function makeSidecar(
  kzg: Kzg,
  blobs: readonly Uint8Array[],
  form: SidecarForm,
  known?: readonly Uint8Array[],
): Promise<BlobSidecar> {
  const commitments = known ?? await commitTo(kzg, blobs);
  const proofs = await Promise.all(
    blobs.map((blob, index) =>
      form === "cells" ? kzg.cellProofs(blob) : kzg.blobProof(blob, commitments[index]!)
    ),
  );
  return { blobs, commitments, proofs: proofs.flat() };
}

/**
 * A signed blob transaction with its sidecar, as `eth_sendRawTransaction` takes it.
 *
 * @throws {CodecError} `InvalidTransaction` where the sidecar is not of this transaction, or not of
 * this form
 */
export async function networkForm(
  signed: SignedTransaction,
  sidecar: BlobSidecar,
  form: SidecarForm,
): Promise<Uint8Array> {
  const { RLP } = await rlp();
  const { blobs, commitments, proofs } = sidecar;
  const refuse = (reason: string) =>
    new CodecError(
      "InvalidTransaction",
      `Cannot put a sidecar beside transaction ${toHex(signed.hash)}: ${reason}`,
    );
  if (signed.raw[0] !== BLOB_TX_TYPE) throw refuse(`its type is ${signed.raw[0]}, need 3`);
  const proofsNeeded = blobs.length * (form === "cells" ? CELLS_PER_BLOB : 1);
  if (proofs.length !== proofsNeeded) {
    const count = `${proofs.length} proofs of ${blobs.length} blobs`;
    throw refuse(`${count}, need ${proofsNeeded} in the form ${form}`);
  }
  const tx = RLP.decode(signed.raw.subarray(1)) as Uint8Array[];
  const named = (tx[BLOB_HASHES_FIELD] as unknown as readonly Uint8Array[]).map(toHex).join();
  const made = commitments.map((each) => toHex(versionedHash(each))).join();
  if (named !== made) throw refuse(`it names the blobs ${named}, the sidecar has ${made}`);

  const version = form === "cells" ? [WRAPPER_VERSION] : [];
  const wrapped = RLP.encode([tx, ...version, [...blobs], [...commitments], [...proofs]]);
  const bytes = new Uint8Array(1 + wrapped.length);
  bytes[0] = BLOB_TX_TYPE;
  bytes.set(wrapped, 1);
  return bytes;
}
