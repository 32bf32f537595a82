import { strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { SourceError } from "../../src/errors.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { poll } from "../../src/pipeline/poll.ts";
import { TickHealth } from "../../src/pipeline/tick_health.ts";
import { RETRY_DEFAULTS } from "../../src/retry.ts";

const error = new SourceError("Connection", "Cannot ask");

test("a loop notes what its last tick failed with, until one goes well", async () => {
  const health = new TickHealth();
  const clock = new ManualClock(1000);
  const seen: [number | undefined, unknown][] = [];
  let tick = 0;
  await poll(() => {
    seen.push([health.lastGoodAtMs, health.failure]);
    tick += 1;
    if (tick === 2) return Promise.reject(error);
    return Promise.resolve(tick < 3 ? "worked" : "idle");
  }, {
    clock: { now: () => clock.now(), sleep: () => Promise.resolve(clock.advance(500)) },
    random: new SeededRandom(),
    pollIntervalMs: 1,
    retry: RETRY_DEFAULTS,
    untilIdle: () => tick >= 4,
    health,
  });
  equal(seen[0]![0], undefined);
  equal(seen[1]![0], 1000);
  equal(seen[2]![1], error);
  equal(seen[2]![0], 1000);
  equal(seen[3]![1], undefined);
  equal(seen[3]![0], 1500);
});

test("a tick that went on after a failure was none that went well", () => {
  const health = new TickHealth();
  health.begin();
  health.fail(error);
  health.end(7);
  equal(health.failure, error);
  equal(health.lastGoodAtMs, undefined);
  health.begin();
  health.end(8);
  equal(health.failure, undefined);
  equal(health.lastGoodAtMs, 8);
});
