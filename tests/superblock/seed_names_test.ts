/**
 * Each event and each statistic that the seed names is there, by its name: told in a run through which all
 * of them come, and answered over the API.
 *
 * @module
 */
import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { describeProvingEvent, isProvingEvent } from "../../src/cli/proving_log.ts";
import { describeSuperblockEvent, isSuperblockEvent } from "../../src/cli/superblock_log.ts";
import { ClockEpochs } from "../../src/l1/epoch_sources.ts";
import { SeededRandom } from "../../src/local/memory.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { LogEvent } from "../../src/ports.ts";
import { BatchApi } from "../../src/service/batch_api.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import { SEQUENCER_DEFAULTS, SequencerIntegration } from "../../src/superblock/sequencer.ts";
import { MINUTE_MS, ProofWorld } from "./proof_world.ts";
import { blockAt, openManager, slotMs, SMALL_CLOCK } from "./world.ts";

/** Of `batchManager.Events()` and `pipeline.GetJobEvents()`. */
const BATCH_EVENTS = ["batch_started", "batch_finalized", "batch_completed", "batch_failed"];
const JOB_EVENTS = ["job_created", "stage_completed", "job_retry", "job_failed", "job_completed"];

/** Of the life of a batch, and of the stages of its proof. */
const BATCH_STATES = ["collecting", "proving", "completed", "failed"];
const STAGES = ["range_proof", "aggregation", "network_agg", "completed", "failed"];

/** Of `GetStats()` of each part, and of the API's answers. */
const MANAGER_STATS = ["total_batches", "current_batch_id", "batches_by_state", "chain_id"]
  .concat("max_batch_size", "batch_timeout");
const PIPELINE_STATS = ["active_jobs", "max_concurrent_jobs", "job_timeout", "max_retries"]
  .concat("jobs_by_stage");
const INTEGRATION_STATS = [
  "last_processed_slot",
  "integration_active",
  "batch_manager",
  "pipeline",
];
const EPOCH = ["current_epoch", "current_slot", "batch_number", "tracker_stats"];
const TRACKER_STATS = ["current_epoch", "current_slot", "current_batch_number"]
  .concat("last_processed_epoch", "batch_factor", "genesis_time", "next_batch_epoch");
const BATCH = ["id", "state", "start_epoch", "start_time", "start_slot", "slot_count", "chain_id"]
  .concat("blocks", "created_at", "updated_at");
const BLOCK = ["slot_number", "block_number", "block_hash", "timestamp", "tx_count"];

/** Five batches, of which one is retried, and one cannot be proved until somebody sees to it. */
async function play() {
  const world = new ProofWorld();
  const { clock, events } = world;
  clock.jump(slotMs(0));
  const log = (event: LogEvent) => void events.push(event);
  const { manager } = await openManager(new MemoryStorage(), clock, { log });
  const listener = new EpochListener({
    sources: [new ClockEpochs(SMALL_CLOCK, clock)],
    taker: manager,
    clock,
    random: new SeededRandom(1),
    log,
  }, { l1Clock: SMALL_CLOCK, pollIntervalMs: 12_000 });
  const pipeline = world.pipelineOn(world.queue, { retryDelayMs: MINUTE_MS }, manager);
  const config = { ...SEQUENCER_DEFAULTS, chainId: 1001n };
  const sequencer = new SequencerIntegration({ listener, manager, clock }, config);
  world.prover.fault = ({ what, attempt }) => {
    if (what === "range 15-23" && attempt === 1) {
      return { state: "failed", reason: "out of memory" };
    }
    if (what.startsWith("aggregation of range 23-31")) return { state: "unprovable", reason: "no" };
    return undefined;
  };
  const stop = new AbortController();
  const running = Promise.all([listener, manager, pipeline].map((each) => each.run(stop.signal)));
  let isOver = false;
  void (async () => {
    for (let number = 0; number < 200; number++) {
      await sequencer.reportBlock(blockAt(number, 12 * number));
      await clock.sleep(12_000);
    }
  })();
  await world.until(() =>
    manager.batch(2n)?.state === "completed" && manager.batch(3n)?.state === "failed" &&
    (manager.currentBatch?.blocks.length ?? 0) > 0
  );
  const api = new BatchApi({
    clock,
    batches: { sequencer, pipeline, queue: world.queue },
  });
  const ask = async (name: string) => {
    const { status, body } = await api.answer({
      method: "GET",
      url: new URL(`http://localhost/v1/batch/${name}`),
      contentType: undefined,
      origin: undefined,
      body: () => Promise.resolve(new Uint8Array()),
    });
    equal(status, 200, name);
    return body as Record<string, Record<string, unknown>>;
  };
  const answers = {
    current: await ask("current"),
    stats: await ask("stats"),
    epoch: await ask("epoch"),
    jobs: await ask("jobs"),
  };
  const managerStats = manager.stats;
  const pipelineStats = await pipeline.stats();
  stop.abort();
  void running.then(() => isOver = true);
  await clock.run(() => isOver, Infinity);
  await running;
  return { events, answers, managerStats, pipelineStats };
}

/** All of these, whatever else there is. */
function hasEach(object: object, names: readonly string[], where: string): void {
  for (const name of names) ok(Object.hasOwn(object, name), `${where} has no ${name}`);
}

test("Every event and statistic that the seed names, by its name", async () => {
  const { events, answers, managerStats, pipelineStats } = await play();
  for (const name of [...BATCH_EVENTS, ...JOB_EVENTS]) {
    const event = events.find((each) => each.event === name);
    ok(event, `${name} was never told`);
    // `event.BatchID`, `event.JobID` and `event.Stage`.
    if ("batch" in event) {
      equal(
        typeof (event.batch as never as { window: { batchNumber: bigint } }).window.batchNumber,
        "bigint",
        name,
      );
    } else hasEach(event, ["jobId", "batchNumber", "stage"], name);
    const { text } = isProvingEvent(event)
      ? describeProvingEvent(event)
      : isSuperblockEvent(event)
      ? describeSuperblockEvent(event)
      : { text: "" };
    ok(text.length > 10, `${name} has no words in the log`);
  }
  hasEach(managerStats, MANAGER_STATS, "manager.stats");
  deepEqual(Object.keys(managerStats.batches_by_state), BATCH_STATES);
  hasEach(pipelineStats, PIPELINE_STATS, "pipeline.stats()");
  const told = events.flatMap((event) => "stage" in event ? [event.stage as string] : []);
  const stages = [...told, ...Object.keys(pipelineStats.jobs_by_stage)];
  for (const stage of STAGES) ok(stages.includes(stage), `${stage} was never told`);

  hasEach(answers.stats, INTEGRATION_STATS, "/v1/batch/stats");
  hasEach(answers.stats.batch_manager!, MANAGER_STATS, "/v1/batch/stats");
  hasEach(answers.stats.pipeline!, PIPELINE_STATS, "/v1/batch/stats");
  hasEach(answers.epoch, EPOCH, "/v1/batch/epoch");
  hasEach(answers.epoch.tracker_stats!, TRACKER_STATS, "/v1/batch/epoch");
  hasEach(answers.jobs, PIPELINE_STATS, "/v1/batch/jobs");
  hasEach(answers.current.batch!, BATCH, "/v1/batch/current");
  const [block] = answers.current.batch!.blocks as object[];
  hasEach(block!, BLOCK, "/v1/batch/current");
});
