/**
 * Holds sequencers back while more waits to be posted than should: they put less data into their blocks,
 * until the batcher has caught up. The strategies, bounds and defaults are op-batcher's (its
 * `throttling.md`); that a node knows no `miner_setMaxDASize` is a warning here, and ends nothing.
 *
 * @module
 */
import { ConfigError, RpcError } from "../errors.ts";
import { RPC_CODES } from "../ethereum.ts";
import type { Clock, Log, Sequencer } from "../ports.ts";

/** How hard sequencers are held back as unposted bytes go from the lower to the upper bound. */
export type ThrottleStrategy = "step" | "linear" | "quadratic" | "pid";

/** The strategies, for those who choose. */
export const THROTTLE_STRATEGIES: readonly ThrottleStrategy[] = [
  "step",
  "linear",
  "quadratic",
  "pid",
];

/** Two bounds in bytes. */
export interface ByteRange {
  readonly lower: number;
  readonly upper: number;
}

/** Settings of a {@link Throttle}. */
export interface ThrottleConfig {
  readonly strategy: ThrottleStrategy;
  /** Unposted compressed bytes: below `lower` nobody is held back, from `upper` on as much as possible. */
  readonly unpostedBytes: ByteRange;
  /** What one transaction may have: `upper` just when it begins, `lower` at the most. */
  readonly txBytes: ByteRange;
  /** What one block may have: `upper` while nobody is held back, `lower` at the most. */
  readonly blockBytes: ByteRange;
  /** Between two looks. */
  readonly intervalMs: number;
  /** Gains of `pid`, for errors in parts of the range of unposted bytes, and seconds. */
  readonly pid: {
    readonly kp: number;
    readonly ki: number;
    readonly kd: number;
    readonly integralMax: number;
  };
}

/** op-batcher's defaults. */
export const THROTTLE_DEFAULTS: ThrottleConfig = Object.freeze({
  strategy: "quadratic",
  unpostedBytes: { lower: 3_200_000, upper: 12_800_000 },
  txBytes: { lower: 150, upper: 20_000 },
  blockBytes: { lower: 2_000, upper: 130_000 },
  intervalMs: 2_000,
  pid: { kp: 0.33, ki: 0.01, kd: 0.05, integralMax: 1_000 },
});

/** What a transaction and a block may have; 0: no bound. */
export interface DaLimits {
  readonly maxTxBytes: number;
  readonly maxBlockBytes: number;
}

/** The limits at an intensity from 0 to 1: without any, only blocks are bounded. */
export function daLimits(
  intensity: number,
  { txBytes, blockBytes }: Pick<ThrottleConfig, "txBytes" | "blockBytes">,
): DaLimits {
  if (intensity <= 0) return { maxTxBytes: 0, maxBlockBytes: blockBytes.upper };
  const between = ({ lower, upper }: ByteRange) => Math.round(upper - intensity * (upper - lower));
  return { maxTxBytes: between(txBytes), maxBlockBytes: between(blockBytes) };
}

/** From unposted bytes to an intensity, by one of the strategies. */
export class ThrottleController {
  readonly #config: ThrottleConfig;
  #integral = 0;
  #last: { readonly error: number; readonly atMs: number } | undefined;

  constructor(config: ThrottleConfig) {
    this.#config = config;
  }

  /** @returns from 0 to 1 */
  intensity(unpostedBytes: number, nowMs: number): number {
    const { strategy, unpostedBytes: { lower, upper } } = this.#config;
    const part = (unpostedBytes - lower) / (upper - lower);
    switch (strategy) {
      case "step":
        return unpostedBytes > lower ? 1 : 0;
      case "linear":
        return withinOne(part);
      case "quadratic":
        return withinOne(part) ** 2;
      case "pid":
        return withinOne(this.#pid(part, nowMs));
    }
  }

  #pid(error: number, nowMs: number): number {
    const { kp, ki, kd, integralMax } = this.#config.pid;
    const seconds = this.#last ? Math.max(0, nowMs - this.#last.atMs) / 1000 : 0;
    // Never below nothing, or a quiet hour would have to be made up for before it acts.
    this.#integral = Math.min(integralMax, Math.max(0, this.#integral + error * seconds));
    const slope = this.#last && seconds > 0 ? (error - this.#last.error) / seconds : 0;
    this.#last = { error, atMs: nowMs };
    return kp * error + ki * this.#integral + kd * slope;
  }
}

function withinOne(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** What a throttle is made of. */
export interface ThrottleParts {
  /** What waits to be posted, in compressed bytes. */
  readonly unpostedBytes: () => number;
  readonly sequencers: readonly Sequencer[];
  readonly clock: Clock;
  readonly log?: Log;
}

/** Looks after which limits are told again, though they are the same: a sequencer may have restarted. */
const REPEAT_LOOKS = 15;

/**
 * Tells all sequencers at once, again where one fails, and again from time to time.
 *
 * @example
 * ```ts
 * import { systemClock, Throttle } from "https://example.com/montana/v0.1.0/mod.ts";
 *
 * const told: number[] = [];
 * const throttle = new Throttle({
 *   unpostedBytes: () => 12_800_000,
 *   sequencers: [{
 *     name: "sequencer",
 *     setMaxDaSize: (_maxTxBytes, maxBlockBytes) => Promise.resolve(void told.push(maxBlockBytes)),
 *   }],
 *   clock: systemClock,
 * });
 * await throttle.look();
 * if (told[0] !== 2000) throw new Error("as little as possible");
 * ```
 */
export class Throttle {
  readonly #parts: ThrottleParts;
  readonly #config: ThrottleConfig;
  readonly #controller: ThrottleController;
  readonly #sequencers: ToldSequencer[];
  #intensity = 0;
  #toldIntensity = 0;

  /** @throws {ConfigError} `Invalid` naming key and value */
  constructor(parts: ThrottleParts, config: Partial<ThrottleConfig> = {}) {
    this.#parts = parts;
    this.#config = throttleConfig(config);
    this.#controller = new ThrottleController(this.#config);
    this.#sequencers = parts.sequencers.map((sequencer) => ({
      sequencer,
      told: undefined,
      wasTold: false,
      looks: 0,
      isFailing: false,
      isUnsupported: false,
    }));
  }

  /** As it was at the last look, from 0 to 1. */
  get intensity(): number {
    return this.#intensity;
  }

  /** Looks and tells until `signal` is aborted; then nobody is held back any more. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look();
      await this.#parts.clock.sleep(this.#config.intervalMs, signal);
    }
    const free = daLimits(0, this.#config);
    // One that was told once may still hold to it, though it has not answered since.
    const held = this.#sequencers.filter(({ wasTold }) => wasTold);
    await Promise.all(held.map((each) => this.#tell(each, free)));
  }

  /** Looks once, and resolves when all sequencers have answered; what fails is told to the log. */
  async look(): Promise<void> {
    const { clock, log = () => {} } = this.#parts;
    const unpostedBytes = this.#parts.unpostedBytes();
    this.#intensity = this.#controller.intensity(unpostedBytes, clock.now());
    const limits = daLimits(this.#intensity, this.#config);
    // Each step of a load that wavers is nobody's news.
    const isNews = (this.#intensity > 0) !== (this.#toldIntensity > 0) ||
      Math.abs(this.#intensity - this.#toldIntensity) >= 0.1;
    if (isNews) {
      this.#toldIntensity = this.#intensity;
      log({ event: "throttle.changed", unpostedBytes, intensity: this.#intensity, ...limits });
    }
    await Promise.all(this.#sequencers.map((each) => this.#keepTold(each, limits)));
  }

  async #keepTold(each: ToldSequencer, limits: DaLimits): Promise<void> {
    each.looks += 1;
    const { told } = each;
    const isSame = told?.maxTxBytes === limits.maxTxBytes &&
      told.maxBlockBytes === limits.maxBlockBytes;
    if (each.looks < REPEAT_LOOKS && (isSame || each.isUnsupported)) return;
    each.looks = 0;
    await this.#tell(each, limits);
  }

  async #tell(each: ToldSequencer, limits: DaLimits): Promise<void> {
    const { sequencer: { name } } = each;
    try {
      await each.sequencer.setMaxDaSize(limits.maxTxBytes, limits.maxBlockBytes);
      each.told = limits;
      each.wasTold = true;
      each.isFailing = each.isUnsupported = false;
    } catch (error) {
      each.told = undefined;
      const isUnsupported = error instanceof RpcError &&
        error.details["rpcCode"] === RPC_CODES.methodNotFound;
      const isNews = !each.isFailing || isUnsupported !== each.isUnsupported;
      each.isFailing = true;
      each.isUnsupported = isUnsupported;
      if (!isNews) return;
      this.#parts.log?.({ event: "throttle.failed", endpoint: name, error, isUnsupported });
    }
  }
}

interface ToldSequencer {
  readonly sequencer: Sequencer;
  /** What it took last; `undefined` where it failed since. */
  told: DaLimits | undefined;
  /** It took any at all. */
  wasTold: boolean;
  /** Since it was told. */
  looks: number;
  isFailing: boolean;
  /** It knows no such method: it is asked again now and then, as it may be replaced. */
  isUnsupported: boolean;
}

function throttleConfig(config: Partial<ThrottleConfig>): ThrottleConfig {
  const whole = { ...THROTTLE_DEFAULTS, ...config };
  for (const key of ["unpostedBytes", "txBytes", "blockBytes"] as const) {
    const { lower, upper } = whole[key];
    if (lower >= 0 && upper >= lower && (key !== "unpostedBytes" || upper > lower)) continue;
    throw new ConfigError(
      "Invalid",
      `Cannot throttle by ${key}: need a lower bound that is not above the upper, have ${lower} ` +
        `and ${upper}`,
    );
  }
  return whole;
}
