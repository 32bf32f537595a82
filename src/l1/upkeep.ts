/**
 * What is done for a transaction until it is in a block: it is offered again where nodes lost it, and
 * replaced where it offers too little, once for each interval (design `ethereum.md`, "Sending" 3 to 5).
 *
 * @module
 */
import { MontanaError, SinkError } from "../errors.ts";
import type { EthereumEvent, FeeCaps } from "../ethereum.ts";
import type { Clock, Log } from "../ports.ts";
import { encodeBlob } from "../wire/blob.ts";
import { toHex } from "../wire/hex.ts";
import { firstOffer, leastOffer, meetsMarket, type Offer, replacementOffer } from "./fees.ts";
import { inEther, type Market, worstCostWei } from "./gas.ts";
import type { NonceSlot } from "./nonce_slot.ts";
import { Payload, type PayloadParts } from "./payload.ts";
import type { Draft, Offered, Publishing } from "./publishing.ts";
import type { SpendGuard, Spending } from "./spend_guard.ts";
import type { TxManagerConfig } from "./tx_config.ts";
import type { L1View } from "./watch.ts";

/** So often nodes may refuse what none of them ever took, before that is an error. */
const REFUSALS_UNTIL_FAILED = { "sidecar refused": 3, "unknown": 10 } as const;
/** So often a pool may say that the account is taken by the other type, before it is freed. */
const REFUSALS_UNTIL_FREED = 2;

/** What it waits for is told again after so long. */
const REMIND_MS = 10 * 60 * 1000;

/** What can be known at one moment; asked for once, and only where it is needed. */
export interface Moment {
  readonly view: L1View;
  readonly nowMs: number;
  spending(): Spending;
  market(): Promise<Market>;
  balance(): Promise<bigint>;
}

/** What it needs. */
export interface UpkeepParts extends PayloadParts {
  readonly publishing: Publishing;
  readonly guard: SpendGuard;
  readonly config: TxManagerConfig;
  /** The account itself, where empty transactions go. */
  readonly address: Uint8Array;
  readonly clock: Clock;
  readonly log: Log;
}

/** Looks after transactions that are in no block. */
export class Upkeep {
  readonly #parts: UpkeepParts;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
  }

  /**
   * Does what is due for a nonce.
   *
   * @throws {RpcError} | {SignerError} | {WalError} it is tried again at the next moment
   */
  async tend(slot: NonceSlot, moment: Moment): Promise<void> {
    const { view, nowMs } = moment;
    const isFirst = slot.nonce === view.nextNonce;
    slot.firstSinceMs = isFirst ? slot.firstSinceMs ?? nowMs : undefined;
    // Where the nonce is used, its receipt tells.
    const isTooLate = !slot.isCancelled && slot.nonce >= view.nextNonce &&
      slot.isTooLate(view.head);
    if (isTooLate) {
      slot.owes = "cancel";
      // An earlier run may have sent it, and it is not offered again.
      slot.newestSentMs ??= Math.min(nowMs, slot.newest.signedAtMs);
      this.tell(slot, "window", expired(slot, view.head.number));
    }
    if (await this.#replace(slot, moment) || isTooLate) return;

    const isFresh = nowMs - slot.offeredAtMs < this.#parts.config.blockTimeMs;
    if (isFresh && slot.offeredAtMs <= nowMs) return;
    const { publishing } = this.#parts;
    if (slot.isOffered && await publishing.isKnown(slot)) return;
    await this.offer(slot, moment);
  }

  /** Offers what was signed, and takes note of the answer. */
  async offer(slot: NonceSlot, moment: Moment): Promise<void> {
    this.#note(slot, await this.#parts.publishing.offer(slot), moment);
  }

  /** Why a transaction that can cost so much cannot be signed now; told once for each reason. */
  async refusal(
    wei: bigint,
    moment: Moment,
    slot?: NonceSlot,
  ): Promise<{ reason: "spend" | "funds"; error: SinkError } | undefined> {
    const dear = this.#parts.guard.refusal(wei, moment.spending(), slot);
    if (dear) return { reason: "spend", error: dear };
    const others = moment.spending().slots.filter((each) => each !== slot && each.isPending);
    const need = others.reduce((sum, each) => sum + each.worstWei, wei);
    const balance = await moment.balance();
    return balance < need ? { reason: "funds", error: this.#poor(balance, need) } : undefined;
  }

  /** Tells what a transaction waits for, once, and now and then as long as it does. */
  tell(
    slot: {
      batchNumber: bigint | undefined;
      waitsFor: string | undefined;
      toldMs: number | undefined;
    },
    reason: Extract<EthereumEvent, { event: "tx.waits" }>["reason"],
    error: unknown,
  ): void {
    const what = error instanceof MontanaError ? `${reason} ${error.code}` : reason;
    const nowMs = this.#parts.clock.now();
    const isTold = slot.waitsFor === what && slot.toldMs !== undefined;
    if (isTold && nowMs - slot.toldMs! < REMIND_MS) return;
    slot.waitsFor = what;
    slot.toldMs = nowMs;
    this.#parts.log({ event: "tx.waits", batchNumber: slot.batchNumber, reason, error });
  }

  /** Signs and offers a replacement, if one is due and possible. */
  async #replace(slot: NonceSlot, moment: Moment): Promise<boolean> {
    const { config, publishing } = this.#parts;
    if (slot.standsForMs(moment.nowMs) < config.bumpIntervalMs) return false;
    const market = await moment.market();
    const reason = slot.owes ?? (this.#isBumpDue(slot, market, moment.nowMs) ? "bump" : undefined);
    if (reason === undefined) return false;

    const draft = await this.#draft(slot, reason);
    const hasBlobs = [slot.newest, draft.payload].some(({ blobHashes }) => blobHashes.length > 0);
    const before = highest(slot);
    // What frees the pool has nothing before it there.
    const offer = reason === "cancel" && slot.hasFreedPool
      ? firstOffer(market, hasBlobs, config)
      : replacementOffer(before, market, hasBlobs, config) ??
        (slot.owes && leastOffer(before, hasBlobs, config));
    if (offer === undefined) return false;
    if ("wait" in offer) {
      this.tell(slot, offer.wait, tooExpensive(offer));
      return false;
    }
    const blobs = draft.payload.blobHashes.length;
    const fees = blobs > 0 ? offer.caps : { ...offer.caps, maxFeePerBlobGas: 0n };
    const refusal = await this.refusal(worstCostWei(draft.payload.gas, blobs, fees), moment, slot);
    if (refusal) {
      this.tell(slot, refusal.reason, refusal.error);
      return false;
    }
    await publishing.sign(slot, { ...draft, fees });
    slot.waitsFor = undefined;
    await this.offer(slot, moment);
    return true;
  }

  #isBumpDue(slot: NonceSlot, market: Market, nowMs: number): boolean {
    if (slot.isTooCheap || !meetsMarket(slot.newest.fees, market, slot.hasBlobs)) return true;
    // Behind another one of ours no price gets it in.
    const { firstSinceMs } = slot;
    if (firstSinceMs === undefined) return false;
    return nowMs - firstSinceMs >= this.#parts.config.bumpIntervalMs;
  }

  async #draft(slot: NonceSlot, reason: Draft["reason"]): Promise<Omit<Draft, "fees">> {
    if (reason === "cancel") {
      const payload = await this.#emptyPayload(slot);
      return { batchNumber: undefined, payload, reason };
    }
    const payload = reason === "fallback"
      ? slot.fallback!
      : await this.#parts.publishing.payload(slot);
    const batchNumber = reason === "fallback" ? slot.batchNumber : slot.newest.batchNumber;
    return { batchNumber, payload, reason, deadlineL1Block: slot.deadlineL1Block };
  }

  /** To the account itself, with a blob that holds nothing where pools ask for one. */
  async #emptyPayload(slot: NonceSlot): Promise<Payload> {
    const hasBlobs = slot.hasFreedPool ? !slot.hasBlobs : slot.hasBlobs;
    const blobs = hasBlobs ? [encodeBlob(new Uint8Array())] : [];
    return await Payload.make(this.#parts, this.#parts.address, new Uint8Array(), blobs);
  }

  #note(slot: NonceSlot, { answer, text }: Offered, { view }: Moment): void {
    switch (answer) {
      case "taken": {
        slot.refusals = 0;
        slot.waitsFor = undefined;
        return;
      }
      case "replacement underpriced":
      case "fee below floor":
      case "blob fee too low": {
        slot.isTooCheap = true;
        return;
      }
      case "insufficient funds": {
        const error = new SinkError("InsufficientFunds", this.#refused(slot, text));
        this.tell(slot, "funds", error);
        if (!slot.isOffered) slot.verdict = error;
        return;
      }
      case "reserved": {
        slot.refusals += 1;
        // Of ours, those before it land by themselves; those behind it, and those of others, do not. And a
        // pool that was freed for one type may keep the account for the other by now.
        const isFirst = slot.nonce === view.nextNonce;
        if (!isFirst || slot.refusals < REFUSALS_UNTIL_FREED) return;
        slot.hasFreedPool = true;
        slot.owes = "cancel";
        return;
      }
      case "sidecar refused":
      case "unknown": {
        slot.refusals += 1;
        if (slot.isOffered || slot.refusals < REFUSALS_UNTIL_FAILED[answer]) return;
        slot.verdict = new SinkError("TxFailed", this.#refused(slot, text), {
          details: { tx: toHex(slot.newest.signed.hash), nonce: slot.nonce },
        });
        return;
      }
      // The receipt tells, or the next moment: nothing to be done for this one.
      case "nonce too low":
      case "nonce too high":
      case "already known":
      case "pool full":
    }
  }

  #refused(slot: NonceSlot, text: string): string {
    const what = slot.batchNumber === undefined
      ? "an empty transaction"
      : `batch ${slot.batchNumber}`;
    return `Cannot send ${what} with nonce ${slot.nonce}: ${text}`;
  }

  #poor(balance: bigint, need: bigint): SinkError {
    return new SinkError(
      "InsufficientFunds",
      `Cannot send: account ${toHex(this.#parts.address)} has ${
        inEther(balance)
      }, and what is under way can ` +
        `cost ${inEther(need)}. Fund it`,
      { details: { balance, need } },
    );
  }
}

function expired({ batchNumber, nonce, deadlineL1Block }: NonceSlot, head: bigint): SinkError {
  return new SinkError(
    "WindowExpired",
    `Cannot send batch ${batchNumber} any more: L1 is at block ${head}, and readers drop it behind block ` +
      `${deadlineL1Block}. Its nonce ${nonce} goes to an empty transaction`,
    { details: { batch: batchNumber, nonce, deadline: deadlineL1Block, head } },
  );
}

/** The error for a market above a ceiling. */
export function tooExpensive({ wait, current, max }: Extract<Offer, { wait: string }>): SinkError {
  const isOfBlobs = wait === "blob fee";
  const what = isOfBlobs ? "gas of blobs" : "gas";
  return new SinkError(
    isOfBlobs ? "BlobGasTooExpensive" : "GasTooExpensive",
    `Cannot send now: ${what} costs ${current} wei, at most ${max} may be offered. It goes on below that`,
    { details: { current, max } },
  );
}

/** What a replacement of all attempts has to be above. */
function highest({ attempts }: NonceSlot): FeeCaps {
  const most = (pick: (fees: FeeCaps) => bigint) =>
    attempts.map(({ fees }) => pick(fees)).reduce((a, b) => (a > b ? a : b));
  return {
    maxFeePerGas: most((fees) => fees.maxFeePerGas),
    maxPriorityFeePerGas: most((fees) => fees.maxPriorityFeePerGas),
    maxFeePerBlobGas: most((fees) => fees.maxFeePerBlobGas),
  };
}
