/**
 * The program, which kills itself at a call to its `DiskStorage`: the `DIE_AT_CALL`-th, before it or half
 * way through a write; where it ends by itself, it tells how many there were. What is stored, and how, stays the program's own affair.
 *
 * @module
 */
import process from "node:process";
import { main } from "../../src/cli/program.ts";
import { DiskStorage } from "../../src/local/disk_storage.ts";
import { FaultyStorage } from "../../src/local/faulty_storage.ts";
import type { Storage } from "../../src/ports.ts";
import { writeStderr } from "../../src/runtime.ts";

const dieAt = Number(process.env["DIE_AT_CALL"]);
const shared = DiskStorage.prototype as unknown as Record<keyof Storage, unknown>;
const methods = Object.getOwnPropertyNames(DiskStorage.prototype)
  .filter((name) => name !== "constructor") as (keyof Storage)[];

/** As it is without us. */
const disk = Object.create(null, Object.getOwnPropertyDescriptors(DiskStorage.prototype));
const die = () => process.kill(process.pid, "SIGKILL");
const storage = new FaultyStorage(disk, ({ number, method, bytes = 0 }) => {
  if (number !== dieAt) return undefined;
  if (method !== "write") die();
  return { crash: true, written: Math.floor(bytes / 2) };
});
for (const name of methods) {
  shared[name] = async (...values: never[]) => {
    const call = storage[name] as (...values: never[]) => Promise<unknown>;
    const result = await call.apply(storage, values).catch(dieIfDown);
    return name === "openAppend" ? dying(result as object) : result;
  };
}

/** What could not be done since the machine stopped ends the process, before anyone hears of it. */
function dieIfDown(error: unknown): never {
  if (storage.isDown) die();
  throw error;
}

function dying<T extends object>(file: T): T {
  const calls = Object.entries(file) as [string, (...values: unknown[]) => Promise<unknown>][];
  return Object.fromEntries(
    calls.map(([name, call]) => [
      name,
      (...values: unknown[]) => call(...values).catch(dieIfDown),
    ]),
  ) as T;
}

const exitCode = await main(process.argv.slice(2));
writeStderr(`${storage.calls} calls to the storage`);
process.exit(exitCode);
