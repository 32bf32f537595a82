import { deepStrictEqual as deepEqual, strictEqual as equal, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { CodecError } from "../../src/errors.ts";
import {
  BLOB_CAPACITY,
  BLOB_SIZE,
  decodeBlob,
  encodeBlob,
  fromBlobs,
  splitBlobs,
  toBlobs,
} from "../../src/wire/blob.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { hasShared, readShared } from "../shared.ts";

interface EncodeVector {
  name: string;
  seed?: string;
  data?: string;
  dataLen: number;
  blobSha256: string;
  blobNonZeroPrefix: string | null;
}

interface DecodeVector {
  name: string;
  blobPrefix: string;
  setBytes: [number, number][];
  error: string | null;
  dataLen: number | null;
  data: string | null;
}

const CODES: Record<string, string> = {
  ErrBlobInvalidFieldElement: "InvalidFieldElement",
  ErrBlobInvalidLength: "InvalidBlobLength",
  ErrBlobExtraneousDataFieldElement: "ExtraneousData",
  ErrBlobExtraneousData: "ExtraneousData",
};

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** The data that `blob-v0.json` describes by a seed: sha256(seed:0) ‖ sha256(seed:1) ‖ … */
function seeded(seed: string, length: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let index = 0; index * 32 < length; index++) {
    parts.push(createHash("sha256").update(`${seed}:${index}`).digest());
  }
  return new Uint8Array(Buffer.concat(parts).subarray(0, length));
}

function loadVectors(name: string): { encode: EncodeVector[]; decode: DecodeVector[] } | undefined {
  if (!hasShared("vectors/blob-v0.json", name)) return undefined;
  return JSON.parse(new TextDecoder().decode(readShared("vectors/blob-v0.json")));
}

test("encodeBlob() gives the blob of every vector, and decodeBlob() its data", () => {
  const vectors = loadVectors("blob encode vectors");
  if (!vectors) return;
  for (const vector of vectors.encode) {
    const data = vector.data !== undefined
      ? fromHex(vector.data, "data")
      : seeded(vector.seed!, vector.dataLen);
    equal(data.length, vector.dataLen, vector.name);
    const blob = encodeBlob(data);
    equal(sha256(blob), vector.blobSha256, vector.name);
    deepEqual(decodeBlob(blob), data, vector.name);
  }
  equal(vectors.encode.length, 19);
});

test("decodeBlob() accepts and refuses as every vector says, but for the masked bits of byte 0", () => {
  const vectors = loadVectors("blob decode vectors");
  if (!vectors) return;
  for (const vector of vectors.decode) {
    const blob = new Uint8Array(BLOB_SIZE);
    blob.set(fromHex(vector.blobPrefix, "blobPrefix"));
    for (const [at, value] of vector.setBytes) blob[at] = value;
    if (vector.name === "fe0-bit6-empty-accepted") {
      throws(() => decodeBlob(blob), { code: "InvalidFieldElement" }, vector.name);
    } else if (vector.error) {
      throws(() => decodeBlob(blob), { code: CODES[vector.error] }, vector.name);
    } else {
      const data = decodeBlob(blob);
      equal(data.length, vector.dataLen, vector.name);
      if (vector.data) equal(toHex(data), vector.data, vector.name);
    }
  }
  equal(vectors.decode.length, 14);
});

test("decodeBlob() gives back every length around the borders of rounds and blobs", () => {
  const lengths = [
    0,
    1,
    26,
    27,
    28,
    122,
    123,
    124,
    249,
    250,
    251,
    BLOB_CAPACITY - 1,
    BLOB_CAPACITY,
  ];
  for (const length of lengths) {
    const data = seeded("border", length);
    const blob = encodeBlob(data);
    equal(blob.length, BLOB_SIZE);
    for (let at = 0; at < BLOB_SIZE; at += 32) equal(blob[at]! & 0xc0, 0);
    deepEqual(decodeBlob(blob), data);
  }
  throws(() => encodeBlob(new Uint8Array(BLOB_CAPACITY + 1)), { code: "TooLarge" });
});

test("decodeBlob() of a damaged blob gives data that encodes to it, or a CodecError", () => {
  const blob = encodeBlob(seeded("damage", 700));
  fc.assert(
    fc.property(fc.nat(1200), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = blob.slice();
      damaged[at]! ^= flip;
      try {
        deepEqual(encodeBlob(decodeBlob(damaged)), damaged);
      } catch (error) {
        if (!(error instanceof CodecError)) throw error;
      }
    }),
  );
});

test("decodeBlob() refuses another version and another size", () => {
  const blob = encodeBlob(Uint8Array.of(1));
  throws(() => decodeBlob(blob.subarray(1), 4), {
    code: "InvalidBlobSize",
    message: "Cannot decode blob 4: 131071 bytes, need 131072",
  });
  blob[1] = 1;
  throws(() => decodeBlob(blob), { code: "InvalidBlobVersion" });
});

test("toBlobs() cuts into full blobs and a rest, and fromBlobs() puts them together", () => {
  for (const [length, count] of [[0, 1], [1, 1], [130044, 1], [130045, 2], [390132, 3]] as const) {
    const data = seeded("cut", length);
    const blobs = toBlobs(data);
    equal(blobs.length, count);
    deepEqual(fromBlobs(blobs), data);
    deepEqual(splitBlobs(Buffer.concat(blobs)).length, count);
  }
});

test("fromBlobs() refuses what toBlobs() would not make", () => {
  const full = encodeBlob(seeded("full", BLOB_CAPACITY));
  const short = encodeBlob(seeded("short", 10));
  const empty = encodeBlob(new Uint8Array());
  throws(() => fromBlobs([short, full]), { code: "InvalidBlobLength", message: /blob 0 of 2/ });
  throws(() => fromBlobs([full, empty]), { code: "InvalidBlobLength", message: /at least 1/ });
  equal(fromBlobs([empty]).length, 0);
  throws(() => splitBlobs(new Uint8Array(131073)), { code: "InvalidBlobSize" });
  throws(() => splitBlobs(new Uint8Array()), { code: "InvalidBlobSize" });
});

test("decodeBlob() reads the real blobs of Base and OP chains to channel frames", () => {
  if (!hasShared("vectors/real-blobs/26-blob0.bin.gz", "real blobs")) return;
  for (const name of ["21-blob0", "26-blob0", "26-blob4"]) {
    const blob = readShared(`vectors/real-blobs/${name}.bin.gz`);
    const data = decodeBlob(blob);
    equal(data[0], 0, "derivation version");
    deepEqual(encodeBlob(data), blob);
  }
});
