/**
 * A batcher with its journal, a deriver with its states, and an L1 between them, each on a machine of its
 * own that fails, until all blocks have come through. Reorganisations of L1 are not among the faults: the
 * L1 here has none.
 *
 * @module
 */
import { NoopCompressor } from "../../src/compress/noop.ts";
import { DEFAULT_BATCHER, DEFAULT_INBOX, InboxSink, InboxSource } from "../../src/local/inbox.ts";
import { MemoryL1 } from "../../src/local/memory.ts";
import { BatchSubmissionRunner } from "../../src/pipeline/batch_runner.ts";
import { BatcherJournal } from "../../src/pipeline/batcher_journal.ts";
import { recoverFromJournal } from "../../src/pipeline/journaled_recovery.ts";
import type { Compressor, Log, Storage } from "../../src/ports.ts";
import type { L1TransactionDraft } from "../../src/local/l1_block.ts";
import { noise, withMembers } from "../helpers.ts";
import { RunLengthCompressor } from "./compressor.ts";
import { DeriverMachine } from "./deriver_machine.ts";
import { verifyFlips } from "./flips.ts";
import { Posted, unreliable } from "./inbox.ts";
import { type Life, Machine } from "./life.ts";
import { nameOf, type Outcome, type Run } from "./run.ts";
import { Chain, sealedBlocks } from "./source.ts";

/** What is planted in a run. */
export interface BatcherDefects {
  /** A disk with a defect, in place of one that does as it says. */
  readonly disk?: (disk: Storage) => Storage;
  readonly journal?: (journal: BatcherJournal) => BatcherJournal;
}

/** Whatever is left when all is calm, for blocks that wait for their interval each, takes less. */
const LIMIT_MS = 1_800_000;

/**
 * Runs one seed.
 *
 * @throws {Error} where a promise is broken
 */
export async function runBatcherWorld(
  run: Run,
  defects: BatcherDefects = {},
): Promise<Outcome> {
  await new BatcherWorld(run, defects).play();
  return run;
}

class BatcherWorld {
  readonly #run: Run;
  readonly #defects: BatcherDefects;
  readonly #l1: MemoryL1;
  readonly #chain: Chain;
  readonly #compressor: Compressor;
  readonly #posted: Posted;
  readonly #machine: Machine;
  readonly #deriver: DeriverMachine;
  readonly #segmentBytes: number;
  readonly #calmMs: number;
  readonly #config;
  #isBatcherDone = false;

  constructor(run: Run, defects: BatcherDefects) {
    this.#run = run;
    this.#defects = defects;
    this.#l1 = new MemoryL1({ clock: run.clock, safeConfirmations: run.below(3) });
    this.#calmMs = run.around(5_000, 120_000);
    this.#chain = new Chain(run, run.around(3, 60), Math.ceil(this.#calmMs * run.pick([0.1, 1])));
    this.#compressor = run.chance(0.5) ? new NoopCompressor() : new RunLengthCompressor(run);
    this.#posted = new Posted(run, this.#chain, this.#compressor);
    const wrap = defects.disk;
    this.#machine = new Machine(run, { name: "batcher", ...(wrap ? { wrap } : {}) });
    this.#deriver = new DeriverMachine(run, {
      l1: this.#l1,
      compressor: this.#compressor,
      chain: this.#chain,
      posted: this.#posted,
      ...(wrap ? { wrap } : {}),
    });
    this.#segmentBytes = run.around(512, 20_000);
    this.#config = {
      batchIntervalMs: run.around(10, 20_000),
      maxBatchBytes: run.around(3000, 20_000),
      minBatchBytes: run.around(1, 2000),
      maxBlocksPerBatch: run.around(1, 20),
      targetBatchSize: run.around(500, 20_000),
      maxBatchesAtOnce: run.between(1, 4),
      pollIntervalMs: run.around(10, 2000),
      retry: { maxAttempts: 5, baseDelayMs: 100, maxDelayMs: 5000, jitter: 0.2 },
    };
  }

  async play(): Promise<void> {
    const run = this.#run;
    const ends: unknown[] = [];
    const start = (task: Promise<void>) => void task.catch((error) => ends.push(error));
    start(this.#keepBatching());
    start(this.#deriver.keepDeriving());
    start(this.#keepMining());
    start(this.#settleDown());
    const isDone = () => this.#isBatcherDone && this.#deriver.isDone;
    await run.clock.run(
      () => ends.length > 0 || !!run.violation || isDone(),
      this.#calmMs + LIMIT_MS,
    );
    if (run.violation ?? ends[0]) throw run.violation ?? ends[0];
    await this.#posted.verify(this.#l1);
    await this.#deriver.verify();
    await this.#verifyJournal();
  }

  /** The faults come to an end. */
  async #settleDown(): Promise<void> {
    const run = this.#run;
    while (run.clock.elapsedMs < this.#calmMs) {
      await run.clock.sleep(run.around(100, this.#calmMs));
      if (!run.chance(0.2)) continue;
      const ms = run.pick([-1, 1]) * run.around(10, 3_600_000);
      run.note("clock", "jumps", ` by ${ms} ms`);
      run.clock.jump(ms);
    }
    run.say("calm from now on");
    run.isCalm = true;
  }

  /** L1 goes on without us, and others post there. */
  async #keepMining(): Promise<void> {
    const run = this.#run;
    for (;;) {
      await run.clock.sleep(run.between(1000, 12_000));
      const to = run.chance(0.5) ? DEFAULT_INBOX : noise(20);
      const drafts: L1TransactionDraft[] = run.chance(0.3)
        ? [{ from: noise(20, 7), to, input: noise(run.below(40)), blobs: [] }]
        : [];
      await this.#l1.mine(drafts, BigInt(Math.floor(run.clock.now() / 1000)));
    }
  }

  async #keepBatching(): Promise<void> {
    const run = this.#run;
    while (!this.#isBatcherDone) {
      await this.#machine.live((life) => this.#batch(life));
      await verifyFlips(this.#machine, "/batcher", readJournal);
      await run.clock.sleep(run.around(1, 5000));
    }
  }

  /** As `montana batcher --data-dir` does. */
  async #batch(life: Life): Promise<void> {
    const run = this.#run;
    const { clock } = life;
    const log = run.log("batcher");
    const l1 = this.#l1;
    const journal = await this.#openJournal(life);
    const seenBlock = await l1.head("latest");
    const source = life.gate(this.#chain.source(journal.blocks, journal.state.taken, l1));
    const known = journal.state.position;
    const { number, hash } = await l1.block(seenBlock);
    const stop = life.stopSignal(() => this.#isAllPosted);
    const position = await recoverFromJournal({
      l1: new InboxSource(l1, { head: "latest", startBlock: known ? known.l1Block + 1n : 0n }),
      compressors: [this.#compressor],
      source,
      clock,
      signal: stop,
      journal,
      start: { inbox: DEFAULT_INBOX, batcher: DEFAULT_BATCHER, l1Block: number, l1BlockHash: hash },
    });
    this.#posted.checkPosition(position);
    run.say(`batcher: goes on with batch ${position.nextBatchNumber}, ${position.blocks} blocks`);
    const inner = new InboxSink(l1, { clock: run.clock, da: "calldata", seenBlock });
    const runner = new BatchSubmissionRunner(
      {
        source,
        compressor: life.gate(this.#compressor),
        sink: life.gate(unreliable(run, inner, { l1, posted: this.#posted })),
        clock,
        random: run.random,
        log,
        journal,
      },
      this.#config,
      {},
      position,
    );
    void this.#flushAtTimes(runner, life);
    await runner.run({ signal: stop, shutdownTimeoutMs: run.around(10, 60_000) });
    run.check(runner.pendingBlocks === 0, `${runner.pendingBlocks} blocks are left behind`);
    run.note("batcher", "shuts down");
    await journal.close();
    this.#isBatcherDone = run.isCalm && this.#isAllPosted;
  }

  /** As somebody at a console does. */
  async #flushAtTimes(runner: BatchSubmissionRunner, life: Life): Promise<void> {
    const run = this.#run;
    while (!run.isCalm) {
      await life.clock.sleep(run.around(500, 60_000));
      await runner.flush().then(
        (receipt) => receipt && run.note("operator", "flush"),
        (error) => run.note("operator", "flush fails", `: ${nameOf(error)}`),
      );
    }
  }

  async #openJournal(life: Life): Promise<BatcherJournal> {
    const { storage } = life;
    const parts = { storage, directory: "/batcher", log: this.#run.log("batcher") };
    const opened = await BatcherJournal.open(parts, { segmentBytes: this.#segmentBytes });
    const journal = this.#defects.journal?.(opened) ?? opened;
    const posted = this.#posted;
    return withMembers(journal, {
      sealed: async (batch) => {
        this.#chain.seal(sealedBlocks(journal) + batch.blocks);
        await journal.sealed(batch);
      },
      taken: async (blocks) => {
        await journal.taken(blocks);
        if (life.isOver) return;
        this.#chain.forget(blocks);
        this.#run.note("journal", "took", ` ${blocks.length}, ${this.#chain.forgotten} in all`);
      },
      async confirmed(receipt, blocks) {
        await journal.confirmed(receipt, blocks);
        posted.checkPosition(journal.position);
      },
    });
  }

  get #isAllPosted(): boolean {
    return this.#posted.blocks === this.#chain.blocks.length;
  }

  /** The batcher has ended well: nothing is left to do. */
  async #verifyJournal(): Promise<void> {
    const { disk } = this.#machine;
    disk.kill();
    const journal = await BatcherJournal.open({ storage: disk, directory: "/batcher" });
    const { position } = journal.state;
    const total = this.#chain.blocks.length;
    this.#run.check(journal.blocks === total, `the journal knows of ${journal.blocks} blocks`);
    this.#run.check(
      (position?.blocks ?? 0) === total && journal.state.taken.length === 0,
      `the journal still holds ${journal.state.taken.length} blocks that are on L1`,
    );
  }
}

/** All that a journal tells. */
async function readJournal(storage: Storage, log: Log): Promise<unknown> {
  const journal = await BatcherJournal.open({ storage, directory: "/batcher", log });
  const { state } = journal;
  await journal.close();
  return state;
}
