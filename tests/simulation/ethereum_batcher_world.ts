/**
 * A batcher with its journals and its archive of blobs, that posts to a simulated Ethereum through nodes
 * that lag, err, lose and double, while fees leap and the chain is reorganised; on a machine that fails, and
 * ended at any call of the disk or of a node. In the end each batch is on the chain once, and a deriver on
 * a machine of its own gives every block once and in order.
 *
 * @module
 */
import { NoopCompressor } from "../../src/compress/noop.ts";
import type { Chain as NodeChain, TxJournal } from "../../src/ethereum.ts";
import { AutoSink } from "../../src/l1/auto_sink.ts";
import { BlobArchive } from "../../src/l1/blob_archive.ts";
import { BlobSink } from "../../src/l1/blob_sink.ts";
import { CalldataSink } from "../../src/l1/calldata_sink.ts";
import { FinalBlocks } from "../../src/l1/final_blocks.ts";
import { L1Inbox } from "../../src/l1/inbox.ts";
import { isJournaled, untilNoStrangers } from "../../src/l1/strangers.ts";
import { TxManager } from "../../src/l1/tx_manager.ts";
import type { TxManagerConfig } from "../../src/l1/tx_config.ts";
import { BatchSubmissionRunner } from "../../src/pipeline/batch_runner.ts";
import { BatcherJournal } from "../../src/pipeline/batcher_journal.ts";
import { recoverFromJournal } from "../../src/pipeline/journaled_recovery.ts";
import type { BatchSink, Compressor, Storage } from "../../src/ports.ts";
import { withFallback } from "../../src/retry.ts";
import { LogTxJournal } from "../../src/wal/tx_journal.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { parseCalldata } from "../../src/wire/inbox.ts";
import { content, noise, withMembers } from "../helpers.ts";
import { RunLengthCompressor } from "./compressor.ts";
import { type SimulatedBlock, SimulatedEthereum, type Traffic } from "./ethereum.ts";
import { EthereumDeriverMachine } from "./ethereum_deriver_machine.ts";
import { planByChance, type PlanFault, SimulatedNode } from "./ethereum_node.ts";
import { SentRecord } from "./ethereum_record.ts";
import { decodeFake, FakeKzg, FakeSigner } from "./ethereum_transactions.ts";
import {
  ETHER,
  GWEI,
  keepChangingFees,
  keepFunding,
  keepReorganising,
  keepRepeating,
  SLOT_MS,
} from "./ethereum_weather.ts";
import { Posted } from "./inbox.ts";
import { type Life, Machine, mortal } from "./life.ts";
import type { Outcome, Run } from "./run.ts";
import { Chain, sealedBlocks } from "./source.ts";

/** What is planted in a run. */
export interface EthereumBatcherDefects {
  readonly disk?: (disk: Storage) => Storage;
  readonly journal?: (journal: TxJournal) => TxJournal;
  /** Takes for posted what others sent. */
  readonly trustsStrangers?: boolean;
  /** What the account's manager asks, in place of a node. */
  readonly chain?: (chain: NodeChain) => NodeChain;
}

const INBOX = noise(20, 40);
const BATCHER = noise(20, 41);
const CHAIN_ID = 31_337n;
/** From when all is calm until all is final and derived. */
const LIMIT_MS = 3 * 3_600_000;

/**
 * Runs one seed.
 *
 * @throws {Error} where a promise is broken
 */
export async function runEthereumBatcherWorld(
  run: Run,
  defects: EthereumBatcherDefects = {},
): Promise<Outcome> {
  await new EthereumBatcherWorld(run, defects).play();
  return run;
}

class EthereumBatcherWorld {
  readonly #run: Run;
  readonly #defects: EthereumBatcherDefects;
  readonly #ethereum: SimulatedEthereum;
  readonly #node: SimulatedNode;
  readonly #chain: Chain;
  readonly #compressor: Compressor;
  readonly #posted: Posted;
  readonly #record: SentRecord;
  readonly #machine: Machine;
  readonly #deriver: EthereumDeriverMachine;
  readonly #finalDepth: number;
  readonly #calmMs: number;
  readonly #segmentBytes: number;
  readonly #missedShare: number;
  /** How often a life ends at a call of a node. */
  readonly #deathShare: number;
  readonly #da: "blobs" | "calldata" | "fallback" | "auto";
  readonly #config;
  readonly #sending: Partial<TxManagerConfig>;
  /** The account runs dry, and gets more now and then. */
  readonly #isPoor: boolean;
  #isBatcherDone = false;
  /**
   * How often a machine is replaced by one with an empty disk, and whether one was. Nobody remembers what it
   * sent and is in no block: between the batches of the next one, cut otherwise, that would do harm.
   */
  readonly #replacedShare: number;
  #isReplaced = false;
  #position: { nextBatchNumber: bigint; blocks: number } | undefined;

  constructor(run: Run, defects: EthereumBatcherDefects) {
    this.#run = run;
    this.#defects = defects;
    this.#finalDepth = run.pick([4, 8, 32]);
    this.#calmMs = run.around(10, 100) * SLOT_MS;
    this.#segmentBytes = run.around(2048, 40_000);
    this.#missedShare = run.pick([0, 0.1]);
    this.#deathShare = run.pick([0, 0.01, 0.05]);
    this.#da = run.pick(["calldata", "calldata", "blobs", "fallback", "auto"]);
    this.#sending = {
      confirmations: run.between(1, 4),
      finalityDepth: this.#finalDepth,
      maxPendingTx: run.between(1, 4),
      sendTimeoutMs: run.pick([Infinity, Infinity, run.around(2, 40) * SLOT_MS]),
      ...(run.chance(0.3) ? { maxFeePerGas: 20n * GWEI, maxFeePerBlobGas: 20n * GWEI } : {}),
    };
    this.#config = {
      batchIntervalMs: run.around(1000, 60_000),
      maxBatchBytes: run.around(3000, 20_000),
      minBatchBytes: run.around(1, 2000),
      maxBlocksPerBatch: run.around(1, 20),
      targetBatchSize: run.around(500, 20_000),
      maxBatchesAtOnce: run.between(1, 4),
      pollIntervalMs: run.around(1000, 10_000),
      retry: { maxAttempts: 5, baseDelayMs: 100, maxDelayMs: 5000, jitter: 0.2 },
    };
    const overlookedShare = run.pick([0, 0.3, 0.7]);
    this.#ethereum = new SimulatedEthereum({
      random: run.random,
      chainId: CHAIN_ID,
      finalDepth: this.#finalDepth,
      safeDepth: this.#finalDepth / 2,
      takesGaps: run.chance(0.5),
      sidecar: run.pick(["cells", "cells", "both", "legacy"]),
      traffic: (): Traffic => ({ gasShare: 0.5, blobs: run.below(run.isCalm ? 4 : 7) }),
      isOverlooked: () => run.mishap(overlookedShare),
      onBlock: (block, change) => void (change === "added" && this.#land(block)),
    });
    this.#isPoor = run.chance(0.15);
    this.#replacedShare = run.pick([0, 0, 0.3]);
    this.#ethereum.fund(BATCHER, this.#isPoor ? ETHER / 100n : 1000n * ETHER);
    this.#chain = new Chain(run, run.around(3, 40), Math.ceil(this.#calmMs * run.pick([0.1, 1])));
    this.#compressor = run.chance(0.5) ? new NoopCompressor() : new RunLengthCompressor(run);
    this.#posted = new Posted(run, this.#chain, this.#compressor, false);
    this.#record = new SentRecord({
      ethereum: this.#ethereum,
      address: BATCHER,
      inbox: INBOX,
      leastBumpMs: 4 * SLOT_MS,
      check: (isKept, message) => run.check(isKept || this.#isReplaced, message),
    });
    const faultShare = run.pick([0, 0.02, 0.15]);
    const { clock } = run;
    this.#node = new SimulatedNode(this.#ethereum, {
      clock,
      plan: this.#timely(planByChance(run, faultShare, { headsBehind: run.around(1, 4) })),
      onSend: async (raw) => this.#record.see(await decodeFake(raw), clock.elapsedMs),
    });
    const { disk: wrap } = defects;
    this.#machine = new Machine(run, {
      name: "batcher",
      mayFail: (error) => this.#isReplaced && (error as { code?: string }).code === "NonceTaken",
      ...(wrap ? { wrap } : {}),
    });
    this.#deriver = new EthereumDeriverMachine(run, {
      ethereum: this.#ethereum,
      node: this.#node,
      blobs: this.#node.blobSource({ fails: () => run.mishap(faultShare) }),
      inbox: INBOX,
      batchers: [BATCHER],
      compressors: [this.#compressor],
      head: run.pick(["latest", "safe", { confirmations: 2 }]),
      isAll: (next) => this.#isAllFinal && next === this.#batches,
      ...(wrap ? { wrap } : {}),
    });
  }

  async play(): Promise<void> {
    const run = this.#run;
    const ends: unknown[] = [];
    const start = (task: Promise<void>) => void task.catch((error) => ends.push(error));
    start(this.#keepBatching());
    start(this.#deriver.keepDeriving());
    start(this.#ethereum.keepGoing(run.clock, undefined, this.#missedShare));
    const weather = {
      ethereum: this.#ethereum,
      address: BATCHER,
      mostDepth: this.#finalDepth,
      sent: () => this.#record.transactions,
      isForgotten: () => this.#isReplaced,
    };
    start(keepReorganising(run, weather));
    start(keepChangingFees(run, weather));
    start(keepRepeating(run, weather));
    if (this.#isPoor) start(keepFunding(run, weather));
    start(this.#settleDown());
    const isDone = () => this.#isBatcherDone && this.#deriver.isDone;
    await run.clock.run(
      () => ends.length > 0 || !!run.violation || isDone(),
      this.#calmMs + LIMIT_MS,
    );
    if (run.violation ?? ends[0]) throw run.violation ?? ends[0];
    if (!this.#isReplaced) this.#record.verify(this.#posted.length);
    const derived = await this.#deriver.verify();
    run.check(
      content(derived).join() === content(this.#chain.blocks).join(),
      "the derived blocks are not those of the source",
    );
  }

  /** The faults come to an end. */
  async #settleDown(): Promise<void> {
    const run = this.#run;
    while (run.clock.elapsedMs < this.#calmMs) {
      await run.clock.sleep(run.around(SLOT_MS, this.#calmMs));
      if (!run.chance(0.2)) continue;
      const ms = run.pick([-1, 1]) * run.around(10, 3_600_000);
      run.note("clock", "jumps", ` by ${ms} ms`);
      run.clock.jump(ms);
      this.#record.clockJumped(run.clock.elapsedMs);
    }
    run.say("calm from now on");
    run.isCalm = true;
    this.#ethereum.setFees({ baseFee: GWEI, blobBaseFee: GWEI / 10n });
    this.#ethereum.fund(BATCHER, 1000n * ETHER);
  }

  async #keepBatching(): Promise<void> {
    const run = this.#run;
    while (!this.#isBatcherDone) {
      await this.#machine.live((life) => this.#batch(life));
      // A batch that is lost before others that are on L1 is beyond help: whoever goes on says so.
      const isInOrder = this.#record.landed().every((each, at) => each === BigInt(at));
      if (isInOrder && run.mishap(this.#replacedShare)) this.#replace();
      await run.clock.sleep(run.around(1, 20_000));
    }
  }

  /** Where machines are replaced, nothing that one sent arrives after its end. */
  #timely(plan: PlanFault): PlanFault {
    return (method) => {
      const fault = plan(method);
      const isLate = typeof fault === "object" &&
        ("happensAfterMs" in fault || "againAfterMs" in fault);
      return isLate && this.#replacedShare > 0 ? "lost" : fault;
    };
  }

  #replace(): void {
    this.#isReplaced = true;
    this.#ethereum.pool.clear();
    this.#position = undefined;
    this.#machine.replace();
    this.#chain.giveAgain();
    this.#posted.divide();
  }

  /** As `montana batcher --l1 http://… --data-dir DIR` does. */
  async #batch(life: Life): Promise<void> {
    const run = this.#run;
    const { storage, clock } = life;
    const log = run.log("batcher");
    const chain = life.gate(mortal<NodeChain>(this.#node, life, this.#deathShare));
    const config = { segmentBytes: this.#segmentBytes };
    const journal = await this.#openJournal(life);
    const transactions = await LogTxJournal.open(
      { storage, directory: "/transactions", log },
      { address: BATCHER, chainId: CHAIN_ID },
      config,
    );
    const kzg = new FakeKzg();
    const archive = new BlobArchive({ storage, directory: "/blobs", kzg });
    const stop = life.stopSignal(() => this.#isAllFinal);
    const final = new FinalBlocks(chain);
    const wait = {
      chain,
      address: BATCHER,
      journal: transactions,
      finalBlock: () => final.newest(),
      clock,
      signal: stop,
      onWait: (count: bigint) => run.note("batcher", "waits for strangers", `: ${count}`),
    };
    if (!this.#defects.trustsStrangers) await untilNoStrangers(wait);
    const manager = await TxManager.open({
      chain: this.#defects.chain?.(chain) ?? chain,
      signer: new FakeSigner(BATCHER),
      journal: this.#defects.journal?.(transactions) ?? transactions,
      kzg,
      blobs: archive,
      clock,
      random: run.random,
      log,
      mustBeSameL1: () => final.mustBeSame(),
    }, this.#sending);
    const origins = {
      head: async () => (await final.newest()).number,
      block: async (number: bigint) => ({ hash: await final.hashOf(number) }),
    };
    const source = life.gate(this.#chain.source(journal.blocks, journal.state.taken, origins));
    const finalBlock = await final.newest();
    const { number, hash } = finalBlock;
    const position = await recoverFromJournal({
      l1: life.gate(this.#reader(chain, journal)),
      compressors: [this.#compressor],
      source,
      clock,
      signal: stop,
      journal,
      start: { inbox: INBOX, batcher: BATCHER, l1Block: number, l1BlockHash: hash },
      finalBlock,
      isSure: ({ blockNumber, txHash }) =>
        this.#defects.trustsStrangers || blockNumber <= number ||
        isJournaled(transactions, txHash),
    });
    const close = async () => {
      await manager.close();
      await transactions.close();
      await journal.close();
    };
    if (stop.aborted) return await close();
    this.#note(position);
    run.say(`batcher: goes on with batch ${position.nextBatchNumber}, ${position.blocks} blocks`);
    const runner = new BatchSubmissionRunner(
      {
        source,
        compressor: life.gate(this.#compressor),
        sink: life.gate(this.#sink(manager, chain, final)),
        clock,
        random: run.random,
        log,
        journal,
      },
      this.#config,
      {},
      position,
    );
    const running = runner.run({ signal: stop, shutdownTimeoutMs: run.around(1, 60) * SLOT_MS });
    running.catch(() => {}); // As the program does it.
    await Promise.race([running, manager.failed]);
    run.check(runner.pendingBlocks === 0, `${runner.pendingBlocks} blocks are left behind`);
    run.note("batcher", "shuts down");
    await close();
    this.#isBatcherDone = run.isCalm && this.#isAllFinal;
  }

  #sink(manager: TxManager, chain: NodeChain, final: FinalBlocks): BatchSink {
    const posting = {
      manager,
      chain,
      mustBeSameL1: () => final.mustBeSame(),
      inbox: INBOX,
      compressors: [this.#compressor],
    };
    const [blobs, calldata] = [new BlobSink(posting), new CalldataSink(posting)];
    const sinks = {
      blobs: () => blobs,
      calldata: () => calldata,
      fallback: () => withFallback(blobs, calldata),
      auto: () => new AutoSink(posting),
    };
    const sink: BatchSink = sinks[this.#da]();
    return withMembers(sink, {
      submit: async (batch) => {
        await this.#posted.see(batch);
        const receipt = await sink.submit(batch);
        const finalBlock = await final.newest().catch(() => undefined);
        return finalBlock && finalBlock.number < receipt.l1Block
          ? { ...receipt, finalBlock }
          : receipt;
      },
    });
  }

  #reader(chain: NodeChain, journal: BatcherJournal): L1Inbox {
    const known = journal.state.position;
    return new L1Inbox({ chain, blobs: this.#node.blobSource() }, {
      inbox: INBOX,
      batchers: [{ address: BATCHER }],
      head: "latest",
      startBlock: known ? known.l1Block + 1n : 0n,
    });
  }

  async #openJournal(life: Life): Promise<BatcherJournal> {
    const { storage } = life;
    const parts = { storage, directory: "/batcher", log: this.#run.log("batcher") };
    const journal = await BatcherJournal.open(parts, { segmentBytes: this.#segmentBytes });
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
      confirmed: async (receipt, blocks) => {
        await journal.confirmed(receipt, blocks);
        this.#note(journal.position);
      },
    });
  }

  #note({ nextBatchNumber, blocks }: { nextBatchNumber: bigint; blocks: number }): void {
    this.#posted.checkPosition({ nextBatchNumber, blocks });
    this.#position = { nextBatchNumber, blocks };
  }

  /** Batches there are in the end. */
  get #batches(): bigint {
    return this.#isReplaced ? this.#position!.nextBatchNumber : BigInt(this.#posted.length);
  }

  /** What of ours a block has. */
  #land({ header, transactions }: SimulatedBlock): void {
    const run = this.#run;
    for (const { from, to, input, blobHashes, nonce } of transactions) {
      if (!equalBytes(from, BATCHER)) continue;
      const batch = equalBytes(to, INBOX) ? parseCalldata(input, blobHashes.length) : undefined;
      const what = batch ? "lands" : "is cancelled";
      run.note("L1", what, `: nonce ${nonce}, batch ${batch?.batchNumber} in ${header.number}`);
      if (batch) this.#posted.land(batch);
    }
  }

  /** Every block of the source is in a batch that no reorganisation takes. */
  get #isAllFinal(): boolean {
    const upTo = this.#ethereum.finalNumber();
    const final = new Set(this.#record.landed(upTo));
    if (this.#isReplaced) {
      const { blocks, nextBatchNumber = 0n } = this.#position ?? {};
      const numbers = Array.from({ length: Number(nextBatchNumber) }, (_, at) => BigInt(at));
      return blocks === this.#chain.blocks.length && numbers.every((each) => final.has(each));
    }
    const { blocks, length } = this.#posted;
    if (blocks !== this.#chain.blocks.length) return false;
    return final.size === length;
  }
}
