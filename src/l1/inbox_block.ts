/**
 * What of an L1 block concerns an inbox: its transactions to that address, the batches among them, and
 * why the others are none.
 *
 * @module
 */
import { ConfigError } from "../errors.ts";
import type { L1BlockTransaction, L1Header } from "../ethereum.ts";
import { BLOB_SIZE } from "../wire/blob.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { parseCalldata } from "../wire/inbox.ts";

/** Who may post, and in which L1 blocks: a key that is changed has its last, the next its first. */
export interface Batcher {
  /** 20 bytes. */
  readonly address: Uint8Array;
  /** The first L1 block whose transactions of this address count; the very first otherwise. */
  readonly fromBlock?: bigint;
  /** The last; no end otherwise. */
  readonly toBlock?: bigint;
}

/** A transaction to the inbox. */
export type InboxTransaction =
  | { readonly hash: Uint8Array; readonly ignored: "sender" | "calldata" }
  | {
    readonly hash: Uint8Array;
    readonly ignored?: undefined;
    readonly batchNumber: bigint;
    /** Of calldata; empty where the batch is in blobs. */
    readonly data: Uint8Array;
    readonly blobHashes: readonly Uint8Array[];
  };

/** An L1 block, less all that is not for the inbox. */
export interface InboxBlock {
  readonly header: L1Header;
  readonly transactions: readonly InboxTransaction[];
  /** Versioned hashes of the blobs that carry its batches, in order. */
  readonly blobHashes: readonly Uint8Array[];
  /** Those of all blobs in the block, whoever posted them. */
  readonly allBlobHashes: readonly Uint8Array[];
  /** What it and its blobs take in memory. */
  readonly bytes: number;
}

/** Which inbox, and whose transactions to it count. */
export interface InboxTask {
  readonly inbox: Uint8Array;
  readonly batchers: readonly Batcher[];
}

/** Refuses what nothing could ever be read by. */
export function checkTask({ inbox, batchers }: InboxTask): void {
  const refuse = (why: string) => new ConfigError("Invalid", `Cannot read an inbox: ${why}`);
  if (batchers.length === 0) throw refuse("no batcher is named whose transactions count");
  for (const address of [inbox, ...batchers.map((each) => each.address)]) {
    if (address.length !== 20) throw refuse(`${toHex(address)} is no address of 20 bytes`);
  }
  for (const { address, fromBlock = 0n, toBlock = fromBlock } of batchers) {
    if (fromBlock <= toBlock) continue;
    throw refuse(`${toHex(address)} is to count from L1 block ${fromBlock} to ${toBlock}`);
  }
}

/** Picks what is for the inbox. */
export async function inboxBlock(
  { header, transactions }: {
    readonly header: L1Header;
    readonly transactions: readonly L1BlockTransaction[];
  },
  { inbox, batchers }: InboxTask,
): Promise<InboxBlock> {
  const allowed = batchers.filter(({ fromBlock = 0n, toBlock = header.number }) =>
    fromBlock <= header.number && header.number <= toBlock
  );
  const read: InboxTransaction[] = [];
  for (const transaction of transactions) {
    if (!transaction.to || !equalBytes(transaction.to, inbox)) continue;
    read.push(await inboxTransaction(transaction, allowed));
  }
  const batches = read.filter((each) => each.ignored === undefined);
  const blobHashes = batches.flatMap((each) => each.blobHashes);
  const dataBytes = batches.reduce((sum, each) => sum + each.data.length, 0);
  return {
    header,
    transactions: read,
    blobHashes,
    allBlobHashes: transactions.flatMap((each) => each.blobHashes),
    bytes: 1024 + dataBytes + BLOB_SIZE * blobHashes.length,
  };
}

async function inboxTransaction(
  transaction: L1BlockTransaction,
  allowed: readonly Batcher[],
): Promise<InboxTransaction> {
  const { hash, input, blobHashes } = transaction;
  const sender = await transaction.sender();
  if (!sender || !allowed.some(({ address }) => equalBytes(address, sender))) {
    return { hash, ignored: "sender" };
  }
  const call = parseCalldata(input, blobHashes.length);
  return call ? { hash, ...call, blobHashes } : { hash, ignored: "calldata" };
}
