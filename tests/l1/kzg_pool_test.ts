import {
  deepStrictEqual as deepEqual,
  ok,
  rejects,
  strictEqual as equal,
} from "node:assert/strict";
import { after, test } from "node:test";
import { KzgPool, openKzg } from "../../src/l1/kzg_pool.ts";
import { commitTo, makeSidecar, networkForm, versionedHash } from "../../src/l1/sidecar.ts";
import { signWith } from "../../src/l1/transaction.ts";
import { BLOB_CAPACITY, encodeBlob, toBlobs } from "../../src/wire/blob.ts";
import { noise } from "../helpers.ts";
import { engines, kzgOf } from "./kzg_engines.ts";
import { ANVIL_ADDRESS, ANVIL_KEY } from "./transactions.ts";

const blobs = toBlobs(Uint8Array.from({ length: 300_000 }, (_, index) => index % 251));

for (const engine of engines) {
  test(`KzgPool makes in other threads what the engine makes: ${engine}`, async () => {
    const pool = new KzgPool(engine);
    after(() => pool.close());
    equal(pool.engine, engine);
    const kzg = kzgOf(engine);
    const [first, second, third] = blobs as [Uint8Array, Uint8Array, Uint8Array];
    // All at once, and each gets its own.
    const [one, proofs, two, three] = await Promise.all([
      pool.commitment(first),
      pool.cellProofs(second),
      pool.commitment(second),
      pool.commitment(third),
    ]);
    deepEqual([one, two, three], await commitTo(kzg, blobs));
    deepEqual(proofs, await kzgOf(engines[0]!).cellProofs(second));
    deepEqual(await pool.blobProof(third, three), await kzg.blobProof(third, three));

    await rejects(pool.commitment(new Uint8Array(5)), { code: "InvalidBlobSize" });
    await rejects(pool.cellProofs(new Uint8Array(131_072).fill(255)), {
      code: "InvalidFieldElement",
    });
    const none = { name: "CodecError", code: "InvalidCommitment" };
    await rejects(pool.blobProof(first, new Uint8Array(48).fill(1)), none);
    // And goes on.
    deepEqual(await pool.commitment(first), one);
  });
}

test("this thread goes on while another makes proofs", async () => {
  const turnsDuring = async (work: Promise<unknown>) => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await work;
    clearInterval(timer);
    return turns;
  };
  const pool = await openKzg("auto");
  after(() => pool.close());
  ok(await turnsDuring(pool.cellProofs(blobs[0]!)) > 0);
  equal(await turnsDuring(kzgOf(engines[0]!).cellProofs(blobs[0]!)), 0);
});

test("a pool that is closed, and an engine that is not there, are told", async () => {
  const pool = await openKzg(engines[0]!);
  await pool.close();
  await rejects(pool.commitment(blobs[0]!), {
    code: "KzgFailed",
    message: `Cannot make the commitment of a blob with the KZG engine ${
      engines[0]
    }: the pool is closed`,
  });
  const strange = new KzgPool("stone" as never);
  await rejects(strange.cellProofs(blobs[0]!), {
    code: "KzgFailed",
    message: /Cannot make the cell proofs of a blob with the KZG engine stone: /,
  });
  await strange.close();
});

test("KzgPool that starts portable commits to two full blobs before it needs its engine", async () => {
  // Whatever is not portable cannot be done by an engine that is not there.
  const pool = new KzgPool("stone" as never, { startsPortable: true });
  after(() => pool.close());
  const full = [0, 1].map((seed) => encodeBlob(noise(BLOB_CAPACITY, seed)));
  const small = encodeBlob(noise(5000));
  for (const blob of [...full, small]) {
    deepEqual(await pool.commitment(blob), await kzgOf(engines[0]!).commitment(blob));
  }
  const stone = { code: "KzgFailed", message: /with the KZG engine stone: / };
  await rejects(pool.commitment(encodeBlob(noise(5001))), stone);
  const prover = new KzgPool("stone" as never, { startsPortable: true });
  after(() => prover.close());
  await rejects(prover.cellProofs(small), stone);
  await rejects(prover.commitment(new Uint8Array(5)), { code: "InvalidBlobSize" });
});

test("KzgPool remembers the last of what it has made, until it is closed", async () => {
  const workerUrl = new URL("counting_kzg_worker.ts", import.meta.url);
  const pool = new KzgPool("native", { workerUrl });
  const blob = (seed: number) => encodeBlob(noise(40, seed));
  const askedAt = (point: Uint8Array) => new DataView(point.buffer, point.byteOffset).getUint32(0);
  const commit = async (seed: number) => askedAt(await pool.commitment(blob(seed)));

  deepEqual(await Promise.all([commit(0), commit(0), commit(1), commit(0)]), [1, 1, 2, 1]);
  // Whoever changes what he was given changes his own.
  (await pool.commitment(blob(0))).fill(0);
  equal(await commit(0), 1);
  equal(askedAt(await pool.blobProof(blob(0), new Uint8Array(48))), 3);
  equal(askedAt(await pool.blobProof(blob(0), new Uint8Array(48).fill(1))), 4);
  // What failed is asked for again.
  await rejects(pool.cellProofs(blob(0)), { message: /question 5$/ });
  await rejects(pool.cellProofs(blob(0)), { message: /question 6$/ });
  for (let seed = 2; seed < 200; seed++) equal(await commit(seed), seed + 5);
  deepEqual([await commit(100), await commit(0)], [105, 205]);
  await pool.close();
  await rejects(pool.commitment(blob(0)), { code: "KzgFailed", message: /the pool is closed/ });
});

test("makeSidecar() makes both forms, and networkForm() takes them", async () => {
  const pool = await openKzg("auto");
  after(() => pool.close());
  const commitments = await commitTo(pool, blobs);
  const signed = await signWith(ANVIL_KEY, {
    chainId: 31_337n,
    nonce: 0n,
    to: ANVIL_ADDRESS,
    input: new Uint8Array(),
    gas: 21_000n,
    fees: { maxFeePerGas: 9n, maxPriorityFeePerGas: 1n, maxFeePerBlobGas: 1n },
    blobHashes: commitments.map(versionedHash),
  });
  const cells = await makeSidecar(pool, blobs, "cells");
  deepEqual(cells.commitments, commitments);
  deepEqual(cells.proofs.slice(128, 256), await kzgOf(engines[0]!).cellProofs(blobs[1]!));
  equal(cells.proofs.length, 3 * 128);
  const legacy = await makeSidecar(pool, blobs, "legacy", commitments);
  deepEqual(
    legacy.proofs,
    await Promise.all(blobs.map((blob, at) => pool.blobProof(blob, commitments[at]!))),
  );
  await networkForm(signed, cells, "cells");
  await networkForm(signed, legacy, "legacy");
  const [empty] = await commitTo(pool, [encodeBlob(new Uint8Array())]);
  const other = { ...legacy, commitments: [empty!, ...commitments.slice(1)] };
  await rejects(networkForm(signed, other, "legacy"), { code: "InvalidTransaction" });
});
