/**
 * Files of blocks, and what a run left behind: for the tests of the program.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import type { L2Block } from "../../src/types.ts";
import { toHex } from "../../src/wire/hex.ts";
import { linkedBlocks } from "../helpers.ts";
import { run, type RunOptions, succeeded } from "./montana.ts";

/** A block as a line of a source file, without the newline. */
export function lineOf({ number, hash, parentHash, timestamp, transactions }: L2Block): string {
  return JSON.stringify({
    ...(number === undefined ? {} : { number: Number(number) }),
    timestamp: Number(timestamp),
    ...(hash ? { hash: toHex(hash) } : {}),
    ...(parentHash ? { parentHash: toHex(parentHash) } : {}),
    transactions: transactions.map(toHex),
  });
}

/** The text of a source file: blocks that link to each other, one transaction of noise each. */
export function sourceText(count: number, { first = 0, size = 20 } = {}): string {
  return joinLines(linkedBlocks(count, { first, size }).map(lineOf));
}

/** Each with a newline. */
export function joinLines(lines: readonly string[]): string {
  return lines.map((line) => line + "\n").join("");
}

/** The lines of a text, without newlines. */
export function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

/** The text of a file, unpacked where it ends in .gz. */
export async function readText(path: string): Promise<string> {
  const bytes = await readFile(path);
  return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
}

/** What travels of each block: its timestamp and its transactions. */
export function contentOf(text: string): string[] {
  return linesOf(text).map((line) => {
    const { timestamp, transactions } = JSON.parse(line);
    return [timestamp, ...transactions].join();
  });
}

/** Makes sure that two files hold the same timestamps and transactions. */
export async function sameBlocks(derived: string, source: string): Promise<void> {
  const [actual, expected] = [await readText(derived), await readText(source)].map(contentOf);
  equal(actual!.length, expected!.length, "number of blocks");
  const different = expected!.findIndex((each, index) => each !== actual![index]);
  equal(different, -1, `block ${different} differs`);
}

/** A row of `report --json`. */
export interface ReportRow {
  readonly batchNumber: string;
  readonly verdict: string;
  readonly reason?: string;
  readonly blocks: number;
  readonly transactions: number;
  readonly rawBytes: number;
  readonly compressedBytes: number;
  readonly blobs: number;
  readonly fill: number | null;
  readonly ratio: number | null;
}

/** What `report --json` answers. */
export interface Report {
  readonly batches: readonly ReportRow[];
  readonly totals: Readonly<Record<string, number | null>>;
}

/** What stands on the L1 in `l1`. */
export async function report(l1: string, options: RunOptions = {}): Promise<Report> {
  return JSON.parse(succeeded(await run(["report", "--l1", l1, "--json"], options)));
}

/** Makes sure that an L1 holds so many blocks in batches 0, 1, 2 … with nothing twice. */
export async function holdsBlocks(l1: string, blocks: number): Promise<Report> {
  const found = await report(l1);
  deepEqual(found.batches.map((row) => row.batchNumber), found.batches.map((_, at) => `${at}`));
  deepEqual([...new Set(found.batches.map((row) => row.verdict))], ["accepted"]);
  equal(found.totals["blocks"], blocks);
  return found;
}
