/**
 * Bytes of real blocks against what the chains' own batchers paid for them (design `performance.md`). These
 * are bytes, the same on every machine; times are measured by `deno task bench`.
 *
 * @module
 */
import { ok, strictEqual as equal } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { parseBlockLine } from "../../src/local/block_line.ts";
import { ManualClock, MemoryBatchSource, MemoryL1 } from "../../src/local/memory.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import type { L2Block } from "../../src/types.ts";
import { BLOB_CAPACITY, BLOB_SIZE } from "../../src/wire/blob.ts";
import { Events } from "../helpers.ts";
import { hasShared, readShared } from "../shared.ts";

const PLACE = "anchors/posted-channels.json";

/** Level 11 takes half a minute here, and makes the same bytes on every runtime. */
function skip(test: string): string | false {
  if (!hasShared(PLACE, test)) return "there are no channels";
  if (!process.versions["bun"]) return false;
  process.stdout.write(`skipped: ${test}: the bytes are those of the run under Deno\n`);
  return "the bytes are those of the run under Deno";
}

interface Channel {
  readonly file: string;
  readonly chain: string;
  readonly postedBytes: number;
  readonly fileHoldsWholeChannel: boolean;
}

function wholeChannels(chain: string): Channel[] {
  const text = new TextDecoder().decode(readShared(PLACE));
  const { channels } = JSON.parse(text) as { readonly channels: readonly Channel[] };
  return channels.filter((each) => each.chain === chain && each.fileHoldsWholeChannel);
}

function blocksOf(files: readonly string[]): L2Block[] {
  return files.flatMap((file) =>
    new TextDecoder().decode(readShared(`blocks/${file}`)).trimEnd().split("\n")
      .map((line, index) => parseBlockLine(line, `${file}:${index + 1}`))
  );
}

/** All of them as a backlog, at level 11 in batches of up to six blobs. */
async function batchesOf(blocks: readonly L2Block[]) {
  const clock = new ManualClock();
  const l1 = new MemoryL1({ clock });
  const events = new Events();
  const compressor = new BrotliCompressor({ level: 11 });
  let compressedBytes = 0;
  const batcher = new BatcherPipeline(
    {
      source: new MemoryBatchSource(blocks, l1),
      compressor: {
        name: compressor.name,
        format: compressor.format,
        compress: (data) => {
          compressedBytes += data.length;
          return compressor.compress(data);
        },
        decompress: (data) => compressor.decompress(data),
        estimatedRatio: () => compressor.estimatedRatio(),
      },
      estimator: new BrotliCompressor({ level: 6 }),
      sink: l1.sink(),
      clock,
      log: events.log,
    },
    { maxBatchBytes: 6 * BLOB_SIZE },
  );
  while (await batcher.tick());
  await batcher.shutdown();
  const sealed = events.of("batch.sealed");
  equal(sealed.reduce((sum, each) => sum + each.blocks, 0), blocks.length);
  const rawBytes = sealed.reduce((sum, each) => sum + each.rawBytes, 0);
  const postedBytes = sealed.reduce((sum, each) => sum + each.compressedBytes, 0);
  return { sealed, postedBytes, passes: compressedBytes / rawBytes };
}

test("A whole OP Mainnet channel takes at least 10 % fewer bytes than its batcher paid", {
  skip: skip("bytes of an OP Mainnet channel"),
}, async () => {
  for (const { file, postedBytes } of wholeChannels("OP Mainnet")) {
    const ours = await batchesOf(blocksOf([file]));
    ok(ours.postedBytes <= 0.9 * postedBytes, `${ours.postedBytes} of ${postedBytes}`);
  }
});

test("A whole Base channel takes at most 1.5 % more bytes than its batcher paid", {
  // Its batcher posted span batches, which sort their bytes by column; version 0 cannot.
  skip: skip("bytes of Base channels"),
}, async () => {
  for (const { file, postedBytes } of wholeChannels("Base")) {
    const ours = await batchesOf(blocksOf([file]));
    ok(ours.postedBytes <= 1.015 * postedBytes, `${ours.postedBytes} of ${postedBytes}`);
    ok(ours.passes <= 1.3, `${ours.passes} passes`);
  }
});

test("A backlog of all Base blocks fills every blob but those of the last batch", {
  skip: skip("fill of Base blocks"),
}, async () => {
  const files = ["19995441", "19995509", "19995583"].map((at) => `base-mainnet-${at}.jsonl.gz`);
  const { sealed, passes } = await batchesOf(blocksOf(files));
  ok(sealed.length >= 3 && passes <= 1.3, `${sealed.length} batches, ${passes} passes`);
  for (const { compressedBytes, batchNumber } of sealed.slice(0, -1)) {
    const fill = compressedBytes / (Math.ceil(compressedBytes / BLOB_CAPACITY) * BLOB_CAPACITY);
    ok(fill >= 0.99, `batch ${batchNumber}: ${fill}`);
  }
});
