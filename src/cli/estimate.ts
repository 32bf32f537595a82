/**
 * `montana estimate`: what a range of blocks would cost before it is posted, batch by batch, by the very
 * batcher, compressor and sinks that would post it.
 *
 * Flags that are given several times are held against each other, each with each. With `--json` it is one
 * object, `{ "prices": …, "estimates": […] }`, an {@link Estimate} each; with `--csv` a line a batch.
 * Numbers of 64 bits and amounts of wei are decimal text.
 *
 * @module
 */
import { AutoSink, type DataKind } from "../l1/auto_sink.ts";
import { BlobSink } from "../l1/blob_sink.ts";
import { CalldataSink } from "../l1/calldata_sink.ts";
import { TxQuotes } from "../l1/tx_quotes.ts";
import { DEFAULT_INBOX } from "../local/inbox.ts";
import type { BatcherParts } from "../pipeline/batcher_parts.ts";
import { estimateBatches, type EstimatedBatch } from "../pipeline/estimate.ts";
import type { BatchSink, Log } from "../ports.ts";
import { writeStderr, writeStdout } from "../runtime.ts";
import { batchCostFrom, costSums, unitCosts } from "./batch_costs.ts";
import { sizesOf, sizeSums } from "./batch_rows.ts";
import {
  type CommandSpec,
  EXIT,
  type Flag,
  type FlagValues,
  JSON_FLAG,
  listOf,
} from "./command.ts";
import { COMPRESSION_FLAGS, compressionInWorkers } from "./compression.ts";
import { openRange, rangeFrom, SharedBlocks } from "./estimate_l2.ts";
import { openPrices, PRICE_FLAGS, type Prices, priceSettings } from "./estimate_prices.ts";
import { csvOf, type Estimate, type EstimateRow, tableOf } from "./estimate_table.ts";
import { L2_FLAG, L2_NODE_FLAGS } from "./l2.ts";
import { LOG_FLAGS, logFrom } from "./log.ts";
import { parseChoice, usage } from "./options.ts";
import { type Packing, PACKING_FLAGS, packingFrom } from "./packing_flags.ts";
import { startProgress } from "./progress.ts";
import { toJson } from "./text.ts";

const DA: readonly (DataKind | "auto")[] = ["blobs", "calldata", "auto"];
const DA_FLAG: Flag = { flags: "--da <where>", help: DA.join(", "), value: "blobs", choices: DA };

/** What is to be compared, by the names of its flags. */
const SETTINGS: Readonly<Record<string, string>> = {
  batchInterval: "--batch-interval",
  level: "--level",
  da: "--da",
  maxBlobs: "--max-blobs",
};

const PACKED_BY = [...PACKING_FLAGS, ...COMPRESSION_FLAGS, DA_FLAG];

/** The estimate. */
export const estimate: CommandSpec = {
  name: "estimate",
  summary: "Tell what blocks would cost before they are posted, in several ways side by side",
  flags: [
    L2_FLAG,
    { flags: "--from <n>", help: "the first L2 block (the first of a file, block 1 of a node)" },
    { flags: "--to <n>", help: "the last L2 block (the last there is)" },
    { flags: "--backlog", help: "as if all were there at once, not each at its timestamp" },
    ...PRICE_FLAGS,
    ...PACKED_BY.map((flag) => (settingOf(flag) === undefined ? flag : severalOf(flag))),
    ...L2_NODE_FLAGS.filter(({ flags }) => !flags.startsWith("--start-block ")),
    ...LOG_FLAGS,
    { flags: "--csv", help: "a line a batch, separated by commas" },
    JSON_FLAG,
  ],
  examples: [
    "estimate --l2 blocks.jsonl.gz",
    "estimate --l2 blocks.jsonl.gz --backlog --base-fee 5gwei --blob-base-fee 1gwei",
    "estimate --l2 http://127.0.0.1:9545 --from 1000 --to 2000 --l1 http://127.0.0.1:8545",
    "estimate --l2 blocks.jsonl.gz --batch-interval 12s --batch-interval 5m --level 6 --level 11 --l1 http://127.0.0.1:8545",
    "estimate --l2 blocks.jsonl.gz --da blobs --da calldata --da auto --l1 http://127.0.0.1:8545 --json",
  ],
  run: runEstimate,
};

async function runEstimate(flags: FlagValues): Promise<number> {
  if (flags["csv"] && flags["json"]) throw usage("Cannot use --csv with --json: need one of them");
  const log = logFrom(flags);
  const variants = variantsOf(flags, log);
  const priced = priceSettings(flags, variants.map(({ da }) => da));
  const { from, to } = rangeFrom(flags);
  const { signal } = new AbortController();

  const prices = await openPrices(priced, log, { once: true, signal });
  const l2 = await openRange(flags, { l1: prices.origins, log, signal });
  const progress = startProgress(flags, {
    task: "estimate",
    read: () => ({
      blocks: l2.blocks.given,
      left: l2.blocks.left,
      leftUnit: "block",
      newestTimestamp: l2.blocks.last?.timestamp,
    }),
    log,
  });
  let estimates: readonly Estimate[];
  try {
    const shared = new SharedBlocks(l2.blocks, variants.length);
    const isBacklog = flags["backlog"] === true;
    estimates = await Promise.all(variants.map(async (variant) => {
      const parts = { ...variant.compression, source: shared.reader() };
      const sink = sinkOf(variant, prices);
      const batches = await estimateBatches({ ...parts, sink }, variant.config, { isBacklog });
      return estimateOf(variant, batches, { prices, isBacklog });
    }));
  } finally {
    await progress.stop();
    await l2.close();
  }
  const { last } = l2.blocks;
  if (!last) {
    const range = from === undefined ? "" : ` from --from ${from} on`;
    throw usage(`Cannot estimate: the L2 has no block${range}`);
  }
  if (to !== undefined && last.number! < to) {
    writeStderr(`warning: L2 ends with block ${last.number}, before --to ${to}`);
  }
  const { market } = prices;
  if (flags["json"]) {
    const shown = market && {
      baseFeeWei: market.baseFee,
      tipWei: market.tip,
      blobBaseFeeWei: market.blobBaseFee,
    };
    await writeStdout(toJson({ prices: shown ?? null, estimates }));
  } else await writeStdout(flags["csv"] ? csvOf(estimates) : tableOf(estimates, market));
  return EXIT.done;
}

/** One way to post. */
interface Variant extends Packing {
  readonly da: DataKind | "auto";
  readonly compression: Pick<BatcherParts, "compressor" | "estimator">;
}

/** Each value of each setting with each of the others. */
function variantsOf(flags: FlagValues, log: Log): readonly Variant[] {
  const backlog = flags["backlog"] === true && listOf(flags, "batchInterval").length > 0;
  if (backlog) throw usage("Cannot use --batch-interval with --backlog: nothing waits for it");
  let ways: FlagValues[] = [flags];
  for (const name of Object.keys(SETTINGS)) {
    const own = PACKED_BY.find((flag) => settingOf(flag) === name)!.value;
    const given = [...new Set(listOf(flags, name))];
    const values = given.length > 0 ? given : [own];
    ways = ways.flatMap((way) => values.map((value) => ({ ...way, [name]: value })));
  }
  // The threads of a level are those of all who compress with it.
  const byLevel = new Map<FlagValues[string], Variant["compression"]>();
  return ways.map((way) => {
    const packing = packingFrom(way);
    const { compressor, estimator } = byLevel.get(way["level"]) ??
      compressionInWorkers(way, packing.workers, log);
    const compression = { compressor, ...(estimator ? { estimator } : {}) };
    byLevel.set(way["level"], compression);
    return { ...packing, compression, da: parseChoice("--da", `${way["da"]}`, DA) };
  });
}

/** Which setting a flag is. */
function settingOf({ flags }: Flag): string | undefined {
  return Object.keys(SETTINGS).find((name) => flags.startsWith(`${SETTINGS[name]} `));
}

function severalOf({ value, help, ...flag }: Flag): Flag {
  const own = value === undefined ? "" : ` (${value})`;
  return { ...flag, help: `${help}; several are compared${own}`, isRepeated: true };
}

/** The sink that would post, to nobody. */
function sinkOf({ da, maxBlobs }: Variant, { market }: Prices): BatchSink {
  const manager = new TxQuotes(market ?? { baseFee: 0n, tip: 0n, blobBaseFee: 0n });
  const options = { manager, inbox: DEFAULT_INBOX, maxBlobs };
  if (da === "auto") return new AutoSink(options);
  return da === "blobs" ? new BlobSink(options) : new CalldataSink(options);
}

function estimateOf(
  { da, maxBlobs, config: { batchIntervalMs }, compression: { compressor } }: Variant,
  batches: readonly EstimatedBatch[],
  { prices: { market }, isBacklog }: { readonly prices: Prices; readonly isBacklog: boolean },
): Estimate {
  const rows = batches.map((batch) => rowOf(batch, market !== undefined));
  const priced = batches.map((batch) => ({ ...batch, ...batchCostFrom(batch.cost!) }));
  const gas = (key: "gasUsed" | "blobGasUsed") => rows.reduce((sum, each) => sum + each[key], 0n);
  return {
    batchIntervalMs: isBacklog ? null : batchIntervalMs,
    level: compressor.level ?? null,
    da,
    maxBlobs,
    batches: rows,
    totals: {
      batches: rows.length,
      ...sizeSums(rows),
      gasUsed: gas("gasUsed"),
      blobGasUsed: gas("blobGasUsed"),
      ...(market ? costSums(priced) : {}),
      longestWaitMs: isBacklog ? null : Math.max(0, ...rows.map((each) => each.waitedMs!)),
    },
  };
}

function rowOf(batch: EstimatedBatch, isPriced: boolean): EstimateRow {
  const { batchNumber, reason, lastBlock, waitedMs = null } = batch;
  const { blocks, transactions, rawBytes, compressedBytes, blobs } = batch;
  const cost = batchCostFrom(batch.cost!);
  const { gasUsed, blobGasUsed, costWei } = cost;
  return {
    batchNumber,
    reason,
    lastBlock: lastBlock.number ?? null,
    waitedMs,
    ...sizesOf({ blocks, transactions, rawBytes, compressedBytes, blobs }),
    ...(isPriced
      ? { ...cost, ...unitCosts(costWei, transactions, compressedBytes) }
      : { gasUsed, blobGasUsed }),
  };
}
