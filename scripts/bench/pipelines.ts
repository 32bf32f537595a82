/**
 * The batcher and the deriver as the program puts them together, on an L1 in memory.
 *
 * @module
 */
import process from "node:process";
import { compressionInWorkers } from "../../src/cli/compression.ts";
import { allCompressors } from "../../src/compress/formats.ts";
import { CompressorPool } from "../../src/local/compressor_pool.ts";
import { MemoryBatchSource, MemoryL1 } from "../../src/local/memory.ts";
import { BatcherPipeline } from "../../src/pipeline/batcher.ts";
import { DerivationPipeline } from "../../src/pipeline/deriver.ts";
import type { Compressor, LogEvent } from "../../src/ports.ts";
import { systemClock } from "../../src/runtime.ts";
import type { L2Block } from "../../src/types.ts";
import { BLOB_CAPACITY, BLOB_SIZE } from "../../src/wire/blob.ts";
import { MAX_U16 } from "../../src/wire/batch.ts";
import { timed } from "./rows.ts";

/** How blocks are batched. */
export interface BatchSettings {
  readonly maxBlobs: number;
  readonly workers?: number;
  readonly level?: number;
  readonly engine?: "wasm" | "native";
  /** Called when the workers have started and the work begins. */
  readonly onWarm?: () => void;
}

/** A batch as it was posted. */
export type SealedBatch = Extract<LogEvent, { event: "batch.sealed" }>;

/** What came of it. */
export interface Batched {
  readonly l1: MemoryL1;
  readonly batches: readonly SealedBatch[];
  readonly seconds: number;
  /** Of all threads of this process. */
  readonly processorSeconds: number;
  readonly rawBytes: number;
  readonly postedBytes: number;
  /** How often its raw bytes were compressed at the level of the batches. */
  readonly passes: number;
  /** And how often at the low level, to plan. */
  readonly planningPasses: number;
}

/** Works off `blocks` as a backlog, to the last one. */
export async function batchAll(
  blocks: readonly L2Block[],
  { maxBlobs, workers = 2, level = 11, engine = "wasm", onWarm }: BatchSettings,
): Promise<Batched> {
  const flags = { level: `${level}`, engine };
  const { compressor, estimator } = compressionInWorkers(flags, workers);
  await warmUp(compressor, workers);
  onWarm?.();
  const l1 = new MemoryL1();
  const batches: SealedBatch[] = [];
  const counted = { compressor: 0, estimator: 0 };
  const counting = (inner: Compressor, name: keyof typeof counted): Compressor => ({
    name: inner.name,
    format: inner.format,
    compress(data) {
      counted[name] += data.length;
      return inner.compress(data);
    },
    decompress: (data) => inner.decompress(data),
    estimatedRatio: () => inner.estimatedRatio(),
  });
  const batcher = new BatcherPipeline(
    {
      source: new MemoryBatchSource(blocks, l1),
      compressor: counting(compressor, "compressor"),
      ...(estimator ? { estimator: counting(estimator, "estimator") } : {}),
      sink: l1.sink(),
      clock: systemClock,
      log: (event) => {
        if (event.event === "batch.sealed") batches.push(event);
      },
    },
    {
      maxBatchBytes: maxBlobs * BLOB_SIZE,
      maxBlocksPerBatch: MAX_U16,
      maxBatchesAtOnce: workers + 1,
    },
  );
  const before = process.cpuUsage();
  const [seconds] = await timed(async () => {
    while (await batcher.tick());
    await batcher.shutdown();
  });
  const { user, system } = process.cpuUsage(before);
  if (compressor instanceof CompressorPool) await compressor.close();
  const sum = (key: "rawBytes" | "compressedBytes") =>
    batches.reduce((total, batch) => total + batch[key], 0);
  const rawBytes = sum("rawBytes");
  return {
    l1,
    batches,
    seconds,
    processorSeconds: (user + system) / 1e6,
    rawBytes,
    postedBytes: sum("compressedBytes"),
    passes: counted.compressor / rawBytes,
    planningPasses: counted.estimator / rawBytes,
  };
}

/** Has every worker started: a service does that once. */
async function warmUp(compressor: Compressor, workers: number): Promise<void> {
  const data = new Uint8Array(100_000);
  await Promise.all(Array.from({ length: workers }, () => compressor.compress(data)));
}

/** Share of a batch's blobs that is used. */
export function fillOf({ compressedBytes }: Pick<SealedBatch, "compressedBytes">): number {
  return compressedBytes / (Math.ceil(compressedBytes / BLOB_CAPACITY) * BLOB_CAPACITY);
}

/** Derives all that is on an L1; the number of blocks. */
export async function deriveAll(l1: MemoryL1): Promise<number> {
  let blocks = 0;
  const deriver = new DerivationPipeline({
    source: l1.source(),
    compressors: allCompressors(),
    sink: {
      ingest() {
        blocks += 1;
        return Promise.resolve();
      },
    },
  });
  while (await deriver.step());
  return blocks;
}
