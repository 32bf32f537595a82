/**
 * How a transaction comes to a node: signed, written down, sent, in that order (design `ethereum.md`,
 * "Sending" 1, 4, 5 and 7). What a node answers never decides whether a transaction landed; it only tells
 * what is worth doing next.
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import type { Chain, FeeCaps, Signer, TxAttempt, TxJournal } from "../ethereum.ts";
import type { Clock, Log } from "../ports.ts";
import { equalBytes, equalLists } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { classify, type NodeAnswer } from "./node_errors.ts";
import type { NonceSlot } from "./nonce_slot.ts";
import { Payload, type PayloadParts } from "./payload.ts";
import type { SidecarForms } from "./sidecar_form.ts";

/** What it needs. */
export interface PublishingParts extends PayloadParts {
  readonly chain: Chain;
  readonly chainId: bigint;
  readonly signer: Signer;
  readonly journal: TxJournal;
  readonly forms: SidecarForms;
  readonly clock: Clock;
  readonly log: Log;
}

/** What is to be signed next for a nonce. */
export interface Draft {
  readonly batchNumber: bigint | undefined;
  readonly payload: Payload;
  readonly fees: FeeCaps;
  readonly reason: "first" | "bump" | "cancel" | "fallback";
  readonly deadlineL1Block?: bigint | undefined;
}

/** What came of offering a transaction: a node has it, or why not, in its own words. */
export interface Offered {
  readonly answer: "taken" | NodeAnswer;
  readonly text: string;
}

const TAKEN: Offered = { answer: "taken", text: "taken" };

/** Who refuses the newest for one of these refuses all before it of its kind as well: they offer less. */
const OFFERS_TOO_LITTLE: readonly Offered["answer"][] = ["fee below floor", "blob fee too low"];

/** Signs and sends for one account. */
export class Publishing {
  readonly #parts: PublishingParts;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
  }

  /**
   * Signs one more transaction for a nonce, and writes it down. It may be sent from here on.
   *
   * @throws {SignerError} | {WalError} nothing was signed as far as anybody needs to know
   */
  async sign(slot: NonceSlot, draft: Draft): Promise<void> {
    const { batchNumber, payload, fees, reason, deadlineL1Block } = draft;
    const { signer, journal, chainId, clock, log } = this.#parts;
    const { to, input, gas, blobHashes } = payload;
    const { nonce } = slot;
    const signed = await signer.sign({ chainId, nonce, to, input, gas, fees, blobHashes });
    const signedAtMs = clock.now();
    const attempt: TxAttempt = {
      batchNumber,
      nonce,
      signed,
      fees,
      blobHashes,
      signedAtMs,
      ...(deadlineL1Block === undefined ? {} : { deadlineL1Block }),
    };
    await journal.signed(attempt);
    slot.add(attempt, gas);
    slot.payload = payload;
    log({ event: "tx.signed", attempt, reason });
  }

  /**
   * Offers what was signed for a nonce, the newest first: an older one where the newest is refused for what
   * may not hold for that, so that one of them stays in the pool.
   *
   * @returns what came of the newest
   * @throws {RpcError} where nobody knows whether it was sent
   */
  async offer(slot: NonceSlot): Promise<Offered> {
    const { clock } = this.#parts;
    slot.offeredAtMs = clock.now();
    try {
      const offered = await this.#send(slot, slot.newest, await this.payload(slot));
      if (offered.answer === "taken") slot.isOffered = true;
      else if (slot.isOffered) await this.#offerOlder(slot, offered.answer);
      return offered;
    } finally {
      slot.newestSentMs ??= clock.now();
    }
  }

  /** Whether a node has the newest attempt. */
  async isKnown(slot: NonceSlot): Promise<boolean> {
    if (!await this.#parts.chain.knows(slot.newest.signed.hash)) return false;
    slot.offeredAtMs = this.#parts.clock.now();
    slot.newestSentMs ??= slot.offeredAtMs;
    slot.isOffered = true;
    return true;
  }

  /** What the newest attempt carries. */
  async payload(slot: NonceSlot): Promise<Payload> {
    const { signed, blobHashes } = slot.newest;
    slot.payload ??= await Payload.restore(this.#parts, signed, blobHashes);
    return slot.payload;
  }

  async #offerOlder(slot: NonceSlot, refusal: Offered["answer"]): Promise<void> {
    const { chain } = this.#parts;
    const { newest } = slot;
    // They have the same nonce.
    if (refusal === "nonce too low") return;
    const isCancel = newest.batchNumber === undefined;
    for (const attempt of slot.attempts.slice(0, -1).toReversed()) {
      // What was cancelled is not brought back.
      if (isCancel && attempt.batchNumber !== undefined) return;
      const isSameKind = attempt.blobHashes.length > 0 === slot.hasBlobs;
      if (isSameKind && OFFERS_TOO_LITTLE.includes(refusal)) continue;
      if (await chain.knows(attempt.signed.hash)) return;
      const payload = await this.#payloadOf(slot, attempt);
      if ((await this.#send(slot, attempt, payload)).answer === "taken") return;
    }
  }

  /** Commitments and proofs are not made again for a transaction that differs by its price alone. */
  async #payloadOf(slot: NonceSlot, { signed, blobHashes }: TxAttempt): Promise<Payload> {
    const newest = await this.payload(slot);
    const isSame = equalLists(newest.blobHashes, blobHashes);
    return isSame ? newest : await Payload.restore(this.#parts, signed, blobHashes);
  }

  /** Sends it in the form that nodes take; the other form has the same hash, and replaces nothing. */
  async #send(slot: NonceSlot, attempt: TxAttempt, payload: Payload): Promise<Offered> {
    const { forms, log } = this.#parts;
    const form = await forms.first();
    const other = payload.blobHashes.length > 0 ? forms.other(form) : undefined;
    let offered = await this.#sendAs(slot, attempt, await payload.wire(attempt.signed, form));
    log({ event: "tx.sent", attempt, answer: offered.answer });
    if (offered.answer === "sidecar refused" && other) {
      offered = await this.#sendAs(slot, attempt, await payload.wire(attempt.signed, other));
      log({ event: "tx.sent", attempt, answer: offered.answer });
      if (offered.answer === "taken") forms.accepted(other);
    }
    return offered;
  }

  async #sendAs(slot: NonceSlot, attempt: TxAttempt, wire: Uint8Array): Promise<Offered> {
    try {
      const hash = await this.#parts.chain.send(wire);
      if (equalBytes(hash, attempt.signed.hash)) return TAKEN;
      const named = `${toHex(hash)}, its hash is ${toHex(attempt.signed.hash)}`;
      const what =
        `Cannot tell whether a transaction was sent: ${this.#parts.chain.name} calls it ${named}`;
      throw new RpcError("Invalid", what);
    } catch (error) {
      const isRefused = error instanceof RpcError && error.code === "Answered";
      if (!isRefused) {
        // Nobody knows: it may have been taken.
        slot.isOffered = true;
        throw error;
      }
      const answer = classify(error);
      return answer === "already known" ? TAKEN : { answer, text: error.message };
    }
  }
}
