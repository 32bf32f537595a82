/**
 * Transactions of all kinds for tests, and what a node says of them.
 *
 * @module
 */
import fc from "fast-check";
import type { UnsignedTransaction } from "../../src/ethereum.ts";

/** The first well-known key of anvil, and its address. */
export const ANVIL_KEY: Uint8Array = Uint8Array.fromHex(
  "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
);
export const ANVIL_ADDRESS: Uint8Array = Uint8Array.fromHex(
  "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
);

/** `size` bytes. */
export function bytes(size: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: size, maxLength: size }).map((each) => new Uint8Array(each));
}

/** 32 bytes that begin with 1. */
export const blobHash: fc.Arbitrary<Uint8Array> = bytes(32).map((each) => {
  each[0] = 1;
  return each;
});

/** Any transaction that this program may make, with up to `maxBlobs` blobs. */
export function unsignedTransaction(maxBlobs: number): fc.Arbitrary<UnsignedTransaction> {
  const amount = fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 100n));
  return fc.record({
    chainId: fc.oneof(fc.bigInt(1n, 300n), fc.bigInt(1n, 2n ** 52n)),
    nonce: fc.oneof(fc.bigInt(0n, 300n), fc.bigInt(0n, 2n ** 53n - 1n)),
    to: bytes(20),
    input: fc.uint8Array({ maxLength: 300 }).map((each) => new Uint8Array(each)),
    gas: fc.bigInt(0n, 2n ** 64n - 1n),
    fees: fc.tuple(amount, amount, amount).map(([one, other, maxFeePerBlobGas]) => ({
      maxFeePerGas: one > other ? one : other,
      maxPriorityFeePerGas: one > other ? other : one,
      maxFeePerBlobGas,
    })),
    blobHashes: fc.array(blobHash, { maxLength: maxBlobs }),
  }).map((tx) => {
    const maxFeePerBlobGas = tx.blobHashes.length > 0 ? tx.fees.maxFeePerBlobGas : 0n;
    return { ...tx, fees: { ...tx.fees, maxFeePerBlobGas } };
  });
}
