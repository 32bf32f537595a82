/**
 * Which block is at a height below a head. What a node says of a block by its number may be of another way
 * that L1 went, where it lags; what is linked to the head by the hashes of parents is not.
 *
 * @module
 */
import type { Chain, L1Header } from "../ethereum.ts";
import { equalBytes } from "../wire/bytes.ts";
import { toHex } from "../wire/hex.ts";

/** So many blocks below a head are linked to it: more than are ever not final, as things go. */
export const MAX_LINKED_BLOCKS = 128n;

/** The newest blocks of L1, on whatever way it went. Each is asked for once. */
export class Branch {
  readonly #chain: Chain;
  readonly #headers = new Map<string, L1Header>();

  constructor(chain: Chain) {
    this.#chain = chain;
  }

  /**
   * Hash of the block `number` on the way down from `head`. Deeper than {@link MAX_LINKED_BLOCKS} it is
   * what the node says.
   *
   * @returns `undefined` where there is none, or nodes do not agree on it now: the next head tells
   * @throws {RpcError} what the node threw
   */
  async hashAt(number: bigint, head: L1Header): Promise<Uint8Array | undefined> {
    if (number > head.number) return undefined;
    if (head.number - number > MAX_LINKED_BLOCKS) return (await this.#chain.header(number))?.hash;
    this.#note(head);
    let header = head;
    while (header.number > number) {
      const parent = await this.#parent(header);
      if (!parent) return undefined;
      header = parent;
    }
    return header.hash;
  }

  async #parent({ number, parentHash }: L1Header): Promise<L1Header | undefined> {
    const noted = this.#headers.get(toHex(parentHash));
    if (noted) return noted;
    const parent = await this.#chain.header(number - 1n);
    if (!parent || !equalBytes(parent.hash, parentHash)) return undefined;
    this.#headers.set(toHex(parentHash), parent);
    return parent;
  }

  #note(head: L1Header): void {
    const name = toHex(head.hash);
    if (this.#headers.has(name)) return;
    this.#headers.set(name, head);
    for (const [hash, { number }] of this.#headers) {
      if (number + MAX_LINKED_BLOCKS < head.number) this.#headers.delete(hash);
    }
  }
}
