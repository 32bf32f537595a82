/**
 * The one owner of an account on L1 (design `ethereum.md`, "Sending"): nonces, fees, replacement,
 * confirmation, and what reorganisations undo. A batch keeps its nonce whatever happens, so a second
 * transaction for it can only take the place of the first.
 *
 * | file              |                                                                      |
 * | ----------------- | -------------------------------------------------------------------- |
 * | `send_job.ts`     | one call of `send()`                                                 |
 * | `nonce_slot.ts`   | one nonce, and all that was signed for it                            |
 * | `admission.ts`    | how a batch gets its nonce                                           |
 * | `watch.ts`        | where the nonces stand in the chain                                  |
 * | `upkeep.ts`       | what is done for those that are in no block                          |
 * | `publishing.ts`   | signing, writing down, sending                                       |
 * | `fees.ts`         | what is offered                                                      |
 *
 * @module
 */
import {
  ConfigError,
  describeError,
  isRetryable,
  RpcError,
  SignerError,
  SinkError,
} from "../errors.ts";
import type { BlobStore, Chain, Kzg, Signer, TxAttempt, TxJournal } from "../ethereum.ts";
import type { Clock, Log, Random } from "../ports.ts";
import type { SubmissionReceipt } from "../types.ts";
import { toHex } from "../wire/hex.ts";
import { Admission } from "./admission.ts";
import { Bell } from "./bell.ts";
import { gasFor, type Market } from "./gas.ts";
import { NonceSlot } from "./nonce_slot.ts";
import { Payload, readTransaction } from "./payload.ts";
import { Publishing } from "./publishing.ts";
import { isSameLanded, receiptOf, receiptOfLanded, SendJob, type TxRequest } from "./send_job.ts";
import { SidecarForms } from "./sidecar_form.ts";
import { type Runway, runway, SpendGuard, type Spending } from "./spend_guard.ts";
import { txConfig, type TxManagerConfig } from "./tx_config.ts";
import { type Moment, Upkeep } from "./upkeep.ts";
import { type L1View, landedTx, Watch } from "./watch.ts";

/** What a manager is made of. */
export interface TxManagerParts {
  readonly chain: Chain;
  readonly signer: Signer;
  /** Of this account on this chain, and used by nobody else. */
  readonly journal: TxJournal;
  readonly kzg: Kzg;
  /** Keeps what is sent until it is final, and longer if it likes. */
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
  /** Asks a node for `eth_config`, where one is asked directly. */
  readonly ethConfig?: () => Promise<unknown>;
}

/** How a manager stands. */
export interface TxManagerState {
  /** Calls whose batch has no nonce yet. */
  readonly queued: number;
  /** Nonces that are in no block. */
  readonly pending: number;
  /** Nonces that are in a block and not final. */
  readonly watched: number;
}

/** Waiting gets up to this share shorter, so that a fleet does not ask in step. */
const JITTER = 0.1;

export type { TxRequest };

/**
 * Sends transactions of one account, several at a time, in the order of the calls.
 */
export class TxManager {
  readonly #parts: TxManagerParts;
  readonly #config: TxManagerConfig;
  readonly #log: Log;
  readonly #forms: SidecarForms;
  readonly #watch: Watch;
  readonly #publishing: Publishing;
  readonly #upkeep: Upkeep;
  readonly #admission: Admission;
  readonly #bell = new Bell();
  /** By nonce: those that are not final. */
  #slots: NonceSlot[] = [];
  /** Those without a nonce, in the order of the calls. */
  #queue: SendJob[] = [];
  /** Those with a nonce. */
  #jobs: SendJob[] = [];
  #isClosed = false;
  #failure: unknown;
  /** Why nothing could be seen or done at the last moment. */
  #problem: unknown;
  #running: Promise<void> | undefined;

  private constructor(parts: TxManagerParts, config: TxManagerConfig, chainId: bigint) {
    const { chain, signer: { address }, log = () => {} } = parts;
    this.#parts = parts;
    this.#config = config;
    this.#log = log;
    this.#forms = new SidecarForms(config.sidecar, parts.ethConfig);
    this.#watch = new Watch({ ...config, chain, address, log });
    this.#publishing = new Publishing({ ...parts, log, chainId, forms: this.#forms });
    const guard = new SpendGuard(config);
    this.#upkeep = new Upkeep({
      ...parts,
      address,
      config,
      guard,
      log,
      publishing: this.#publishing,
    });
    const { publishing, upkeep } = { publishing: this.#publishing, upkeep: this.#upkeep };
    this.#admission = new Admission({ chain, address, config, publishing, upkeep });
  }

  /**
   * Takes the account over, with all that the journal says is under way: it goes on at once.
   *
   * @throws {ConfigError} `Invalid` for a setting, or a chain, that cannot be
   * @throws {RpcError} where the node cannot be asked
   */
  static async open(
    parts: TxManagerParts,
    config: Partial<TxManagerConfig> = {},
  ): Promise<TxManager> {
    const whole = txConfig(config);
    const chainId = await parts.chain.chainId();
    if (whole.chainId !== undefined && whole.chainId !== chainId) {
      throw new ConfigError(
        "Invalid",
        `Cannot send to ${parts.chain.name}: its chain id is ${chainId}, need ${whole.chainId}`,
        { details: { value: chainId, expected: whole.chainId } },
      );
    }
    const manager = new TxManager(parts, whole, chainId);
    await manager.#restore();
    manager.#running = manager.#run();
    return manager;
  }

  /** The account, 20 bytes. */
  get address(): Uint8Array {
    return this.#parts.signer.address;
  }

  get state(): TxManagerState {
    const pending = this.#slots.filter((slot) => slot.isPending).length;
    return { queued: this.#queue.length, pending, watched: this.#slots.length - pending };
  }

  /** How a batch that is under way travels; `undefined` for one that is not. */
  kindOf(batchNumber: bigint): "blobs" | "calldata" | undefined {
    const attempt = this.#slots.findLast((slot) => slot.batchNumber === batchNumber)?.batchAttempt;
    const hasBlobs = attempt
      ? attempt.blobHashes.length > 0
      : this.#queue.find((job) => job.batchNumber === batchNumber)?.hasBlobs;
    return hasBlobs === undefined ? undefined : hasBlobs ? "blobs" : "calldata";
  }

  /** How long the account lasts. */
  async runway(): Promise<Runway> {
    return runway(await this.#parts.chain.balance(this.address), this.#spending());
  }

  /** What gas costs now. */
  async market(): Promise<Market> {
    const { chain } = this.#parts;
    const head = await chain.header("latest");
    if (!head) {
      throw new RpcError("Invalid", `Cannot tell fees: ${chain.name} knows no latest block`);
    }
    return { baseFee: head.baseFeePerGas, ...await this.#tips() };
  }

  /**
   * Resolves when the node answers, and says why not otherwise.
   *
   * @throws {SinkError} | {RpcError}
   */
  async healthCheck(): Promise<void> {
    this.#refuseAfterEnd();
    if (this.#problem !== undefined) throw this.#problem;
    const balance = await this.#parts.chain.balance(this.address);
    if (balance > 0n) return;
    const what = `Cannot send: account ${toHex(this.address)} has nothing. Fund it`;
    throw new SinkError("InsufficientFunds", what, { details: { balance } });
  }

  /**
   * Puts a batch into the inbox, and resolves when it is confirmed. A batch that is under way is not sent
   * a second time, neither in this process nor after a crash: the call joins it. What was resolved is
   * watched until it is final, and sent again where a reorganisation takes it out.
   *
   * @throws {SinkError} `Timeout` where it goes on and may still land
   * @throws {SinkError} `WindowExpired`, `TxFailed`, `NonceTaken`, `InsufficientFunds`, `Changed`
   */
  send(request: TxRequest): Promise<SubmissionReceipt> {
    this.#refuseAfterEnd();
    const under = [...this.#queue, ...this.#jobs].find((job) => isSameRequest(job, request));
    if (under) return under.promise;
    const job = new SendJob(request, this.#parts.clock.now());
    this.#queue.push(job);
    void this.#prepare(job);
    return job.promise;
  }

  /** Stops. What is under way stays in the journal, and goes on when it is opened again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#bell.ring();
    await this.#running;
    const what = "its program ends; it goes on with the next start";
    this.#rejectAll((job) =>
      new SinkError("Timeout", `Cannot tell what becomes of batch ${job.batchNumber}: ${what}`)
    );
  }

  /** Proofs take long: they are made while those before are sent. */
  async #prepare(job: SendJob): Promise<void> {
    const { to, input, blobs } = job.request;
    try {
      const payload = await Payload.make(this.#parts, to, input, blobs);
      await payload.prepare(await this.#forms.first());
      job.payload = payload;
    } catch (error) {
      this.#queue = this.#queue.filter((each) => each !== job);
      job.reject(error);
    }
    this.#bell.ring();
  }

  async #restore(): Promise<void> {
    for (const attempt of this.#parts.journal.attempts) {
      let slot = this.#slots.find(({ nonce }) => nonce === attempt.nonce);
      if (!slot) this.#slots.push(slot = new NonceSlot(attempt.nonce, true));
      slot.add(attempt, gasFor((await readTransaction(attempt.signed.raw)).input));
    }
    this.#slots.sort((a, b) => (a.nonce < b.nonce ? -1 : 1));
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#parts;
    while (!this.#isClosed) {
      try {
        await this.#step();
        this.#problem = undefined;
      } catch (error) {
        if (!isPassing(error)) return this.#fail(error);
        this.#tellProblem(error);
      }
      this.#endLate();
      const pollMs = this.#config.blockTimeMs * (1 - JITTER * random.next());
      const isIdle = this.#slots.length + this.#queue.length === 0;
      if (!this.#isClosed) await this.#bell.sleep(clock, isIdle ? Infinity : pollMs);
    }
  }

  async #step(): Promise<void> {
    if (this.#slots.length + this.#queue.length === 0) return;
    const view = await this.#watch.look(this.#slots);
    const moment = this.#moment(view);
    this.#join();
    for (const job of this.#jobs) this.#settle(job, view);
    this.#jobs = this.#jobs.filter((job) => !job.isSettled && job.slot !== undefined);
    await this.#forget(view);
    for (const slot of this.#slots) {
      if (this.#isClosed) return;
      if (slot.isPending) await this.#tend(slot, moment);
    }
    while (!this.#isClosed && await this.#admitNext(moment));
  }

  /** Gives jobs whose batch is under way, or landed for good, what is known of it. */
  #join(): void {
    const queue: SendJob[] = [];
    for (const job of this.#queue) {
      const { payload, batchNumber } = job;
      const landed = this.#parts.journal.landed.findLast((each) =>
        each.batchNumber === batchNumber && each.isSuccess
      );
      const slot = this.#slots.findLast((each) =>
        each.batchNumber === batchNumber && !this.#isSpent(each)
      );
      if (!payload || (!landed && !slot)) {
        queue.push(job);
      } else if (slot) {
        this.#joinSlot(job, slot, payload);
      } else if (isSameLanded(payload, landed!)) {
        job.land(receiptOfLanded(batchNumber, landed!));
      } else {
        job.reject(job.changed(landed!.nonce));
      }
    }
    this.#queue = queue;
  }

  #joinSlot(job: SendJob, slot: NonceSlot, payload: Payload): void {
    const attempt = slot.batchAttempt!;
    const hasBlobs = payload.blobHashes.length > 0;
    if (hasBlobs !== attempt.blobHashes.length > 0) {
      // The first may still land: they share the nonce, so one of them will.
      if (slot.isPending && !slot.isCancelled) {
        slot.owes = "fallback";
        slot.fallback = payload;
      }
    } else if (!isSameAttempt(payload, attempt)) {
      return job.reject(job.changed(slot.nonce));
    }
    job.slot = slot;
    job.hasJoined = true;
    slot.verdict = undefined;
    slot.refusals = 0;
    this.#jobs.push(job);
  }

  /** Whether a nonce will never carry its batch. */
  #isSpent(slot: NonceSlot): boolean {
    if (slot.isTaken) return true;
    const { inclusion } = slot;
    return inclusion !== undefined &&
      (inclusion.attempt.batchNumber === undefined || !inclusion.receipt.isSuccess);
  }

  #settle(job: SendJob, { head }: L1View): void {
    const slot = job.slot!;
    const outcome = slot.outcome(head, this.#config.confirmations);
    if (outcome === undefined) {
      if (!slot.isPending || !job.isTooLate(head)) return;
      if (!slot.isCancelled) slot.owes = "cancel";
      return job.reject(job.expired(head.number));
    }
    if (outcome.result === "success") {
      return job.land(receiptOf(job.batchNumber, outcome.inclusion));
    }
    if (outcome.result === "reverted" && !job.hasJoined) {
      return job.reject(job.reverted(receiptOf(job.batchNumber, outcome.inclusion)));
    }
    if (outcome.result === "taken" && !job.hasJoined && slot.isOffered) {
      return job.reject(job.taken(slot.nonce));
    }
    // This nonce can carry it no more: it takes the next.
    job.slot = undefined;
    this.#queue.unshift(job);
  }

  async #forget(view: L1View): Promise<void> {
    const { confirmations } = this.#config;
    const done: NonceSlot[] = [];
    let finalNumber: bigint | undefined;
    for (const slot of this.#slots) {
      if (!slot.outcome(view.head, confirmations)) break;
      finalNumber ??= await this.#watch.finalNumber(view.head);
      if (!await this.#watch.isFinal(slot, finalNumber)) break;
      done.push(slot);
    }
    const last = done.at(-1);
    if (!last) return;
    const landed = done.flatMap((slot) => slot.inclusion ? [landedTx(slot, slot.inclusion)] : []);
    await this.#parts.journal.forget(last.nonce + 1n, landed);
    this.#slots = this.#slots.slice(done.length);
    for (const { inclusion } of done) {
      if (!inclusion) continue;
      const { attempt, receipt } = inclusion;
      this.#log({ event: "tx.final", attempt, receipt });
    }
  }

  async #tend(slot: NonceSlot, moment: Moment): Promise<void> {
    const job = this.#jobs.find((each) => each.slot === slot);
    try {
      await this.#upkeep.tend(slot, moment);
    } catch (error) {
      if (error instanceof SignerError) {
        this.#upkeep.tell(slot, "signer", error);
        if (job && !isRetryable(error)) slot.verdict = undefined;
      } else if (error instanceof SinkError) {
        this.#upkeep.tell(slot, "archive", error);
        slot.verdict = error;
      } else {
        throw error;
      }
    }
    if (!slot.verdict || !job) return;
    // The nonce stays the batch's: whoever posts it again joins it.
    job.reject(slot.verdict);
    this.#jobs = this.#jobs.filter((each) => each !== job);
  }

  /** @returns whether the one after it may be looked at */
  async #admitNext(moment: Moment): Promise<boolean> {
    const job = this.#queue[0];
    if (!job?.payload) return false;
    try {
      if (job.isTooLate(moment.view.head)) throw job.expired(moment.view.head.number);
      const slot = await this.#admission.admit(job, job.payload, moment);
      if (!slot) return false;
      this.#slots.push(slot);
      job.slot = slot;
      job.hasJoined = false;
      this.#jobs.push(job);
    } catch (error) {
      const isOfBatch = error instanceof SinkError || error instanceof SignerError;
      if (!isOfBatch) throw error;
      if (error instanceof SignerError && isRetryable(error)) {
        job.problem = error;
        this.#upkeep.tell(job, "signer", error);
        return false;
      }
      job.reject(error);
    }
    this.#queue.shift();
    if (job.slot) await this.#tend(job.slot, moment);
    return true;
  }

  #moment(view: L1View): Moment {
    const { chain } = this.#parts;
    let market: Promise<Market> | undefined;
    let balance: Promise<bigint> | undefined;
    const { baseFeePerGas: baseFee } = view.head;
    const ask = async () => ({ baseFee, ...await this.#tips() });
    return {
      view,
      nowMs: this.#parts.clock.now(),
      spending: () => this.#spending(),
      market: () => market ??= ask(),
      balance: () => balance ??= chain.balance(this.address),
    };
  }

  async #tips(): Promise<Omit<Market, "baseFee">> {
    const { chain } = this.#parts;
    const [tip, blobBaseFee] = await Promise.all([chain.tip(), chain.blobBaseFee()]);
    return { tip, blobBaseFee };
  }

  #spending(): Spending {
    const { journal, clock } = this.#parts;
    return { landed: journal.landed, slots: this.#slots, nowMs: clock.now() };
  }

  #tellProblem(error: unknown): void {
    const isNew = describeError(error) !== describeError(this.#problem);
    this.#problem = error;
    for (const job of this.#queue) job.problem = error;
    if (isNew) this.#log({ event: "tx.waits", batchNumber: undefined, reason: "node", error });
  }

  /** Whoever waited long enough is told; what has a nonce goes on. */
  #endLate(): void {
    const { sendTimeoutMs } = this.#config;
    const nowMs = this.#parts.clock.now();
    const isLate = (job: SendJob) => nowMs - job.startedMs >= sendTimeoutMs;
    for (const job of [...this.#queue, ...this.#jobs].filter(isLate)) job.reject(job.late());
    this.#queue = this.#queue.filter((job) => !job.isSettled);
    this.#jobs = this.#jobs.filter((job) => !job.isSettled);
  }

  #fail(error: unknown): void {
    this.#failure = error;
    this.#isClosed = true;
    this.#rejectAll(() => error);
  }

  #rejectAll(reason: (job: SendJob) => unknown): void {
    for (const job of [...this.#queue, ...this.#jobs]) job.reject(reason(job));
    this.#queue = [];
    this.#jobs = [];
  }

  #refuseAfterEnd(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#isClosed) {
      throw new SinkError("Connection", "Cannot send: the manager is closed", { kind: "critical" });
    }
  }
}

function isSameRequest(job: SendJob, { batchNumber, blobs }: TxRequest): boolean {
  return job.batchNumber === batchNumber && job.hasBlobs === blobs.length > 0;
}

function isSameAttempt(payload: Payload, { blobHashes, signed }: TxAttempt): boolean {
  if (payload.blobHashes.length > 0) {
    return payload.blobHashes.map(toHex).join() === blobHashes.map(toHex).join();
  }
  // The raw bytes hold the input as it is.
  return toHex(signed.raw).includes(toHex(payload.input).slice(2));
}

/** What the next moment may mend by itself. */
function isPassing(error: unknown): boolean {
  return error instanceof RpcError || isRetryable(error);
}
