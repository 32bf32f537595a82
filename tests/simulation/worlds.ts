/**
 * The worlds that are simulated, and how a seed is run in one of them.
 *
 * @module
 */
import { rlp } from "../../src/l1/deps.ts";
import { type BatcherDefects, runBatcherWorld } from "./batcher_world.ts";
import { type EthereumBatcherDefects, runEthereumBatcherWorld } from "./ethereum_batcher_world.ts";
import { type EthereumDeriverDefects, runEthereumDeriverWorld } from "./ethereum_deriver_world.ts";
import { runLogWorld } from "./log_world.ts";
import { type ProcessorDefects, runProcessorWorld } from "./processor_world.ts";
import { type ProofDefects, runProofWorld } from "./proof_world.ts";
import { type Outcome, Run } from "./run.ts";
import type { SimulationOptions } from "../wal/simulation.ts";

/** What can be planted in each world. */
export interface Defects {
  readonly batcher: BatcherDefects;
  readonly processor: ProcessorDefects;
  readonly log: SimulationOptions;
  readonly proofs: ProofDefects;
  readonly "ethereum-batcher": EthereumBatcherDefects;
  readonly "ethereum-deriver": EthereumDeriverDefects;
}

/** The name of a world. */
export type World = keyof Defects;

const RUNS: { readonly [W in World]: (run: Run, defects?: Defects[W]) => Promise<Outcome> } = {
  batcher: runBatcherWorld,
  processor: runProcessorWorld,
  log: runLogWorld,
  proofs: runProofWorld,
  "ethereum-batcher": runEthereumBatcherWorld,
  "ethereum-deriver": runEthereumDeriverWorld,
};

/** All worlds. */
export const WORLDS = Object.keys(RUNS) as readonly World[];

/** Those without an Ethereum, as often as they are played: a run in them takes a tenth of the time. */
const LOCAL = ["batcher", "processor", "batcher", "processor", "log"] as const;
const ALL = [...LOCAL, "ethereum-batcher", "ethereum-deriver", "proofs"] as const;

/** The world that a seed is run in where none is named. */
export function worldOf(seed: number): World {
  return ALL[seed % ALL.length]!;
}

/** The same of those without an Ethereum. */
export function localWorldOf(seed: number): World {
  return LOCAL[seed % LOCAL.length]!;
}

/** A run that broke a promise, or did not come to its end. */
export class FailedRun extends Error {
  override readonly name = "FailedRun";
  readonly world: World;
  readonly seed: number;
  /** What happened until then. */
  readonly lines: readonly string[];

  constructor(world: World, { seed, lines }: Run, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const replay = `deno task sim --world ${world} --seed ${seed}`;
    super(`${world}, seed ${seed}: ${reason}\nreplay: ${replay}`, { cause });
    this.world = world;
    this.seed = seed;
    this.lines = lines;
  }
}

/**
 * Runs one seed in one world.
 *
 * @throws {FailedRun} where a promise is broken
 */
export async function runSeed<W extends World>(
  world: W,
  seed: number,
  options: { readonly defects?: Defects[W]; readonly isVerbose?: boolean } = {},
): Promise<Outcome> {
  // Loading a package takes real time, in which virtual time would go on.
  await rlp();
  const run = new Run(seed, options.isVerbose);
  try {
    return await RUNS[world](run, options.defects);
  } catch (cause) {
    throw new FailedRun(world, run, cause);
  }
}
