import { deepStrictEqual as deepEqual, strictEqual as equal } from "node:assert/strict";
import { after, before, test } from "node:test";
import { describeError } from "../../src/errors.ts";
import type { Signer, TxJournal } from "../../src/ethereum.ts";
import { BlobArchive } from "../../src/l1/blob_archive.ts";
import { RpcChain } from "../../src/l1/chain.ts";
import { HttpJsonRpc } from "../../src/l1/json_rpc.ts";
import { openKzg } from "../../src/l1/kzg_pool.ts";
import { LocalSigner } from "../../src/l1/signers.ts";
import type { TxManagerConfig } from "../../src/l1/tx_config.ts";
import { TxManager } from "../../src/l1/tx_manager.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import { MemoryTxJournal } from "../../src/local/memory_tx_journal.ts";
import type { LogEvent } from "../../src/ports.ts";
import { systemClock, systemRandom } from "../../src/runtime.ts";
import type { SubmissionReceipt } from "../../src/types.ts";
import { equalBytes } from "../../src/wire/bytes.ts";
import { fromHex, toHex } from "../../src/wire/hex.ts";
import { type Anvil, type AnvilOptions, skipWithoutAnvil, startAnvil } from "./anvil.ts";
import { loadTrustedSetup } from "./sending.ts";
import { INBOX, request } from "./tx_world.ts";

const SUITE = "TxManager on anvil";
/** What takes longer hangs: whoever waits is told what happened until then. */
const LIMIT_MS = 120_000;
const FAST = { blockTimeMs: 150, confirmations: 3 };

/** An account on a real node, whose process can begin anew. */
class AnvilWorld implements AsyncDisposable {
  readonly anvil: Anvil;
  readonly chain: RpcChain;
  readonly events: LogEvent[] = [];
  readonly journal: TxJournal = new MemoryTxJournal();
  readonly #kzg: Awaited<ReturnType<typeof openKzg>>;
  readonly #archive: BlobArchive;
  readonly #signer: Signer;
  readonly #open: TxManager[] = [];

  private constructor(anvil: Anvil, kzg: Awaited<ReturnType<typeof openKzg>>, signer: Signer) {
    this.anvil = anvil;
    this.chain = new RpcChain(new HttpJsonRpc({ url: anvil.url, clock: systemClock }));
    this.#kzg = kzg;
    this.#signer = signer;
    this.#archive = new BlobArchive({ storage: new MemoryStorage(), directory: "blobs", kzg });
  }

  static async start(options: AnvilOptions): Promise<AnvilWorld> {
    const anvil = await startAnvil(options);
    // On a machine with much to do it takes longer than a call may, again and again.
    await loadTrustedSetup(anvil);
    const signer = await LocalSigner.open(anvil.accounts[0]!.key.slice());
    return new AnvilWorld(anvil, await openKzg(), signer);
  }

  get address(): Uint8Array {
    return this.#signer.address;
  }

  /** Ends the process before. */
  async open(config: Partial<TxManagerConfig> = {}): Promise<TxManager> {
    await this.#open.pop()?.close();
    const manager = await TxManager.open({
      chain: this.chain,
      signer: this.#signer,
      journal: this.journal,
      kzg: this.#kzg,
      blobs: this.#archive,
      clock: systemClock,
      random: systemRandom,
      log: (event) => void this.events.push(event),
    }, { ...FAST, ...config });
    this.#open.push(manager);
    return manager;
  }

  /** Mines until it is done. */
  async mineUntil<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    const settle = () => void (isDone = true);
    work.then(settle, settle);
    const deadlineMs = systemClock.now() + LIMIT_MS;
    while (!isDone) {
      await systemClock.sleep(100);
      await this.anvil.mine();
      this.#mustBeBefore(deadlineMs);
    }
    return await work;
  }

  async until(isSo: () => boolean): Promise<void> {
    const deadlineMs = systemClock.now() + LIMIT_MS;
    while (!isSo()) {
      await systemClock.sleep(20);
      this.#mustBeBefore(deadlineMs);
    }
  }

  #mustBeBefore(deadlineMs: number): void {
    if (systemClock.now() < deadlineMs) return;
    const told = this.events.slice(-30).map((each) => {
      const hash = "attempt" in each && typeof each.attempt === "object" &&
        toHex(each.attempt.signed.hash);
      const error = "error" in each ? describeError(each.error) : "";
      return `${each.event} ${hash || ""} ${"answer" in each ? each.answer : error}`;
    });
    throw new Error(`it hangs after\n${told.join("\n")}`);
  }

  /** Numbers of the batches that the chain holds, in its order. */
  async batches(): Promise<bigint[]> {
    const found: bigint[] = [];
    const head = await this.anvil.head();
    for (let number = 0n; number <= head; number++) {
      for (const { to, input } of (await this.chain.block(number))!.transactions) {
        if (!to || !equalBytes(to, INBOX)) continue;
        found.push(new DataView(input.buffer, input.byteOffset).getBigUint64(0, true));
      }
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const manager of this.#open) await manager.close();
    await this.#kzg.close();
    await this.anvil[Symbol.asyncDispose]();
  }
}

/** The blobs of a block as the beacon endpoint of the node gives them. */
async function blobsOf(world: AnvilWorld, { l1Block }: SubmissionReceipt): Promise<string[]> {
  const answer = await fetch(`${world.anvil.url}/eth/v1/beacon/blobs/${l1Block}`);
  const { data } = await answer.json() as { data: string[] };
  return data.map((blob) => toHex(fromHex(blob, "blob")));
}

const skip = skipWithoutAnvil(SUITE);
let world: AnvilWorld;
let next = 0;
before(async () => {
  if (!skip) world = await AnvilWorld.start({ noMining: true });
});
after(() => world?.[Symbol.asyncDispose]());

/** All batches so far are on the chain, each once and in order. */
async function assertAllThere(): Promise<void> {
  deepEqual(await world.batches(), Array.from({ length: next }, (_, number) => BigInt(number)));
}

for (const form of ["cells", "legacy"] as const) {
  test(`${SUITE}: blobs travel in the form ${form}, and come back as they were`, {
    skip,
  }, async () => {
    const manager = await world.open({ sidecar: form });
    const requests = [request(next++, { blobs: 6 }), request(next++, { blobs: 2 })];
    const receipts = await world.mineUntil(Promise.all(requests.map((each) => manager.send(each))));
    await assertAllThere();
    for (const [at, receipt] of receipts.entries()) {
      const blobs = await blobsOf(world, receipt);
      for (const blob of requests[at]!.blobs) equal(blobs.includes(toHex(blob)), true);
      equal(receipt.cost!.blobGasUsed, BigInt(requests[at]!.blobs.length) * 131_072n);
    }
  });
}

test(`${SUITE}: a transaction that is not included is replaced, and one of them lands`, {
  skip,
}, async () => {
  const manager = await world.open({ bumpIntervalMs: 400 });
  const number = BigInt(next);
  const send = manager.send(request(next++));
  const attempts = () => world.journal.attempts.filter((each) => each.batchNumber === number);
  await world.until(() => attempts().length === 3);
  const [first, second] = attempts();
  equal(new Set(attempts().map(({ nonce }) => nonce)).size, 1);
  equal(second!.signedAtMs - first!.signedAtMs >= 400, true);
  equal(second!.fees.maxFeePerBlobGas, 2n * first!.fees.maxFeePerBlobGas);
  const { txHash } = await world.mineUntil(send);
  equal(attempts().some(({ signed }) => equalBytes(signed.hash, txHash)), true);
  await assertAllThere();
});

for (const depth of [1, 5, 20]) {
  test(`${SUITE}: what a reorganisation of ${depth} blocks takes out is sent again`, {
    skip,
  }, async () => {
    const manager = await world.open();
    world.events.length = 0;
    const number = BigInt(next);
    const told = (event: LogEvent["event"]) =>
      world.events.filter((each) =>
        each.event === event && "attempt" in each && typeof each.attempt === "object" &&
        each.attempt.batchNumber === number
      );
    const send = manager.send(request(next++, { blobs: depth % 2 }));
    await world.until(() => told("tx.sent").length > 0);
    await world.anvil.mine();
    await world.until(() => told("tx.included").length > 0);
    await world.anvil.mine(depth - 1);
    await world.anvil.rpc("anvil_reorg", [depth, []]);
    equal((await world.batches()).length, next - 1);
    await world.until(() => told("tx.reorganised").length > 0);
    await world.mineUntil(send);
    await world.mineUntil(world.until(() => told("tx.included").length > 1));
    await assertAllThere();
  });
}

test(`${SUITE}: the journal is empty when all is final`, { skip }, async () => {
  await world.open();
  const final = world.until(() => world.journal.attempts.length === 0);
  await world.anvil.mine(70);
  await world.mineUntil(final);
  equal(world.journal.landed.length, next);
  await assertAllThere();
});
