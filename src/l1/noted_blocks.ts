/**
 * Notes in an archive in which L1 blocks the blobs landed that an account posted, so that they can be
 * asked for by slot.
 *
 * @module
 */
import type { Chain } from "../ethereum.ts";
import type { Log, LogEvent } from "../ports.ts";
import { equalBytes } from "../wire/bytes.ts";
import type { BlobArchive } from "./blob_archive.ts";

/**
 * A log that notes the block of each blob transaction that is included, and again when it is final, as it
 * may be another block by then. Blobs are found by their hashes without it: what cannot be noted is told,
 * and left.
 *
 * @param log is told every event
 */
export function notingBlocks(
  archive: Pick<BlobArchive, "noteBlock">,
  chain: Pick<Chain, "block">,
  log: Log,
): Log {
  return (event) => {
    log(event);
    if (event.event !== "tx.included" && event.event !== "tx.final") return;
    if (event.attempt.blobHashes.length === 0) return;
    void note(archive, chain, event).catch((error) =>
      log({ event: "endpoint.failed", endpoint: "archive", error, next: undefined })
    );
  };
}

async function note(
  archive: Pick<BlobArchive, "noteBlock">,
  chain: Pick<Chain, "block">,
  { receipt }: Extract<LogEvent, { event: "tx.included" | "tx.final" }>,
): Promise<void> {
  const block = await chain.block(receipt.blockNumber);
  if (!block || !equalBytes(block.header.hash, receipt.blockHash)) return;
  const hashes = block.transactions.flatMap((each) => each.blobHashes);
  await archive.noteBlock(block.header, hashes);
}
