/**
 * After a batch is confirmed, it is fetched again from the network and compared (design `ethereum.md`,
 * "Sending" 11). A difference is an alarm: the batch is reported as not posted, which stops whoever posts.
 * A network that cannot be asked is none: it is asked some times, and told of.
 *
 * @module
 */
import { allCompressors } from "../compress/formats.ts";
import { describeError, isRetryable, RpcError, SinkError, SourceError } from "../errors.ts";
import type { BlobSource, Chain } from "../ethereum.ts";
import type { BatchSink, Compressor, Log } from "../ports.ts";
import { retry, RETRY_DEFAULTS, type RetryContext, type RetryPolicy, sizesOf } from "../retry.ts";
import type { CompressedBatch, SubmissionReceipt } from "../types.ts";
import { decodeBatch } from "../wire/batch.ts";
import { fromBlobs } from "../wire/blob.ts";
import { equalBytes } from "../wire/bytes.ts";
import { open } from "../wire/envelope.ts";
import { toHex } from "../wire/hex.ts";
import { parseCalldata } from "../wire/inbox.ts";
import { originFault } from "./origin_check.ts";
import { dropped } from "./preflight.ts";

/** What a batch is fetched with. */
export interface AuditParts extends RetryContext {
  readonly chain: Chain;
  /** The network, not the own archive: it is to be seen whether others can read the batch. */
  readonly blobs: BlobSource;
  /** What opens batches; all there are otherwise. */
  readonly compressors?: readonly Compressor[];
  readonly log?: Log;
  /** How often the network is asked. */
  readonly policy?: RetryPolicy;
}

/**
 * A sink whose batches are read back after they were posted.
 *
 * @returns a sink that rejects with `Changed` where another batch is found than was posted
 */
export function audited(sink: BatchSink, parts: AuditParts): BatchSink {
  return {
    async submit(batch) {
      const receipt = await sink.submit(batch);
      await audit(batch, receipt, parts);
      return receipt;
    },
    capacity: () => sink.capacity(),
    healthCheck: () => sink.healthCheck(),
    ...sizesOf(sink),
  };
}

async function audit(
  batch: CompressedBatch,
  receipt: SubmissionReceipt,
  parts: AuditParts,
): Promise<void> {
  const { batchNumber } = batch;
  const { log, policy = RETRY_DEFAULTS } = parts;
  let isSame = false;
  let error: unknown;
  try {
    isSame = await retry(() => readBack(batch, receipt, parts), policy, parts);
  } catch (cause) {
    error = cause;
  }
  const isUnread = isRetryable(error) || error instanceof RpcError || error instanceof SourceError;
  log?.({ event: "batch.audited", batchNumber, isSame, ...(error === undefined ? {} : { error }) });
  if (isSame || isUnread) return;
  const why = error === undefined ? "other bytes come back" : describeError(error);
  throw new SinkError(
    "Changed",
    `Cannot trust that batch ${batchNumber} is on L1: transaction ${
      toHex(receipt.txHash)
    } in block ` +
      `${receipt.l1Block} was read back, and ${why}. Readers would not derive its blocks`,
    { cause: error, details: { batch: batchNumber, tx: toHex(receipt.txHash) } },
  );
}

/** Whether the batch is the one that was posted; it throws where readers would drop that on this L1. */
async function readBack(
  { batchNumber, data }: CompressedBatch,
  receipt: SubmissionReceipt,
  parts: AuditParts,
): Promise<boolean> {
  const read = await fetchBatch(receipt, parts);
  if (read?.batchNumber !== batchNumber || !equalBytes(read.data, data)) return false;
  const { header } = decodeBatch(await open(data, parts.compressors ?? allCompressors()));
  const fault = await originFault(header, parts.chain);
  if (fault) throw dropped(batchNumber, fault);
  return true;
}

/** As a reader of L1 finds it. */
async function fetchBatch(
  { l1Block, l1BlockHash, txHash }: SubmissionReceipt,
  { chain, blobs }: AuditParts,
): Promise<CompressedBatch | undefined> {
  const block = await chain.block(l1Block);
  // Reorganised meanwhile: the manager sends it again.
  if (!block || !equalBytes(block.header.hash, l1BlockHash)) throw moved(l1Block);
  const tx = block.transactions.find(({ hash }) => equalBytes(hash, txHash));
  if (!tx) throw moved(l1Block);
  // Of a node that contradicts itself nothing can be told.
  await tx.sender();
  const said = parseCalldata(tx.input, tx.blobHashes.length);
  if (!said || tx.blobHashes.length === 0) return said;
  const data = fromBlobs(await blobs.blobs(block.header, tx.blobHashes));
  return { batchNumber: said.batchNumber, data };
}

function moved(l1Block: bigint): SinkError {
  return new SinkError("Timeout", `Cannot read L1 block ${l1Block} back: it is another one now`);
}
