/**
 * Opens what a log left: mends what a crash tears, refuses what a crash cannot do.
 *
 * @module
 */
import { WalError } from "../errors.ts";
import type { Log, Storage } from "../ports.ts";
import { freeName, pieces, syncing, writeWhole } from "./files.ts";
import { type Fault, inspectLog, type LogState } from "./inspection.ts";
import { BROKEN_SUFFIX } from "./segment.ts";

/**
 * Reads a log, and makes it whole where a crash tore its end. The lock is held.
 *
 * @throws {WalError} `Corrupted`; nothing is changed then
 */
export async function recoverLog(
  storage: Storage,
  directory: string,
  log?: Log,
): Promise<LogState> {
  const state = await inspectLog(storage, directory);
  const { fault } = state;
  if (fault?.kind === "corrupt") throw corruption(directory, fault);
  if (fault) await cutTail(storage, state, fault, log);
  return state;
}

/** Removes what a crash left behind. The head names a segment that stays, by now. */
export async function removeRemains(storage: Storage, state: LogState): Promise<void> {
  for (const name of [...state.temporaries, ...state.leftovers]) {
    await storage.remove(`${state.directory}/${name}`);
    await syncing(() => storage.syncDirectory(state.directory));
  }
}

/** How a log that was damaged is refused. */
export function corruption(directory: string, { path, offset, reason }: Fault): WalError {
  return new WalError(
    "Corrupted",
    `Cannot use the log in ${directory}: ${path} is damaged at offset ${offset}: ${reason}. Nothing was ` +
      `changed. Put the file back from a copy, or see what "montana wal repair ${directory} --dry-run" ` +
      `could keep`,
    { details: { path, offset, reason } },
  );
}

/** Copies the torn end aside, and cuts it off. */
async function cutTail(
  storage: Storage,
  { directory, segments, nextSequence }: LogState,
  { path, offset, reason }: Fault,
  log?: Log,
): Promise<void> {
  const { bytes } = segments.at(-1)!;
  const stem = `${path.slice(directory.length + 1)}.${offset}`;
  const name = await freeName(storage, directory, stem, BROKEN_SUFFIX);
  await writeWhole(storage, directory, name, pieces(storage, path, offset, bytes));
  await syncing(() => storage.truncate(path, offset));
  log?.({
    event: "log.tail_cut",
    path,
    offset,
    bytes: bytes - offset,
    brokenPath: `${directory}/${name}`,
    nextSequence,
    reason,
  });
}
