/**
 * A sequencer with its batches and proof jobs behind a server, on a clock that stands still.
 *
 * @module
 */
import { ClockEpochs } from "../../src/l1/epoch_sources.ts";
import { ManualClock, SeededRandom } from "../../src/local/memory.ts";
import { MemoryJobQueue } from "../../src/local/memory_job_queue.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { Log, Storage } from "../../src/ports.ts";
import { ProvingError } from "../../src/proving.ts";
import { serveBatches } from "../../src/service/batch_api.ts";
import { BATCH_METRICS, watchBatches } from "../../src/service/batch_metrics.ts";
import type { BatchApiParts } from "../../src/service/batch_parts.ts";
import type { Address, Listening } from "../../src/service/http_server.ts";
import { Metrics } from "../../src/service/metrics.ts";
import { ROLE_METRICS } from "../../src/service/role_metrics.ts";
import type { BatchManager } from "../../src/superblock/batch_manager.ts";
import { EpochListener } from "../../src/superblock/epoch_listener.ts";
import type { ProofPipeline } from "../../src/superblock/proof_pipeline.ts";
import { SEQUENCER_DEFAULTS, SequencerIntegration } from "../../src/superblock/sequencer.ts";
import type { ReportedBlock } from "../../src/superblock.ts";
import type { LogBatchJournal } from "../../src/wal/batch_journal.ts";
import { toHex } from "../../src/wire/hex.ts";
import { batchOf } from "../superblock/batches.ts";
import { ProofWorld } from "../superblock/proof_world.ts";
import { openManager, slotMs, SMALL_CLOCK } from "../superblock/world.ts";

/** A log that counts as that of `montana superblock` does. */
export function countingBatches(metrics: Metrics): Log {
  return metrics.counting([BATCH_METRICS, ROLE_METRICS]);
}

/** What is served, and what stands behind it. */
export class BatchesWorld {
  /** In slot 17: epoch 4, batch 2. */
  readonly clock: ManualClock;
  readonly queue: MemoryJobQueue;
  readonly manager: BatchManager;
  readonly journal: LogBatchJournal;
  readonly listener: EpochListener;
  readonly sequencer: SequencerIntegration;
  readonly pipeline: ProofPipeline;
  readonly metrics: Metrics;

  private constructor(
    clock: ManualClock,
    { manager, journal }: Awaited<ReturnType<typeof openManager>>,
    metrics: Metrics,
    config: Partial<typeof SEQUENCER_DEFAULTS>,
  ) {
    this.clock = clock;
    this.queue = new MemoryJobQueue(clock);
    this.manager = manager;
    this.journal = journal;
    this.metrics = metrics;
    this.listener = new EpochListener({
      sources: [new ClockEpochs(SMALL_CLOCK, clock)],
      taker: manager,
      clock,
      random: new SeededRandom(),
      log: countingBatches(metrics),
    }, { l1Clock: SMALL_CLOCK, pollIntervalMs: 12_000 });
    this.sequencer = new SequencerIntegration({ listener: this.listener, manager, clock }, {
      ...SEQUENCER_DEFAULTS,
      ...config,
      chainId: 1001n,
    });
    this.pipeline = new ProofWorld().pipelineOn(this.queue);
    watchBatches(metrics, this, clock);
  }

  static async open(
    config: Partial<typeof SEQUENCER_DEFAULTS> = {},
    storage: Storage = new MemoryStorage(),
  ): Promise<BatchesWorld> {
    const clock = new ManualClock(slotMs(17));
    const metrics = await Metrics.open(clock);
    const opened = await openManager(storage, clock, { log: countingBatches(metrics) });
    return new BatchesWorld(clock, opened, metrics, config);
  }

  get parts(): BatchApiParts {
    const { clock, sequencer, pipeline, queue, metrics } = this;
    return { clock, metrics, batches: { sequencer, pipeline, queue } };
  }

  /** Hands in a batch, and works on it: until a prover has it, for good, or not at all. */
  async job(
    number: bigint,
    how: "queued" | "asked" | "failed" | "retried" | "completed" = "queued",
  ): Promise<string> {
    const { id } = await this.queue.enqueue(batchOf(number));
    if (how === "queued") return id;
    const claim = (await this.queue.claim("worker 3", 60_000))!;
    const start = number * 4n;
    const ranges = [{ start, end: start + 4n, failures: 1, requestId: `range of ${id}` }];
    await this.queue.save(claim, { ...claim.job, ranges });
    if (how === "failed") await this.queue.fail(claim, unprovable());
    if (how === "retried") await this.queue.fail(claim, unprovable(), this.clock.now() + 300_000);
    if (how === "completed") await this.queue.complete(claim);
    return id;
  }

  /** Serves while `action` runs. */
  async served(
    action: (server: Listening) => Promise<void>,
    { parts, stalledMs, address = { host: "127.0.0.1", port: 0 } }: {
      readonly parts?: Partial<BatchApiParts>;
      readonly stalledMs?: number;
      readonly address?: Address;
    } = {},
  ): Promise<void> {
    const server = await serveBatches({ ...this.parts, ...parts }, address, stalledMs);
    try {
      await action(server);
    } finally {
      await server.close();
      await this.journal.close();
    }
  }
}

function unprovable(): string {
  return new ProvingError("Unprovable", "Cannot prove: block 5 is poisoned").message;
}

/** As a sequencer writes it. */
export function blockBody(block: ReportedBlock): Record<string, unknown> {
  return {
    slot_number: Number(block.slot),
    block_number: Number(block.number),
    block_hash: toHex(block.hash),
    parent_hash: toHex(block.parentHash!),
    timestamp: Number(block.timestamp),
    tx_count: block.transactions,
  };
}

/** An answer, with its JSON. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // deno-lint-ignore no-explicit-any -- the tests know what is in it
  readonly body: any;
}

/** Asks for JSON, or posts it. */
export async function ask(
  { name }: Listening,
  path: string,
  { method, json, ...init }: RequestInit & { readonly json?: unknown } = {},
): Promise<Answer> {
  const response = await fetch(name + path, {
    method: method ?? (json === undefined ? "GET" : "POST"),
    ...(json !== undefined && {
      body: JSON.stringify(json),
      headers: { "content-type": "application/json" },
    }),
    ...init,
  });
  const { status, headers } = response;
  return { status, headers, body: await response.json() };
}
