import { deepStrictEqual as deepEqual, rejects, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { MemoryJobQueue } from "../../src/local/memory_job_queue.ts";
import { OpSuccinctProver } from "../../src/provers/op_succinct.ts";
import { SharedPublisher } from "../../src/provers/shared_publisher.ts";
import { SuperblockProver } from "../../src/provers/superblock_prover.ts";
import type { NetworkProofInput, ProofSubmission } from "../../src/proving.ts";
import { systemClock as clock } from "../../src/runtime.ts";
import { ProofPipeline } from "../../src/superblock/proof_pipeline.ts";
import { noise } from "../helpers.ts";
import { batchOf, CHAIN_ID } from "../superblock/batches.ts";
import { OUTPUTS } from "../superblock/proof_world.ts";
import { OpSuccinctServer, PublisherServer, SuperblockProverServer } from "./servers.ts";

interface Servers {
  readonly succinct: OpSuccinctServer;
  readonly network: SuperblockProverServer;
  readonly collector: PublisherServer;
  readonly prover: OpSuccinctProver;
  readonly networkProver: SuperblockProver;
  readonly publisher: SharedPublisher;
}

function serverTest(name: string, check: (servers: Servers) => Promise<void>): void {
  test(name, async () => {
    const succinct = new OpSuccinctServer();
    const network = new SuperblockProverServer();
    const collector = new PublisherServer();
    try {
      const options = { clock, timeoutMs: 200 };
      await check({
        succinct,
        network,
        collector,
        prover: new OpSuccinctProver({ ...options, url: await succinct.listen() }),
        networkProver: new SuperblockProver({ ...options, url: await network.listen() }),
        publisher: new SharedPublisher({ ...options, url: `${await collector.listen()}/` }),
      });
    } finally {
      await Promise.all([succinct, network, collector].map((server) => server.close()));
    }
  });
}

const SUBMISSION: ProofSubmission = {
  superblockNumber: 5n,
  superblockHash: noise(32, 1),
  chainId: CHAIN_ID,
  startBlock: 20n,
  outputs: {
    l1Head: noise(32, 2),
    l2PreRoot: noise(32, 3),
    l2PostRoot: noise(32, 4),
    l2BlockNumber: 24n,
    rollupConfigHash: noise(32, 5),
    multiBlockVKey: noise(32, 6),
    proverAddress: noise(20, 7),
  },
  aggregationVKey: { vkey: "0x01" },
  proof: Uint8Array.of(1, 2, 3),
};

async function networkInput(prover: SuperblockProver): Promise<NetworkProofInput> {
  const header = { number: 4n, slot: 1599n, timestamp: 19200n, parentHash: new Uint8Array(32) };
  const previous = await prover.seal(header, []);
  const next = await prover.seal({ ...header, number: 5n, parentHash: previous.hash }, []);
  return { previous, next, chainId: CHAIN_ID, aggregationVKey: {}, outputs: SUBMISSION.outputs };
}

serverTest("op-succinct: a range and an aggregation, field by field", async (servers) => {
  const { succinct, prover } = servers;
  const id = await prover.requestRange({ start: 4n, end: 8n });
  deepEqual(succinct.calls[0], {
    method: "POST",
    path: "/request_span_proof",
    body: { start: 4, end: 8 },
  });
  deepEqual(await prover.status(id), { state: "pending" });
  deepEqual(await prover.status(id), { state: "pending" });
  const proved = { state: "proved", proof: Uint8Array.of(1, 2, 3) };
  // Twice the same, since answers may come twice.
  deepEqual(await prover.status(id), proved);
  deepEqual(await prover.status(id), proved);
  await prover.requestAggregation([Uint8Array.of(1, 2, 3)], new Uint8Array(32).fill(1));
  deepEqual(succinct.calls.at(-1)!.body, { subproofs: ["AQID"], head: `0x${"01".repeat(32)}` });
});

serverTest("op-succinct: unfulfillable has failed, unexecutable is unprovable", async (servers) => {
  const { succinct, prover } = servers;
  const id = await prover.requestRange({ start: 4n, end: 8n });
  succinct.statuses = [{ fulfillment_status: 4, execution_status: 2, proof: [] }];
  equal((await prover.status(id)).state, "failed");
  succinct.statuses = [{ fulfillment_status: 4, execution_status: 3, proof: [] }];
  equal((await prover.status(id)).state, "unprovable");
  succinct.statuses = [{ fulfillment_status: 0, execution_status: 0, proof: [] }];
  equal((await prover.status(id)).state, "unknown");
  succinct.statuses = [{ fulfillment_status: 3, execution_status: 2, proof: [] }];
  await rejects(prover.status(id), { code: "Invalid", message: /proof is empty/ });
  succinct.forget();
  deepEqual(await prover.status(id), { state: "unknown" });
});

serverTest("defect 6: superblock-prover's success:false is an unknown id", async (servers) => {
  const { network, networkProver } = servers;
  const id = await networkProver.request(await networkInput(networkProver));
  deepEqual(await networkProver.status(id), { state: "pending" });
  deepEqual(await networkProver.status(id), { state: "pending" });
  deepEqual(await networkProver.status(id), { state: "proved", proof: Uint8Array.of(9, 8, 7) });
  network.outcome = { status: "failed", error: "out of memory" };
  deepEqual(await networkProver.status(id), { state: "failed", reason: "out of memory" });
  network.forget();
  deepEqual(await networkProver.status(id), { state: "unknown" });
});

serverTest("superblock-prover: hashes travel as arrays of numbers", async (servers) => {
  const { network, networkProver } = servers;
  const input = await networkInput(networkProver);
  await networkProver.request(input);
  const { prev_superblock, new_superblock, proof_type, input: batches } = network.calls[0]!
    .body as Record<string, Record<string, unknown>>;
  equal(proof_type as unknown, "groth16");
  deepEqual(prev_superblock!.hash, [...input.previous.hash]);
  deepEqual(new_superblock!.parent_hash, [...input.previous.hash]);
  const { superblock_number, rollup_st } = batches!.new_batch as Record<string, unknown[]>;
  equal(superblock_number as unknown, 5);
  deepEqual((rollup_st![0] as { l2_block_number: number[] }).l2_block_number.slice(-2), [0, 24]);
});

serverTest(
  "a completed job without a proof is none, unless an execution was asked for",
  async (servers) => {
    const { network, networkProver } = servers;
    network.outcome = { status: "completed", result: { proof: null, cycles: 1 } };
    const id = await networkProver.request(await networkInput(networkProver));
    for (let poll = 0; poll < 2; poll++) await networkProver.status(id);
    await rejects(networkProver.status(id), { code: "Invalid", message: /without a proof/ });
  },
);

serverTest("Shared Publisher: accepted, known, and refused by its own name", async (servers) => {
  const { collector, publisher } = servers;
  equal(await publisher.hasReceived(SUBMISSION.superblockHash, CHAIN_ID), false);
  await publisher.submit(SUBMISSION);
  await publisher.submit(SUBMISSION);
  equal(await publisher.hasReceived(SUBMISSION.superblockHash, CHAIN_ID), true);
  equal(await publisher.hasReceived(SUBMISSION.superblockHash, 7n), false);
  equal(collector.received.size, 1);
  const wrong = [
    [{ ...SUBMISSION, superblockHash: new Uint8Array(32) }, /invalid_superblock_hash/],
    [{ ...SUBMISSION, startBlock: 25n }, /invalid_l2_start_block/],
    [{ ...SUBMISSION, aggregationVKey: undefined }, /missing_agg_vk/],
    [{ ...SUBMISSION, chainId: 2n ** 32n }, /32 bits/],
  ] as const;
  for (const [submission, message] of wrong) {
    await rejects(publisher.submit(submission), { code: "Refused", kind: "critical", message });
  }
});

serverTest(
  "5xx, silence and nonsense may change; what shows of a URL is its host",
  async (servers) => {
    const { succinct, prover } = servers;
    succinct.fault = () => ({ status: 503, text: "busy" });
    await rejects(prover.status("00"), { code: "Unreachable", kind: "temporary", message: /503/ });
    succinct.fault = () => "hang";
    await rejects(prover.status("00"), { code: "Unreachable", message: /within 200 ms/ });
    succinct.fault = () => ({ status: 200, text: "<html>" });
    await rejects(prover.status("00"), { code: "Invalid", kind: "temporary" });
    succinct.fault = () => ({ status: 200, json: [] });
    await rejects(prover.requestRange({ start: 0n, end: 1n }), { code: "Invalid" });
    const secret = new OpSuccinctProver({ url: "http://me:hush@127.0.0.1:1/topsecret", clock });
    const error = await secret.requestRange({ start: 0n, end: 1n }).catch((error) => error);
    equal(error.code, "Unreachable");
    equal(/hush|topsecret/.test(error.message), false);
  },
);

serverTest("the pipeline over HTTP, through faults of each server", async (servers) => {
  const { succinct, network, collector, prover, networkProver, publisher } = servers;
  const every = (times: number) => (_: unknown, at: number) =>
    at % times === 0 ? { status: 500, text: "" } : undefined;
  succinct.fault = every(4);
  network.fault = every(3);
  // Taken, and not answered.
  collector.fault = (call, at) => at === 1 ? (collector.answer(call), "hang") : undefined;
  const queue = new MemoryJobQueue(clock);
  const hash = noise(32, 1);
  const pipeline = new ProofPipeline({
    queue,
    prover,
    networkProver,
    publisher,
    outputs: OUTPUTS,
    rollup: {
      rollupConfigHash: hash,
      multiBlockVKey: hash,
      proverAddress: noise(20, 1),
      aggregationVKey: {},
    },
    clock,
  }, { pollIntervalMs: 5, retryDelayMs: 5, maxRetries: 100 });
  for (const number of [1n, 2n, 3n]) await pipeline.enqueue(batchOf(number));
  const end = new AbortController();
  const running = pipeline.run(end.signal);
  let forgotten = false;
  while ((await queue.get("1001-3"))!.stage !== "completed") {
    await clock.sleep(5);
    if (!forgotten && network.calls.length > 0) network.forget();
    forgotten ||= network.calls.length > 0;
    const failed = (await queue.list()).find(({ stage }) => stage === "failed");
    equal(failed?.error, undefined);
  }
  end.abort();
  await running;
  equal(collector.received.size, 3);
});
