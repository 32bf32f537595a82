import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromRlp } from "viem";
import type { BlobSidecar, SidecarForm } from "../../src/ethereum.ts";
import { CELLS_PER_BLOB, networkForm, versionedHash } from "../../src/l1/sidecar.ts";
import { signWith } from "../../src/l1/transaction.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { hasShared, readShared } from "../shared.ts";
import { ANVIL_KEY, bytes, unsignedTransaction } from "./transactions.ts";

/** Bytes of the right sizes that are no commitments and no proofs: only their places matter. */
function sidecarOf(count: number, form: SidecarForm): BlobSidecar {
  const fill = (size: number, index: number) => new Uint8Array(size).fill(1 + index % 250);
  const proofs = count * (form === "cells" ? CELLS_PER_BLOB : 1);
  return {
    blobs: Array.from({ length: count }, (_, index) => fill(131_072, index)),
    commitments: Array.from({ length: count }, (_, index) => fill(48, index)),
    proofs: Array.from({ length: proofs }, (_, index) => fill(48, index + 7)),
  };
}

async function signedFor(sidecar: BlobSidecar) {
  const [tx] = fc.sample(unsignedTransaction(0), { numRuns: 1, seed: 5 });
  return await signWith(ANVIL_KEY, { ...tx!, blobHashes: sidecar.commitments.map(versionedHash) });
}

for (const form of ["cells", "legacy"] as const) {
  test(`networkForm() puts the sidecar beside the transaction: ${form}`, async () => {
    for (const count of [1, 3, 6]) {
      const sidecar = sidecarOf(count, form);
      const signed = await signedFor(sidecar);
      const bytes = await networkForm(signed, sidecar, form);
      equal(bytes[0], 3);
      const list = fromRlp(toHex(bytes.subarray(1)) as `0x${string}`) as string[];
      const version = form === "cells" ? ["0x01"] : [];
      deepEqual(list, [
        fromRlp(toHex(signed.raw.subarray(1)) as `0x${string}`),
        ...version,
        sidecar.blobs.map(toHex),
        sidecar.commitments.map(toHex),
        sidecar.proofs.map(toHex),
      ]);
    }
  });
}

test("networkForm() refuses the sidecar of another transaction or form", async () => {
  const sidecar = sidecarOf(2, "legacy");
  const signed = await signedFor(sidecar);
  const refused = (message: RegExp) => ({
    name: "CodecError",
    code: "InvalidTransaction",
    message,
  });
  await rejects(
    networkForm(signed, sidecar, "cells"),
    refused(/2 proofs of 2 blobs, need 256 in the form cells/),
  );
  const reversed = { ...sidecar, commitments: sidecar.commitments.toReversed() };
  await rejects(networkForm(signed, reversed, "legacy"), refused(/it names the blobs/));
  const [tx] = fc.sample(unsignedTransaction(0), { numRuns: 1, seed: 5 });
  const without = await signWith(ANVIL_KEY, tx!);
  await rejects(networkForm(without, sidecar, "legacy"), refused(/its type is 2, need 3/));
});

test("versionedHash() is 1 and what sha256 gives after its first byte", async () => {
  await fc.assert(
    fc.asyncProperty(bytes(48), async (commitment) => {
      const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(commitment));
      const hash = versionedHash(commitment);
      equal(hash[0], 1);
      deepEqual(hash.subarray(1), new Uint8Array(digest).subarray(1));
    }),
    { numRuns: 20 },
  );
});

const title = "networkForm() makes the very bytes that a transaction of a public network had";
test(title, { skip: !hasShared("vectors/real-blobs/21.json", title) }, async () => {
  const vector = JSON.parse(new TextDecoder().decode(readShared("vectors/real-blobs/21.json")));
  const signed = {
    raw: fromHex(vector.canonicalRawTx, "raw"),
    hash: fromHex(vector.l1Tx, "hash"),
  };
  const [blob] = vector.blobs;
  const sidecar = {
    blobs: [readShared("vectors/real-blobs/21-blob0.bin.gz")],
    commitments: [fromHex(blob.commitment, "commitment")],
    proofs: [fromHex(blob.proof, "proof")],
  };
  const expected = readShared("vectors/real-blobs/21.network-wrapped.rlp.gz");
  const made = await networkForm(signed, sidecar, "legacy");
  ok(Buffer.from(made).equals(expected));
});
