/**
 * Synchronized batch proving as a whole: an L1 with short slots, three sequencers in processes of their own
 * whose clocks are wrong, blocks that come late, provers that fail and forget. Sequencers are killed at any
 * moment and started again. The gate does the short form of it, `deno task crash` the long one.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { skipWithoutAnvil } from "../l1/anvil.ts";
import { skipWithoutSkew } from "../skewed_clock.ts";
import { chance, isWhole, tellDone } from "./crash.ts";
import { provedInOrder, toldWindows, triggeredInOrder } from "./cut_windows.ts";
import { skipUnlessShown } from "./half.ts";
import { sleep } from "./reported_chain.ts";
import { Sequencers } from "./sequencers.ts";

/** Windows that are looked at, from the one on that is open at first. */
const BATCHES = isWhole ? 30 : 5;
/** Milliseconds at most from one kill to the next. */
const BETWEEN_MS = isWhole ? 5000 : 8000;
/** While it is idle or not, when it asks for a proof, when it hands one in. */
const KILLED_AT = ["range", "now", "submission", "now"] as const;
/** Calls to a prover or the publisher, of which one fails. */
const CALLS_A_FAULT = 12;

const RUN =
  "crash: montana superblock, with clocks that are wrong and lives that are short, cuts the " +
  "same windows everywhere, and has all of them proved and accepted once";
test(RUN, {
  skip: skipUnlessShown("executable", RUN) || skipWithoutAnvil(RUN) || skipWithoutSkew(RUN),
}, async () => {
  const seed = Number(process.env["MONTANA_SEED"] ?? Date.now() % 1_000_000);
  try {
    tellDone(RUN, `${await live(seed)}; MONTANA_SEED=${seed}`);
  } catch (cause) {
    throw new Error(`MONTANA_SEED=${seed}: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
});

/** One run. @returns what it came to, in words */
async function live(seed: number): Promise<string> {
  return await withDirectory(async (cwd) => {
    const random = chance(seed);
    await using sequencers = await Sequencers.begin(cwd, seed, random);
    const { settlement, members, clock } = sequencers.place;
    settlement.failEach(CALLS_A_FAULT);
    const last = sequencers.batchNow + BATCHES - 1;
    let [kills, reorganisations, stops] = [0, 0, 0];
    for (let round = 1; round <= 2 || sequencers.batchNow <= last; round++) {
      await sleep(random(1000, BETWEEN_MS));
      await sequencers.killOne(KILLED_AT[round % KILLED_AT.length]!);
      kills += 1;
      settlement.forget();
      if (round === 2 || round % 5 === 0) {
        await sequencers.reorganiseL1();
        reorganisations += 1;
      }
      if (round % 4 === 3) {
        const what = round % 8 === 3 ? "answering" : "mining";
        await sequencers.stopL1(what, random(2000, isWhole ? 15_000 : 4000));
        stops += 1;
      }
    }
    const { taken, refused } = await sequencers.end(last);

    let [batches, blocks] = [0, 0];
    for (const member of members) {
      const numbers = toldWindows(member, clock);
      for (let number = last - BATCHES + 2; number <= last; number++) {
        ok(numbers.has(number), `${member.process.name} never told of batch ${number}`);
      }
      triggeredInOrder(member);
      const own = await provedInOrder(member, {
        ...{ settlement, clock, last },
        taken: taken.get(member)!,
      });
      batches += own.batches;
      blocks += own.blocks;
    }
    ok(refused > 0, "no block came too late");
    const told = (event: string) => sequencers.toldTimes(event);
    ok(told("epoch_reorganised") > 0, `${reorganisations} reorganisations, and nobody told of one`);
    const skews = members.map(({ process }) => `${process.skewMs / 1000} s`).join(", ");
    return `clocks off by ${skews}; ${kills} kills, ${reorganisations} reorganisations of L1 ` +
      `(told ${
        told("epoch_reorganised")
      } times), ${stops} stops of it, ${settlement.faults} faults of ` +
      `provers and publisher, ${told("proof_forgotten")} proofs forgotten; ${batches} batches of ` +
      `${blocks} blocks proved and accepted once, ${refused} blocks refused as too late`;
  });
}
