/**
 * `montana demo`: the whole pipeline on this machine, without a network or another program, and the proof
 * that what comes back is what went in. With `--anvil` the L1 is a real one, which this starts and ends.
 *
 * With `--json` it answers with one object: `identical`, the fields of {@link Totals}, `ratio`, `fill`, and
 * with `--anvil` `costWei`, `weiPerTransaction` and `weiPerByte` as decimal text.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { allCompressors } from "../compress/formats.ts";
import { ConfigError } from "../errors.ts";
import { weiOf } from "../l1/gas.ts";
import { FileBlockSource } from "../local/file_block_source.ts";
import { TransferSource } from "../local/transfers.ts";
import { BatchSubmissionRunner } from "../pipeline/batch_runner.ts";
import { DerivationRunner } from "../pipeline/derivation_runner.ts";
import type { BatchSource, L2BlockSink, Log, LogEvent } from "../ports.ts";
import {
  onShutdownSignal,
  systemClock,
  systemRandom,
  writeStderr,
  writeStdout,
} from "../runtime.ts";
import type { L2Block } from "../types.ts";
import { type UnitCosts, unitCosts } from "./batch_costs.ts";
import { BLOB_CAPACITY } from "../wire/blob.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG, textOf } from "./command.ts";
import { COMPRESSION_FLAGS, compressionInWorkers } from "./compression.ts";
import { type DemoL1, openAnvilDemo, openDirectoryDemo } from "./demo_l1.ts";
import { describe } from "./log.ts";
import { parseDuration } from "./options.ts";
import {
  countOf,
  formatBytes,
  formatRatio,
  formatShare,
  formatTable,
  formatWei,
  formatWeiEach,
  toJson,
} from "./text.ts";

/** The demonstration. */
export const demo: CommandSpec = {
  name: "demo",
  summary: "Run the whole pipeline on this machine: no set-up, no network",
  flags: [
    { flags: "--for <time>", help: "how long transactions are made", value: "10s" },
    { flags: "--blocks <file>", help: "take these blocks instead, as JSON lines, plain or gzip" },
    {
      flags: "--anvil [path]",
      help: "post to anvil, a real L1, in blob transactions (default: the one on the PATH)",
    },
    { flags: "--batch-interval <time>", help: "longest wait of a block", value: "2s" },
    ...COMPRESSION_FLAGS,
    JSON_FLAG,
  ],
  examples: ["demo", "demo --for 30s", "demo --blocks blocks.jsonl.gz --json", "demo --anvil"],
  run: runDemo,
};

/** From one made block to the next. */
const BLOCK_TIME_MS = 200;

/** What was posted. */
interface Totals {
  batches: number;
  blocks: number;
  transactions: number;
  rawBytes: number;
  compressedBytes: number;
  blobs: number;
  /** What L1 was paid; none where it costs nothing. */
  costWei?: bigint;
}

async function runDemo(flags: FlagValues): Promise<number> {
  const durationMs = parseDuration("--for", textOf(flags, "for")!);
  if (durationMs < BLOCK_TIME_MS) {
    throw new ConfigError(
      "Usage",
      `Cannot use --for "${flags.for}": need at least one block's 200ms`,
    );
  }
  const batchIntervalMs = parseDuration("--batch-interval", textOf(flags, "batchInterval")!);
  const compression = compressionInWorkers(flags, 1);
  const signal = onShutdownSignal((name) => writeStderr(`${name}: posting what was made`));

  const directory = await mkdtemp(join(tmpdir(), "montana-demo-"));
  // A second signal ends the process without coming by the end of this function.
  process.once("exit", () => rmSync(directory, { recursive: true, force: true }));
  try {
    const l1 = await openL1(directory, flags, signal);
    try {
      const { failed } = l1;
      const play = playOn(l1, { flags, durationMs, batchIntervalMs, compression, signal });
      return await (failed ? Promise.race([play, failed]) : play);
    } finally {
      await l1.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function openL1(
  directory: string,
  flags: FlagValues,
  signal: AbortSignal,
): Promise<DemoL1> {
  if (flags.anvil === undefined) return await openDirectoryDemo(directory);
  return await openAnvilDemo(directory, textOf(flags, "anvil"), { log: tellWarning, signal });
}

interface DemoTask {
  readonly flags: FlagValues;
  readonly durationMs: number;
  readonly batchIntervalMs: number;
  readonly compression: ReturnType<typeof compressionInWorkers>;
  readonly signal: AbortSignal;
}

/** Posts and derives side by side, until all is there and back. */
async function playOn(
  l1: DemoL1,
  { flags, durationMs, batchIntervalMs, compression, signal }: DemoTask,
): Promise<number> {
  const blocks = textOf(flags, "blocks");
  const origin = blocks !== undefined
    ? await FileBlockSource.open(blocks, { l1: l1.origins })
    : new TransferSource({
      l1: l1.origins,
      clock: systemClock,
      random: systemRandom,
      durationMs,
    });
  writeStderr(`${l1.name}; L2 from ${blocks ?? `100 signed transactions every 200 ms`}`);

  const sent: Fingerprint[] = [];
  const derived: Fingerprint[] = [];
  const totals: Totals = {
    batches: 0,
    blocks: 0,
    transactions: 0,
    rawBytes: 0,
    compressedBytes: 0,
    blobs: 0,
  };
  const isBatcherDone = new AbortController();
  const deriver = new DerivationRunner({
    source: l1.source,
    compressors: allCompressors(),
    sink: fingerprintingSink(derived),
    clock: systemClock,
    random: systemRandom,
    log: progress(totals),
  });
  const batcher = new BatchSubmissionRunner(
    {
      source: fingerprinting(origin, sent),
      ...compression,
      sink: l1.sink,
      clock: systemClock,
      random: systemRandom,
      log: (event) => {
        if (event.event !== "batch.submitted") return;
        const { batchNumber, cost } = event.receipt;
        deriver.recordSubmission(batchNumber, systemClock.now());
        if (!cost) return;
        totals.costWei = (totals.costWei ?? 0n) + weiOf(cost);
      },
    },
    { batchIntervalMs, maxBlocksPerBatch: 1000, targetBatchSize: 64 * 1024 * 1024 },
  );
  const deriving = deriver.run({ signal: isBatcherDone.signal });
  const batching = batcher.run({ once: true, signal }).finally(() => isBatcherDone.abort());
  await Promise.all([batching, deriving]);
  await deriver.run({ once: true });

  return await tellEnd(totals, firstDifference(sent, derived), flags.json === true);
}

/** Of the L1: nothing where all goes well. */
function tellWarning(event: LogEvent): void {
  const { level, text } = describe(event);
  if (level === "warn") writeStderr(`warning: ${text}`);
}

async function tellEnd(
  totals: Totals,
  difference: number | undefined,
  isJson: boolean,
): Promise<number> {
  const { rawBytes, compressedBytes, blobs, transactions, costWei } = totals;
  const ratio = compressedBytes > 0 ? rawBytes / compressedBytes : undefined;
  const fill = blobs > 0 ? compressedBytes / (blobs * BLOB_CAPACITY) : undefined;
  const identical = difference === undefined;
  const each = costWei === undefined ? {} : unitCosts(costWei, transactions, compressedBytes);
  if (isJson) {
    await writeStdout(toJson({ identical, ...totals, ratio, fill, ...each }));
  } else {
    const head = ["batches", "blocks", "transactions", "raw", "posted", "ratio", "blobs", "fill"];
    await writeStdout(
      formatTable(head, [[
        `${totals.batches}`,
        `${totals.blocks}`,
        `${totals.transactions}`,
        formatBytes(rawBytes),
        formatBytes(compressedBytes),
        formatRatio(ratio),
        `${blobs}`,
        formatShare(fill),
      ]]) +
        (identical
          ? `The ${countOf(totals.blocks, "derived block")} ${
            totals.blocks === 1 ? "is identical to the one" : "are identical to those"
          } that went in.\n`
          : `The derived blocks differ from block ${difference} on.\n`) +
        costLine(costWei, each),
    );
  }
  return identical ? EXIT.done : EXIT.different;
}

function costLine(
  costWei: bigint | undefined,
  { weiPerTransaction, weiPerByte }: Partial<UnitCosts>,
): string {
  if (costWei === undefined || !weiPerTransaction || !weiPerByte) return "";
  return `L1 was paid ${formatWei(costWei)}: ${
    formatWeiEach(weiPerTransaction)
  } for each transaction, ` +
    `${formatWeiEach(weiPerByte)} for each byte posted.\n`;
}

/** A block, in short. */
export type Fingerprint = string;

/** SHA-256 over what a batch carries of a block. */
export function fingerprint({ timestamp, transactions }: L2Block): Fingerprint {
  const hash = createHash("sha256").update(`${timestamp}:${transactions.length}`);
  for (const transaction of transactions) {
    hash.update(`:${transaction.length}:`).update(transaction);
  }
  return hash.digest("hex");
}

/** Where two chains of blocks part, counted from 0; `undefined` when they are the same. */
export function firstDifference(
  sent: readonly Fingerprint[],
  derived: readonly Fingerprint[],
): number | undefined {
  const most = Math.max(sent.length, derived.length);
  for (let index = 0; index < most; index++) {
    if (sent[index] !== derived[index]) return index;
  }
  return undefined;
}

function fingerprinting(source: BatchSource, sent: Fingerprint[]): BatchSource {
  return {
    async pendingBlocks() {
      const blocks = await source.pendingBlocks();
      sent.push(...blocks.map(fingerprint));
      return blocks;
    },
    l1Origin: () => source.l1Origin(),
    l1OriginHash: (number) => source.l1OriginHash(number),
    parentHash: () => source.parentHash(),
    get isExhausted() {
      return source.isExhausted ?? false;
    },
  };
}

function fingerprintingSink(derived: Fingerprint[]): L2BlockSink {
  return {
    ingest(block) {
      derived.push(fingerprint(block));
      return Promise.resolve();
    },
  };
}

/** Adds up what was derived, and tells each batch. */
function progress(totals: Totals): Log {
  return (event) => {
    if (event.event !== "batch.accepted") return;
    const { batch, blocks, transactions, rawBytes } = event;
    const { blobs } = batch.inclusion;
    const compressedBytes = batch.data.length;
    totals.batches += 1;
    totals.blocks += blocks;
    totals.transactions += transactions;
    totals.rawBytes += rawBytes;
    totals.compressedBytes += compressedBytes;
    totals.blobs += blobs;
    writeStderr(
      `batch ${batch.batchNumber}: ${countOf(blocks, "block")}, ` +
        `${countOf(transactions, "transaction")}, ${formatBytes(rawBytes)} → ` +
        `${formatBytes(compressedBytes)} (${formatRatio(rawBytes / compressedBytes)}x), ` +
        `${countOf(blobs, "blob")} ${formatShare(compressedBytes / (blobs * BLOB_CAPACITY))} full`,
    );
  };
}
