/**
 * Estimates as people and spreadsheets see them.
 *
 * @module
 */
import type { Market } from "../l1/gas.ts";
import type { CutReason } from "../ports.ts";
import type { BatchCost, CostSums, UnitCosts } from "./batch_costs.ts";
import { type BatchSizes, COST_HEAD, costCells, SIZE_HEAD, sizeCells } from "./batch_rows.ts";
import { formatTable, formatWei, timeText } from "./text.ts";

/** Gas that is taken at any price. */
interface GasUsed {
  readonly gasUsed: bigint;
  readonly blobGasUsed: bigint;
}

/** A batch as it would be posted; what it costs is there where fees are known. */
export interface EstimateRow extends BatchSizes, GasUsed, Partial<BatchCost>, Partial<UnitCosts> {
  readonly gasUsed: bigint;
  readonly blobGasUsed: bigint;
  readonly batchNumber: bigint;
  /** Why it ends where it does; `shutdown` is the end of the blocks. */
  readonly reason: CutReason;
  /** Its number, where it has one. */
  readonly lastBlock: bigint | null;
  /** How long its first block waited; `null` in a backlog. */
  readonly waitedMs: number | null;
}

/** Sums over batches. */
export interface EstimateTotals extends BatchSizes, GasUsed, Partial<CostSums> {
  readonly batches: number;
  readonly longestWaitMs: number | null;
}

/** What blocks would be posted as in one way. */
export interface Estimate {
  /** `null` in a backlog. */
  readonly batchIntervalMs: number | null;
  /** `null` without one. */
  readonly level: number | null;
  readonly da: "blobs" | "calldata" | "auto";
  readonly maxBlobs: number;
  readonly batches: readonly EstimateRow[];
  readonly totals: EstimateTotals;
}

/** The batches of one estimate, or the totals of several side by side; and the fees. */
export function tableOf(estimates: readonly Estimate[], market: Market | undefined): string {
  const [only] = estimates;
  const table = estimates.length === 1 ? batchTable(only!) : totalsTable(estimates);
  if (!market) return table;
  const { baseFee, tip, blobBaseFee } = market;
  return `${table}at a base fee of ${formatWei(baseFee)}, a tip of ${
    formatWei(tip)
  } and a blob base ` +
    `fee of ${formatWei(blobBaseFee)}\n`;
}

function batchTable({ batches, totals }: Estimate): string {
  const rows = batches.map((each) => [
    `${each.batchNumber}`,
    ...cells(each, each.waitedMs),
    each.reason === "shutdown" ? "end" : each.reason,
  ]);
  const total = ["total", ...cells(totals, totals.longestWaitMs), ""];
  return formatTable(["batch", ...headOf(totals), "cut by"], [...rows, total]);
}

function totalsTable(estimates: readonly Estimate[]): string {
  const rows = estimates.map(({ batchIntervalMs, level, da, maxBlobs, totals }) => [
    batchIntervalMs === null ? "-" : timeText(batchIntervalMs),
    level === null ? "-" : `${level}`,
    da,
    `${maxBlobs}`,
    `${totals.batches}`,
    ...cells(totals, totals.longestWaitMs),
  ]);
  const settings = ["interval", "level", "da", "max blobs", "batches"];
  return formatTable([...settings, ...headOf(estimates[0]!.totals)], rows);
}

function headOf({ costWei }: EstimateTotals): string[] {
  return [...SIZE_HEAD, "gas", ...(costWei === undefined ? [] : COST_HEAD), "waited"];
}

function cells(each: EstimateRow | EstimateTotals, waitedMs: number | null): string[] {
  return [
    ...sizeCells(each),
    `${each.gasUsed}`,
    ...(each.costWei === undefined ? [] : costCells(each)),
    waitedMs === null ? "-" : timeText(waitedMs),
  ];
}

/** A line a batch, its settings in front of it; what is not there is empty. */
export function csvOf(estimates: readonly Estimate[]): string {
  const lines = estimates.flatMap(({ batches, totals: _, ...settings }) =>
    batches.map((batch) => ({ ...settings, ...batch }))
  );
  const names = Object.keys(lines[0]!) as (keyof (typeof lines)[number])[];
  const text = lines.map((line) => names.map((name) => `${line[name] ?? ""}`).join());
  return [names.join(), ...text].join("\n") + "\n";
}
