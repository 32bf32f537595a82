import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { BrotliCompressor } from "../../src/compress/brotli.ts";
import { NoopCompressor } from "../../src/compress/noop.ts";
import { SinkError } from "../../src/errors.ts";
import { parseBlockLine } from "../../src/local/block_line.ts";
import { FileBlockSink, type FilePosition } from "../../src/local/file_block_sink.ts";
import { FileBlockSource } from "../../src/local/file_block_source.ts";
import { FileBatchSource, FileSink } from "../../src/local/files.ts";
import { L1Directory } from "../../src/local/l1_directory.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { BatchSubmissionRunner } from "../../src/pipeline/batch_runner.ts";
import { DerivationPipeline, type DeriverPosition } from "../../src/pipeline/deriver.ts";
import { recoverPosition } from "../../src/pipeline/recovery.ts";
import { toHex } from "../../src/wire/hex.ts";
import { content, flaky, linkedBlocks, stepAll, withDirectory } from "../helpers.ts";

const compressors = [new BrotliCompressor({ level: 4 }), new NoopCompressor()];
const blocks = linkedBlocks(60, { first: 5, size: 200 });
const lines = blocks.map(({ number, timestamp, hash, parentHash, transactions }) =>
  JSON.stringify({
    number: Number(number),
    timestamp: Number(timestamp),
    hash: toHex(hash!),
    parentHash: toHex(parentHash!),
    transactions: transactions.map(toHex),
  }) + "\n"
);

async function blocksIn(path: string) {
  const text = await readFile(path, "utf8");
  return text.trimEnd().split("\n").map((line, index) => parseBlockLine(line, `${path}:${index}`));
}

/** Posts the blocks of a file to a directory, losing answers and starting anew at each loss. */
async function postAll(file: string, directory: string, seed: number, da: "blobs" | "calldata") {
  const random = new SeededRandom(seed);
  const clock = new ManualClock(1_000_000);
  for (let starts = 1; starts < 100; starts++) {
    const sink = await FileSink.open(directory, { clock, da });
    const l1 = await L1Directory.open(directory);
    const source = await FileBlockSource.open(file, { l1, maxBytesPerCall: 2000 });
    try {
      const position = await recoverPosition({
        l1: await FileBatchSource.open(directory, { head: "latest" }),
        compressors,
        source,
        clock,
      });
      const lost = new SinkError("TxFailed", "the process is gone");
      const runner = new BatchSubmissionRunner(
        {
          source,
          compressor: compressors[Number(random.next() < 0.5)]!,
          sink: flaky(sink, () => {
            if (random.next() > 0.15) return undefined;
            return random.next() < 0.5 ? lost : { after: lost };
          }),
          clock,
          random,
        },
        { maxBlocksPerBatch: 7, maxBatchBytes: 1500 },
        {},
        position,
      );
      await runner.run({ once: true });
      return starts;
    } catch (error) {
      if (!(error instanceof SinkError)) throw error;
    } finally {
      await source.close();
    }
  }
  throw new Error("it does not come to its end");
}

test("FileBlockSource to FileSink to FileBatchSource to FileBlockSink gives the same blocks", async () => {
  let starts = 0;
  for (const [seed, da, name] of [[1, "blobs", "in.jsonl"], [2, "calldata", "in.gz"]] as const) {
    await withDirectory(async (path) => {
      const file = join(path, name);
      await writeFile(file, name.endsWith(".gz") ? gzipSync(lines.join("")) : lines.join(""));
      starts += await postAll(file, join(path, "l1"), seed, da);
      const sink = await FileBlockSink.open(join(path, "out.jsonl"));
      const source = await FileBatchSource.open(join(path, "l1"));
      await stepAll(new DerivationPipeline({ source, compressors, sink }));
      await sink.close();
      deepEqual(content(await blocksIn(join(path, "out.jsonl"))), content(blocks));
    });
  }
  equal(starts > 4, true, `started ${starts} times`);
});

test("DerivationPipeline over files goes on after each batch as if nothing had been", async () => {
  await withDirectory(async (path) => {
    const file = join(path, "in.jsonl");
    const out = join(path, "out.jsonl");
    await writeFile(file, lines.join(""));
    await postAll(file, join(path, "l1"), 3, "calldata");
    let position: DeriverPosition = { nextBatchNumber: 0n };
    let startBlock = 0n;
    let written: FilePosition = { blocks: 0, bytes: 0 };
    for (let start = 0; start < 200; start++) {
      const sink = await FileBlockSink.open(out, written);
      const source = await FileBatchSource.open(join(path, "l1"), { startBlock });
      const deriver = new DerivationPipeline({ source, compressors, sink }, {}, position);
      let result = await deriver.step();
      while (result?.verdict === "duplicate") result = await deriver.step();
      await sink.close();
      if (!result) break;
      if (start % 3 === 0) continue; // Killed before it was written down: the file is ahead.
      position = deriver.position;
      startBlock = deriver.l1Position!;
      written = sink.position;
    }
    deepEqual(content(await blocksIn(out)), content(blocks));

    await rm(out);
    const sink = await FileBlockSink.open(out);
    const source = await FileBatchSource.open(join(path, "l1"));
    await stepAll(new DerivationPipeline({ source, compressors, sink }));
    await sink.close();
    deepEqual(content(await blocksIn(out)), content(blocks));
  });
});
