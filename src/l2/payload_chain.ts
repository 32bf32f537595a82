/**
 * The chain that a consensus client tells: its payloads in a tree, and which branch of it was chosen. All of
 * it is in the journal before it counts.
 *
 * | a payload                                         | status                                         |
 * | ------------------------------------------------- | ---------------------------------------------- |
 * | is wrong by itself, or behind its parent          | `INVALID`                                      |
 * | follows the head that was chosen, or is below it  | `VALID`: it is what it says, nobody executed it |
 * | is connected, on another branch                   | `ACCEPTED`                                     |
 * | has a parent that is not here                     | `SYNCING`, and it is kept, in case that comes  |
 *
 * **Where it begins.** Nobody gives blocks of before, so the first payload is taken at its word: the block
 * that it follows becomes the root. Until a head was chosen this is provisional: the first choice puts the
 * root below the oldest payload in hand that the head follows. With a start block only payloads up to that
 * one can be the first. After a restart the root is the one of the journal, or the last block that was
 * taken.
 *
 * @module
 */
import {
  type BlockRef,
  EngineError,
  type Forkchoice,
  type ForkchoiceUpdate,
  type PayloadJournal,
  type PayloadStatus,
} from "../engine.ts";
import { describeError, isRetryable } from "../errors.ts";
import type { Log } from "../ports.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { ForkTimes } from "./fork_times.ts";
import { InvalidBlocks } from "./invalid_blocks.ts";
import { type MissingBlock, MissingBlocks } from "./missing_blocks.ts";
import { isZeroHash, type NewPayload, versionOf } from "./payload.ts";
import { faultOf, followFault, type PayloadFault } from "./payload_checks.ts";
import { PayloadTree, type TreeBlock } from "./payload_tree.ts";

/** Payloads that may wait for their parents. */
const MAX_WAITING = 4096;

/** What a chain is made of. */
export interface PayloadChainParts {
  readonly journal: PayloadJournal;
  readonly log: Log;
  /** The first block that is wanted: its chain may not begin above it. */
  readonly startBlock: bigint | undefined;
  /** Bytes of payloads that are held at the most. */
  readonly maxHeldBytes: number;
}

/** Payloads, and the branch that was chosen. */
export class PayloadChain {
  readonly tree: PayloadTree = new PayloadTree();
  readonly #parts: PayloadChainParts;
  readonly #invalid = new InvalidBlocks();
  readonly #times = new ForkTimes();
  #forkchoice: Forkchoice | undefined;
  /** Chosen last, and not followed: blocks are missing. */
  #notFollowed: ForkchoiceUpdate | undefined;
  readonly #missing = new MissingBlocks();
  #chosenAt = 0n;
  /** The root is no longer a guess. */
  #isRooted = false;
  /** One call after the other, in the order in which they came. */
  #turn: Promise<unknown> = Promise.resolve();
  #failure: unknown;
  #isClosed = false;

  private constructor(parts: PayloadChainParts) {
    this.#parts = parts;
  }

  /**
   * What the journal holds, as it stood.
   *
   * @param last the last block that earlier runs took; the chain goes on behind it
   */
  static async open(
    parts: PayloadChainParts,
    last: BlockRef | undefined,
  ): Promise<PayloadChain> {
    const chain = new PayloadChain(parts);
    await chain.#restore(last);
    return chain;
  }

  /** What was chosen last. */
  get forkchoice(): Forkchoice | undefined {
    return this.#forkchoice;
  }

  /** What was chosen since, where its blocks do not lead down to what is in hand. */
  get notFollowed(): ForkchoiceUpdate | undefined {
    return this.#notFollowed;
  }

  /** Why the journal takes nothing more. */
  get failure(): unknown {
    return this.#failure;
  }

  /**
   * Takes a payload.
   *
   * @throws {EngineError} `UnsupportedFork`, `Unavailable`
   */
  async newPayload(payload: NewPayload): Promise<PayloadStatus> {
    const fault = faultOf(payload);
    return await this.#inTurn(async () => {
      const status = await this.#judge(payload, await fault);
      const { blockNumber: number, blockHash: hash } = payload.envelope.payload;
      const { validationError: reason } = status;
      this.#parts.log({
        event: "consensus.payload",
        number,
        hash,
        status: status.status,
        ...(reason === undefined ? {} : { reason }),
      });
      // The specification has words for what is invalid only.
      return status.status === "INVALID" ? status : withoutReason(status);
    });
  }

  /**
   * Chooses a branch.
   *
   * @throws {EngineError} `InvalidForkchoice`, `Unavailable`
   */
  async choose(state: ForkchoiceUpdate): Promise<PayloadStatus> {
    return await this.#inTurn(async () => {
      const status = await this.#choose(state);
      const { head, safe, finalized } = state;
      const number = (name: string, hash: Uint8Array) => {
        const value = this.tree.numberOf(hash);
        return value === undefined ? {} : { [name]: value };
      };
      this.#parts.log({
        event: "consensus.forkchoice",
        status: status.status,
        head,
        ...number("headNumber", head),
        ...number("safeNumber", safe),
        ...number("finalizedNumber", finalized),
        ...(status.validationError === undefined ? {} : { reason: status.validationError }),
      });
      return status.status === "INVALID" ? status : withoutReason(status);
    });
  }

  /** Nothing was taken, or nothing of it is needed: the next choice may put the root elsewhere. */
  beginAnew(): void {
    this.#forkchoice = undefined;
    this.#isRooted = false;
  }

  /** Lets go of what is below a block, which all branches that matter share. */
  async prune(root: BlockRef): Promise<void> {
    await this.#inTurn(async () => {
      // Another branch may have been chosen meanwhile.
      const before = this.#forkchoice;
      if (before === undefined || !this.tree.isOnBranch(root.hash, before.head)) return;
      const forkchoice = { ...before, root };
      this.#chosenAt = await this.#written(() => this.#parts.journal.chosen(forkchoice));
      this.#forkchoice = forkchoice;
      this.tree.prune(root);
      let oldest = this.#chosenAt;
      for (const { sequence } of this.tree.blocks()) if (sequence < oldest) oldest = sequence;
      await this.#written(() => this.#parts.journal.forget(oldest));
    });
  }

  /** Answers no more; resolves when nothing is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#turn.catch(() => {});
  }

  async #restore(last: BlockRef | undefined): Promise<void> {
    for await (const record of this.#parts.journal.read()) {
      if ("forkchoice" in record) {
        this.#forkchoice = record.forkchoice;
        this.#chosenAt = record.sequence;
        continue;
      }
      const { blockHash, parentHash, blockNumber } = record.envelope.payload;
      if (this.tree.get(blockHash)) continue;
      if (this.tree.root === undefined && this.#mayBegin(blockNumber)) {
        this.tree.setRoot({ number: blockNumber - 1n, hash: parentHash });
      }
      this.tree.add(record.envelope, record.sequence);
    }
    if (this.#forkchoice) {
      this.tree.setRoot(this.#forkchoice.root);
      this.#isRooted = true;
    }
    // Blocks of another source, or a journal that was lost: what is here leads nowhere.
    if (last && this.tree.numberOf(last.hash) === undefined) {
      this.#forkchoice = undefined;
      this.tree.setRoot(last);
    }
    this.#isRooted ||= last !== undefined;
    const { root } = this.tree;
    if (root) { for (const child of this.tree.children(root.hash)) this.#lookAbove(child); }
    for (const block of this.tree.blocks()) {
      if (block.isConnected && this.#extends(block.hash)) this.#markValid(block.hash);
    }
    if (this.#forkchoice) this.#markValid(this.#forkchoice.head);
  }

  async #judge(
    { envelope }: NewPayload,
    fault: PayloadFault | undefined,
  ): Promise<PayloadStatus> {
    const { payload } = envelope;
    const { blockHash: hash, parentHash, blockNumber: number } = payload;
    if (fault) return this.#refuse(payload, fault);
    const known = this.tree.get(hash);
    if (known) return this.#statusOf(known);
    const valid = this.#invalid.find(hash) ?? this.#invalid.find(parentHash);
    if (valid) {
      this.#invalid.add(hash, valid.latestValidHash, valid.reason);
      return invalid(`a block below it is invalid: ${valid.reason}`, valid.latestValidHash);
    }
    const version = versionOf(envelope);
    const refusal = this.#times.refusal(version, payload.timestamp);
    if (refusal) {
      throw new EngineError("UnsupportedFork", `Cannot take block ${number}: ${refusal}`);
    }
    const isFirst = this.tree.root === undefined && this.#mayBegin(number);
    if (!isFirst && !this.tree.isConnected(parentHash) && this.tree.waiting >= MAX_WAITING) {
      return { status: "SYNCING", validationError: `${MAX_WAITING} blocks wait for their parents` };
    }
    const wrong = this.#followFault(parentHash, payload);
    if (wrong) return this.#refuse(payload, { reason: wrong });
    this.#mustHaveRoom(number);

    const sequence = await this.#written(() => this.#parts.journal.taken(envelope));
    if (isFirst) this.tree.setRoot({ number: number - 1n, hash: parentHash });
    const block = this.tree.add(envelope, sequence);
    this.#lookAbove(block);
    return this.#statusOf(block);
  }

  async #choose(state: ForkchoiceUpdate): Promise<PayloadStatus> {
    const { head } = state;
    if (isZeroHash(head)) return invalid("headBlockHash is that of no block");
    const below = this.#invalid.find(head);
    if (below) return invalid(below.reason, below.latestValidHash);
    if (!this.#isRooted || !this.tree.isConnected(head)) {
      const missing = this.#moveRootTo(head);
      if (missing !== undefined) {
        this.#notFollowed = state;
        const event = this.#missing.note(missing);
        if (event) this.#parts.log(event);
        return { status: "SYNCING", validationError: missing.reason };
      }
      // What was connected now may be wrong after all.
      const found = this.#invalid.find(head);
      if (found) return invalid(found.reason, found.latestValidHash);
    }
    const forkchoice: Forkchoice = {
      head,
      safe: this.#below(head, state.safe, "safeBlockHash"),
      finalized: this.#below(head, state.finalized, "finalizedBlockHash"),
      root: this.tree.root!,
    };
    if (!isSame(this.#forkchoice, forkchoice)) {
      this.#chosenAt = await this.#written(() => this.#parts.journal.chosen(forkchoice));
    }
    this.#forkchoice = forkchoice;
    this.#notFollowed = undefined;
    this.#missing.clear();
    this.#isRooted = true;
    this.#markValid(head);
    return { status: "VALID", latestValidHash: head };
  }

  /** Before any choice the root is where the first payload happened to be: others may stand below it. */
  #moveRootTo(head: Uint8Array): MissingBlock | undefined {
    const block = this.tree.get(head);
    if (!block) {
      if (this.tree.isConnected(head)) return undefined;
      return { key: "", reason: "no payload with this hash came" };
    }
    const { envelope: { payload } } = this.tree.oldestBelow(block);
    const parent = `block ${payload.blockNumber - 1n} (${toHex(payload.parentHash)})`;
    const missing = (why: string) => ({ key: parent, reason: `${parent} is missing${why}` });
    if (this.#isRooted) return missing(": no payload with its hash came");
    if (!this.#mayBegin(payload.blockNumber)) {
      const { startBlock } = this.#parts;
      return missing(
        `, and block ${startBlock} is to be the first: have the consensus client begin there or ` +
          `below, or start at block ${payload.blockNumber} (--start-block)`,
      );
    }
    this.tree.setRoot({ number: payload.blockNumber - 1n, hash: payload.parentHash });
    for (const child of this.tree.children(payload.parentHash)) this.#lookAbove(child);
    return undefined;
  }

  #mayBegin(number: bigint): boolean {
    const { startBlock } = this.#parts;
    return startBlock === undefined || number <= startBlock;
  }

  /** A block below the head, `undefined` where it is none, or older than what is here. */
  #below(head: Uint8Array, hash: Uint8Array, name: string): Uint8Array | undefined {
    if (isZeroHash(hash)) return undefined;
    if (this.tree.isOnBranch(hash, head)) return hash;
    if (!this.tree.get(hash) && !this.tree.isConnected(hash)) return undefined;
    throw new EngineError(
      "InvalidForkchoice",
      `Cannot choose ${toHex(head)} as head: ${name} ${toHex(hash)} is not below it`,
    );
  }

  #statusOf(block: TreeBlock): PayloadStatus {
    if (!block.isConnected) {
      const { envelope: { payload } } = this.tree.oldestBelow(block);
      const missing = `block ${payload.blockNumber - 1n} (${toHex(payload.parentHash)})`;
      return { status: "SYNCING", validationError: `${missing} is missing` };
    }
    if (!block.isValid && this.#extends(block.hash)) this.#markValid(block.hash);
    if (!block.isValid) return { status: "ACCEPTED" };
    return { status: "VALID", latestValidHash: block.hash };
  }

  /** Whether it is the head that was chosen, or follows it; before a choice, everything does. */
  #extends(hash: Uint8Array): boolean {
    return this.#forkchoice === undefined || this.tree.isOnBranch(this.#forkchoice.head, hash);
  }

  /** And all below it: so what is below a valid block is valid. */
  #markValid(hash: Uint8Array): void {
    for (let block = this.tree.get(hash); block?.isConnected && !block.isValid;) {
      block.isValid = true;
      block = this.tree.get(block.parentHash);
    }
  }

  /** Looks at a block that was connected, and at those that waited for it. */
  #lookAbove(first: TreeBlock): void {
    const open = [first];
    for (let block = open.pop(); block; block = open.pop()) {
      if (!block.isConnected) continue;
      const { payload } = block.envelope;
      const reason = this.#followFault(block.parentHash, payload);
      if (reason !== undefined) {
        for (const { hash } of this.tree.removeBranch(block)) {
          this.#invalid.add(hash, block.parentHash, reason);
        }
        continue;
      }
      this.#times.saw(versionOf(block.envelope), payload.timestamp);
      open.push(...this.tree.children(block.hash));
    }
  }

  #followFault(parentHash: Uint8Array, payload: TreeBlock["envelope"]["payload"]) {
    const number = this.tree.numberOf(parentHash);
    if (number === undefined) return undefined;
    const timestamp = this.tree.get(parentHash)?.envelope.payload.timestamp;
    return followFault(payload, { number, timestamp });
  }

  #refuse(
    { blockHash, parentHash }: TreeBlock["envelope"]["payload"],
    { reason, isWrongHash, isUnplaced }: PayloadFault,
  ): PayloadStatus {
    if (isWrongHash) return { ...invalid(reason), isWrongHash };
    // The blobs are expected by the caller, and nothing of the block.
    if (isUnplaced) return invalid(reason);
    const parent = this.tree.isConnected(parentHash) ? parentHash : undefined;
    this.#invalid.add(blockHash, parent, reason);
    return invalid(reason, parent);
  }

  #mustHaveRoom(number: bigint): void {
    const { maxHeldBytes } = this.#parts;
    if (this.tree.bytes < maxHeldBytes) return;
    throw new EngineError(
      "Unavailable",
      `Cannot take block ${number}: ${this.tree.bytes} bytes of payloads are held, that are not both ` +
        `final and taken, and ${maxHeldBytes} are the most`,
    );
  }

  async #written<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (cause) {
      if (!isRetryable(cause)) this.#failure ??= cause;
      throw new EngineError("Unavailable", `Cannot write it down: ${describeError(cause)}`, {
        cause,
      });
    }
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.catch(() => {}).then(() => {
      if (this.#isClosed) throw new EngineError("Unavailable", "Cannot answer: this program ends");
      return action();
    });
    this.#turn = turn;
    turn.catch(() => {});
    return turn;
  }
}

function invalid(reason: string, latestValidHash?: Uint8Array): PayloadStatus {
  const status = { status: "INVALID", validationError: reason } as const;
  return latestValidHash ? { ...status, latestValidHash } : status;
}

function withoutReason({ validationError: _, ...status }: PayloadStatus): PayloadStatus {
  return status;
}

function isSame(one: Forkchoice | undefined, other: Forkchoice): boolean {
  const same = (a: Uint8Array | undefined, b: Uint8Array | undefined) =>
    a === b || (a !== undefined && b !== undefined && equalBytes(a, b));
  return one !== undefined && same(one.head, other.head) && same(one.safe, other.safe) &&
    same(one.finalized, other.finalized) && same(one.root.hash, other.root.hash);
}
