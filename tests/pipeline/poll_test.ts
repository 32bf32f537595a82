import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { SinkError, SourceError } from "../../src/errors.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { poll, type PollOptions, type TickOutcome } from "../../src/pipeline/poll.ts";
import { RETRY_DEFAULTS } from "../../src/retry.ts";
import { Events } from "../helpers.ts";

const unreachable = new SourceError("Connection", "unreachable");

/** Polls through a list of outcomes, then aborts; tells when each tick was. */
async function pollThrough(
  outcomes: readonly (TickOutcome | Error)[],
  options: Partial<PollOptions> = {},
) {
  const clock = new ManualClock();
  const end = new AbortController();
  const events = new Events();
  const ticks: number[] = [];
  const done = poll(() => {
    ticks.push(clock.now());
    const outcome = outcomes[ticks.length - 1];
    if (ticks.length >= outcomes.length) end.abort();
    return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome ?? "idle");
  }, {
    clock,
    random: new SeededRandom(),
    pollIntervalMs: 100,
    retry: { ...RETRY_DEFAULTS, jitter: 0 },
    signal: end.signal,
    log: events.log,
    ...options,
  });
  await done.catch((error) => Promise.reject(Object.assign(error, { ticks })));
  return { ticks, events };
}

test("poll() goes on at once while there is work, and sleeps while there is none", async () => {
  const { ticks } = await pollThrough(["worked", "worked", "idle", "idle", "worked", "idle"]);
  deepEqual(ticks, [0, 0, 0, 100, 200, 200]);
});

test("poll() backs off while it fails, from the start again after each success", async () => {
  const failing: Error[] = Array(8).fill(unreachable);
  const { ticks, events } = await pollThrough([...failing, "worked", unreachable, "idle"]);
  deepEqual(ticks, [0, 1, 3, 7, 15, 31, 63, 123, 183, 183, 184].map((seconds) => seconds * 1000));
  equal(events.of("tick.failed").length, 9);
  deepEqual(events.all[2], { event: "tick.failed", error: unreachable, retryMs: 4000 });
});

test("poll() throws what trying again cannot help", async () => {
  for (const error of [new SinkError("TxFailed", "reverted"), new TypeError("bug")]) {
    await rejects(pollThrough(["worked", error, "worked"]), error);
  }
});

test("poll() ends when idle where asked to, and gives up there after so many failures", async () => {
  let isExhausted = false;
  const untilIdle = () => isExhausted || !(isExhausted = true);
  const { ticks } = await pollThrough(["idle", "worked", "idle", "idle"], { untilIdle });
  deepEqual(ticks, [0, 100, 100]);

  const failing: Error[] = Array(9).fill(unreachable);
  const tries = [0, 1000, 3000, 7000, 15_000, 31_000];
  await rejects(pollThrough(failing, { untilIdle }), { code: "Connection", ticks: tries });
});

test("poll() does not begin when it was aborted before", async () => {
  const { ticks } = await pollThrough(["worked"], { signal: AbortSignal.abort() });
  deepEqual(ticks, []);
});
