import { deepStrictEqual as deepEqual } from "node:assert/strict";
import { test } from "node:test";
import { withoutPassingFailures } from "../../src/cli/passing_failures.ts";
import { RpcError } from "../../src/errors.ts";
import type { LogEvent } from "../../src/ports.ts";
import { SimulatedClock } from "../simulation/clock.ts";

const busy = new RpcError("Busy", "it answered 503");

/** A log with its clock, and what came through. */
function quietLog() {
  const clock = new SimulatedClock(0);
  const told: string[] = [];
  const log = withoutPassingFailures((event) => {
    const name = "endpoint" in event ? ` ${event.endpoint}` : "";
    told.push(`${event.event}${name}`);
  }, clock);
  const failed = (endpoint: string, error: unknown = busy) =>
    log({ event: "endpoint.failed", endpoint, error, next: undefined });
  const recovered = (endpoint: string) => log({ event: "endpoint.recovered", endpoint });
  const pass = async (ms: number) => {
    let isOver = false;
    void clock.sleep(ms).then(() => isOver = true);
    await clock.run(() => isOver, clock.elapsedMs + ms + 1);
  };
  return { told, log, failed, recovered, pass };
}

test("the log tells nothing of a node that fails for a moment, however often", async () => {
  const { told, failed, recovered, pass } = quietLog();
  for (let times = 0; times < 5; times++) {
    failed("a");
    await pass(1500);
    recovered("a");
    await pass(1500);
  }
  deepEqual(told, []);
});

test("the log tells of a node that goes on failing, once, and of its return", async () => {
  const { told, failed, recovered, pass } = quietLog();
  failed("a");
  failed("a");
  failed("b");
  recovered("b");
  await pass(2000);
  deepEqual(told, ["endpoint.failed a"]);
  recovered("a");
  await pass(10_000);
  deepEqual(told, ["endpoint.failed a", "endpoint.recovered a"]);
  failed("a");
  await pass(2000);
  deepEqual(told.length, 3);
});

test("the log tells of a node's failure before what comes of it, and then of its return", async () => {
  const { told, log, failed, recovered, pass } = quietLog();
  failed("a");
  failed("b");
  const error = new RpcError("Busy", "Cannot ask a: it answered 503");
  log({ event: "tick.failed", error, retryMs: 100 });
  recovered("a");
  recovered("b");
  await pass(10_000);
  deepEqual(told, ["endpoint.failed a", "tick.failed", "endpoint.recovered a"]);
});

test("the log tells at once of a node that cannot be used, and of all else", () => {
  const { told, log, failed } = quietLog();
  failed("a", new RpcError("Refused", "of another chain"));
  const event: LogEvent = { event: "l1.reorganised", ancestor: 1n, depth: 1n };
  log(event);
  deepEqual(told, ["endpoint.failed a", "l1.reorganised"]);
});
