/**
 * One event at least for each metric, by chapter.
 *
 * @module
 */
import { SourceError } from "../../src/errors.ts";
import type { TxAttempt, TxReceipt } from "../../src/ethereum.ts";
import type { LogEvent } from "../../src/ports.ts";
import type { L1Batch, L2Block, OperationBatch } from "../../src/types.ts";

const error = new SourceError("Connection", "Cannot ask");
const hash = new Uint8Array(32);
const lastBlock: L2Block = { number: 9n, timestamp: 1018n, transactions: [] };
const endpoint = "node.example";

const receipt: TxReceipt = {
  txHash: hash,
  blockNumber: 21n,
  blockHash: hash,
  isSuccess: true,
  gasUsed: 21_000n,
  effectiveGasPrice: 10n ** 9n,
  blobGasUsed: 131_072n,
  blobGasPrice: 5n,
};
const attempt: TxAttempt = {
  batchNumber: 3n,
  nonce: 3n,
  signed: { hash, raw: new Uint8Array(1) },
  fees: { maxFeePerGas: 2n, maxPriorityFeePerGas: 1n, maxFeePerBlobGas: 1n },
  blobHashes: [hash],
  signedAtMs: 0,
};

const batch: L1Batch = {
  batchNumber: 3n,
  data: new Uint8Array(1),
  inclusion: { blockNumber: 20n, blockHash: hash, timestamp: 1000n, txHash: hash },
} as unknown as L1Batch;

/** Of all roles. */
export const ROLE_EVENTS: readonly LogEvent[] = [
  { event: "tick.failed", error, retryMs: 1 },
  { event: "worker.lost", reason: "it fell silent", task: "retried" },
  {
    event: "log.tail_cut",
    path: "a",
    offset: 1,
    bytes: 2,
    brokenPath: "b",
    nextSequence: 3n,
    reason: "torn",
  },
  { event: "blocks.taken", blocks: [{ ...lastBlock, number: 12n }] },
];

/** Of a batcher. */
export const BATCHER_EVENTS: readonly LogEvent[] = [
  { event: "blocks.taken", blocks: [lastBlock, lastBlock] },
  { event: "blocks.dropped", number: 8n, blocks: 2 },
  { event: "l2.stands", endpoint, number: 9n, forMs: 60_000 },
  { event: "source.failed", error },
  { event: "deposits.left_out", firstBlock: 1n, lastBlock: 2n, deposits: 3 },
  {
    event: "batch.sealed",
    batchNumber: 3n,
    blocks: 2,
    transactions: 4,
    rawBytes: 520_000,
    compressedBytes: 130_044,
    reason: "full",
    lastBlock,
    passes: 1,
    level: 9,
  },
  {
    event: "batch.resealed",
    batchNumber: 3n,
    blocks: 2,
    l1Origin: 9n,
    l1OriginBefore: 1n,
    compressedBytes: 9,
  },
  {
    event: "batch.submitted",
    receipt: {
      batchNumber: 3n,
      txHash: hash,
      l1Block: 21n,
      l1BlockHash: hash,
      blobHashes: [hash, hash],
    },
    reason: "full",
    blocks: 2,
    lastBlock,
    rawBytes: 520_176,
    compressedBytes: 130_044,
    latencyMs: 12_500,
  },
  { event: "submission.retried", batchNumber: 3n, attempt: 1, delayMs: 1, error },
  { event: "batch.failed", batchNumber: 3n, error },
  { event: "sink.fell_back", batchNumber: 3n, error },
  { event: "da.switched", from: "blobs", to: "calldata", blobsWei: 2n, calldataWei: 1n },
  { event: "batch.audited", batchNumber: 3n, isSame: true },
  { event: "compression.level", level: 5, reason: "behind", chainSeconds: 12, seconds: 24 },
  { event: "throttle.changed", unpostedBytes: 9, intensity: 0.5, maxTxBytes: 1, maxBlockBytes: 2 },
  { event: "throttle.failed", endpoint, error, isUnsupported: false },
];

/** Of nodes. */
export const NODE_EVENTS: readonly LogEvent[] = [
  { event: "l1.reorganised", ancestor: 7n, depth: 2n },
  { event: "endpoint.failed", endpoint, error, next: undefined },
  { event: "endpoint.recovered", endpoint },
  { event: "blobs.quarantined", source: endpoint, error },
  { event: "blobs.missing", source: endpoint, l1Block: 7n, why: "pruned" },
];

/** Of an account. */
export const ACCOUNT_EVENTS: readonly LogEvent[] = [
  { event: "tx.signed", attempt, reason: "first" },
  { event: "tx.signed", attempt, reason: "bump" },
  { event: "tx.sent", attempt, answer: "taken" },
  { event: "tx.included", attempt, receipt },
  { event: "tx.final", attempt, receipt },
  { event: "tx.reorganised", attempt, l1Block: 21n },
  { event: "tx.waits", batchNumber: 3n, reason: "funds", error },
  {
    event: "account.runway",
    address: new Uint8Array(20),
    balanceWei: 2n * 10n ** 18n,
    spentWei: 10n ** 18n,
    overMs: 10_000_000,
    lastsMs: 20_000_000,
    isLow: true,
  },
];

/** Of a deriver. */
export const DERIVER_EVENTS: readonly LogEvent[] = [
  { event: "batch.accepted", batch, blocks: 5, transactions: 6, rawBytes: 1000 },
  { event: "batch.dropped", batch, reason: "parent_check", error },
  { event: "batch.duplicate", batch, expected: 4n },
  { event: "batch.future", batch, expected: 2n },
  { event: "transaction.ignored", l1Block: 7n, txHash: hash, reason: "sender" },
  { event: "derivation.reset", l1Block: 7n, nextBatchNumber: 3n, blocks: 2 },
  { event: "engine.payload", number: 9n, hash, transactions: 1, wasThere: false },
  { event: "engine.waits", method: "engine_newPayloadV4", status: "SYNCING" },
  { event: "engine.reorganised", number: 9n, hash, why: "another" },
  { event: "engine.lost", head: 7n, blocks: 2 },
  { event: "engine.heads", head: 9n, safe: 8n, finalized: 7n },
];

const operations: OperationBatch = {
  first: 1n,
  last: 2n,
  operations: [new Uint8Array(3), new Uint8Array(4)],
  bytes: 7,
} as unknown as OperationBatch;

/** Of a processor. */
export const PROCESSOR_EVENTS: readonly LogEvent[] = [
  { event: "operations.recovered", operations: 3, bytes: 9 },
  {
    event: "operations.handled",
    batch: operations,
    reason: "interval",
    attempts: 1,
    latencyMs: 250,
  },
  { event: "handler.failed", batch: operations, attempt: 1, error },
  { event: "operations.dead", batch: operations, attempts: 3, error, path: "dead/1" },
  { event: "processor.waits", what: "cut", error, retryMs: 1 },
  { event: "processor.stopped", error },
  { event: "processor.full", policy: "reject", operations: 9, bytes: 99 },
  { event: "size.decided", from: 10, to: 20, reason: "faster" },
];
