/**
 * From blobs to blocks, KZG aside, against the native decompressor on the same batches.
 *
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCompressor } from "../../src/compress/formats.ts";
import type { MemoryL1 } from "../../src/local/memory.ts";
import { someBlocks } from "./blocks.ts";
import { missing, secondsOf, versionOf } from "./native.ts";
import { batchAll, deriveAll } from "./pipelines.ts";
import { type BenchOptions, type Group, median, type Row, timed } from "./rows.ts";

/** The group. */
export const derivation: Group = {
  name: "derivation",
  title: "raw bytes a second from blobs to blocks; medians of interleaved rounds",
  run,
};

/** A file several times on the command line: the start of the tool is to weigh nothing. */
const REPEATED = 10;

async function run({ isShort }: BenchOptions): Promise<Row[]> {
  const blocks = someBlocks(isShort);
  const rows: Row[] = [];
  for (const maxBlobs of isShort ? [1] : [6, 1]) {
    // The level of the batches makes no difference to speak of, and 9 is quick to make.
    const { l1, rawBytes, batches } = await batchAll(blocks, { maxBlobs, level: 9 });
    const megabytes = rawBytes / 1e6;
    const directory = mkdtempSync(join(tmpdir(), "montana-bench-"));
    try {
      const payloads = await payloadsOf(l1);
      const files = payloads.map((bytes, index) => {
        const file = join(directory, `${index}.br`);
        writeFileSync(file, bytes);
        return file;
      });
      const again = Array.from({ length: REPEATED }, () => files).flat();
      const brotli = createCompressor({ format: "brotli" });
      const native: number[] = [];
      const ours: number[] = [];
      const alone: number[] = [];
      const hasNative = versionOf("brotli") !== undefined;
      for (let round = 0; round < (isShort ? 1 : 9); round++) {
        if (hasNative) {
          native.push(REPEATED * megabytes / secondsOf("brotli", ["-t", "--", ...again]));
        }
        const [seconds, count] = await timed(() => deriveAll(l1));
        if (count !== blocks.length) throw new Error(`${count} of ${blocks.length} blocks derived`);
        ours.push(megabytes / seconds);
        const [decompressing] = await timed(async () => {
          for (const payload of payloads) await brotli.decompress(payload);
        });
        alone.push(megabytes / decompressing);
      }
      const compared = hasNative
        ? {
          against: {
            what: `brotli ${versionOf("brotli")} -t, writing nothing`,
            value: median(native),
          },
        }
        : { missing: missing("brotli") };
      const name = `up to ${maxBlobs} blob${maxBlobs > 1 ? "s" : ""} a batch`;
      const detail = { batches: batches.length, "raw bytes": rawBytes };
      rows.push(
        {
          what: `deriver, ${name}`,
          value: median(ours),
          unit: "MB/s",
          ...compared,
          mark: { of: "ratio", least: 0.35 },
          detail,
        },
        {
          what: `WASM Brotli alone, ${name}`,
          value: median(alone),
          unit: "MB/s",
          ...compared,
        },
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
  return rows;
}

/** What is behind the format byte of each batch. */
async function payloadsOf(l1: MemoryL1): Promise<Uint8Array[]> {
  const source = l1.source();
  const payloads: Uint8Array[] = [];
  for (let batch = await source.nextBatch(); batch; batch = await source.nextBatch()) {
    payloads.push(batch.data.slice(1));
  }
  return payloads;
}
