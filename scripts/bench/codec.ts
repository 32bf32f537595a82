/**
 * The wire codec alone, on batches of real blocks.
 *
 * @module
 */
import { decodeBatch, encodeBatch, headerFor } from "../../src/wire/batch.ts";
import { fromBlobs, toBlobs } from "../../src/wire/blob.ts";
import { someBlocks } from "./blocks.ts";
import type { BenchOptions, Group, Row } from "./rows.ts";

/** The group. */
export const codec: Group = {
  name: "codec",
  title: "bytes a second of the codec alone; the best of many rounds",
  run,
};

function run({ isShort }: BenchOptions): Promise<Row[]> {
  const blocks = someBlocks(isShort);
  const check = new Uint8Array(20);
  const position = { batchNumber: 0n, l1Origin: 0n, l1OriginCheck: check, parentCheck: check };
  const header = headerFor(position, blocks);
  const raw = encodeBatch(header, blocks);
  // Bytes that look compressed, as these are what blobs hold.
  const stream = raw.subarray(0, 6 * 130_044);
  const blobs = toBlobs(stream);
  const rounds = isShort ? 3 : 40;
  const row = (what: string, bytes: number, action: () => unknown, least?: number): Row => ({
    what,
    value: bytes / 1e6 / best(rounds, action),
    unit: "MB/s",
    ...(least === undefined ? {} : { mark: { of: "value", least } }),
    detail: { bytes, rounds },
  });
  return Promise.resolve([
    row("encodeBatch()", raw.length, () => encodeBatch(header, blocks), 1000),
    row("decodeBatch()", raw.length, () => decodeBatch(raw), 1000),
    row("toBlobs()", stream.length, () => toBlobs(stream)),
    row("fromBlobs()", stream.length, () => fromBlobs(blobs)),
  ]);
}

/** Seconds of the quickest of `rounds`: what it takes when nothing comes in between. */
function best(rounds: number, action: () => unknown): number {
  let least = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = performance.now();
    action();
    least = Math.min(least, performance.now() - start);
  }
  return least / 1000;
}
