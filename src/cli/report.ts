/**
 * `montana report`: what stands on L1, batch by batch and in total, and on an L1 that is paid what it cost.
 *
 * With `--json` it is one object, `{ "batches": […], "totals": {…} }`: a {@link BatchRow} each, and
 * {@link ReportTotals}. Numbers of 64 bits and amounts of wei are decimal text.
 *
 * @module
 */
import { allCompressors } from "../compress/formats.ts";
import { DerivationPipeline } from "../pipeline/deriver.ts";
import type { LogEvent } from "../ports.ts";
import { writeStdout } from "../runtime.ts";
import { fromHex, toHex } from "../wire/hex.ts";
import {
  type BatchCost,
  costsOf,
  type CostSums,
  costSums,
  type UnitCosts,
  unitCosts,
} from "./batch_costs.ts";
import {
  type BatchSizes,
  COST_HEAD,
  costCells,
  SIZE_HEAD,
  sizeCells,
  sizesOf,
  sizeSums,
} from "./batch_rows.ts";
import { type CommandSpec, EXIT, type FlagValues, JSON_FLAG } from "./command.ts";
import {
  addressesOf,
  BATCHERS_FLAG,
  ETHEREUM_FLAGS,
  INBOX_FLAG,
  L1_FLAG,
  l1Place,
} from "./l1_flags.ts";
import { openL1 } from "./open_l1.ts";
import { formatTable, formatWei, toJson } from "./text.ts";

/** The report. */
export const report: CommandSpec = {
  name: "report",
  summary: "Tell what was posted: batches, blocks, bytes, blobs, fill, and what it cost",
  flags: [
    L1_FLAG,
    INBOX_FLAG,
    BATCHERS_FLAG,
    ...ETHEREUM_FLAGS,
    JSON_FLAG,
  ],
  examples: [
    "report --l1 ./l1",
    "report --l1 ./l1 --json",
    "report --l1 http://127.0.0.1:8545 --beacon http://127.0.0.1:5052 --inbox 0xff00000000000000000000000000000000008453 --batcher 0x5050f69a9786f081509234f1a7f4684b5e5b76c9 --l1-start-block 21000000",
  ],
  run: runReport,
};

/**
 * One batch transaction on L1. Only what was accepted has blocks. What it cost is there on an L1 that is
 * paid, whatever the verdict; without it where the node no longer has the receipt.
 */
export interface BatchRow extends BatchSizes, Partial<BatchCost>, Partial<UnitCosts> {
  readonly batchNumber: bigint;
  /** `future`: it still waits for one before it. */
  readonly verdict: "accepted" | "duplicate" | "future" | "dropped";
  readonly reason?: string;
  readonly l1Block: bigint;
  /** `0x` and 64 digits. */
  readonly txHash: string;
}

/** Sums over all rows; `batches`, `blocks` and `transactions` count what was accepted. */
export interface ReportTotals extends BatchSizes, Partial<ReportCosts> {
  readonly batches: number;
  readonly duplicates: number;
  readonly futures: number;
  readonly dropped: number;
  readonly ignored: number;
}

/** What all rows cost together, on an L1 that is paid: those that derivation leaves out, too. */
export interface ReportCosts extends CostSums {
  /** The part of it that brought no block: duplicates, dropped ones, and those that wait. */
  readonly lostWei: bigint;
  /** Rows whose receipt the node does not have: they are in none of these sums. */
  readonly withoutReceipt: number;
}

async function runReport(flags: FlagValues): Promise<number> {
  const place = l1Place(flags);
  const addresses = addressesOf(flags, place);
  // By transaction: a batch that waits is told of again in its turn, and so is what is read again.
  const read = new Map<string, BatchRow>();
  const ignored = new Map<string, bigint>();
  const log = (event: LogEvent) => {
    const row = rowOf(event);
    if (row) read.set(row.txHash, row);
    if (event.event === "transaction.ignored") ignored.set(toHex(event.txHash), event.l1Block);
    if (event.event !== "derivation.reset") return;
    for (const [txHash, { l1Block }] of read) if (l1Block > event.l1Block) read.delete(txHash);
    for (const [txHash, l1Block] of ignored) if (l1Block > event.l1Block) ignored.delete(txHash);
  };
  const l1 = (await openL1(place, log))!;
  try {
    const deriver = new DerivationPipeline({
      source: l1.reader({ addresses, head: "latest", startBlock: 0n, log }),
      compressors: allCompressors(),
      sink: { ingest: () => Promise.resolve(), retract: () => Promise.resolve() },
      log,
    });
    while (await deriver.step());

    const found = [...read.values()];
    const costs = await costsOf(l1, found.map(({ txHash }) => fromHex(txHash, "hash", 32)));
    const rows = costs ? found.map((each, index) => priced(each, costs[index])) : found;
    const totals = totalsOf(rows, ignored.size, costs !== undefined);
    await writeStdout(flags.json ? toJson({ batches: rows, totals }) : tableOf(rows, totals));
  } finally {
    await l1.close();
  }
  return EXIT.done;
}

function priced(row: BatchRow, cost: BatchCost | undefined): BatchRow {
  if (!cost) return row;
  return { ...row, ...cost, ...unitCosts(cost.costWei, row.transactions, row.compressedBytes) };
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
  const { blockNumber: l1Block, blobs, txHash } = batch.inclusion;
  return {
    batchNumber: batch.batchNumber,
    verdict,
    l1Block,
    txHash: toHex(txHash),
    ...sizesOf({ ...content, compressedBytes: batch.data.length, blobs }),
  };
}

function totalsOf(rows: readonly BatchRow[], ignored: number, isPaid: boolean): ReportTotals {
  const count = (verdict: BatchRow["verdict"]) =>
    rows.filter((each) => each.verdict === verdict).length;
  return {
    batches: count("accepted"),
    ...sizeSums(rows),
    duplicates: count("duplicate"),
    futures: count("future"),
    dropped: count("dropped"),
    ignored,
    ...(isPaid ? reportCosts(rows) : {}),
  };
}

function reportCosts(rows: readonly BatchRow[]): ReportCosts {
  const paid = rows.filter(hasCost);
  return {
    ...costSums(paid),
    lostWei: paid.reduce(
      (wei, each) => wei + (each.verdict === "accepted" ? 0n : each.costWei),
      0n,
    ),
    withoutReceipt: rows.length - paid.length,
  };
}

function hasCost(row: BatchRow): row is BatchRow & BatchCost {
  return row.costWei !== undefined;
}

function tableOf(rows: readonly BatchRow[], totals: ReportTotals): string {
  const hasCosts = totals.costWei !== undefined;
  const head = ["batch", "L1 block", ...SIZE_HEAD, ...(hasCosts ? COST_HEAD : []), ""];
  const cells = (each: BatchRow | ReportTotals) => [
    ...sizeCells(each),
    ...(hasCosts ? costCells(each) : []),
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
    remarks(totals),
  ];
  return formatTable(head, [...lines, total]);
}

function remarks({ ignored, lostWei = 0n, withoutReceipt = 0 }: ReportTotals): string {
  return [
    ignored > 0 ? `${ignored} ignored` : "",
    lostWei > 0n ? `${formatWei(lostWei)} for what is left out` : "",
    withoutReceipt > 0 ? `${withoutReceipt} without a receipt` : "",
  ].filter(Boolean).join(", ");
}
