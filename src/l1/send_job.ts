/**
 * One call of `send()`: what is to be sent, and who waits for it.
 *
 * @module
 */
import { SinkError } from "../errors.ts";
import type { L1Header, LandedTx } from "../ethereum.ts";
import type { Clock } from "../ports.ts";
import type { SubmissionReceipt } from "../types.ts";
import { equalLists } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { costOf } from "./gas.ts";
import type { Inclusion, NonceSlot } from "./nonce_slot.ts";
import { Payload, type PayloadParts } from "./payload.ts";

/** A batch on its way to the inbox. */
export interface TxRequest {
  readonly batchNumber: bigint;
  /** 20 bytes: the inbox. */
  readonly to: Uint8Array;
  readonly input: Uint8Array;
  /** Of 131072 bytes each; none for a batch in calldata. */
  readonly blobs: readonly Uint8Array[];
  /**
   * The last L1 block that may include it: readers drop what comes later. Under a later one the batch may be
   * other bytes, once the one before is over for good.
   */
  readonly deadlineL1Block?: bigint;
}

/** Waits for a batch to be confirmed. */
export class SendJob {
  readonly request: TxRequest;
  readonly startedMs: number;
  readonly promise: Promise<SubmissionReceipt>;
  /** What is sent, once it is made. */
  payload: Payload | undefined;
  slot: NonceSlot | undefined;
  /** Whether the nonce was there before the call: what became of it is not this call's failure. */
  hasJoined = false;
  /** What it was last told to wait for. */
  waitsFor: string | undefined;
  /** When that was told. */
  toldMs: number | undefined;
  /** The error behind that. */
  problem: unknown;
  #isSettled = false;
  readonly #resolve: (receipt: SubmissionReceipt) => void;
  readonly #reject: (error: unknown) => void;

  constructor(request: TxRequest, startedMs: number) {
    this.request = request;
    this.startedMs = startedMs;
    const { promise, resolve, reject } = Promise.withResolvers<SubmissionReceipt>();
    this.promise = promise;
    // It may be that nobody waits: a batch that a reorganisation took out is sent again.
    promise.catch(() => {});
    this.#resolve = resolve;
    this.#reject = reject;
  }

  get batchNumber(): bigint {
    return this.request.batchNumber;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  get hasBlobs(): boolean {
    return this.request.blobs.length > 0;
  }

  resolve(receipt: SubmissionReceipt): void {
    this.#isSettled = true;
    this.#resolve(receipt);
  }

  reject(error: unknown): void {
    this.#isSettled = true;
    this.#reject(error);
  }

  /** Whether no later block than this one may include it. */
  isTooLate({ number }: Pick<L1Header, "number">): boolean {
    const { deadlineL1Block } = this.request;
    return deadlineL1Block !== undefined && number >= deadlineL1Block;
  }

  /** Resolves with where it landed, or rejects where readers drop it there. */
  land(receipt: SubmissionReceipt): void {
    const { deadlineL1Block } = this.request;
    const isLate = deadlineL1Block !== undefined && receipt.l1Block > deadlineL1Block;
    if (isLate) this.reject(this.expired(receipt.l1Block));
    else this.resolve(receipt);
  }

  expired(l1Block: bigint): SinkError {
    const { batchNumber, deadlineL1Block } = this.request;
    return new SinkError(
      "WindowExpired",
      `Cannot post batch ${batchNumber}: L1 is at block ${l1Block}, and readers drop it behind block ` +
        `${deadlineL1Block}. Nothing is lost. Start again: once that block is final, the same blocks are ` +
        `sealed anew with a newer L1 origin`,
      { details: { batch: batchNumber, deadline: deadlineL1Block, head: l1Block } },
    );
  }

  reverted({ txHash, l1Block }: SubmissionReceipt): SinkError {
    return new SinkError(
      "TxFailed",
      `Cannot post batch ${this.batchNumber}: transaction ${
        toHex(txHash)
      } reverted in L1 block ${l1Block}`,
      { details: { batch: this.batchNumber, tx: toHex(txHash), l1Block } },
    );
  }

  taken(nonce: bigint): SinkError {
    return nonceTaken(this.batchNumber, nonce);
  }

  /** Posted before, and with other bytes. */
  changed(nonce: bigint): SinkError {
    return new SinkError(
      "Changed",
      `Cannot post batch ${this.batchNumber}: another batch of that number was signed for nonce ${nonce} ` +
        `and may be on L1. A sealed batch never changes: is the journal of transactions that of this batcher?`,
      { details: { batch: this.batchNumber, nonce } },
    );
  }

  /** Whoever waits has waited long enough. */
  late(): unknown {
    const { slot, batchNumber, problem } = this;
    if (!slot && problem !== undefined) return problem;
    const what = slot
      ? `nonce ${slot.nonce} is not confirmed yet; it may still land`
      : "its turn did not come";
    return new SinkError("Timeout", `Cannot tell what becomes of batch ${batchNumber}: ${what}`, {
      details: { batch: batchNumber, nonce: slot?.nonce },
      ...(problem === undefined ? {} : { cause: problem }),
    });
  }
}

/** What was sent in its place may be the same batch, of another program: L1 has to be looked at first. */
export function nonceTaken(batchNumber: bigint | undefined, nonce: bigint): SinkError {
  return new SinkError(
    "NonceTaken",
    `Cannot post batch ${batchNumber}: somebody else sent a transaction with nonce ${nonce} of this ` +
      `account. One program alone may use it; the batch takes another nonce when it is posted again`,
    { details: { batch: batchNumber, nonce } },
  );
}

/** Where a batch landed, as its sink tells. */
export function receiptOf(batchNumber: bigint, { attempt, receipt }: Inclusion): SubmissionReceipt {
  return {
    batchNumber,
    txHash: receipt.txHash,
    l1Block: receipt.blockNumber,
    l1BlockHash: receipt.blockHash,
    blobHashes: attempt.blobHashes,
    cost: costOf(receipt),
  };
}

/** The same of one that is final. */
export function receiptOfLanded(batchNumber: bigint, landed: LandedTx): SubmissionReceipt {
  const { txHash, l1Block, l1BlockHash, blobHashes, cost } = landed;
  return { batchNumber, txHash, l1Block, l1BlockHash, blobHashes, cost };
}

/** Whether what landed came too late, and one sealed anew takes its place. */
export function isSupersededLanded(
  { deadlineL1Block: own, l1Block }: LandedTx,
  deadline: bigint | undefined,
): boolean {
  return own !== undefined && deadline !== undefined && own < deadline && l1Block > own;
}

/** Whether what landed is what is to be sent; of calldata only the kind and the deadline are known. */
export function isSameLanded(
  payload: Payload,
  { blobHashes, deadlineL1Block: own }: LandedTx,
  deadline: bigint | undefined,
): boolean {
  if (own !== undefined && deadline !== undefined && own !== deadline) return false;
  if (payload.blobHashes.length === 0 || blobHashes.length === 0) return true;
  return equalLists(payload.blobHashes, blobHashes);
}

/** The batch of a nonce that can carry it no more, to be sent anew though nobody asks. */
export async function jobAnew(
  parts: PayloadParts & { readonly clock: Clock },
  slot: NonceSlot,
): Promise<SendJob> {
  const { signed, blobHashes } = slot.batchAttempt!;
  const payload = await Payload.restore(parts, signed, blobHashes);
  const { deadlineL1Block, batchNumber } = slot;
  const { to, input, blobs } = payload;
  const deadline = deadlineL1Block === undefined ? {} : { deadlineL1Block };
  const request = { batchNumber: batchNumber!, to, input, blobs, ...deadline };
  const job = new SendJob(request, parts.clock.now());
  job.payload = payload;
  return job;
}
