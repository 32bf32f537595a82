/**
 * A deriver that follows a simulated Ethereum through reorganisations of any depth above what is final,
 * nodes that lag and err, and blobs that are late, on a machine of its own that fails. Several batchers post
 * batches early, late, twice, and under one number two with different blocks, so that it counts which of
 * them comes first; outsiders post as well.
 *
 * @module
 */
import { NoopCompressor } from "../../src/compress/noop.ts";
import type { Signer } from "../../src/ethereum.ts";
import type { L1BatchSource, Storage } from "../../src/ports.ts";
import type { CompressedBatch, L2Block } from "../../src/types.ts";
import { toBlobs } from "../../src/wire/blob.ts";
import { batchCalldata, blobCalldata } from "../../src/wire/inbox.ts";
import { makeBatch, noise } from "../helpers.ts";
import { SimulatedEthereum, type Traffic } from "./ethereum.ts";
import { EthereumDeriverMachine } from "./ethereum_deriver_machine.ts";
import { gasOf } from "./ethereum_fees.ts";
import { planByChance, SimulatedNode } from "./ethereum_node.ts";
import { encodeNetwork, FakeKzg, FakeSigner, versionedHash } from "./ethereum_transactions.ts";
import type { Outcome, Run } from "./run.ts";

/** What is planted in a run. */
export interface EthereumDeriverDefects {
  /** A disk with a defect, in place of one that does as it says. */
  readonly disk?: (disk: Storage) => Storage;
  readonly source?: (source: L1BatchSource) => L1BatchSource;
}

const INBOX = noise(20, 40);
const GWEI = 1_000_000_000n;
const ETHER = 10n ** 18n;
const SLOT_MS = 12_000;
/** From when all is calm until all is derived. */
const LIMIT_MS = 3_600_000;

/**
 * Runs one seed.
 *
 * @throws {Error} where a promise is broken
 */
export async function runEthereumDeriverWorld(
  run: Run,
  defects: EthereumDeriverDefects = {},
): Promise<Outcome> {
  await new EthereumDeriverWorld(run, defects).play();
  return run;
}

class EthereumDeriverWorld {
  readonly #run: Run;
  readonly #ethereum: SimulatedEthereum;
  readonly #finalDepth: number;
  readonly #calmMs: number;
  readonly #count: number;
  readonly #batchers: readonly Signer[];
  readonly #outsider = new FakeSigner(noise(20, 50));
  readonly #deriver: EthereumDeriverMachine;
  readonly #kzg = new FakeKzg();
  readonly #blobShare: number;
  readonly #rivalShare: number;
  readonly #missedShare: number;

  constructor(run: Run, defects: EthereumDeriverDefects) {
    this.#run = run;
    this.#finalDepth = run.pick([4, 16, 64]);
    this.#calmMs = run.around(10, 150) * SLOT_MS;
    this.#count = run.around(2, 12);
    this.#blobShare = run.pick([0, 0.3, 0.8]);
    this.#rivalShare = run.pick([0, 0.3]);
    this.#missedShare = run.pick([0, 0.1]);
    this.#batchers = Array.from({ length: 3 }, (_, index) => new FakeSigner(noise(20, 41 + index)));
    const ethereum = new SimulatedEthereum({
      random: run.random,
      finalDepth: this.#finalDepth,
      safeDepth: this.#finalDepth / 2,
      traffic: (): Traffic => ({ gasShare: 0.5, blobs: run.below(4) }),
      isOverlooked: () => run.mishap(0.3),
    });
    this.#ethereum = ethereum;
    for (const { address } of [...this.#batchers, this.#outsider]) {
      ethereum.fund(address, 1000n * ETHER);
    }
    const clock = run.clock;
    const faultShare = run.pick([0, 0.02, 0.2]);
    const headsBehind = run.around(1, 6);
    const node = new SimulatedNode(ethereum, {
      clock,
      plan: planByChance(run, faultShare, { headsBehind }),
    });
    const { disk: wrap, source: wrapSource } = defects;
    this.#deriver = new EthereumDeriverMachine(run, {
      ethereum,
      node,
      blobs: node.blobSource({
        fails: () => run.mishap(faultShare),
        lacks: () => run.mishap(faultShare),
      }),
      inbox: INBOX,
      batchers: this.#batchers.map(({ address }) => address),
      compressors: [new NoopCompressor()],
      head: run.pick(["latest", "safe", "finalized", { confirmations: 1 }, { confirmations: 3 }]),
      isAll: (next) => next === BigInt(this.#count) && this.#isAllFinal(),
      ...(wrap ? { wrap } : {}),
      ...(wrapSource ? { wrapSource } : {}),
    });
  }

  async play(): Promise<void> {
    const run = this.#run;
    const ends: unknown[] = [];
    const start = (task: Promise<void>) => void task.catch((error) => ends.push(error));
    start(this.#deriver.keepDeriving());
    start(this.#ethereum.keepGoing(run.clock, undefined, this.#missedShare));
    start(this.#keepReorganising());
    start(this.#keepPosting());
    start(this.#settleDown());
    await run.clock.run(
      () => ends.length > 0 || !!run.violation || this.#deriver.isDone,
      this.#calmMs + LIMIT_MS,
    );
    if (run.violation ?? ends[0]) throw run.violation ?? ends[0];
    const derived = await this.#deriver.verify();
    const last = derived.at(-1)?.batchNumber;
    run.check(last === BigInt(this.#count - 1), `batch ${last} is the last, of ${this.#count}`);
  }

  async #settleDown(): Promise<void> {
    const run = this.#run;
    await run.clock.sleep(this.#calmMs);
    run.say("calm from now on");
    run.isCalm = true;
  }

  async #keepReorganising(): Promise<void> {
    const run = this.#run;
    const everyMs = run.around(2, 60) * SLOT_MS;
    const returned = run.pick([0, 0.5, 1]);
    for (;;) {
      await run.clock.sleep(run.around(SLOT_MS / 4, everyMs));
      if (run.isCalm) return;
      const depth = run.around(1, this.#finalDepth);
      const head = this.#ethereum.head.header.number;
      const removed = this.#ethereum.reorganise(depth, { returned, longer: run.below(2) });
      run.note("L1", "is reorganised", ` from ${head} by ${removed.length}`);
    }
  }

  /** Batches in any order, until all are where no reorganisation reaches them. */
  async #keepPosting(): Promise<void> {
    const run = this.#run;
    for (;;) {
      await run.clock.sleep(run.around(1000, run.isCalm ? 2 * SLOT_MS : 10 * SLOT_MS));
      const missing = this.#missing();
      if (missing === undefined && run.isCalm) return;
      if (missing === undefined && run.chance(0.8)) continue;
      if (run.mishap(0.1)) await this.#postRubbish();
      const early = run.mishap(0.3) ? run.below(3) : 0;
      const number = Math.min(this.#count - 1, (missing ?? run.below(this.#count)) + early);
      await this.#post(await this.#batch(number, run.mishap(this.#rivalShare) ? 1 : 0));
    }
  }

  /** The first that is not on the chain. */
  #missing(): number | undefined {
    const landed = new Set(this.#landed(this.#ethereum.head.header.number));
    const numbers = Array.from({ length: this.#count }, (_, number) => number);
    return numbers.find((number) => !landed.has(number));
  }

  #isAllFinal(): boolean {
    return new Set(this.#landed(this.#ethereum.finalNumber())).size === this.#count;
  }

  /** Numbers of batches that count, in blocks up to this one. */
  #landed(upTo: bigint): number[] {
    return this.#ethereum.blocks.slice(0, Number(upTo) + 1)
      .flatMap(({ transactions }) => transactions)
      .filter(({ input }) => input.length >= 8 && input[0]! < this.#count)
      .filter(({ hash }) => this.#posted.has(hash.join()))
      .map(({ input }) => input[0]!);
  }

  /** Transactions that carry a batch that readers accept. */
  readonly #posted = new Set<string>();

  /** Rivals have the number in common, and the time of their blocks, and nothing else. */
  async #batch(number: number, rival: number): Promise<CompressedBatch> {
    const run = this.#run;
    const blocks: L2Block[] = Array.from({ length: run.between(1, 3) }, (_, index) => ({
      timestamp: BigInt(1_700_000_000 + 10 * number + index),
      transactions: [noise(run.between(1, 50), 1000 * rival + 10 * number + index)],
    }));
    const l1Origin = this.#ethereum.finalNumber();
    const { hash } = this.#ethereum.blockAt(l1Origin)!.header;
    return await makeBatch(blocks, {
      batchNumber: BigInt(number),
      l1Origin,
      l1OriginCheck: hash.slice(0, 20),
    });
  }

  async #post(batch: CompressedBatch): Promise<void> {
    const run = this.#run;
    const isBlobs = run.chance(this.#blobShare);
    const signer = this.#batchers[isBlobs ? 0 : run.between(1, 2)]!;
    const hash = isBlobs
      ? await this.#send(signer, blobCalldata(batch.batchNumber), toBlobs(batch.data))
      : await this.#send(signer, batchCalldata(batch));
    this.#posted.add(hash.join());
    run.whisper(() => `batcher: posts ${batch.batchNumber} in ${isBlobs ? "blobs" : "calldata"}`);
  }

  /** What no reader takes for a batch, or only to drop it. */
  async #postRubbish(): Promise<void> {
    const run = this.#run;
    run.note("somebody", "posts rubbish");
    const input = noise(run.pick([0, 7, 8, 9, 40, 200]));
    const [blobber, other] = this.#batchers;
    const batch = await makeBatch([{ timestamp: 5n, transactions: [] }]);
    const kind = run.below(5);
    if (kind === 0) await this.#send(this.#outsider, input);
    else if (kind === 1) await this.#send(this.#outsider, batchCalldata(batch));
    else if (kind === 2) await this.#send(other!, input);
    else if (kind === 3) await this.#send(other!, batchCalldata({ ...batch, batchNumber: 1n }));
    else await this.#send(blobber!, blobCalldata(BigInt(run.below(5))), [noise(131_072)]);
  }

  /** As a transaction that pays whatever is asked. */
  async #send(signer: Signer, input: Uint8Array, blobs: readonly Uint8Array[] = []) {
    const ethereum = this.#ethereum;
    const { address } = signer;
    const { nonce: next } = ethereum.account(address);
    const nonce = next + BigInt(ethereum.pool.executable(address, next).length);
    const commitments = await Promise.all(blobs.map((blob) => this.#kzg.commitment(blob)));
    const proofs = (await Promise.all(blobs.map((blob) => this.#kzg.cellProofs(blob)))).flat();
    const { raw, hash } = await signer.sign({
      chainId: ethereum.chainId,
      nonce,
      to: INBOX,
      input,
      gas: gasOf(input),
      fees: {
        maxFeePerGas: 1000n * GWEI,
        maxPriorityFeePerGas: GWEI + BigInt(this.#run.below(1000)),
        maxFeePerBlobGas: blobs.length > 0 ? 1000n * GWEI : 0n,
      },
      blobHashes: commitments.map(versionedHash),
    });
    const sidecar = { blobs, commitments, proofs };
    await ethereum.submit(blobs.length > 0 ? encodeNetwork(raw, sidecar, "cells") : raw);
    return hash;
  }
}
