/**
 * Whose word a reorganisation of L2 is taken on, where there are several nodes (decision 0029).
 *
 * @module
 */
import { CodecError } from "../errors.ts";
import type { JsonRpc } from "../ethereum.ts";
import type { BlockMark, BlockMarks } from "../l1/block_marks.ts";
import { type RpcEndpoints, WrongChain } from "../l1/endpoints.ts";
import { lie } from "../l1/told_block.ts";
import type { Clock } from "../ports.ts";
import { equalBytes } from "../wire/bytes.ts";

/** So long another node has to say so, where neither the preferred nor the giving one can be asked. */
const BELIEVED_AFTER_MS = 60_000;

/** What nodes are asked here. */
export interface ReorganisationParts {
  readonly endpoints: RpcEndpoints;
  readonly preferred: JsonRpc;
  readonly clock: Clock;
  /** Of block `number` at one node; `undefined` where it has none. */
  hashAt(rpc: JsonRpc, number: bigint): Promise<Uint8Array | undefined>;
  newest(rpc: JsonRpc): Promise<bigint>;
  /** Refuses a node of another genesis; resolves to whether a genesis is known at all. */
  isOfTheChain(rpc: JsonRpc): Promise<boolean>;
  /** What a node says is held against it, by name. */
  refuse(rpc: JsonRpc, block: bigint, why: CodecError): Promise<never>;
}

/** Where a node and the blocks that were given part. */
export interface Parting {
  /** The last block that both have; `undefined` where none is known. */
  readonly shared: BlockMark | undefined;
  /** Name of the node that says so. */
  readonly endpoint: string;
}

/** What a node says that was not asked by itself. */
interface Claim {
  readonly ancestor: bigint | undefined;
  readonly sinceMs: number;
}

/** Asks the nodes where L2 and the given blocks part, and believes not each of them. */
export class Reorganisations {
  readonly #parts: ReorganisationParts;
  readonly #claims = new Map<JsonRpc, Claim>();

  constructor(parts: ReorganisationParts) {
    this.#parts = parts;
  }

  /** What was given is still L2: what was said against it is forgotten. */
  settle(): void {
    this.#claims.clear();
  }

  /**
   * @param marks blocks that were given
   * @param giver the node that gave the highest of them, where that is known
   * @throws {RpcError} where no node can be asked, or none is believed
   */
  async parting(marks: BlockMarks, giver: JsonRpc | undefined): Promise<Parting> {
    const { endpoints, hashAt } = this.#parts;
    const top = marks.top!;
    return await endpoints.ask(async (rpc) => {
      const hashNow = async (number: bigint) => await hashAt(rpc, number) ?? new Uint8Array();
      const shared = await marks.highestOn(top.number, hashNow);
      if (shared?.number !== top.number) {
        // Where no block is shared, it has to be the genesis.
        if (!shared && !await this.#parts.isOfTheChain(rpc)) {
          throw new WrongChain(rpc.name, "it has none of the blocks that were taken");
        }
        await this.#mustBeBelieved(rpc, shared, marks, giver);
      }
      return { shared, endpoint: rpc.name };
    });
  }

  /**
   * The preferred node is believed; another where the preferred one says so too; and where that cannot be
   * asked, the node that gave the blocks. Any other is where no node has the blocks (any more), once it
   * has said so for a while and is not behind.
   */
  async #mustBeBelieved(
    rpc: JsonRpc,
    shared: BlockMark | undefined,
    marks: BlockMarks,
    giver: JsonRpc | undefined,
  ): Promise<void> {
    const { preferred } = this.#parts;
    if (rpc === preferred) return;
    const lost = marks.above(shared?.number)!;
    const voices = await this.#voices(rpc, lost);
    const isGone = voices.get(preferred);
    if (isGone) return;
    if (isGone === undefined && rpc === giver) return;
    const [holder] = [...voices].find(([, isGone]) => !isGone) ?? [];
    const claim = `it has another block ${lost.number} than was taken`;
    if (holder) await this.#refuse(rpc, lost, `${claim}, and ${holder.name} still has that one`);
    if (await this.#hasLasted(rpc, shared?.number, marks.top!.number)) return;
    await this.#refuse(
      rpc,
      lost,
      `${claim}, and ${preferred.name} cannot be asked; it is believed once it has said so for ` +
        `${BELIEVED_AFTER_MS / 1000} s, and has block ${marks.top!.number}`,
    );
  }

  /** Whether the others have lost a block that was given, of those that have any in its place. */
  async #voices(but: JsonRpc, { number, hash }: BlockMark): Promise<Map<JsonRpc, boolean>> {
    const { endpoints, hashAt } = this.#parts;
    const voices = await endpoints.askOthers(but, (rpc) => hashAt(rpc, number));
    return new Map(
      voices.flatMap(({ rpc, answer }) => answer ? [[rpc, !equalBytes(answer, hash)]] : []),
    );
  }

  async #hasLasted(rpc: JsonRpc, ancestor: bigint | undefined, top: bigint): Promise<boolean> {
    const nowMs = this.#parts.clock.now();
    const before = this.#claims.get(rpc);
    if (!before || before.ancestor !== ancestor) {
      this.#claims.set(rpc, { ancestor, sinceMs: nowMs });
      return false;
    }
    return nowMs - before.sinceMs >= BELIEVED_AFTER_MS && await this.#parts.newest(rpc) >= top;
  }

  async #refuse(rpc: JsonRpc, { number }: BlockMark, why: string): Promise<never> {
    return await this.#parts.refuse(rpc, number, lie(why));
  }
}
