import { test } from "node:test";
import type { Run } from "../simulation/run.ts";
import { runLives } from "./tx_lives.ts";
import { GWEI } from "./tx_world.ts";

/** Blobs of a batch; none for one in calldata. */
function mixed(run: Run): number {
  return run.chance(0.2) ? 0 : run.between(1, 3);
}

const CALM = { batches: 2, faultShare: 0, reorganisations: false, feesLeap: false };

test("TxManager goes on after an end at each call of a port, before it happened and after", async () => {
  for (let call = 1; call <= 60; call++) {
    for (const seed of [2 * call, 2 * call + 1]) {
      let isFirst = true;
      await runLives(seed, {
        ...CALM,
        kind: () => call % 3,
        deaths: () => {
          if (!isFirst) return undefined;
          isFirst = false;
          return call;
        },
      });
    }
  }
});

test("TxManager posts each batch once whatever nodes, fees, L1 and its own process do", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    await runLives(seed, {
      batches: 12,
      faultShare: 0.05,
      deaths: (run) => run.chance(0.8) ? run.around(3, 400) : undefined,
      reorganisations: true,
      feesLeap: true,
      kind: mixed,
    });
  }
});

test("TxManager spends no more in any hour than it may, over ends, leaps of fees and reorganisations", async () => {
  for (let seed = 1; seed <= 15; seed++) {
    await runLives(seed, {
      batches: 10,
      faultShare: 0.02,
      deaths: (run) => run.chance(0.5) ? run.around(30, 400) : undefined,
      reorganisations: true,
      feesLeap: true,
      kind: () => 1,
      config: { maxSpendPerHourWei: 1_000_000n * GWEI },
    });
  }
});
