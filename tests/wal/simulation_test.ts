import { deepStrictEqual as deepEqual, ok, rejects } from "node:assert/strict";
import { test } from "node:test";
import type { Storage } from "../../src/ports.ts";
import { withMembers } from "../helpers.ts";
import { simulate, type SimulationOptions } from "./simulation.ts";

const SEEDS = 400;

test("Wal keeps its promises over crashes, full disks and failing syncs", async () => {
  let acknowledged = 0;
  let cut = 0;
  let full = 0;
  for (let seed = 0; seed < SEEDS; seed++) {
    const trace = await simulate(seed);
    acknowledged += trace.acknowledged;
    cut += trace.lines.filter((line) => line === "log.tail_cut").length;
    full += trace.lines.filter((line) => line === "not appended: NoSpace").length;
  }
  // Otherwise the runs show nothing.
  ok(acknowledged > 10 * SEEDS, `${acknowledged} records were acknowledged`);
  ok(cut > SEEDS / 20, `${cut} torn ends were cut off`);
  ok(full > SEEDS / 20, `${full} appends found the disk full`);
});

test("simulate() gives the same run for the same seed", async () => {
  for (const seed of [3, 276, 1297]) {
    deepEqual((await simulate(seed)).lines, (await simulate(seed)).lines);
  }
});

/** Defects of a disk, or of what talks to it; each must show. */
const DEFECTS: Readonly<Record<string, (disk: Storage) => Storage>> = {
  "records that are acknowledged before they are synced": (disk) =>
    withMembers(disk, {
      openAppend: async (path) => {
        const file = await disk.openAppend(path);
        return withMembers(file, { sync: () => Promise.resolve() });
      },
    }),
  "new files whose names are not synced": (disk) =>
    withMembers(disk, { syncDirectory: () => Promise.resolve() }),
  "half a write that is not cut off": (disk) =>
    withMembers(disk, { truncate: () => Promise.resolve() }),
};

for (const [defect, disk] of Object.entries(DEFECTS)) {
  test(`simulate() finds ${defect}`, async () => {
    const runs = async (options: SimulationOptions) => {
      for (let seed = 0; seed < 1000; seed++) await simulate(seed, options);
    };
    await rejects(runs({ disk }), /^Error: seed \d+: /);
  });
}
