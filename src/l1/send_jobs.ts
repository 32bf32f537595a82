/**
 * The calls of `send()` that somebody waits for: which nonce each has, and what it is told in the end.
 *
 * @module
 */
import type { LandedTx, TxAttempt, TxJournal } from "../ethereum.ts";
import type { Log } from "../ports.ts";
import { equalLists } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import type { NonceSlot } from "./nonce_slot.ts";
import type { Payload } from "./payload.ts";
import {
  isSameLanded,
  isSupersededLanded,
  nonceTaken,
  receiptOf,
  receiptOfLanded,
  type SendJob,
  type TxRequest,
} from "./send_job.ts";
import type { L1View, Watch } from "./watch.ts";

/** What it needs. */
export interface SendJobsParts {
  readonly journal: TxJournal;
  readonly watch: Watch;
  readonly confirmations: number;
  readonly sendTimeoutMs: number;
  readonly isShared: boolean;
  readonly log: Log;
}

/** Calls that are not answered yet. */
export class SendJobs {
  readonly #parts: SendJobsParts;
  /** Those without a nonce, in the order of the calls. */
  #queue: SendJob[] = [];
  /** Those with a nonce. */
  #sent: SendJob[] = [];

  constructor(parts: SendJobsParts) {
    this.#parts = parts;
  }

  /** How many have no nonce. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Whose turn it is. */
  get next(): SendJob | undefined {
    return this.#queue[0];
  }

  /** The call for the same batch in the same way, if there is one. */
  find({ batchNumber, blobs, deadlineL1Block }: TxRequest): SendJob | undefined {
    return [...this.#sent, ...this.#queue].find((job) =>
      job.batchNumber === batchNumber && job.hasBlobs === blobs.length > 0 &&
      job.request.deadlineL1Block === deadlineL1Block
    );
  }

  /** Who waits for a nonce. */
  of(slot: NonceSlot): SendJob | undefined {
    return this.#sent.find((job) => job.slot === slot);
  }

  /** How a batch that has no nonce is to travel. */
  kindOf(batchNumber: bigint): "blobs" | "calldata" | undefined {
    const job = this.#queue.find((each) => each.batchNumber === batchNumber);
    return job && (job.hasBlobs ? "blobs" : "calldata");
  }

  add(job: SendJob): void {
    this.#queue.push(job);
  }

  /** The next in line has its nonce, or was refused one. */
  admitted(slot: NonceSlot | undefined): void {
    const job = this.#queue.shift()!;
    if (!slot) return;
    job.slot = slot;
    job.hasJoined = false;
    this.#sent.push(job);
  }

  reject(job: SendJob, error: unknown): void {
    job.reject(error);
    this.#drop();
  }

  rejectAll(reason: (job: SendJob) => unknown): void {
    for (const job of [...this.#queue, ...this.#sent]) job.reject(reason(job));
    this.#drop();
  }

  /** All who wait for a nonce are told why later, if it is too late then. */
  blame(error: unknown): void {
    for (const job of this.#queue) job.problem = error;
  }

  /** Whoever waited long enough is told; what has a nonce goes on. */
  endLate(nowMs: number): void {
    const isLate = (job: SendJob) => nowMs - job.startedMs >= this.#parts.sendTimeoutMs;
    for (const job of this.#sent.filter(isLate)) job.reject(job.late());
    // Those behind it would overtake it.
    const first = this.#queue.findIndex(isLate);
    if (first >= 0) { for (const job of this.#queue.slice(first)) job.reject(job.late()); }
    this.#drop();
  }

  /**
   * Nonces whose batch is nobody's: it was confirmed, a reorganisation took it out, and its nonce went to
   * another transaction. It has to be sent anew.
   *
   * @throws {SinkError} `NonceTaken` where that was of another program, which may have posted it
   */
  async orphans(slots: readonly NonceSlot[], { head }: L1View): Promise<NonceSlot[]> {
    const orphans: NonceSlot[] = [];
    for (const slot of slots) {
      if (!this.isOwed(slot, slots, head)) continue;
      const isOf = (job: SendJob) => job.batchNumber === slot.batchNumber;
      if ([...this.#queue, ...this.#sent].some(isOf)) continue;
      if (!await this.#isLost(slot, head)) continue;
      if (slot.isTaken && await this.#mayBeElsewhere(slot, head)) {
        throw nonceTaken(slot.batchNumber, slot.nonce);
      }
      orphans.push(slot);
    }
    return orphans;
  }

  /** Whether the batch of a nonce still needs another. */
  isOwed(slot: NonceSlot, slots: readonly NonceSlot[], head: L1View["head"]): boolean {
    const { confirmations, isShared, journal } = this.#parts;
    const { batchNumber } = slot;
    const result = slot.outcome(head, confirmations)?.result;
    if (result !== "cancelled" && result !== "taken") return false;
    // It may be on L1 without us: whoever posts has seen whether it is, and says so by a call.
    if (result === "taken" && slot.isTakenKnown && !isShared) return false;
    if (batchNumber === undefined || slot.isTooLate(head)) return false;
    const deadline = slot.deadlineL1Block;
    const isElsewhere = (each: { batchNumber: bigint | undefined }) =>
      each.batchNumber === batchNumber;
    const isSlotElsewhere = (each: NonceSlot) =>
      each !== slot && isElsewhere(each) && !each.isLost && !each.isSuperseded(deadline, head);
    const isLanded = (each: LandedTx) =>
      isElsewhere(each) && each.isSuccess && !isSupersededLanded(each, deadline);
    return !slots.some(isSlotElsewhere) && !journal.landed.some(isLanded);
  }

  /** Whether nobody waits for a nonce, and what all nonces carry is confirmed. */
  areSettled(slots: readonly NonceSlot[], head: L1View["head"]): boolean {
    const isSettled = (slot: NonceSlot) =>
      slot.outcome(head, this.#parts.confirmations) !== undefined &&
      !this.isOwed(slot, slots, head);
    return this.queued === 0 && slots.every(isSettled);
  }

  /** Those whose batch is under way get its nonce, and those whose batch landed for good an answer. */
  join(slots: readonly NonceSlot[], { head }: L1View): void {
    for (const job of [...this.#queue]) {
      const { payload, batchNumber, request: { deadlineL1Block: deadline } } = job;
      if (!payload) continue;
      const ofBatch = slots.filter((slot) => slot.batchNumber === batchNumber);
      const slot = ofBatch.findLast((each) => !each.isLost && !each.isSuperseded(deadline, head));
      const landed = this.#parts.journal.landed.findLast((each) =>
        each.batchNumber === batchNumber && each.isSuccess && !isSupersededLanded(each, deadline)
      );
      if (slot) {
        this.#joinSlot(job, slot, payload);
      } else if (landed && isSameLanded(payload, landed, deadline)) {
        job.land(receiptOfLanded(batchNumber, landed));
      } else if (landed) {
        job.reject(job.changed(landed.nonce));
      }
    }
    this.#drop();
  }

  /** Tells those whose batch is confirmed, or cannot be; the others keep their place. */
  async settle(view: L1View): Promise<void> {
    for (const job of [...this.#sent]) await this.#settle(job, view);
    this.#drop();
  }

  async #settle(job: SendJob, { head, nextNonce }: L1View): Promise<void> {
    const { confirmations, watch, log } = this.#parts;
    const slot = job.slot!;
    if (slot.outcome(head, confirmations)) await watch.verify(slot);
    const outcome = slot.outcome(head, confirmations);
    if (outcome === undefined) {
      // Where the nonce is used, its receipt tells.
      const canLand = slot.isPending && slot.nonce >= nextNonce;
      if (!canLand || !job.isTooLate(head)) return;
      if (!slot.isCancelled) slot.owes = "cancel";
      return job.reject(job.expired(head.number));
    }
    switch (outcome.result) {
      case "success":
        // Its blobs stand in the archive, if they are needed again.
        slot.payload = undefined;
        return job.land(receiptOf(job.batchNumber, outcome.inclusion));
      case "reverted":
        if (job.hasJoined) break;
        return job.reject(job.reverted(receiptOf(job.batchNumber, outcome.inclusion)));
      case "taken":
        if ((job.hasJoined || !slot.isOffered) && !await this.#mayBeElsewhere(slot, head)) break;
        slot.isTakenKnown = true;
        return job.reject(job.taken(slot.nonce));
      case "cancelled":
    }
    if (!await this.#isLost(slot, head)) return;
    // This nonce can carry it no more: it takes the next.
    if (outcome.result === "taken") {
      const { batchNumber } = job;
      log({ event: "tx.waits", batchNumber, reason: "nonce", error: job.taken(slot.nonce) });
    }
    job.slot = undefined;
    this.#queue.unshift(job);
  }

  /** Whether a batch may be on L1 under a nonce that was taken from it, and who posts it does not know. */
  async #mayBeElsewhere(slot: NonceSlot, head: L1View["head"]): Promise<boolean> {
    if (this.#parts.isShared || slot.isTakenKnown) return false;
    return await this.#parts.watch.mayBeElsewhere(slot, head);
  }

  /**
   * Whether a nonce can never carry its batch any more, whatever becomes of L1: only then the batch may have
   * another. What no node ever took needs no more than its confirmations.
   */
  async #isLost(slot: NonceSlot, head: L1View["head"]): Promise<boolean> {
    const { watch, confirmations } = this.#parts;
    const isNeverOffered = slot.isTaken && !slot.isOffered;
    if (slot.isLost || isNeverOffered) return slot.isLost = true;
    if (!await watch.isFinal(slot, await watch.finalNumber(head))) return false;
    // A node that lagged may have said that it is in a block which is gone since.
    await watch.verify(slot);
    return slot.isLost = slot.outcome(head, confirmations) !== undefined;
  }

  #joinSlot(job: SendJob, slot: NonceSlot, payload: Payload): void {
    const hasBlobs = payload.blobHashes.length > 0;
    const attempt = slot.attempts.findLast((each) =>
      each.batchNumber !== undefined && each.blobHashes.length > 0 === hasBlobs
    );
    const [own, deadline] = [slot.deadlineL1Block, job.request.deadlineL1Block];
    const isOther = own !== undefined && deadline !== undefined && own !== deadline;
    if (isOther || attempt && !isSameAttempt(payload, attempt)) {
      return job.reject(job.changed(slot.nonce));
    }
    if (attempt === slot.newest) slot.payload ??= payload;
    if (!attempt && slot.isPending && !slot.isCancelled) {
      // The one before may still land: they share the nonce, so one of them will.
      slot.owes = "fallback";
      slot.fallback = payload;
    }
    job.slot = slot;
    job.hasJoined = true;
    slot.verdict = undefined;
    slot.refusals = 0;
    this.#sent.push(job);
  }

  #drop(): void {
    this.#queue = this.#queue.filter((job) => !job.isSettled && job.slot === undefined);
    this.#sent = this.#sent.filter((job) => !job.isSettled && job.slot !== undefined);
  }
}

function isSameAttempt(payload: Payload, { blobHashes, signed }: TxAttempt): boolean {
  if (payload.blobHashes.length > 0) {
    return equalLists(payload.blobHashes, blobHashes);
  }
  // The raw bytes hold the input as it is.
  return toHex(signed.raw).includes(toHex(payload.input).slice(2));
}
