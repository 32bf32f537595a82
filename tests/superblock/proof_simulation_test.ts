import { ok } from "node:assert/strict";
import { test } from "node:test";
import {
  withEndlessRetries,
  withoutSubmissions,
  withoutTimeouts,
  withSharedClaims,
} from "../simulation/proof_world.ts";
import { seedsHere } from "../simulation/seeds.ts";
import { finds } from "../simulation/finds.ts";
import { runSeed } from "../simulation/worlds.ts";

const SEEDS = seedsHere(300);

/** What must have happened, and how often at least in 300 runs. */
const OFTEN: Readonly<Record<string, number>> = {
  "power loss": 50,
  "is killed": 50,
  "job_completed": 1000,
  "job_retry": 200,
  "job_failed": 100,
  "job_requeued": 100,
  "job_cancelled": 20,
  "proof_forgotten": 50,
  "range_split": 50,
  "submit is not answered": 20,
  "forgets": 50,
  "hangs": 50,
  "is asked twice": 50,
};

test(`Each batch is accepted once and in order over ${SEEDS.count} runs of the proof pipeline`, async () => {
  const counts: Record<string, number> = {};
  for (let seed = SEEDS.first; seed < SEEDS.first + SEEDS.count; seed++) {
    const outcome = await runSeed("proofs", seed);
    for (const [what, times] of Object.entries(outcome.counts)) {
      counts[what] = (counts[what] ?? 0) + times;
    }
  }
  for (const [what, least] of Object.entries(OFTEN)) {
    const often = `${what}: ${counts[what]} times in ${SEEDS.count} runs`;
    ok((counts[what] ?? 0) >= least * SEEDS.share, often);
  }
});

finds(
  "proofs",
  "a submission that is not written down before",
  { queue: withoutSubmissions },
  /batch \d+ is submitted where batch \d+ is the next/,
);

finds(
  "proofs",
  "a job that two workers have",
  { queue: withSharedClaims },
  /\d+-\d+ is claimed twice/,
);
finds(
  "proofs",
  "a job that is tried again for ever",
  { queue: withEndlessRetries },
  /failed at \w+ after \d+ retries of \d+/,
);
finds(
  "proofs",
  "a try that takes longer than it may",
  { clock: withoutTimeouts },
  /is at its \w+ for \d+ ms, \d+ are allowed/,
);
