/**
 * Where the blocks of a run come from: each is given once, to whoever writes it down.
 *
 * @module
 */
import type { BatchSource } from "../../src/ports.ts";
import { SourceError } from "../../src/errors.ts";
import type { BatcherJournal } from "../../src/pipeline/batcher_journal.ts";
import type { L2Block } from "../../src/types.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { l2Hash, noise } from "../helpers.ts";
import type { Run } from "./run.ts";

/** Which blocks of L1 batches name. */
export interface Origins {
  head(tag: "latest"): Promise<bigint>;
  block(number: bigint): Promise<{ readonly hash: Uint8Array }>;
}

/** How many blocks a journal has in batches. */
export function sealedBlocks({ state }: BatcherJournal): number {
  return state.sealed.reduce((sum, { blocks }) => sum + blocks, state.position?.blocks ?? 0);
}

/** A chain that comes into being as time passes, and forgets what was taken from it. */
export class Chain {
  readonly blocks: L2Block[];
  readonly #run: Run;
  /** When each block comes into being. */
  readonly #bornMs: readonly number[];
  /** Blocks that were acknowledged: they are not to be had again. */
  #forgotten = 0;
  /** Blocks in batches that are sealed, or were to be: they stay. */
  #sealed = 0;
  readonly #canReorganise: boolean;
  /** What is on L1 already is not acknowledged a second time. */
  #isGivenAgain = false;

  constructor(run: Run, count: number, lastsMs: number) {
    this.#run = run;
    const isLinked = run.chance(0.5);
    this.#canReorganise = isLinked && run.chance(0.5);
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
    if (blocks.length === 0) return;
    if (this.#isGivenAgain) this.#forgotten = this.blocks.indexOf(blocks[0]!);
    this.#isGivenAgain = false;
    for (const block of blocks) {
      this.#run.check(
        block === this.blocks[this.#forgotten],
        `a block was acknowledged that was not the next, ${this.#forgotten}`,
      );
      this.#forgotten += 1;
    }
  }

  /** Whoever kept them is gone: all are given again. */
  giveAgain(): void {
    this.#isGivenAgain = true;
    this.#forgotten = 0;
  }

  /** Somebody is about to write down that so many of the first blocks are in batches. */
  seal(count: number): void {
    this.#sealed = Math.max(this.#sealed, count);
  }

  /** A source that gives what comes behind `taken` blocks, of which the last are `pending`. */
  source(taken: number, pending: readonly L2Block[], l1: Origins): BatchSource {
    const run = this.#run;
    run.check(
      taken >= this.#forgotten,
      `block ${taken} is lost: ${this.#forgotten} were acknowledged`,
    );
    let next = taken;
    let shared = this.#sharedWith(taken - pending.length, pending);
    // What was written down without being told: whoever wrote it keeps it.
    this.#forgotten = Math.min(taken, shared ?? taken);
    const blocks = this.blocks;
    const born = () => this.#born();
    return {
      pendingBlocks: () => {
        if (run.mishap(0.03)) {
          const message = "Cannot ask the source: so it was planned";
          return Promise.reject(new SourceError("Connection", message));
        }
        shared ??= this.#reorganise(next);
        if (shared !== undefined) {
          const details = { block: BigInt(shared) - 1n };
          return Promise.reject(new SourceError("Reorganised", "so it was planned", { details }));
        }
        const until = Math.min(born(), next + run.between(1, 12));
        const given = blocks.slice(next, until);
        next = until;
        return Promise.resolve(given);
      },
      rewind: (number) => {
        next = Number(number) + 1;
        run.check(next <= (shared ?? 0), `block ${next} was not there`);
        shared = undefined;
      },
      l1Origin: () => l1.head("latest"),
      l1OriginHash: async (number) => (await l1.block(number)).hash,
      parentHash: () => Promise.resolve(new Uint8Array(32)),
      get isExhausted() {
        return next === blocks.length;
      },
    };
  }

  /** Puts others in place of blocks that no batch holds; how many stayed, where given ones did not. */
  #reorganise(given: number): number | undefined {
    const run = this.#run;
    const first = Math.max(1, this.#sealed);
    if (!this.#canReorganise || given <= first || !run.mishap(0.05)) return undefined;
    const kept = run.between(first, given - 1);
    for (let index = kept; index < this.blocks.length; index++) {
      const transactions = [noise(run.below(200), run.below(1_000_000))];
      const hash = noise(32, run.below(1_000_000_000));
      const parentHash = this.blocks[index - 1]!.hash!;
      this.blocks[index] = { ...this.blocks[index]!, transactions, hash, parentHash };
    }
    this.#forgotten = Math.min(this.#forgotten, kept);
    run.note("L2", "is reorganised", ` above block ${kept - 1}, ${given - kept} were given`);
    return kept;
  }

  /** How many of the first blocks are still there, where not all that were taken are. */
  #sharedWith(first: number, pending: readonly L2Block[]): number | undefined {
    const isGone = ({ hash }: L2Block, index: number) =>
      hash !== undefined && !equalBytes(hash, this.blocks[first + index]!.hash!);
    const gone = pending.findIndex(isGone);
    return gone < 0 ? undefined : first + gone;
  }

  /** Blocks that are there by now. */
  #born(): number {
    const { elapsedMs } = this.#run.clock;
    const next = this.#bornMs.findIndex((bornMs) => bornMs > elapsedMs);
    return next < 0 ? this.blocks.length : next;
  }
}
