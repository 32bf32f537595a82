import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import * as defects from "./ethereum_defects.ts";
import { finds } from "./finds.ts";
import { seedsHere } from "./seeds.ts";
import { runSeed } from "./worlds.ts";

const RUNS = [["ethereum-batcher", 40], ["ethereum-deriver", 80]] as const;

/** What must have happened, and how often at least in all of {@link RUNS}. */
const OFTEN: Readonly<Record<string, number>> = {
  "power loss": 100,
  "is killed": 100,
  "is reorganised": 1000,
  "changes its fees": 50,
  "repeats a transaction": 5,
  "is replaced": 3,
  "waits for strangers": 3,
  "derivation.reset": 300,
  "tx.signed": 200,
  "tx.reorganised": 100,
  "tx.final": 200,
  "headsBehind": 300,
  "answersAfterMs": 300,
  "Timeout": 100,
  "swallowed": 3,
  "lost": 3,
  "happensAfterMs": 3,
  "againAfterMs": 3,
};

test("Every promise is kept over runs of a batcher and of a deriver on Ethereum", async () => {
  const counts: Record<string, number> = {};
  for (const [world, seeds] of RUNS) {
    const { first, count } = seedsHere(seeds);
    for (let seed = first; seed < first + count; seed++) {
      const outcome = await runSeed(world, seed);
      for (const [what, times] of Object.entries(outcome.counts)) {
        counts[what] = (counts[what] ?? 0) + times;
      }
    }
  }
  // Otherwise the runs show nothing.
  for (const [what, least] of Object.entries(OFTEN)) {
    ok((counts[what] ?? 0) >= least * seedsHere(1).share, `${what}: ${counts[what]} times`);
  }
});

for (const [world] of RUNS) {
  test(`The same seed is the same run: ${world}`, async () => {
    for (const seed of [1, 47, 200]) {
      const options = { isVerbose: true };
      const first = await runSeed(world, seed, options);
      const second = await runSeed(world, seed, options);
      ok(first.lines.length > 10);
      deepEqual(first, second);
    }
  });
}

const missing = /is not done after|is missing on the chain/;
finds(
  "ethereum-batcher",
  "a transaction that is sent before its record",
  { journal: defects.withAttemptTooLate },
  /may land with|is that of batches|is replaced after|is on the chain 2 times|NonceTaken|is not done after/,
);
finds(
  "ethereum-batcher",
  "a new nonce for a batch after a restart",
  { journal: defects.withoutAttempts, chain: defects.withPendingNonce },
  /may land with|is that of batches|NonceTaken/,
);
finds(
  "ethereum-batcher",
  "a transaction that is forgotten once it is confirmed",
  { chain: defects.withLatestAsFinal },
  missing,
);
finds(
  "ethereum-batcher",
  "batches of another machine that are taken for posted before they are final",
  { trustsStrangers: true },
  /is not done after|SequenceGap/,
);
finds(
  "ethereum-deriver",
  "a reorganisation that is passed over",
  { source: defects.withoutReorganisations },
  /derived blocks are not|derived block is said|is not done after/,
);
finds(
  "ethereum-deriver",
  "a way back that goes to the common ancestor alone",
  { source: defects.withShortRewind },
  /derived blocks are not|derived block is said|is not done after/,
);
