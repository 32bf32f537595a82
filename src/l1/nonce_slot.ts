/**
 * One nonce of an account, and all that was signed for it: a batch and its replacements, and perhaps an
 * empty transaction that takes the nonce from them. Only one of them can ever be in the chain.
 *
 * @module
 */
import type { SinkError } from "../errors.ts";
import type { L1Header, TxAttempt, TxReceipt } from "../ethereum.ts";
import { costOf, weiOf, worstCostWei } from "./gas.ts";
import type { Payload } from "./payload.ts";

/** Where one of the attempts stands in the chain. */
export interface Inclusion {
  readonly attempt: TxAttempt;
  readonly receipt: TxReceipt;
  /** Unix milliseconds of the block. */
  readonly blockMs: number;
}

/** What became of a nonce, once its block is deep enough. */
export type Outcome =
  | { readonly result: "success" | "reverted" | "cancelled"; readonly inclusion: Inclusion }
  /** Somebody else's transaction has the nonce. */
  | { readonly result: "taken" };

/** What was signed for a nonce, and how far it got. */
export class NonceSlot {
  readonly nonce: bigint;
  /** Whether an earlier process signed for it: it may have sent as well. */
  readonly isRestored: boolean;
  /** In the order in which they were signed. */
  readonly attempts: TxAttempt[] = [];
  /** Gas limits of the attempts. */
  readonly #worstWei: bigint[] = [];

  /** What the next attempt carries; made anew from the newest attempt where it is missing. */
  payload: Payload | undefined;
  /** Whether the nonce is to be taken from the batch by an empty transaction. */
  isCancelled = false;
  /** An attempt that is due whatever the market says: the batch goes another way, or not at all. */
  owes: "fallback" | "cancel" | undefined;
  /** How the batch goes the other way. */
  fallback: Payload | undefined;

  inclusion: Inclusion | undefined;
  /** Whether the inclusion was seen in the chain at the last look. */
  isVerified = false;
  /** Looks in a row at which nodes had no block of the number of its block. */
  looksWithoutBlock = 0;
  /** Heads under which its nonce was deep in the chain, and none of the attempts there. */
  readonly missingUnder: Set<string> = new Set();
  isTaken = false;
  /** Whoever posts the batch knows of that: told so, or since it has looked at L1 with it there. */
  isTakenKnown: boolean;
  /** Whether what took it may be the batch itself, of another program; once that was looked for. */
  mayBeElsewhere: boolean | undefined;
  /** It can never carry its batch any more, whatever becomes of L1. */
  isLost = false;

  /** When the newest attempt was last offered to a node, or known by one. */
  offeredAtMs: number = -Infinity;
  /** When the newest attempt was first offered by this process. */
  newestSentMs: number | undefined;
  /** Since when no other of our transactions has to come first. */
  firstSinceMs: number | undefined;
  /** A node took one of the attempts, or may have. */
  isOffered: boolean;
  /** A node said that the newest offers too little. */
  isTooCheap = false;
  /** How often in a row nodes refused the newest, for a reason that time alone does not mend. */
  refusals = 0;
  /** Why whoever waits for the batch should wait no longer. */
  verdict: SinkError | undefined;
  /** Empty ones of the other type were tried, where a pool kept the account for that. */
  hasFreedPool = false;
  /** What it was last told to wait for. */
  waitsFor: string | undefined;
  /** When that was told. */
  toldMs: number | undefined;

  /** @param wasUsed in the chain when this process began, by whatever transaction */
  constructor(nonce: bigint, isRestored = false, wasUsed = false) {
    this.nonce = nonce;
    this.isRestored = isRestored;
    this.isOffered = isRestored;
    this.isTakenKnown = wasUsed;
  }

  /** Takes note of one more that was signed; the journal has it. */
  add(attempt: TxAttempt, gas: bigint): void {
    this.attempts.push(attempt);
    this.#worstWei.push(worstCostWei(gas, attempt.blobHashes.length, attempt.fees));
    this.isCancelled = attempt.batchNumber === undefined;
    this.isTooCheap = false;
    this.refusals = 0;
    this.owes = undefined;
    this.fallback = undefined;
    this.offeredAtMs = -Infinity;
    this.newestSentMs = undefined;
  }

  /** The last that was signed: nothing but it and those before it can land. */
  get newest(): TxAttempt {
    return this.attempts.at(-1)!;
  }

  /** The batch that it was signed for, if it ever was. */
  get batchNumber(): bigint | undefined {
    return this.attempts.find((attempt) => attempt.batchNumber !== undefined)?.batchNumber;
  }

  /** The newest that carries the batch. */
  get batchAttempt(): TxAttempt | undefined {
    return this.attempts.findLast((attempt) => attempt.batchNumber !== undefined);
  }

  /** The last L1 block that may include the batch. */
  get deadlineL1Block(): bigint | undefined {
    return this.batchAttempt?.deadlineL1Block;
  }

  /** Whether its batch could land only where readers drop it. */
  isTooLate({ number }: Pick<L1Header, "number">): boolean {
    const { deadlineL1Block } = this;
    return deadlineL1Block !== undefined && number >= deadlineL1Block;
  }

  /**
   * Whether its batch came too late, and one sealed anew, which may land until `deadline`, takes its place.
   */
  isSuperseded(deadline: bigint | undefined, head: Pick<L1Header, "number">): boolean {
    const own = this.deadlineL1Block;
    if (own === undefined || deadline === undefined || own >= deadline) return false;
    const { attempt, receipt } = this.inclusion ?? {};
    const isInTime = attempt?.batchNumber !== undefined && receipt!.blockNumber <= own;
    return this.isTooLate(head) && !isInTime;
  }

  get hasBlobs(): boolean {
    return this.newest.blobHashes.length > 0;
  }

  /** Neither in the chain nor impossible. */
  get isPending(): boolean {
    return this.inclusion === undefined && !this.isTaken;
  }

  /** Wei that it cost, or can cost at the most. */
  get wei(): bigint {
    if (this.isTaken) return 0n;
    if (this.inclusion) return weiOf(costOf(this.inclusion.receipt));
    return this.worstWei;
  }

  /** Wei that it can cost at the most while it is pending. */
  get worstWei(): bigint {
    return this.#worstWei.reduce((most, each) => (each > most ? each : most), 0n);
  }

  /** Milliseconds since pools could have the newest attempt; 0 while it was not offered. */
  standsForMs(nowMs: number): number {
    if (this.newestSentMs === undefined) return 0;
    // The clock was set back: it begins anew.
    this.newestSentMs = Math.min(this.newestSentMs, nowMs);
    return nowMs - this.newestSentMs;
  }

  /** What became of it, if its block has so many confirmations under this head. */
  outcome(head: L1Header, confirmations: number): Outcome | undefined {
    if (this.isTaken) return { result: "taken" };
    const { inclusion } = this;
    if (!inclusion || !this.isVerified) return undefined;
    const { attempt, receipt } = inclusion;
    if (head.number + 1n < receipt.blockNumber + BigInt(confirmations)) return undefined;
    if (attempt.batchNumber === undefined) return { result: "cancelled", inclusion };
    return { result: receipt.isSuccess ? "success" : "reverted", inclusion };
  }
}
