/**
 * The one owner of an account on L1 (design `ethereum.md`, "Sending"): nonces, fees, replacement,
 * confirmation, and what reorganisations undo. A batch keeps its nonce whatever happens, so a second
 * transaction for it can only take the place of the first.
 *
 * | file              |                                                                      |
 * | ----------------- | -------------------------------------------------------------------- |
 * | `send_job.ts`     | one call of `send()`                                                 |
 * | `nonce_slot.ts`   | one nonce, and all that was signed for it                            |
 * | `send_jobs.ts`    | who waits for what                                                   |
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
import type { Log } from "../ports.ts";
import type { SubmissionReceipt } from "../types.ts";
import { toHex } from "../wire/hex.ts";
import { AccountFunds } from "./account_funds.ts";
import { Admission } from "./admission.ts";
import { Bell } from "./bell.ts";
import { gasFor, type Market } from "./gas.ts";
import { NonceSlot } from "./nonce_slot.ts";
import { Payload, readTransaction } from "./payload.ts";
import { Publishing } from "./publishing.ts";
import { jobAnew, SendJob, type TxRequest } from "./send_job.ts";
import { SendJobs } from "./send_jobs.ts";
import { SidecarForms } from "./sidecar_form.ts";
import { type Runway, SpendGuard, type Spending } from "./spend_guard.ts";
import {
  txConfig,
  type TxManagerConfig,
  type TxManagerParts,
  type TxManagerState,
} from "./tx_config.ts";
import { type Moment, Upkeep } from "./upkeep.ts";
import { type L1View, landedTx, Watch } from "./watch.ts";

/** In one block, as a guess. */
const TX_PER_BLOCK = 2;
/** Waiting gets up to this share shorter, so that a fleet does not ask in step. */
const JITTER = 0.1;

export type { TxManagerParts, TxManagerState, TxRequest };

/**
 * Sends transactions of one account, several at a time, in the order of the calls.
 *
 * @example
 * ```ts
 * import {
 *   BlobArchive,
 *   HttpJsonRpc,
 *   LocalSigner,
 *   MemoryStorage,
 *   MemoryTxJournal,
 *   openKzg,
 *   RpcChain,
 *   systemClock,
 *   systemRandom,
 *   TxManager,
 * } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const kzg = await openKzg();
 * const key = new Uint8Array(32).fill(1); // Yours, from a file that only you can read.
 * const storage = new MemoryStorage(); // Or DiskStorage.
 * const opening = TxManager.open({
 *   chain: new RpcChain(new HttpJsonRpc({ url: "http://127.0.0.1:1", clock: systemClock })),
 *   signer: await LocalSigner.open(key),
 *   journal: new MemoryTxJournal(), // Or LogTxJournal, which outlives a crash.
 *   kzg,
 *   blobs: new BlobArchive({ storage, directory: "blobs", kzg }),
 *   clock: systemClock,
 *   random: systemRandom,
 * }, { confirmations: 12 });
 * const error = await opening.catch((error) => error); // Nobody listens there.
 * if (error.code !== "Unreachable") throw error;
 * await kzg.close();
 * ```
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
  readonly #funds: AccountFunds;
  readonly #bell = new Bell();
  /** By nonce: those that are not final. */
  #slots: NonceSlot[] = [];
  readonly #jobs: SendJobs;
  #isClosed = false;
  #failure: unknown;
  readonly #failed = Promise.withResolvers<never>();
  /** Why nothing could be seen or done at the last moment. */
  #problem: unknown;
  /** How many looks failed one after the other. */
  #failures = 0;
  #running: Promise<void> | undefined;
  /** All that was under way at the last look is confirmed. */
  #isSettled = false;

  private constructor(
    parts: TxManagerParts,
    config: TxManagerConfig,
    { chainId, firstNonce }: { readonly chainId: bigint; readonly firstNonce: bigint },
  ) {
    const { chain, signer: { address }, log = () => {} } = parts;
    this.#parts = parts;
    this.#config = config;
    this.#log = log;
    this.#failed.promise.catch(() => {}); // Whoever waits for it is told.
    this.#forms = new SidecarForms(config.sidecar, parts.ethConfig);
    this.#watch = new Watch({ ...config, ...parts, address, log });
    this.#funds = new AccountFunds({ ...config, chain, address, log });
    this.#jobs = new SendJobs({ ...config, log, journal: parts.journal, watch: this.#watch });
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
    const own = { publishing: this.#publishing, upkeep: this.#upkeep };
    this.#admission = new Admission({ chain, address, config, ...own, firstNonce });
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
    const firstNonce = await parts.chain.nonce(parts.signer.address, "latest");
    const manager = new TxManager(parts, whole, { chainId, firstNonce });
    await manager.#restore(firstNonce);
    manager.#running = manager.#run();
    return manager;
  }

  /**
   * Rejects when sending has ended for good, though nobody may wait for a batch then: what is confirmed is not
   * watched any more. It never resolves.
   */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** The account, 20 bytes. */
  get address(): Uint8Array {
    return this.#parts.signer.address;
  }

  /** Calls of `send()` that make sense at the same time: most of them wait for confirmations. */
  get maxInFlight(): number {
    const { maxPendingTx, confirmations } = this.#config;
    return maxPendingTx + TX_PER_BLOCK * confirmations;
  }

  get state(): TxManagerState {
    const pending = this.#slots.filter((slot) => slot.isPending).length;
    return { queued: this.#jobs.queued, pending, watched: this.#slots.length - pending };
  }

  /** How a batch that is under way travels; `undefined` for one that is not. */
  kindOf(batchNumber: bigint): "blobs" | "calldata" | undefined {
    const attempt = this.#slots.findLast((slot) => slot.batchNumber === batchNumber)?.batchAttempt;
    if (!attempt) return this.#jobs.kindOf(batchNumber);
    return attempt.blobHashes.length > 0 ? "blobs" : "calldata";
  }

  /** How long the account lasts. */
  runway(): Promise<Runway> {
    return this.#funds.runway(this.#spending());
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
    if (this.#ended !== undefined) throw this.#ended;
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
    const ended = this.#ended;
    if (ended !== undefined) return Promise.reject(ended);
    const same = this.#jobs.find(request);
    if (same) return same.promise;
    const job = new SendJob(request, this.#parts.clock.now());
    this.#jobs.add(job);
    void this.#prepare(job);
    return job.promise;
  }

  /** Resolves when all under way is confirmed, also of earlier runs. */
  async settled(): Promise<void> {
    while (!this.#isClosed && !this.#isIdle && !this.#isSettled) {
      await this.#parts.clock.sleep(this.#config.blockTimeMs / 4);
    }
  }

  /** Stops. What is under way stays in the journal, and goes on when it is opened again. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#bell.ring();
    await this.#running;
    const what = "its program ends; it goes on with the next start";
    this.#jobs.rejectAll((job) =>
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
      this.#jobs.reject(job, error);
    }
    this.#bell.ring();
  }

  async #restore(firstNonce: bigint): Promise<void> {
    for (const attempt of this.#parts.journal.attempts) {
      const { nonce, signed: { raw } } = attempt;
      let slot = this.#slots.find((each) => each.nonce === nonce);
      if (!slot) this.#slots.push(slot = new NonceSlot(nonce, true, nonce < firstNonce));
      slot.add(attempt, gasFor((await readTransaction(raw)).input));
    }
    this.#slots.sort((a, b) => (a.nonce < b.nonce ? -1 : 1));
  }

  async #run(): Promise<void> {
    const { clock, random } = this.#parts;
    while (!this.#isClosed) {
      try {
        await this.#step();
        this.#problem = undefined;
        this.#failures = 0;
      } catch (error) {
        // Others the next moment may mend by itself.
        if (!(error instanceof RpcError || isRetryable(error))) return this.#fail(error);
        this.#tellProblem(error);
        this.#failures += 1;
        if (this.#failures >= this.#config.maxFailures) this.#jobs.rejectAll(() => error);
      }
      this.#jobs.endLate(clock.now());
      const pollMs = this.#config.blockTimeMs * (1 - JITTER * random.next());
      if (!this.#isClosed) await this.#bell.sleep(clock, this.#isIdle ? Infinity : pollMs);
    }
  }

  get #isIdle(): boolean {
    return this.#slots.length + this.#jobs.queued === 0;
  }

  async #step(): Promise<void> {
    if (this.#isIdle) return;
    const view = await this.#watch.look(this.#slots);
    this.#admission.refuseStrangers(view.nextNonce, this.#spending());
    const moment = this.#moment(view);
    this.#jobs.join(this.#slots, view);
    await this.#jobs.settle(view);
    for (const slot of await this.#jobs.orphans(this.#slots, view)) {
      this.#jobs.add(await jobAnew(this.#parts, slot));
    }
    await this.#forget(view);
    for (const slot of this.#slots) {
      if (this.#isClosed) return;
      if (slot.isPending) await this.#tend(slot, moment);
    }
    while (!this.#isClosed && await this.#admitNext(moment));
    this.#isSettled = this.#jobs.areSettled(this.#slots, view.head);
    await this.#funds.look(this.#spending());
  }

  async #forget(view: L1View): Promise<void> {
    const { confirmations } = this.#config;
    const done: NonceSlot[] = [];
    let finalNumber: bigint | undefined;
    for (const slot of this.#slots) {
      const isSettled = slot.outcome(view.head, confirmations) !== undefined;
      if (!isSettled || this.#jobs.isOwed(slot, this.#slots, view.head)) break;
      finalNumber ??= await this.#watch.finalNumber(view.head);
      if (!await this.#watch.isFinal(slot, finalNumber)) break;
      await this.#watch.verify(slot);
      if (!slot.outcome(view.head, confirmations)) break;
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
    const job = this.#jobs.of(slot);
    try {
      await this.#upkeep.tend(slot, moment);
    } catch (error) {
      if (error instanceof SignerError) {
        this.#upkeep.tell(slot, "signer", error);
      } else if (error instanceof SinkError) {
        this.#upkeep.tell(slot, "archive", error);
        slot.verdict = error;
      } else {
        throw error;
      }
    }
    if (!slot.verdict || !job) return;
    // The nonce stays the batch's: whoever posts it again joins it.
    this.#jobs.reject(job, slot.verdict);
  }

  /** @returns whether the one after it may be looked at */
  async #admitNext(moment: Moment): Promise<boolean> {
    // A call that came meanwhile may be for a batch that is under way.
    this.#jobs.join(this.#slots, moment.view);
    const job = this.#jobs.next;
    if (!job?.payload) return false;
    let slot: NonceSlot | undefined;
    try {
      if (job.isTooLate(moment.view.head)) throw job.expired(moment.view.head.number);
      slot = await this.#admission.admit(job, job.payload, moment);
      if (!slot) return false;
      this.#slots.push(slot);
    } catch (error) {
      if (error instanceof SignerError && isRetryable(error)) {
        job.problem = error;
        this.#upkeep.tell(job, "signer", error);
        return false;
      }
      if (!(error instanceof SinkError) && !(error instanceof SignerError)) throw error;
      job.reject(error);
    }
    this.#jobs.admitted(slot);
    if (slot) await this.#tend(slot, moment);
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
    this.#jobs.blame(error);
    if (isNew) this.#log({ event: "tx.waits", batchNumber: undefined, reason: "node", error });
  }

  #fail(error: unknown): void {
    this.#failure = error;
    this.#isClosed = true;
    this.#failed.reject(error);
    this.#jobs.rejectAll(() => error);
  }

  /** Why nothing is sent any more. */
  get #ended(): unknown {
    if (this.#failure !== undefined || !this.#isClosed) return this.#failure;
    return new SinkError("Connection", "Cannot send: the manager is closed", { kind: "critical" });
  }
}
