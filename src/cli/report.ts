/**
 * `montana report`: what stands on L1, batch by batch and in total.
 *
 * @module
 */
import { allCompressors } from "../compress/formats.ts";
import { DerivationPipeline } from "../pipeline/deriver.ts";
import type { LogEvent } from "../ports.ts";
import { writeStdout } from "../runtime.ts";
import { BLOB_CAPACITY } from "../wire/blob.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG } from "./command.ts";
import {
  addressesOf,
  BATCHER_FLAG,
  ETHEREUM_FLAGS,
  INBOX_FLAG,
  L1_FLAG,
  l1Place,
} from "./l1_flags.ts";
import { openL1 } from "./open_l1.ts";
import { formatBytes, formatRatio, formatShare, formatTable, toJson } from "./text.ts";

/** The report. */
export const report: CommandSpec = {
  name: "report",
  summary: "Tell what was posted: batches, blocks, bytes, blobs, fill",
  flags: [
    L1_FLAG,
    INBOX_FLAG,
    BATCHER_FLAG,
    ...ETHEREUM_FLAGS,
    JSON_FLAG,
  ],
  examples: ["report --l1 ./l1", "report --l1 ./l1 --json"],
  run: runReport,
};

/** One batch transaction on L1. Only what was accepted has blocks. */
export interface BatchRow {
  readonly batchNumber: bigint;
  readonly verdict: "accepted" | "duplicate" | "future" | "dropped";
  readonly reason?: string;
  readonly l1Block: bigint;
  readonly blocks: number;
  readonly transactions: number;
  readonly rawBytes: number;
  readonly compressedBytes: number;
  readonly blobs: number;
  /** Compressed bytes to the usable bytes of its blobs; none for calldata. */
  readonly fill: number | null;
  /** Raw to compressed bytes. */
  readonly ratio: number | null;
}

/** Sums over all rows; `batches`, `blocks` and `transactions` count what was accepted. */
export interface ReportTotals {
  readonly batches: number;
  readonly blocks: number;
  readonly transactions: number;
  readonly rawBytes: number;
  readonly compressedBytes: number;
  readonly blobs: number;
  readonly fill: number | null;
  readonly ratio: number | null;
  readonly duplicates: number;
  readonly futures: number;
  readonly dropped: number;
  readonly ignored: number;
}

async function runReport(flags: FlagValues): Promise<number> {
  const place = l1Place(flags);
  const addresses = addressesOf(flags, place);
  const rows: BatchRow[] = [];
  let ignored = 0;
  const log = (event: LogEvent) => {
    const row = rowOf(event);
    if (row) rows.push(row);
    if (event.event === "transaction.ignored") ignored += 1;
  };
  const l1 = (await openL1(place, log))!;
  const deriver = new DerivationPipeline({
    source: l1.reader({ addresses, head: "latest", startBlock: 0n, log }),
    compressors: allCompressors(),
    sink: { ingest: () => Promise.resolve() },
    log,
  });
  while (await deriver.step());
  await l1.close();

  const totals = totalsOf(rows, ignored);
  await writeStdout(flags.json ? toJson({ batches: rows, totals }) : tableOf(rows, totals));
  return EXIT.done;
}

function rowOf(event: LogEvent): BatchRow | undefined {
  switch (event.event) {
    case "batch.accepted": {
      const { blocks, transactions, rawBytes } = event;
      return row("accepted", event.batch, { blocks, transactions, rawBytes });
    }
    case "batch.duplicate":
      return row("duplicate", event.batch);
    case "batch.future":
      return row("future", event.batch);
    case "batch.dropped":
      return { ...row("dropped", event.batch), reason: event.reason };
    default:
      return undefined;
  }
}

function row(
  verdict: BatchRow["verdict"],
  batch: Extract<LogEvent, { event: "batch.accepted" }>["batch"],
  content = { blocks: 0, transactions: 0, rawBytes: 0 },
): BatchRow {
  const { blockNumber: l1Block, blobs } = batch.inclusion;
  const compressedBytes = batch.data.length;
  return {
    batchNumber: batch.batchNumber,
    verdict,
    l1Block,
    ...content,
    compressedBytes,
    blobs,
    fill: fillOf(compressedBytes, blobs),
    ratio: ratioOf(content.rawBytes, compressedBytes),
  };
}

function totalsOf(rows: readonly BatchRow[], ignored: number): ReportTotals {
  const count = (verdict: BatchRow["verdict"]) =>
    rows.filter((each) => each.verdict === verdict).length;
  const sum = (key: "blocks" | "transactions" | "rawBytes" | "compressedBytes" | "blobs") =>
    rows.reduce((total, each) => total + each[key], 0);
  const inBlobs = rows.filter((each) => each.blobs > 0);
  const bytesInBlobs = inBlobs.reduce((total, each) => total + each.compressedBytes, 0);
  const derived = rows.filter((each) => each.verdict === "accepted");
  const bytesDerived = derived.reduce((total, each) => total + each.compressedBytes, 0);
  return {
    batches: derived.length,
    blocks: sum("blocks"),
    transactions: sum("transactions"),
    rawBytes: sum("rawBytes"),
    compressedBytes: sum("compressedBytes"),
    blobs: sum("blobs"),
    fill: fillOf(bytesInBlobs, sum("blobs")),
    ratio: ratioOf(sum("rawBytes"), bytesDerived),
    duplicates: count("duplicate"),
    futures: count("future"),
    dropped: count("dropped"),
    ignored,
  };
}

function tableOf(rows: readonly BatchRow[], totals: ReportTotals): string {
  const head = [
    "batch",
    "L1 block",
    "blocks",
    "txs",
    "raw",
    "posted",
    "ratio",
    "blobs",
    "fill",
    "",
  ];
  const cells = (each: BatchRow | ReportTotals) => [
    `${each.blocks}`,
    `${each.transactions}`,
    formatBytes(each.rawBytes),
    formatBytes(each.compressedBytes),
    formatRatio(each.ratio ?? undefined),
    `${each.blobs}`,
    formatShare(each.fill ?? undefined),
  ];
  const lines = rows.map((each) => [
    `${each.batchNumber}`,
    `${each.l1Block}`,
    ...cells(each),
    each.verdict === "accepted" ? "" : [each.verdict, each.reason].filter(Boolean).join(": "),
  ]);
  const total = [
    "total",
    "",
    ...cells(totals),
    totals.ignored > 0 ? `${totals.ignored} ignored` : "",
  ];
  return formatTable(head, [...lines, total]);
}

function fillOf(bytes: number, blobs: number): number | null {
  return blobs > 0 ? bytes / (blobs * BLOB_CAPACITY) : null;
}

function ratioOf(raw: number, compressed: number): number | null {
  return raw > 0 && compressed > 0 ? raw / compressed : null;
}
