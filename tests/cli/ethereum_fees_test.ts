/**
 * The blocks of Base on a real L1 whose fees move: posted where it is cheaper, in calldata where blobs are
 * refused, and paid for by the rules. What it cost is told by the chain's receipts.
 *
 * @module
 */
import { match, ok, strictEqual as equal } from "node:assert/strict";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { formatWei } from "../../src/cli/text.ts";
import { gasFor, worstCostWei } from "../../src/l1/gas.ts";
import { systemClock } from "../../src/runtime.ts";
import { type Anvil, type AnvilOptions, skipWithoutAnvil } from "../l1/anvil.ts";
import { excessFor } from "../l1/blob_fee_play.ts";
import type { FaultProxy } from "../l1/fault_proxy.ts";
import { BlockFiller } from "../l1/full_blocks.ts";
import { hasShared, sharedPath } from "../shared.ts";
import {
  asksAgain,
  type EthereumPlace,
  landedOnce,
  postedTransactions,
  run,
  sentWithCare,
  start,
  succeeded,
  withEthereum,
  withProxy,
} from "./ethereum.ts";
import { joinLines, linesOf, readText, sameBlocks } from "./files.ts";
import type { Running } from "./montana.ts";

const GWEI = 10n ** 9n;
const BUMP_MS = 1000;
const FLAGS = "--data-dir data --max-blocks-per-batch 1 --level 1 --batch-interval 100ms " +
  `--block-time 250ms --bump-interval ${BUMP_MS}ms`;
const BASE = "blocks/base-mainnet-19995441.jsonl.gz";

const skipped = (name: string) => ({ skip: skipWithoutAnvil(name) || !hasShared(BASE, name) });

/** A batcher whose source grows by blocks of Base, each a batch, on an L1 that mines when told. */
class Work implements AsyncDisposable {
  readonly batcher: Running;
  readonly #place: EthereumPlace;
  readonly #lines: readonly string[];
  given = 0;
  baseFee: bigint;

  private constructor(
    place: EthereumPlace,
    lines: readonly string[],
    flags: string,
    baseFee: bigint,
  ) {
    this.#place = place;
    this.#lines = lines;
    this.baseFee = baseFee;
    this.batcher = start(place.post("l2.jsonl", `${FLAGS} ${flags}`), { cwd: place.cwd });
  }

  static async begin(place: EthereumPlace, flags: string, baseFee: bigint): Promise<Work> {
    await appendFile(join(place.cwd, "l2.jsonl"), "");
    const lines = linesOf(await readText(sharedPath(BASE)));
    const work = new Work(place, lines, flags, baseFee);
    await work.mine();
    return work;
  }

  async give(blocks: number): Promise<void> {
    const lines = this.#lines.slice(this.given, this.given += blocks);
    equal(lines.length, blocks, "blocks");
    await appendFile(join(this.#place.cwd, "l2.jsonl"), joinLines(lines));
  }

  /** A block at the base fee. */
  async mine(): Promise<void> {
    const { anvil } = this.#place;
    await anvil.rpc("anvil_setNextBlockBaseFeePerGas", [`0x${this.baseFee.toString(16)}`]);
    await anvil.mine();
  }

  /** Batches in blocks. */
  async landed(): Promise<number> {
    const { anvil, batcher } = this.#place;
    return Number(await anvil.rpc("eth_getTransactionCount", [batcher, "latest"]));
  }

  /** Mines until all that was given is in blocks. */
  async lands(): Promise<void> {
    await this.batcher.until(`${this.given} batches are in blocks`, async () => {
      if (await this.landed() === this.given) return true;
      await this.mine();
      await systemClock.sleep(100);
      return false;
    });
  }

  /** Ends the batcher, and makes sure that all that was given stands on L1 once, and comes back. */
  async comesBack(): Promise<void> {
    const { anvil, cwd, derive } = this.#place;
    await anvil.rpc("evm_setIntervalMining", [1]);
    this.batcher.send("SIGTERM");
    succeeded(await this.batcher.ended);
    succeeded(await run(derive("out.jsonl", "--once"), { cwd }));
    await sameBlocks(join(cwd, "out.jsonl"), join(cwd, "l2.jsonl"));
    await landedOnce(this.#place, this.given);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.batcher[Symbol.asyncDispose]();
  }
}

/** How each batch travelled, in order: `b` in blobs, `c` in calldata. */
async function ways(place: EthereumPlace): Promise<string> {
  const posted = await postedTransactions(place);
  return posted.map(({ blobs }) => (blobs > 0 ? "b" : "c")).join("");
}

const AUTO =
  "montana batcher --da auto posts the blocks of Base where it is cheaper, and does not flap";
test(AUTO, skipped(AUTO), async () => {
  await withEthereum(async (place) => {
    await using work = await Work.begin(place, "--da auto", 100n * GWEI);
    const { batcher } = work;
    await work.give(3);
    await work.lands();
    // Blobs cost as much as before, and gas the hundredth part.
    work.baseFee = GWEI;
    await work.mine();
    await work.give(6);
    await work.lands();
    match(batcher.stderr, /posts in calldata from here on, no longer in blobs/);
    // Blobs are cheaper again, but only sixteen batches later it changes back.
    work.baseFee = 100n * GWEI;
    await work.mine();
    await work.give(12);
    await work.lands();
    match(batcher.stderr, /posts in blobs from here on, no longer in calldata/);
    await work.comesBack();
    equal(await ways(place), "b".repeat(3) + "c".repeat(16) + "b".repeat(2));
    equal(batcher.stderr.match(/from here on/g)?.length, 2, batcher.stderr);
  }, { noMining: true, excessBlobGas: excessFor(200n * GWEI) });
});

const MIDDLE =
  "montana batcher posts blocks of Base as calldata while blobs are refused in the middle of its run";
test(MIDDLE, skipped(MIDDLE), async () => {
  await withProxy(async (place, proxy) => {
    await using work = await Work.begin(place, "--da blobs-then-calldata", GWEI);
    const { batcher } = work;
    for (const isRefused of [false, true, false]) {
      proxy.refuseBlobs(isRefused);
      await work.give(2);
      await work.lands();
    }
    await work.comesBack();
    equal(await ways(place), "bbccbb");
    const refused = batcher.stderr
      .match(/blobs are not served here.*; batch [23] goes to the second sink/g)?.length;
    equal(refused, 2, batcher.stderr);
  }, { noMining: true });
});

/** Whose price of blobs anvil's receipts tell, whatever fork it is in. */
const CANCUN: AnvilOptions = {
  noMining: true,
  hardfork: "cancun",
  excessBlobGas: excessFor(GWEI, 3_338_477n),
};

const REAL =
  "montana batcher waits while full blocks make blobs dearer than --max-blob-fee, and lands";
test(REAL, skipped(REAL), async () => {
  await withProxy(async (place, proxy) => {
    const { anvil } = place;
    const [maxFee, maxBlobFee, guard] = [50n * GWEI, 4_500_000_000n, 35n * 10n ** 14n];
    const limits = "--max-fee 50gwei --max-blob-fee 4.5gwei --max-spend-per-hour 0.0035ether";
    await using work = await Work.begin(place, `--da blobs ${limits}`, GWEI);
    const { batcher } = work;
    await work.give(2);
    await work.lands();
    const before = await blobFee(anvil);
    ok(before < 1_100_000_000n, `its double can be doubled below the ceiling: ${before}`);

    // Somebody else takes all the room there is, and pays for it more than others are advised to.
    proxy.rewrite("eth_maxPriorityFeePerGas", () => "0x3b9aca00");
    const filler = new BlockFiller(anvil, anvil.accounts[1]!);
    const crowd = async (wei: bigint) => {
      while (await blobFee(anvil) <= wei) {
        await filler.fill();
        await work.mine();
      }
    };
    await work.give(4);
    await batcher.until("it sends all", () => nonces(proxy) === work.given);
    await crowd(2n * before + GWEI / 2n);
    await batcher.until("it offers more", () => offers(proxy).blobFee === maxBlobFee);
    await crowd(maxBlobFee);
    await batcher.untilSaid(/gas of blobs costs \d+ wei, at most 4500000000 may be offered/);
    await asksAgain(batcher, proxy, 12);
    equal(await work.landed(), 2, "the blocks were full");
    ok(await atRisk(place, proxy) <= guard, "more than the guard may be spent");

    // They leave: at a low base fee blobs grow cheaper with each block.
    work.baseFee = 1000n;
    await work.lands();
    await work.comesBack();
    ok(sentWithCare(proxy, BUMP_MS) >= 1, "it was replaced");
    doubledEachTime(proxy);
    const paid = await keptCeilings(place, proxy, { maxFee, maxBlobFee });
    ok(paid.reduce((sum, { wei }) => sum + wei, 0n) <= guard, "more than the guard was spent");
    await explained(place, proxy, paid);
  }, CANCUN);
});

const BOTH =
  "montana batcher pays both fees rising 50 times, waits at its guard, and pays less again";
test(BOTH, skipped(BOTH), async () => {
  await withProxy(async (place, proxy) => {
    const guard = 165n * 10n ** 14n;
    await using work = await Work.begin(
      place,
      "--da blobs --max-spend-per-batch 0.0165ether",
      GWEI,
    );
    const { batcher } = work;
    const setFees = async (gwei: bigint) => {
      await proxy.playBlobBaseFee(gwei * GWEI);
      work.baseFee = gwei * GWEI;
      await work.mine();
    };
    await setFees(1n);
    await work.give(1);
    await work.lands();

    await work.give(1);
    await batcher.until("it sends", () => nonces(proxy) === work.given);
    for (const gwei of [4n, 12n, 30n]) {
      await setFees(gwei);
      await batcher.until(`it offers ${gwei} gwei`, () => {
        const { fee, blobFee } = offers(proxy);
        return fee > gwei * GWEI && blobFee >= gwei * GWEI;
      });
    }
    await setFees(50n);
    await work.lands();

    // What is offered at the top could be replaced only above the guard.
    await work.give(2);
    await batcher.until("it sends two more", () => nonces(proxy) === work.given);
    await setFees(110n);
    await batcher.untilSaid(/at most 0\.0165 ETH may be spent \(--max-spend-per-/);
    await asksAgain(batcher, proxy, 12);
    equal(await work.landed(), 2, "they cannot land");
    for (const gwei of [50n, 12n, 4n, 1n]) await setFees(gwei);
    await work.lands();
    await work.give(1);
    await work.lands();
    await work.comesBack();

    ok(sentWithCare(proxy, BUMP_MS) >= 3, "it was replaced at each step");
    doubledEachTime(proxy);
    for (const { tx } of proxy.sent) ok(worstOf(tx) <= guard, `${worstOf(tx)} wei could be spent`);
    const paid = await keptCeilings(place, proxy, {
      maxFee: 1000n * GWEI,
      maxBlobFee: 1000n * GWEI,
    });
    ok(paid[1]!.gasPrice >= 50n * GWEI, `${paid[1]!.gasPrice}`);
    for (const low of [0, 4]) ok(paid[low]!.gasPrice <= 3n * GWEI, `${paid[low]!.gasPrice}`);
    for (const { wei } of paid) ok(wei <= guard, `${wei} wei were spent`);
  }, { noMining: true });
});

async function blobFee(anvil: Anvil): Promise<bigint> {
  return BigInt(await anvil.rpc("eth_blobBaseFee"));
}

/** The most that a transaction of those sent offers. */
function offers({ sent }: FaultProxy): { readonly fee: bigint; readonly blobFee: bigint } {
  const most = (values: readonly bigint[]) => values.reduce((a, b) => (a > b ? a : b), 0n);
  return {
    fee: most(sent.map(({ tx }) => tx.fees.maxFeePerGas)),
    blobFee: most(sent.map(({ tx }) => tx.fees.maxFeePerBlobGas)),
  };
}

function nonces({ sent }: FaultProxy): number {
  return new Set(sent.map(({ tx }) => tx.nonce)).size;
}

/** Wei that a transaction can cost at the most. */
function worstOf({ input, fees, blobHashes }: FaultProxy["sent"][number]["tx"]): bigint {
  return worstCostWei(gasFor(input), blobHashes.length, fees);
}

/** Makes sure that each replacement with blobs offers the double of each field: pools take nothing less. */
function doubledEachTime({ sent }: FaultProxy): void {
  const newest = new Map<bigint, FaultProxy["sent"][number]["tx"]["fees"]>();
  for (const { tx: { nonce, fees } } of sent) {
    const before = newest.get(nonce);
    newest.set(nonce, fees);
    // The same once more is no replacement.
    if (!before || before.maxFeePerGas === fees.maxFeePerGas) continue;
    for (const field of ["maxFeePerGas", "maxPriorityFeePerGas", "maxFeePerBlobGas"] as const) {
      const offers = `${before[field]}, then ${fees[field]}`;
      ok(fees[field] >= 2n * before[field], `${field} of nonce ${nonce}: ${offers}`);
    }
  }
}

/** What a batch cost, as its receipt tells. */
interface Paid {
  readonly gasPrice: bigint;
  readonly blobGasPrice: bigint;
  readonly wei: bigint;
}

/** What each batch that landed cost, in order; the account has paid for nothing else. */
async function paidFor(place: EthereumPlace): Promise<Paid[]> {
  const { anvil, batcher } = place;
  const posted = await postedTransactions(place);
  const paid = await Promise.all(posted.map(async ({ hash }) => {
    const receipt = await anvil.rpc("eth_getTransactionReceipt", [hash]);
    const gasPrice = BigInt(receipt.effectiveGasPrice);
    const blobGasPrice = BigInt(receipt.blobGasPrice);
    const wei = BigInt(receipt.gasUsed) * gasPrice + BigInt(receipt.blobGasUsed) * blobGasPrice;
    return { gasPrice, blobGasPrice, wei };
  }));
  const balance = async (tag: string) => BigInt(await anvil.rpc("eth_getBalance", [batcher, tag]));
  const left = await balance("0x0") - await balance("latest");
  equal(paid.reduce((sum, { wei }) => sum + wei, 0n), left, "wei that left the account");
  return paid;
}

/** Wei that were spent, with the most that can be for what is in no block. */
async function atRisk(place: EthereumPlace, { sent }: FaultProxy): Promise<bigint> {
  const paid = await paidFor(place);
  const worst = new Map<bigint, bigint>();
  for (const { tx } of sent) {
    if (tx.nonce < BigInt(paid.length)) continue;
    const before = worst.get(tx.nonce) ?? 0n;
    worst.set(tx.nonce, worstOf(tx) > before ? worstOf(tx) : before);
  }
  return [...paid.map(({ wei }) => wei), ...worst.values()].reduce((sum, wei) => sum + wei, 0n);
}

/** Makes sure that nothing offered or paid more. */
async function keptCeilings(
  place: EthereumPlace,
  proxy: FaultProxy,
  { maxFee, maxBlobFee }: { readonly maxFee: bigint; readonly maxBlobFee: bigint },
): Promise<Paid[]> {
  const { fee, blobFee } = offers(proxy);
  ok(fee <= maxFee, `${fee} wei offered for gas`);
  ok(blobFee <= maxBlobFee, `${blobFee} wei offered for gas of blobs`);
  const paid = await paidFor(place);
  for (const { gasPrice, blobGasPrice } of paid) {
    ok(gasPrice <= maxFee, `${gasPrice} wei paid for gas`);
    ok(blobGasPrice <= maxBlobFee, `${blobGasPrice} wei paid for gas of blobs`);
  }
  return paid;
}

/** Makes sure that `montana explain` tells of a replaced batch each offer, the wait, and what was paid. */
async function explained(
  { cwd }: EthereumPlace,
  { sent }: FaultProxy,
  paid: readonly Paid[],
): Promise<void> {
  const replaced = sent.find(({ tx, hash }) =>
    sent.some((other) => other.tx.nonce === tx.nonce && `${other.hash}` !== `${hash}`)
  )!;
  const batch = Number(replaced.tx.nonce);
  const text = succeeded(await run(`explain batch ${batch} --data-dir data`, { cwd }));
  match(text, /^signed +\d+ times$/m);
  match(text, /signed batch \d+ with nonce \d+.* \(first\), at most/);
  match(text, /signed batch \d+ with nonce \d+.* \(bump\), at most/);
  match(text, /waits \(blob fee\): .*gas of blobs costs \d+ wei, at most 4500000000/);
  match(text, new RegExp(`^paid +${formatWei(paid[batch]!.wei).replace(".", "\\.")}$`, "m"));
}
