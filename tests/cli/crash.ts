/**
 * What the tests of crashes share: how much of the work is done now, and what must be there afterwards.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { readFile } from "node:fs/promises";
import process from "node:process";
import { allCompressors } from "../../src/compress/formats.ts";
import { FileBatchSource } from "../../src/local/files.ts";
import { MemoryBlockSink, SeededRandom } from "../../src/local/memory.ts";
import { DerivationPipeline } from "../../src/pipeline/deriver.ts";
import { stepAll } from "../helpers.ts";
import { contentOf, linesOf } from "./files.ts";

/** `deno task crash` does all; the gate does a part, spread over the whole. */
export const isWhole: boolean = process.env["MONTANA_CRASH"] === "all";

/** Tells what `deno task crash` has done; the gate says nothing. */
export function tellDone(test: string, figures: string): void {
  if (isWhole) process.stdout.write(`done: ${test}: ${figures}\n`);
}

/** `count` of the numbers from 1 to `last`, evenly spread, or all of them: the places to crash at. */
export function placesUpTo(last: number, count: number): number[] {
  const all = Array.from({ length: last }, (_, index) => index + 1);
  if (isWhole || last <= count) return all;
  return Array.from({ length: count }, (_, index) => 1 + Math.floor(index * last / count));
}

/** Whole numbers by chance, from `least` to `most`, the same for the same seed. */
export function chance(seed: number): (least: number, most: number) => number {
  const random = new SeededRandom(seed);
  return (least, most) => least + Math.floor(random.next() * (most - least + 1));
}

/** Makes sure that L1 gives the blocks of a text, once and in order, in batches 0, 1, 2 … */
export async function l1Gives(l1: string, source: string): Promise<void> {
  const { verdicts, blocks } = await derive(l1);
  deepEqual(verdicts, verdicts.map((_, index) => `accept ${index}`), "each number once, in order");
  deepEqual(blocks, contentOf(source), "each block once, in order");
}

/** Numbers of the batches on an L1, in order. */
export async function batchesOn(l1: string): Promise<number> {
  return (await derive(l1)).verdicts.length;
}

async function derive(l1: string): Promise<{ verdicts: string[]; blocks: string[] }> {
  const sink = new MemoryBlockSink();
  const compressors = allCompressors();
  const deriver = new DerivationPipeline({
    source: await FileBatchSource.open(l1),
    compressors,
    sink,
  });
  const verdicts = await stepAll(deriver);
  const blocks = sink.blocks.map(({ timestamp, transactions }) =>
    [timestamp, ...transactions.map((each) => `0x${Buffer.from(each).toString("hex")}`)].join()
  );
  return { verdicts, blocks };
}

/** Makes sure that a file is what an undisturbed deriver wrote, byte for byte. */
export async function sameBytes(path: string, expected: Uint8Array): Promise<void> {
  const found = await readFile(path);
  equal(
    linesOf(found.toString()).length,
    linesOf(Buffer.from(expected).toString()).length,
    "lines",
  );
  equal(Buffer.compare(found, expected), 0, `${path} differs`);
}

/** The highest batch number that something was said of, plus one: `batch 3: …`, `derived batch 3: …`. */
export function batchesSaid(stderr: string, words: RegExp): number {
  const numbers = stderr.split("\n").map((line) => words.exec(line)?.[1]);
  return Math.max(0, ...numbers.flatMap((each) => each === undefined ? [] : [Number(each) + 1]));
}
