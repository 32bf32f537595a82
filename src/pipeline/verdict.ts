/**
 * What derivation thinks of a batch (design `wire-format.md`, "Verdicts of derivation").
 *
 * @module
 */
import { SEQUENCING_WINDOW } from "../config.ts";
import { CodecError } from "../errors.ts";
import type { DropReason } from "../ports.ts";
import type { BatchHeader, L1Batch } from "../types.ts";
import { startsWith } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";

/** What a header is held against. */
export interface HeaderContext {
  readonly batch: L1Batch;
  /** Hash of L1 block `header.l1Origin`, where that block exists. */
  readonly l1OriginHash: Uint8Array | undefined;
  /** Hash of the last derived block, where it is known. */
  readonly parentHash: Uint8Array | undefined;
  /** Timestamp of the last derived block, where there is one. */
  readonly lastTimestamp: bigint | undefined;
}

/** Why a batch is left out, and the sentence for it. */
export interface Drop {
  readonly reason: DropReason;
  readonly error: Error;
}

/** Why a batch with this header must be dropped; `undefined` when it is to be accepted. */
export function checkHeader(header: BatchHeader, context: HeaderContext): Drop | undefined {
  const { batch, l1OriginHash, parentHash, lastTimestamp } = context;
  const included = batch.inclusion.blockNumber;
  const { l1Origin } = header;

  if (header.batchNumber !== batch.batchNumber) {
    return drop("number_mismatch", `its header says batch ${header.batchNumber}`);
  }
  if (l1Origin > included) {
    return drop("origin_ahead", `its L1 origin ${l1Origin} is above L1 block ${included}`);
  }
  if (l1Origin + SEQUENCING_WINDOW < included) {
    return drop(
      "origin_expired",
      `its L1 origin ${l1Origin} is more than ${SEQUENCING_WINDOW} below L1 block ${included}`,
    );
  }
  if (!l1OriginHash || !startsWith(l1OriginHash, header.l1OriginCheck)) {
    const canonical = l1OriginHash ? toHex(l1OriginHash) : "not to be had";
    return drop(
      "origin_check",
      `its L1 origin ${l1Origin} starts with ${
        toHex(header.l1OriginCheck)
      }, that block's hash is ` +
        canonical,
    );
  }
  if (parentHash && !startsWith(parentHash, header.parentCheck)) {
    return drop(
      "parent_check",
      `its parent starts with ${toHex(header.parentCheck)}, the last block is ${toHex(parentHash)}`,
    );
  }
  if (lastTimestamp !== undefined && header.timestamp < lastTimestamp) {
    return drop(
      "timestamp",
      `its first block is of ${header.timestamp}, the last block of ${lastTimestamp}`,
    );
  }
  return undefined;

  function drop(reason: DropReason, why: string): Drop {
    return { reason, error: new Error(`Cannot accept batch ${batch.batchNumber}: ${why}`) };
  }
}

/** The drop of a batch that could not be decompressed or decoded. */
export function undecodable(error: Error): Drop {
  const isVersion = error instanceof CodecError && error.code === "InvalidVersion";
  return { reason: isVersion ? "version" : "undecodable", error };
}
