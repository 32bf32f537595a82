import { deepStrictEqual as deepEqual, match, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { serveBatches } from "../../src/service/batch_api.ts";
import { blockAt, slotMs } from "../superblock/world.ts";
import { ask, BatchesWorld, blockBody } from "./served_batches.ts";

test("GET /v1/batch/epoch tells where L1 is, by the names of the seed", async () => {
  const world = await BatchesWorld.open();
  await world.served(async (server) => {
    const before = await ask(server, "/v1/batch/epoch");
    equal(before.body.source, null);
    equal(before.body.tracker_stats.last_processed_epoch, null);
    await world.listener.look();
    deepEqual((await ask(server, "/v1/batch/epoch")).body, {
      current_epoch: 4,
      current_slot: 17,
      batch_number: 2,
      source: "clock",
      lag_seconds: 0,
      tracker_stats: {
        current_epoch: 4,
        current_slot: 17,
        current_batch_number: 2,
        last_processed_epoch: 4,
        batch_factor: 2,
        genesis_time: "1970-01-12T13:46:40Z",
        next_batch_epoch: 6,
      },
    });
    world.clock.advance(24_000);
    equal((await ask(server, "/v1/batch/epoch")).body.lag_seconds, 24);
  });
});

test("GET /v1/batch/current tells the window that is open, and the batch with its blocks", async () => {
  const world = await BatchesWorld.open();
  await world.served(async (server) => {
    const before = (await ask(server, "/v1/batch/current")).body;
    deepEqual([before.batch, before.is_collecting], [null, false]);
    await world.listener.look();
    const block = { ...blockAt(7, 200), crossTransactions: ["xt-1"] };
    await world.sequencer.reportBlock(block);
    const { body } = await ask(server, "/v1/batch/current");
    equal(body.is_collecting, true);
    deepEqual(body.window, {
      batch_number: 2,
      start_epoch: 4,
      end_epoch: 5,
      start_slot: 16,
      end_slot: 23,
      start_time: "1970-01-12T13:49:52Z",
      end_time: "1970-01-12T13:51:28Z",
    });
    const { created_at: created, updated_at: _updated, ...batch } = body.batch;
    equal(created, new Date(slotMs(17)).toISOString());
    deepEqual(batch, {
      id: 2,
      state: "collecting",
      chain_id: 1001,
      start_epoch: 4,
      start_time: "1970-01-12T13:49:52Z",
      start_slot: 16,
      end_slot: 23,
      slot_count: 1,
      blocks: [{
        ...blockBody(block),
        timestamp: "1970-01-12T13:50:00Z",
        included_xtxs: ["xt-1"],
      }],
    });
    // What is told can be sent again.
    const again = await ask(server, "/v1/batch/blocks", { json: batch.blocks });
    deepEqual(again.body.blocks, [{ block_number: 7, outcome: "known" }]);
  });
});

test("GET /v1/batch/stats has the statistics of the seed", async () => {
  const world = await BatchesWorld.open();
  await world.listener.look();
  await world.sequencer.reportBlock(blockAt(7, 200));
  await world.job(5n, "failed");
  await world.served(async (server) => {
    deepEqual((await ask(server, "/v1/batch/stats")).body, {
      last_processed_slot: 16,
      integration_active: true,
      batch_manager: {
        total_batches: 0,
        current_batch_id: 2,
        batches_by_state: { collecting: 1, proving: 0, completed: 0, failed: 0 },
        chain_id: 1001,
        max_batch_size: 8,
        batch_timeout: 130_000,
      },
      pipeline: {
        active_jobs: 0,
        max_concurrent_jobs: 5,
        job_timeout: 1_800_000,
        max_retries: 3,
        jobs_by_stage: { failed: 1 },
      },
    });
  });
});

test("GET /v1/batch/jobs tells stage, state, retries, prover's ids, last error and since when", async () => {
  const world = await BatchesWorld.open();
  await world.job(1n, "completed");
  await world.job(2n, "failed");
  await world.job(3n, "retried");
  await world.job(4n, "asked");
  await world.job(5n);
  await world.served(async (server) => {
    const { body } = await ask(server, "/v1/batch/jobs");
    deepEqual([body.active_jobs, body.max_concurrent_jobs], [3, 5]);
    const facts = body.jobs.map(({ id, stage, state, retries, worker }: Record<string, unknown>) =>
      [id, stage, state, retries, worker].join(" ")
    );
    deepEqual(facts, [
      "1001-1 completed completed 0 ",
      "1001-2 range_proof failed 0 ",
      "1001-3 range_proof waiting 1 ",
      "1001-4 range_proof running 0 worker 3",
      "1001-5 range_proof queued 0 ",
    ]);
    const at = new Date(slotMs(17)).toISOString();
    deepEqual((await ask(server, "/v1/batch/jobs/1001-3")).body, {
      id: "1001-3",
      chain_id: 1001,
      batch_number: 3,
      stage: "range_proof",
      state: "waiting",
      retries: 1,
      since: at,
      next_try_at: new Date(slotMs(17) + 300_000).toISOString(),
      last_error: "Cannot prove: block 5 is poisoned",
      blocks: 4,
      requests: [{
        stage: "range_proof",
        start_block: 13,
        end_block: 16,
        request_id: "range of 1001-3",
        state: "asked",
        failures: 1,
      }],
      created_at: at,
      updated_at: at,
    });
    equal((await ask(server, "/v1/batch/jobs/1001-1")).body.requests[0].state, "proved");
    const missing = await ask(server, "/v1/batch/jobs/1001-99");
    deepEqual([missing.status, missing.body.error.code], [404, "NotFound"]);
  });
});

test("a job says since when it stands at its stage, whatever else is noted of it", async () => {
  const world = await BatchesWorld.open();
  await world.job(1n);
  world.clock.advance(5000);
  const claim = (await world.queue.claim("worker 0", 60_000))!;
  await world.queue.save(claim, claim.job);
  const { stageSinceMs, updatedAtMs } = (await world.queue.get("1001-1"))!;
  deepEqual([stageSinceMs, updatedAtMs], [slotMs(17), slotMs(17) + 5000]);
  await world.queue.save(claim, { ...claim.job, stage: "aggregation" });
  equal((await world.queue.get("1001-1"))!.stageSinceMs, slotMs(17) + 5000);
  await world.journal.close();
});

test("jobs are retried and cancelled, and refused by name where that cannot be", async () => {
  const world = await BatchesWorld.open();
  await world.job(1n, "failed");
  await world.job(2n, "asked");
  await world.served(async (server) => {
    const control = async (path: string) => {
      const { status, body } = await ask(server, `/v1/batch/jobs/${path}`, { method: "POST" });
      return [status, body.error?.code ?? `${body.stage} ${body.state}`];
    };
    deepEqual(await control("1001-1/retry"), [200, "range_proof queued"]);
    deepEqual(await control("1001-1/retry"), [409, "NotAllowed"]);
    deepEqual(await control("1001-2/cancel"), [200, "range_proof cancelled"]);
    equal((await world.queue.get("1001-2"))!.stage, "cancelled");
    deepEqual(await control("1001-2/cancel"), [409, "NotAllowed"]);
    deepEqual(await control("1001-2/retry"), [200, "range_proof queued"]);
    deepEqual(await control("1001-9/retry"), [404, "NotFound"]);
    deepEqual(await control("1001-9/cancel"), [404, "NotFound"]);
  });
});

test("a batch whose window is over is ended by hand, and refused by name where that cannot be", async () => {
  const world = await BatchesWorld.open();
  await world.listener.look();
  world.clock.advance(96_000);
  await world.listener.look();
  await world.served(async (server) => {
    const finalize = async (batch: string) => {
      const { status, body } = await ask(server, `/v1/batch/finalize/${batch}`, { method: "POST" });
      return [status, body.error?.code ?? `${body.batch_number} ${body.outcome}`];
    };
    deepEqual(await finalize("2"), [200, "2 finalized"]);
    equal(world.manager.batch(2n)?.state, "proving");
    deepEqual(await finalize("2"), [409, "WrongState"]);
    deepEqual(await finalize("3"), [409, "WindowOpen"]);
    deepEqual(await finalize("99"), [404, "Unknown"]);
    deepEqual(await finalize("x"), [404, "NotFound"]);
  });
});

test("jobs are not controlled from other machines", async () => {
  const world = await BatchesWorld.open();
  await world.job(1n, "failed");
  await world.served(async (server) => {
    const path = "/v1/batch/jobs/1001-1/retry";
    const local = { name: server.name.replace("0.0.0.0", "127.0.0.1"), close: server.close };
    const { status, body } = await ask(local, path, { method: "POST" });
    deepEqual([status, body.error.code], [403, "Forbidden"]);
    match(body.error.message, /127\.0\.0\.1 or the control socket/);
    equal((await world.queue.get("1001-1"))!.stage, "failed");
    equal((await ask(local, "/v1/batch/finalize/2", { method: "POST" })).status, 403);
    equal((await ask(local, "/v1/batch/jobs")).status, 200);
  }, { address: { host: "0.0.0.0", port: 0 } });
});

const PATHS = [
  ...["current", "stats", "epoch", "jobs", "jobs/1001-1"].map((path) => ["GET", path] as const),
  ...["blocks", "jobs/1001-1/retry", "jobs/1001-1/cancel", "finalize/1"].map((path) =>
    ["POST", path] as const
  ),
];

test("without batches all of them are 503 batch_disabled, and the process is alive and ready", async () => {
  const inactive = await BatchesWorld.open({ enableBatchSync: false });
  await inactive.served(async (off) => {
    const none = await serveBatches({ clock: inactive.clock }, { host: "127.0.0.1", port: 0 });
    for (const server of [off, none]) {
      for (const [method, path] of PATHS) {
        const { status, body } = await ask(server, `/v1/batch/${path}`, { method });
        deepEqual([path, status, body.error.code], [path, 503, "batch_disabled"]);
      }
      equal((await ask(server, "/livez")).status, 200);
      deepEqual((await ask(server, "/readyz")).body, { ready: true, checks: [] });
    }
    equal((await ask(none, "/metrics")).status, 404);
    await none.close();
  });
});

test("other methods and paths are refused by name", async () => {
  const world = await BatchesWorld.open();
  await world.served(async (server) => {
    const all = [
      ...PATHS.map(([method, path]) => [method, `/v1/batch/${path}`] as const),
      ...["/livez", "/readyz", "/metrics"].map((path) => ["GET", path] as const),
    ];
    for (const [allowed, path] of all) {
      for (const method of ["GET", "POST", "PUT", "DELETE"].filter((each) => each !== allowed)) {
        const { status, body, headers } = await ask(server, path, { method });
        deepEqual([path, status, body.error.code], [path, 405, "WrongMethod"]);
        equal(headers.get("allow"), allowed);
      }
    }
    const nowhere = ["/", "//", "/v1", "/v1/batch", "/v1/batch/", "/v1/batch/job", "/health"];
    const deeper = ["/v1/batch/stats/1", "/v1/batch/jobs/1001-1/restart", "/v1/batch/jobs/a%2Fb"];
    for (const path of [...nowhere, ...deeper, `/v1/batch/jobs/${"9".repeat(500)}`]) {
      const { status, body } = await ask(server, path);
      deepEqual([path, status, body.error.code], [path, 404, "NotFound"]);
      ok(body.error.message.length < 500);
    }
    const page = await ask(server, "/livez", { headers: { origin: "https://example.com" } });
    deepEqual([page.status, page.body.error.code], [403, "Forbidden"]);
  });
});
