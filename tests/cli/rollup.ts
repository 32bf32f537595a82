/**
 * An L2 under load whose blocks are posted to an L1 and derived from there, as a whole: both chains are
 * anvils, batcher and deriver are programs.
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { LastingAnvil } from "../l1/lasting_anvil.ts";
import { Load } from "../l2/load.ts";
import {
  landedOnce,
  postedTransactions,
  type Programs,
  programsOn,
  run,
  start,
  succeeded,
} from "./ethereum.ts";
import { contentOf } from "./files.ts";
import type { Running } from "./montana.ts";

const CHAIN_ID = 901;
const L2_BLOCK_S = 1;
const TIMEOUT_MS = 30 * 60_000;
/** Full batches only, so that it is known what is in none: until it is told to end. */
const BATCHER = "--data-dir data --min-batch-bytes 0 --batch-interval 1h --level 5 " +
  // What anvil makes of blobs is no transactions root.
  "--l2-trust-hashes --log-level debug";

const GOING_ON = /going on with batch \d+, after (\d+) block/g;

/** How much there is to do. */
export interface RollupOptions {
  /** Transactions a second. */
  readonly perSecond: number;
  /** Each so many transactions one carries a blob. */
  readonly perBlob: number;
  /** Blocks of a batch. */
  readonly perBatch: number;
}

/** Both chains, and the programs between them. */
export class Rollup implements AsyncDisposable {
  readonly l1: LastingAnvil;
  readonly l2: LastingAnvil;
  readonly load: Load;
  readonly deriver: Running;
  readonly #cwd: string;
  readonly #programs: Programs;
  #batcher: Running;
  readonly #options: RollupOptions;
  readonly #lags: number[] = [];

  private constructor(
    cwd: string,
    { l1, l2 }: { readonly l1: LastingAnvil; readonly l2: LastingAnvil },
    programs: Programs,
    options: RollupOptions,
  ) {
    this.#cwd = cwd;
    this.l1 = l1;
    this.l2 = l2;
    this.#programs = programs;
    this.#options = options;
    this.load = new Load(l2, { ...options, chainId: CHAIN_ID, seed: 1 });
    this.#batcher = this.#startBatcher();
    this.deriver = start(programs.derive("derived.jsonl", "--data-dir derived"), {
      cwd,
      timeoutMs: TIMEOUT_MS,
    });
  }

  static async begin(cwd: string, options: RollupOptions): Promise<Rollup> {
    const l1 = await LastingAnvil.begin({ blockTimeS: 1, slotsInAnEpoch: 4 });
    // Blocks come when it is told, also after it was stopped.
    const l2 = await LastingAnvil.begin({ noMining: true, chainId: CHAIN_ID });
    return new Rollup(cwd, { l1, l2 }, await programsOn(l1.url, cwd), options);
  }

  get batcher(): Running {
    return this.#batcher;
  }

  #startBatcher(): Running {
    const flags = `${BATCHER} --max-blocks-per-batch ${this.#options.perBatch}`;
    const args = this.#programs.post(this.l2.url, flags);
    return start(args, { cwd: this.#cwd, timeoutMs: TIMEOUT_MS });
  }

  /** Lets it be, for so many blocks of L2. */
  async work(blocks: number): Promise<void> {
    const last = await this.l2.head() + BigInt(blocks);
    await this.#batcher.until(`block ${last}`, async () => await this.l2.head() >= last);
    this.#lags.push(Number(await this.l2.head()) - this.derivedBlocks);
  }

  /** Blocks that L2 had and the deriver had not yet, each time after work. */
  get lags(): readonly number[] {
    return this.#lags;
  }

  /** The batcher has taken all that there is, and L2 makes no more. */
  async holdStill(): Promise<void> {
    await this.load.pause();
    await this.l2.rpc("evm_setIntervalMining", [0]);
    await this.hasTakenAll();
  }

  /** L2 makes blocks, and is under load. */
  async goOn(): Promise<void> {
    await this.l2.rpc("evm_setIntervalMining", [L2_BLOCK_S]);
    this.load.start();
  }

  async hasTakenAll(): Promise<void> {
    const head = Number(await this.l2.head());
    await this.#batcher.until(`it has taken ${head} blocks`, () => this.taken === head);
  }

  /** Blocks that were taken, by this batcher and those before it. */
  get taken(): number {
    const { stderr } = this.#batcher;
    return sum(stderr, GOING_ON) + sum(stderr, /; (\d+) blocks? more were taken before/g) +
      sum(stderr, /took (\d+) block/g) -
      sum(stderr, /L2 was reorganised above block \d+: (\d+) block/g);
  }

  /** Blocks that the deriver gave. */
  get derivedBlocks(): number {
    return sum(this.deriver.stderr, /derived batch \d+: (\d+) block/g);
  }

  /** Blocks that were taken, and are in no batch. */
  get unsealed(): number {
    const { stderr } = this.#batcher;
    const sealed = sum(stderr, /sealed batch \d+ \(.*\): (\d+) block/g);
    const unsealed = this.taken - sealed - sum(stderr, GOING_ON);
    // Where there are enough for a batch, it is being made.
    return unsealed < this.#options.perBatch ? unsealed : 0;
  }

  /** The batcher dies in the moment in which it says `words` once more. */
  async killAtNext(words: string): Promise<void> {
    const before = this.#batcher.stderr.split(words).length;
    await this.#batcher.until(
      `it says ${words} again`,
      () => this.#batcher.stderr.split(words).length > before,
    );
    this.#batcher.send("SIGKILL");
    await this.startBatcherAgain();
  }

  /** Another batcher, where the one before has ended. */
  async startBatcherAgain(): Promise<void> {
    await this.#batcher.ended;
    this.#batcher = this.#startBatcher();
    await this.#batcher.untilSaid("going on with batch");
  }

  /** Ends the load and the batcher, and waits until all is derived. */
  async end(): Promise<void> {
    await this.holdStill();
    this.#batcher.send("SIGTERM");
    succeeded(await this.#batcher.ended);
    const head = Number(await this.l2.head());
    await this.deriver.until(`it has derived ${head} blocks`, () => this.derivedBlocks === head);
    this.deriver.send("SIGTERM");
    succeeded(await this.deriver.ended);
  }

  /** Timestamp and transactions of each block that was derived. */
  async derived(): Promise<string[]> {
    const text = await readFile(join(this.#cwd, "derived.jsonl"), "utf8");
    return contentOf(text);
  }

  async verify(): Promise<string> {
    const flags = `--l2-trust-hashes --from 1 --to ${await this.l2.head()} --json`;
    return succeeded(await run(this.#programs.verify(this.l2.url, flags), { cwd: this.#cwd }));
  }

  posted(): ReturnType<typeof postedTransactions> {
    return postedTransactions({ anvil: this.l1, batcher: this.#programs.batcher });
  }

  landedOnce(batches: number): Promise<void> {
    return landedOnce({ anvil: this.l1, batcher: this.#programs.batcher }, batches);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#batcher[Symbol.asyncDispose]();
    await this.deriver[Symbol.asyncDispose]();
    await this.l2[Symbol.asyncDispose]();
    // It has nobody to send to any more.
    await this.load.pause().catch(() => {});
    await this.l1[Symbol.asyncDispose]();
  }
}

/** Of all numbers that are found. */
function sum(text: string, number: RegExp): number {
  return text.matchAll(number).reduce((all, [, each]) => all + Number(each), 0);
}
