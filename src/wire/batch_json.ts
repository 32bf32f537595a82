/**
 * A batch as JSON, the shape that `montana encode` reads and `montana decode` writes: 64-bit numbers as
 * decimal text, bytes as `0x` hexadecimals.
 *
 * ```json
 * {"header":{"version":0,"batchNumber":"0","l1Origin":"65","l1OriginCheck":"0x<20 bytes>",
 *   "parentCheck":"0x<20 bytes>","timestamp":"1000","blockCount":1},
 *  "blocks":[{"timestamp":"1000","transactions":["0x<bytes>"]}]}
 * ```
 *
 * Of the header, reading needs `batchNumber`, `l1Origin`, `l1OriginCheck` and `parentCheck`; the others
 * follow from the blocks and are checked when given.
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import type { Batch, BatchHeader, L2Block } from "../types.ts";
import { CHECK_SIZE, headerFor } from "./batch.ts";
import { fromHex, parseU64, shown, toHex } from "./hex.ts";

/** {@link Batch} as plain JSON. */
export interface BatchJson {
  readonly header: {
    readonly version: number;
    readonly batchNumber: string;
    readonly l1Origin: string;
    readonly l1OriginCheck: string;
    readonly parentCheck: string;
    readonly timestamp: string;
    readonly blockCount: number;
  };
  readonly blocks: readonly { readonly timestamp: string; readonly transactions: string[] }[];
}

/** The JSON of a batch. */
export function batchToJson({ header, blocks }: Batch): BatchJson {
  return {
    header: {
      version: header.version,
      batchNumber: header.batchNumber.toString(),
      l1Origin: header.l1Origin.toString(),
      l1OriginCheck: toHex(header.l1OriginCheck),
      parentCheck: toHex(header.parentCheck),
      timestamp: header.timestamp.toString(),
      blockCount: header.blockCount,
    },
    blocks: blocks.map((block) => ({
      timestamp: block.timestamp.toString(),
      transactions: block.transactions.map(toHex),
    })),
  };
}

/**
 * Reads a batch from parsed JSON.
 *
 * @throws {CodecError} `InvalidHeader` naming the key and what stands there; `InvalidVersion` or
 * `InvalidBlockCount` where a header field given is not the blocks'
 */
export function batchFromJson(json: unknown): Batch {
  const { header, blocks } = record(json, "the batch", ["header", "blocks"]);
  if (!Array.isArray(blocks)) throw wrong("blocks", "a list", blocks);
  const parsed = blocks.map(blockFromJson);
  return { header: headerFromJson(header, parsed), blocks: parsed };
}

const HEADER_KEYS = [
  "version",
  "batchNumber",
  "l1Origin",
  "l1OriginCheck",
  "parentCheck",
  "timestamp",
  "blockCount",
];

function headerFromJson(json: unknown, blocks: readonly L2Block[]): BatchHeader {
  const given = record(json, "header", HEADER_KEYS);
  const header = headerFor({
    batchNumber: parseU64(given.batchNumber, "header.batchNumber"),
    l1Origin: parseU64(given.l1Origin, "header.l1Origin"),
    l1OriginCheck: fromHex(given.l1OriginCheck, "header.l1OriginCheck", CHECK_SIZE),
    parentCheck: fromHex(given.parentCheck, "header.parentCheck", CHECK_SIZE),
  }, blocks);
  checkGiven("InvalidVersion", "version", given.version, header.version);
  checkGiven("InvalidBlockCount", "blockCount", given.blockCount, header.blockCount);
  checkGiven("InvalidHeader", "timestamp", given.timestamp, header.timestamp);
  return header;
}

function checkGiven(
  code: "InvalidVersion" | "InvalidBlockCount" | "InvalidHeader",
  key: "version" | "blockCount" | "timestamp",
  given: unknown,
  actual: number | bigint,
): void {
  if (given === undefined || parseU64(given, `header.${key}`) === BigInt(actual)) return;
  throw new CodecError(
    code,
    `Cannot encode header.${key} ${shown(given)}: the blocks make it ${actual}`,
    { details: { field: key, value: actual } },
  );
}

function blockFromJson(json: unknown, index: number): L2Block {
  const field = `blocks[${index}]`;
  const { timestamp, transactions } = record(json, field, ["timestamp", "transactions"]);
  if (!Array.isArray(transactions)) throw wrong(`${field}.transactions`, "a list", transactions);
  return {
    timestamp: parseU64(timestamp, `${field}.timestamp`),
    transactions: transactions.map((each, position) =>
      fromHex(each, `${field}.transactions[${position}]`)
    ),
  };
}

function record(json: unknown, field: string, keys: readonly string[]): Record<string, unknown> {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw wrong(field, "an object", json);
  }
  const unknown = Object.keys(json).find((key) => !keys.includes(key));
  if (unknown === undefined) return json as Record<string, unknown>;
  throw new CodecError(
    "InvalidHeader",
    `Cannot read ${field}: unknown key "${unknown}", known are ${keys.join(", ")}`,
  );
}

function wrong(field: string, expected: string, value: unknown): CodecError {
  return new CodecError(
    "InvalidHeader",
    `Cannot read ${field}: need ${expected}, have ${shown(value)}`,
  );
}
