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

/** `42 s`, `12 min`, `3.5 h`, `2.1 d`. */
export function timeText(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86_400).toFixed(1)} d`;
}

/** `0.0213 ether`, `31.4 gwei`, `7 wei`, in four digits. */
export function formatWei(wei: bigint): string {
  if (wei >= 10n ** 15n) return `${inFourDigits(Number(wei) / 1e18)} ether`;
  if (wei >= 10n ** 7n) return `${inFourDigits(Number(wei) / 1e9)} gwei`;
  return `${wei} wei`;
}

function inFourDigits(value: number): string {
  return value >= 1000 ? value.toFixed(0) : `${Number(value.toPrecision(4))}`;
}

/** What one of `count` costs, in wei as decimal text with up to three places: `0.189`, `162.5`. */
export function weiEach(wei: bigint, count: number): string {
  const thousandths = wei * 1000n / BigInt(count);
  const places = `${thousandths % 1000n}`.padStart(3, "0").replace(/0+$/, "");
  return `${thousandths / 1000n}${places === "" ? "" : `.${places}`}`;
}

/** {@link weiEach} for people: `0.189 wei`, `1.3 gwei`. */
export function formatWeiEach(each: string): string {
  const wei = BigInt(each.split(".")[0]!);
  return wei < 1000n ? `${each} wei` : formatWei(wei);
}

/** A fact a line, in two columns. */
export function factLines(facts: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...facts.map(([name]) => name.length));
  return facts.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join("");
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

/** Settings of the library, and their flags. */
const FLAG_NAMES: Readonly<Record<string, string>> = {
  maxSpendPerHourWei: "--max-spend-per-hour",
  maxSpendPerBatchWei: "--max-spend-per-batch",
};

/** What the library says, with flags in the place of its settings. */
export function withFlagNames(text: string): string {
  return text.replace(/\bmaxSpendPer\w+\b/g, (name) => FLAG_NAMES[name] ?? name);
}
