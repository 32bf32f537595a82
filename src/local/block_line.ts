/**
 * A block as one line of JSON, the form in which files hold L2 blocks.
 *
 * ```
 * {"number":7,"timestamp":1726780229,"parentHash":"0x<32>","hash":"0x<32>","transactions":["0x<bytes>"]}
 * ```
 *
 * `timestamp` and `transactions` must be there; `number`, `hash` and `parentHash` are used where they are;
 * anything else is left alone. Derived blocks are written with `batchNumber`, `l1Origin` and `l1Block`.
 *
 * @module
 */
import { CodecError, SourceError } from "../errors.ts";
import type { DerivedBlock, L2Block } from "../types.ts";
import { equalBytes } from "../wire/bytes.ts";
import { fromHex, parseU64, shown, toHex } from "../wire/hex.ts";

/**
 * Reads a line.
 *
 * @param where `file:line`, for the error
 * @throws {SourceError} `InvalidBlock` naming the place, the key and what stands there
 */
export function parseBlockLine(text: string, where: string): L2Block {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new SourceError(
      "InvalidBlock",
      `Cannot read a block at ${where}: no JSON: ${shown(text)}`,
      {
        cause,
      },
    );
  }
  if (typeof json !== "object" || json === null || !Array.isArray(json.transactions)) {
    throw new SourceError(
      "InvalidBlock",
      `Cannot read a block at ${where}: need an object with a list of transactions: ${shown(json)}`,
    );
  }
  try {
    return {
      timestamp: parseU64(json.timestamp, "timestamp"),
      transactions: json.transactions.map((each, index) => fromHex(each, `transactions[${index}]`)),
      ...(json.number === undefined ? {} : { number: parseU64(json.number, "number") }),
      ...(json.hash === undefined ? {} : { hash: fromHex(json.hash, "hash", 32) }),
      ...(json.parentHash === undefined
        ? {}
        : { parentHash: fromHex(json.parentHash, "parentHash", 32) }),
    };
  } catch (cause) {
    if (!(cause instanceof CodecError)) throw cause;
    throw new SourceError("InvalidBlock", `Cannot read a block at ${where}: ${cause.message}`, {
      cause,
    });
  }
}

/** Writes a derived block, without the newline. The same block always gives the same line. */
export function formatBlockLine(block: DerivedBlock): string {
  return JSON.stringify({
    timestamp: exactJson(block.timestamp),
    transactions: block.transactions.map(toHex),
    batchNumber: exactJson(block.batchNumber),
    l1Origin: exactJson(block.l1Origin),
    l1Block: exactJson(block.l1Block),
  });
}

/**
 * Whether a line is such as {@link formatBlockLine} writes.
 *
 * @throws {SyntaxError} where it is no JSON
 */
export function isDerivedLine(text: string): boolean {
  const { timestamp, transactions, batchNumber, l1Origin, l1Block } = JSON.parse(text) ?? {};
  const isNumber = (value: unknown) => typeof value === "number" || typeof value === "string";
  return Array.isArray(transactions) &&
    [timestamp, batchNumber, l1Origin, l1Block].every(isNumber);
}

/**
 * Makes sure that a block follows the one before it, as far as the two tell.
 *
 * @throws {SourceError} `Gap`, `WrongParent` or `InvalidBlock`, naming both
 */
export function checkFollows(before: L2Block, block: L2Block, where: string): void {
  const refuse = (code: "Gap" | "WrongParent" | "InvalidBlock", why: string) =>
    new SourceError(
      code,
      `Cannot take block ${nameOf(block)} at ${where} after block ${nameOf(before)}: ${why}`,
      { details: { block: block.number, before: before.number } },
    );
  if (before.number !== undefined && block.number !== undefined) {
    const missing = block.number - before.number - 1n;
    if (missing > 0n) {
      throw refuse(
        "Gap",
        `${missing} ${missing === 1n ? "block is" : "blocks are"} missing between them`,
      );
    }
    if (missing < 0n) throw refuse("Gap", `its number must be ${before.number + 1n}`);
  }
  if (before.hash && block.parentHash && !equalBytes(before.hash, block.parentHash)) {
    throw refuse(
      "WrongParent",
      `its parent is ${toHex(block.parentHash)}, that block is ${toHex(before.hash)}`,
    );
  }
  if (block.timestamp < before.timestamp) {
    throw refuse("InvalidBlock", `its timestamp ${block.timestamp} is below ${before.timestamp}`);
  }
}

/** What a block is called in a sentence. */
export function nameOf(block: L2Block): string {
  return block.number?.toString() ?? `of timestamp ${block.timestamp}`;
}

/** A JSON number where it is exact, decimal text above. */
function exactJson(value: bigint): number | string {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
}
