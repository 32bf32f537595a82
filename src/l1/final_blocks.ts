/**
 * Blocks of L1 that no reorganisation takes: what batches name as their origin, and where journals begin.
 * Number and hash come out of one answer: a node that lags may give a block of another branch for the number
 * that a second node told, and a batch that names such a pair is dropped by every reader.
 *
 * @module
 */
import { SAFE_CONFIRMATIONS } from "../config.ts";
import { SourceError } from "../errors.ts";
import type { Chain } from "../ethereum.ts";
import type { BlockMark } from "./block_marks.ts";

/** A batch names one of the newest. */
const REMEMBERED = 64;

/** The final blocks of a chain. */
export class FinalBlocks {
  readonly #chain: Pick<Chain, "name" | "header">;
  readonly #depth: bigint;
  /** Oldest first. */
  #told: BlockMark[] = [];

  /** @param depth how deep a block counts as final, where a node knows of none */
  constructor(chain: Pick<Chain, "name" | "header">, depth: number = SAFE_CONFIRMATIONS) {
    this.#chain = chain;
    this.#depth = BigInt(depth);
  }

  /**
   * The newest that was ever told.
   *
   * @throws {SourceError} `NoOrigin` where the node has no block to tell of
   */
  async newest(): Promise<BlockMark> {
    const { number, hash } = await this.#ask();
    const last = this.#told.at(-1);
    if (last && last.number > number) return last;
    if (last?.number !== number) {
      this.#told = [...this.#told.slice(1 - REMEMBERED), { number, hash }];
    }
    return this.#told.at(-1)!;
  }

  /**
   * Hash of a block, and of one that {@link newest} told the hash that it told.
   *
   * @throws {SourceError} `NoOrigin` where there is no such block now
   */
  async hashOf(number: bigint): Promise<Uint8Array> {
    const told = this.#told.find((each) => each.number === number);
    return told?.hash ?? (await this.#header(number)).hash;
  }

  async #ask(): Promise<BlockMark> {
    const final = await this.#chain.header("finalized");
    if (final) return final;
    const latest = await this.#header("latest");
    return await this.#header(latest.number > this.#depth ? latest.number - this.#depth : 0n);
  }

  async #header(tag: bigint | "latest"): Promise<BlockMark> {
    const header = await this.#chain.header(tag);
    if (header) return header;
    throw new SourceError(
      "NoOrigin",
      `Cannot name L1 block ${tag}: ${this.#chain.name} does not have it now`,
      { details: { block: typeof tag === "bigint" ? tag : undefined } },
    );
  }
}
