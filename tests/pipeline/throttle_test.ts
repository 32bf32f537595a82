/**
 * How hard sequencers are held back, and that they come to know of it.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { RpcError } from "../../src/errors.ts";
import { RpcSequencer } from "../../src/l2/sequencer.ts";
import { ManualClock } from "../../src/local/memory.ts";
import {
  daLimits,
  Throttle,
  THROTTLE_DEFAULTS,
  THROTTLE_STRATEGIES,
  type ThrottleConfig,
  ThrottleController,
  type ThrottleStrategy,
} from "../../src/pipeline/throttle.ts";
import { Events } from "../helpers.ts";

const MIDDLE = 8_000_000;

function intensities(strategy: ThrottleStrategy, loads: readonly number[]): number[] {
  const controller = new ThrottleController({ ...THROTTLE_DEFAULTS, strategy });
  return loads.map((load, index) => controller.intensity(load, 1000 * index));
}

test("ThrottleController follows op-batcher's strategies from bound to bound", () => {
  const loads = [0, 3_200_000, 3_200_001, MIDDLE, 12_800_000, 99_000_000];
  deepEqual(intensities("step", loads), [0, 0, 1, 1, 1, 1]);
  const linear = intensities("linear", loads);
  deepEqual([linear[0], linear[1], linear[3], linear[4], linear[5]], [0, 0, 0.5, 1, 1]);
  const quadratic = intensities("quadratic", loads);
  deepEqual([quadratic[0], quadratic[3], quadratic[4], quadratic[5]], [0, 0.25, 1, 1]);
});

test("ThrottleController rises with the load and never leaves 0 to 1, by every strategy", () => {
  for (const strategy of THROTTLE_STRATEGIES) {
    const loads = Array.from({ length: 200 }, (_, index) => index * 100_000);
    const rising = intensities(strategy, loads);
    ok(
      rising.every((each, at) => each >= 0 && each <= 1 && each >= (rising[at - 1] ?? 0)),
      strategy,
    );
    equal(rising.at(-1), 1, strategy);
  }
});

test("ThrottleController `pid` presses harder while a load stays, and lets go without windup", () => {
  const controller = new ThrottleController({ ...THROTTLE_DEFAULTS, strategy: "pid" });
  const first = controller.intensity(MIDDLE, 0);
  let last = first;
  for (let second = 1; second <= 30; second++) last = controller.intensity(MIDDLE, 1000 * second);
  ok(last > first, `${last} after ${first}`);
  // An idle day is not saved up.
  for (let second = 31; second < 3000; second++) controller.intensity(0, 1000 * second);
  const again = controller.intensity(MIDDLE, 3_000_000);
  ok(again >= first, `${again} after ${first}`);
});

test("daLimits() goes from the upper bounds to the lower, and bounds no transaction at rest", () => {
  deepEqual(daLimits(0, THROTTLE_DEFAULTS), { maxTxBytes: 0, maxBlockBytes: 130_000 });
  deepEqual(daLimits(1, THROTTLE_DEFAULTS), { maxTxBytes: 150, maxBlockBytes: 2_000 });
  deepEqual(daLimits(0.5, THROTTLE_DEFAULTS), { maxTxBytes: 10_075, maxBlockBytes: 66_000 });
});

/** A throttle over scripted sequencers. */
function throttleOf(
  answers: readonly (unknown | undefined)[],
  config: Partial<ThrottleConfig> = {},
) {
  const told: (readonly [number, number])[] = [];
  const events = new Events();
  let load = 0;
  let calls = 0;
  const throttle = new Throttle({
    unpostedBytes: () => load,
    sequencers: [{
      name: "sequencer",
      setMaxDaSize(maxTxBytes, maxBlockBytes) {
        const answer = answers[calls++];
        if (answer !== undefined) return Promise.reject(answer);
        told.push([maxTxBytes, maxBlockBytes]);
        return Promise.resolve();
      },
    }],
    clock: new ManualClock(),
    log: events.log,
  }, config);
  return { throttle, told, events, setLoad: (bytes: number) => load = bytes, calls: () => calls };
}

test("Throttle tells a sequencer what is new, and the same from time to time", async () => {
  const { throttle, told, setLoad } = throttleOf([]);
  await throttle.look();
  await throttle.look();
  deepEqual(told, [[0, 130_000]]);
  setLoad(99_000_000);
  await throttle.look();
  deepEqual(told.at(-1), [150, 2_000]);
  for (let look = 0; look < 15; look++) await throttle.look();
  equal(told.length, 3);
  equal(throttle.intensity, 1);
});

test("Throttle tells a sequencer that failed at the next look, and says so once", async () => {
  const down = new RpcError("Unreachable", "down");
  const { throttle, told, events } = throttleOf([down, down]);
  await throttle.look();
  await throttle.look();
  await throttle.look();
  deepEqual(told, [[0, 130_000]]);
  equal(events.of("throttle.failed").length, 1);
});

test("Throttle warns once of a node without miner_setMaxDASize, and leaves it alone", async () => {
  const unknown = new RpcError("Answered", "no such method", { details: { rpcCode: -32601 } });
  const { throttle, events, calls, setLoad } = throttleOf([unknown, unknown, unknown]);
  for (let look = 0; look < 10; look++) {
    setLoad(look * 2_000_000);
    await throttle.look();
  }
  equal(calls(), 1);
  deepEqual(events.of("throttle.failed").map(({ isUnsupported }) => isUnsupported), [true]);
});

test("Throttle.run() lets sequencers go at its end", async () => {
  const { throttle, told, setLoad } = throttleOf([]);
  setLoad(99_000_000);
  const end = new AbortController();
  queueMicrotask(() => end.abort());
  await throttle.run(end.signal);
  deepEqual(told, [[150, 2_000], [0, 130_000]]);
});

test("Throttle.run() lets go a sequencer that did not answer of late", async () => {
  const { throttle, told, setLoad } = throttleOf([undefined, new RpcError("Timeout", "late")]);
  setLoad(99_000_000);
  await throttle.look();
  setLoad(8_000_000);
  const end = new AbortController();
  queueMicrotask(() => end.abort());
  await throttle.run(end.signal);
  deepEqual(told, [[150, 2_000], [0, 130_000]]);
});

test("Throttle refuses bounds that are none", () => {
  const parts = { unpostedBytes: () => 0, sequencers: [], clock: new ManualClock() };
  const bad = { unpostedBytes: { lower: 5, upper: 5 } };
  throws(() => new Throttle(parts, bad), {
    code: "Invalid",
    message: /unpostedBytes.*have 5 and 5/,
  });
  throws(() => new Throttle(parts, { txBytes: { lower: 9, upper: 5 } }), { code: "Invalid" });
});

test("RpcSequencer says what a node answered that took no limits", async () => {
  const sequencer = new RpcSequencer({ name: "node", request: () => Promise.resolve(false) });
  const error = await sequencer.setMaxDaSize(1, 2).catch((error) => error);
  equal(error.message, "Cannot hold node back: it answered false to miner_setMaxDASize, not true");
});
