/**
 * Blob encoding version 0 of the OP Stack. A blob is 4096 field elements of 32 bytes, each below the BLS
 * modulus, so the two top bits of its first byte stay 0. A round packs 127 bytes into four elements: 31
 * bytes each, and three more spread as 6 bits over the four first bytes.
 *
 * | stream offset | size | field   |                                    |
 * | ------------: | ---: | ------- | ---------------------------------- |
 * |             0 |    1 | version | 0x00                               |
 * |             1 |    3 | length  | big-endian, of the data that follows |
 * |             4 |      | data    | then zeros                         |
 *
 * A chunk `c` of 127 bytes becomes, with `x = c[31]`, `y = c[63]`, `z = c[95]`:
 *
 * | element | first byte                            | then       |
 * | ------: | ------------------------------------- | ---------- |
 * |       0 | `x & 0x3f`                            | `c[0:31]`  |
 * |       1 | `(y & 0x0f) ‖ (x & 0xc0) >> 2`        | `c[32:63]` |
 * |       2 | `z & 0x3f`                            | `c[64:95]` |
 * |       3 | `(z & 0xc0) >> 2 ‖ (y & 0xf0) >> 4`   | `c[96:127]`|
 *
 * Decoding refuses all that encoding would not make, also the masked top bits of byte 0 that others
 * accept: the same data must have one versioned hash only (design `wire-format.md`, "Blob").
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import type { L1Batch } from "../types.ts";
import { concatBytes } from "./bytes.ts";

/** Bytes of a blob (EIP-4844). */
export const BLOB_SIZE = 131_072;
/** Usable bytes of a blob. */
export const BLOB_CAPACITY = 130_044;
/** The most blobs of one transaction since Osaka (EIP-7594). */
export const MAX_BLOBS_PER_TX = 6;

const ELEMENT_SIZE = 32;
const ROUND_SIZE = 4 * ELEMENT_SIZE;
const ROUND_BYTES = 127;
const STREAM_HEADER = 4;
/** The one encoding of blobs there is, the OP Stack's. */
export const ENCODING_VERSION = 0;

/** How many blobs `size` bytes take; none is one empty blob. */
export function blobCount(size: number): number {
  return Math.max(1, Math.ceil(size / BLOB_CAPACITY));
}

/**
 * Cuts bytes into blobs: runs of 130044 bytes, the last shorter.
 *
 * @returns blobs of 131072 bytes, in order; one for no bytes at all
 *
 * @example
 * ```ts
 * import { fromBlobs, toBlobs } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const blobs = toBlobs(new Uint8Array(200_000).fill(7));
 * if (blobs.length !== 2) throw new Error("unexpected count");
 * if (fromBlobs(blobs).length !== 200_000) throw new Error("unexpected length");
 * ```
 */
export function toBlobs(data: Uint8Array): Uint8Array[] {
  return Array.from(
    { length: blobCount(data.length) },
    (_, index) => encodeBlob(data.subarray(index * BLOB_CAPACITY, (index + 1) * BLOB_CAPACITY)),
  );
}

/**
 * Puts the bytes of one batch's blobs together again.
 *
 * @throws {CodecError} as {@link decodeBlob}; `InvalidBlobLength` where a blob before the last is not
 * full, or the last of several is empty
 */
export function fromBlobs(blobs: readonly Uint8Array[]): Uint8Array {
  const parts = blobs.map((blob, index) => {
    const part = decodeBlob(blob, index);
    const isLast = index === blobs.length - 1;
    if (isLast ? part.length === 0 && index > 0 : part.length !== BLOB_CAPACITY) {
      throw new CodecError(
        "InvalidBlobLength",
        `Cannot decode blob ${index} of ${blobs.length}: it holds ${part.length} bytes, need ` +
          (isLast ? "at least 1" : `${BLOB_CAPACITY} in every blob but the last`),
        { details: { blob: index, value: part.length } },
      );
    }
    return part;
  });
  return parts.length === 1 ? parts[0]! : concatBytes(parts);
}

/** What is in a batch's blobs; damage in them is for derivation to judge, not for the reader. */
export function batchOfBlobs(blobs: readonly Uint8Array[]): Pick<L1Batch, "data" | "broken"> {
  try {
    return { data: fromBlobs(blobs) };
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    return { data: new Uint8Array(), broken: error };
  }
}

/** Splits concatenated blobs, as files hold them. */
export function splitBlobs(bytes: Uint8Array): Uint8Array[] {
  if (bytes.length === 0 || bytes.length % BLOB_SIZE !== 0) {
    throw new CodecError(
      "InvalidBlobSize",
      `Cannot split ${bytes.length} bytes into blobs: need a multiple of ${BLOB_SIZE}`,
      { details: { value: bytes.length } },
    );
  }
  return Array.from(
    { length: bytes.length / BLOB_SIZE },
    (_, index) => bytes.subarray(index * BLOB_SIZE, (index + 1) * BLOB_SIZE),
  );
}

/**
 * Encodes up to 130044 bytes as one blob.
 *
 * @throws {CodecError} `TooLarge` for more
 */
export function encodeBlob(data: Uint8Array): Uint8Array {
  if (data.length > BLOB_CAPACITY) {
    throw new CodecError(
      "TooLarge",
      `Cannot encode ${data.length} bytes into a blob: it holds ${BLOB_CAPACITY}`,
      { details: { size: data.length, max: BLOB_CAPACITY } },
    );
  }
  const blob = new Uint8Array(BLOB_SIZE);
  if (data.length === 0) return blob;

  const rounds = Math.ceil((STREAM_HEADER + data.length) / ROUND_BYTES);
  const stream = new Uint8Array(rounds * ROUND_BYTES);
  stream[0] = ENCODING_VERSION;
  stream[1] = data.length >>> 16;
  stream[2] = data.length >>> 8;
  stream[3] = data.length;
  stream.set(data, STREAM_HEADER);

  for (let round = 0; round < rounds; round++) {
    const from = round * ROUND_BYTES;
    const at = round * ROUND_SIZE;
    const [x, y, z] = [stream[from + 31]!, stream[from + 63]!, stream[from + 95]!];
    const firstBytes = [
      x & 0x3f,
      (y & 0x0f) | ((x & 0xc0) >> 2),
      z & 0x3f,
      ((z & 0xc0) >> 2) | ((y & 0xf0) >> 4),
    ];
    for (let element = 0; element < 4; element++) {
      const target = at + element * ELEMENT_SIZE;
      const source = from + element * ELEMENT_SIZE;
      blob[target] = firstBytes[element]!;
      blob.set(stream.subarray(source, source + ELEMENT_SIZE - 1), target + 1);
    }
  }
  return blob;
}

/**
 * Decodes one blob.
 *
 * @param index its place among the blobs of a batch, for the error
 * @throws {CodecError} `InvalidBlobSize`, `InvalidBlobVersion`, `InvalidBlobLength`,
 * `InvalidFieldElement` or `ExtraneousData`, naming offset and value
 */
export function decodeBlob(blob: Uint8Array, index = 0): Uint8Array {
  const refuse = (
    code: "InvalidBlobSize" | "InvalidBlobVersion" | "InvalidBlobLength" | "ExtraneousData",
    what: string,
    offset: number,
    value: number,
  ) =>
    new CodecError(code, `Cannot decode blob ${index}: ${what}`, {
      details: { blob: index, offset, value },
    });

  if (blob.length !== BLOB_SIZE) {
    throw refuse("InvalidBlobSize", `${blob.length} bytes, need ${BLOB_SIZE}`, 0, blob.length);
  }
  const version = blob[1]!;
  if (version !== ENCODING_VERSION) {
    throw refuse("InvalidBlobVersion", `encoding version ${version}, need 0`, 1, version);
  }
  const length = (blob[2]! << 16) | (blob[3]! << 8) | blob[4]!;
  if (length > BLOB_CAPACITY) {
    throw refuse("InvalidBlobLength", `length ${length}, at most ${BLOB_CAPACITY}`, 2, length);
  }

  const rounds = Math.ceil((STREAM_HEADER + length) / ROUND_BYTES);
  const stream = new Uint8Array(rounds * ROUND_BYTES);
  for (let round = 0; round < rounds; round++) decodeRound(blob, stream, round, index);

  const end = STREAM_HEADER + length;
  const extra = firstNonZero(stream, end);
  if (extra !== undefined) {
    const value = stream[extra]!;
    throw refuse(
      "ExtraneousData",
      `byte ${value} behind its ${length} bytes of data`,
      extra,
      value,
    );
  }
  const offset = firstNonZero(blob, rounds * ROUND_SIZE);
  if (offset !== undefined) {
    throw refuse(
      "ExtraneousData",
      `byte ${blob[offset]} at offset ${offset}, behind its ${length} bytes of data`,
      offset,
      blob[offset]!,
    );
  }
  return stream.subarray(STREAM_HEADER, end);
}

/** Most blobs of small batches are zeros: a callback for each would take several times as long. */
function firstNonZero(bytes: Uint8Array, from: number): number | undefined {
  for (let at = from; at < bytes.length; at++) if (bytes[at] !== 0) return at;
  return undefined;
}

function decodeRound(blob: Uint8Array, stream: Uint8Array, round: number, index: number): void {
  const at = round * ROUND_SIZE;
  const to = round * ROUND_BYTES;
  for (let element = 0; element < 4; element++) {
    const offset = at + element * ELEMENT_SIZE;
    const first = blob[offset]!;
    if (first & 0xc0) {
      throw new CodecError(
        "InvalidFieldElement",
        `Cannot decode blob ${index}: field element ${offset / ELEMENT_SIZE} at offset ${offset} ` +
          `starts with ${first}, need at most 63`,
        { details: { blob: index, offset, value: first } },
      );
    }
    const source = blob.subarray(offset + 1, offset + ELEMENT_SIZE);
    stream.set(source, to + element * ELEMENT_SIZE);
  }
  const [a, b, c, d] = [blob[at]!, blob[at + 32]!, blob[at + 64]!, blob[at + 96]!];
  stream[to + 31] = (a & 0x3f) | ((b & 0x30) << 2);
  stream[to + 63] = (b & 0x0f) | ((d & 0x0f) << 4);
  stream[to + 95] = (c & 0x3f) | ((d & 0x30) << 2);
}
