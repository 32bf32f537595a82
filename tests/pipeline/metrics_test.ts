import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { test } from "node:test";
import { CodecError, CompressionError, SinkError, SourceError } from "../../src/errors.ts";
import { BatchSubmissionCounter, DerivationCounter } from "../../src/pipeline/metrics.ts";
import type { LogEvent } from "../../src/ports.ts";
import type { L1Batch } from "../../src/types.ts";
import { noise, plainBlocks } from "../helpers.ts";

const hash = noise(32);
const inclusion = { blockNumber: 5n, blockHash: hash, timestamp: 9n, txHash: hash, blobs: 0 };
const batch: L1Batch = { batchNumber: 4n, data: new Uint8Array(), inclusion };

function submitted(number: bigint | undefined, latencyMs: number): LogEvent {
  const block = plainBlocks(1)[0]!;
  return {
    event: "batch.submitted",
    reason: "full",
    receipt: { batchNumber: 4n, txHash: hash, l1Block: 5n, l1BlockHash: hash, blobHashes: [] },
    blocks: 3,
    lastBlock: number === undefined ? block : { ...block, number },
    rawBytes: 1000,
    compressedBytes: 400,
    latencyMs,
  };
}

test("BatchSubmissionCounter counts by the seed's names", () => {
  const counter = new BatchSubmissionCounter();
  const zero = counter.snapshot();
  deepEqual(zero, {
    batches_submitted: 0,
    blocks_processed: 0,
    bytes_original: 0,
    bytes_compressed: 0,
    latest_block: undefined,
    avg_latency_ms: 0,
    resets: 0,
    blocks_dropped: 0,
    source_errors: 0,
    encoding_errors: 0,
    compression_errors: 0,
    sink_errors: 0,
  });
  counter.record(submitted(17n, 30));
  counter.record(submitted(20n, 60));
  counter.record(submitted(undefined, 90));
  counter.record({ event: "blocks.dropped", number: 17n, blocks: 4 });
  deepEqual(counter.snapshot(), {
    ...zero,
    batches_submitted: 3,
    blocks_processed: 9,
    bytes_original: 3000,
    bytes_compressed: 1200,
    latest_block: 20n,
    avg_latency_ms: 60,
    resets: 1,
    blocks_dropped: 4,
  });
  equal(zero.batches_submitted, 0);
});

test("BatchSubmissionCounter counts errors by class, and a failed source once", () => {
  const counter = new BatchSubmissionCounter();
  const unreachable = new SourceError("Connection", "unreachable");
  counter.record({ event: "source.failed", error: unreachable }); // The tick did not throw it.
  counter.record({ event: "source.failed", error: unreachable });
  counter.recordError(unreachable);
  counter.recordError(new SourceError("NoOrigin", "no origin"));
  counter.recordError(new CodecError("TooLarge", "65536 transactions"));
  counter.recordError(new CompressionError("Failed", "no memory"));
  counter.recordError(new SinkError("Timeout", "late"));
  counter.recordError(new SinkError("TxFailed", "reverted"));
  counter.recordError(new TypeError("bug"));
  const { source_errors, encoding_errors, compression_errors, sink_errors } = counter.snapshot();
  deepEqual([source_errors, encoding_errors, compression_errors, sink_errors], [3, 1, 1, 2]);
});

test("DerivationCounter counts by the seed's names, and each verdict", () => {
  const counter = new DerivationCounter();
  const zero = counter.snapshot();
  deepEqual(zero, {
    batches_derived: 0,
    blocks_derived: 0,
    bytes_decompressed: 0,
    avg_latency_ms: 0,
    latest_batch: undefined,
    source_errors: 0,
    sink_errors: 0,
    decompression_failed: 0,
    empty_polls: 0,
    batches_duplicate: 0,
    batches_future: 0,
    batches_dropped: {},
    transactions_ignored: 0,
    resets: 0,
    blocks_retracted: 0,
  });
  const record = (event: LogEvent, submittedAtMs = 0) => counter.record(event, submittedAtMs, 100);
  const dropped = { event: "batch.dropped", batch } as const;
  record({ event: "batch.accepted", batch, blocks: 2, transactions: 5, rawBytes: 300 }, 40);
  record({ event: "batch.accepted", batch, blocks: 7, transactions: 5, rawBytes: 600 }, 80);
  record({ event: "batch.accepted", batch, blocks: 1, transactions: 0, rawBytes: 72 }, 500); // A clock that is behind.
  record({ event: "batch.duplicate", batch, expected: 9n });
  record({ event: "batch.future", batch, expected: 2n });
  record({ ...dropped, reason: "origin_check", error: new Error("hash") });
  record({ ...dropped, reason: "undecodable", error: new CodecError("Truncated", "cut") });
  record({ ...dropped, reason: "undecodable", error: new CompressionError("Corrupted", "cut") });
  record({ event: "transaction.ignored", l1Block: 5n, txHash: hash, reason: "sender" });
  record({ event: "transaction.ignored", l1Block: 5n, txHash: hash, reason: "calldata" });
  counter.recordEmpty();
  counter.recordError(new SourceError("Damaged", "blob"));
  counter.recordError(new SinkError("NoSpace", "full"));
  counter.recordError(new TypeError("bug"));
  deepEqual(counter.snapshot(), {
    batches_derived: 3,
    blocks_derived: 10,
    bytes_decompressed: 972,
    avg_latency_ms: (60 + 20 + 0) / 3,
    latest_batch: 4n,
    source_errors: 1,
    sink_errors: 1,
    decompression_failed: 1,
    empty_polls: 1,
    batches_duplicate: 1,
    batches_future: 1,
    batches_dropped: { origin_check: 1, undecodable: 2 },
    transactions_ignored: 2,
    resets: 0,
    blocks_retracted: 0,
  });
  deepEqual(zero.batches_dropped, {});
});
