/**
 * Derived blocks into an execution client: it builds each from what was derived, the block is held against
 * that, and becomes its head.
 *
 * ```
 * forkchoiceUpdated(parent, attributes) → getPayload → the same transactions? → newPayload → …
 * ```
 *
 * The next call of `forkchoiceUpdated` makes the block the head and begins the one after it; `flush()` makes
 * it for the last one.
 *
 * | status                | of `newPayload`                    | of `forkchoiceUpdated`              |
 * | --------------------- | ---------------------------------- | ----------------------------------- |
 * | `VALID`               | goes on                            | goes on                             |
 * | `ACCEPTED`            | goes on: the head decides          | no answer to it: asked again        |
 * | `SYNCING`             | asked again, then `Syncing`        | asked again, then `Syncing`         |
 * | `INVALID`             | `InvalidBlock`                     | `InvalidBlock`                      |
 * | `INVALID_BLOCK_HASH`  | `InvalidBlock`                     | no answer to it: asked again        |
 *
 * Which clients: those that take `transactions`, `noTxPool` and `gasLimit` as payload attributes, as op-geth
 * and op-reth do. Others build blocks of their own, and are refused at the first that should hold a
 * transaction. What a batch carries is all that is known of a block: timestamp and transactions. So the
 * client builds the very block of the sequencer only where all else follows from the parent and from
 * {@link EngineApiSinkOptions.attributes}; deposits of OP chains do not travel, and a chain that has them
 * comes out without them unless that function gives them (decision 0024).
 *
 * @module
 */
import type { BlockRef } from "../engine.ts";
import { RpcError, SinkError } from "../errors.ts";
import type { Clock, L1Heads, L2BlockSink, Log } from "../ports.ts";
import type { DerivedBlock } from "../types.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import { DerivedHeads, type DerivedMark } from "./derived_heads.ts";
import { type BlockAttributes, engineAttributes } from "./engine_attributes.ts";
import { type EngineBlock, type EnginePayload, hashesOf } from "./engine_block.ts";
import type { EngineAttributes, EngineClient } from "./engine_client.ts";
import { checkBuilt, firstDifference } from "./engine_check.ts";
import { LOST, PatientCalls } from "./engine_patience.ts";
import { RecentBlocks } from "./recent_blocks.ts";

/** What it is made of. */
export interface EngineApiSinkParts {
  readonly client: EngineClient;
  readonly clock: Clock;
  readonly log?: Log;
}

/** Where it goes on, and what blocks are built of. */
export interface EngineApiSinkOptions {
  /** Number of the first block that was ever derived; 1 otherwise. */
  readonly firstBlock?: bigint;
  /** The last block that an earlier run handed over; the one before `firstBlock` otherwise. */
  readonly from?: DerivedMark;
  /**
   * What a block has besides timestamp and transactions. What is left out is zero, the gas limit and
   * the EIP-1559 parameters those of the parent.
   */
  readonly attributes?: (
    block: DerivedBlock,
    parent: EngineBlock,
  ) => BlockAttributes | Promise<BlockAttributes>;
  /**
   * Whether batches must name the client's block as their parent; true otherwise. A batcher whose blocks
   * had no hashes names none, and where the client's blocks are not the sequencer's, hashes differ.
   */
  readonly isParentChecked?: boolean;
  /** How long a client that is syncing is asked again, before whoever hands over blocks is told; 12 s. */
  readonly patienceMs?: number;
  /** Aborted: nothing is waited for any longer. */
  readonly signal?: AbortSignal;
}

/** How often a block is built anew whose payload id the client forgot. */
const MAX_BUILDS = 3;
const ZERO_HASH = new Uint8Array(32);

/**
 * Hands derived blocks to an execution client. What it has already is not built again: a block with the
 * same timestamp and transactions on the same parent is passed over. What it loses, as when it is killed, is
 * handed to it again, as far as that is remembered (32 MiB). Another one gives way where it is not
 * final, as what L1 says holds; where it is final, that is an error.
 *
 * @example
 * ```ts
 * import {
 *   EngineApiSink,
 *   EngineClient,
 *   HttpJsonRpc,
 *   systemClock as clock,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const client = new EngineClient(new HttpJsonRpc({ url: "http://127.0.0.1:1", clock }));
 * const sink = new EngineApiSink({ client, clock }, { firstBlock: 100n });
 * const error = await sink.parentHash().then(undefined, (error) => error);
 * if (error.code !== "Unreachable") throw new Error("nobody answers there");
 * ```
 */
export class EngineApiSink implements L2BlockSink {
  readonly #client: EngineClient;
  readonly #calls: PatientCalls;
  readonly #log: Log;
  readonly #options: EngineApiSinkOptions;
  /** The last block that was handed over. */
  #last: EngineBlock | undefined;
  /** The head that the client had by itself: up to there it may have what is derived. */
  #theirs: BlockRef | undefined;
  #heads = new DerivedHeads();
  readonly #recent = new RecentBlocks();
  /** What it was handed and lost since: it is handed over again before anything else. */
  #lost: DerivedBlock[] = [];
  /** What the client was told of the chain, as one text. */
  #told = "";

  constructor(
    { client, clock, log = () => {} }: EngineApiSinkParts,
    options: EngineApiSinkOptions = {},
  ) {
    this.#client = client;
    this.#calls = new PatientCalls({ client, clock, log }, options);
    this.#log = log;
    this.#options = options;
  }

  /** The last block handed over, for {@link EngineApiSinkOptions.from} of a later run. */
  get position(): DerivedMark | undefined {
    const last = this.#last;
    if (!last) return undefined;
    const l1Block = this.#heads.l1BlockOf(last.number) ?? this.#options.from?.l1Block ?? -1n;
    return { number: last.number, hash: last.hash, l1Block };
  }

  /**
   * Hash of the last block; `undefined` where parents are not checked.
   *
   * @throws {SinkError | RpcError} as `ingest()`
   */
  async parentHash(): Promise<Uint8Array | undefined> {
    if (this.#options.isParentChecked === false) return undefined;
    return (await this.#start()).hash;
  }

  /**
   * Hands over the next block. Where this rejects, the same call may be made again.
   *
   * @throws {SinkError} `Syncing` or `Connection` for a while; `InvalidBlock`, `Unsupported`, `Changed`
   * for good
   */
  async ingest(block: DerivedBlock): Promise<void> {
    await this.#healing(() => this.#hand(block));
  }

  async #hand(block: DerivedBlock): Promise<void> {
    const parent = await this.#start();
    const { attributes = () => ({}) } = this.#options;
    const wanted = engineAttributes(block, parent, await attributes(block, parent));
    const there = await this.#there(parent, wanted);
    const built = there ?? await this.#build(parent, wanted);
    this.#last = built;
    this.#recent.push(built, block);
    this.#heads.push({ number: built.number, hash: built.hash, l1Block: block.l1Block });
    this.#log({
      event: "engine.payload",
      number: built.number,
      hash: built.hash,
      transactions: wanted.transactions.length,
      wasThere: there !== undefined,
    });
  }

  /** Resolves when the client has all blocks, and the last one as its head. Its disk is its own affair. */
  async flush(): Promise<void> {
    if (this.#last) await this.#healing(() => this.#tell());
  }

  /**
   * Moves the client's head back.
   *
   * @throws {SinkError} `Changed` where a block is final, or was not derived
   */
  async retract(blocks: number): Promise<void> {
    await this.#healing(() => this.#takeBack(blocks));
  }

  async #takeBack(blocks: number): Promise<void> {
    const last = await this.#start();
    await this.#tell();
    const number = last.number - BigInt(blocks);
    const { firstBlock = 1n } = this.#options;
    const final = this.#heads.finalized?.number ?? -1n;
    if (number < firstBlock - 1n || number < final) {
      const why = number < final ? `block ${final} is final` : `the first is ${firstBlock}`;
      throw this.#changed(`Cannot take back blocks above ${number}: ${why}`, number);
    }
    const target = await this.#client.block(number);
    if (!target) {
      throw this.#changed(`Cannot go back to block ${number}: it is not there`, number, LOST);
    }
    // Nothing is forgotten before the client has done it: the call can be made again.
    await this.#tellHead(target);
    const l1Block = this.#heads.l1BlockOf(number) ?? -1n;
    this.#heads.backTo({ number, hash: target.hash, l1Block });
    this.#recent.cutTo(number);
    this.#last = target;
    this.#theirs = target;
  }

  async noteL1Heads(heads: L1Heads): Promise<void> {
    if (!this.#last && !this.#options.from) return;
    await this.#start();
    await this.#healing(async () => {
      this.#heads.note(heads);
      await this.#tell();
    });
  }

  /** Hands over again what the client lost meanwhile, and then does what is to be done. */
  async #healing(action: () => Promise<void>): Promise<void> {
    for (let isFirst = true;; isFirst = false) {
      try {
        for (; this.#lost.length > 0; this.#lost.shift()) await this.#hand(this.#lost[0]!);
        return await action();
      } catch (error) {
        const isLost = error instanceof SinkError && error.details.status === LOST;
        if (!isLost || !isFirst || !await this.#goBack()) throw error;
      }
    }
  }

  /** Goes back to the client's head, where that is a block that it was handed. */
  async #goBack(): Promise<boolean> {
    const head = await this.#client.block("latest");
    const hash = head && this.#recent.hashAt(head.number);
    if (!head || !hash || !equalBytes(hash, head.hash)) return false;
    const { number } = head;
    this.#lost = [...this.#recent.after(number), ...this.#lost];
    this.#log({ event: "engine.lost", head: number, blocks: this.#lost.length });
    this.#heads.backTo({ number, hash, l1Block: this.#heads.l1BlockOf(number) ?? -1n });
    this.#recent.cutTo(number);
    this.#last = head;
    this.#theirs = head;
    this.#told = "";
    return true;
  }

  /** Looks where the client is, once. */
  async #start(): Promise<EngineBlock> {
    if (this.#last) return this.#last;
    const { firstBlock = 1n, from } = this.#options;
    const number = from?.number ?? firstBlock - 1n;
    await this.#client.check();
    const head = await this.#client.block("latest");
    const block = await this.#client.block(number);
    const finalized = await this.#client.block("finalized");
    const safe = await this.#client.block("safe");
    if (!head || !block) {
      const have = head ? `its head is ${head.number}` : "it has no head";
      throw this.#changed(`Cannot go on behind block ${number}: it is not there, ${have}`, number);
    }
    if (from && !equalBytes(from.hash, block.hash)) {
      const why = `it is ${toHex(block.hash)} now, and was ${toHex(from.hash)}`;
      throw this.#changed(`Cannot go on behind block ${number}: ${why}`, number);
    }
    this.#heads = new DerivedHeads(safe, finalized);
    if (from) this.#heads.push(from);
    this.#theirs = head;
    this.#told = this.#stateOf(head).text;
    this.#log({
      event: "engine.opened",
      client: this.#client.name,
      number,
      hash: block.hash,
      head: head.number,
    });
    this.#recent.push(block);
    return this.#last = block;
  }

  /** The client's own block, where it is what was derived. */
  async #there(parent: EngineBlock, wanted: EngineAttributes): Promise<EngineBlock | undefined> {
    const theirs = this.#theirs!;
    if (parent.number >= theirs.number) return undefined;
    const number = parent.number + 1n;
    const found = await this.#client.block(number);
    const why = found
      ? firstDifference(found, parent, wanted, await hashesOf(wanted.transactions))
      : "it is not there any more";
    if (found && !why) return found;
    const final = this.#heads.finalized?.number ?? -1n;
    if (number <= final) {
      throw this.#changed(
        `Cannot put block ${number} in place of the client's: ${why}, and the client has it as final; ` +
          "it is another chain, or was not derived from this L1",
        number,
      );
    }
    this.#log({
      event: "engine.reorganised",
      number,
      hash: found?.hash ?? ZERO_HASH,
      why: why ?? "",
    });
    this.#theirs = parent;
    return undefined;
  }

  async #build(parent: EngineBlock, attributes: EngineAttributes): Promise<EngineBlock> {
    const payload = await this.#built(parent, attributes);
    checkBuilt(payload, parent, attributes, this.#client.name);
    const { parentBeaconBlockRoot } = attributes;
    const hand = () => this.#client.newPayload(payload, parentBeaconBlockRoot);
    await this.#calls.taken(parent, payload.number, hand);
    return payload;
  }

  async #built(parent: EngineBlock, attributes: EngineAttributes): Promise<EnginePayload> {
    const { state, text } = this.#stateOf(parent);
    const begin = () => this.#client.forkchoiceUpdated(state, { parent, attributes });
    for (let builds = 1; builds <= MAX_BUILDS; builds++) {
      const { payloadId } = await this.#calls.chosen(parent, parent.number, begin);
      this.#told = text;
      const payload = payloadId && await this.#client.payload(payloadId, parent);
      if (payload) return payload;
      const status = payloadId ? "unknown payload" : "no payload id";
      this.#log({ event: "engine.waits", method: "engine_getPayload", status });
    }
    throw new SinkError(
      "Connection",
      `Cannot have block ${
        parent.number + 1n
      } built by ${this.#client.name}: ${MAX_BUILDS} times it ` +
        "took the head as valid, and gave no block on it",
      { details: { block: parent.number + 1n } },
    );
  }

  /** Tells the client its head, and what is safe and final, unless it knows. */
  async #tell(): Promise<void> {
    // While it has more than was derived yet, that stays.
    const isPassing = this.#last!.number < this.#theirs!.number;
    await this.#tellHead(isPassing ? this.#theirs! : this.#last!);
  }

  async #tellHead(head: BlockRef): Promise<void> {
    const { state, text, numbers } = this.#stateOf(head);
    if (text === this.#told) return;
    await this.#calls.chosen(
      this.#last!,
      numbers.head,
      () => this.#client.forkchoiceUpdated(state),
    );
    this.#told = text;
    this.#log({ event: "engine.heads", ...numbers });
  }

  #stateOf(head: BlockRef) {
    // What gives way may have been safe; and what was lost, final.
    const upTo = (block: BlockRef | undefined) =>
      block && block.number <= head.number ? block : undefined;
    const finalized = upTo(this.#heads.finalized);
    const safe = upTo(this.#heads.safe) ?? finalized;
    const state = {
      head: head.hash,
      safe: safe?.hash ?? ZERO_HASH,
      finalized: finalized?.hash ?? ZERO_HASH,
    };
    const text = Object.values(state).map((hash) => toHex(hash)).join();
    const numbers = { head: head.number, safe: safe?.number, finalized: finalized?.number };
    return { state, text, numbers };
  }

  #changed(message: string, number: bigint, status?: string): SinkError {
    return new SinkError("Changed", `${message} (${this.#client.name})`, {
      details: { block: number, status },
    });
  }
}

/** For {@link EngineApiSink}: whether an execution client still has the block that an earlier run handed it. */
export async function isOnClient(
  client: EngineClient,
  { number, hash }: BlockRef,
): Promise<boolean> {
  try {
    const block = await client.block(number);
    return block !== undefined && equalBytes(block.hash, hash);
  } catch (error) {
    if (error instanceof RpcError && error.code === "Answered") return false;
    throw error;
  }
}
