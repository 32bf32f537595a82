import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import type { SignedTransaction, UnsignedTransaction } from "../../src/ethereum.ts";
import { trySigner } from "../../src/l1/signer_trial.ts";
import { LocalSigner, openSigner } from "../../src/l1/signers.ts";
import { toHex } from "../../src/wire/hex.ts";
import { ANVIL_ACCOUNTS, skipWithoutAnvil, startAnvil } from "./anvil.ts";

const skip = skipWithoutAnvil("signers against anvil");
const { address, key } = ANVIL_ACCOUNTS[0]!;

function transactionOf(nonce: bigint): UnsignedTransaction {
  return {
    chainId: 31_337n,
    nonce,
    to: new Uint8Array(20).fill(0x42),
    input: Uint8Array.of(1, 2, 3),
    gas: 100_000n,
    fees: { maxFeePerGas: 10n ** 10n, maxPriorityFeePerGas: 1n, maxFeePerBlobGas: 0n },
    blobHashes: [],
  };
}

test(
  "RemoteSigner has anvil sign, which is accepted as what the key itself signed",
  { skip },
  async () => {
    await using anvil = await startAnvil();
    const remote = await openSigner({ kind: "remote", url: anvil.url, address });
    const local = await LocalSigner.open(key.slice());
    for (const [nonce, signer] of [remote, local].entries()) {
      const transaction = transactionOf(BigInt(nonce));
      const signed = await signer.sign(transaction);
      deepEqual(signed, await local.sign(transaction));
      equal(await anvil.rpc("eth_sendRawTransaction", [toHex(signed.raw)]), toHex(signed.hash));
    }
    await anvil.mine(1);
    equal(await anvil.rpc("eth_getTransactionCount", [toHex(address), "latest"]), "0x2");
    // It knows the fields of a blob transaction only together with the blobs.
    await rejects(trySigner(remote, { chainId: 31_337n, hasBlobs: true }), { code: "Refused" });
    const nobody = { kind: "remote", url: anvil.url } as const;
    await rejects(openSigner(nobody), {
      code: "WrongAnswer",
      message: /10 addresses; name the one/,
    });
  },
);

test("what trySigner() has signed is taken by no node", { skip }, async () => {
  await using anvil = await startAnvil();
  const local = await LocalSigner.open(key.slice());
  const made: SignedTransaction[] = [];
  const keeping = {
    address,
    sign: async (each: UnsignedTransaction) => {
      made.push(await local.sign(each));
      return made.at(-1)!;
    },
  };
  for (const hasBlobs of [false, true]) {
    await trySigner(keeping, { chainId: 31_337n, hasBlobs });
  }
  equal(made.length, 2);
  for (const { raw } of made) {
    await rejects(anvil.rpc("eth_sendRawTransaction", [toHex(raw)]), { name: "AnvilError" });
  }
  deepEqual(await anvil.rpc("txpool_status"), { pending: "0x0", queued: "0x0" });
});
