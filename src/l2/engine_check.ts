/**
 * Whether a block of an execution client is the one that was derived.
 *
 * @module
 */
import { SinkError } from "../errors.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import type { EngineBlock, EngineChainBlock, EnginePayload } from "./engine_block.ts";
import type { EngineAttributes } from "./engine_client.ts";

/**
 * Makes sure that a block that was built is the one that was asked for.
 *
 * @throws {SinkError} `InvalidBlock`; `Unsupported` where the client left out all that it was given
 */
export function checkBuilt(
  payload: EnginePayload,
  parent: EngineBlock,
  wanted: EngineAttributes,
  client: string,
): void {
  const { transactions } = payload;
  const why = headerDifference(payload, parent, wanted) ??
    listDifference(transactions, wanted.transactions);
  if (why === undefined) return;
  const number = parent.number + 1n;
  const isIgnored = wanted.transactions.length > 0 &&
    !wanted.transactions.some((each) => transactions.some((other) => equalBytes(each, other)));
  const hint = isIgnored
    ? "; it does not take `transactions` as a payload attribute, as op-geth and op-reth do"
    : "";
  throw new SinkError(
    isIgnored ? "Unsupported" : "InvalidBlock",
    `Cannot take block ${number} as ${client} built it: ${why}${hint}`,
    { details: { block: number } },
  );
}

/** In what a block of the client's chain is not the one that was derived; `undefined` where it is. */
export function firstDifference(
  found: EngineChainBlock,
  parent: EngineBlock,
  wanted: EngineAttributes,
  txHashes: readonly Uint8Array[],
): string | undefined {
  return headerDifference(found, parent, wanted) ?? listDifference(found.txHashes, txHashes);
}

function headerDifference(
  block: EngineBlock,
  parent: EngineBlock,
  wanted: EngineAttributes,
): string | undefined {
  if (block.number !== parent.number + 1n) return `its number is ${block.number}`;
  if (!equalBytes(block.parentHash, parent.hash)) {
    return `its parent is ${toHex(block.parentHash)}, not ${toHex(parent.hash)}`;
  }
  if (block.timestamp === wanted.timestamp) return undefined;
  return `its timestamp is ${block.timestamp}, not ${wanted.timestamp}`;
}

function listDifference(
  found: readonly Uint8Array[],
  wanted: readonly Uint8Array[],
): string | undefined {
  const index = wanted.findIndex((each, at) => !found[at] || !equalBytes(found[at], each));
  if (index < 0 && found.length === wanted.length) return undefined;
  const counts = `it holds ${found.length} transactions, ${wanted.length} were derived`;
  if (index < 0) return `${counts}: transaction ${wanted.length} is none of them`;
  return `${counts}: transaction ${index} is ${found[index] ? "another one" : "missing"}`;
}
