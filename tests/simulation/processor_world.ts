/**
 * A batch processor with the shards behind it, on a machine that fails, and those who add operations to
 * it, until all of them are handled.
 *
 * @module
 */
import { MontanaError, ProcessorError, WalError } from "../../src/errors.ts";
import type { BatchHandler, Log, Storage } from "../../src/ports.ts";
import { DeadLetters } from "../../src/wal/dead_letters.ts";
import { Wal } from "../../src/wal/log.ts";
import type { OperationLog } from "../../src/wal/operation_log.ts";
import { BatchProcessor } from "../../src/wal/processor.ts";
import { ShardHandler } from "../../src/wal/shards.ts";
import { sourceIdentity } from "../../src/wal/source_identity.ts";
import { verifyFlips } from "./flips.ts";
import { type Life, Machine } from "./life.ts";
import { Operations, unreliableHandler } from "./operations.ts";
import { nameOf, type Outcome, type Run } from "./run.ts";

/** What is planted in a run. */
export interface ProcessorDefects {
  /** A disk with a defect, in place of one that does as it says. */
  readonly disk?: (disk: Storage) => Storage;
  readonly log?: (log: Wal) => OperationLog;
  readonly handler?: (handler: BatchHandler) => BatchHandler;
}

const SHARDS = "/data/shards";
const DEAD = "/data/dead";
const LIMIT_MS = 1_800_000;
const COMMANDS = ["flush", "pause", "resume", "resume", "drain", ""] as const;

/**
 * Runs one seed.
 *
 * @throws {Error} where a promise is broken
 */
export async function runProcessorWorld(
  run: Run,
  defects: ProcessorDefects = {},
): Promise<Outcome> {
  await new ProcessorWorld(run, defects).play();
  return run;
}

class ProcessorWorld {
  readonly #run: Run;
  readonly #defects: ProcessorDefects;
  readonly #machine: Machine;
  readonly #operations: Operations;
  readonly #calmMs: number;
  readonly #shards: number;
  readonly #segmentBytes: number;
  readonly #config;
  /** The one that runs, and who adds to it must know when it is no more. */
  #current: { readonly processor: BatchProcessor; readonly life: Life } | undefined;
  #adding = 0;
  #isDone = false;

  constructor(run: Run, defects: ProcessorDefects) {
    this.#run = run;
    this.#defects = defects;
    const wrap = defects.disk;
    this.#machine = new Machine(run, { name: "processor", ...(wrap ? { wrap } : {}) });
    this.#operations = new Operations(run);
    this.#calmMs = run.around(2_000, 60_000);
    this.#shards = run.between(1, 4);
    this.#segmentBytes = run.around(512, 20_000);
    this.#config = {
      intervalMs: run.pick([0, run.around(1, 2000)]),
      minBatchOperations: 1,
      maxBatchOperations: run.around(1, 30),
      maxBatchBytes: run.around(1, 2000),
      batchSize: run.pick(["adaptive", "fixed"] as const),
      latencyGoalMs: run.around(1, 1000),
      maxQueuedOperations: run.around(1, 100),
      maxQueuedBytes: run.around(300, 10_000),
      whenFull: run.pick(["wait", "reject"] as const),
      memoryOperations: run.around(1, 50),
      memoryBytes: run.around(1, 5000),
      retry: {
        maxAttempts: run.pick([1, 4, 1e9]),
        baseDelayMs: 50,
        maxDelayMs: 2000,
        jitter: 0.2,
      },
      handlerTimeoutMs: run.around(500, 20_000),
      whenDead: run.pick(["continue", "stop"] as const),
    };
  }

  async play(): Promise<void> {
    const run = this.#run;
    const ends: unknown[] = [];
    const start = (task: Promise<void>) => void task.catch((error) => ends.push(error));
    for (let key = run.between(1, 5); key > 0; key--) start(this.#keepAdding(key));
    start(this.#keepProcessing());
    start(this.#settleDown());
    await run.clock.run(
      () => ends.length > 0 || !!run.violation || this.#isDone,
      this.#calmMs + LIMIT_MS,
    );
    if (run.violation ?? ends[0]) throw run.violation ?? ends[0];
    this.#operations.checkDone(this.#operations.promised, "all was shut down");
    await this.#operations.verify(this.#machine.disk, SHARDS, DEAD);
  }

  async #settleDown(): Promise<void> {
    const run = this.#run;
    await run.clock.sleep(this.#calmMs / 2);
    if (run.chance(0.5)) run.clock.jump(run.pick([-1, 1]) * run.around(10, 3_600_000));
    await run.clock.sleep(this.#calmMs / 2);
    run.say("calm from now on");
    run.isCalm = true;
  }

  /** Adds operations of one key, and adds no more when all is calm. */
  async #keepAdding(key: number): Promise<void> {
    const run = this.#run;
    this.#adding += 1;
    const pauseMs = run.around(1, 3000);
    const size = run.around(1, 200);
    const atOnce = run.around(1, 10);
    for (let left = run.around(5, 60); left > 0 && !run.isCalm;) {
      await run.clock.sleep(run.around(1, pauseMs));
      const current = this.#current;
      if (!current) continue;
      const count = Math.min(left, run.between(1, atOnce));
      await Promise.all(Array.from({ length: count }, () => this.#add(current, key, size)));
      left -= count;
    }
    this.#adding -= 1;
  }

  /** Whoever is not answered does not know what became of it, and adds another. */
  async #add(
    { processor, life }: { readonly processor: BatchProcessor; readonly life: Life },
    key: number,
    size: number,
  ): Promise<void> {
    const run = this.#run;
    const { number, data } = this.#operations.make(key, run.below(size));
    const added = life.lasting(processor.add(data)).then(() => {
      this.#operations.acknowledge(number);
      run.note("add", "acknowledged", `: ${number}`);
    }, (error) => {
      run.check(error instanceof MontanaError, `add() failed with ${nameOf(error)}`);
      run.note("add", nameOf(error), `: ${number}`);
    });
    await Promise.race([added, life.over]);
  }

  async #keepProcessing(): Promise<void> {
    const run = this.#run;
    while (!this.#isDone) {
      await this.#machine.live((life) =>
        this.#process(life).finally(() => this.#current = undefined)
      );
      this.#current = undefined;
      await verifyFlips(this.#machine, "/data/wal", readLog);
      await run.clock.sleep(run.around(1, 3000));
    }
  }

  /** As `montana processor` does. */
  async #process(life: Life): Promise<void> {
    const run = this.#run;
    const { storage, clock } = life;
    const events = run.log("processor");
    const opened = await Wal.open(
      { storage, directory: "/data/wal", log: events },
      { segmentBytes: this.#segmentBytes },
    );
    const wal = this.#defects.log?.(opened) ?? opened;
    const source = await sourceIdentity(storage, "/data", opened.nextSequence, run.random);
    const shards = await ShardHandler.open({
      storage,
      directory: SHARDS,
      shards: this.#shards,
      source,
    });
    const unreliable = unreliableHandler(run, shards, { operations: this.#operations, clock });
    const fatal = Promise.withResolvers<never>();
    fatal.promise.catch(() => {});
    let lastSynced = -1n;
    const processor = new BatchProcessor({
      wal,
      handler: this.#defects.handler?.(unreliable) ?? unreliable,
      deadLetters: new DeadLetters(storage, DEAD, clock),
      clock,
      random: run.random,
      log: (event) => {
        events(event);
        if (event.event === "operations.dead") this.#operations.buried(event.batch);
        const isLog = event.event === "processor.stopped" && event.error instanceof WalError;
        if (isLog) fatal.reject(event.error);
      },
      onSynced: (sequence) => {
        run.check(sequence > lastSynced, `${sequence} was synced behind ${lastSynced}`);
        lastSynced = sequence;
      },
    }, this.#config);
    await processor.start();
    this.#current = { processor, life };
    await Promise.race([this.#operate(processor, life), fatal.promise]);
    const isAll = await this.#shutDown(processor);
    await shards.close();
    await opened.close();
    this.#isDone = isAll && run.isCalm && this.#adding === 0;
  }

  /** What somebody at the console does, until he ends it. */
  async #operate(processor: BatchProcessor, life: Life): Promise<void> {
    const run = this.#run;
    const stop = life.stopSignal(() => this.#adding === 0);
    while (!stop.aborted) {
      await life.clock.sleep(run.around(10, 5000), stop);
      const isNow = run.isCalm ? "resume" : run.pick(COMMANDS);
      if (isNow === "") continue;
      await this.#command(processor, isNow).catch((error) => {
        run.check(isExpected(error), `${isNow} failed with ${nameOf(error)}: ${error}`);
        run.note("operator", `${isNow} fails`, `: ${nameOf(error)}`);
      });
    }
  }

  async #command(
    processor: BatchProcessor,
    command: "flush" | "pause" | "resume" | "drain",
  ): Promise<void> {
    const run = this.#run;
    const promised = this.#operations.promised;
    const deadline = { deadlineMs: run.around(10, 10_000) };
    if (command === "flush") await processor.flushNow(deadline);
    if (command === "pause") await processor.pause(deadline);
    if (command === "drain") await processor.drain(deadline);
    if (command === "resume") await processor.resume();
    run.note("operator", command);
    if (command === "flush" || command === "drain") {
      this.#operations.checkDone(promised, `${command} was done`);
    }
  }

  /** @returns whether nothing is left */
  async #shutDown(processor: BatchProcessor): Promise<boolean> {
    const run = this.#run;
    const deadline = run.isCalm ? {} : { deadlineMs: run.around(10, 20_000) };
    try {
      await processor.shutdown(deadline);
    } catch (error) {
      run.check(isExpected(error), `shutdown() failed with ${nameOf(error)}: ${error}`);
      run.note("processor", "shuts down with work left", `: ${nameOf(error)}`);
      return false;
    }
    this.#operations.checkDone(this.#operations.promised, "it was shut down");
    run.check(processor.stats().pendingOperations === 0, "something is pending after shutdown()");
    const late = await processor.add(new Uint8Array(1)).catch((error) => error);
    run.check(late instanceof ProcessorError && late.code === "Closed", "it takes more after all");
    run.note("processor", "shuts down");
    return true;
  }
}

/** What a console may answer while things go wrong. */
function isExpected(error: unknown): boolean {
  return error instanceof MontanaError || (error as Error)?.message === "so it was planned";
}

/** All that a log holds. */
async function readLog(storage: Storage, log: Log): Promise<unknown> {
  const wal = await Wal.open({ storage, directory: "/data/wal", log });
  const records = [];
  for await (const record of wal.read()) records.push(record);
  await wal.close();
  return records;
}
