import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withDirectory } from "../helpers.ts";
import { OpSuccinctServer } from "../provers/servers.ts";
import { failed, run as montana, type Running, start } from "./montana.ts";

/** Nobody listens there. */
const NOWHERE = "http://127.0.0.1:9";
const UNEXECUTABLE = { fulfillment_status: 4, execution_status: 3, proof: [] };
const HASH = `0x${"12".repeat(32)}`;

/** Windows of four seconds, and a prover at `prover`. */
function flags(prover: string, genesis: number): string[] {
  const settings = {
    "batch_manager.chain_id": 1001,
    "batch_manager.late_block_grace": "1s",
    "batch_manager.max_batch_size": 8,
    "l1_listener.l1_rpc": NOWHERE,
    "l1_listener.genesis_time": genesis,
    "l1_listener.slot_duration": "1s",
    "l1_listener.slots_per_epoch": 4,
    "l1_listener.batch_factor": 1,
    "l1_listener.poll_interval": "50ms",
    "pipeline.retry_delay": "1h",
  };
  return [
    ...["--data-dir", "data", "--listen", "0", "--preset", "test", "--proof-poll", "10ms"],
    ...Object.entries(settings).flatMap(([key, value]) => ["--set", `${key}=${value}`]),
    ...["--prover", prover, "--superblock-prover", NOWHERE, "--publisher", NOWHERE],
    ...["--rollup-node", NOWHERE, "--rollup-config-hash", HASH, "--multi-block-vkey", HASH],
    ...["--prover-address", `0x${"34".repeat(20)}`, "--aggregation-vkey", "vkey.json"],
  ];
}

async function listening(running: Running): Promise<string> {
  await running.untilSaid("listening on");
  return /listening on (http:\S+)/.exec(running.stderr)![1]!;
}

interface Job {
  readonly id: string;
  readonly stage: string;
  readonly state: string;
  readonly last_error?: string;
  readonly requests: readonly { readonly stage: string; readonly state: string }[];
}

/** Of the coordinator that runs in `cwd`, without those of empty batches. */
async function jobsIn(cwd: string): Promise<Job[]> {
  const { code, stdout, stderr } = await montana(["proofs", "ls", "--data-dir", "data", "--json"], {
    cwd,
  });
  equal(code, 0, stderr);
  const { jobs } = JSON.parse(new TextDecoder().decode(stdout));
  return jobs.filter(({ blocks }: { blocks: number }) => blocks > 0);
}

test("a job that failed is told, outlives kill -9, and goes on where a person retries it", async () => {
  const prover = new OpSuccinctServer();
  const { statuses } = prover;
  prover.statuses = [UNEXECUTABLE];
  const url = await prover.listen();
  await withDirectory(async (cwd) => {
    writeFileSync(join(cwd, "vkey.json"), "{}");
    const args = ["superblock", ...flags(url, Math.floor(Date.now() / 1000) - 1000)];
    let id = "";
    {
      await using first = start(args, { cwd });
      const service = await listening(first);
      await first.until("ready", async () => (await fetch(`${service}/readyz`)).status === 200);
      const timestamp = Math.floor(Date.now() / 1000);
      const blocks = [6, 7].map((number) => ({
        block_number: number,
        block_hash: `0x${`0${number}`.repeat(32)}`,
        timestamp,
        tx_count: 1,
      }));
      const posted = await fetch(`${service}/v1/batch/blocks`, {
        method: "POST",
        body: JSON.stringify(blocks),
        headers: { "content-type": "application/json" },
      });
      deepEqual((await posted.json()).blocks.map(({ outcome }: { outcome: string }) => outcome), [
        "added",
        "added",
      ]);
      await first.untilSaid(/proof job \S+ failed, and waits for `montana proofs retry \S+`/);
      id = /montana proofs retry (\S+)`/.exec(first.stderr)![1]!;
      match(
        await (await fetch(`${service}/metrics`)).text(),
        /^montana_proof_ranges_split_total 1$/m,
      );
      first.send("SIGKILL");
      await first.ended;
    }
    const nobody = await montana(["proofs", "ls", "--data-dir", "data"], { cwd });
    failed(nobody, 75, /no montana superblock runs there/);

    await using second = start(args, { cwd });
    await listening(second);
    const [job] = await jobsIn(cwd);
    deepEqual([job!.id, job!.stage, job!.state], [id, "range_proof", "failed"]);
    match(job!.last_error!, /the prover cannot execute it/);
    prover.statuses = statuses;
    const retried = await montana(["proofs", "retry", id, "--data-dir", "data"], { cwd });
    equal(
      new TextDecoder().decode(retried.stdout),
      `proof job ${id} is taken up again at range_proof\n`,
    );
    // Its ranges are proved now; what the aggregation commits to, nobody tells here.
    await second.untilSaid(`proof job ${id} tries its aggregation again`);
    const [waiting] = await jobsIn(cwd);
    deepEqual([waiting!.stage, waiting!.state], ["aggregation", "waiting"]);
    deepEqual(waiting!.requests.map(({ state }) => state), ["proved", "proved"]);
    const cancelled = await montana(["proofs", "cancel", id, "--data-dir", "data"], { cwd });
    equal(
      new TextDecoder().decode(cancelled.stdout),
      `proof job ${id} is cancelled at aggregation\n`,
    );
    await second.untilSaid(`proof job ${id} was cancelled by hand`);
    second.send("SIGTERM");
    equal((await second.ended).code, 0);
  }).finally(() => prover.close());
});

const PLAIN = ["superblock", "--data-dir", "data", "--preset", "test"];
const CHAIN = ["--set", "batch_manager.chain_id=1001"];

test("a port for other machines takes blocks and shows jobs; the socket is for its owner alone", async () => {
  await withDirectory(async (cwd) => {
    await using running = start([...PLAIN, ...CHAIN, "--listen", "0.0.0.0:0"], { cwd });
    const port = new URL(await listening(running)).port;
    const url = `http://127.0.0.1:${port}`;
    await running.until("ready", async () => (await fetch(`${url}/readyz`)).status === 200);
    equal(statSync(join(cwd, "data", "control.sock")).mode & 0o777, 0o600);
    const asked = (path: string, method = "GET") =>
      fetch(`${url}/v1/batch/${path}`, { method }).then((response) => response.json());
    const { tracker_stats: tracker } = await asked("epoch");
    equal(tracker.genesis_time, "2020-12-01T12:00:23Z");
    const { batch, window, is_collecting: isCollecting } = await asked("current");
    deepEqual([batch.id, isCollecting], [window.batch_number, true]);
    equal((await asked("stats")).batch_manager.chain_id, 1001);
    deepEqual((await asked("jobs")).jobs, []);
    equal((await asked("jobs/1001-1/retry", "POST")).error.code, "Forbidden");
    const cancelled = await montana(["proofs", "cancel", "1001-1", "--url", url], { cwd });
    failed(cancelled, 1, /Forbidden: .* over 127\.0\.0\.1 or the control socket/);
    const onSocket = await montana(["proofs", "cancel", "1001-1", "--data-dir", "data"], { cwd });
    failed(onSocket, 1, /NotFound: Cannot find job 1001-1/);
  });
});

test("where batches are not enabled, the service says so and lives", async () => {
  await withDirectory(async (cwd) => {
    const off = ["--set", "enabled=false", "--listen", "0"];
    await using running = start([...PLAIN, ...CHAIN, ...off], { cwd });
    const url = await listening(running);
    const { status } = await fetch(`${url}/v1/batch/current`);
    equal(status, 503);
    equal((await fetch(`${url}/livez`)).status, 200);
    match(await (await fetch(`${url}/metrics`)).text(), /^montana_build_info\{/m);
    const ls = await montana(["proofs", "ls", "--data-dir", "data"], { cwd });
    failed(ls, 1, /batch_disabled/);
  });
});
