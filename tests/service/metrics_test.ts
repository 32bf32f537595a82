import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { ManualClock } from "../../src/local/memory.ts";
import type { LogEvent } from "../../src/ports.ts";
import { batcherMetrics, watchBatcher } from "../../src/service/batcher_metrics.ts";
import { DERIVER_METRICS, watchDeriver } from "../../src/service/deriver_metrics.ts";
import { ACCOUNT_METRICS, NODE_METRICS } from "../../src/service/ethereum_metrics.ts";
import type { MetricChapter } from "../../src/service/metric_chapter.ts";
import { Metrics, PROCESS_METRICS } from "../../src/service/metrics.ts";
import { PROCESSOR_METRICS, watchProcessor } from "../../src/service/processor_metrics.ts";
import { ROLE_METRICS } from "../../src/service/role_metrics.ts";
import { meteredStorage } from "../../src/service/storage_metrics.ts";
import { BatchProcessor } from "../../src/wal/processor.ts";
import { promtoolSays, skipWithoutPromtool } from "../promtool.ts";
import {
  ACCOUNT_EVENTS,
  BATCHER_EVENTS,
  DERIVER_EVENTS,
  NODE_EVENTS,
  PROCESSOR_EVENTS,
  ROLE_EVENTS,
} from "./moving_events.ts";
import { valuesOf } from "./metric_values.ts";

type Stats = ReturnType<BatchProcessor["stats"]>;

const clock = new ManualClock(1_000_000);
const STATS = {
  state: "running",
  addedOperations: 7,
  addedBytes: 70,
  rejectedOperations: 1,
  handledOperations: 5,
  handledBytes: 50,
  reasons: {
    ...{ interval: 2, operations: 1, bytes: 0, full: 0, flush: 0, drain: 0 },
    ...{ recovered: 0, resumed: 0 },
  },
  pendingOperations: 2,
  pendingBytes: 20,
  waitingAdds: 1,
  batchOperations: 100,
} satisfies Partial<Stats>;

/** Each chapter, what moves it, and what is looked at for it. */
const MOVED: readonly {
  readonly name: string;
  readonly chapter: MetricChapter;
  readonly events: readonly LogEvent[];
  readonly watch?: (metrics: Metrics) => void;
}[] = [
  { name: "the process", chapter: PROCESS_METRICS, events: [] },
  { name: "all roles", chapter: ROLE_METRICS, events: ROLE_EVENTS },
  {
    name: "a batcher",
    chapter: batcherMetrics(clock),
    events: BATCHER_EVENTS,
    watch: (metrics) => watchBatcher(metrics, { pendingBlocks: 3, unpostedBytes: 400 }),
  },
  { name: "nodes", chapter: NODE_METRICS, events: NODE_EVENTS },
  { name: "an account", chapter: ACCOUNT_METRICS, events: ACCOUNT_EVENTS },
  {
    name: "a deriver",
    chapter: DERIVER_METRICS,
    events: DERIVER_EVENTS,
    watch: (metrics) =>
      watchDeriver(metrics, () => ({ heldBatches: 2, newestTimestamp: 1018n, l1BlocksLeft: 4 })),
  },
  {
    name: "a processor",
    chapter: PROCESSOR_METRICS,
    events: PROCESSOR_EVENTS,
    watch: (metrics) => watchProcessor(metrics, () => STATS),
  },
];

/** All chapters in one registry, each moved. */
async function moved(): Promise<Metrics> {
  const metrics = await Metrics.open(clock);
  for (const { chapter, events, watch } of MOVED) {
    const log = metrics.counting([chapter]);
    for (const event of events) log(event);
    watch?.(metrics);
  }
  return metrics;
}

for (const { name, chapter, events, watch } of MOVED) {
  test(`each metric of ${name} is moved by what it is about`, async () => {
    const metrics = await Metrics.open(clock);
    const log = metrics.counting([chapter]);
    for (const event of events) log(event);
    watch?.(metrics);
    const values = valuesOf((await metrics.text()).text);
    for (const [metric, { type }] of Object.entries(chapter.specs)) {
      const told = type === "histogram" ? `${metric}_count` : metric;
      const found = [...values].filter(([key]) => key === told || key.startsWith(`${told}{`));
      ok(found.some(([, value]) => value > 0), `${metric}: ${JSON.stringify(found)}`);
    }
  });
}

test("a batcher's metrics are those of its batches", async () => {
  const values = valuesOf((await (await moved()).text()).text);
  const expected = {
    'montana_batches_submitted_total{sink="blobs"}': 1,
    'montana_batches_submitted_total{sink="calldata"}': 0,
    'montana_batches_sealed_total{reason="full"}': 1,
    'montana_batches_sealed_total{reason="interval"}': 0,
    montana_blocks_taken_total: 2,
    montana_blocks_processed_total: 2,
    montana_batch_compression_ratio_sum: 4,
    montana_blob_fill_ratio_sum: 0.5,
    'montana_blob_fill_ratio_bucket{le="0.25"}': 0,
    'montana_blob_fill_ratio_bucket{le="0.5"}': 1,
    montana_submit_duration_seconds_sum: 12.5,
    montana_batcher_last_confirmed_timestamp_seconds: 1000,
    montana_batcher_pending_blocks: 3,
    montana_batcher_pending_bytes: 400,
    'montana_tx_signed_total{reason="bump"}': 1,
    'montana_l1_fees_ether_total{kind="execution"}': 21_000e-9,
    'montana_l1_gas_price_wei{kind="blob"}': 5,
    montana_signer_balance_ether: 2,
    montana_signer_spend_ether_per_second: 1e-4,
    'montana_ref_block_number{layer="l2",type="taken"}': 12,
    'montana_derivation_batches_dropped_total{reason="parent_check"}': 1,
    'montana_derivation_batches_dropped_total{reason="timestamp"}': 0,
    montana_derivation_blocks_total: 5,
    'montana_processor_batches_handled_total{reason="interval"}': 2,
    'montana_processor_state{state="running"}': 1,
    'montana_processor_state{state="paused"}': 0,
  };
  const told = Object.fromEntries(Object.keys(expected).map((name) => [name, values.get(name)]));
  deepEqual(told, expected);
});

test("what another counts is told as it stands, however often it is asked", async () => {
  const metrics = await Metrics.open(clock);
  let stats: typeof STATS = STATS;
  const stop = watchProcessor(metrics, () => stats);
  const added = async () =>
    valuesOf((await metrics.text()).text).get("montana_processor_operations_added_total");
  equal(await added(), 7);
  equal(await added(), 7);
  stats = { ...STATS, addedOperations: 9 };
  equal(await added(), 9);
  stop();
  stats = { ...STATS, addedOperations: 99 };
  equal(await added(), 9);
});

test("chapters share a registry, and a name has one type", async () => {
  const metrics = await Metrics.open(clock);
  const first = metrics.counting([ROLE_METRICS]);
  const second = metrics.counting([ROLE_METRICS]);
  for (const log of [first, second]) log(ROLE_EVENTS[0]!);
  const values = valuesOf((await metrics.text()).text);
  equal(values.get("montana_passing_failures_total"), 2);
  metrics.watch((to) => to.inc("montana_build_info"));
  await metrics.text().then(
    () => ok(false, "a gauge was counted"),
    (error) => match(`${error}`, /montana_build_info: it is no counter/),
  );
});

test("a log's way to the disk is timed, and what fails there is counted and told", async () => {
  const metrics = await Metrics.open(clock);
  const disk = new FaultyStorage(
    new MemoryStorage(),
    ({ method, number }) => number > 4 && method !== "close" ? { error: "NoSpace" } : undefined,
  );
  const storage = meteredStorage(disk, metrics);
  const file = await storage.openAppend("log");
  await file.write(new Uint8Array(7));
  await file.sync();
  equal((await storage.read("log")).length, 7);
  for (const act of [() => file.write(new Uint8Array(9)), () => file.sync()]) {
    await act().then(() => ok(false, "it was kept"), (error) => equal(error.code, "NoSpace"));
  }
  const values = valuesOf((await metrics.text()).text);
  equal(values.get("montana_wal_written_bytes_total"), 7);
  equal(values.get("montana_wal_sync_duration_seconds_count"), 1);
  equal(values.get('montana_wal_failures_total{call="write"}'), 1);
  equal(values.get('montana_wal_failures_total{call="sync"}'), 1);
});

test("no label of any chapter has many values", () => {
  const names = MOVED.flatMap(({ chapter }) => Object.keys(chapter.specs));
  equal(new Set(names).size, names.length);
  const labels = MOVED.flatMap(({ chapter }) =>
    Object.values(chapter.specs).flatMap(({ labels = [] }) => labels)
  );
  deepEqual([...new Set(labels)].sort(), [
    ...["kind", "layer", "reason", "result", "runtime", "sink", "state", "task", "to", "type"],
    ...["version", "what"],
  ]);
});

const NAME = "promtool finds no fault with the metrics of any role";
test(NAME, { skip: skipWithoutPromtool(NAME) }, async () => {
  const { text: input } = await (await moved()).text();
  deepEqual(promtoolSays(["check", "metrics"], { input }), { status: 0, said: "" });
});
