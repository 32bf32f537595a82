/**
 * Where the blocks of a run come from: each is given once, to whoever writes it down.
 *
 * @module
 */
import type { BatchSource } from "../../src/ports.ts";
import { SourceError } from "../../src/errors.ts";
import type { L2Block } from "../../src/types.ts";
import { l2Hash, noise } from "../helpers.ts";
import type { Run } from "./run.ts";

/** Which blocks of L1 batches name. */
export interface Origins {
  head(tag: "latest"): Promise<bigint>;
  block(number: bigint): Promise<{ readonly hash: Uint8Array }>;
}

/** A chain that comes into being as time passes, and forgets what was taken from it. */
export class Chain {
  readonly blocks: readonly L2Block[];
  readonly #run: Run;
  /** When each block comes into being. */
  readonly #bornMs: readonly number[];
  /** Blocks that were acknowledged: they are not to be had again. */
  #forgotten = 0;

  constructor(run: Run, count: number, lastsMs: number) {
    this.#run = run;
    const isLinked = run.chance(0.5);
    const isBursty = run.chance(0.5);
    const most = run.around(10, 600);
    let timestamp = 1_700_000_000n;
    this.blocks = Array.from({ length: count }, (_, index) => {
      timestamp += BigInt(run.chance(0.02) ? run.below(100_000) : run.below(3));
      const transactions = Array.from(
        { length: run.below(4) },
        () => run.chance(0.5) ? noise(run.below(most), index) : new Uint8Array(run.below(most)),
      );
      const link = {
        number: BigInt(index),
        hash: l2Hash(index),
        parentHash: l2Hash(index - 1),
      };
      return { timestamp, transactions, ...(isLinked ? link : {}) };
    });
    const bornMs = this.blocks.map(() =>
      run.below(isBursty ? 6 : lastsMs) * (isBursty ? lastsMs / 6 : 1)
    );
    this.#bornMs = bornMs.sort((a, b) => a - b);
  }

  /** How many were acknowledged. */
  get forgotten(): number {
    return this.#forgotten;
  }

  /** Somebody promised to keep the next blocks. */
  forget(blocks: readonly L2Block[]): void {
    for (const block of blocks) {
      this.#run.check(
        block === this.blocks[this.#forgotten],
        `a block was acknowledged that was not the next, ${this.#forgotten}`,
      );
      this.#forgotten += 1;
    }
  }

  /** A source that gives what comes behind the first `taken` blocks. */
  source(taken: number, l1: Origins): BatchSource {
    const run = this.#run;
    run.check(
      taken >= this.#forgotten,
      `block ${taken} is lost: ${this.#forgotten} were acknowledged`,
    );
    let next = taken;
    // What was written down without being told: whoever wrote it keeps it.
    this.#forgotten = taken;
    const blocks = this.blocks;
    const born = () => this.#born();
    return {
      pendingBlocks() {
        if (run.mishap(0.03)) {
          const message = "Cannot ask the source: so it was planned";
          return Promise.reject(new SourceError("Connection", message));
        }
        const until = Math.min(born(), next + run.between(1, 12));
        const given = blocks.slice(next, until);
        next = until;
        return Promise.resolve(given);
      },
      l1Origin: () => l1.head("latest"),
      l1OriginHash: async (number) => (await l1.block(number)).hash,
      parentHash: () => Promise.resolve(new Uint8Array(32)),
      get isExhausted() {
        return next === blocks.length;
      },
    };
  }

  /** Blocks that are there by now. */
  #born(): number {
    const { elapsedMs } = this.#run.clock;
    const next = this.#bornMs.findIndex((bornMs) => bornMs > elapsedMs);
    return next < 0 ? this.blocks.length : next;
  }
}
