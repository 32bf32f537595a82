/**
 * Blocks that earlier runs took, which a source goes on behind.
 *
 * @module
 */
import type { BlockRef } from "../engine.ts";
import { SourceError } from "../errors.ts";
import type { L2Block } from "../types.ts";

/**
 * Which block it was.
 *
 * @throws {SourceError} `InvalidBlock` where it has no number or no hash
 */
export function takenRef({ number, hash }: L2Block): BlockRef {
  if (number !== undefined && hash) return { number, hash };
  throw new SourceError(
    "InvalidBlock",
    "Cannot go on behind blocks that were taken before: they came without numbers and hashes, out of " +
      "another kind of source; go on with that one, or begin with another --data-dir",
  );
}
