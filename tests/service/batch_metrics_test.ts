import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { SourceError } from "../../src/errors.ts";
import { ManualClock } from "../../src/local/memory.ts";
import type { LogEvent } from "../../src/ports.ts";
import { PROOF_STAGES, ProvingError } from "../../src/proving.ts";
import { BATCH_METRICS } from "../../src/service/batch_metrics.ts";
import type { Listening } from "../../src/service/http_server.ts";
import { Metrics } from "../../src/service/metrics.ts";
import { promtoolSays, skipWithoutPromtool } from "../promtool.ts";
import { blockAt, slotMs } from "../superblock/world.ts";
import { valuesOf } from "./metric_values.ts";
import { ask, BatchesWorld, countingBatches } from "./served_batches.ts";

async function metricsOf({ name }: Listening): Promise<string> {
  const response = await fetch(`${name}/metrics`);
  equal(response.status, 200);
  match(response.headers.get("content-type")!, /^text\/plain; version=0\.0\.4/);
  return await response.text();
}

/** A world in which all that is counted has happened at least once. */
async function busyWorld(): Promise<BatchesWorld> {
  const world = await BatchesWorld.open();
  await world.listener.look();
  await world.sequencer.reportBlock(blockAt(7, 197));
  await world.sequencer.reportBlock(blockAt(7, 197));
  await world.sequencer.reportBlock(blockAt(8, 198));
  await world.sequencer.reportBlock(blockAt(10, 199)).then(() =>
    world.sequencer.reportBlock(blockAt(10, 200, 1))
  );
  await world.sequencer.reportBlock(blockAt(1, 10)).catch(() => {});
  await world.job(1n, "completed");
  world.clock.advance(5000);
  await world.job(3n, "failed");
  await world.job(4n, "retried");
  await world.job(5n, "asked");
  await world.job(6n);
  const log = countingBatches(world.metrics);
  const job = { jobId: "1001-1", batchNumber: 1n };
  const error = new ProvingError("Failed", "Cannot prove: by chance");
  const events: LogEvent[] = [
    { event: "job_created", ...job, stage: "range_proof" },
    { event: "job_retry", ...job, stage: "range_proof", error, retries: 1, retryAtMs: 0 },
    { event: "proof_forgotten", ...job, stage: "aggregation", requestId: "x" },
    { event: "range_split", ...job, stage: "range_proof", start: 1n, end: 9n, reason: "x" },
    ...PROOF_STAGES.map((stage, at): LogEvent => {
      const isExecutionCheck = stage === "network_agg";
      return {
        event: "stage_completed",
        ...job,
        stage,
        isExecutionCheck,
        durationMs: 60_000 * at + 500,
      };
    }),
    { event: "job_completed", ...job, stage: "completed", durationMs: 700_000 },
    { event: "job_failed", ...job, stage: "submission", error },
    { event: "job_requeued", ...job, stage: "submission" },
    { event: "job_cancelled", ...job, stage: "cancelled" },
    { event: "blocks_left_out", firstBlock: 3n, lastBlock: 5n, error },
    { event: "tick.failed", error, retryMs: 1 },
    {
      event: "epoch_source_failed",
      source: "beacon",
      error: new SourceError("Connection", "Cannot ask"),
      retryMs: 1,
    },
  ];
  for (const event of events) log(event);
  return world;
}

test("/metrics tells batches, proofs, L1 and the process", async () => {
  const world = await busyWorld();
  await world.served(async (server) => {
    const values = valuesOf(await metricsOf(server));
    const expected = {
      montana_slot_number: 17,
      montana_epoch_number: 4,
      montana_epoch_processed_number: 4,
      montana_epochs_total: 1,
      montana_batch_triggers_total: 1,
      montana_l1_lag_seconds: 0,
      'montana_l1_source_active{source="clock"}': 1,
      'montana_l1_source_active{source="beacon"}': 0,
      'montana_l1_source_failures_total{source="beacon"}': 1,
      montana_batch_number: 2,
      montana_batch_end_timestamp_seconds: 1_000_000 + 24 * 12,
      montana_batch_blocks: 3,
      montana_batch_slot_number: 16,
      'montana_batches{state="collecting"}': 1,
      montana_batches_started_total: 1,
      montana_blocks_replaced_total: 1,
      montana_blocks_left_out_total: 3,
      montana_passing_failures_total: 1,
      'montana_block_reports_total{outcome="added"}': 3,
      'montana_block_reports_total{outcome="known"}': 1,
      'montana_block_reports_total{outcome="replaced"}': 1,
      'montana_block_reports_total{outcome="refused"}': 1,
      'montana_proof_jobs{stage="range_proof"}': 3,
      'montana_proof_jobs{stage="completed"}': 1,
      'montana_proof_jobs{stage="failed"}': 1,
      montana_proof_jobs_running: 1,
      montana_proof_jobs_limit: 5,
      montana_proof_job_oldest_timestamp_seconds: slotMs(17) / 1000 + 5,
      montana_proof_completed_timestamp_seconds: slotMs(17) / 1000,
      montana_proof_jobs_created_total: 1,
      montana_proof_jobs_completed_total: 1,
      'montana_proof_jobs_failed_total{stage="submission"}': 1,
      'montana_proof_jobs_failed_total{stage="range_proof"}': 0,
      montana_proof_jobs_requeued_total: 1,
      montana_proof_jobs_cancelled_total: 1,
      'montana_proof_retries_total{stage="range_proof"}': 1,
      'montana_proofs_forgotten_total{stage="aggregation"}': 1,
      montana_proof_ranges_split_total: 1,
      'montana_proof_execution_checks_total{stage="network_agg"}': 1,
      'montana_proof_execution_checks_total{stage="range_proof"}': 0,
      'montana_proof_stage_duration_seconds_count{stage="submission"}': 1,
      'montana_proof_stage_duration_seconds_sum{stage="submission"}': 180.5,
      'montana_proof_stage_duration_seconds_bucket{le="60",stage="aggregation"}': 0,
      'montana_proof_stage_duration_seconds_bucket{le="120",stage="aggregation"}': 1,
      montana_proof_job_duration_seconds_sum: 700,
    };
    const told = Object.fromEntries(Object.keys(expected).map((name) => [name, values.get(name)]));
    deepEqual(told, expected);
    ok(values.get("process_resident_memory_bytes")! > 1e6);
    ok(values.get("process_cpu_seconds_total")! > 0);
    // Asked again, nothing is counted twice.
    const again = valuesOf(await metricsOf(server));
    equal(again.get('montana_block_reports_total{outcome="added"}'), 3);
  });
});

test("what ends with a batch is counted", async () => {
  const world = await BatchesWorld.open();
  await world.listener.look();
  for (const number of [7, 8, 11]) await world.sequencer.reportBlock(blockAt(number, 190 + number));
  world.clock.advance(200_000);
  await world.listener.look();
  world.clock.advance(20_000);
  await world.manager.finalizeDue();
  await world.manager.markBatchFailed(2n, new Error("it cannot be proved"));
  await world.manager.requeueBatch(2n);
  await world.manager.markBatchCompleted(2n);
  await world.served(async (server) => {
    const values = valuesOf(await metricsOf(server));
    equal(values.get('montana_batches_finalized_total{reason="trigger"}'), 2);
    equal(values.get("montana_batch_blocks_total"), 3);
    equal(values.get("montana_batch_blocks_missing_total"), 2);
    equal(values.get("montana_batches_failed_total"), 1);
    equal(values.get("montana_batches_completed_total"), 1);
  });
});

test("what is not known is not told as 0", async () => {
  const metrics = await Metrics.open(new ManualClock());
  metrics.include(BATCH_METRICS);
  const { text } = await metrics.text();
  const values = valuesOf(text);
  equal(values.get("montana_batches_started_total"), 0);
  equal(values.get("montana_epoch_number"), undefined);
  equal(values.get("montana_proof_completed_timestamp_seconds"), undefined);
  equal([...values.keys()].some((name) => name.startsWith("montana_build_info{")), true);
});

test("metrics are named as Prometheus wants it, with no label of many values", async () => {
  const world = await busyWorld();
  await world.served(async (server) => {
    const values = valuesOf(await metricsOf(server));
    const labels = new Map<string, Set<string>>();
    for (const name of values.keys()) {
      match(name, /^(montana|process)_[a-z0-9_]+(\{.*\})?$/);
      for (const [, label, value] of name.matchAll(/(\w+)="([^"]*)"/g)) {
        labels.set(label!, (labels.get(label!) ?? new Set()).add(value!));
      }
    }
    deepEqual([...labels.keys()].sort(), [
      ...["le", "outcome", "reason", "runtime", "source", "stage", "state", "task", "version"],
    ]);
    for (const each of labels.values()) ok(each.size <= 13);
  });
});

const NAME = "promtool finds no fault with the metrics";
test(NAME, { skip: skipWithoutPromtool(NAME) }, async () => {
  const world = await busyWorld();
  await world.served(async (server) => {
    const input = await metricsOf(server);
    deepEqual(promtoolSays(["check", "metrics"], { input }), { status: 0, said: "" });
  });
});

test("/livez tells that it answers, and since when", async () => {
  const world = await BatchesWorld.open();
  await world.served(async (server) => {
    world.clock.advance(61_000);
    const { status, body } = await ask(server, "/livez");
    equal(status, 200);
    deepEqual([body.status, body.uptime_seconds], ["ok", 61]);
  });
});

test("/readyz tells what is wrong, and is ready again", async () => {
  const world = await BatchesWorld.open();
  let isEnding = false;
  const checks = () => isEnding ? [{ name: "end", ok: false, reason: "it ends" }] : [];
  await world.served(async (server) => {
    const before = await ask(server, "/readyz");
    equal(before.status, 503);
    deepEqual(before.body, {
      ready: false,
      checks: [
        { name: "l1", ok: false, reason: "no source of L1's epochs answers" },
        {
          name: "batch",
          ok: false,
          reason: "batch 2, whose window is open, does not collect blocks: its trigger was not " +
            "delivered, or it was ended",
        },
        { name: "log", ok: true },
      ],
    });
    await world.listener.look();
    const ready = await ask(server, "/readyz");
    equal(ready.status, 200);
    deepEqual(ready.body, {
      ready: true,
      checks: ["l1", "batch", "log"].map((name) => ({ name, ok: true })),
    });
    isEnding = true;
    const ending = await ask(server, "/readyz");
    equal(ending.status, 503);
    deepEqual(ending.body.checks.at(-1), { name: "end", ok: false, reason: "it ends" });
    isEnding = false;
    // The window is over, and no trigger of the next came.
    world.clock.advance(200_000);
    equal((await ask(server, "/readyz")).status, 503);
  }, { parts: { checks } });
});
