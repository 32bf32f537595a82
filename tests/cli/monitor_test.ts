/**
 * What `/readyz` is told, and when it is so no more.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { batcherHealth } from "../../src/cli/batcher_health.ts";
import { checkOf, Monitor, pipelineCheck, type RoleMonitor } from "../../src/cli/monitor.ts";
import { NodeHealth } from "../../src/cli/node_health.ts";
import { SourceError } from "../../src/errors.ts";
import type { LogEvent } from "../../src/ports.ts";
import type { BatchSubmissionRunner } from "../../src/pipeline/batch_runner.ts";
import { ACCOUNT_EVENTS } from "../service/moving_events.ts";

const error = new SourceError("Connection", "Cannot ask");

/** What is wrong with a role. */
function wrongWith({ checks }: Pick<RoleMonitor, "checks">): string[] {
  return checks.filter(({ ok }) => !ok).map(({ name }) => name);
}

test("a role is ready between its beginning and its end, and is not asked once it is over", async () => {
  const monitor = await Monitor.open(["batcher", "deriver"], { metricsListen: "0" });
  try {
    const [batcher, deriver] = [monitor.of("batcher"), monitor.of("deriver")];
    deepEqual(wrongWith(monitor), ["begin", "begin"]);
    let reason: string | undefined = "it fails";
    batcher.begin(() => [checkOf("pipeline", reason)]);
    deriver.begin(() => []);
    deepEqual(wrongWith(monitor), ["pipeline"]);
    equal(monitor.checks.find(({ name }) => name === "pipeline")?.role, "batcher");
    reason = undefined;
    deepEqual(wrongWith(monitor), []);
    const stop = new AbortController();
    equal(deriver.endsBy(stop.signal), stop.signal);
    stop.abort();
    deepEqual(wrongWith(monitor), ["end"]);
    deriver.over();
    deepEqual(wrongWith(monitor), []);
  } finally {
    await monitor.close();
  }
});

test("nobody counts where --metrics-listen is not given", async () => {
  const monitor = await Monitor.open(["batcher"], {});
  equal(monitor.metrics, undefined);
  const log = () => {};
  equal(monitor.of("batcher").counting([], log), log);
  await monitor.close();
});

test("nodes are well as long as one is asked in the place of each that fails", () => {
  const nodes = new NodeHealth();
  const failed = (endpoint: string, next?: string) =>
    nodes.note({ event: "endpoint.failed", endpoint, error, next });
  failed("a", "b");
  equal(nodes.reason, undefined);
  failed("b", "a");
  match(nodes.reason!, /Cannot ask/);
  nodes.note({ event: "endpoint.recovered", endpoint: "a" });
  equal(nodes.reason, undefined);
  nodes.note({ event: "endpoint.recovered", endpoint: "b" });
  failed("alone");
  match(nodes.reason!, /Cannot ask/);
});

test("a pipeline is well that looked, failed not, and has not stood still", () => {
  const now = Date.now();
  match(
    pipelineCheck({ lastGoodAtMs: undefined, failure: undefined }, "L2").reason!,
    /no look at L2/,
  );
  equal(pipelineCheck({ lastGoodAtMs: now, failure: undefined }, "L2").ok, true);
  match(pipelineCheck({ lastGoodAtMs: now, failure: error }, "L2").reason!, /Cannot ask/);
  const still = pipelineCheck({ lastGoodAtMs: now - 600_000, failure: undefined }, "L2");
  match(still.reason!, /stood still for 10 min/);
});

test("a batcher is not ready while a transaction waits, until that one is sent", async () => {
  const monitor = await Monitor.open(["batcher"], { metricsListen: "0" });
  try {
    const role = monitor.of("batcher");
    const told: LogEvent[] = [];
    const health = batcherHealth(role);
    const log = health.log((event) => told.push(event));
    const runner = { health: { lastGoodAtMs: Date.now(), failure: undefined } };
    health.begin({ ...runner, pendingBlocks: 0, unpostedBytes: 0 } as BatchSubmissionRunner);
    deepEqual(wrongWith(role), []);
    log(ACCOUNT_EVENTS.find(({ event }) => event === "tx.waits")!);
    deepEqual(wrongWith(role), ["account"]);
    match(role.checks.find(({ name }) => name === "account")!.reason!, /^funds: .*Cannot ask/);
    const sent = ACCOUNT_EVENTS.find((event) => event.event === "tx.sent")!;
    log({ ...sent, attempt: { ...sent.attempt, batchNumber: 2n } });
    deepEqual(wrongWith(role), ["account"]);
    log(sent);
    deepEqual(wrongWith(role), []);
    equal(told.length, 3);
  } finally {
    await monitor.close();
  }
});
