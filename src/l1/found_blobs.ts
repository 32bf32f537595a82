/**
 * What a source of blobs found of those it was asked for, and why it lacks the others.
 *
 * @module
 */
import { CodecError, type CodecErrorCode, SourceError } from "../errors.ts";
import type { EthereumEvent, Kzg, L1Header } from "../ethereum.ts";
import { toHex } from "../wire/hex.ts";
import { versionedHash } from "./sidecar.ts";

/** The block that includes blobs. */
export type BlobBlock = Pick<L1Header, "number" | "hash" | "timestamp">;

/**
 * | why        | what it says                                               | who helps                |
 * | ---------- | ---------------------------------------------------------- | ------------------------ |
 * | `orphaned` | the slot is empty, or another block stands in it           | the chain, read again    |
 * | `pruned`   | it had them, or could have had them, and keeps them no more | an archive              |
 * | `not yet`  | it is behind that slot, or just there                      | time                     |
 * | `columns`  | it holds too few data columns to put blobs together        | a supernode, an archive  |
 * | `unknown`  | it does not tell                                           | another source           |
 */
export type MissingReason = Extract<EthereumEvent, { event: "blobs.missing" }>["why"];

/** What was found. */
export interface FoundBlobs {
  /** Checked, by the `0x` text of their versioned hashes. */
  readonly blobs: ReadonlyMap<string, Uint8Array>;
  /** Why not all of them; none where all are there. */
  readonly why?: MissingReason;
  /** Set where blobs came that nobody asked for, in place of those. */
  readonly strange?: SourceError;
}

/** A source that tells how much it has. */
export interface BlobFinder {
  readonly name: string;
  /** @throws {SourceError} `Connection`; `Damaged` where what came is certainly wrong */
  find(block: BlobBlock, hashes: readonly Uint8Array[]): Promise<FoundBlobs>;
}

/** The blobs in the order of their hashes, where all were found. */
export function inOrder(
  { blobs }: FoundBlobs,
  hashes: readonly Uint8Array[],
): readonly Uint8Array[] | undefined {
  const found = hashes.map((hash) => blobs.get(toHex(hash)));
  return found.every((blob) => blob !== undefined) ? found as Uint8Array[] : undefined;
}

/** Says which are missing. */
export function blobMissing(
  block: BlobBlock,
  hashes: readonly Uint8Array[],
  { blobs }: Pick<FoundBlobs, "blobs">,
  { who, why, reason }: {
    readonly who: string;
    /** In words. */
    readonly why: string;
    readonly reason: MissingReason;
  },
): SourceError {
  const missing = hashes.filter((hash) => !blobs.has(toHex(hash)));
  return new SourceError(
    "BlobMissing",
    `Cannot read ${missing.length} of ${hashes.length} blobs of L1 block ${block.number} from ` +
      `${who}: ${why}; the first is ${toHex(missing[0]!)}`,
    { details: { block: block.number, missing: missing.length, why: reason } },
  );
}

/** The versioned hash of a blob, as `0x` text; `undefined` for bytes that are no blob. */
export async function hashOfBlob(
  kzg: Pick<Kzg, "commitment">,
  blob: Uint8Array,
): Promise<string | undefined> {
  try {
    return toHex(versionedHash(await kzg.commitment(blob)));
  } catch (error) {
    if (error instanceof CodecError && NO_BLOB.includes(error.code)) return undefined;
    throw error;
  }
}

const NO_BLOB: readonly CodecErrorCode[] = ["InvalidBlobSize", "InvalidFieldElement"];
