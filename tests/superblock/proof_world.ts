/**
 * Provers and a publisher that take their virtual time, with faults.
 *
 * @module
 */
import { MemoryJobQueue } from "../../src/local/memory_job_queue.ts";
import type { LogEvent } from "../../src/ports.ts";
import {
  type JobQueue,
  type NetworkProofInput,
  type NetworkProver,
  type OutputSource,
  type ProofStatus,
  type ProofSubmission,
  type Prover,
  ProvingError,
  type Publisher,
  type RangeWork,
  type Superblock,
  type SuperblockBlock,
  type SuperblockHeader,
} from "../../src/proving.ts";
import type { ProofPipelineConfig } from "../../src/superblock/proof_config.ts";
import { ProofPipeline } from "../../src/superblock/proof_pipeline.ts";
import type { ProvableBatches } from "../../src/superblock.ts";
import { toHex } from "../../src/wire/hex.ts";
import { noise } from "../helpers.ts";
import { SimulatedClock } from "../simulation/clock.ts";

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;

/** Answers for a proof that was asked for; undefined: proved in time. */
export type Fault = (asked: Asked) => ProofStatus | undefined;

export interface Asked {
  readonly id: string;
  /** What was asked for, as text: `range 0-4`. */
  readonly what: string;
  readonly range?: Pick<RangeWork, "start" | "end">;
  readonly atMs: number;
  /** Of the same text, from 1. */
  readonly attempt: number;
}

/** Proves all, after a while. */
export class FakeProver implements Prover {
  readonly asked: Asked[] = [];
  provingMs = MINUTE_MS;
  fault: Fault = () => undefined;
  /** Thrown by each call, while it is there. */
  down: Error | undefined;
  /** Ids that are asked for and not answered yet. */
  underWay = 0;
  mostUnderWay = 0;
  readonly #clock: SimulatedClock;
  readonly #answered = new Set<string>();
  #known = new Map<string, Asked>();

  constructor(clock: SimulatedClock) {
    this.#clock = clock;
  }

  requestRange({ start, end }: Pick<RangeWork, "start" | "end">): Promise<string> {
    return this.ask(`range ${start}-${end}`, { start, end });
  }

  requestAggregation(proofs: readonly Uint8Array[]): Promise<string> {
    return this.ask(`aggregation of ${proofs.map((each) => new TextDecoder().decode(each))}`);
  }

  status(id: string): Promise<ProofStatus> {
    if (this.down) return Promise.reject(this.down);
    const asked = this.#known.get(id);
    if (!asked) return Promise.resolve({ state: "unknown" });
    const fault = this.fault(asked);
    const isPending = this.#clock.elapsedMs < asked.atMs + this.provingMs;
    const status = fault ?? (isPending ? { state: "pending" } : this.#proved(asked));
    if (status.state !== "pending" && !this.#answered.has(id)) {
      this.#answered.add(id);
      this.underWay -= 1;
    }
    return Promise.resolve(status);
  }

  /** As a prover that is started again. */
  forget(): void {
    this.#known = new Map();
    this.underWay = 0;
  }

  protected async ask(what: string, range?: Asked["range"]): Promise<string> {
    if (this.down) throw this.down;
    await Promise.resolve();
    const attempt = this.asked.filter((each) => each.what === what).length + 1;
    const id = `${what} #${attempt}`;
    const asked = { id, what, atMs: this.#clock.elapsedMs, attempt, ...(range && { range }) };
    this.asked.push(asked);
    this.#known.set(id, asked);
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    return id;
  }

  #proved({ what }: Asked): ProofStatus {
    return { state: "proved", proof: new TextEncoder().encode(what) };
  }
}

/** Seals with a hash of a kind, and proves all. */
export class FakeNetworkProver extends FakeProver implements NetworkProver {
  readonly inputs: NetworkProofInput[] = [];

  seal(header: SuperblockHeader, blocks: readonly SuperblockBlock[]): Promise<Superblock> {
    const hash = noise(32, Number(header.number) * 7919 + header.parentHash[0]!);
    return Promise.resolve({ ...header, merkleRoot: new Uint8Array(32), hash, blocks });
  }

  request(input: NetworkProofInput): Promise<string> {
    this.inputs.push(input);
    return this.ask(`superblock ${input.next.number}`);
  }
}

/** Takes all, and remembers each call that reached it. */
export class FakePublisher implements Publisher {
  readonly accepted: ProofSubmission[] = [];
  /** Runs before a call counts: may throw. */
  before: (submission: ProofSubmission) => void = () => {};
  /** Runs when it has counted, before it is answered: may throw. */
  after: (submission: ProofSubmission) => void = () => {};

  submit(submission: ProofSubmission): Promise<void> {
    try {
      this.before(submission);
      this.accepted.push(submission);
      this.after(submission);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(error);
    }
  }

  hasReceived(hash: Uint8Array, chainId: bigint): Promise<boolean> {
    try {
      const has = this.accepted.some((each) =>
        toHex(each.superblockHash) === toHex(hash) && each.chainId === chainId
      );
      return Promise.resolve(has);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  get numbers(): bigint[] {
    return this.accepted.map(({ superblockNumber }) => superblockNumber);
  }
}

/** Roots of a kind. */
export const OUTPUTS: OutputSource = {
  l1Head: () => Promise.resolve(noise(32, 1)),
  outputRoot: (number) => Promise.resolve(noise(32, 10_000 + Number(number))),
};

export function unreachable(): ProvingError {
  return new ProvingError("Unreachable", "Cannot ask: nobody answers there");
}

/** A pipeline among fakes. */
export class ProofWorld {
  readonly clock: SimulatedClock = new SimulatedClock(0);
  readonly prover: FakeProver = new FakeProver(this.clock);
  readonly networkProver: FakeNetworkProver = new FakeNetworkProver(this.clock);
  readonly publisher: FakePublisher = new FakePublisher();
  readonly events: LogEvent[] = [];
  readonly queue: JobQueue;
  readonly pipeline: ProofPipeline;
  #end = new AbortController();
  #running: Promise<void> | undefined;
  #isOver = false;

  constructor(config: Partial<ProofPipelineConfig> = {}, queue?: (world: ProofWorld) => JobQueue) {
    this.queue = queue?.(this) ?? new MemoryJobQueue(this.clock);
    this.pipeline = this.pipelineOn(this.queue, config);
  }

  pipelineOn(
    queue: JobQueue,
    config: Partial<ProofPipelineConfig> = {},
    batches?: ProvableBatches,
  ): ProofPipeline {
    const { prover, networkProver, publisher, clock } = this;
    const hash = noise(32, 2);
    return new ProofPipeline({
      queue,
      ...(batches && { batches }),
      prover,
      networkProver,
      publisher,
      outputs: OUTPUTS,
      rollup: {
        rollupConfigHash: hash,
        multiBlockVKey: hash,
        proverAddress: noise(20, 3),
        aggregationVKey: { vkey: "0x01" },
      },
      clock,
      log: (event) => void this.events.push(event),
    }, config);
  }

  start(): void {
    this.#end = new AbortController();
    this.#isOver = false;
    this.#running = this.pipeline.run(this.#end.signal).finally(() => this.#isOver = true);
  }

  /** Lets it work until that is so. */
  async until(isDone: () => Promise<boolean> | boolean, limitMs: number = 24 * HOUR_MS) {
    let done = false;
    let isAsking = false;
    await this.clock.run(() => {
      if (!isAsking && !done) {
        isAsking = true;
        void Promise.resolve(isDone()).then((is) => {
          done ||= is;
          isAsking = false;
        });
      }
      return done || this.#isOver;
    }, limitMs);
    if (this.#isOver) await this.#running;
  }

  untilStage(id: string, stage: string): Promise<void> {
    return this.until(async () => (await this.queue.get(id))?.stage === stage);
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.clock.run(() => this.#isOver, Infinity);
    await this.#running;
  }

  names(): string[] {
    return this.events.map(({ event }) => event);
  }
}
