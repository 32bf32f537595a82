/**
 * The L1 of a role, be it a directory or Ethereum, and the marks by which a role knows it again.
 *
 * @module
 */
import { ConfigError, PipelineError } from "../errors.ts";
import type { L1Header, TxReceipt } from "../ethereum.ts";
import type { BlockMark } from "../l1/block_marks.ts";
import type { L1Head, OriginL1 } from "../local/inbox.ts";
import type { DerivationPipeline } from "../pipeline/deriver.ts";
import type { L1BatchSource, Log } from "../ports.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import type { Addresses } from "./l1_flags.ts";

/** How far a role reads: to one of the heads, or so many blocks below the latest. */
export type ReadTo = L1Head | { readonly confirmations: number };

/** What is read. */
export interface ReadTask {
  readonly addresses: Addresses;
  readonly head: ReadTo;
  /** The first L1 block to read. */
  readonly startBlock: bigint;
  /** Blocks that were read by an earlier run. */
  readonly known?: readonly BlockMark[];
  readonly log?: Log;
}

/** Batches of an L1. */
export interface L1Reader extends L1BatchSource {
  /** The next L1 block to read, and the head as it was last seen. */
  readonly standing?: { readonly next: bigint; readonly head: bigint };
  /** What an inbox that goes on above `number` after a restart is to know. */
  knownUpTo?(number: bigint): readonly BlockMark[];
  /** Resolves when nothing more is read ahead. */
  stop?(): Promise<void>;
}

/**
 * L1 blocks that nothing was derived from yet: with those that were only read ahead of it; `undefined`
 * where nobody knows.
 */
export function l1BlocksLeft(
  { standing }: Pick<L1Reader, "standing">,
  { aheadBytes, l1Position }: Pick<DerivationPipeline, "aheadBytes" | "l1Position">,
): number | undefined {
  if (!standing) return undefined;
  // Where nothing waits, what lies behind the last batch holds none.
  const isAhead = aheadBytes > 0 && l1Position !== undefined && l1Position < standing.next;
  const next = isAhead ? l1Position + 1n : standing.next;
  return Math.max(0, Number(standing.head - next) + 1);
}

/** A transaction that is in an L1 block. */
export interface PostedTransaction {
  readonly txHash: Uint8Array;
  /** Who signed it; `undefined` where the signature is not one of these fields. */
  readonly sender: Uint8Array | undefined;
  /** None where it makes a contract. */
  readonly to: Uint8Array | undefined;
  readonly input: Uint8Array;
  readonly blobHashes: readonly Uint8Array[];
  readonly block: Pick<L1Header, "number" | "hash" | "timestamp">;
  /** @throws {SourceError} `BlobMissing`, `Connection`, `Damaged` */
  blobs(): Promise<readonly Uint8Array[]>;
}

/** What roles need of their L1. */
export interface RoleL1 {
  /** For people: a directory, or the hosts of nodes. */
  readonly name: string;
  /** Whether blocks can become others. */
  readonly canReorganise: boolean;
  /** Which of its blocks batches name. */
  readonly origins: OriginL1;
  head(tag: L1Head): Promise<bigint>;
  /** Hash of a block; `undefined` where there is no such block. */
  hashOf(number: bigint): Promise<Uint8Array | undefined>;
  reader(task: ReadTask): L1Reader;
  /** A transaction in a block, wherever it goes; `"pool"` where it waits, `undefined` where it is unknown. */
  transaction(txHash: Uint8Array): Promise<PostedTransaction | "pool" | undefined>;
  /** All transactions to an inbox, from anybody, in the order of L1. */
  postings(inbox: Uint8Array, startBlock: bigint): AsyncIterable<PostedTransaction>;
  /**
   * What a transaction cost, on an L1 that is paid; `undefined` where the L1 does not tell it (any more).
   * None on a directory, where nothing costs anything.
   */
  receipt?(txHash: Uint8Array): Promise<TxReceipt | undefined>;
  close(): Promise<void>;
}

/** An L1 block at which a state was saved, and what was followed there. */
export interface L1Mark extends Addresses, BlockMark {}

/** Whether a mark is one. */
export function isL1Mark(mark: Partial<L1Mark> | undefined): boolean {
  const { number, hash, inbox, batcher } = mark ?? {};
  return typeof number === "bigint" &&
    [hash, inbox, batcher].every((each) => each instanceof Uint8Array);
}

/** Whether the L1 has that very block. */
export async function isOnL1(l1: RoleL1, { number, hash }: BlockMark): Promise<boolean> {
  const now = await l1.hashOf(number);
  return now !== undefined && equalBytes(now, hash);
}

/** Refuses an L1 that is another one than the mark's, another inbox, or another batcher. */
export async function mustBeSameL1(
  l1: RoleL1,
  addresses: Addresses,
  mark: L1Mark,
  dataDir: string,
): Promise<void> {
  for (const name of ["inbox", "batcher"] as const) {
    if (equalBytes(addresses[name], mark[name])) continue;
    throw new ConfigError(
      "Usage",
      `Cannot use --${name} ${toHex(addresses[name])} with --data-dir ${dataDir}: it belongs to ` +
        `${toHex(mark[name])}; use another --data-dir for another ${name}`,
    );
  }
  if (await isOnL1(l1, mark)) return;
  const head = await l1.head("latest");
  const hash = await l1.hashOf(mark.number);
  throw new PipelineError(
    "WrongL1",
    `Cannot go on with ${l1.name}: ${dataDir} belongs to an L1 whose block ${mark.number} is ` +
      `${toHex(mark.hash)}, here ${hash ? `it is ${toHex(hash)}` : `the head is ${head}`}; ` +
      `use another --data-dir for another L1`,
    { details: { block: mark.number, head } },
  );
}
