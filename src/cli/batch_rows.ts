/**
 * Rows of batches, posted ones and estimated ones: sizes, their sums, and how people see them.
 *
 * @module
 */
import { BLOB_CAPACITY } from "../wire/blob.ts";
import type { BatchCost, UnitCosts } from "./batch_costs.ts";
import { formatBytes, formatRatio, formatShare, formatWei, formatWeiEach } from "./text.ts";

/** What a batch holds, and what it takes. */
export interface BatchContent {
  readonly blocks: number;
  readonly transactions: number;
  readonly rawBytes: number;
  readonly compressedBytes: number;
  readonly blobs: number;
}

/** The same with what follows of it. */
export interface BatchSizes extends BatchContent {
  /** Compressed bytes to the usable bytes of its blobs; none for calldata. */
  readonly fill: number | null;
  /** Raw to compressed bytes. */
  readonly ratio: number | null;
}

/** Titles of {@link sizeCells}. */
export const SIZE_HEAD: readonly string[] = [
  "blocks",
  "txs",
  "raw",
  "posted",
  "ratio",
  "blobs",
  "fill",
];
/** Titles of {@link costCells}. */
export const COST_HEAD: readonly string[] = ["cost", "per tx", "per byte"];

/** Sizes of one batch. */
export function sizesOf(content: BatchContent): BatchSizes {
  const { rawBytes, compressedBytes, blobs } = content;
  return {
    ...content,
    fill: fillOf(compressedBytes, blobs),
    ratio: ratioOf(rawBytes, compressedBytes),
  };
}

/** Sums; fill is that of what is in blobs, ratio that of what was read. */
export function sizeSums(rows: readonly BatchContent[]): BatchSizes {
  const sum = (key: keyof BatchContent, of = rows) => of.reduce((all, each) => all + each[key], 0);
  const inBlobs = rows.filter((each) => each.blobs > 0);
  const derived = rows.filter((each) => each.rawBytes > 0);
  return {
    blocks: sum("blocks"),
    transactions: sum("transactions"),
    rawBytes: sum("rawBytes"),
    compressedBytes: sum("compressedBytes"),
    blobs: sum("blobs"),
    fill: fillOf(sum("compressedBytes", inBlobs), sum("blobs")),
    ratio: ratioOf(sum("rawBytes"), sum("compressedBytes", derived)),
  };
}

/** What a batch, or many, hold and take. */
export function sizeCells(sizes: BatchSizes): string[] {
  return [
    `${sizes.blocks}`,
    `${sizes.transactions}`,
    formatBytes(sizes.rawBytes),
    formatBytes(sizes.compressedBytes),
    formatRatio(sizes.ratio ?? undefined),
    `${sizes.blobs}`,
    formatShare(sizes.fill ?? undefined),
  ];
}

/** What they cost, where that is known. */
export function costCells(
  { costWei, weiPerTransaction, weiPerByte }: Partial<Pick<BatchCost, "costWei"> & UnitCosts>,
): string[] {
  if (costWei === undefined) return ["?", "?", "?"];
  const each = (wei: string | null | undefined) =>
    typeof wei === "string" ? formatWeiEach(wei) : "-";
  return [formatWei(costWei), each(weiPerTransaction), each(weiPerByte)];
}

function fillOf(bytes: number, blobs: number): number | null {
  return blobs > 0 ? bytes / (blobs * BLOB_CAPACITY) : null;
}

function ratioOf(raw: number, compressed: number): number | null {
  return raw > 0 && compressed > 0 ? raw / compressed : null;
}
