/**
 * Whatever becomes of a machine, its disk, its L2, its provers and the publisher: each block of L2 is in the
 * batch of its time, and each batch is accepted once, in order.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "../../src/local/memory.ts";
import { batchAt, batchWindow } from "../../src/superblock/clock.ts";
import { seedsHere } from "../simulation/seeds.ts";
import { type Life, Machine, SECOND_MS, WINDOW_MS } from "./machine.ts";
import { HOUR_MS, unreachable } from "./proof_world.ts";
import { range, SMALL_CLOCK } from "./world.ts";

const MISHAPS = 25;

/** A machine to which much happens, and what it came to. */
class Fate {
  readonly machine = new Machine();
  readonly counts: Record<string, number> = {};
  readonly #random: SeededRandom;
  #life: Life | undefined;
  #branch = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  async run(): Promise<void> {
    const { machine } = this;
    const { proofs, l2 } = machine;
    this.#life = await machine.begin();
    for (let mishap = 0; mishap < MISHAPS; mishap++) {
      await machine.pass(this.#below(WINDOW_MS));
      const mishaps = Object.entries(this.#mishaps);
      const [kind, happen] = mishaps[this.#below(mishaps.length)]!;
      this.counts[kind] = (this.counts[kind] ?? 0) + 1;
      await happen();
    }
    l2.isAway = machine.isFull = false;
    proofs.prover.down = proofs.networkProver.down = undefined;
    proofs.publisher.before = proofs.publisher.after = () => {};
    // A prover that is away for longer than the retries last is for a person.
    await this.#life.retryFailed();
    await machine.pass(2 * HOUR_MS);
    this.#check(this.#life);
    await this.#life.stop();
  }

  readonly #mishaps: Readonly<Record<string, () => void | Promise<void>>> = {
    away: () => void (this.machine.l2.isAway = !this.machine.l2.isAway),
    full: () => void (this.machine.isFull = !this.machine.isFull),
    reorganised: () => this.#reorganise(),
    killed: async () => {
      // Who starts on a full disk fails at once, and says so.
      this.machine.isFull = false;
      await this.#life!.kill(this.#random);
      await this.#pause();
      this.#life = await this.machine.begin();
    },
    stopped: async () => {
      this.machine.isFull = false;
      await this.#life!.stop();
      await this.#pause();
      this.#life = await this.machine.begin();
    },
    forgotten: () => {
      this.machine.proofs.prover.forget();
      this.machine.proofs.networkProver.forget();
    },
    unproved: () => {
      const { prover, networkProver } = this.machine.proofs;
      const which = this.#below(2) === 0 ? prover : networkProver;
      which.down = which.down ? undefined : unreachable();
    },
    unpublished: () => {
      const { publisher } = this.machine.proofs;
      const isLost = this.#below(2) === 0;
      publisher[isLost ? "after" : "before"] = () => {
        if (this.#below(2) === 0) throw unreachable();
      };
    },
  };

  /** Blocks of the window that is open, while nothing holds their reports up. */
  #reorganise(): void {
    const { machine: { l2, clock, isFull } } = this;
    if (l2.isAway || isFull) return;
    const nowSeconds = BigInt(Math.floor(clock.now() / 1000));
    const window = batchWindow(SMALL_CLOCK, batchAt(SMALL_CLOCK, nowSeconds));
    const from = Number(window.firstSlot) + this.#below(Number(window.lastSlot - window.firstSlot));
    l2.branches.push({ from, branch: ++this.#branch });
  }

  /** Down for a moment, or for hours. */
  async #pause(): Promise<void> {
    await this.machine.pass(this.#below(this.#below(4) === 0 ? 3 * HOUR_MS : 5 * SECOND_MS));
  }

  #check({ manager }: Life): void {
    const { l2, proofs: { publisher } } = this.machine;
    const accepted = publisher.accepted.map(({ superblockNumber, startBlock, outputs }) =>
      [superblockNumber, startBlock, outputs.l2BlockNumber].map(Number)
    );
    ok(accepted.length > 50, `${accepted.length}`);
    // Block n is in slot n, of 8 to a batch; block 0 follows none.
    deepEqual(
      accepted,
      accepted.map((_, batch) => [batch, Math.max(0, 8 * batch - 1), 8 * batch + 7]),
    );
    const { collecting, failed } = manager.stats.batches_by_state;
    deepEqual([collecting <= 2, failed], [true, 0]);
    for (const { window, state, blocks } of manager.batches) {
      if (state === "collecting") continue;
      const batch = Number(window.batchNumber);
      const expected = range(8 * batch, 8 * batch + 8).map((number) => `${l2.block(number).hash}`);
      deepEqual(blocks.map(({ hash }) => `${hash}`), expected);
    }
  }

  #below(limit: number): number {
    return Math.floor(this.#random.next() * limit);
  }
}

test("Property: whatever happens, each block is in its batch, and each batch is accepted once, in order", async () => {
  const { first, count } = seedsHere(12);
  const counts: Record<string, number> = {};
  for (let seed = first; seed < first + count; seed++) {
    const fate = new Fate(seed);
    await fate.run().catch((cause) => {
      throw new Error(`seed ${seed}: ${cause.message}`, { cause });
    });
    for (const [kind, number] of Object.entries(fate.counts)) {
      counts[kind] = (counts[kind] ?? 0) + number;
    }
  }
  // All kinds of them came to pass.
  equal(Object.keys(counts).length, 8, JSON.stringify(counts));
});
