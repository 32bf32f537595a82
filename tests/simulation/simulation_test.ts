import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import process from "node:process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as defects from "./defects.ts";
import { finds } from "./finds.ts";
import { seedsHere } from "./seeds.ts";
import { localWorldOf, runSeed, WORLDS } from "./worlds.ts";

/** With those of `tests/wal/simulation_test.ts`, more than two thousand. */
const SEEDS = seedsHere(2000);

test(`Every promise is kept over ${SEEDS.count} runs of batcher, deriver, processor and log`, async () => {
  const counts: Record<string, number> = {};
  for (let seed = SEEDS.first; seed < SEEDS.first + SEEDS.count; seed++) {
    const outcome = await runSeed(localWorldOf(seed), seed);
    for (const [what, times] of Object.entries(outcome.counts)) {
      counts[what] = (counts[what] ?? 0) + times;
    }
  }
  // Otherwise the runs show nothing.
  for (const [what, least] of Object.entries(OFTEN)) {
    const often = `${what}: ${counts[what]} times in ${SEEDS.count} runs`;
    ok((counts[what] ?? 0) >= least * SEEDS.share, often);
  }
});

/** What must have happened, and how often at least in 2000 runs. */
const OFTEN: Readonly<Record<string, number>> = {
  "power loss": 1000,
  "is killed": 500,
  "shuts down": 500,
  "log.tail_cut": 100,
  "write NoSpace": 300,
  "openAppend NoSpace": 100,
  "read Unreadable": 10,
  "sync Unwritable": 100,
  "fails with WalError SyncFailed": 100,
  "jumps": 300,
  "refused": 500,
  "batch.accepted": 5000,
  "batch.duplicate": 500,
  "lands late": 300,
  "lands, and does not say so": 200,
  "does not answer": 200,
  "refuses": 300,
  "source.failed": 1000,
  "blocks.dropped": 100,
  "operations.handled": 5000,
  "operations.recovered": 1000,
  "operations.dead": 100,
  "handles, and does not say so": 300,
  "hangs": 200,
  "hears nothing": 100,
  "flush": 300,
  "drain": 300,
  "shuts down with work left": 50,
};

const LOCAL = WORLDS.filter((world) => !world.startsWith("ethereum"));

for (const world of LOCAL) {
  test(`The same seed is the same run: ${world}`, async () => {
    for (const seed of [1, 47, 200, 1_000_003]) {
      const options = { isVerbose: true };
      const first = await runSeed(world, seed, options);
      const second = await runSeed(world, seed, options);
      ok(first.lines.length > 10);
      deepEqual(first, second);
    }
  });
}

// Some runs show a defect by what is lost, others by a log that is refused, since what must be there is not.
const unsynced = { disk: defects.withLateSync };
finds("log", "an acknowledgement before its sync", unsynced, /is lost|is damaged/);
finds("batcher", "an acknowledgement before its sync", unsynced, /is lost|is damaged/);
finds("processor", "an acknowledgement before its sync", unsynced, /was not handled|is damaged/);

const tooFar = { log: defects.withCheckpointTooFar };
finds("log", "a checkpoint one too far", tooFar, /the checkpoint went on to/);
finds("processor", "a checkpoint one too far", tooFar, /was not handled|failed with WalError/);
finds(
  "batcher",
  "a checkpoint one too far",
  { journal: defects.withConfirmedTooFar },
  /\d+ blocks are taken for confirmed up to batch \d+/,
);

finds(
  "processor",
  "a batch dropped when its handler fails",
  { handler: defects.withoutFailures },
  /operation \d+ was not handled/,
);
finds(
  "batcher",
  "a batch that is posted before its record",
  { journal: defects.withRecordTooLate },
  /batch \d+ changed after it was sealed/,
);
finds(
  "batcher",
  "a block taken that is not written down",
  { journal: defects.withBlockNotWritten },
  /block \d+ is lost/,
);

/** `deno task sim` with these flags, in a process of its own. */
function sim(
  ...flags: string[]
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const script = fileURLToPath(new URL("../../scripts/sim.ts", import.meta.url));
  const args = process.versions.bun ? [script] : ["run", "-A", "--no-check", script];
  return spawnSync(process.execPath, [...args, ...flags], { encoding: "utf8" });
}

test("deno task sim --seed prints the same trace in each process", () => {
  for (const world of WORLDS) {
    const [first, second] = [1, 2].map(() => sim("--seed", "7", "--world", world, "--verbose"));
    equal(first!.status, 0);
    ok(first!.stdout.endsWith(`${world}, seed 7: every promise is kept\n`), first!.stdout);
    equal(first!.stdout, second!.stdout);
  }
});

test("deno task sim --seeds runs as many as are wanted, from where it is told", () => {
  const { status, stdout } = sim("--seeds", "10", "--from", "40");
  equal(status, 0);
  const worlds = ["batcher 3", "processor 3", "log 1", "ethereum-batcher 1"]
    .concat("ethereum-deriver 1", "proofs 1").join(", ");
  ok(stdout.includes(`10 seeds from 40 (${worlds}) in `), stdout);
  ok(/ a minute; 0 failed/.test(stdout), stdout);
  for (const flags of [["--seeds", "x"], ["--world", "none"], ["--seed", "1.5"]]) {
    equal(sim(...flags).status, 2);
  }
  const { status: refused, stderr } = sim("--bogus");
  equal(refused, 2);
  ok(/^Unknown option '--bogus'\. There are --seeds N, .*\n$/.test(stderr), stderr);
});
