/**
 * Range proofs: blocks are proved as one range, and in halves where that cannot be (op-succinct does the
 * same: a range that was given up three times, or cannot be executed, is split).
 *
 * @module
 */
import type { RangeWork } from "../proving.ts";
import { proofFailure, type StageRun } from "./stage_run.ts";
import { provenRange } from "./superblocks.ts";

/** Times that a prover may give up on a range before it is split. */
const FAILURES_BEFORE_SPLIT = 3;

/** Works until each range of the job has its proof. */
export async function proveRanges(run: StageRun): Promise<void> {
  if (run.job.ranges.length === 0) {
    const whole = provenRange(run.job.batch, await provenUpTo(run))!;
    await run.save({ ...run.job, ranges: [{ ...whole, failures: 0 }] });
  }
  for (;;) {
    for (const range of run.job.ranges) await ask(run, range);
    for (const range of run.job.ranges) await look(run, range);
    if (run.job.ranges.every(({ proof }) => proof)) return;
    await run.pause();
  }
}

/** The last block of the batches before this one, where any has blocks. */
async function provenUpTo({ job: { batch }, parts }: StageRun): Promise<bigint | undefined> {
  const jobs = await parts.queue.list();
  const before = jobs.findLast((each) =>
    each.batch.chainId === batch.chainId &&
    each.batch.window.batchNumber < batch.window.batchNumber &&
    each.batch.blocks.length > 0
  );
  return before?.batch.blocks.at(-1)?.number;
}

async function ask(run: StageRun, range: RangeWork): Promise<void> {
  if (range.proof || range.requestId !== undefined) return;
  const requestId = await run.parts.prover.requestRange(range, run.signal);
  await replace(run, range, [{ ...range, requestId }]);
}

async function look(run: StageRun, range: RangeWork): Promise<void> {
  const { requestId, ...rest } = range;
  if (range.proof || requestId === undefined) return;
  const status = await run.status(run.parts.prover.status(requestId, run.signal));
  switch (status.state) {
    case "pending":
      return;
    case "proved": {
      const { proof, isExecutionCheck } = status;
      const proved = { ...range, proof, ...(isExecutionCheck && { isExecutionCheck }) };
      return await replace(run, range, [proved]);
    }
    case "unknown":
      run.forgotten(requestId);
      return await replace(run, range, [rest]);
  }
  const failures = range.failures + 1;
  const isHopeless = status.state === "unprovable" || failures >= FAILURES_BEFORE_SPLIT;
  if (isHopeless && range.end - range.start > 1n) return await split(run, range, status.reason);
  await replace(run, range, [{ ...rest, failures }]);
  throw proofFailure(run.job, status, range);
}

async function split(run: StageRun, range: RangeWork, reason: string): Promise<void> {
  const { start, end } = range;
  const middle = (start + end) / 2n;
  await replace(run, range, [
    { start, end: middle, failures: 0 },
    { start: middle, end, failures: 0 },
  ]);
  const { id: jobId, batch, stage } = run.job;
  const { batchNumber } = batch.window;
  run.parts.log?.({ event: "range_split", jobId, batchNumber, stage, start, end, reason });
}

/** Puts others in the place of a range; ranges are known by where they start. */
async function replace(run: StageRun, range: RangeWork, by: readonly RangeWork[]): Promise<void> {
  const ranges = run.job.ranges.flatMap((each) => each.start === range.start ? by : [each]);
  await run.save({ ...run.job, ranges });
}
