import { deepStrictEqual as deepEqual, ok, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { batchJson, blocksOf, jobJson, number } from "../../src/service/batch_json.ts";
import type { ProofJob, ProofStage, WorkStage } from "../../src/proving.ts";
import { PROOF_STAGES } from "../../src/proving.ts";
import type { BatchInfo, ReportedBlock } from "../../src/superblock.ts";
import { noise } from "../helpers.ts";
import { batchOf } from "../superblock/batches.ts";

const BYTES = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((each) => new Uint8Array(each));
const U64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

const BLOCK: fc.Arbitrary<ReportedBlock> = fc.record({
  slot: U64,
  number: U64,
  hash: BYTES,
  parentHash: BYTES,
  timestamp: fc.bigInt({ min: 0n, max: 253_402_300_799n }),
  transactions: fc.nat(),
  crossTransactions: fc.array(fc.string({ maxLength: 20 }), { maxLength: 3 }),
}, { noNullPrototype: true });

function batchWith(blocks: readonly ReportedBlock[]): BatchInfo {
  const times = { createdAtMs: 0, updatedAtMs: 0 };
  return { ...batchOf(5n), blocks, state: "collecting", slotCount: blocks.length, ...times };
}

test("blocks are read as they are written, whatever is in them", () => {
  fc.assert(fc.property(fc.array(BLOCK, { maxLength: 5 }), (blocks) => {
    const { blocks: json } = JSON.parse(JSON.stringify(batchJson(batchWith(blocks))));
    deepEqual(blocksOf(json), blocks);
  }));
});

test("JSON that is no block is refused by name, and nothing else happens", () => {
  const field = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    U64.map(String),
    fc.constant(`0x${"ab".repeat(32)}`),
  );
  const anything = fc.oneof(
    fc.jsonValue({ maxDepth: 4 }),
    fc.record({
      block_number: field,
      block_hash: field,
      parent_hash: field,
      slot_number: field,
      timestamp: field,
      tx_count: field,
      included_xtxs: field,
    }, { requiredKeys: [] }),
  );
  fc.assert(
    fc.property(anything, (json) => {
      try {
        for (const { number: each, hash } of blocksOf(json)) {
          ok(each >= 0n && each < 2n ** 64n);
          equal(hash.length, 32);
        }
      } catch (error) {
        equal((error as Error).name, "TypeError");
        ok((error as Error).message.length < 300, (error as Error).message);
      }
    }),
    { numRuns: 1000 },
  );
});

test("numbers are JSON numbers where those are exact", () => {
  equal(number(2n ** 53n - 1n), 9_007_199_254_740_991);
  equal(number(2n ** 53n), "9007199254740992");
});

function jobAt(stage: ProofStage, more: Partial<ProofJob> = {}): ProofJob {
  const times = { createdAtMs: 0, stageSinceMs: 0, updatedAtMs: 0, notBeforeMs: 0 };
  const range = { start: 1n, end: 3n, requestId: "a", failures: 0 };
  return {
    id: "1001-5",
    batch: batchOf(5n),
    stage,
    ranges: [range],
    retries: 0,
    ...times,
    ...more,
  };
}

test("a request is proved where its proof is there, or was handed on", () => {
  const proof = noise(3);
  const statesOf = (job: ProofJob) => {
    const { requests } = jobJson(job, 0, undefined) as {
      requests: { stage: string; state: string }[];
    };
    return requests.map(({ stage, state }) => `${stage} ${state}`);
  };
  deepEqual(statesOf(jobAt("range_proof")), ["range_proof asked"]);
  const proved = { start: 1n, end: 2n, failures: 0, requestId: "a", proof };
  const anew = { start: 2n, end: 3n, failures: 1 };
  deepEqual(statesOf(jobAt("range_proof", { ranges: [proved, anew] })), [
    "range_proof proved",
    "range_proof not asked",
  ]);
  const aggregation = { requestId: "b" };
  deepEqual(statesOf(jobAt("aggregation", { aggregation })), [
    "range_proof proved",
    "aggregation asked",
  ]);
  const network = { requestId: "c" };
  const all = { aggregation: { requestId: "b", proof }, network };
  deepEqual(statesOf(jobAt("network_agg", all)).at(-1), "network_agg asked");
  deepEqual(
    statesOf(jobAt("failed", { ...all, endedStage: "network_agg" })),
    ["range_proof proved", "aggregation proved", "network_agg asked"],
  );
  deepEqual(
    statesOf(jobAt("completed", { aggregation, network })),
    ["range_proof proved", "aggregation proved", "network_agg proved"],
  );
});

test("a job that ended says at which stage", () => {
  for (const endedStage of PROOF_STAGES as readonly WorkStage[]) {
    const job = jobAt("cancelled", { endedStage });
    const { stage, state } = jobJson(job, 0, undefined) as Record<string, unknown>;
    deepEqual([stage, state], [endedStage, "cancelled"]);
  }
});
