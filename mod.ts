/**
 * Montana: L2 blocks in, blobs out, blocks back.
 *
 * The words and ports, the wire format, the compressors, the pipelines and runners, the durable log and
 * the batch processor on it, and the embedded defaults: an L1 in a directory or in memory, blocks in
 * files. No package is loaded by importing this.
 *
 * @example Batches to an L1 in memory, and back
 * ```ts
 * import {
 *   allCompressors,
 *   BatchSubmissionRunner,
 *   BrotliCompressor,
 *   DerivationRunner,
 *   MemoryBatchSource,
 *   MemoryBlockSink,
 *   MemoryL1,
 *   systemClock as clock,
 *   systemRandom as random,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const blocks = [
 *   { timestamp: 1000n, transactions: [Uint8Array.of(2, 1)] },
 *   { timestamp: 1002n, transactions: [] },
 * ];
 * const l1 = new MemoryL1();
 * const batcher = new BatchSubmissionRunner({
 *   source: new MemoryBatchSource(blocks, l1),
 *   compressor: BrotliCompressor.maxCompression(),
 *   sink: l1.sink(),
 *   clock,
 *   random,
 * });
 * await batcher.run({ once: true });
 *
 * const sink = new MemoryBlockSink();
 * const deriver = new DerivationRunner({
 *   source: l1.source(),
 *   compressors: allCompressors(),
 *   sink,
 *   clock,
 *   random,
 * });
 * await deriver.run({ once: true });
 * if (sink.blocks.length !== 2) throw new Error("expected both blocks back");
 * ```
 *
 * @module
 */
export * from "./src/types.ts";
export * from "./src/ports.ts";
export * from "./src/errors.ts";
export * from "./src/config.ts";
export * from "./src/retry.ts";
export * from "./src/version.ts";
export * from "./src/superblock.ts";
export * from "./src/proving.ts";

export {
  decodeBatch,
  encodeBatch,
  encodedBlockSize,
  HEADER_SIZE,
  headerFor,
  type HeaderInput,
  standardCodec,
} from "./src/wire/batch.ts";
export { batchFromJson, type BatchJson, batchToJson } from "./src/wire/batch_json.ts";
export { open, seal } from "./src/wire/envelope.ts";
export {
  BLOB_CAPACITY,
  BLOB_SIZE,
  blobCount,
  decodeBlob,
  encodeBlob,
  fromBlobs,
  MAX_BLOBS_PER_TX,
  splitBlobs,
  toBlobs,
} from "./src/wire/blob.ts";
export { batchCalldata, blobCalldata, CALLDATA_CAPACITY, parseCalldata } from "./src/wire/inbox.ts";
export { fromHex, toHex } from "./src/wire/hex.ts";

export { BrotliCompressor, type BrotliOptions } from "./src/compress/brotli.ts";
export { ZstdCompressor, type ZstdOptions } from "./src/compress/zstd.ts";
export { NoopCompressor } from "./src/compress/noop.ts";
export {
  allCompressors,
  type CompressorOptions,
  createCompressor,
  type FormatName,
  FORMATS,
} from "./src/compress/formats.ts";
export type { BoundOptions } from "./src/compress/bound.ts";

export {
  type BatcherParts,
  BatcherPipeline,
  type BatcherPosition,
} from "./src/pipeline/batcher.ts";
export {
  DerivationPipeline,
  type DeriverParts,
  type DeriverPosition,
  type Standing,
  type StepResult,
} from "./src/pipeline/deriver.ts";
export * from "./src/pipeline/batch_runner.ts";
export {
  type DerivationConfig,
  DerivationRunner,
  type DerivationRunOptions,
} from "./src/pipeline/derivation_runner.ts";
export * from "./src/pipeline/estimate.ts";
export type { BatchSubmissionMetrics, DerivationMetrics } from "./src/pipeline/metrics.ts";
export {
  type KnownPosition,
  type RecoveredPosition,
  recoverPosition,
  type RecoveryParts,
} from "./src/pipeline/recovery.ts";
export {
  BatcherJournal,
  type JournalPosition,
  type JournalState,
  type SealedBatch,
} from "./src/pipeline/batcher_journal.ts";
export {
  type JournaledPosition,
  type JournaledRecoveryParts,
  recoverFromJournal,
} from "./src/pipeline/journaled_recovery.ts";
export type { Resealing } from "./src/pipeline/resealing.ts";

export { Wal, WAL_DEFAULTS, type WalConfig, type WalParts, type WalRecord } from "./src/wal/log.ts";
export {
  type Fault as LogFault,
  inspectLog,
  type LogState,
  type SegmentState,
} from "./src/wal/inspection.ts";
export { type Repair, repairLog, type RepairStep, type SequenceRange } from "./src/wal/repair.ts";
export { BatchProcessor, type Deadline, type ProcessorParts } from "./src/wal/processor.ts";
export { PROCESSOR_DEFAULTS, type ProcessorConfig } from "./src/wal/processor_config.ts";
export type { AdmissionBounds } from "./src/wal/admission.ts";
export type { SizeBounds, SizeDecision } from "./src/wal/batch_size.ts";
export type { MemoryBounds } from "./src/wal/operation_queue.ts";
export type { BatchIdentity, LogRecord, OperationLog } from "./src/wal/operation_log.ts";
export type { ProcessorCounts, ProcessorState, ProcessorStats } from "./src/wal/processor_stats.ts";
export { DeadLetters, type Death } from "./src/wal/dead_letters.ts";
export { MAX_SHARDS, ShardHandler, type ShardOptions } from "./src/wal/shards.ts";
export { fieldKey, type KeyOf, shardOf, tabKey } from "./src/wal/shard_key.ts";
export { sourceIdentity } from "./src/wal/source_identity.ts";
export { CommandHandler } from "./src/local/command_handler.ts";
export { HttpHandler, type HttpHandlerOptions } from "./src/local/http_handler.ts";
export type { ApiRequest, ApiResponse } from "./src/service/api.ts";
export {
  type Address,
  type Answerer,
  listen,
  type Listening,
  MAX_SOCKET_PATH_BYTES,
} from "./src/service/http_server.ts";
export {
  type ApiDeadline,
  type ApiOptions,
  serve,
  type ServedProcessor,
} from "./src/service/processor_api.ts";
export * from "./src/superblock/proof_pipeline.ts";
export * from "./src/superblock/proof_config.ts";
export type { StageParts } from "./src/superblock/stage_run.ts";
export { type OpSuccinctOptions, OpSuccinctProver } from "./src/provers/op_succinct.ts";
export { SuperblockProver, type SuperblockProverOptions } from "./src/provers/superblock_prover.ts";
export * from "./src/provers/rpc_outputs.ts";
export { type OutputAt, OutputRoots, type OutputRootsOptions } from "./src/l2/output_roots.ts";
export { RangeChecker, type RangeCheckerOptions } from "./src/provers/range_check.ts";
export type { CheckReport } from "./src/provers/execution_check.ts";
export { SharedPublisher } from "./src/provers/shared_publisher.ts";
export type { ProverHttpOptions } from "./src/provers/http.ts";
export { brokenRule, SETTLEMENT_RULES } from "./src/provers/settlement.ts";
export type {
  AggregationClaim,
  RollupTransition,
  Transition,
} from "./src/provers/superblock_json.ts";
export { type ExecuteProverParts, serveExecuteProver } from "./src/service/prover_api.ts";
export type { StandInPublisherParts } from "./src/service/publisher_api.ts";
export type { CheckedRanges } from "./src/service/range_prover_api.ts";
export { type JobQueueParts, LogJobQueue } from "./src/wal/job_queue.ts";
export { MemoryJobQueue } from "./src/local/memory_job_queue.ts";
export {
  JobTable,
  type JobTableParts,
  type JobTableState,
  KEPT_COMPLETED_JOBS,
} from "./src/job_table.ts";
export { StateJournal, type StateJournalOptions } from "./src/wal/state_journal.ts";

export { FileBatchSource, FileSink } from "./src/local/files.ts";
export { L1Directory, type L1DirectoryOptions } from "./src/local/l1_directory.ts";
export type { L1Block, L1Transaction, L1TransactionDraft } from "./src/local/l1_block.ts";
export {
  DEFAULT_BATCHER,
  DEFAULT_INBOX,
  InboxSink,
  type InboxSinkOptions,
  InboxSource,
  type InboxSourceOptions,
  type L1Head,
  type LocalL1,
} from "./src/local/inbox.ts";
export {
  FileBlockSource,
  type FileBlockSourceOptions,
  type ResumePoint,
} from "./src/local/file_block_source.ts";
export type { BlockFile } from "./src/local/block_file.ts";
export { FileBlockSink, type FilePosition, StdoutBlockSink } from "./src/local/file_block_sink.ts";
export {
  ManualClock,
  MemoryBatchSource,
  MemoryBlockSink,
  MemoryL1,
  SeededRandom,
} from "./src/local/memory.ts";
export { DiskStorage } from "./src/local/disk_storage.ts";
export { FaultyStorage, type StorageCall, type StorageFault } from "./src/local/faulty_storage.ts";
export { MemoryStorage, SECTOR_BYTES } from "./src/local/memory_storage.ts";
export { CompressorPool } from "./src/local/compressor_pool.ts";
export type { WorkerLoss, WorkerPoolOptions } from "./src/local/worker_pool.ts";
export { type SendDatagram, systemClock, systemRandom } from "./src/runtime.ts";

// Ethereum: the words, the ports, the events.
export * from "./src/ethereum.ts";

// Nodes.
export { blobBaseFeeOf, RpcChain, type RpcChainOptions } from "./src/l1/chain.ts";
export * from "./src/l1/endpoints.ts";
export { RetriedCalls } from "./src/l1/retried_calls.ts";
export {
  HttpJsonRpc,
  type HttpJsonRpcOptions,
  MAX_ANSWER_BYTES,
  RPC_TIMEOUT_MS,
} from "./src/l1/json_rpc.ts";
export { classify, NODE_TEXTS, type NodeAnswer, type NodeText } from "./src/l1/node_errors.ts";
// Who signs.
export * from "./src/l1/signers.ts";
export { DEFAULT_KEY_VARIABLE } from "./src/l1/key_file.ts";
export { type KeystoreOptions, makeKeystore, openKeystore } from "./src/l1/keystore.ts";
export { RemoteSigner, type RemoteSignerOptions } from "./src/l1/remote_signer.ts";
export type { TlsFiles } from "./src/l1/signer_request.ts";
export { type SignerTrial, trySigner } from "./src/l1/signer_trial.ts";

// KZG, sidecars and transactions of L1.
export {
  chooseKzg,
  findKzg,
  KZG_ENGINES,
  type KzgEngine,
  type KzgPreference,
} from "./src/l1/kzg.ts";
export { KzgPool, type KzgPoolOptions, openKzg } from "./src/l1/kzg_pool.ts";
export { type KzgTimes, selfTestBlob, testKzg } from "./src/l1/kzg_self_test.ts";
export * from "./src/l1/sidecar.ts";
export * from "./src/l1/transaction.ts";

// Sending to Ethereum.
export {
  TxManager,
  type TxManagerParts,
  type TxManagerState,
  type TxRequest,
} from "./src/l1/tx_manager.ts";
export { TX_DEFAULTS, type TxManagerConfig } from "./src/l1/tx_config.ts";
export { FEE_DEFAULTS, type FeeLimits } from "./src/l1/fees.ts";
export type { Market } from "./src/l1/gas.ts";
export { TxQuotes } from "./src/l1/tx_quotes.ts";
export {
  countStrangers,
  isJournaled,
  type StrangersParts,
  type StrangersPlace,
  type StrangersWait,
  untilNoStrangers,
} from "./src/l1/strangers.ts";
export type { SidecarChoice } from "./src/l1/sidecar_form.ts";
export type { Runway, SpendLimits } from "./src/l1/spend_guard.ts";
export type { PostingOptions } from "./src/l1/inbox_posting.ts";
export { BlobSink, type BlobSinkOptions } from "./src/l1/blob_sink.ts";
export { CalldataSink } from "./src/l1/calldata_sink.ts";
export {
  AutoSink,
  type AutoSinkOptions,
  type DataCosts,
  dataCosts,
  type DataKind,
} from "./src/l1/auto_sink.ts";
export { audited, type AuditParts } from "./src/l1/audit.ts";
export { type Turn, Turns } from "./src/l1/turns.ts";
export { LogTxJournal, type TxJournalOwner } from "./src/wal/tx_journal.ts";
export { MemoryBlobStore, MemoryTxJournal } from "./src/local/memory_tx_journal.ts";

// Reading from Ethereum.
export {
  L1Inbox,
  type L1InboxOptions,
  type L1InboxParts,
  type ReadHead,
  REMEMBERED_BLOCKS,
} from "./src/l1/inbox.ts";
export type { Batcher } from "./src/l1/inbox_block.ts";
export type { BlockMark } from "./src/l1/block_marks.ts";
export { BeaconNode, beaconNodes, type BeaconOptions } from "./src/l1/beacon.ts";
export type { BeaconHttpOptions } from "./src/l1/beacon_http.ts";
export type { SlotRule } from "./src/l1/slots.ts";
export { type ArchivedBlock, BlobArchive, type BlobArchiveParts } from "./src/l1/blob_archive.ts";
export { BlobSources, type BlobSourcesParts } from "./src/l1/blob_sources.ts";
export { notingBlocks } from "./src/l1/noted_blocks.ts";
export { answerBeacon, type BeaconApiParts } from "./src/service/beacon_api.ts";
export type { BlobBlock, BlobFinder, FoundBlobs, MissingReason } from "./src/l1/found_blobs.ts";
// Nodes of L1, and what they say.

// L2: blocks from nodes and from consensus clients, and into them.
export * from "./src/engine.ts";
export { JWT_TOLERANCE_SECONDS, JwtSecret } from "./src/l2/jwt.ts";
export {
  headerJson,
  type NewPayload,
  newPayloadParams,
  parseNewPayload,
  parsePayload,
  payloadHash,
  payloadToJson,
  versionOf,
} from "./src/l2/payload.ts";
export {
  EngineApiSource,
  type EngineApiSourceOptions,
  MAX_HELD_BYTES,
} from "./src/l2/engine_source.ts";
export { LogPayloadJournal } from "./src/wal/payload_journal.ts";
export { MemoryPayloadJournal } from "./src/local/memory_payload_journal.ts";
export { callEngine, type EngineApiParts, type RpcFault } from "./src/l2/engine_api.ts";
export {
  answerEngine,
  type EngineServerOptions,
  MAX_REQUEST_BYTES,
  serveEngine,
} from "./src/l2/engine_server.ts";

export { RpcSequencer } from "./src/l2/sequencer.ts";
export * from "./src/pipeline/throttle.ts";
export type { Sequencer } from "./src/ports.ts";

// What L1 gives back, held against L2.
export {
  BlockComparison,
  type BlockDifference,
  type ComparedRange,
  type ComparisonParts,
  type ComparisonResult,
} from "./src/pipeline/comparison.ts";

// Derived blocks into an execution client.
export {
  type EngineAnswer,
  type EngineAttributes,
  EngineClient,
  type EngineStatus,
  type ForkchoiceState,
} from "./src/l2/engine_client.ts";
export type { EngineBlock, EngineChainBlock, EnginePayload } from "./src/l2/engine_block.ts";
export type { BlockAttributes } from "./src/l2/engine_attributes.ts";
export type { DerivedMark } from "./src/l2/derived_heads.ts";
export {
  EngineApiSink,
  type EngineApiSinkOptions,
  type EngineApiSinkParts,
} from "./src/l2/engine_sink.ts";

// Blocks from execution clients.
export * from "./src/l2/rpc_block_source.ts";
export type { L2Chain, L2Head } from "./src/l2/l2_nodes.ts";

// Derived blocks for whoever asks.
export { type BlockCallbacks, CallbackBlockSink } from "./src/local/callback_block_sink.ts";
export { BlockHistory, type LineOfBlock } from "./src/local/block_history.ts";
export {
  BlockFeed,
  type BlockFeedOptions,
  type BlockId,
  type BlockStatus,
  type FeedHeads,
  type FeedItem,
  type RetractingSink,
  type ServedBlock,
} from "./src/service/block_feed.ts";
export { BlocksApi, type BlocksApiParts, serveBlocks } from "./src/service/blocks_api.ts";

// Health and metrics of whatever runs.
export * from "./src/service/health.ts";
export * from "./src/service/metric_chapter.ts";
export * from "./src/service/metrics.ts";
export * from "./src/service/chapters.ts";
export type { LoopHealth } from "./src/pipeline/tick_health.ts";

// Synchronized batch proving.
export * from "./src/superblock/clock.ts";
export * from "./src/superblock/epoch_listener.ts";
export * from "./src/l1/epoch_sources.ts";
export { BATCH_DEFAULTS, type BatchManagerConfig } from "./src/superblock/batch_config.ts";
export * from "./src/superblock/batch_manager.ts";
export { type BatchJournalOwner, LogBatchJournal } from "./src/wal/batch_journal.ts";
export * from "./src/superblock/block_follower.ts";
export * from "./src/superblock/block_tap.ts";
export * from "./src/superblock/coordinator.ts";
export * from "./src/superblock/sequencer.ts";
export * from "./src/superblock/config.ts";
export { SystemdNotifier } from "./src/service/systemd.ts";
export { BatchApi, serveBatches } from "./src/service/batch_api.ts";
export type * from "./src/service/batch_parts.ts";
export type { BlockReportJson, ServedL1 } from "./src/service/batch_json.ts";
