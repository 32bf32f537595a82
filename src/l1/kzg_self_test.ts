/**
 * Whether an engine makes what it must, and how long it takes: one blob whose commitment and proofs are
 * known.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { CodecError } from "../errors.ts";
import type { Kzg } from "../ethereum.ts";
import type { Clock } from "../ports.ts";
import { concatBytes } from "../wire/bytes.ts";
import { BLOB_CAPACITY, encodeBlob } from "../wire/blob.ts";
import { toHex } from "../wire/hex.ts";

/** Of {@link selfTestBlob}, which every engine made alike. */
const COMMITMENT = "0x91b865dc8be4cfc43c85e44f881814893ef098a0fffde4e1" +
  "c22ad57a66c8e4a7fbb97b52fe4c030801c9da4d07986275";
/** SHA-256 of its 128 cell proofs, one after the other. */
const CELL_PROOFS_SHA256 = "bc0a41a1904ad45290f3194ccc9deacd13dc019bf57e8aa6b44a48c159d1f345";

/** Milliseconds. */
export interface KzgTimes {
  /** To the first answer, with all that has to be made ready before it. */
  readonly firstMs: number;
  readonly commitmentMs: number;
  readonly cellProofsMs: number;
}

/** A full blob: byte `i` of its data is the low byte of `i * i >> 8`. */
export function selfTestBlob(): Uint8Array {
  return encodeBlob(Uint8Array.from({ length: BLOB_CAPACITY }, (_, index) => (index * index) >> 8));
}

/**
 * Has an engine make what is known.
 *
 * @throws {CodecError} `KzgFailed` where it makes something else
 */
export async function testKzg(kzg: Kzg, clock: Pick<Clock, "now">): Promise<KzgTimes> {
  const blob = selfTestBlob();
  const start = clock.now();
  expect(kzg, "the commitment", toHex(await kzg.commitment(blob)), COMMITMENT);
  const ready = clock.now();
  await kzg.commitment(blob);
  const committed = clock.now();
  const proofs = concatBytes(await kzg.cellProofs(blob));
  const proved = clock.now();
  const digest = createHash("sha256").update(proofs).digest("hex");
  expect(kzg, "the SHA-256 of the cell proofs", digest, CELL_PROOFS_SHA256);
  return {
    firstMs: ready - start,
    commitmentMs: committed - ready,
    cellProofsMs: proved - committed,
  };
}

function expect(kzg: Kzg, what: string, value: string, expected: string): void {
  if (value === expected) return;
  throw new CodecError(
    "KzgFailed",
    `Cannot trust the KZG engine ${kzg.engine}: ${what} of a known blob is ${value}, not ${expected}`,
    { details: { value, expected } },
  );
}
