/**
 * Tests that a planted defect is found.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok } from "node:assert/strict";
import { test } from "node:test";
import { type Defects, FailedRun, runSeed, type World } from "./worlds.ts";

/** Runs seeds with a defect until it shows. */
async function find<W extends World>(world: W, planted: Defects[W]): Promise<FailedRun> {
  for (let seed = 0; seed < 1000; seed++) {
    try {
      await runSeed(world, seed, { defects: planted });
    } catch (error) {
      if (error instanceof FailedRun) return error;
      throw error;
    }
  }
  throw new Error("a thousand seeds did not show it");
}

/** A test that a world shows a defect. */
export function finds<W extends World>(
  world: W,
  defect: string,
  planted: Defects[W],
  shows: RegExp,
): void {
  test(`The simulation of the ${world} finds ${defect}`, async () => {
    const found = await find(world, planted);
    ok(shows.test(found.message), found.message);
    // Whoever replays it sees the same.
    const again: unknown = await runSeed(world, found.seed, { defects: planted })
      .catch((error) => error);
    ok(again instanceof FailedRun);
    deepEqual([again.message, again.lines], [found.message, found.lines]);
  });
}
