import { deepStrictEqual as deepEqual, match, strictEqual as equal } from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { controlPath } from "../../src/cli/processor_flags.ts";
import { listen } from "../../src/service/http_server.ts";
import { withDirectory } from "../helpers.ts";
import { BatchesWorld } from "../service/served_batches.ts";
import { failed, run as montana } from "./montana.ts";

/** Serves jobs on the socket of a data directory. */
async function served(
  action: (cwd: string, world: BatchesWorld) => Promise<void>,
): Promise<void> {
  await withDirectory(async (cwd) => {
    const dataDir = join(cwd, "data");
    mkdirSync(dataDir);
    const world = await BatchesWorld.open();
    const address = { path: controlPath(dataDir), mode: 0o600, isOurs: true };
    await world.served(() => action(cwd, world), { address });
  });
}

async function said(args: readonly string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await montana(args, { cwd });
  equal(code, 0, stderr);
  return new TextDecoder().decode(stdout);
}

test("montana proofs ls tells each job, its prover's ids and its last error", async () => {
  await served(async (cwd, world) => {
    const args = ["proofs", "ls", "--data-dir", "data"];
    equal(await said(args, cwd), "0 jobs to do, 5 at once at most\n");
    await world.job(2n, "failed");
    await world.job(3n, "asked");
    await world.job(4n);
    const at = new Date(world.clock.now()).toISOString();
    deepEqual((await said(args, cwd)).split("\n").map((line) => line.replace(/ +/g, " ").trim()), [
      "job batch stage state retries since prover's ids",
      `1001-2 2 range_proof failed 0 ${at} range of 1001-2`,
      "Cannot prove: block 5 is poisoned",
      `1001-3 3 range_proof running 0 ${at} range of 1001-3`,
      `1001-4 4 range_proof queued 0 ${at} -`,
      "2 jobs to do, 5 at once at most",
      "",
    ]);
    const { jobs } = JSON.parse(await said([...args, "--json"], cwd));
    deepEqual(jobs.map(({ id, state }: Record<string, string>) => `${id} ${state}`), [
      "1001-2 failed",
      "1001-3 running",
      "1001-4 queued",
    ]);
  });
});

test("montana proofs show tells all of a job", async () => {
  await served(async (cwd, world) => {
    await world.job(3n, "retried");
    const text = await said(["proofs", "show", "1001-3", "--data-dir", "data"], cwd);
    for (
      const line of [
        /^batch +3 of chain 1001, 4 blocks$/m,
        /^state +waiting$/m,
        /^retries +1$/m,
        /^next try +\d{4}-/m,
        /^last error +Cannot prove: block 5 is poisoned$/m,
        /^range_proof +13-16 +asked +1 +range of 1001-3$/m,
      ]
    ) match(text, line);
    const json = ["proofs", "show", "1001-3", "--data-dir", "data", "--json"];
    equal(JSON.parse(await said(json, cwd)).state, "waiting");
  });
});

test("montana proofs retry and cancel do so, and say where that cannot be", async () => {
  await served(async (cwd, world) => {
    await world.job(2n, "failed");
    const control = (action: string, id: string) =>
      montana(["proofs", action, id, "--data-dir", "data"], { cwd });
    const where = ["--data-dir", "data"];
    equal(
      await said(["proofs", "retry", "1001-2", ...where], cwd),
      "proof job 1001-2 is taken up again at range_proof\n",
    );
    equal((await world.queue.get("1001-2"))!.stage, "range_proof");
    failed(await control("retry", "1001-2"), 1, /NotAllowed: .* only a failed or cancelled job/);
    const cancelled = await said(["proofs", "cancel", "1001-2", ...where, "--json"], cwd);
    equal(JSON.parse(cancelled).state, "cancelled");
    equal((await world.queue.get("1001-2"))!.stage, "cancelled");
    failed(await control("cancel", "1001-9"), 1, /NotFound: Cannot find job 1001-9/);
    failed(await control("show", "1001-9"), 1, /NotFound: Cannot find job 1001-9/);
    failed(
      await control("show", "1001/9"),
      2,
      /Cannot find job "1001\/9": a job is named CHAIN-BATCH/,
    );
  });
});

test("montana proofs finalize ends a batch that waits, and says where that cannot be", async () => {
  await served(async (cwd, world) => {
    await world.listener.look();
    world.clock.advance(96_000);
    await world.listener.look();
    const finalize = (batch: string) => ["proofs", "finalize", batch, "--data-dir", "data"];
    equal(await said(finalize("2"), cwd), "batch 2 is whole, and is proved as it is\n");
    equal(world.manager.batch(2n)?.state, "proving");
    failed(await montana(finalize("3"), { cwd }), 75, /WindowOpen: Cannot end batch 3 now/);
    failed(await montana(finalize("99"), { cwd }), 1, /Unknown: Cannot find batch 99/);
    failed(await montana(finalize("1001-2"), { cwd }), 2, /batch "1001-2": need its number/);
  });
});

test("montana proofs asks a URL as well", async () => {
  await withDirectory(async (cwd) => {
    const world = await BatchesWorld.open();
    await world.job(2n, "failed");
    await world.served(async ({ name }) => {
      match(await said(["proofs", "ls", "--url", name], cwd), /1001-2 .*failed/);
      await said(["proofs", "retry", "1001-2", "--url", `${name}/`], cwd);
      equal((await world.queue.get("1001-2"))!.stage, "range_proof");
    });
  });
});

test("montana proofs says where nobody runs, and where another program does", async () => {
  await withDirectory(async (cwd) => {
    const ls = (...args: string[]) => montana(["proofs", "ls", ...args], { cwd });
    failed(await ls(), 2, /Cannot use --data-dir \.\/superblock: there is no such/);
    failed(await ls("--data-dir", ".", "--url", "http://here"), 2, /need either/);
    failed(await ls("--data-dir", "nowhere"), 2, /Cannot use --data-dir nowhere/);
    failed(await ls("--data-dir", "."), 75, /no montana superblock runs there/);
    failed(await ls("--url", "ftp://here"), 78, /--url/);
    const other = await listen(
      { host: "127.0.0.1", port: 0 },
      () => Promise.resolve({ status: 404, body: { message: "no" } }),
    );
    const text = await listen(
      { host: "127.0.0.1", port: 0 },
      () => Promise.resolve({ status: 200, body: {}, text: "<html>" }),
    );
    const port = new URL(other.name).port;
    failed(await ls("--url", other.name), 1, /no montana superblock answers there, but another/);
    failed(await ls("--url", text.name), 1, /no montana superblock answers there, it is no JSON/);
    await other.close();
    await text.close();
    const { stderr, code } = await ls("--url", `http://user:secret@127.0.0.1:${port}/key`);
    equal(code, 75, stderr);
    match(stderr, new RegExp(`Cannot ask the montana superblock at 127\\.0\\.0\\.1:${port}: `));
  });
});

test("where batches are disabled, montana proofs says so", async () => {
  await withDirectory(async (cwd) => {
    const world = await BatchesWorld.open({ enableBatchSync: false });
    await world.served(async ({ name }) => {
      const outcome = await montana(["proofs", "ls", "--url", name], { cwd });
      failed(outcome, 1, /batch_disabled: Cannot tell of batches/);
    });
  });
});
