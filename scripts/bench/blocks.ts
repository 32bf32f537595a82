/**
 * The blocks that benchmarks work on: real ones from `../shared/blocks`, where that is there, and made
 * ones.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import { parseBlockLine } from "../../src/local/block_line.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import type { L2Block } from "../../src/types.ts";
import { toHex } from "../../src/wire/hex.ts";

/** `MONTANA_SHARED` says where it is, to what was compiled and is somewhere else. */
export const shared: URL = process.env["MONTANA_SHARED"]
  ? pathToFileURL(process.env["MONTANA_SHARED"])
  : new URL("../../../shared/", import.meta.url);

/** Why there is no row about real blocks. */
export const NO_BLOCKS = "there is no ../shared/blocks";

/** The files of three runs of Base, in order. */
export const BASE_FILES = [
  "base-mainnet-19995441.jsonl.gz",
  "base-mainnet-19995509.jsonl.gz",
  "base-mainnet-19995583.jsonl.gz",
];

/** A channel that a batcher of an OP Stack chain posted. */
export interface PostedChannel {
  readonly file: string;
  readonly chain: string;
  readonly first: number;
  readonly last: number;
  readonly compression: string;
  readonly postedBytes: number;
  /** Otherwise a part of it is in no file. */
  readonly fileHoldsWholeChannel: boolean;
}

/** What was posted, where it can be compared with: whole channels. */
export function postedChannels(): readonly PostedChannel[] {
  const path = new URL("anchors/posted-channels.json", shared);
  if (!existsSync(path)) return [];
  const { channels } = JSON.parse(readFileSync(path, "utf8"));
  return channels.filter((each: PostedChannel) => each.fileHoldsWholeChannel);
}

/** The blocks of files of real ones; none where a file is missing. */
export function realBlocks(files: readonly string[] = BASE_FILES): readonly L2Block[] {
  const paths = files.map((file) => new URL(`blocks/${file}`, shared));
  if (!paths.every((path) => existsSync(path))) return [];
  return paths.flatMap((path) =>
    gunzipSync(readFileSync(path)).toString().split("\n").filter((line) => line !== "")
      .map((line, index) => parseBlockLine(line, `${path.pathname}:${index + 1}`))
  );
}

/** Real blocks, or made ones where there are none; `isShort` takes a few of them. */
export function someBlocks(isShort: boolean): readonly L2Block[] {
  const real = realBlocks();
  const blocks = real.length > 0 ? real : [...madeBlocks(2000)];
  return isShort ? blocks.slice(0, 4) : blocks;
}

/**
 * Blocks of two transactions each, 2 s apart, of which half is noise, as it is of signatures, and the rest
 * is alike.
 */
export function* madeBlocks(count: number): Generator<L2Block> {
  const random = new SeededRandom(1);
  for (let number = 0; number < count; number++) {
    const transaction = () =>
      Uint8Array.from({ length: 120 }, (_, at) => at < 60 ? at : Math.floor(random.next() * 256));
    yield {
      number: BigInt(number),
      timestamp: BigInt(1_700_000_000 + 2 * number),
      transactions: [transaction(), transaction()],
    };
  }
}

/** A block as a line of a source file, with its newline. */
export function lineOf({ number, timestamp, transactions }: L2Block): string {
  const json = {
    number: Number(number),
    timestamp: Number(timestamp),
    transactions: transactions.map(toHex),
  };
  return JSON.stringify(json) + "\n";
}
