/**
 * Bytes posted for the very blocks of whole channels, against what their own batchers posted.
 *
 * @module
 */
import { NO_BLOCKS, postedChannels, realBlocks } from "./blocks.ts";
import { batchAll } from "./pipelines.ts";
import type { BenchOptions, Group, Row } from "./rows.ts";

/** Base posted span batches in Brotli 10, OP Mainnet in January 2024 single ones in zlib. */
const MOST: Readonly<Record<string, number>> = { brotli: 1.01, zlib: 0.9 };

/** The group. */
export const postedBytes: Group = {
  name: "posted_bytes",
  title: "bytes posted, against what the chain's own batcher posted for these blocks",
  run,
};

async function run({ isShort }: BenchOptions): Promise<Row[]> {
  const channels = postedChannels();
  if (channels.length === 0) return [{ what: "whole channels", missing: NO_BLOCKS }];
  const rows: Row[] = [];
  for (const channel of isShort ? channels.slice(-1) : channels) {
    const { file, chain, first, last, compression } = channel;
    const blocks = realBlocks([file])
      .filter(({ number }) => number! >= first && number! <= last);
    for (const maxBlobs of [6, 1]) {
      const { postedBytes: value, batches, rawBytes } = await batchAll(blocks, { maxBlobs });
      rows.push({
        what: `${chain} ${first}–${last}, up to ${maxBlobs} blob${maxBlobs > 1 ? "s" : ""} a batch`,
        value,
        unit: "bytes",
        against: { what: `posted, ${compression}`, value: channel.postedBytes },
        // Several blobs are what the batchers of these chains used, too.
        ...(maxBlobs > 1 ? { mark: { of: "ratio", most: MOST[compression]! } } : {}),
        detail: { blocks: blocks.length, batches: batches.length, "raw bytes": rawBytes },
      });
    }
  }
  return rows;
}
