/**
 * Where `montana deriver` goes on: the states that it saved under `--data-dir`.
 *
 * @module
 */
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { ConfigError } from "../errors.ts";
import { DiskStorage } from "../local/disk_storage.ts";
import type { FilePosition } from "../local/file_block_sink.ts";
import type { L1Directory } from "../local/l1_directory.ts";
import type { DeriverPosition } from "../pipeline/deriver.ts";
import type { Log } from "../ports.ts";
import { StateJournal } from "../wal/state_journal.ts";
import { type Addresses, isL1Mark, isOnL1, type L1Mark, mustBeSameL1 } from "./local_l1.ts";

/** What is saved after each batch. */
export interface DeriverState {
  readonly position: DeriverPosition;
  /** Where the blocks went, and how many. */
  readonly out: string;
  readonly written: FilePosition;
  readonly l1: L1Mark;
}

/** States to step back to, where L1 is no longer what it was or the output lost its end. */
const KEPT_STATES = 64;

/** Opens the states under `dataDir`. */
export function openStates(dataDir: string, log: Log): Promise<StateJournal<DeriverState>> {
  const parts = { storage: new DiskStorage(), directory: join(dataDir, "deriver"), log };
  return StateJournal.open<DeriverState>(parts, { keep: KEPT_STATES, isWhole });
}

function isWhole({ position, out, written, l1 }: Partial<DeriverState>): boolean {
  return typeof position?.nextBatchNumber === "bigint" && typeof out === "string" &&
    Number.isSafeInteger(written?.blocks) && Number.isSafeInteger(written?.bytes) && isL1Mark(l1);
}

/** What a deriver is asked to do, as far as its state depends on it. */
export interface DeriverTask extends Addresses {
  readonly out: string;
  readonly dataDir: string;
}

/**
 * The newest state that L1 and the output still agree with; `undefined` where there is none at all.
 *
 * @throws {ConfigError} `Usage` for another inbox, batcher or output
 * @throws {PipelineError} `WrongL1` where L1 agrees with none
 */
export async function latestState(
  { states }: StateJournal<DeriverState>,
  l1: L1Directory,
  { out, dataDir, ...addresses }: DeriverTask,
): Promise<DeriverState | undefined> {
  const newest = states.at(-1);
  if (!newest) return undefined;
  const latest = await firstThatHolds(states.toReversed(), l1) ?? newest;
  await mustBeSameL1(l1, addresses, latest.l1, dataDir);
  if (latest.out === outName(out)) return latest;
  throw new ConfigError(
    "Usage",
    `Cannot use --out ${out} with --data-dir ${dataDir}: its blocks went to ${latest.out}; use ` +
      `another --data-dir for another output`,
  );
}

/** A state holds while L1 has its block, and the output what was written by then. */
async function firstThatHolds(
  states: readonly DeriverState[],
  l1: L1Directory,
): Promise<DeriverState | undefined> {
  for (const [age, state] of states.entries()) {
    const { out, written, position } = state;
    // Before the first batch, two L1s that began in the same second are the same.
    if (age > 0 && position.nextBatchNumber === 0n) continue;
    const bytes = written.bytes === 0 ? 0 : await stat(out).then(({ size }) => size, () => 0);
    if (bytes >= written.bytes && await isOnL1(l1, state.l1)) return state;
  }
  return undefined;
}

/** An output as states name it. */
export function outName(out: string): string {
  return out === "-" ? "standard output" : resolve(out);
}
