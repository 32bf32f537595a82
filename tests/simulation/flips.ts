/**
 * A disk that rots: a copy of a log, one bit turned over, must not be read as anything else than it was.
 *
 * @module
 */
import { isDeepStrictEqual } from "node:util";
import { WalError } from "../../src/errors.ts";
import { MemoryStorage } from "../../src/local/memory_storage.ts";
import type { Log, Storage } from "../../src/ports.ts";
import type { Machine } from "./life.ts";
import { nameOf } from "./run.ts";

/** All that stands in a log, as its owner reads it. */
export type ReadAll = (storage: Storage, log: Log) => Promise<unknown>;

/** Now and then flips a bit of a copy of `directory`, and opens that. Nobody has it open. */
export async function verifyFlips(
  machine: Machine,
  directory: string,
  readAll: ReadAll,
): Promise<void> {
  const { run, disk } = machine;
  if (!run.chance(0.2)) return;
  const copy = await copyOf(disk, directory);
  const names = (await copy.list(directory)).filter((name) => !name.endsWith(".broken"));
  if (names.length === 0) return;
  const path = `${directory}/${run.pick(names)}`;
  const size = await copy.size(path) ?? 0;
  if (size === 0) return;
  const bit = run.below(8 * size);
  copy.flipBit(path, bit);
  const whole = await read(await copyOf(disk, directory), readAll);
  const rotten = await read(copy, readAll);
  run.note("flip", rotten.how, `: bit ${bit} of ${path}`);
  if (rotten.how === "refused") return;
  // Behind the last sync nobody can tell rot from what a crash leaves; it is told of, and kept aside.
  if (rotten.how === "cut" && (whole.how === "cut" || !machine.endedWell)) return;
  run.check(
    rotten.how === whole.how && isDeepStrictEqual(rotten.all, whole.all),
    `bit ${bit} of ${path} was turned over, and nobody saw it`,
  );
}

async function read(storage: Storage, readAll: ReadAll) {
  let how = "read";
  try {
    const all = await readAll(storage, ({ event }) => {
      if (event === "log.tail_cut") how = "cut";
    });
    return { how, all };
  } catch (error) {
    if (error instanceof WalError && error.code === "Corrupted") return { how: "refused" };
    throw new Error(`a rotten log fails with ${nameOf(error)}`, { cause: error });
  }
}

async function copyOf(disk: Storage, directory: string): Promise<MemoryStorage> {
  const copy = new MemoryStorage();
  for (const name of await disk.list(directory)) {
    const path = `${directory}/${name}`;
    const file = await copy.openAppend(path);
    await file.write(await disk.read(path));
    await file.sync();
    await file.close();
  }
  await copy.syncDirectory(directory);
  return copy;
}
