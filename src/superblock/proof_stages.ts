/**
 * The stages of one proof job, each from whatever the log knows of it: what was asked is polled, what was
 * proved is not asked again.
 *
 * @module
 */
import { jobId } from "../job_table.ts";
import {
  type AggregationOutputs,
  type ProofJob,
  type ProofStatus,
  ProvingError,
  type Superblock,
} from "../proving.ts";
import { proveRanges } from "./range_stage.ts";
import { proofFailure, type StageRun, WaitsForBatch } from "./stage_run.ts";
import { firstParent, superblockBlocks } from "./superblocks.ts";

/** Works until the stage is done, and the job stands at the next, or is to be completed. */
export async function runStage(run: StageRun): Promise<void> {
  switch (run.job.stage) {
    case "range_proof":
      if (!run.isEmpty) await proveRanges(run);
      return await run.save({ ...run.job, stage: run.isEmpty ? "network_agg" : "aggregation" });
    case "aggregation":
      return await aggregate(run);
    case "network_agg":
      return await aggregateNetwork(run);
    default:
      return await submit(run);
  }
}

async function aggregate(run: StageRun): Promise<void> {
  const { prover } = run.parts;
  if (!run.job.outputs) await run.save({ ...run.job, outputs: await outputsOf(run) });
  const proofs = run.job.ranges.map(({ proof }) => proof!);
  const { l1Head } = run.job.outputs!;
  await prove(
    run,
    "aggregation",
    () => prover.requestAggregation(proofs, l1Head, run.signal),
    (id) => prover.status(id, run.signal),
  );
  // They are in the aggregation now.
  const ranges = run.job.ranges.map(({ proof: _, ...range }) => range);
  await run.save({ ...run.job, ranges, stage: "network_agg" });
}

async function aggregateNetwork(run: StageRun): Promise<void> {
  const { networkProver, rollup } = run.parts;
  const { batch } = run.job;
  const { batchNumber, lastSlot, endsAt } = batch.window;
  const before = await jobBefore(run);
  if (before && !before.superblock) {
    throw new WaitsForBatch(`batch ${batchNumber - 1n} has no superblock yet`);
  }
  const parent = before?.superblock ?? await firstParent(batch.window, networkProver);
  if (!run.job.superblock) {
    const superblock = await networkProver.seal({
      number: batchNumber,
      slot: lastSlot,
      parentHash: parent?.hash ?? new Uint8Array(32),
      timestamp: endsAt,
    }, superblockBlocks(batch));
    await run.save({ ...run.job, superblock });
  }
  const next: Superblock = run.job.superblock!;
  // Batch 0 follows nothing.
  if (parent && !(run.isEmpty && run.config.emptyBatches === "skip")) {
    const { outputs, aggregation } = run.job;
    await prove(
      run,
      "network",
      () =>
        networkProver.request({
          previous: parent,
          next,
          chainId: batch.chainId,
          aggregationVKey: rollup.aggregationVKey,
          ...(before?.outputs && { previousOutputs: before.outputs }),
          ...(outputs && { outputs }),
          ...(aggregation?.proof && { aggregationProof: aggregation.proof }),
        }, run.signal),
      (id) => networkProver.status(id, run.signal),
    );
  }
  await run.save({ ...run.job, stage: "submission" });
}

async function submit(run: StageRun): Promise<void> {
  const { batch, superblock, outputs, aggregation } = run.job;
  const before = await jobBefore(run);
  if (before && before.stage !== "completed") {
    throw new WaitsForBatch(`batch ${batch.window.batchNumber - 1n} is not accepted yet`);
  }
  // A chain that has no blocks has no proof to hand in.
  if (run.isEmpty) return;
  const { publisher, rollup } = run.parts;
  const { hash, number } = superblock!;
  const isThere = () => publisher.hasReceived(hash, batch.chainId, run.signal);
  if (run.job.isSubmitting && await isThere()) return;
  await run.save({ ...run.job, isSubmitting: true });
  try {
    await publisher.submit({
      superblockNumber: number,
      superblockHash: hash,
      chainId: batch.chainId,
      startBlock: run.job.ranges[0]!.start,
      outputs: outputs!,
      aggregationVKey: rollup.aggregationVKey,
      proof: aggregation!.proof!,
      ...(aggregation!.isExecutionCheck && { isExecutionCheck: true }),
    }, run.signal);
  } catch (error) {
    // It may be refused because it is there.
    const isRefused = error instanceof ProvingError && error.code === "Refused";
    if (!isRefused || !await isThere()) throw error;
  }
}

/** Asks for a proof unless that was done, and polls until it is there. */
async function prove(
  run: StageRun,
  field: "aggregation" | "network",
  request: () => Promise<string>,
  status: (requestId: string) => Promise<ProofStatus>,
): Promise<void> {
  while (!run.job[field]?.proof) {
    let requestId = run.job[field]?.requestId;
    if (requestId === undefined) {
      requestId = await request();
      await run.save({ ...run.job, [field]: { requestId } });
    }
    const answer = await run.status(status(requestId));
    if (answer.state === "proved") {
      const { proof, isExecutionCheck } = answer;
      const proved = { requestId, proof, ...(isExecutionCheck && { isExecutionCheck }) };
      await run.save({ ...run.job, [field]: proved });
      return;
    }
    if (answer.state !== "pending") await run.save({ ...run.job, [field]: undefined });
    if (answer.state === "unknown") run.forgotten(requestId);
    if (answer.state === "failed" || answer.state === "unprovable") {
      throw proofFailure(run.job, answer);
    }
    await run.pause();
  }
}

async function outputsOf(run: StageRun): Promise<AggregationOutputs> {
  const { outputs, rollup } = run.parts;
  const [start, end] = [run.job.ranges[0]!.start, run.job.ranges.at(-1)!.end];
  return {
    l1Head: await outputs.l1Head(),
    l2PreRoot: await outputs.outputRoot(start),
    l2PostRoot: await outputs.outputRoot(end),
    l2BlockNumber: end,
    rollupConfigHash: rollup.rollupConfigHash,
    multiBlockVKey: rollup.multiBlockVKey,
    proverAddress: rollup.proverAddress,
  };
}

/** The job of the batch before; none where this one is the first of its chain. */
async function jobBefore(run: StageRun): Promise<ProofJob | undefined> {
  const { batch } = run.job;
  const { batchNumber } = batch.window;
  const older = (await run.parts.queue.list()).filter((each) =>
    each.batch.chainId === batch.chainId && each.batch.window.batchNumber < batchNumber
  );
  const newest = older.at(-1);
  if (!newest || newest.batch.window.batchNumber === batchNumber - 1n) return newest;
  throw new ProvingError(
    "Unprovable",
    `Cannot prove batch ${batchNumber} of chain ${batch.chainId}: batch ${
      batchNumber - 1n
    } was never ` +
      `handed in, the newest before is job ${jobId(newest.batch)}. Hand it in, then retry`,
    { details: { batch: batchNumber, newest: newest.id } },
  );
}
