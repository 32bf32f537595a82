/**
 * Heads that do not move: of one node while others go on, and of all of them.
 *
 * @module
 */
import type { JsonRpc } from "../ethereum.ts";
import type { RpcEndpoints } from "../l1/endpoints.ts";
import type { Clock, Log } from "../ports.ts";
import type { NodeHeader } from "./node_block.ts";

/** Between two looks at the heads of all nodes. */
const LOOK_MS = 10_000;
/** A node may be so far behind another at any time. */
const MAX_LAG_BLOCKS = 10n;
/** How long it may be further behind: heads that follow L1 move in leaps, at each node at another time. */
const LAG_MS = { unsafe: 30_000, safe: 900_000, finalized: 900_000 };
/** How long a head stands before that is told, and how many times as long as a block takes. */
const STANDS_MS = { unsafe: 60_000, safe: 1_800_000, finalized: 1_800_000 };
const STANDS_BLOCKS = 20;

/** What is watched. */
export interface HeadWatchParts {
  readonly endpoints: RpcEndpoints;
  readonly clock: Clock;
  readonly log: Log;
  readonly headOf: (rpc: JsonRpc, head: keyof typeof LAG_MS) => Promise<NodeHeader>;
}

/** Watches one of the heads. */
export class HeadWatch {
  readonly #parts: HeadWatchParts;
  readonly #head: keyof typeof LAG_MS;
  /** What each node told last. */
  readonly #told = new Map<JsonRpc, { readonly number: bigint; readonly atMs: number }>();
  /** Since when nodes are further behind than they may be. */
  readonly #behindSinceMs = new Map<JsonRpc, number>();
  #lookedAtMs: number;
  #newest: NodeHeader | undefined;
  #newestSinceMs = 0;
  #blockTimeMs = 0;
  #isStandingTold = false;

  constructor(head: keyof typeof LAG_MS, parts: HeadWatchParts) {
    this.#head = head;
    this.#parts = parts;
    this.#lookedAtMs = parts.clock.now();
  }

  /** Why a node is to be left for another; `undefined` where it is not. */
  async whyLeft(rpc: JsonRpc, { number }: NodeHeader): Promise<string | undefined> {
    const { clock } = this.#parts;
    this.#told.set(rpc, { number, atMs: clock.now() });
    await this.#lookAtOthers(rpc);
    const nowMs = clock.now();
    const [name, best] = this.#best(rpc, nowMs);
    if (best <= number + MAX_LAG_BLOCKS) {
      this.#behindSinceMs.delete(rpc);
      return undefined;
    }
    const sinceMs = this.#behindSinceMs.get(rpc) ?? nowMs;
    this.#behindSinceMs.set(rpc, sinceMs);
    const forMs = nowMs - sinceMs;
    if (forMs < LAG_MS[this.#head]) return undefined;
    const seconds = Math.floor(forMs / 1000);
    return `it lags: its head is block ${number}, that of ${name} is ${best}, for ${seconds} s`;
  }

  /** Tells once of a head that stands still. */
  saw(header: NodeHeader, endpoint: string): void {
    const nowMs = this.#parts.clock.now();
    const before = this.#newest;
    if (before?.number !== header.number) {
      if (before && header.number > before.number) {
        const seconds = Number(header.timestamp - before.timestamp);
        this.#blockTimeMs = 1000 * seconds / Number(header.number - before.number);
      }
      this.#newest = header;
      this.#newestSinceMs = nowMs;
      this.#isStandingTold = false;
      return;
    }
    const forMs = nowMs - this.#newestSinceMs;
    const boundMs = Math.max(STANDS_MS[this.#head], STANDS_BLOCKS * this.#blockTimeMs);
    if (this.#isStandingTold || forMs < boundMs) return;
    this.#isStandingTold = true;
    this.#parts.log({ event: "l2.stands", endpoint, number: header.number, forMs });
  }

  async #lookAtOthers(rpc: JsonRpc): Promise<void> {
    const { endpoints, clock, headOf } = this.#parts;
    if (clock.now() - this.#lookedAtMs < LOOK_MS) return;
    this.#lookedAtMs = clock.now();
    const heads = await endpoints.askOthers(rpc, (other) => headOf(other, this.#head));
    for (const { rpc: other, answer } of heads) {
      this.#told.set(other, { number: answer.number, atMs: clock.now() });
    }
  }

  /** The highest head that another node told lately. */
  #best(but: JsonRpc, nowMs: number): [string, bigint] {
    let best: [string, bigint] = ["", -1n];
    for (const [rpc, { number, atMs }] of this.#told) {
      const isOld = nowMs - atMs > 3 * LOOK_MS;
      if (rpc !== but && !isOld && number > best[1]) best = [rpc.name, number];
    }
    return best;
  }
}
