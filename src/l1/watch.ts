/**
 * What became of the nonces of an account: which of its transactions are in the chain, whether they still
 * are, and since when for good (design `ethereum.md`, "Sending" 6).
 *
 * @module
 */
import { RpcError } from "../errors.ts";
import type { Chain, L1Header, LandedTx } from "../ethereum.ts";
import type { Log } from "../ports.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { costOf } from "./gas.ts";
import type { Inclusion, NonceSlot } from "./nonce_slot.ts";
import { readTransaction } from "./payload.ts";
import { mayHoldBatch } from "./taken_nonce.ts";

/** A nonce is lost to somebody else when that was seen under so many heads: nodes may lag. */
const HEADS_UNTIL_TAKEN = 3;

/** A node may lag for a moment: so many looks in a row are told of. */
const LOOKS_UNTIL_TOLD = 3;

/** What it needs. */
export interface WatchParts {
  readonly chain: Chain;
  readonly address: Uint8Array;
  readonly log: Log;
  /** From how many blocks on the nonce of somebody else's transaction is lost. */
  readonly confirmations: number;
  /** From how many blocks on a block is final, where a node knows no final one. */
  readonly finalityDepth: number;
  /** Throws where L1 is not what it was. */
  readonly mustBeSameL1?: () => Promise<void>;
}

/** The chain as it was seen. */
export interface L1View {
  readonly head: L1Header;
  /** How many transactions of the account are in it: the nonce that comes next. */
  readonly nextNonce: bigint;
}

/** Watches the nonces of one account. */
export class Watch {
  readonly #parts: WatchParts;

  constructor(parts: WatchParts) {
    this.#parts = parts;
  }

  /**
   * Looks where the slots stand.
   *
   * @throws {RpcError} what the node threw: the next look makes up for it
   * @throws {PipelineError} `WrongL1`
   */
  async look(slots: readonly NonceSlot[]): Promise<L1View> {
    const { chain, address } = this.#parts;
    await this.#parts.mustBeSameL1?.();
    const head = await chain.header("latest");
    if (!head) {
      throw new RpcError("Invalid", `Cannot watch L1: ${chain.name} knows no latest block`);
    }
    for (const slot of slots) await this.#hold(slot, head);

    const nextNonce = await chain.nonce(address, "latest");
    for (const slot of slots) {
      if (slot.inclusion) continue;
      if (slot.nonce < nextNonce) await this.#find(slot, head);
      else slot.missingUnder.clear();
      slot.isTaken = slot.missingUnder.size >= HEADS_UNTIL_TAKEN;
    }
    return { head, nextNonce };
  }

  /**
   * Asks once more, by its number, for the block that includes a slot: so before anything is said to be
   * confirmed or final, as the head itself may be that of a node that is behind. Where the answer is another
   * block, the next look tells.
   */
  async verify(slot: NonceSlot): Promise<void> {
    const { inclusion } = slot;
    if (!inclusion || !slot.isVerified) return;
    slot.isVerified = false;
    const block = await this.#parts.chain.header(inclusion.receipt.blockNumber);
    slot.isVerified = block !== undefined && equalBytes(block.hash, inclusion.receipt.blockHash);
  }

  /** Number of the last block that no reorganisation can take out. */
  async finalNumber(head: L1Header): Promise<bigint> {
    const { chain, finalityDepth } = this.#parts;
    const byDepth = head.number - BigInt(finalityDepth);
    try {
      return (await chain.header("finalized"))?.number ?? byDepth;
    } catch (error) {
      // A node that does not know the tag says so in an error.
      if (error instanceof RpcError && error.code === "Answered") return byDepth;
      throw error;
    }
  }

  /** Whether what came of the nonce is final. */
  async isFinal(slot: NonceSlot, finalNumber: bigint): Promise<boolean> {
    if (slot.inclusion) return slot.inclusion.receipt.blockNumber <= finalNumber;
    if (!slot.isTaken || finalNumber < 0n) return false;
    return await this.#parts.chain.nonce(this.#parts.address, finalNumber) > slot.nonce;
  }

  /** Whether what has a nonce in place of the batch may be that batch: asked for once. */
  async mayBeElsewhere(slot: NonceSlot, head: L1Header): Promise<boolean> {
    const { chain, address } = this.#parts;
    const { nonce, batchAttempt } = slot;
    const { to } = await readTransaction(batchAttempt!.signed.raw);
    const taken = { chain, address, nonce, to, head: head.number };
    return slot.mayBeElsewhere ??= await mayHoldBatch(taken);
  }

  /**
   * Holds the block that includes a slot against the one that is there now. At each look anew: nodes that are
   * asked in turn may lag, and what one of them says must not stand longer than that.
   */
  async #hold(slot: NonceSlot, head: L1Header): Promise<void> {
    slot.isVerified = false;
    const { inclusion } = slot;
    if (!inclusion) return;
    const { attempt, receipt } = inclusion;
    const { blockNumber, blockHash } = receipt;
    const block = blockNumber === head.number ? head : await this.#parts.chain.header(blockNumber);
    if (!block) return this.#miss(slot, blockNumber, head);
    slot.looksWithoutBlock = 0;
    if (equalBytes(block.hash, blockHash)) {
      slot.isVerified = true;
      return;
    }
    slot.inclusion = undefined;
    slot.offeredAtMs = -Infinity;
    slot.waitsFor = undefined;
    this.#parts.log({ event: "tx.reorganised", attempt, l1Block: blockNumber });
  }

  /** The node is behind, and the next look tells; or it has lost a block, and somebody should know. */
  #miss(slot: NonceSlot, number: bigint, head: L1Header): void {
    slot.looksWithoutBlock += 1;
    if (slot.looksWithoutBlock !== LOOKS_UNTIL_TOLD) return;
    const { chain, log } = this.#parts;
    const { batchNumber } = slot;
    const what = batchNumber === undefined ? `nonce ${slot.nonce}` : `batch ${batchNumber}`;
    const error = new RpcError(
      "Invalid",
      `Cannot tell whether ${what} is on L1: ${chain.name} has no block ${number}, though its head is ` +
        `block ${head.number}. It goes on once a node has that block`,
      { details: { block: number, head: head.number, endpoint: chain.name } },
    );
    log({ event: "tx.waits", batchNumber, reason: "node", error });
  }

  /** The nonce is in the chain: which transaction has it? */
  async #find(slot: NonceSlot, head: L1Header): Promise<void> {
    const { chain, address, confirmations, log } = this.#parts;
    for (const attempt of slot.attempts.toReversed()) {
      const receipt = await chain.receipt(attempt.signed.hash);
      if (!receipt) continue;
      const block = await chain.header(receipt.blockNumber);
      if (!block) return this.#miss(slot, receipt.blockNumber, head);
      slot.looksWithoutBlock = 0;
      // The chain went on between the two answers: the next look tells.
      if (!equalBytes(block.hash, receipt.blockHash)) return;
      slot.inclusion = { attempt, receipt, blockMs: Number(block.timestamp) * 1000 };
      slot.missingUnder.clear();
      slot.isTakenKnown = false;
      slot.mayBeElsewhere = undefined;
      slot.waitsFor = undefined;
      // Seen after the head was: it may be of another branch than that.
      slot.isVerified = false;
      log({ event: "tx.included", attempt, receipt });
      return;
    }
    // Nodes that are asked in turn do not always know the same: only what is deep enough is lost.
    const depth = head.number + 1n - BigInt(confirmations);
    if (depth >= 0n && await chain.nonce(address, depth) > slot.nonce) {
      slot.missingUnder.add(toHex(head.hash));
    }
  }
}

/** What is kept of a transaction that is final. */
export function landedTx(slot: NonceSlot, { attempt, receipt, blockMs }: Inclusion): LandedTx {
  const { deadlineL1Block } = attempt;
  return {
    nonce: slot.nonce,
    batchNumber: attempt.batchNumber,
    isSuccess: receipt.isSuccess,
    txHash: receipt.txHash,
    l1Block: receipt.blockNumber,
    l1BlockHash: receipt.blockHash,
    blobHashes: attempt.blobHashes,
    cost: costOf(receipt),
    landedAtMs: blockMs,
    ...(deadlineL1Block === undefined ? {} : { deadlineL1Block }),
  };
}
