/**
 * `batcher --throttle`: sequencers that are told to put less into their blocks while much waits to be
 * posted (decision 0025). Posting never waits for them.
 *
 * @module
 */
import { HttpJsonRpc } from "../l1/json_rpc.ts";
import { RpcSequencer } from "../l2/sequencer.ts";
import {
  Throttle,
  THROTTLE_DEFAULTS,
  THROTTLE_STRATEGIES,
  type ThrottleConfig,
} from "../pipeline/throttle.ts";
import type { Log, Sequencer } from "../ports.ts";
import { leaveMemoryOutOfCores, systemClock } from "../runtime.ts";
import { type Flag, type FlagValues, listOf, textOf } from "./command.ts";
import { dashed } from "./l1_flags.ts";
import { nodeUrl, parseChoice, parseDuration, parseSize, usage } from "./options.ts";

/** Nobody waits longer for a sequencer that hangs: not the other ones, and not a batcher that ends. */
const TIMEOUT_MS = 2_000;

const { unpostedBytes, txBytes, blockBytes } = THROTTLE_DEFAULTS;

/** Bounds by their flags. */
const BOUNDS = {
  throttleLower: { of: "unpostedBytes", end: "lower" },
  throttleUpper: { of: "unpostedBytes", end: "upper" },
  throttleTxLower: { of: "txBytes", end: "lower" },
  throttleTxUpper: { of: "txBytes", end: "upper" },
  throttleBlockLower: { of: "blockBytes", end: "lower" },
  throttleBlockUpper: { of: "blockBytes", end: "upper" },
} as const;

/** Who is held back, and when. The defaults stand in the help only, so that one in vain is told. */
export const THROTTLE_FLAGS: readonly Flag[] = [
  {
    flags: "--throttle <url>",
    help: "sequencer to hold back (miner_setMaxDASize) while much waits to be posted; or env:NAME",
    isRepeated: true,
  },
  {
    flags: "--throttle-strategy <name>",
    help: `${THROTTLE_STRATEGIES.join(", ")} (${THROTTLE_DEFAULTS.strategy})`,
    choices: THROTTLE_STRATEGIES,
  },
  {
    flags: "--throttle-lower <size>",
    help: `compressed bytes to be posted with which it begins (${sizeText(unpostedBytes.lower)})`,
  },
  {
    flags: "--throttle-upper <size>",
    help: `and with which it can do no more (${sizeText(unpostedBytes.upper)})`,
  },
  {
    flags: "--throttle-tx-lower <size>",
    help: `of one transaction at the most throttling (${sizeText(txBytes.lower)})`,
  },
  {
    flags: "--throttle-tx-upper <size>",
    help: `of one transaction when it begins (${sizeText(txBytes.upper)})`,
  },
  {
    flags: "--throttle-block-lower <size>",
    help: `of one block at the most throttling (${sizeText(blockBytes.lower)})`,
  },
  {
    flags: "--throttle-block-upper <size>",
    help: `of one block, also while nothing is held back (${sizeText(blockBytes.upper)})`,
  },
  {
    flags: "--throttle-interval <time>",
    help: `between two looks at what waits (${THROTTLE_DEFAULTS.intervalMs / 1000}s)`,
  },
];

/** Sequencers, and how they are held back. */
export interface ThrottleSettings {
  readonly sequencers: readonly Sequencer[];
  readonly config: ThrottleConfig;
}

/**
 * What the flags say; `undefined` where they name no sequencer.
 *
 * @throws {ConfigError} `Usage`, also for a bound without a sequencer; `Invalid` for what is no URL
 */
export function throttleSettings(flags: FlagValues): ThrottleSettings | undefined {
  const urls = listOf(flags, "throttle").map((text) => nodeUrl("--throttle", text));
  const others = [...Object.keys(BOUNDS), "throttleStrategy", "throttleInterval"];
  const inVain = others.find((name) => flags[name] !== undefined);
  if (urls.length === 0) {
    if (inVain === undefined) return undefined;
    throw usage(`Cannot use --${dashed(inVain)} without --throttle: name the sequencer's URL`);
  }
  const config = configFrom(flags);
  const sequencers = urls.map((url) =>
    new RpcSequencer(new HttpJsonRpc({ url, clock: systemClock, timeoutMs: TIMEOUT_MS }))
  );
  return { sequencers, config };
}

/** Holds them back by what `unpostedBytes` says, until it is stopped: then they are let go. */
export async function startThrottle(
  { sequencers, config }: ThrottleSettings,
  { unpostedBytes, log }: { readonly unpostedBytes: () => number; readonly log: Log },
): Promise<{ stop(): Promise<void> }> {
  // The URLs may hold keys.
  await leaveMemoryOutOfCores();
  const end = new AbortController();
  const throttle = new Throttle({ unpostedBytes, sequencers, clock: systemClock, log }, config);
  const running = throttle.run(end.signal);
  return {
    async stop() {
      end.abort();
      await running;
    },
  };
}

function configFrom(flags: FlagValues): ThrottleConfig {
  const bounds = {
    unpostedBytes: { ...unpostedBytes },
    txBytes: { ...txBytes },
    blockBytes: { ...blockBytes },
  };
  for (const [name, { of, end }] of Object.entries(BOUNDS)) {
    const text = textOf(flags, name);
    if (text !== undefined) bounds[of][end] = parseSize(`--${dashed(name)}`, text);
  }
  for (const [lowerName, { of, end }] of Object.entries(BOUNDS)) {
    const { lower, upper } = bounds[of];
    const isRange = of === "unpostedBytes" ? lower < upper : lower <= upper;
    if (end === "upper" || isRange) continue;
    const [below, above] = [dashed(lowerName), dashed(lowerName.replace("Lower", "Upper"))];
    throw usage(`Cannot use --${below} ${lower} with --${above} ${upper}: need more above`);
  }
  const { strategy } = THROTTLE_DEFAULTS;
  const interval = textOf(flags, "throttleInterval");
  const intervalMs = interval === undefined
    ? THROTTLE_DEFAULTS.intervalMs
    : parseDuration("--throttle-interval", interval);
  if (intervalMs === 0) throw usage("Cannot use --throttle-interval 0: need some time");
  return {
    ...THROTTLE_DEFAULTS,
    ...bounds,
    intervalMs,
    strategy: parseChoice(
      "--throttle-strategy",
      textOf(flags, "throttleStrategy") ?? strategy,
      THROTTLE_STRATEGIES,
    ),
  };
}

/** As a flag takes it. */
function sizeText(bytes: number): string {
  if (bytes >= 1_000_000) return `${bytes / 1_000_000}MB`;
  return bytes >= 1000 ? `${bytes / 1000}KB` : `${bytes}B`;
}
