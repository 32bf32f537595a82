/**
 * What a benchmark finds: rows of a table, each with what it is measured against and the mark it is to
 * reach.
 *
 * @module
 */

/** A group of rows, one file in this folder. */
export interface Group {
  readonly name: string;
  /** What it measures, for the help text and above its rows. */
  readonly title: string;
  readonly run: (options: BenchOptions) => Promise<readonly Row[]>;
}

/** How a group is run. */
export interface BenchOptions {
  /** With so little data that the figures say nothing: to see that it works. */
  readonly isShort: boolean;
}

/** One figure, or the reason why there is none. */
export interface Row {
  readonly what: string;
  readonly value?: number;
  readonly unit?: string;
  /** Measured in the same run, in the same unit. */
  readonly against?: Figure;
  /** Why there is no value, or nothing to compare it with. */
  readonly missing?: string;
  readonly mark?: Mark;
  /** What else was seen. */
  readonly detail?: Readonly<Record<string, number | string>>;
}

/** A value that others are compared with. */
export interface Figure {
  readonly what: string;
  readonly value: number;
}

/** A bound of the value, or of its ratio to what it is measured against. */
export interface Mark {
  readonly of: "value" | "ratio";
  readonly least?: number;
  readonly most?: number;
}

/** Value to what it is measured against. */
export function ratioOf({ value, against }: Row): number | undefined {
  return value === undefined || against === undefined ? undefined : value / against.value;
}

/** Whether the mark is reached; `undefined` without a mark, or without the figure that it is for. */
export function isReached(row: Row): boolean | undefined {
  if (!row.mark) return undefined;
  const { of, least = -Infinity, most = Infinity } = row.mark;
  const figure = of === "ratio" ? ratioOf(row) : row.value;
  return figure === undefined ? undefined : figure >= least && figure <= most;
}

/** The rows of a group as a table, for people. */
export function tableOf(rows: readonly Row[]): string {
  const cells = rows.map((row) => [
    row.what,
    row.value === undefined ? "–" : `${inDigits(row.value)} ${row.unit ?? ""}`.trim(),
    ratioOf(row) === undefined ? "" : `${ratioOf(row)!.toFixed(3)} ×`,
    markText(row),
    noteOf(row),
  ]);
  const titles = ["", "value", "ratio", "mark", ""];
  const widths = titles.map((title, at) =>
    Math.max(title.length, ...cells.map((c) => c[at]!.length))
  );
  return [titles, ...cells].map((line) =>
    line.map((cell, at) =>
      at === 1 || at === 2 ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!)
    ).join("  ").trimEnd()
  ).join("\n") + "\n";
}

function markText(row: Row): string {
  if (!row.mark) return "";
  const { of, least, most } = row.mark;
  const bound = least === undefined ? `≤ ${most}` : `≥ ${least}`;
  const reached = isReached(row);
  return `${bound}${of === "ratio" ? " ×" : ""} ${
    reached === undefined ? "not seen" : reached ? "reached" : "MISSED"
  }`;
}

function noteOf({ against, missing, detail }: Row): string {
  return [
    ...(missing === undefined ? [] : [missing]),
    ...(against === undefined ? [] : [`${inDigits(against.value)}: ${against.what}`]),
    ...Object.entries(detail ?? {}).map(([name, value]) =>
      `${name} ${typeof value === "number" ? inDigits(value) : value}`
    ),
  ].join("; ");
}

/** Whole from 1000 on, three digits that count below. */
export function inDigits(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return `${Math.round(value)}`;
  return value.toPrecision(Math.abs(value) >= 1 ? 3 : 2).replace(/(\.\d*?)0+$/, "$1").replace(
    /\.$/,
    "",
  );
}

/** The one in the middle: a disturbance of one run does not move it. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Seconds that `action` takes, and what it gives. */
export async function timed<T>(
  action: () => T | Promise<T>,
): Promise<[seconds: number, result: T]> {
  const start = performance.now();
  const result = await action();
  return [(performance.now() - start) / 1000, result];
}
