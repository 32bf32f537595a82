/**
 * A batcher and a deriver with everything around them in memory.
 *
 * @module
 */
import { NoopCompressor } from "../../src/compress/noop.ts";
import type { DeriverConfig, PipelineConfig } from "../../src/config.ts";
import {
  ManualClock,
  MemoryBatchSource,
  MemoryBlockSink,
  MemoryL1,
} from "../../src/local/memory.ts";
import { BatcherPipeline, type BatcherPosition } from "../../src/pipeline/batcher.ts";
import { DerivationPipeline, type DeriverPosition } from "../../src/pipeline/deriver.ts";
import type {
  BatchCodec,
  BatchSink,
  BatchSource,
  Compressor,
  L1BatchSource,
  L2BlockSink,
} from "../../src/ports.ts";
import type { Batch, L2Block } from "../../src/types.ts";
import { decodeBatch } from "../../src/wire/batch.ts";
import { Events, type Fault, flaky, inTurn } from "../helpers.ts";

/** What is not as usual. */
export interface WorldOptions {
  readonly config?: Partial<PipelineConfig>;
  readonly position?: BatcherPosition;
  readonly sink?: BatchSink;
  readonly compressor?: Compressor;
  /** By method of source or sink. */
  readonly faults?: Readonly<Record<string, (Fault | undefined)[]>>;
}

/** A batcher over an L1 in memory, on a clock that is turned by hand. */
export function worldOf(blocks: readonly L2Block[], options: WorldOptions = {}) {
  const clock = new ManualClock();
  const l1 = new MemoryL1({ clock });
  const source = new MemoryBatchSource(blocks, l1);
  const events = new Events();
  const fault = inTurn(options.faults ?? {});
  const batcher = new BatcherPipeline(
    {
      source: flaky<BatchSource>(source, fault),
      compressor: options.compressor ?? new NoopCompressor(),
      sink: flaky(options.sink ?? l1.sink(), fault),
      clock,
      log: events.log,
    },
    options.config,
    options.position,
  );
  return { clock, l1, source, events, batcher };
}

/** The uncompressed batches on an L1, decoded, in L1 order. */
export async function posted(l1: MemoryL1): Promise<Batch[]> {
  const source = l1.source();
  const batches: Batch[] = [];
  for (let batch = await source.nextBatch(); batch; batch = await source.nextBatch()) {
    batches.push(decodeBatch(batch.data.subarray(1)));
  }
  return batches;
}

/** A deriver of what is on an L1 in memory. */
export function deriverOf<Sink extends L2BlockSink = MemoryBlockSink>(
  l1: MemoryL1,
  options: {
    readonly sink?: Sink;
    readonly source?: L1BatchSource;
    readonly compressors?: readonly Compressor[];
    readonly codec?: BatchCodec;
    readonly config?: Partial<DeriverConfig>;
    readonly position?: DeriverPosition;
  } = {},
) {
  const events = new Events();
  const sink = options.sink ?? new MemoryBlockSink() as L2BlockSink as Sink;
  const deriver = new DerivationPipeline(
    {
      source: options.source ?? l1.source(),
      compressors: options.compressors ?? [new NoopCompressor()],
      sink,
      log: events.log,
      ...(options.codec ? { codec: options.codec } : {}),
    },
    options.config,
    options.position,
  );
  return { deriver, sink, events };
}
