import { deepStrictEqual as deepEqual, notDeepStrictEqual, ok, rejects } from "node:assert/strict";
import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { nativeKzg, portableKzg, trustedSetup } from "../../src/l1/deps.ts";
import { chooseKzg, findKzg, KZG_ENGINES } from "../../src/l1/kzg.ts";
import { selfTestBlob, testKzg } from "../../src/l1/kzg_self_test.ts";
import { encodeBlob } from "../../src/wire/blob.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { hasShared } from "../shared.ts";
import { engines, kzgOf, whyNoEngine } from "./kzg_engines.ts";
import { kzgVectors } from "./kzg_vectors.ts";

const MODULUS = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001n;
const hasVectors = (title: string) => hasShared("vectors/kzg/INDEX.json", title);
const refused = { name: "CodecError" };

for (const engine of KZG_ENGINES) {
  const title = (what: string) => `${what}, with the KZG engine ${engine}`;

  const commitments = title("commitments are those of the vectors");
  test(commitments, {
    skip: whyNoEngine(commitments, engine) || !hasVectors(commitments),
  }, async () => {
    for (const { name, blob, output } of kzgVectors("blob_to_kzg_commitment")) {
      const made = kzgOf(engine).commitment(blob);
      if (output === undefined) await rejects(made, refused, name);
      else deepEqual([await made], output, name);
    }
  });

  const proofs = title("proofs are those of the vectors");
  test(proofs, { skip: whyNoEngine(proofs, engine) || !hasVectors(proofs) }, async () => {
    for (const { name, blob, commitment, output } of kzgVectors("compute_blob_kzg_proof")) {
      const made = kzgOf(engine).blobProof(blob, commitment!);
      if (output === undefined) await rejects(made, refused, name);
      else deepEqual([await made], output, name);
    }
    for (const { name, blob, commitment, proof, output } of kzgVectors("verify_blob_kzg_proof")) {
      const made = kzgOf(engine).blobProof(blob, commitment!);
      if (output === "true") deepEqual(await made, proof, name);
      else if (output === "false") notDeepStrictEqual(await made, proof, name);
      else if (!name.startsWith("invalid_proof")) await rejects(made, refused, name);
    }
  });

  const cells = title("cell proofs are those of the vectors");
  test(cells, { skip: whyNoEngine(cells, engine) || !hasVectors(cells) }, async () => {
    for (const { name, blob, output } of kzgVectors("compute_cells_and_kzg_proofs")) {
      const made = kzgOf(engine).cellProofs(blob);
      if (output === undefined) await rejects(made, refused, name);
      // Its cells come first.
      else deepEqual(await made, (output as Uint8Array[]).slice(128), name);
    }
  });

  const self = title("testKzg() makes what is known");
  test(self, { skip: whyNoEngine(self, engine) }, async () => {
    let now = 0;
    deepEqual(
      await testKzg(kzgOf(engine), { now: () => now += 5 }),
      { firstMs: 5, commitmentMs: 5, cellProofsMs: 5 },
    );
  });

  const views = title("a blob may be a part of other bytes");
  test(views, { skip: whyNoEngine(views, engine) }, async () => {
    const blob = selfTestBlob();
    const file = new Uint8Array(blob.length + 100).fill(255);
    file.set(blob, 33);
    const view = file.subarray(33, 33 + blob.length);
    deepEqual(await kzgOf(engine).commitment(view), await kzgOf(engine).commitment(blob));
  });

  const blobs = title("what is no blob is refused");
  test(blobs, { skip: whyNoEngine(blobs, engine) }, async () => {
    const kzg = kzgOf(engine);
    const short = { code: "InvalidBlobSize", details: { value: 131_071 } };
    await rejects(kzg.commitment(new Uint8Array(131_071)), short);
    await rejects(kzg.cellProofs(new Uint8Array(131_071)), short);
    await rejects(kzg.blobProof(new Uint8Array(131_071), new Uint8Array(48)), short);
    const large = selfTestBlob();
    large.set(fromHex(`0x${MODULUS.toString(16)}`, "modulus"), 32 * 4095);
    const element = {
      code: "InvalidFieldElement",
      message: /field element 4095 at offset 131040 is 0x73eda753.* below the BLS modulus 0x73ed/,
    };
    await rejects(kzg.commitment(large), element);
    await rejects(kzg.cellProofs(large), element);
    await rejects(kzg.blobProof(large, new Uint8Array(48)), element);
    const none = { code: "InvalidCommitment", message: /0x0.*no point of the curve/ };
    await rejects(kzg.blobProof(selfTestBlob(), new Uint8Array(48).fill(1)), none);
    await rejects(kzg.blobProof(selfTestBlob(), new Uint8Array(47)), none);
  });
}

/** Data of any length, in a blob. */
const anyBlob = fc.record({
  size: fc.integer({ min: 0, max: 130_044 }),
  seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
}).map(({ size, seed }) => {
  const data = new Uint8Array(size);
  for (let index = 0, state = seed; index < size; index++) {
    state = Math.imul(state, 1_103_515_245) + 12_345;
    data[index] = state >>> 16;
  }
  return encodeBlob(data);
});

const others = engines.filter((engine) => engine !== "portable");
const ALIKE = "engines make the same commitments and proofs of the same blobs";
test(ALIKE, { skip: others.length === 0 && whyNoEngine(ALIKE, "native", "c-kzg") }, async () => {
  await fc.assert(
    fc.asyncProperty(anyBlob, async (blob) => {
      const made = await Promise.all(engines.map(async (engine) => {
        const commitment = await kzgOf(engine).commitment(blob);
        return [commitment, await kzgOf(engine).blobProof(blob, commitment)].map(toHex).join();
      }));
      equal(new Set(made).size, 1, made.join("; "));
    }),
    { numRuns: 5 },
  );
});

const CELLS = "engines make the same cell proofs of the same blob";
test(CELLS, { skip: others.length === 0 && whyNoEngine(CELLS, "native", "c-kzg") }, async () => {
  const [blob] = fc.sample(anyBlob, { numRuns: 1, seed: 7594 });
  const made = await Promise.all(
    engines.map(async (engine) => (await kzgOf(engine).cellProofs(blob!)).map(toHex)),
  );
  equal(made[0]!.length, 128);
  for (const proofs of made) deepEqual(proofs, made[0]);
});

const elements = "a field element is refused from the modulus on, wherever it stands";
test(elements, async () => {
  const kzg = kzgOf(engines[0]!);
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 4095 }),
      fc.bigInt(0n, 2n ** 130n),
      async (at, by) => {
        const put = (value: bigint) => {
          const blob = new Uint8Array(131_072);
          blob.set(fromHex(`0x${value.toString(16).padStart(64, "0")}`, "element"), 32 * at);
          return kzg.commitment(blob);
        };
        await rejects(put(MODULUS + by), { code: "InvalidFieldElement" });
        equal((await put(MODULUS - 1n - by)).length, 48);
      },
    ),
    { numRuns: 10 },
  );
});

const VERIFIED = "cell proofs are verified by the library of the other engine";
test(VERIFIED, { skip: whyNoEngine(VERIFIED, "native") }, async () => {
  const blob = selfTestBlob();
  const native = (await nativeKzg()).DasContextJs.create({ usePrecomp: false });
  const { KZG } = await portableKzg();
  const portable = new KZG((await trustedSetup()).trustedSetup);

  const commitment = await kzgOf("native").commitment(blob);
  const indices = Array.from({ length: 128 }, (_, index) => index);
  const { cells } = native.computeCellsAndKzgProofs(blob);

  const byPortable = [...await kzgOf("portable").cellProofs(blob)];
  const check = (proofs: Uint8Array[]) =>
    native.verifyCellKzgProofBatch(
      indices.map(() => commitment),
      indices.map(BigInt),
      cells,
      proofs,
    );
  equal(check(byPortable), true);
  equal(check(byPortable.toReversed()), false);

  const byNative = (await kzgOf("native").cellProofs(blob)).map(toHex);
  // It is slow: a few of them.
  const some = [0, 1, 77, 127];
  const checkPortable = (proofs: string[]) =>
    portable.verifyCellKzgProofBatch(
      some.map(() => toHex(commitment)),
      some,
      some.map((index) => toHex(cells[index]!)),
      proofs,
    );
  equal(checkPortable(some.map((index) => byNative[index]!)), true);
  equal(checkPortable(some.map((index) => byNative[127 - index]!)), false);
});

test("testKzg() does not trust an engine that makes something else", async () => {
  const kzg = kzgOf(engines[0]!);
  const wrong = { engine: "wrong", commitment: kzg.commitment.bind(kzg) };
  const rest = { blobProof: kzg.blobProof.bind(kzg), cellProofs: kzg.cellProofs.bind(kzg) };
  const clock = { now: () => 0 };
  const another = async () => await kzg.commitment(encodeBlob(new Uint8Array()));
  await rejects(testKzg({ ...wrong, ...rest, commitment: another }, clock), {
    code: "KzgFailed",
    message: /Cannot trust the KZG engine wrong: the commitment of a known blob is 0x/,
  });
  const reversed = async (blob: Uint8Array) => (await kzg.cellProofs(blob)).toReversed();
  await rejects(testKzg({ ...wrong, ...rest, cellProofs: reversed }, clock), {
    code: "KzgFailed",
    message: /the SHA-256 of the cell proofs of a known blob/,
  });
});

test("findKzg() finds what chooseKzg() takes, and says what is not there", async () => {
  const found = await findKzg("auto");
  equal(found, engines[0]);
  equal((await chooseKzg("auto")).engine, found);
  for (const engine of KZG_ENGINES) {
    if (engines.includes(engine)) equal(await findKzg(engine), engine);
    else {
      await rejects(findKzg(engine), (error: Error & { code?: string }) => {
        equal(error.code, "Invalid");
        ok(error.message.startsWith(`Cannot have a KZG engine: ${engine}: `), error.message);
        ok(!error.message.includes("\n"), error.message);
        return true;
      });
    }
  }
});
