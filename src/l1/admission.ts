/**
 * How a batch gets its nonce: in its turn, where there is room, and where it can be paid for (design
 * `ethereum.md`, "Sending" 2, 3, 9 and 12).
 *
 * @module
 */
import type { Chain } from "../ethereum.ts";
import { SinkError } from "../errors.ts";
import { toHex } from "../wire/hex.ts";
import { firstOffer } from "./fees.ts";
import { worstCostWei } from "./gas.ts";
import { NonceSlot } from "./nonce_slot.ts";
import type { Payload } from "./payload.ts";
import type { Publishing } from "./publishing.ts";
import type { SendJob } from "./send_job.ts";
import type { Spending } from "./spend_guard.ts";
import type { TxManagerConfig } from "./tx_config.ts";
import { type Moment, tooExpensive, type Upkeep } from "./upkeep.ts";

/** What it needs. */
export interface AdmissionParts {
  readonly chain: Chain;
  readonly address: Uint8Array;
  readonly config: TxManagerConfig;
  readonly publishing: Publishing;
  readonly upkeep: Upkeep;
  /** Of the account, when its owner began. */
  readonly firstNonce: bigint;
}

/** Gives nonces to batches. */
export class Admission {
  readonly #parts: AdmissionParts;
  /** Since when transactions are in the pool that the journal does not know. */
  #strangersSinceMs: number | undefined;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
  }

  /**
   * Refuses to go on behind transactions of this account that nobody here signed and that are on L1.
   *
   * @throws {SinkError} `NonceTaken`
   */
  refuseStrangers(nextNonce: bigint, { slots, landed }: Spending): void {
    const { address, config, firstNonce } = this.#parts;
    const own = (slots.at(-1)?.nonce ?? landed.at(-1)?.nonce ?? -1n) + 1n;
    const expected = own > firstNonce ? own : firstNonce;
    if (config.isShared || nextNonce <= expected) return;
    throw new SinkError(
      "NonceTaken",
      `Cannot go on: ${nextNonce - expected} transactions of account ${
        toHex(address)
      } are on L1 that ` +
        `this program did not sign, and they may hold batches. One program alone may use an account. Start ` +
        `again: it looks at L1 first`,
      { details: { nonce: expected, nextNonce } },
    );
  }

  /**
   * Signs the first transaction of a batch under the next nonce, and writes it down.
   *
   * @returns nothing where the batch has to wait
   * @throws {SinkError} `InsufficientFunds` where nothing is under way and the account cannot pay
   * @throws {RpcError} | {SignerError} | {WalError} the batch has no nonce then
   */
  async admit(job: SendJob, payload: Payload, moment: Moment): Promise<NonceSlot | undefined> {
    const { config, publishing, upkeep } = this.#parts;
    const { slots } = moment.spending();
    const pending = slots.filter((slot) => slot.isPending);
    if (pending.length >= config.maxPendingTx) return undefined;
    // Pools take one type at a time from an account.
    const blobs = payload.blobHashes.length;
    if (pending.some((slot) => slot.hasBlobs !== blobs > 0)) return undefined;
    if (pending.length === 0 && await this.#waitsForStrangers(job, moment)) return undefined;

    const offer = firstOffer(await moment.market(), blobs > 0, config);
    if ("wait" in offer) {
      job.problem = tooExpensive(offer);
      upkeep.tell(job, offer.wait, job.problem);
      return undefined;
    }
    const refusal = await upkeep.refusal(worstCostWei(payload.gas, blobs, offer.caps), moment);
    if (refusal) {
      const { reason, error } = refusal;
      if (reason === "funds" && pending.length === 0) throw error;
      job.problem = error;
      upkeep.tell(job, reason, error);
      return undefined;
    }

    const slot = new NonceSlot(this.#nextNonce(moment));
    const { batchNumber, deadlineL1Block } = job.request;
    const fees = offer.caps;
    await publishing.sign(slot, { batchNumber, deadlineL1Block, payload, fees, reason: "first" });
    return slot;
  }

  /** A node that is behind names one that was used already. */
  #nextNonce({ view, spending }: Moment): bigint {
    const { slots, landed } = spending();
    const used = slots.at(-1)?.nonce ?? landed.at(-1)?.nonce ?? -1n;
    return used >= view.nextNonce ? used + 1n : view.nextNonce;
  }

  /**
   * Whether transactions of this account wait that nobody here signed. They are given the time of some
   * blocks; then the nonce is used nevertheless, as one that never lands would hold up everything.
   */
  async #waitsForStrangers(job: SendJob, { view, nowMs }: Moment): Promise<boolean> {
    const { chain, address, config, upkeep } = this.#parts;
    const pendingNonce = await chain.nonce(address, "pending");
    const strangers = pendingNonce - view.nextNonce;
    if (strangers <= 0n) {
      this.#strangersSinceMs = undefined;
      return false;
    }
    this.#strangersSinceMs ??= nowMs;
    if (nowMs - this.#strangersSinceMs >= config.confirmations * config.blockTimeMs) return false;
    job.problem = new SinkError(
      "NonceTaken",
      `Cannot send now: ${strangers} transactions of account ${
        toHex(address)
      } wait in the pool that this ` +
        `program did not sign. One program alone may use an account`,
      { kind: "temporary", details: { nonce: view.nextNonce, pending: pendingNonce } },
    );
    upkeep.tell(job, "nonce", job.problem);
    return true;
  }
}
