/**
 * Numbers and tables for people, and texts that are fit to be seen.
 *
 * @module
 */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** `512 B`, `61.3 KiB`. */
export function formatBytes(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return power === 0 ? `${bytes} B` : `${(bytes / 1024 ** power).toFixed(1)} ${UNITS[power]}`;
}

/** `98.4 %`, or a dash where there is nothing to measure. */
export function formatShare(share: number | undefined): string {
  return share === undefined ? "-" : `${(100 * share).toFixed(1)} %`;
}

/** `4.13`, or a dash where there is nothing to measure. */
export function formatRatio(ratio: number | undefined): string {
  return ratio === undefined ? "-" : ratio.toFixed(2);
}

/** `1 block`, `2 blocks`. */
export function countOf(count: number | bigint, noun: string): string {
  const plural = noun.endsWith("ch") ? `${noun}es` : `${noun}s`;
  return `${count} ${Number(count) === 1 ? noun : plural}`;
}

/** Columns under a head, numbers to the right. */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0))
  );
  const line = (cells: readonly string[]) =>
    cells.map((cell, column) => cell.padStart(widths[column]!)).join("  ").trimEnd();
  return [head, ...rows].map(line).join("\n") + "\n";
}

/** JSON with 64-bit numbers as decimal text. */
export function toJson(value: unknown): string {
  return JSON.stringify(
    value,
    (_key, each) => typeof each === "bigint" ? each.toString() : each,
  ) + "\n";
}

/** What was typed, without anything that may be a private key in the place of something else. */
export function withoutKeys(text: string): string {
  return text.replace(/(0x)?[0-9a-f]{64,}/gi, "(64 or more hexadecimal digits, not repeated here)");
}

/** Wei as ether, to six digits that count. */
export function formatEther(wei: bigint): string {
  return `${Number((Number(wei) / 1e18).toPrecision(6))} ETH`;
}
