import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { OutputRoots } from "../../src/l2/output_roots.ts";
import { MemoryJobQueue } from "../../src/local/memory_job_queue.ts";
import { OpSuccinctProver } from "../../src/provers/op_succinct.ts";
import { RangeChecker } from "../../src/provers/range_check.ts";
import { L2OutputSource } from "../../src/provers/rpc_outputs.ts";
import { SharedPublisher } from "../../src/provers/shared_publisher.ts";
import { SuperblockProver } from "../../src/provers/superblock_prover.ts";
import type { OutputSource } from "../../src/proving.ts";
import { systemClock as clock, systemRandom as random } from "../../src/runtime.ts";
import { serveExecuteProver } from "../../src/service/prover_api.ts";
import { ProofPipeline } from "../../src/superblock/proof_pipeline.ts";
import type { ProvableBatch } from "../../src/superblock.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { Events, noise } from "../helpers.ts";
import { skipWithoutAnvil, startAnvil } from "../l1/anvil.ts";
import { CHAIN_ID, windowOf } from "../superblock/batches.ts";

const skip = skipWithoutAnvil("a pipeline with nothing but montana prover");

/** Runs a pipeline on blocks of anvil until a job has ended; nobody else is needed. */
async function prove(
  batches: readonly (readonly [batch: bigint, first: number, last: number])[],
  change: (outputs: OutputSource) => OutputSource = (outputs) => outputs,
) {
  await using anvil = await startAnvil({ noMining: true, chainId: Number(CHAIN_ID) });
  await anvil.mine(12);
  const rpc = new HttpJsonRpc({ url: anvil.url, clock });
  const ranges = new RangeChecker({ endpoints: [rpc], clock, random });
  const publisher = { requiredChainIds: [CHAIN_ID] };
  const server = await serveExecuteProver({ clock, ranges, publisher }, {
    host: "127.0.0.1",
    port: 0,
  });
  try {
    const { name: url } = server;
    const events = new Events();
    const queue = new MemoryJobQueue(clock);
    const roots = new L2OutputSource({ roots: new OutputRoots({ l2: rpc }), l1: rpc });
    const pipeline = new ProofPipeline({
      queue,
      prover: new OpSuccinctProver({ url, clock, acceptsExecutionChecks: true }),
      networkProver: new SuperblockProver({ url, clock, proofType: "execute" }),
      publisher: new SharedPublisher({ url, clock }),
      outputs: change(roots),
      rollup: {
        rollupConfigHash: noise(32, 1),
        multiBlockVKey: noise(32, 2),
        proverAddress: noise(20, 3),
        aggregationVKey: {},
      },
      clock,
      log: events.log,
    }, { pollIntervalMs: 5, retryDelayMs: 5, maxRetries: 1 });
    for (const [number, first, last] of batches) {
      await pipeline.enqueue(await batchOf(rpc, number, first, last));
    }
    const end = new AbortController();
    const running = pipeline.run(end.signal);
    const isOver = async () => {
      const jobs = await queue.list();
      return jobs.every(({ stage }) => stage === "completed") ||
        jobs.some(({ stage }) => stage === "failed");
    };
    while (!await isOver()) await clock.sleep(5);
    end.abort();
    await running;
    const jobs = await queue.list();
    const hashes = jobs.flatMap(({ superblock }) => superblock ? [toHex(superblock.hash)] : []);
    const statuses = await Promise.all(
      hashes.map(async (hash) => await (await fetch(`${url}/v1/proofs/status/${hash}`)).json()),
    );
    return { jobs, events, statuses };
  } finally {
    await server.close();
  }
}

/** Blocks of a node as a batch. */
async function batchOf(
  rpc: HttpJsonRpc,
  batchNumber: bigint,
  first: number,
  last: number,
): Promise<ProvableBatch> {
  const window = windowOf(batchNumber);
  const blocks = await Promise.all(
    Array.from({ length: last - first + 1 }, async (_, at) => {
      const tag = `0x${(first + at).toString(16)}`;
      const block = await rpc.request("eth_getBlockByNumber", [tag, false]);
      const { hash, parentHash } = block as Record<string, string>;
      return {
        slot: window.firstSlot + BigInt(at),
        number: BigInt(first + at),
        hash: fromHex(hash, "hash", 32),
        parentHash: fromHex(parentHash, "parentHash", 32),
        timestamp: window.startsAt + 12n * BigInt(at),
        transactions: 0,
      };
    }),
  );
  return { chainId: CHAIN_ID, window, blocks };
}

test(
  "Blocks of an L2 go to the publisher with nothing but montana prover, each stage marked",
  { skip },
  async () => {
    const { jobs, events, statuses } = await prove([[3n, 3, 7], [4n, 8, 11]]);
    deepEqual(jobs.map(({ id, stage }) => [id, stage]), [
      ["1001-3", "completed"],
      ["1001-4", "completed"],
    ]);
    deepEqual(statuses.map(({ state, superblock_number }) => [state, superblock_number]), [
      ["queued", 3],
      ["queued", 4],
    ]);
    const checks = events.of("stage_completed").filter(({ isExecutionCheck }) => isExecutionCheck);
    for (const stage of ["range_proof", "aggregation", "network_agg"]) {
      equal(checks.filter((each) => each.stage === stage).length, 2, stage);
    }
    equal(events.of("job_retry").length, 0);
  },
);

test(
  "Outputs that are not those of the blocks are found by the network aggregation",
  { skip },
  async () => {
    const { jobs } = await prove([[3n, 3, 7]], (outputs) => ({
      l1Head: () => outputs.l1Head(),
      outputRoot: (number) =>
        number === 7n ? Promise.resolve(noise(32, 9)) : outputs.outputRoot(number),
    }));
    const [job] = jobs;
    equal(job!.stage, "failed");
    equal(job!.endedStage, "network_agg");
    equal(
      /outputs = what was aggregated: l2PostRoot of chain 1001/.test(job!.error!),
      true,
      job!.error,
    );
  },
);
