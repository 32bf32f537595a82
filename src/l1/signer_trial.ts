/**
 * Tries whether a signer signs, without anything that could do harm.
 *
 * @module
 */
import { SignerError } from "../errors.ts";
import type { Signer, UnsignedTransaction } from "../ethereum.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { versionedHash } from "./sidecar.ts";
import { decodeSigned } from "./transaction.ts";

/** What is to be signed. */
export interface SignerTrial {
  readonly chainId: bigint;
  /** 20 bytes: where a remote signer takes nobody else; itself otherwise. */
  readonly to?: Uint8Array;
  /** EIP-4844 in place of EIP-1559. */
  readonly hasBlobs: boolean;
}

/**
 * Has a transaction signed that no chain ever takes, and looks at the signature, whoever made it.
 *
 * @throws {SignerError}
 */
export async function trySigner(signer: Signer, trial: SignerTrial): Promise<void> {
  const { raw } = await signer.sign(harmless(signer, trial));
  const { sender } = await decodeSigned(raw);
  if (equalBytes(sender, signer.address)) return;
  const message = `Cannot use a signature for ${toHex(signer.address)}: it is of ${toHex(sender)}`;
  throw new SignerError("WrongAnswer", message);
}

/**
 * At a thousand transactions a second an account comes to this nonce, the last one that every signer can
 * count to, after 285 thousand years; it offers nothing for its gas, and it moves nothing. So it does no
 * harm with whomever it ends up.
 */
function harmless(signer: Signer, { chainId, to, hasBlobs }: SignerTrial): UnsignedTransaction {
  return {
    chainId,
    nonce: 2n ** 53n - 1n,
    to: to ?? signer.address,
    input: new Uint8Array(),
    gas: 21_000n,
    fees: { maxFeePerGas: 0n, maxPriorityFeePerGas: 0n, maxFeePerBlobGas: 0n },
    blobHashes: hasBlobs ? [versionedHash(new Uint8Array(48))] : [],
  };
}
