/**
 * Follows L1's epochs (seed `superblock-batch.md`, "L1 Listener"): each is given to a taker once, in order,
 * and those that went by unseen too. It asks at the exact moment an epoch begins, and now and then as well.
 *
 * @module
 */
import { isRetryable, MontanaError, SourceError } from "../errors.ts";
import type { Clock, Log, Random } from "../ports.ts";
import { backoffMs, RETRY_DEFAULTS, type RetryPolicy } from "../retry.ts";
import type {
  BatchTrigger,
  EpochEvent,
  EpochMark,
  EpochSource,
  EpochSourceName,
  EpochTaker,
  L1ClockConfig,
} from "../superblock.ts";
import {
  batchOfEpoch,
  batchWindow,
  checkedClock,
  epochAt,
  epochOfSlot,
  epochStart,
  firstSlotOf,
  slotAt,
  triggerAt,
  WATCHED_EPOCHS,
} from "./clock.ts";

/** What an {@link EpochListener} stands on. */
export interface EpochListenerParts {
  /** The first that answers is believed; one that failed is left alone for a while. */
  readonly sources: readonly EpochSource[];
  readonly taker: EpochTaker;
  readonly clock: Clock;
  readonly random: Random;
  readonly log?: Log;
}

/** How it listens. */
export interface EpochListenerConfig {
  readonly l1Clock: L1ClockConfig;
  /** The longest time between two looks at L1. */
  readonly pollIntervalMs: number;
  /** Waits after failures; it never gives up. */
  readonly retry?: RetryPolicy;
}

/** Where L1 is, by the last source that told, and what was delivered. */
export interface EpochListenerStatus {
  readonly currentEpoch: bigint;
  readonly currentSlot: bigint;
  readonly currentBatchNumber: bigint;
  readonly lastProcessedEpoch: bigint | undefined;
  readonly nextBatchEpoch: bigint;
  readonly batchFactor: bigint;
  readonly genesisTime: bigint;
  /** That the head is behind the clock here; 0 while nobody told. */
  readonly lagSeconds: bigint;
  /** `undefined` while nobody tells. */
  readonly source: EpochSourceName | undefined;
}

interface Asked {
  failures: number;
  retryAtMs: number;
}

/**
 * Delivers epochs and the triggers of batches.
 *
 * @example
 * ```ts
 * import { ClockEpochs, EpochListener, ManualClock } from "https://example.com/montana/v0.1.0/mod.ts";
 * import { type BatchTrigger, SeededRandom } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const l1Clock = { genesisTime: 0n, slotSeconds: 12n, slotsPerEpoch: 32n, batchFactor: 10n };
 * const clock = new ManualClock(1_000_000);
 * const stop = new AbortController();
 * const triggers: BatchTrigger[] = [];
 * const listener = new EpochListener({
 *   sources: [new ClockEpochs(l1Clock, clock)],
 *   taker: {
 *     lastEpoch: undefined,
 *     takeEpoch(_, trigger) {
 *       if (trigger) triggers.push(trigger);
 *       stop.abort(); // A real taker goes on, and keeps the last epoch.
 *       return Promise.resolve();
 *     },
 *   },
 *   clock,
 *   random: new SeededRandom(),
 * }, { l1Clock, pollIntervalMs: 12_000 });
 * await listener.run(stop.signal);
 * if (triggers[0]?.batchNumber !== 0n) throw new Error("no trigger for the batch under way");
 * ```
 */
export class EpochListener {
  readonly #parts: EpochListenerParts;
  readonly #config: Required<EpochListenerConfig>;
  readonly #asked: Map<EpochSource, Asked>;
  /** The newest last. */
  #recent: EpochMark[];
  #waiters: ((trigger: BatchTrigger | undefined) => void)[] = [];
  #begunAt: bigint | undefined;
  #headSlot: bigint | undefined;
  #source: EpochSourceName | undefined;

  /** @throws {ConfigError} `Invalid` for a clock that cannot be */
  constructor(parts: EpochListenerParts, config: EpochListenerConfig) {
    checkedClock(config.l1Clock);
    this.#parts = parts;
    this.#config = { retry: RETRY_DEFAULTS, ...config };
    // Over a restart too.
    this.#recent = [...parts.taker.recentEpochs ?? []];
    this.#asked = new Map(parts.sources.map((source) => [source, { failures: 0, retryAtMs: 0 }]));
  }

  get status(): EpochListenerStatus {
    const { l1Clock } = this.#config;
    const nowSlot = slotAt(l1Clock, this.#nowSeconds());
    const slot = this.#headSlot ?? nowSlot;
    const epoch = epochOfSlot(l1Clock, slot);
    const batchNumber = batchOfEpoch(l1Clock, epoch);
    return {
      currentEpoch: epoch,
      currentSlot: slot,
      currentBatchNumber: batchNumber,
      lastProcessedEpoch: this.#parts.taker.lastEpoch,
      nextBatchEpoch: batchWindow(l1Clock, batchNumber + 1n).firstEpoch,
      batchFactor: l1Clock.batchFactor,
      genesisTime: l1Clock.genesisTime,
      lagSeconds: slot < nowSlot ? (nowSlot - slot) * l1Clock.slotSeconds : 0n,
      source: this.#source,
    };
  }

  /** The next trigger that is delivered, for each who waits; `undefined` once aborted. */
  nextTrigger(signal?: AbortSignal): Promise<BatchTrigger | undefined> {
    if (signal?.aborted) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const abort = () => {
        this.#waiters = this.#waiters.filter((each) => each !== tell);
        resolve(undefined);
      };
      const tell = (trigger: BatchTrigger | undefined) => {
        signal?.removeEventListener("abort", abort);
        resolve(trigger);
      };
      signal?.addEventListener("abort", abort);
      this.#waiters.push(tell);
    });
  }

  /**
   * Listens until aborted.
   *
   * @throws what the taker threw, unless it is worth trying again
   */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#parts;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.look(signal);
        failures = 0;
      } catch (error) {
        if (!isRetryable(error)) throw error;
        const retryMs = backoffMs(++failures, this.#config.retry, random);
        this.#parts.log?.({ event: "tick.failed", error, retryMs });
        await clock.sleep(retryMs, signal);
        continue;
      }
      await clock.sleep(this.#restMs(), signal);
    }
    for (const tell of this.#waiters.splice(0)) tell(undefined);
  }

  /** Asks once how far L1 is, and delivers what is due. */
  async look(signal?: AbortSignal): Promise<void> {
    const { l1Clock } = this.#config;
    // Counted from here, however long it takes until somebody answers.
    this.#begunAt ??= epochAt(l1Clock, this.#nowSeconds());
    const head = await this.#ask((source) => this.#headOf(source), true);
    this.#source = head?.source.name;
    if (!head) return;
    this.#headSlot = head.answer;
    const current = epochOfSlot(l1Clock, head.answer);
    const { taker } = this.#parts;
    await this.#watchRecent(head.source, current);
    // The first of all begins with the batch that is under way.
    const begunAt = this.#begunAt < current ? this.#begunAt : current;
    const first = batchWindow(l1Clock, batchOfEpoch(l1Clock, begunAt)).firstEpoch;
    for (let epoch = (taker.lastEpoch ?? first - 1n) + 1n; epoch <= current; epoch++) {
      if (signal?.aborted) return;
      const event = await this.#eventOf(epoch);
      if (!event) return;
      await this.#deliver(event);
    }
  }

  async #deliver(epoch: EpochEvent): Promise<void> {
    const { taker, log } = this.#parts;
    const trigger = triggerAt(this.#config.l1Clock, epoch.epoch);
    await taker.takeEpoch(epoch, trigger);
    this.#recent = [...this.#recent, epoch].slice(-WATCHED_EPOCHS);
    log?.({ event: "epoch", epoch });
    if (!trigger) return;
    log?.({ event: "batch_trigger", trigger });
    for (const tell of this.#waiters.splice(0)) tell(trigger);
  }

  /** `undefined` where nobody can tell now. */
  async #eventOf(epoch: bigint): Promise<EpochEvent | undefined> {
    const { l1Clock } = this.#config;
    const slot = firstSlotOf(l1Clock, epoch);
    const end = firstSlotOf(l1Clock, epoch + 1n) - 1n;
    const found = await this.#ask(async (source) => ({
      block: await source.firstBlock?.(slot, end),
    }));
    if (!found) return undefined;
    const { source: { name: source }, answer: { block } } = found;
    const startsAt = epochStart(l1Clock, epoch);
    return { epoch, slot, startsAt, source, ...(block && { block }) };
  }

  /** A reorganisation gives an epoch another block, never another trigger. */
  async #watchRecent(source: EpochSource, current: bigint): Promise<void> {
    for (const [index, event] of this.#recent.entries()) {
      const { block: before, epoch } = event;
      // Where L1 went back over the boundary, the epoch has no block yet on the other way.
      if (!before || !source.hasBlock || epoch > current) continue;
      const still = await this.#ask(async (each) => await each.hasBlock?.(before) ?? true);
      if (still?.answer !== false) continue;
      const now = await this.#eventOf(epoch);
      if (!now?.block) continue;
      await this.#parts.taker.replaceEpochBlock?.(now);
      this.#recent[index] = now;
      this.#parts.log?.({ event: "epoch_reorganised", epoch: now, before });
    }
  }

  async #headOf(source: EpochSource): Promise<bigint> {
    const { l1Clock } = this.#config;
    const slot = await source.headSlot();
    const now = slotAt(l1Clock, this.#nowSeconds());
    if (slot <= now + l1Clock.slotsPerEpoch && slot >= now - l1Clock.slotsPerEpoch) return slot;
    const how = slot > now ? `${slot - now} slots ahead of` : `${now - slot} slots behind`;
    throw new SourceError(
      slot > now ? "Damaged" : "Connection",
      `Cannot go by the ${source.name}: its head is slot ${slot}, ${how} the clock here. See to the ` +
        `clock, the genesis time ${l1Clock.genesisTime}, and whether the node is synced`,
      { details: { slot, now } },
    );
  }

  /**
   * Asks the first source that answers. One that failed is asked for its head first: of blocks another
   * chain than the one that is down may tell.
   */
  async #ask<T>(
    question: (source: EpochSource) => Promise<T>,
    isForHead = false,
  ): Promise<{ readonly source: EpochSource; readonly answer: T } | undefined> {
    const { clock, random, log } = this.#parts;
    for (const [source, asked] of this.#asked) {
      if (asked.retryAtMs > clock.now() || (!isForHead && asked.failures > 0)) continue;
      try {
        const answer = await question(source);
        if (asked.failures > 0) log?.({ event: "epoch_source_recovered", source: source.name });
        asked.failures = asked.retryAtMs = 0;
        return { source, answer };
      } catch (error) {
        if (!(error instanceof MontanaError)) throw error;
        asked.failures += 1;
        const retryMs = backoffMs(asked.failures, this.#config.retry, random);
        asked.retryAtMs = clock.now() + retryMs;
        log?.({ event: "epoch_source_failed", source: source.name, error, retryMs });
      }
    }
    return undefined;
  }

  /** Until the next epoch begins by the clock here, and never longer than the interval. */
  #restMs(): number {
    const { l1Clock, pollIntervalMs } = this.#config;
    const nowMs = this.#parts.clock.now();
    const next = epochStart(l1Clock, epochAt(l1Clock, this.#nowSeconds()) + 1n);
    const retryMs = [...this.#asked.values()].map(({ retryAtMs }) => retryAtMs - nowMs)
      .filter((ms) => ms > 0);
    return Math.max(1, Math.min(Number(next) * 1000 - nowMs, pollIntervalMs, ...retryMs));
  }

  #nowSeconds(): bigint {
    return BigInt(Math.floor(this.#parts.clock.now() / 1000));
  }
}
