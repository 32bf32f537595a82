/**
 * How fast the batcher compresses: through its workers, planning included, against the native tool on one
 * core. One after the other, round by round, so that a disturbance meets all; the median of the rounds.
 *
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCompressor } from "../../src/compress/formats.ts";
import type { MemoryL1 } from "../../src/local/memory.ts";
import type { Compressor } from "../../src/ports.ts";
import { open } from "../../src/wire/envelope.ts";
import { realBlocks, someBlocks } from "./blocks.ts";
import { missing, secondsOf, type Tool, versionOf } from "./native.ts";
import { batchAll, type BatchSettings } from "./pipelines.ts";
import { type BenchOptions, type Group, median, type Row, timed } from "./rows.ts";

const BROTLI = ["-q", "11", "-w", "22"];
const ZSTD = ["-19", "--single-thread"];

/** The group. */
export const compression: Group = {
  name: "compression",
  title: "raw bytes a second at level 11; medians of interleaved rounds",
  run,
};

/** Two blobs a batch: few enough for eight batches, as the first is made alone, and fairly full. */
const SETTINGS: readonly (BatchSettings & { readonly what: string; readonly least?: number })[] = [
  { what: "batcher, 1 worker, 2 blobs a batch", maxBlobs: 2, workers: 1, least: 0.6 },
  { what: "batcher, 2 workers, 2 blobs a batch", maxBlobs: 2, workers: 2, least: 1.15 },
  { what: "batcher, 2 workers, 1 blob a batch", maxBlobs: 1, workers: 2 },
  { what: "batcher, 1 worker, --engine native", maxBlobs: 2, workers: 1, engine: "native" },
];

async function run({ isShort }: BenchOptions): Promise<Row[]> {
  const real = isShort ? [] : realBlocks();
  const blocks = real.length > 0 ? real : someBlocks(isShort);
  const rounds = isShort ? 1 : 3;
  const directory = mkdtempSync(join(tmpdir(), "montana-bench-"));
  try {
    const hasNative = versionOf("brotli") !== undefined;
    const hasZstd = versionOf("zstd") !== undefined;
    const first = await batchAll(blocks, { maxBlobs: 2, level: isShort ? 5 : 9 });
    const raw = await rawBatches(first.l1);
    const megabytes = first.rawBytes / 1e6;
    const files = raw.map((bytes, index) => {
      const file = join(directory, `${index}.raw`);
      writeFileSync(file, bytes);
      return file;
    });

    const native: number[] = [];
    const nativeZstd: number[] = [];
    const zstdAlone: number[] = [];
    const alone: number[] = [];
    const ours = SETTINGS.map((): number[] => []);
    const busy = SETTINGS.map((): number[] => []);
    const passed = SETTINGS.map((): number[] => []);
    const codec = createCompressor({ format: "brotli", level: 11 });
    const zstd = createCompressor({ format: "zstd", level: 19 });
    for (let round = 0; round < rounds; round++) {
      alone.push(megabytes / await secondsOfOurs(codec, raw));
      if (hasZstd) nativeZstd.push(megabytes / secondsOfNative("zstd", ZSTD, files));
      zstdAlone.push(megabytes / await secondsOfOurs(zstd, raw));
      for (const [at, settings] of SETTINGS.entries()) {
        if (hasNative && settings.least !== undefined) {
          native.push(megabytes / secondsOfNative("brotli", BROTLI, files));
        }
        const { seconds, processorSeconds, passes } = await batchAll(blocks, settings);
        ours[at]!.push(megabytes / seconds);
        busy[at]!.push(processorSeconds / seconds);
        passed[at]!.push(passes);
      }
    }

    const row = (what: string, tool: Tool, rates: readonly number[], rest: Partial<Row> = {}) => ({
      what,
      value: median(rates),
      unit: "MB/s",
      ...compared(tool, tool === "brotli" ? native : nativeZstd),
      ...rest,
      detail: { least: Math.min(...rates), most: Math.max(...rates), ...rest.detail },
    });
    return [
      row("WASM in this thread, nothing else", "brotli", alone),
      ...SETTINGS.map(({ what, least }, at) =>
        row(what, "brotli", ours[at]!, {
          ...(least === undefined ? {} : { mark: { of: "ratio", least } }),
          // Less than the workers, where others have the cores too.
          detail: { "cores busy": median(busy[at]!), passes: median(passed[at]!) },
        })
      ),
      row("zstd 19 in this thread, nothing else", "zstd", zstdAlone),
    ];
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function compared(tool: Tool, rates: readonly number[]): Pick<Row, "against" | "missing"> {
  if (rates.length === 0) return { missing: missing(tool) };
  const args = (tool === "brotli" ? BROTLI : ZSTD).join(" ");
  return {
    against: { what: `${tool} ${versionOf(tool)} ${args}, one core`, value: median(rates) },
  };
}

/** One file at a time, as `brotli` demands it where it is to write to standard output. */
function secondsOfNative(tool: Tool, args: readonly string[], files: readonly string[]): number {
  return files.reduce((sum, file) => sum + secondsOf(tool, [...args, "-c", file]), 0);
}

async function secondsOfOurs(compressor: Compressor, raw: readonly Uint8Array[]): Promise<number> {
  const [seconds] = await timed(async () => {
    for (const bytes of raw) await compressor.compress(bytes);
  });
  return seconds;
}

/** The raw bytes of every batch, in order. */
async function rawBatches(l1: MemoryL1): Promise<Uint8Array[]> {
  const source = l1.source();
  const decompressors = [createCompressor({ format: "brotli" })];
  const raw: Uint8Array[] = [];
  for (let batch = await source.nextBatch(); batch; batch = await source.nextBatch()) {
    raw.push(await open(batch.data, decompressors));
  }
  return raw;
}
