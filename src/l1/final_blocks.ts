/**
 * Blocks of L1 that no reorganisation takes: what batches name as their origin, and where journals begin.
 * Number and hash come out of one answer: a node that lags may give a block of another branch for the number
 * that a second node told, and a batch that names such a pair is dropped by every reader.
 *
 * @module
 */
import { SAFE_CONFIRMATIONS } from "../config.ts";
import { PipelineError, RpcError, SourceError } from "../errors.ts";
import type { Chain } from "../ethereum.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";
import type { BlockMark } from "./block_marks.ts";

/** A batch names one of the newest. */
const REMEMBERED = 64;
/** A node that is far behind may have another block for a while: it must be another under so many heads. */
const HEADS_UNTIL_WRONG = 3;

/** The final blocks of a chain. */
export class FinalBlocks {
  readonly #chain: Pick<Chain, "name" | "header">;
  readonly #depth: bigint;
  /** Oldest first. */
  #told: BlockMark[] = [];
  #genesis: BlockMark | undefined;
  /** Heads since it was right last, under which a block that was final was another one. */
  readonly #wrongUnder: Set<string> = new Set();

  /** @param depth how deep a block counts as final, where a node knows of none */
  constructor(chain: Pick<Chain, "name" | "header">, depth: number = SAFE_CONFIRMATIONS) {
    this.#chain = chain;
    this.#depth = BigInt(depth);
  }

  /**
   * The newest that was ever told; a newer one only from a chain that has the last one too.
   *
   * @throws {SourceError} `NoOrigin` where the node has no block to tell of
   */
  async newest(): Promise<BlockMark> {
    const { number, hash } = await this.#ask();
    const last = this.#told.at(-1);
    if (last && last.number >= number) return last;
    const lastNow = last && await this.#chain.header(last.number);
    if (last && !(lastNow && equalBytes(lastNow.hash, last.hash))) return last;
    this.#told = [...this.#told.slice(1 - REMEMBERED), { number, hash }];
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

  /**
   * Makes sure that what was told is still there: behind the same name another L1 may answer. It is block 0 that
   * tells where a chain is too short.
   *
   * @param chain asked in place of the own
   * @throws {PipelineError} `WrongL1`
   * @throws {RpcError} `Invalid` where that cannot be told now: nothing may be sent there
   */
  async mustBeSame(chain: Pick<Chain, "name" | "header"> = this.#chain): Promise<void> {
    const last = this.#told.at(-1);
    if (!last) return;
    const now = await chain.header(last.number);
    const genesis = now && this.#genesis ? undefined : await chain.header(0n);
    const other = now && !equalBytes(now.hash, last.hash)
      ? { mark: last, hash: now.hash }
      : genesis && this.#genesis && !equalBytes(genesis.hash, this.#genesis.hash)
      ? { mark: this.#genesis, hash: genesis.hash }
      : undefined;
    if (other) {
      const head = await chain.header("latest");
      if (head) this.#wrongUnder.add(toHex(head.hash));
      throw this.#another(chain.name, other);
    }
    if (!now) {
      const what = `it has no block ${last.number}, which was final`;
      throw new RpcError("Invalid", `Cannot go on with ${chain.name}: ${what}. Is it behind?`);
    }
    this.#wrongUnder.clear();
    if (genesis) this.#genesis ??= { number: 0n, hash: genesis.hash };
  }

  #another(
    name: string,
    { mark: { number, hash }, hash: now }: { readonly mark: BlockMark; readonly hash: Uint8Array },
  ): RpcError | PipelineError {
    const what = `Cannot go on with ${name}: its block ${number} is ${toHex(now)}, and was ` +
      `${toHex(hash)} when it was final`;
    if (this.#wrongUnder.size < HEADS_UNTIL_WRONG) return new RpcError("Invalid", what);
    return new PipelineError(
      "WrongL1",
      `${what}: this is another L1. Nothing was sent to it. Bring back the L1 of before, or use another ` +
        `--data-dir`,
      { details: { block: number } },
    );
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
