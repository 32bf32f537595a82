/**
 * Where `montana deriver` goes on: the states that it saved under `--data-dir`.
 *
 * @module
 */
import { join } from "node:path";
import { ConfigError } from "../errors.ts";
import type { BlockMark } from "../l1/block_marks.ts";
import type { DeriverPosition, Standing } from "../pipeline/deriver.ts";
import type { Log, Storage } from "../ports.ts";
import { StateJournal } from "../wal/state_journal.ts";
import type { OutPlace, OutStanding } from "./derived_out.ts";
import { isL1Mark, isOnL1, type L1Mark, mustBeSameL1, type RoleL1 } from "./l1.ts";
import type { Addresses } from "./l1_flags.ts";

/** What is saved after each batch. */
export interface DeriverState extends OutStanding {
  readonly position: DeriverPosition;
  /** Where the blocks went. */
  readonly out: string;
  /** The L1 block to read again from. */
  readonly l1: L1Mark;
  /** The highest L1 block that was read, and some below it. */
  readonly known?: readonly BlockMark[];
  /** The highest L1 block that anything handed over came from; -1 where nothing was. */
  readonly l1Block?: bigint;
  /** Blocks handed over, by this run and those before. */
  readonly blocks?: number;
}

/** States to step back to, where L1 is no longer what it was or the output lost its end. */
const KEPT_STATES = 256;

/** Opens the states under `dataDir`. */
export function openStates(
  storage: Storage,
  dataDir: string,
  log: Log,
): Promise<StateJournal<DeriverState>> {
  const parts = { storage, directory: join(dataDir, "deriver"), log };
  return StateJournal.open<DeriverState>(parts, { keep: KEPT_STATES, isWhole });
}

function isWhole({ position, out, written, l1 }: Partial<DeriverState>): boolean {
  return typeof position?.nextBatchNumber === "bigint" && typeof out === "string" &&
    Number.isSafeInteger(written?.blocks) && Number.isSafeInteger(written?.bytes) && isL1Mark(l1);
}

/** What a deriver is asked to do, as far as its state depends on it. */
export interface DeriverTask extends Addresses {
  readonly out: OutPlace;
  readonly dataDir: string;
}

/** A state to go on from. */
export interface FoundState {
  readonly state: DeriverState;
  /** Where it and those before it stood, for a reorganisation of L1. */
  readonly history: readonly Standing[];
  /** Blocks that were handed over since, and that L1 no longer has: none where the output lost them. */
  readonly gone: number;
}

/**
 * The newest state that L1 and the output still agree with; `undefined` where there is none at all.
 *
 * @throws {ConfigError} `Usage` for another inbox, batcher or output
 * @throws {PipelineError} `WrongL1` where L1 agrees with none
 */
export async function latestState(
  { states }: StateJournal<DeriverState>,
  l1: RoleL1,
  { out, dataDir, ...addresses }: DeriverTask,
): Promise<FoundState | undefined> {
  const newest = states.at(-1);
  if (!newest) return undefined;
  const index = await lastThatHolds(states, l1, out);
  const state = states[index] ?? newest;
  await mustBeSameL1(l1, addresses, state.l1, dataDir);
  if (state.out !== out.name) {
    throw new ConfigError(
      "Usage",
      `Cannot use --out ${out.text} with --data-dir ${dataDir}: its blocks went to ${state.out}; use ` +
        `another --data-dir for another output`,
    );
  }
  const isReorganised = state !== newest && !await areOnL1(l1, newest);
  const gone = isReorganised ? (newest.blocks ?? 0) - (state.blocks ?? 0) : 0;
  return { state, history: historyOf(states.slice(0, index + 1)), gone };
}

/** Index of the last state whose L1 blocks are there, and whose blocks the output has; -1 if there is none. */
async function lastThatHolds(
  states: readonly DeriverState[],
  l1: RoleL1,
  out: OutPlace,
): Promise<number> {
  for (let index = states.length - 1; index >= 0; index--) {
    const state = states[index]!;
    const { position } = state;
    // Before the first batch, two directories that began in the same second are the same.
    const isStart = position.nextBatchNumber === 0n && !l1.canReorganise;
    if (index < states.length - 1 && isStart) continue;
    if (await out.holds(state) && await areOnL1(l1, state)) return index;
  }
  return -1;
}

async function areOnL1(l1: RoleL1, { l1: mark, known = [] }: DeriverState): Promise<boolean> {
  const highest = known.at(-1);
  return await isOnL1(l1, mark) && (!highest || await isOnL1(l1, highest));
}

/** The way that led to the last state: what was taken back on it is left out. */
function historyOf(states: readonly DeriverState[]): Standing[] {
  const history: Standing[] = [];
  for (const { position, l1, l1Block, blocks } of states.toReversed()) {
    if (blocks === undefined || l1Block === undefined) break;
    const next = history.at(-1)?.position.nextBatchNumber ?? position.nextBatchNumber + 1n;
    if (position.nextBatchNumber >= next) continue;
    history.push({ position, l1Block, readFrom: l1.number, blocks });
  }
  return history.reverse();
}
