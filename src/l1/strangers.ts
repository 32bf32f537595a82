/**
 * Transactions of an account that its journal does not know: of a program on another machine, or of one whose
 * journal was lost. Where a reorganisation takes them out of the chain, nobody here would post again what
 * they held, and what was sent behind their nonces could not land. So they are waited for at the start, until
 * they are final or gone. Where the journal knows of nothing at all, those in the pool are waited for as well:
 * they may hold batches that would land between those that are posted here.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import type { Chain, TxJournal } from "../ethereum.ts";
import type { Clock } from "../ports.ts";
import { equalBytes } from "../wire/bytes.ts";
import type { BlockMark } from "./block_marks.ts";

/** Whose transactions, and who knows of them. */
export interface StrangersParts {
  readonly chain: Pick<Chain, "nonce" | "receipt">;
  /** 20 bytes. */
  readonly address: Uint8Array;
  readonly journal: Pick<TxJournal, "attempts" | "landed">;
  /** The newest block that no reorganisation takes. */
  readonly finalBlock: () => Promise<BlockMark>;
}

/** How they are waited for. */
export interface StrangersWait extends StrangersParts {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  /** Told once for each place where there are some. */
  readonly onWait?: (count: bigint, where: StrangersPlace) => void;
}

/** In blocks that are not final, or in no block yet. */
export type StrangersPlace = "blocks" | "pool";

/** Between two looks. */
const LOOK_MS = 1000;

/**
 * Resolves when all transactions of the account that are in blocks are known or final, or `signal` aborts.
 *
 * @throws {RpcError} where the node cannot be asked
 */
export async function untilNoStrangers(wait: StrangersWait): Promise<void> {
  const told = new Set<StrangersPlace>();
  while (!wait.signal?.aborted) {
    const inPool = await countPooled(wait);
    const count = inPool > 0n ? inPool : await countStrangers(wait);
    if (count <= 0n) return;
    const where = inPool > 0n ? "pool" : "blocks";
    if (!told.has(where)) wait.onWait?.(count, where);
    told.add(where);
    await wait.clock.sleep(LOOK_MS, wait.signal);
  }
}

/** How many wait in the pool, where nothing of the journal can be among them. */
async function countPooled({ chain, address, journal }: StrangersParts): Promise<bigint> {
  if (journal.attempts.length + journal.landed.length > 0) return 0n;
  return await chain.nonce(address, "pending") - await chain.nonce(address, "latest");
}

/**
 * How many there are in blocks that are not final.
 *
 * @throws {RpcError} where the node cannot be asked
 */
export async function countStrangers(parts: StrangersParts): Promise<bigint> {
  const { chain, address, journal } = parts;
  const { number } = await parts.finalBlock();
  const nextNonce = await chain.nonce(address, "latest");
  const finalNonce = await nonceAt(parts, number);
  if (nextNonce <= finalNonce) return 0n;
  const own = new Set<bigint>();
  for (const { nonce, signed: { hash } } of journal.attempts) {
    if (nonce < finalNonce || nonce >= nextNonce || own.has(nonce)) continue;
    if (await chain.receipt(hash)) own.add(nonce);
  }
  return nextNonce - finalNonce - BigInt(own.size);
}

/** Whether a journal knows a transaction: it is posted again where a reorganisation takes it. */
export function isJournaled(
  { attempts, landed }: Pick<TxJournal, "attempts" | "landed">,
  txHash: Uint8Array,
): boolean {
  return attempts.some(({ signed }) => equalBytes(signed.hash, txHash)) ||
    landed.some((each) => equalBytes(each.txHash, txHash));
}

/** The nonce that came next after a final block, or one below it. */
async function nonceAt(
  { chain, address, journal }: StrangersParts,
  number: bigint,
): Promise<bigint> {
  const landed = journal.landed.at(-1)?.nonce ?? -1n;
  try {
    const nonce = await chain.nonce(address, number);
    return nonce > landed ? nonce : landed + 1n;
  } catch (error) {
    // Nodes keep the state of 128 blocks: where L1 has long not become final, the journal is all there is.
    if (error instanceof RpcError && error.code === "Answered") return landed + 1n;
    throw error;
  }
}
